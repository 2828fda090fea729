//! Targets that are never touched, signals that are not sent, and arguments that are none.

use zbus::{Fd, Variant};

use super::attacker::{Line, attack, pidfd};
use super::{all_for, process_of, well};
use crate::rig::{Result, Rig};

/// PID 1, the bus, polkit, logind, the journal, the daemon itself; another user namespace.
pub fn protected(rig: &Rig) -> Result<()> {
    rig.with_helper(|| {
        let _rule = all_for(rig, "eve")?;
        let eve = rig.as_user("eve");
        attack(&eve, "call", &["ProcessDetails", "1"])?;
        let units = ["dbus", "polkit", "systemd-logind", "systemd-journald", "provost"];
        let mut pids = vec![("init".to_owned(), 1)];
        for unit in units {
            pids.push((unit.to_owned(), rig.main_pid(&format!("{unit}.service"))?));
        }
        let apart = process_of(rig, "eve", "exec unshare --user --map-root-user sleeper")?;
        crate::rig::eventually("it is in a namespace", || {
            rig.read(&format!("/proc/{apart}/comm")).is_ok_and(|comm| comm.trim_end() == "sleeper")
        })?;
        pids.push(("a user namespace".to_owned(), apart));
        for (name, pid) in &pids {
            let identity = rig.identity(*pid).ok_or_else(|| format!("no {name}"))?;
            for (method, more) in [
                ("SignalProcess", "9"),
                ("SignalProcess", "1"),
                ("StopProcessTree", "KILL"),
                ("StopProcessTree", "TERM"),
            ] {
                let said = attack(&eve, "call", &[method, &pid.to_string(), more])?;
                expect!(said.starts_with("NotPermitted: "), "{method} of {name}: {said}");
            }
            let said = attack(&eve, "call", &["Explain", &pid.to_string(), "kill", "9"])?;
            expect!(said.starts_with("ok ") && said.contains("denied"), "{name}: {said}");
            expect!(rig.lives(identity), "{name} was hit");
        }
        // The scopes of others are not ended along with what holds them.
        let said = attack(&eve, "call", &["UserUnit", "1001", "dbus.service", "stop", "0"])?;
        expect!(said.starts_with("NotPermitted: "), "{said}");
        // Root's own manager, by whatever rule.
        let said = attack(&eve, "call", &["UserUnit", "0", "x.service", "stop", "0"])?;
        expect!(said.starts_with("NotPermitted: "), "{said}");
        let said = attack(&eve, "call", &["ExplainUserUnit", "0", "x.service", "stop"])?;
        expect!(said.contains("\"denied\""), "{said}");
        rig.as_root().run(["kill", "-9", &apart.to_string()])?;
        well(rig)
    })
}

/// What is no signal, no ladder, no name of a unit, no verb.
pub fn arguments(rig: &Rig) -> Result<()> {
    rig.with_helper(|| {
        rig.linger("watson")?;
        let _rule = all_for(rig, "eve")?;
        let victim = process_of(rig, "watson", "exec sleeper")?;
        let identity = rig.identity(victim).ok_or("no victim")?;
        let said = attack(&rig.as_user("eve"), "names", &[&victim.to_string()])?;
        for line in said.lines() {
            let (expected, rest) = line.split_once('\t').ok_or("no case")?;
            expect!(rest.contains(&format!("=> {expected}: ")), "not {expected}: {rest}");
        }
        println!("{} calls with such arguments: each refused", said.lines().count());
        expect!(rig.lives(identity), "the victim was hit");
        rig.signal(identity, rustix::process::Signal::KILL)?;
        well(rig)
    })
}

/// Runs in the rig: one call with words for arguments.
pub async fn call(args: &[String]) -> Result<String> {
    let mut line = Line::new().await?;
    let interactive = std::env::var("INTERACTIVE").is_ok();
    let word = |at: usize| args.get(at).map(String::as_str).ok_or("too few arguments");
    let fd = || pidfd(word(1)?.parse()?);
    match word(0)? {
        "SignalProcess" => line.call("SignalProcess", interactive, &(Fd::from(fd()?), word(2)?.parse::<i32>()?)).await,
        "StopProcessTree" => line.call("StopProcessTree", interactive, &(Fd::from(fd()?), word(2)?)).await,
        "ProcessDetails" => line.call("ProcessDetails", interactive, &(Fd::from(fd()?),)).await,
        "PortOwner" => line.call("PortOwner", interactive, &(word(1)?.parse::<u16>()?,)).await,
        "UserUnit" => {
            let body = (word(1)?.parse::<u32>()?, word(2)?, word(3)?, word(4)?.parse::<i32>()?);
            line.call("UserUnit", interactive, &body).await
        }
        "Explain" => {
            let body = (Variant::from(Fd::from(fd()?)), word(2)?, word(3)?.parse::<i32>()?);
            line.call("Explain", interactive, &body).await
        }
        "ExplainUnit" => {
            let body = (Variant::from(word(1)?), word(2)?, 0i32);
            line.call("Explain", interactive, &body).await
        }
        "ExplainUserUnit" => {
            let body = (Variant::new((word(1)?.parse::<u32>()?, word(2)?)), word(3)?, 0i32);
            line.call("Explain", interactive, &body).await
        }
        other => Err(format!("no call {other}").into()),
    }
}

