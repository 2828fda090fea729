//! Which cells there are: owners, callers and actions that make sense together.

use super::callers::{Caller, Who};
use super::owners::{OWNERS, Owner};

/// One cell of the table.
#[derive(Clone, Copy)]
pub struct Cell {
    pub number: usize,
    /// What its names begin with.
    pub tag: &'static str,
    pub owner: &'static Owner,
    pub caller: Caller,
    pub action: &'static str,
    /// The process in spite of its unit.
    pub only_process: bool,
    /// The privileged helper is there.
    pub helper: bool,
}

impl Cell {
    /// A name that no other cell has.
    pub fn name(&self) -> String {
        format!("{}-{}", self.tag, self.number)
    }

    /// The means by which it is controlled, where anything is allowed.
    pub fn means(&self) -> &'static str {
        let kill = self.action == "kill";
        let (owner, caller) = (self.owner, &self.caller);
        let alone = match (self.only_process, caller.name) {
            (true, _) => "signal",
            (false, "sudo") if !kill => "sudo",
            _ => owner.kill.filter(|_| kill).unwrap_or(owner.means),
        };
        let denied = caller.is_stranger() && caller.name != "cap-kill";
        let helped = match alone {
            "signal" => denied || (owner.name == "seteuid daemon" && caller.who == Who::Owner),
            "user-unit" => caller.is_stranger(),
            _ => false,
        };
        if self.helper && helped { "helper" } else { alone }
    }

    /// The units that it may be about.
    pub fn units(&self) -> Vec<String> {
        self.owner.units.iter().map(|u| u.replace("NAME", &self.name())).collect()
    }

    /// Where its process writes what happens to it.
    pub fn log(&self) -> String {
        format!("/tmp/{}.log", self.name())
    }

    /// The arguments of provost for the action.
    pub fn flags(&self) -> Vec<&'static str> {
        let mut flags = self.caller.flags.to_vec();
        if self.action == "kill" {
            flags.push("--signal=USR1");
        }
        if self.only_process {
            flags.push("--only-process");
        }
        flags
    }
}

