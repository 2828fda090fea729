//! What the helper does for whom polkit allows it, and tells everybody; and nothing where there is no polkit.

use std::time::Duration;

use super::attacker::attack;
use super::{process_of, well};
use crate::rig::{PASSWORD, Result, Rig, eventually};

const SLEEP: &str = "[Service]\nExecStart=/usr/local/bin/sleeper\n";

pub fn does(rig: &Rig) -> Result<()> {
    rig.with_helper(|| {
        rig.linger("watson")?;
        let eve = rig.as_user("eve");
        let call = |args: &[&str]| attack(&eve, "call", args);
        let victim = process_of(rig, "watson", "exec sleeper --child")?;
        let (pid, identity) = (victim.to_string(), rig.identity(victim).ok_or("no victim")?);
        rig.user_unit("watson", "helped.service", SLEEP)?;
        rig.user_systemctl("watson", ["start", "helped.service"])?;
        let unit = || rig.user_systemctl("watson", ["show", "-P", "ActiveState", "helped.service"]);

        // Without a rule a password is needed, and a call that allows no question gets none.
        for args in [
            &["SignalProcess", &pid, "15"][..],
            &["StopProcessTree", &pid, "TERM,KILL"],
            &["UserUnit", "1000", "helped.service", "stop", "0"],
        ] {
            let said = call(args)?;
            expect!(said.starts_with("InteractiveAuthorizationRequired: "), "{args:?}: {said}");
        }
        expect!(rig.lives(identity) && unit()? == "active", "it was done all the same");
        // Nor is a tree of one's own ended without it: a confined program is to gain nothing.
        let own = process_of(rig, "eve", "exec sleeper")?;
        let own_identity = rig.identity(own).ok_or("no process")?;
        let said = call(&["StopProcessTree", &own.to_string(), "TERM,KILL"])?;
        expect!(said.starts_with("InteractiveAuthorizationRequired: ") && rig.lives(own_identity), "{said}");
        rig.signal(own_identity, rustix::process::Signal::KILL)?;
        let asked = |args: &[&str], verdict: &str, action: &str| -> Result<()> {
            let said = call(args)?;
            expect!(said.contains(&format!("\"{verdict}\"")) && said.contains(action), "{args:?}: {said}");
            Ok(())
        };
        asked(&["Explain", &pid, "kill", "15"], "needs-password", "org.provost.signal-process")?;
        asked(&["Explain", "1", "kill", "15"], "denied", "PID 1")?;
        let root = process_of(rig, "root", "exec sleeper")?.to_string();
        asked(&["Explain", &root, "stop", "0"], "needs-password", "org.provost.signal-root-process")?;
        asked(&["ExplainUserUnit", "1000", "helped.service", "stop"], "needs-password", "org.provost.manage-user-units")?;
        asked(&["ExplainUserUnit", "1001", "own.service", "stop"], "needs-password", "org.provost.manage-user-units")?;
        rig.started("helped-by-1.service", SLEEP)?;
        let manage = "org.freedesktop.systemd1.manage-units";
        asked(&["ExplainUnit", "helped-by-1.service", "stop"], "needs-password", manage)?;
        {
            let _rule = rig.allow("eve", "helped-by-1.service", &["stop"])?;
            asked(&["ExplainUnit", "helped-by-1.service", "stop"], "allowed", manage)?;
            asked(&["ExplainUnit", "helped-by-1.service", "restart"], "needs-password", manage)?;
            let _no = rig.deny("eve", "helped-by-1.service", &["kill"])?;
            asked(&["ExplainUnit", "helped-by-1.service", "kill"], "denied", manage)?;
        }

        // What is told to everybody.
        let said = call(&["ProcessDetails", &pid])?;
        for word in ["\"watson\"", "\"sleeper\"", "/usr/local/bin/", "init.scope"] {
            expect!(said.contains(word), "no {word}: {said}");
        }
        let _server = rig.as_user("watson").spawn(["llama-server", "--port", "8197"])?;
        eventually("its port is told", || call(&["PortOwner", "8197"]).is_ok_and(|said| said.contains("llama-server")))?;

        let _rule = rig.polkit_rule(
            "helped",
            "if (subject.user == \"eve\" && action.lookup(\"user\") == \"watson\") {\n\
             if (action.id == \"org.provost.signal-process\" && action.lookup(\"exe\") == \"/usr/local/bin/sleeper\" && \
             (action.lookup(\"signal\") == \"SIGCONT\" || action.lookup(\"signal\") == \"SIGTERM\" || \
             action.lookup(\"signal\") == \"SIGKILL\")) return polkit.Result.YES;\n\
             if (action.id == \"org.provost.manage-user-units\" && action.lookup(\"unit\") == \"helped.service\" && \
             action.lookup(\"verb\") != \"reload\") return polkit.Result.YES;\n}",
        )?;
        for (signal, verdict) in [("18", "allowed"), ("15", "allowed"), ("1", "needs-password")] {
            asked(&["Explain", &pid, "kill", signal], verdict, "org.provost.signal-process")?;
        }
        asked(&["Explain", &pid, "stop", "15"], "allowed", "SIGTERM, SIGSTOP, SIGKILL")?;
        let said = call(&["SignalProcess", &pid, "18"])?;
        expect!(said.starts_with("ok"), "{said}");
        let said = call(&["SignalProcess", &pid, "1"])?;
        expect!(said.starts_with("InteractiveAuthorizationRequired: ") && rig.lives(identity), "{said}");
        let said = call(&["StopProcessTree", &pid, "HUP:1s,KILL"])?;
        expect!(said.starts_with("InteractiveAuthorizationRequired: ") && rig.lives(identity), "{said}");
        for (uid, unit_name, verb) in [
            ("1000", "helped.service", "stop"),
            ("1000", "helped.service", "start"),
            ("1000", "helped.service", "restart"),
        ] {
            let said = call(&["UserUnit", uid, unit_name, verb, "0"])?;
            expect!(said.contains("done"), "{verb}: {said}");
            let state = unit()?;
            expect!((state == "active") == (verb != "stop"), "{verb}: {state}");
        }
        let said = call(&["UserUnit", "1000", "helped.service", "kill", "9"])?;
        expect!(said.starts_with("ok"), "{said}");
        eventually("it was killed", || unit().is_ok_and(|state| state == "failed"))?;
        for refused in [["1000", "other.service", "stop", "0"], ["1000", "helped.service", "reload", "0"]] {
            let said = call(&[&["UserUnit"], &refused[..]].concat())?;
            expect!(said.starts_with("InteractiveAuthorizationRequired: "), "{refused:?}: {said}");
        }
        let said = call(&["UserUnit", "700", "helped.service", "stop", "0"])?;
        expect!(said.starts_with("InteractiveAuthorizationRequired: "), "{said}");
        let root_says = attack(&rig.as_root(), "call", &["UserUnit", "700", "helped.service", "stop", "0"])?;
        expect!(root_says.starts_with("Failed: no manager of ollama runs"), "{root_says}");
        let said = call(&["StopProcessTree", &pid, "TERM:5s,KILL"])?;
        expect!(said.contains("true") && said.contains("2 processes ended by SIGTERM"), "{said}");
        expect!(!rig.lives(identity), "it lives");
        tree_of_two_users(rig)?;
        caller_leaves(rig)?;
        rig.as_root().run(["kill", &root])?.ok()?;
        well(rig)
    })
}

