//! Services that run and do not do their work.

use serde_json::Value;

use super::{Body, Stage};
use crate::rig::{Result, eventually};

pub const BODIES: &[(&str, Body)] = &[("health", health)];

/// Each is well as long as its file is there.
const CONFIG: &str = "[defaults]\n\
    restart = { base = \"100ms\", reset_after = \"1s\", tries = -1 }\n\
    health = { interval = \"100ms\", failures = 2, start_period = \"1s\", timeout = \"20s\" }\n\
    [service.asked]\ncommand = [\"sleep\", \"1000\"]\n\
    health.exec = [\"sh\", \"-c\", \"test -e asked.good || { echo not good; exit 3; }\"]\n\
    [service.beats]\ncommand = [\"sh\", \"-c\", \"while :; do test -e beats.good && systemd-notify WATCHDOG=1; sleep 0.2; done\"]\n\
    health.heartbeat = { timeout = \"2s\" }\n\
    [service.writes]\ncommand = [\"sh\", \"-c\", \"while :; do test -e writes.good && : > beat; sleep 0.2; done\"]\n\
    health.heartbeat = { file = \"beat\", timeout = \"2s\" }\n\
    [service.eats]\ncommand = [\"sh\", \"-c\", \"while test -e eats.good; do sleep 0.1; done; (head -c 80000000 /dev/zero; sleep 1000) | tail\"]\n\
    health.memory = { max = \"40M\", for = \"1s\" }\n\
    [service.burns]\ncommand = [\"sh\", \"-c\", \"while test -e burns.good; do sleep 0.5; done; while :; do :; done\"]\n\
    health.cpu = { max = \"5%\", for = \"1s\" }\n";

const ALL: [(&str, &str); 5] = [
    ("asked", "exit code 3: not good, 2 times in a row"),
    ("beats", "no heartbeat within 2s"),
    ("writes", "no heartbeat within 2s"),
    ("eats", " MiB of memory, more than 40M for 1s"),
    ("burns", "% of a processor, more than 5% for 1s"),
];

fn health(stage: &Stage<'_>) -> Result<()> {
    stage.config(CONFIG)?;
    let good = |id: &str| format!("{}/{id}.good", stage.home);
    for (id, _) in ALL {
        stage.rig.write_as(&stage.user, &good(id), "", 0o600)?;
    }
    stage.ok(&["up", "--detach"])?;
    let field = |id: &str, name: &str| stage.service(id).map(|service| service[name].clone()).unwrap_or_default();
    for (id, _) in ALL {
        eventually("it is well", || field(id, "health") == "ok" && field(id, "state") == "running")?;
        expect!(field(id, "restarts") == 0, "{:?}", stage.service(id));
    }
    let measured = field("eats", "measured");
    expect!(measured == "cgroup" || measured == "processes", "{measured}");
    let before: Vec<Value> = ALL.iter().map(|(id, _)| field(id, "pid")).collect();
    for (id, _) in ALL {
        stage.rig.remove(&good(id))?;
    }
    for (id, why) in ALL {
        let said = || field(id, "last_error").as_str().unwrap_or_default().to_owned();
        eventually("it is unhealthy", || said().starts_with("unhealthy: ") && said().ends_with(why))
            .map_err(|error| format!("{}; {:?}", crate::rig::words(&error), stage.service(id)))?;
        eventually("it is started again", || field(id, "restarts").as_u64() >= Some(1))?;
        stage.rig.write_as(&stage.user, &good(id), "", 0o600)?;
    }
    for ((id, _), before) in ALL.iter().zip(before) {
        let well = || field(id, "health") == "ok" && field(id, "failures") == 0;
        eventually("it is well again, and its failures are forgotten", well)
            .map_err(|error| format!("{}; {:?}", crate::rig::words(&error), stage.service(id)))?;
        expect!(field(id, "pid") != before, "{id} is the same");
    }
    let events = stage.ok(&["events"])?;
    for (id, why) in ALL {
        let unhealthy = |line: &str| line.contains(id) && line.contains("it is unhealthy: ") && line.contains(why);
        expect!(events.lines().any(unhealthy), "{id}: {events}");
    }
    Ok(())
}