/// Owners (all of these), callers, actions; `+process` after an action is `--only-process`.
type Pairs = &'static [(&'static [&'static str], &'static str, &'static str)];

/// Systemd 252 would ask for the password on the desktop's screen, so that nothing can be known beforehand.
pub const MAY_BE_UNKNOWN: &str = "desktop";

const UNIT: &str = "stop restart reload kill";
const PROCESS: &str = "stop kill";

pub const PAIRS: Pairs = &[
    (
        &["unit of ollama"],
        "root owner stranger no-ask rule-yes rule-no right wrong sudo cap-kill no-bus root-no-bus",
        UNIT,
    ),
    (&["unit of ollama"], "login-right login-wrong desktop hidepid", "stop kill"),
    (&["unit of ollama"], "root stranger no-bus", "start"),
    (&["unit of ollama"], "root stranger owner cap-kill", "stop+process kill+process"),
    (&["unit of ollama, by pid", "unit of ollama, by word"], "root owner stranger rule-yes", "stop kill restart"),
    (&["unit of watson"], "root owner stranger owner-yes owner-right cap-kill no-bus", UNIT),
    (&["unit of watson"], "owner stranger", "stop+process kill+process"),
    (&["user unit of watson"], "root owner stranger cap-kill no-manager no-bus", UNIT),
    (&["user unit of watson"], "owner stranger", "stop+process kill+process start"),
    (&["user unit of watson, by pid"], "owner no-manager no-bus", UNIT),
    (&["bare of watson", "bare of ollama", "bare of root"], "root owner stranger cap-kill no-bus", PROCESS),
    (&["bare of watson"], "owner", "start restart reload"),
    (&["in the root cgroup", "in init.scope", "below a slice"], "root owner stranger cap-kill", PROCESS),
    (&["session of watson"], "root owner stranger cap-kill no-bus", PROCESS),
    (&["session of watson"], "owner", "start restart reload"),
    (&["container of watson"], "owner root stranger", "stop restart kill start"),
    (&["child in an editor's scope"], "root owner stranger cap-kill no-manager", PROCESS),
    (&["an editor's scope"], "root owner stranger", PROCESS),
    (&["part of a unit"], "root owner stranger cap-kill", "stop kill restart stop+process kill+process"),
    (&["idle socket's port"], "root stranger rule-yes right wrong", "stop start"),
    (&["busy socket's port"], "root stranger rule-yes right", "stop restart kill"),
    (&["setuid program of watson", "seteuid daemon"], "root owner stranger cap-kill", PROCESS),
    (&["masked unit"], "root stranger rule-yes", "start stop restart reload kill"),
    (&["masked while it runs"], "root stranger rule-yes", "start stop restart kill"),
    (&["RefuseManualStop"], "root stranger rule-yes right", UNIT),
    (&["RefuseManualStart"], "root stranger rule-yes", "start restart"),
    (&["inactive unit"], "root stranger rule-yes rule-no right wrong sudo", "start stop restart reload kill"),
    (&["failed unit"], "root stranger rule-yes", "start stop restart kill"),
    (&["unit that waits to restart"], "root stranger rule-yes right", "stop restart kill"),
    (&["unit that starts"], "root stranger rule-yes right", "stop kill"),
    (&["delegated subgroup"], "root stranger rule-yes right", UNIT),
    (&["timer", "target"], "root stranger rule-yes right", "stop start restart reload kill"),
    (&["missing unit"], "root stranger rule-yes", "start stop restart reload kill"),
    (&["broken unit"], "root stranger", "start stop restart"),
    (&["template instance"], "root stranger rule-yes right wrong sudo", UNIT),
    (&["unit in a nested slice"], "root stranger rule-yes rule-no", UNIT),
    (&["transient unit"], "root stranger rule-yes right", "stop restart reload kill"),
    (&["oneshot that remains"], "root stranger rule-yes", UNIT),
    (&["the bus", "a slice", "PID 1"], "root stranger rule-yes right", "stop kill"),
];

/// The cells of an exclusive trial, in which there is no polkit.
pub const NO_POLKIT: Pairs = &[
    (&["unit of ollama"], "root owner stranger right", "stop restart kill"),
    (&["unit of watson", "inactive unit"], "root owner stranger", "start stop"),
    (&["user unit of watson", "bare of watson"], "root owner stranger", PROCESS),
    (&["user unit of watson", "bare of root"], "right", PROCESS),
];

/// What is new where the helper is there: processes of others, units of others' managers, rules on details.
pub const HELPED: Pairs = &[
    (
        &["bare of watson", "bare of ollama", "bare of root"],
        "root owner stranger no-ask right wrong trusted barred cap-kill no-bus",
        PROCESS,
    ),
    (&["bare of watson"], "stranger right trusted", "start restart reload"),
    (&["bare of watson", "bare of root"], "login-right login-wrong trusted-right", PROCESS),
    (&["in the root cgroup", "in init.scope", "below a slice"], "stranger right trusted", PROCESS),
    (&["session of watson", "child in an editor's scope"], "stranger right trusted cap-kill", PROCESS),
    (&["an editor's scope"], "stranger right trusted", PROCESS),
    (&["user unit of watson"], "root owner stranger right wrong trusted barred cap-kill trusted-right no-bus", UNIT),
    (&["user unit of watson"], "stranger right trusted", "stop+process kill+process start"),
    (&["unit of ollama", "unit of watson"], "stranger right trusted barred", "stop+process kill+process"),
    (&["part of a unit"], "stranger right trusted", "stop kill restart stop+process kill+process"),
    (&["setuid program of watson", "seteuid daemon"], "root owner stranger right trusted barred cap-kill", PROCESS),
    (&["seteuid daemon"], "owner-right", PROCESS),
    (&["unit of ollama"], "desktop", UNIT),
    (&["the bus", "PID 1"], "stranger right trusted", "stop kill"),
];

/// All cells of a list.
pub fn all(tag: &'static str, pairs: Pairs) -> Vec<Cell> {
    let mut cells = Vec::new();
    for (owners, callers, actions) in pairs {
        for owner in *owners {
            let owner = OWNERS.iter().find(|o| o.name == *owner).unwrap_or_else(|| panic!("no owner {owner}"));
            for caller in callers.split(' ') {
                for action in actions.split(' ') {
                    let (action, only) = action.split_once('+').map_or((action, false), |(action, _)| (action, true));
                    let caller = Caller::named(caller);
                    let (number, helper) = (cells.len(), tag.starts_with("help"));
                    cells.push(Cell { number, tag, owner, caller, action, only_process: only, helper });
                }
            }
        }
    }
    cells
}
