//! The clock is set back an hour, and forward: nothing of it reaches what is measured, and logs stay in order.
//!
//! A stand-in for the C library's clock, loaded before it, adds what a file says to the time of day; the clocks that
//! nobody sets it leaves alone, as the kernel does.

use std::fs;
use std::process::Command;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use super::hosted::Hosted;
use crate::rig::{Result, eventually};
use crate::trial::Trials;

pub fn register(trials: &mut Trials) {
    trials.plain("clock::set_back_and_forward", set);
}

const HOUR: i64 = 3600;

const CONFIG: &str = r#"
[service.steady]
command = ["sleep", "1000"]
[service.crash]
command = ["sh", "-c", "exit 3"]
restart = { base = "300ms", max = "300ms", tries = -1 }
[service.talk]
command = ["sh", "-c", "n=0; while :; do n=$$((n+1)); echo $$n; sleep 0.05; done"]
"#;

struct Clock {
    daemon: Hosted,
    ahead: i64,
}

impl Clock {
    fn start() -> Result<Self> {
        let daemon = Hosted::with_env(&["--backend", "direct"], CONFIG, |dir| {
            let (source, library, offset) = (dir.join("clock.c"), dir.join("clock.so"), dir.join("offset"));
            fs::write(&source, include_str!("clock.c"))?;
            fs::write(&offset, "0")?;
            let mut compile = Command::new("cc");
            let built = compile.args(["-shared", "-fPIC", "-o"]).args([&library, &source]).output()?;
            expect!(built.status.success(), "{built:?}");
            let text = |path: &std::path::Path| path.display().to_string();
            Ok(vec![("LD_PRELOAD".to_owned(), text(&library)), ("CLOCK_OFFSET".to_owned(), text(&offset))])
        })?;
        Ok(Self { daemon, ahead: 0 })
    }

    fn set(&mut self, ahead: i64) -> Result<()> {
        self.ahead = ahead;
        let fresh = self.daemon.dir().join("offset.new");
        fs::write(&fresh, ahead.to_string())?;
        Ok(fs::rename(fresh, self.daemon.dir().join("offset"))?)
    }

    /// How long ago a time of the daemon's is, by the clock as it is set; negative: it is to come.
    fn ago(&self, time: &Value) -> Result<i64> {
        let seconds = |at: SystemTime| at.duration_since(SystemTime::UNIX_EPOCH).map(|d| d.as_secs().cast_signed());
        let time = time.as_str().ok_or_else(|| format!("no time: {time}"))?;
        Ok(seconds(SystemTime::now())? + self.ahead - seconds(humantime::parse_rfc3339_weak(time)?)?)
    }

    fn numbers(&self, more: &[&str]) -> Result<Vec<u64>> {
        let said = self.daemon.ok(&[&["logs", "talk"], more].concat())?;
        Ok(said.lines().map(str::parse).collect::<std::result::Result<_, _>>()?)
    }

    /// Everything that time could have spoilt.
    fn is_well(&self, what: &str) -> Result<()> {
        let crash = || self.daemon.service("crash");
        let restarts = crash()?["restarts"].as_u64().ok_or("no count")?;
        // At 300 ms each; it would be an hour if the delay went by the time of day.
        eventually("it crashes and is started as before", || {
            crash().is_ok_and(|now| now["restarts"].as_u64().is_some_and(|n| n >= restarts + 3))
        })?;
        if let Some(next) = crash()?.get("next_start_at").filter(|next| !next.is_null()) {
            expect!((-2..=2).contains(&self.ago(next)?), "{what}: the next start at {next}");
        }
        for id in ["steady", "talk"] {
            let service = self.daemon.service(id)?;
            let ran = self.ago(&service["started_at"])?;
            expect!((-2..120).contains(&ran), "{what}: {id} has run for {ran} s: {service}");
        }
        let table = self.daemon.ok(&["list"])?;
        expect!(
            !table.contains("1h") && !table.contains("2h") && !table.contains('-'.to_string().repeat(2).as_str()),
            "{what}: {table}"
        );
        self.logs_are_in_order(what)?;
        expect!(!self.daemon.log().contains("panicked"), "{}", self.daemon.log());
        Ok(())
    }

    fn logs_are_in_order(&self, what: &str) -> Result<()> {
        let all = self.numbers(&["-n", "all"])?;
        expect!(all.iter().copied().eq(1..=all.len() as u64), "{what}: {all:?}");
        // Up to now, in order, and nothing whose time is earlier than was asked for.
        let recent = self.numbers(&["--since", "10s"])?;
        let last = recent.last().copied().unwrap_or_default();
        expect!(last >= all.len() as u64, "{what}: not up to now: {recent:?} of {}", all.len());
        expect!(recent.is_sorted(), "{what}: {recent:?}");
        for line in self.daemon.ok(&["logs", "talk", "--since", "10s", "-o", "json"])?.lines() {
            let line: Value = serde_json::from_str(line)?;
            expect!(self.ago(&line["at"])? <= 12, "{what}: {line}");
        }
        let long = self.numbers(&["--since", "5h"])?;
        expect!(long.first() == Some(&1), "{what}: not all: {long:?}");
        Ok(())
    }
}

fn set() -> Result<()> {
    let mut clock = Clock::start()?;
    eventually("it talks", || clock.numbers(&["-n", "all"]).is_ok_and(|all| all.len() > 5))?;
    clock.is_well("as it was")?;
    let pid = |clock: &Clock| clock.daemon.service("steady").map(|service| service["pid"].clone());
    let before = pid(&clock)?;
    for (ahead, what) in [(-HOUR, "an hour back"), (2 * HOUR, "three hours forward"), (0, "two hours back")] {
        clock.set(ahead)?;
        clock.is_well(what)?;
        expect!(pid(&clock)? == before, "{what}: it was started again");
        // A daemon that finds records of another time takes over what runs, and nothing is old or young for that.
        clock.daemon.again()?;
        clock.is_well(what)?;
        expect!(pid(&clock)? == before, "{what}: the next daemon started it again: {}", clock.daemon.log());
    }
    clock.set(-HOUR)?;
    clock.daemon.ok(&["restart", "steady"])?;
    let steady = clock.daemon.service("steady")?;
    for field in ["started_at", "last_restart_at", "stopped_at"] {
        expect!((-2..60).contains(&clock.ago(&steady[field])?), "{field}: {steady}");
    }
    expect!(clock.ago(&steady["created_at"])? < 0, "when it was made is not rewritten: {steady}");
    let since = std::time::Instant::now();
    clock.daemon.ok(&["down", "--all"])?;
    expect!(since.elapsed() < Duration::from_secs(20), "a stop took {:?}", since.elapsed());
    Ok(())
}
