//! Jobs of units: waiting for them, not waiting, failing, several at once; signals to a whole unit.

use std::time::{Duration, Instant};

use super::{json, provost};
use crate::rig::{Result, Rig, eventually};
use crate::trial::Trials;

pub fn register(trials: &mut Trials) {
    trials.rig("jobs::whom", whom);
    trials.rig("jobs::timeout", timeout);
    trials.rig("jobs::no_block", no_block);
    trials.rig("jobs::failing", failing);
    trials.rig("jobs::several", several);
    trials.rig("jobs::triggers", triggers);
    trials.rig("jobs::alias", alias);
    trials.rig("jobs::restart_of_always", restart_of_always);
}

const SLEEP: &str = "[Service]\nExecStart=/usr/local/bin/sleeper\n";
/// Takes two seconds to stop.
const SLOW: &str = "[Service]\nExecStart=/usr/local/bin/sleeper --ignore TERM\nTimeoutStopSec=2\n";

/// `kill` reaches the main process, `--whom all` every one.
fn whom(rig: &Rig) -> Result<()> {
    let sleeper = "/usr/local/bin/sleeper --log /tmp/jobs-whom.log";
    let text = format!("[Service]\nExecStart={sleeper} --session-child -- --log /tmp/jobs-whom-child.log\n");
    rig.started("jobs-whom.service", &text)?;
    let has = |log: &str, word: &str| rig.read(log).unwrap_or_default().lines().filter(|l| *l == word).count();
    let (main, child) = ("/tmp/jobs-whom.log", "/tmp/jobs-whom-child.log");
    eventually("both run", || rig.exists(main) && rig.exists(child))?;
    let root = rig.as_root();
    provost(&root, ["kill", "-s", "USR1", "unit:jobs-whom.service"])?.ok()?;
    eventually("the main process has it", || has(main, "USR1") == 1)?;
    provost(&root, ["kill", "-s", "USR2", "--whom", "all", "unit:jobs-whom.service"])?.ok()?;
    eventually("both have it", || has(main, "USR2") == 1 && has(child, "USR2") == 1)?;
    expect!(has(child, "USR1") == 0, "the child got what was for the main process");
    Ok(())
}

/// The time that is given is kept; what was queued goes on.
fn timeout(rig: &Rig) -> Result<()> {
    rig.started("jobs-slow.service", SLOW)?;
    let since = Instant::now();
    let (answer, code) = json(&rig.as_root(), ["stop", "unit:jobs-slow.service", "--timeout", "300ms"])?;
    expect!(code == 7 && since.elapsed() < Duration::from_millis(1800), "{:?} {answer}", since.elapsed());
    expect!(rig.active_state("jobs-slow.service")? == "deactivating", "{answer}");
    eventually("it ends all the same", || rig.active_state("jobs-slow.service").is_ok_and(|s| s == "failed"))?;
    rig.systemctl(["reset-failed", "jobs-slow.service"]).map(drop)
}

fn no_block(rig: &Rig) -> Result<()> {
    rig.started("jobs-queue.service", SLOW)?;
    let (answer, code) = json(&rig.as_root(), ["stop", "unit:jobs-queue.service", "--no-block"])?;
    expect!(code == 0 && answer["outcome"] == "queued", "{answer}");
    expect!(rig.active_state("jobs-queue.service")? == "deactivating", "{answer}");
    eventually("it ends", || rig.active_state("jobs-queue.service").is_ok_and(|s| s == "failed"))?;
    rig.systemctl(["reset-failed", "jobs-queue.service"]).map(drop)
}

