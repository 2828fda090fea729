//! `wait`: by events where there are any, so that it sleeps until something happens.

use std::time::{Duration, Instant};

use super::json;
use crate::rig::{Process, Result, Rig, eventually};
use crate::trial::Trials;

const SLEEP: &str = "[Service]\nExecStart=/usr/local/bin/sleeper\n";
/// Longer than any interval at which one would poll.
const QUIET: Duration = Duration::from_millis(1500);

pub fn register(trials: &mut Trials) {
    trials.rig("wait::process_gone", process_gone);
    trials.rig("wait::unit_gone", |rig| unit(rig, "wait-gone.service", "gone", true));
    trials.rig("wait::unit_running", |rig| unit(rig, "wait-running.service", "running", false));
    trials.rig("wait::user_unit_gone", user_unit_gone);
    trials.rig("wait::not_there_yet", not_there_yet);
    trials.rig("wait::available", available);
    trials.rig("wait::already", already);
    trials.rig("wait::times_out", times_out);
}

/// A `provost wait` that runs.
struct Waiting(Process);

impl Waiting {
    fn start(rig: &Rig, user: &str, target: &str, state: &str) -> Result<Self> {
        let process = rig.as_user(user).spawn(["provost", "wait", target, "--for", state, "--timeout", "60s"])?;
        Ok(Self(process))
    }

    /// How often it has been scheduled: who polls wakes up.
    fn wakes(&self, rig: &Rig) -> Result<u64> {
        let status = rig.read(&format!("/proc/{}/status", self.0.pid))?;
        let count = status.lines().find_map(|l| l.strip_prefix("voluntary_ctxt_switches:")).ok_or("it has ended")?;
        Ok(count.trim().parse()?)
    }

    /// Waits until it sleeps, and that it goes on to sleep.
    fn sleeps(&self, rig: &Rig) -> Result<()> {
        let mut last = (self.wakes(rig)?, Instant::now());
        eventually("it sleeps for longer than it would if it polled", || {
            let now = self.wakes(rig).unwrap_or_default();
            if now != last.0 {
                last = (now, Instant::now());
            }
            last.1.elapsed() > QUIET
        })
    }

    /// It ends well, soon after what it waited for.
    fn ends(mut self) -> Result<()> {
        let since = Instant::now();
        let status = self.0.wait()?;
        expect!(status.success(), "{status}");
        expect!(since.elapsed() < Duration::from_secs(3), "{:?}", since.elapsed());
        Ok(())
    }
}

fn process_gone(rig: &Rig) -> Result<()> {
    rig.make_cgroup("/wait-process")?;
    let process = rig.as_user("watson").in_unit("/wait-process").spawn(["sleeper"])?;
    // eve may not signal it, and may wait for it.
    let waiting = Waiting::start(rig, "eve", &format!("pid:{}", process.pid), "gone")?;
    waiting.sleeps(rig)?;
    drop(process);
    waiting.ends()
}

fn unit(rig: &Rig, name: &str, state: &str, runs: bool) -> Result<()> {
    rig.unit(name, SLEEP)?;
    let (first, then) = if runs { ("start", "stop") } else { ("stop", "start") };
    rig.systemctl([first, name])?;
    let waiting = Waiting::start(rig, "eve", &format!("unit:{name}"), state)?;
    waiting.sleeps(rig)?;
    rig.systemctl([then, name])?;
    waiting.ends()
}

fn user_unit_gone(rig: &Rig) -> Result<()> {
    rig.linger("watson")?;
    rig.user_unit("watson", "wait-user.service", SLEEP)?;
    rig.user_systemctl("watson", ["start", "wait-user.service"])?;
    let waiting = Waiting::start(rig, "watson", "user-unit:wait-user.service", "gone")?;
    waiting.sleeps(rig)?;
    rig.user_systemctl("watson", ["stop", "wait-user.service"])?;
    waiting.ends()
}

/// What does not exist sends no events: it is looked for.
fn not_there_yet(rig: &Rig) -> Result<()> {
    let waiting = Waiting::start(rig, "eve", "name:wait-late", "running")?;
    waiting.wakes(rig)?;
    let _late = rig.as_user("watson").spawn(["sleeper", "--comm", "wait-late"]);
    waiting.ends()
}

fn available(rig: &Rig) -> Result<()> {
    let server = ["llama-server", "--port", "21001", "--loading-for", "1"];
    let _server = rig.as_user("watson").spawn(server)?;
    let (answer, code) = json(&rig.as_user("watson"), ["wait", ":21001", "--timeout", "20s"])?;
    expect!(code == 0 && answer["availability"]["state"] == "available", "{answer}");
    Ok(())
}

fn already(rig: &Rig) -> Result<()> {
    rig.started("wait-already.service", SLEEP)?;
    for (target, state) in [("unit:wait-already.service", "running"), ("name:wait-never", "gone")] {
        let (answer, code) = json(&rig.as_user("eve"), ["wait", target, "--for", state, "--timeout", "5s"])?;
        expect!(code == 0 && answer["reached"] == true, "{target}: {answer}");
    }
    Ok(())
}

fn times_out(rig: &Rig) -> Result<()> {
    for (target, state) in
        [("unit:dbus.service", "gone"), ("name:wait-never", "running"), ("name:wait-never", "available")]
    {
        let (answer, code) = json(&rig.as_user("eve"), ["wait", target, "--for", state, "--timeout", "300ms"])?;
        expect!(code == 7 && answer["reached"] == false, "{target}: {code} {answer}");
    }
    Ok(())
}
