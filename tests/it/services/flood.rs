//! Ten thousand calls that mean nothing, and clients that never read the signals of a service that changes all the time:
//! the daemon goes on, in bounded memory.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use super::hosted::Hosted;
use super::rubbish::{GREETING, call};
use crate::rig::{Result, until};
use crate::trial::Trials;

pub fn register(trials: &mut Trials) {
    trials.plain("flood::rubbish_calls", rubbish_calls);
    trials.plain("flood::unread_signals", unread_signals);
}

const CALLS: u32 = 10_000;
const MANAGER: &str = "org.provost.Provost1.Manager";
const PATH: &str = "/org/provost/Provost1";

/// What is no call that the manager knows, and all of it well formed.
fn nonsense(n: u32) -> Vec<u8> {
    let (long, word) = ("x".repeat(200), format!("Nothing{n}"));
    let garbage = n.to_le_bytes().repeat(4);
    match n % 8 {
        0 => call(PATH, MANAGER, &word, "", &[]),
        1 => call("/no/such/path", MANAGER, "List", "", &[]),
        2 => call(PATH, "org.example.Other", "List", "", &[]),
        3 => call(PATH, MANAGER, "List", "u", &n.to_le_bytes()),
        4 => call(PATH, MANAGER, "Kill", "asb", &[0, 0, 0, 0, 1, 0, 0, 0]),
        5 => call(PATH, MANAGER, "Start", "s", &[&200u32.to_le_bytes()[..], long.as_bytes(), b"\0"].concat()),
        6 => call(&format!("{PATH}/service/none_{n}"), "org.freedesktop.DBus.Properties", "GetAll", "s", &[0; 5]),
        _ => call(PATH, "org.freedesktop.DBus.Properties", "Set", "uuuu", &garbage),
    }
}

fn rubbish_calls() -> Result<()> {
    let mut daemon = Hosted::start(&["--sim"])?;
    // One round first: what is made once is no leak.
    let mut sent = ask(&daemon, 0..CALLS / 10)?;
    let before = daemon.status("VmRSS")?;
    sent += ask(&daemon, CALLS / 10..CALLS + CALLS / 10)?;
    let after = daemon.status("VmRSS")?;
    expect!(sent == (CALLS + CALLS / 10) as usize, "{sent} were answered with an error");
    println!("{sent} calls that mean nothing: {before} KiB before, {after} KiB after");
    expect!(after * 4 < before * 5, "{before} KiB before, {after} KiB after");
    answers(&mut daemon)
}

/// Sends these calls, some at once, and reads an error for each.
fn ask(daemon: &Hosted, calls: std::ops::Range<u32>) -> Result<usize> {
    let mut errors = 0;
    for part in calls.collect::<Vec<_>>().chunks(50) {
        let mut stream = daemon.connect()?;
        stream.write_all(GREETING)?;
        for n in part {
            stream.write_all(&nonsense(*n))?;
        }
        stream.shutdown(std::net::Shutdown::Write)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        errors += answer.windows(28).filter(|bytes| bytes.starts_with(b"org.freedesktop.DBus.Error.")).count();
        errors += answer.windows(26).filter(|bytes| bytes.starts_with(b"org.provost.Provost1.Error")).count();
    }
    Ok(errors)
}

fn unread_signals() -> Result<()> {
    let config = "[service.busy]\ncommand = [\"true\"]\n\
                  restart = { base = \"1ms\", max = \"1ms\", tries = -1 }\n[service.steady]\ncommand = [\"sleep\", \"1000\"]\n";
    let mut daemon = Hosted::with_config(&["--backend", "direct"], config)?;
    let restarts =
        |daemon: &Hosted| daemon.service("busy").ok().and_then(|busy| busy["restarts"].as_u64()).unwrap_or(0);
    let grows = |daemon: &Hosted, by: u64| {
        let from = restarts(daemon);
        until("it changes its state", Duration::from_secs(60), || restarts(daemon) > from + by)
    };
    grows(&daemon, 100)?;
    let before = daemon.status("VmRSS")?;
    // They ask for signals, and never read.
    let mut deaf: Vec<UnixStream> = (0..20).map(|_| daemon.connect()).collect::<Result<_>>()?;
    for stream in &mut deaf {
        stream.write_all(GREETING)?;
        stream.write_all(&call(PATH, MANAGER, "Subscribe", "", &[]))?;
    }
    let since = Instant::now();
    grows(&daemon, 500)?;
    let took = since.elapsed();
    let after = daemon.status("VmRSS")?;
    println!("500 restarts in {took:.1?} with 20 that do not read: {before} KiB before, {after} KiB after");
    expect!(after < before + 24 * 1024, "{before} KiB before, {after} KiB after");
    expect!(daemon.service("steady")?["state"] == "running", "{}", daemon.log());
    answers(&mut daemon)?;
    daemon.ok(&["down", "--all", "--force"]).map(drop)
}

fn answers(daemon: &mut Hosted) -> Result<()> {
    let since = Instant::now();
    daemon.ok(&["daemon", "status"])?;
    expect!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
    expect!(daemon.is_running() && !daemon.log().contains("panicked"), "{}", daemon.log());
    Ok(())
}