/// A job that ends badly is a failure, and says where to look.
fn failing(rig: &Rig) -> Result<()> {
    rig.linger("watson")?;
    let watson = rig.as_user("watson");
    for (name, text) in [
        ("jobs-fail-exec.service", "[Service]\nType=exec\nExecStart=/nowhere/to/be/found\n"),
        ("jobs-fail-pre.service", "[Service]\nExecStartPre=/bin/false\nExecStart=/bin/sleep 9\n"),
        (
            "jobs-fail-dep.service",
            "[Unit]\nRequires=jobs-fail-pre.service\nAfter=jobs-fail-pre.service\n[Service]\nExecStart=/bin/sleep 9\n",
        ),
        ("jobs-fail-ready.service", "[Service]\nType=notify\nTimeoutStartSec=300ms\nExecStart=/bin/sleep 9\n"),
    ] {
        rig.user_unit("watson", name, text)?;
        for verb in ["start", "restart"] {
            let (answer, code) = json(&watson, [verb, &format!("user-unit:{name}")])?;
            let message = answer["error"]["message"].to_string();
            expect!(
                code == 1 && message.contains(name) && message.contains("journalctl"),
                "{name} {verb}: {code} {answer}"
            );
        }
    }
    rig.user_systemctl("watson", ["reset-failed"]).map(drop)
}

/// Each target has its answer, and the first error is the exit code.
fn several(rig: &Rig) -> Result<()> {
    for name in ["jobs-s1.service", "jobs-s2.service"] {
        rig.started(name, SLEEP)?;
    }
    let targets = ["unit:jobs-s1.service", "unit:jobs-none.service", "unit:jobs-s2.service"];
    let (answer, code) = json(&rig.as_root(), ["stop"].iter().chain(&targets))?;
    expect!(code == 5, "{code} {answer}");
    for (at, target) in targets.iter().enumerate() {
        expect!(answer[at]["target"] == *target, "{answer}");
    }
    expect!(answer[0]["outcome"] == "stopped" && answer[2]["outcome"] == "stopped", "{answer}");
    expect!(answer[1]["error"]["code"] == 5, "{answer}");
    Ok(())
}

/// A stopped service that a socket or timer starts again is spoken of.
fn triggers(rig: &Rig) -> Result<()> {
    rig.unit("jobs-t.service", SLEEP)?;
    rig.started("jobs-t.timer", "[Timer]\nOnActiveSec=1h\n")?;
    rig.systemctl(["start", "jobs-t.service"])?;
    let said = provost(&rig.as_root(), ["stop", "unit:jobs-t.service"])?;
    expect!(said.code() == 0 && said.stderr.contains("jobs-t.timer"), "{said:?}");
    rig.systemctl(["stop", "jobs-t.timer"]).map(drop)
}

/// An alias is the unit that it stands for.
fn alias(rig: &Rig) -> Result<()> {
    rig.unit("jobs-real.service", SLEEP)?;
    rig.link("jobs-real.service", "/etc/systemd/system/jobs-alias.service")?;
    rig.systemctl(["daemon-reload"])?;
    rig.systemctl(["start", "jobs-real.service"])?;
    for target in ["jobs-alias", "unit:jobs-alias.service", "jobs-real"] {
        let (seen, code) = json(&rig.as_user("eve"), ["inspect", target])?;
        let owners = seen["owners"].as_array().cloned().unwrap_or_default();
        expect!(code == 0 && owners.len() == 1 && owners[0]["unit"] == "jobs-real.service", "{target}: {seen}");
    }
    let (done, code) = json(&rig.as_root(), ["stop", "jobs-alias"])?;
    expect!(code == 0 && rig.active_state("jobs-real.service")? == "inactive", "{done}");
    Ok(())
}

/// A unit with Restart=always stays down when it is stopped, and comes again when its process is signalled.
fn restart_of_always(rig: &Rig) -> Result<()> {
    rig.started("jobs-always.service", &format!("{SLEEP}Restart=always\n"))?;
    let first = rig.main_pid("jobs-always.service")?;
    let said = provost(&rig.as_root(), ["kill", "unit:jobs-always.service"])?;
    expect!(said.code() == 0 && said.stderr.contains("Restart=always"), "{said:?}");
    eventually("systemd starts it again", || rig.main_pid("jobs-always.service").is_ok_and(|p| p != 0 && p != first))?;
    provost(&rig.as_root(), ["stop", &format!("pid:{}", rig.main_pid("jobs-always.service")?)])?.ok()?;
    expect!(rig.active_state("jobs-always.service")? == "inactive", "it is not down");
    Ok(())
}
