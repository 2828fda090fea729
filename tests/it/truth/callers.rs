//! Who asks: as whom, on what terminal, with what permission.

use crate::rig::{As, PASSWORD, PolkitRule, Result, Rig, User};

use super::cells::Cell;

/// As whom a caller asks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Who {
    Root,
    /// The user as whom the object runs.
    Owner,
    /// Somebody with no rights there.
    Eve,
    /// Somebody of whom the rules on the helper's details speak ([`helper_rules`]).
    Ruled(&'static str),
}

/// One caller.
#[derive(Clone, Copy)]
pub struct Caller {
    pub name: &'static str,
    pub who: Who,
    /// On a terminal, which types this if asked.
    pub terminal: Option<&'static str>,
    pub flags: &'static [&'static str],
    /// What a polkit rule says to this user, unit and verb.
    pub rule: Option<&'static str>,
    /// The rest of how the command is started.
    pub how: fn(As<'_>) -> As<'_>,
}

const EVE: Caller = Caller { name: "stranger", who: Who::Eve, terminal: None, flags: &[], rule: None, how: |a| a };
const WRONG: &str = "not the password";

/// All of them.
pub const CALLERS: &[Caller] = &[
    Caller { name: "root", who: Who::Root, ..EVE },
    Caller { name: "owner", who: Who::Owner, ..EVE },
    EVE,
    Caller { name: "no-ask", terminal: Some(PASSWORD), flags: &["--no-ask-password"], ..EVE },
    Caller { name: "rule-yes", rule: Some("YES"), ..EVE },
    Caller { name: "rule-no", rule: Some("NO"), ..EVE },
    Caller { name: "owner-yes", who: Who::Owner, rule: Some("YES"), ..EVE },
    Caller { name: "right", terminal: Some(PASSWORD), ..EVE },
    Caller { name: "wrong", terminal: Some(WRONG), ..EVE },
    Caller { name: "owner-right", who: Who::Owner, terminal: Some(PASSWORD), ..EVE },
    Caller { name: "login-right", terminal: Some(PASSWORD), how: |a| a.in_session(), ..EVE },
    Caller { name: "login-wrong", terminal: Some(WRONG), how: |a| a.in_session(), ..EVE },
    Caller { name: "desktop", how: |a| a.in_desktop_session(), ..EVE },
    Caller { name: "sudo", flags: &["--sudo"], ..EVE },
    Caller { name: "cap-kill", how: |a| a.cap_kill(), ..EVE },
    Caller { name: "no-manager", who: Who::Owner, how: |a| a.no_user_manager(), ..EVE },
    Caller { name: "no-bus", who: Who::Owner, how: |a| a.no_bus(), ..EVE },
    Caller { name: "root-no-bus", who: Who::Root, how: |a| a.no_bus(), ..EVE },
    Caller { name: "hidepid", how: |a| a.hidepid(), ..EVE },
    Caller { name: "trusted", who: Who::Ruled("rita"), ..EVE },
    Caller { name: "barred", who: Who::Ruled("nora"), ..EVE },
    Caller { name: "trusted-right", who: Who::Ruled("rita"), terminal: Some(PASSWORD), ..EVE },
];

impl Caller {
    pub fn named(name: &str) -> Self {
        *CALLERS.iter().find(|c| c.name == name).unwrap_or_else(|| panic!("no caller {name}"))
    }

    /// The user's name, where the object's owner is `owner`.
    pub fn user(&self, owner: &'static str) -> &'static str {
        match self.who {
            Who::Root => "root",
            Who::Owner => owner,
            Who::Eve => "eve",
            Who::Ruled(name) => name,
        }
    }

    /// Whether the objects belong to somebody else.
    pub fn is_stranger(&self) -> bool {
        matches!(self.who, Who::Eve | Who::Ruled(_))
    }

    /// A command of theirs.
    pub fn start<'r>(&self, rig: &'r Rig, owner: &'static str) -> As<'r> {
        (self.how)(rig.as_user(self.user(owner)))
    }

    /// Whether a password that they type is accepted.
    pub fn knows_password(&self) -> bool {
        self.terminal == Some(PASSWORD) && self.flags.is_empty()
    }
}

/// Rules and sudoers lines in force.
pub struct Authorised<'r> {
    rig: &'r Rig,
    _rule: Option<PolkitRule<'r>>,
}

const SUDOERS: &str = "/etc/sudoers.d/truth";

/// Puts the permissions of all cells in force, each for exactly one user, unit and verb.
pub fn authorise<'r>(rig: &'r Rig, cells: &[Cell]) -> Result<Authorised<'r>> {
    let mut table = String::new();
    let mut sudoers = String::new();
    for cell in cells {
        let (user, verb) = (cell.caller.user(cell.owner.user), cell.action);
        for unit in cell.units() {
            if let Some(answer) = cell.caller.rule {
                table.push_str(&format!("{:?}: {answer:?}, ", format!("{user} {unit} {verb}")));
            }
            if cell.caller.name == "sudo" {
                // Once for the reader of the file, once for the pattern that the argument is.
                let unit = unit.replace('\\', "\\\\\\\\");
                sudoers.push_str(&format!("{user} ALL=(root) NOPASSWD: /usr/bin/systemctl {verb} {unit}\n"));
            }
        }
    }
    rig.write(SUDOERS, sudoers, 0o440)?;
    let js = format!(
        "var answers = {{ {table} }}; \
         if (action.id == \"org.freedesktop.systemd1.manage-units\") {{ \
         var key = subject.user + \" \" + action.lookup(\"unit\") + \" \" + action.lookup(\"verb\"); \
         if (answers[key]) return polkit.Result[answers[key]]; }}"
    );
    let _rule = if table.is_empty() { None } else { Some(rig.polkit_rule("truth", &js)?) };
    Ok(Authorised { rig, _rule })
}

/// What polkit says of rita and of nora: yes and no, to the same programs and verbs and to nothing else.
pub fn helper_rules(rig: &Rig) -> Result<PolkitRule<'_>> {
    for (name, uid) in [("rita", 1101), ("nora", 1102)] {
        rig.add_user(&User::person(name, uid, &[]))?;
    }
    let js = "\
        if (subject.user != \"rita\" && subject.user != \"nora\") return; \
        var answer = subject.user == \"rita\" ? polkit.Result.YES : polkit.Result.NO; \
        var is = function(id, details) { \
        if (action.id != \"org.provost.\" + id) return false; \
        for (var name in details) { if (action.lookup(name) != details[name]) return false; } return true; }; \
        if (is(\"signal-process\", {user: \"watson\", exe: \"/usr/local/bin/sleeper\"}) || \
        is(\"signal-root-process\", {user: \"root\", exe: \"/usr/local/bin/setuid-sleeper\"}) || \
        is(\"manage-user-units\", {user: \"watson\", verb: \"stop\"}) || \
        is(\"manage-user-units\", {user: \"watson\", verb: \"kill\"})) return answer;";
    rig.polkit_rule("helper", js)
}

impl Drop for Authorised<'_> {
    fn drop(&mut self) {
        let _ = self.rig.remove(SUDOERS);
    }
}