/// Runs in the rig.
pub async fn names(args: &[String]) -> Result<String> {
    let victim = pidfd(args.first().ok_or("no victim")?.parse()?)?;
    let fd = || Fd::from(&victim);
    let mut line = Line::new().await?;
    let mut said = Vec::new();
    let mut tell = |expected: &str, what: String, answer: String| said.push(format!("{expected}\t{what} => {answer}"));
    for signal in [4, 5, 7, 8, 11, 13, 14, 16, 17, 20, 21, 22, 23, 24, 25, 26, 27, 29, 30, 31, 34, 37, 64] {
        tell("NotPermitted", format!("signal {signal}"), line.call("SignalProcess", false, &(fd(), signal)).await?);
    }
    for signal in [0, -1, -9, 32, 33, 65, 4096, i32::MAX, i32::MIN] {
        tell("InvalidArgs", format!("signal {signal}"), line.call("SignalProcess", false, &(fd(), signal)).await?);
    }
    let many = "TERM:1s,".repeat(1000);
    for (expected, ladder) in [
        ("NotPermitted", "SEGV"),
        ("NotPermitted", "TERM:1s,RTMIN+3"),
        ("InvalidArgs", ""),
        ("InvalidArgs", "TERM:1000h,KILL"),
        ("InvalidArgs", "TERM;KILL"),
        ("InvalidArgs", "TERM:1s,TERM:1s,TERM:1s,TERM:1s,TERM:1s,TERM:1s,TERM:1s,TERM:1s,KILL"),
        ("InvalidArgs", &many),
    ] {
        tell(expected, format!("ladder {ladder:.40}"), line.call("StopProcessTree", false, &(fd(), ladder)).await?);
    }
    let long = "a".repeat(5000) + ".service";
    let units = [
        "",
        ".",
        "..",
        "a",
        "/",
        "../a.service",
        "a/../b.service",
        "/etc/passwd",
        "a\n.service",
        "a b.service",
        "*.service",
        "a@.service",
        "-.service\u{202e}",
        "é.service",
        "a.exe",
        "$(id).service",
        "\"; return YES; //.service",
        &long,
    ];
    for unit in units {
        let shown = format!("unit {unit:.40?}");
        tell("InvalidArgs", shown.clone(), line.call("UserUnit", false, &(1000u32, unit, "stop", 0i32)).await?);
        tell("InvalidArgs", shown.clone(), line.call("Explain", false, &(Variant::from(unit), "stop", 0i32)).await?);
        let target = Variant::new((1000u32, unit));
        tell("InvalidArgs", shown, line.call("Explain", false, &(target, "stop", 0i32)).await?);
    }
    for unit in ["-.slice", "init.scope", "dbus.service", "app.slice", "dbus.socket"] {
        tell("NotPermitted", unit.to_owned(), line.call("UserUnit", false, &(1000u32, unit, "stop", 0i32)).await?);
    }
    for verb in ["", "enable", "isolate", "StopUnit", "stop\n", "STOP"] {
        let body = (1000u32, "a.service", verb, 0i32);
        tell("InvalidArgs", format!("verb {verb:?}"), line.call("UserUnit", false, &body).await?);
    }
    for (uid, verb, signal) in [(u32::MAX, "stop", 0), (1000, "stop", 9), (1000, "kill", 0)] {
        let body = (uid, "a.service", verb, signal);
        tell("InvalidArgs", format!("{body:?}"), line.call("UserUnit", false, &body).await?);
    }
    tell(
        "NotPermitted",
        "kill by SEGV".into(),
        line.call("UserUnit", false, &(1000u32, "a.service", "kill", 11i32)).await?,
    );
    // Details, a pid, a uid in the message: there is no argument for any of them.
    let forged = std::collections::HashMap::from([("user", "eve"), ("pid", "1"), ("polkit.message", "Press enter")]);
    tell("InvalidArgs", "details".into(), line.call("SignalProcess", false, &(fd(), 15i32, &forged)).await?);
    tell("InvalidArgs", "a pid".into(), line.call("SignalProcess", false, &(1u32, 15i32)).await?);
    tell("InvalidArgs", "nothing".into(), line.call("SignalProcess", false, &()).await?);
    tell("InvalidArgs", "a pid".into(), line.call("Explain", false, &(Variant::from(1u32), "kill", 15i32)).await?);
    let nested = Variant::new((1000i64, "a.service"));
    tell("InvalidArgs", "another structure".into(), line.call("Explain", false, &(nested, "stop", 0i32)).await?);
    tell("UnknownMethod", "another method".into(), line.call("Exec", false, &("id",)).await?);
    Ok(said.join("\n"))
}