/// Below a process that may be ended runs one of root's, that may not.
fn tree_of_two_users(rig: &Rig) -> Result<()> {
    let eve = rig.as_user("eve");
    let victim = process_of(rig, "watson", "setuid-sleeper --pid-file /tmp/helped-child & exec sleeper")?;
    let (pid, identity) = (victim.to_string(), rig.identity(victim).ok_or("no victim")?);
    let mut child = String::new();
    eventually("the child runs", || {
        child = rig.read("/tmp/helped-child").unwrap_or_default();
        !child.is_empty()
    })?;
    let child = rig.identity(child.parse()?).ok_or("no child")?;
    let said = attack(&eve, "call", &["Explain", &pid, "stop", "15"])?;
    expect!(said.contains("\"needs-password\"") && said.contains("org.provost.signal-root-process"), "{said}");
    let said = attack(&eve, "call", &["StopProcessTree", &pid, "TERM:5s,KILL"])?;
    expect!(said.starts_with("ok (false") && said.contains("a password is needed"), "{said}");
    expect!(!rig.lives(identity) && rig.lives(child), "{said}");
    rig.signal(child, rustix::process::Signal::KILL).map(drop)
}

/// What a ladder has not done yet it does not do any more once its caller has left.
fn caller_leaves(rig: &Rig) -> Result<()> {
    let victim = process_of(rig, "watson", "exec sleeper --ignore TERM")?;
    let (pid, identity) = (victim.to_string(), rig.identity(victim).ok_or("no victim")?);
    let eve = rig.as_user("eve").timeout(Duration::from_secs(1));
    let left = attack(&eve, "call", &["StopProcessTree", &pid, "TERM:2s,KILL"]);
    expect!(left.is_err(), "{left:?}");
    let pending = rig.read(&format!("/proc/{pid}/status"))?;
    let pending = pending.lines().find(|line| line.starts_with("ShdPnd")).unwrap_or_default().to_owned();
    expect!(pending.ends_with("4000"), "SIGTERM was not sent: {pending}");
    // The time in which the next signal would have come.
    std::thread::sleep(Duration::from_secs(2));
    expect!(rig.lives(identity), "it was killed all the same");
    rig.signal(identity, rustix::process::Signal::KILL).map(drop)
}

