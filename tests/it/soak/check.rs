//! What must be so, whatever happened.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use super::driver::{STEADY, Soak};
use crate::rig::Result;

/// The workers of each service that live now, by the mark in their environment.
pub fn workers(soak: &Soak) -> BTreeMap<String, Vec<u32>> {
    let mut found = of_mark(soak, |cmdline| cmdline.contains("/truth\0"));
    for pids in found.values_mut().filter(|pids| pids.len() > 1) {
        // A child of a worker looks like one until it has executed its own program.
        let all = pids.clone();
        pids.retain(|pid| parent(*pid).is_none_or(|parent| !all.contains(&parent)));
    }
    found
}

fn parent(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
}

/// Every process of this soak that carries the mark and whose command line is as wanted.
fn of_mark(soak: &Soak, wanted: impl Fn(&str) -> bool) -> BTreeMap<String, Vec<u32>> {
    let state = format!("PROVOST_STATE_DIR={}", soak.dir.display());
    let mut found: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|n| n.parse::<u32>().ok()) else { continue };
        let read = |name: &str| fs::read(entry.path().join(name)).map(|b| String::from_utf8_lossy(&b).into_owned());
        let (Ok(environ), Ok(cmdline)) = (read("environ"), read("cmdline")) else { continue };
        let id = environ.split('\0').find_map(|v| v.strip_prefix("PROVOST_SERVICE="));
        if let Some(id) = id.filter(|_| environ.split('\0').any(|v| v.starts_with(&state)) && wanted(&cmdline)) {
            found.entry(id.to_owned()).or_default().push(pid);
        }
    }
    found
}

/// No service runs twice.
pub fn once(soak: &Soak) -> Result<()> {
    // A look at /proc is no snapshot: a successor may appear while its predecessor is still listed, and a child that has
    // lost its worker may not have executed its own program yet. Two that are meant to run stay.
    let twice = || workers(soak).into_iter().filter(|(_, pids)| pids.len() > 1);
    let mut suspects: BTreeMap<String, Vec<u32>> = twice().collect();
    for _ in 0..10 {
        if suspects.is_empty() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(5));
        suspects = twice().filter(|(id, pids)| suspects.get(id) == Some(pids)).collect();
    }
    let stat = |pid: &u32| fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let told = suspects.iter().next().map(|(id, pids)| (id, pids.iter().map(stat).collect::<Vec<_>>()));
    told.map_or(Ok(()), |(id, stats)| Err(format!("{id} runs more than once: {stats:?}; {}", said(soak)).into()))
}

/// What the daemons said last.
pub fn said(soak: &Soak) -> String {
    let log = fs::read_to_string(soak.dir.join("daemon.log")).unwrap_or_default();
    let tail: Vec<&str> = log.lines().rev().take(60).collect();
    format!("the daemons said (last first): {tail:#?}")
}

/// Every service that is meant to run does, within the time, and none runs twice.
pub fn running(soak: &Soak, patience: Duration) -> Result<()> {
    let begin = Instant::now();
    let mut seen: Vec<bool> = vec![false; STEADY];
    while seen.contains(&false) {
        once(soak)?;
        for (id, _) in workers(soak) {
            if let Some(n) = id.strip_prefix("steady").and_then(|n| n.parse::<usize>().ok()) {
                seen[n] = true;
            }
        }
        if begin.elapsed() > patience {
            let missing: Vec<usize> = (0..STEADY).filter(|n| !seen[*n]).collect();
            return Err(format!("not running after {patience:?}: {missing:?}; {}", said(soak)).into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// After everything was stopped: nothing is left, no record is damaged, no line is missing.
pub fn after(soak: &Soak) -> Result<String> {
    let left = of_mark(soak, |_| true);
    if !left.is_empty() {
        return Err(format!("left behind: {left:?}").into());
    }
    let mut records = 0;
    for file in fs::read_dir(soak.registry()?)? {
        let path = file?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.contains("damaged") {
            return Err(format!("a damaged record: {name}").into());
        }
        if path.extension().is_some_and(|e| e == "json") {
            serde_json::from_slice::<serde_json::Value>(&fs::read(&path)?).map_err(|e| format!("{name}: {e}"))?;
            records += 1;
        }
    }
    let mut lines = 0;
    for id in soak.ids() {
        lines += captured(soak, &id)?;
    }
    Ok(format!("{records} records, none damaged; {lines} lines of output, none missing; nothing left behind"))
}

/// Every line of the truth is in the log, once and in order.
fn captured(soak: &Soak, id: &str) -> Result<usize> {
    let mut count = 0;
    for (end, stderr) in [("out", false), ("err", true)] {
        let truth = fs::read_to_string(soak.dir.join("truth").join(format!("{id}.{end}"))).unwrap_or_default();
        let mut words = vec!["logs", id, "-n", "all", "-o", "json"];
        if stderr {
            words.push("--stderr");
        }
        let output = soak.provost(&words)?;
        let mut log = String::new();
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            let line: serde_json::Value = serde_json::from_str(line).map_err(|e| format!("{id}: {e}: {line}"))?;
            let wanted = line["stream"] == if stderr { "stderr" } else { "stdout" };
            // What a crash prints is not in the truth.
            let text = line["text"].as_str().unwrap_or_default();
            if wanted && text.starts_with(&format!("{id} ")) {
                log += text;
                log.push('\n');
            }
        }
        if log != truth {
            let at = truth.lines().zip(log.lines()).position(|(a, b)| a != b);
            let (t, l) = (truth.lines().count(), log.lines().count());
            return Err(format!(
                "{id}.{end}: {t} lines were written, {l} captured; first difference at {at:?}: {:?}",
                at.map(|n| (truth.lines().nth(n), log.lines().nth(n)))
            )
            .into());
        }
        count += truth.lines().count();
    }
    Ok(count)
}

/// The keeper of the output ends by itself when nothing is left for it.
pub fn no_keeper(soak: &Soak) -> Result<()> {
    let line = format!("provost\0--keep-output\0{}\0", soak.runtime().display());
    let lives = |pid: fs::DirEntry| fs::read(pid.path().join("cmdline")).is_ok_and(|found| found == line.as_bytes());
    crate::rig::eventually("the keeper of output ends", || {
        fs::read_dir("/proc").is_ok_and(|mut all| !all.any(|pid| pid.is_ok_and(lives)))
    })
}

/// Kills the daemons of this soak that verbs have started, and sees them go.
pub fn kill_other_daemons(soak: &Soak) -> Result<()> {
    let state = format!("XDG_STATE_HOME={}", soak.dir.join("state").display());
    let begin = Instant::now();
    loop {
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc")?.flatten() {
            let pid = entry.file_name().to_str().and_then(|n| n.parse::<i32>().ok());
            let has = |name: &str, what: &dyn Fn(&[&[u8]]) -> bool| {
                fs::read(entry.path().join(name)).is_ok_and(|b| what(&b.split(|b| *b == 0).collect::<Vec<_>>()))
            };
            let is_daemon = has("cmdline", &|words| words.get(1) == Some(&b"daemon".as_slice()));
            if is_daemon && has("environ", &|all| all.contains(&state.as_bytes())) {
                found.extend(pid.and_then(rustix::process::Pid::from_raw));
            }
        }
        if found.is_empty() {
            return Ok(());
        }
        if begin.elapsed() > Duration::from_secs(10) {
            return Err(format!("daemons that do not end: {found:?}").into());
        }
        for pid in found {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Whatever a failed soak leaves was started by it.
pub fn end_what_is_left(soak: &Soak) {
    for pid in of_mark(soak, |_| true).into_values().flatten() {
        if let Some(pid) = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }
}
