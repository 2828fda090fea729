//! What services write and end with while no daemon runs, and across its restarts.

use std::fs;

use rustix::process::{Pid, Signal};
use serde_json::Value;

use super::hosted::Hosted;
use crate::rig::{Result, eventually};
use crate::trial::Trials;

pub fn register(trials: &mut Trials) {
    trials.plain("kept::last_words", last_words);
    trials.plain("kept::keeper_killed", keeper_killed);
}

/// Says three lines when it is told to, and ends. Nothing that it started holds its output.
const CONFIG: &str = "[service.talks]\ncommand = [\"sh\", \"-c\", \"trap 'echo one; echo two; echo the reason >&2; exit 3' USR1; \
    echo begins; while :; do sleep 0.01 >/dev/null 2>&1; done\"]\nrestart = { policy = \"never\" }\n";
const SAID: [&str; 4] = ["begins", "one", "two", "the reason"];

fn texts(daemon: &Hosted) -> Result<Vec<String>> {
    let said = daemon.ok(&["logs", "talks", "-n", "all", "--json"])?;
    let lines = said.lines().map(serde_json::from_str::<Value>);
    let mut texts = Vec::new();
    for line in lines {
        texts.push(line?["text"].as_str().unwrap_or_default().to_owned());
    }
    Ok(texts)
}

fn began(daemon: &Hosted) -> Result<Pid> {
    eventually("it has begun", || texts(daemon).is_ok_and(|texts| texts == SAID[..1]))?;
    let list: Value = serde_json::from_str(&daemon.ok(&["list", "--json"])?)?;
    let pid = list["services"][0]["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
    pid.ok_or_else(|| format!("no pid: {list}").into())
}

/// Ends the service in the way of [`CONFIG`], and sees it go.
fn ends(pid: Pid) -> Result<()> {
    rustix::process::kill_process(pid, Signal::USR1)?;
    let stat = format!("/proc/{}/stat", pid.as_raw_nonzero());
    eventually("it ends", || fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z ")))
}

/// The keeper of this daemon, by its command line.
fn keepers(daemon: &Hosted) -> Vec<Pid> {
    let runtime = daemon.socket().parent().map(|dir| dir.display().to_string()).unwrap_or_default();
    let line = format!("provost\0--keep-output\0{runtime}\0");
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ours = all.filter(|pid| fs::read(pid.path().join("cmdline")).is_ok_and(|found| found == line.as_bytes()));
    ours.filter_map(|pid| Pid::from_raw(pid.file_name().to_str()?.parse().ok()?)).collect()
}

/// The daemon is killed, the service speaks its last words and ends, and the next daemon has them.
fn last_words() -> Result<()> {
    let mut daemon = Hosted::with_config(&["--backend", "direct"], CONFIG)?;
    let pid = began(&daemon)?;
    let keeper = keepers(&daemon);
    expect!(keeper.len() == 1, "{keeper:?} {}", daemon.log());
    let proc = format!("/proc/{}", keeper[0].as_raw_nonzero());
    expect!(fs::read(format!("{proc}/environ"))?.is_empty(), "it carries a mark, or anything else");
    expect!(fs::read_dir(format!("{proc}/fd"))?.count() <= 3 + 1 + 2, "more than its own, its daemon and two pipes");
    // As `kill -9 -PGRP` has it: the keeper is in a group of its own.
    expect!(rustix::process::getpgid(Some(keeper[0]))? == keeper[0], "it is in a group of others");
    daemon.kill()?;
    ends(pid)?;
    // Without a daemon it is told where it is: in the pipes.
    expect!(texts(&daemon)? == SAID, "{:?}", texts(&daemon));
    daemon.then()?;
    expect!(texts(&daemon)? == SAID, "{:?} {}", texts(&daemon), daemon.log());
    let status = daemon.provost(&["status", "talks"])?;
    expect!(status.status.code() == Some(3), "{status:?}");
    expect!(keepers(&daemon) == keeper, "the daemon goes on with the keeper that there is");
    daemon.ok(&["daemon", "stop"])?;
    daemon.ends()?;
    eventually("the keeper ends with its last daemon", || keepers(&daemon).is_empty())?;
    expect!(texts(&daemon)? == SAID, "{:?}", texts(&daemon));
    Ok(())
}

/// A keeper that is killed is made again, holds what is there, and leaves no zombie.
fn keeper_killed() -> Result<()> {
    let mut daemon = Hosted::with_config(&["--backend", "direct"], CONFIG)?;
    let pid = began(&daemon)?;
    let keeper = keepers(&daemon);
    expect!(keeper.len() == 1, "{keeper:?} {}", daemon.log());
    rustix::process::kill_process(keeper[0], Signal::KILL)?;
    let another = || keepers(&daemon).first().is_some_and(|now| *now != keeper[0]);
    eventually("there is another", another).map_err(|e| format!("{e:?} {}", daemon.log()))?;
    let old = format!("/proc/{}/stat", keeper[0].as_raw_nonzero());
    eventually("the first is waited for", || fs::metadata(&old).is_err())?;
    let pipes = |keeper: Pid| {
        let fds = fs::read_dir(format!("/proc/{}/fd", keeper.as_raw_nonzero()));
        let links = fds.into_iter().flatten().flatten().filter_map(|fd| fs::read_link(fd.path()).ok());
        links.filter(|link| link.to_string_lossy().contains("/fifo/talks.")).count()
    };
    eventually("it holds the pipes", || keepers(&daemon).first().is_some_and(|now| pipes(*now) == 2))?;
    daemon.kill()?;
    ends(pid)?;
    daemon.then()?;
    expect!(texts(&daemon)? == SAID, "{:?} {}", texts(&daemon), daemon.log());
    Ok(())
}
