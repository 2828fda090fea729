//! The privileged helper: what it does, and that an attacker gets no further with it. Where polkit is to be no obstacle, so
//! that any hole shows, a rule allows the attacker everything.

mod arguments;
pub mod attacker;
mod changes;
mod descriptors;
mod does;
mod flood;
mod prompts;

use crate::rig::{PolkitRule, Result, Rig};
use crate::trial::Trials;

pub fn register(trials: &mut Trials) {
    trials.exclusive("helper::does", does::does);
    trials.exclusive("helper::password", does::password);
    trials.exclusive("helper::descriptors", descriptors::descriptors);
    trials.exclusive("helper::protected", arguments::protected);
    trials.exclusive("helper::arguments", arguments::arguments);
    trials.exclusive("helper::changed_meanwhile", changes::changed);
    trials.exclusive("helper::pid_reuse", changes::few_pids);
    trials.exclusive("helper::prompts", prompts::prompts);
    trials.exclusive("helper::flood", flood::others_are_served);
    trials.exclusive("helper::without_polkit", does::without_polkit);
}

/// Lets this user do everything through the helper.
fn all_for<'r>(rig: &'r Rig, user: &str) -> Result<PolkitRule<'r>> {
    let js =
        format!("if (action.id.indexOf(\"org.provost.\") == 0 && subject.user == {user:?}) return polkit.Result.YES;");
    rig.polkit_rule(&format!("all-for-{user}"), &js)
}

/// A process of this user's that is no unit's.
fn process_of(rig: &Rig, user: &str, script: &str) -> Result<u32> {
    let script = format!("setsid sh -c {} </dev/null >/dev/null 2>&1 & echo $!", quoted(script));
    let pid = rig.as_user(user).run(["sh", "-c", &script])?.ok()?.parse()?;
    // What waits for the session's start is the same process by then.
    crate::rig::eventually("it has started", || {
        rig.read(&format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.starts_with("setsid"))
    })?;
    Ok(pid)
}

fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// The daemon has not crashed.
fn well(rig: &Rig) -> Result<()> {
    let restarts = rig.systemctl(["show", "-P", "NRestarts", "provost.service"])?;
    let log = rig.as_root().run(["journalctl", "-q", "-b", "-u", "provost.service", "-o", "cat"])?.stdout;
    expect!(restarts == "0" && !log.contains("panicked"), "{restarts} {log}");
    Ok(())
}
