//! Processes that no signal ends: provost says so, and comes to an end itself.

use std::time::{Duration, Instant};

use super::{json, provost};
use crate::rig::{Result, Rig, eventually};
use crate::trial::Trials;

pub fn register(trials: &mut Trials) {
    trials.rig("stuck::uninterruptible", uninterruptible);
    trials.rig("stuck::stopped", stopped);
    trials.rig("stuck::zombie", zombie);
}

/// A freezer of the old kind holds a process in state D: signals wait until it is thawed.
struct Freezer<'r>(&'r Rig);

const FREEZER: &str = "/tmp/stuck-freezer";

impl<'r> Freezer<'r> {
    fn mount(rig: &'r Rig) -> Result<Option<Self>> {
        let script = "mkdir -p $0 && mount -t cgroup -o freezer freezer $0 && mkdir $0/stuck";
        let mounted = rig.as_root().run(["sh", "-c", script, FREEZER])?;
        Ok(mounted.status.success().then_some(Self(rig)))
    }

    fn set(&self, pid: u32, state: &str) -> Result<()> {
        let script = format!("echo {pid} >$0/stuck/cgroup.procs && echo {state} >$0/stuck/freezer.state");
        self.0.as_root().run(["sh", "-c", &script, FREEZER])?.ok().map(drop)
    }
}

impl Drop for Freezer<'_> {
    fn drop(&mut self) {
        let script = "echo THAWED >$0/stuck/freezer.state; while ! rmdir $0/stuck; do sleep 0.05; done; umount $0";
        let _ = self.0.as_root().timeout(Duration::from_secs(10)).run(["sh", "-c", script, FREEZER]);
    }
}

fn state(rig: &Rig, pid: u32) -> String {
    let stat = rig.read(&format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").map(|(_, rest)| rest.chars().take(1).collect()).unwrap_or_default()
}

fn uninterruptible(rig: &Rig) -> Result<()> {
    let Some(freezer) = Freezer::mount(rig)? else {
        println!("stuck::uninterruptible: no freezer of cgroup v1 here, so that no process can be put into state D");
        return Ok(());
    };
    rig.make_cgroup("/stuck-d")?;
    let mut process = rig.as_user("eve").in_unit("/stuck-d").spawn(["sleeper"])?;
    let target = format!("pid:{}", process.pid);
    freezer.set(process.pid, "FROZEN")?;
    eventually("it is in state D", || state(rig, process.pid) == "D")?;
    let eve = rig.as_user("eve");
    let (seen, _) = json(&eve, ["inspect", &target])?;
    let owner = &seen["owners"][0];
    expect!(owner["processes"][0]["state"] == "uninterruptible", "{seen}");
    expect!(owner["actions"]["stop"]["warnings"].to_string().contains("uninterruptible"), "{seen}");
    let since = Instant::now();
    let said = provost(&eve, ["stop", &target, "--signals", "TERM:200ms,KILL:400ms"])?;
    expect!(said.code() == 1 && said.stderr.contains("uninterruptible sleep (D)"), "{said:?}");
    expect!(since.elapsed() < Duration::from_secs(4), "{:?}", since.elapsed());
    expect!(state(rig, process.pid) == "D", "it is gone");
    freezer.set(process.pid, "THAWED")?;
    process.wait().map(drop)
}

/// A process that is stopped takes SIGTERM only once it goes on: it is woken for that.
fn stopped(rig: &Rig) -> Result<()> {
    rig.make_cgroup("/stuck-t")?;
    let process = rig.as_user("eve").in_unit("/stuck-t").spawn(["sleeper"])?;
    let target = format!("pid:{}", process.pid);
    let eve = rig.as_user("eve");
    provost(&eve, ["kill", "-s", "STOP", &target])?.ok()?;
    eventually("it is stopped", || state(rig, process.pid) == "T")?;
    let said = provost(&eve, ["stop", &target])?;
    expect!(said.code() == 0 && said.stdout.contains("SIGTERM"), "{said:?}");
    Ok(())
}

/// What has ended and was not waited for is nothing to stop and nothing to signal.
fn zombie(rig: &Rig) -> Result<()> {
    rig.make_cgroup("/stuck-z")?;
    let script = "sleep 0.01 & echo $! >/tmp/stuck-z; exec sleep 1000";
    let parent = rig.as_user("eve").in_unit("/stuck-z").spawn_as("sleep", ["bash", "-c", script])?;
    let pid = || rig.read("/tmp/stuck-z").ok()?.trim().parse::<u32>().ok();
    eventually("its child is a zombie", || pid().is_some_and(|pid| state(rig, pid) == "Z"))?;
    let target = format!("pid:{}", pid().unwrap_or_default());
    let eve = rig.as_user("eve");
    let (stop, code) = json(&eve, ["stop", &target])?;
    expect!(code == 0 && stop["outcome"] == "unchanged" && stop["state"].to_string().contains("zombie"), "{stop}");
    let (kill, code) = json(&eve, ["kill", &target])?;
    expect!(code == 1 && kill["error"]["message"].to_string().contains(&parent.pid.to_string()), "{kill}");
    expect!(rig.is_running(parent.pid), "its parent was ended");
    Ok(())
}
