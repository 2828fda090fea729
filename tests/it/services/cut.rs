//! A record that was cut at any byte: it is set aside, its service is found by its mark and goes on, and no other record
//! is touched.

use std::fs;

use serde_json::Value;

use super::hosted::Hosted;
use crate::rig::{Result, eventually};
use crate::trial::Trials;

pub fn register(trials: &mut Trials) {
    trials.plain("cut::every_length", every_length);
}

/// Every so many bytes; `PROVOST_SOAK` makes it every one.
const STEP: usize = 41;

const CONFIG: &str = "[defaults]\nrestart = { base = \"20ms\" }\n[service.one]\ncommand = [\"sleep\", \"1000\"]\n\
                      meta = { model = \"m\" }\n[service.two]\ncommand = [\"sleep\", \"1000\"]\n";

fn every_length() -> Result<()> {
    let mut daemon = Hosted::with_config(&["--backend", "direct"], CONFIG)?;
    let pid = |daemon: &Hosted, id: &str| daemon.service(id).ok().and_then(|service| service["pid"].as_u64());
    eventually("both run", || pid(&daemon, "one").is_some() && pid(&daemon, "two").is_some())?;
    let (one, two) = (pid(&daemon, "one"), pid(&daemon, "two"));
    daemon.kill()?;
    let registry = daemon.registry()?;
    let path = registry.join("one.json");
    let whole = fs::read(&path)?;
    let other = meant(&registry.join("two.json"))?;
    let step = if std::env::var_os("PROVOST_SOAK").is_some() { 1 } else { STEP };
    let mut cuts: Vec<usize> = (0..whole.len()).step_by(step).collect();
    cuts.push(whole.len() - 1);
    cuts.dedup();
    for (n, cut) in cuts.iter().enumerate() {
        fs::write(&path, &whole[..*cut])?;
        daemon.then()?;
        let at = |what: &str| format!("cut at {cut}: {what}: {}", tail(&daemon));
        expect!(pid(&daemon, "one") == one, "{}", at("it was not taken over"));
        expect!(pid(&daemon, "two") == two, "{}", at("the other one was not"));
        let service = daemon.service("one")?;
        expect!(service["state"] == "running" && service["meta"]["model"] == "m", "{}: {service}", at("its state"));
        daemon.kill()?;
        let aside = set_aside(&registry)?;
        expect!(aside.len() == n + 1, "cut at {cut}: {} files set aside", aside.len());
        let kept = aside.iter().filter(|file| fs::read(file).is_ok_and(|bytes| bytes == whole[..*cut])).count();
        expect!(kept == 1, "cut at {cut}: what was damaged is not kept as it was");
        let told = daemon.log().matches("one.json is no record").count();
        expect!(told == n + 1, "cut at {cut}: told {told} times");
        expect!(meant(&registry.join("two.json"))? == other, "cut at {cut}: another record is not what it was");
    }
    // It is what its config says, and supervised: killed, it comes again.
    daemon.then()?;
    let spec = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).map(|record| record["spec"].clone());
    expect!(spec(&fs::read(&path)?)? == spec(&whole)?, "its description is not what it was");
    let first = one.and_then(|pid| i32::try_from(pid).ok()).and_then(rustix::process::Pid::from_raw).ok_or("no pid")?;
    rustix::process::kill_process(first, rustix::process::Signal::KILL)?;
    eventually("it comes again", || pid(&daemon, "one").is_some_and(|now| Some(now) != one))?;
    daemon.ok(&["down", "--all", "--force"]).map(drop)
}

/// What a record says, without when it was written.
fn meant(path: &std::path::Path) -> Result<Value> {
    let mut record: Value = serde_json::from_slice(&fs::read(path)?)?;
    record["updated_at"].take();
    Ok(record)
}

fn set_aside(registry: &std::path::Path) -> Result<Vec<std::path::PathBuf>> {
    let all =
        fs::read_dir(registry)?.map(|entry| entry.map(|entry| entry.path())).collect::<std::io::Result<Vec<_>>>()?;
    let name = |path: &std::path::PathBuf| {
        path.file_name().is_some_and(|n| n.to_string_lossy().starts_with("one.json.damaged-"))
    };
    Ok(all.into_iter().filter(name).collect())
}

fn tail(daemon: &Hosted) -> String {
    let log = daemon.log();
    log.lines().rev().take(12).collect::<Vec<_>>().join("\n")
}