/// On a terminal: watson asks for the process of another user to be ended, and types the administrator's password.
pub fn password(rig: &Rig) -> Result<()> {
    rig.with_helper(|| {
        for (password, lives) in [("wrong", true), (PASSWORD, false)] {
            let victim = process_of(rig, "eve", "exec sleeper --child")?;
            let (target, identity) = (format!("pid:{victim}"), rig.identity(victim).ok_or("no victim")?);
            let mut terminal = rig.as_user("watson").in_session().pty(["provost", "stop", &target])?;
            terminal.expect("Password:", Duration::from_secs(15))?;
            terminal.type_password(password)?;
            let (status, transcript) = terminal.wait()?;
            println!("{}: {}", status.code().unwrap_or(-1), transcript.replace('\n', " | "));
            let words = format!("send SIGTERM, SIGSTOP, SIGKILL to process {victim} (sleeper) of user 'eve'");
            expect!(transcript.contains(&words), "{transcript}");
            expect!(status.code() == Some(if lives { 4 } else { 0 }), "{status}: {transcript}");
            expect!(rig.lives(identity) == lives, "it lives: {}; {transcript}", !lives);
            let _ = rig.signal(identity, rustix::process::Signal::KILL)?;
        }
        well(rig)
    })
}

/// Masked, or gone: what nobody answers is a denial, and root is told no such thing.
pub fn without_polkit(rig: &Rig) -> Result<()> {
    rig.with_helper(|| {
        let victim = process_of(rig, "watson", "exec sleeper")?;
        let (pid, identity) = (victim.to_string(), rig.identity(victim).ok_or("no victim")?);
        let refused = || -> Result<()> {
            for (args, interactive) in [
                (&["SignalProcess", &pid, "15"][..], false),
                (&["SignalProcess", &pid, "15"], true),
                (&["StopProcessTree", &pid, "KILL"], true),
                (&["UserUnit", "1000", "a.service", "stop", "0"], true),
            ] {
                let eve = rig.as_user("eve");
                let eve = if interactive { eve.env("INTERACTIVE", "1") } else { eve };
                let said = attack(&eve, "call", args)?;
                expect!(said.starts_with("NotAuthorized: "), "{args:?}: {said}");
            }
            let said = attack(&rig.as_user("eve"), "call", &["Explain", &pid, "kill", "15"])?;
            expect!(said.contains("\"denied\""), "{said}");
            Ok(())
        };
        rig.with_polkit_masked(refused)?;
        rig.without_polkit(refused)?;
        expect!(rig.lives(identity), "it was hit");
        let said = attack(&rig.as_root(), "call", &["SignalProcess", &pid, "9"])?;
        expect!(said.starts_with("ok"), "{said}");
        well(rig)
    })
}
