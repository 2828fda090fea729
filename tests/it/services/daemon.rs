//! The life of the daemon itself: one at a time, its signals, its program executed anew.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::hosted::{Hosted, PROVOST};
use crate::rig::{Result, eventually, program};
use crate::trial::Trials;

pub fn register(trials: &mut Trials) {
    trials.plain("daemon::second", second);
    trials.plain("daemon::signals", signals);
    trials.plain("daemon::watchdog", watchdog);
    trials.plain("daemon::restart", restart);
    trials.plain("daemon::restart_without_its_file", restart_without_its_file);
    trials.plain("daemon::rest", rest);
    trials.plain("daemon::children", children);
    trials.plain("daemon::sim", sim);
    trials.plain("daemon::stops_are_true", stops_are_true);
    trials.plain("daemon::says_orphans", says_orphans);
    trials.plain("daemon::long_end", long_end);
}

/// A second daemon says who holds the first one's place; the first does not mind.
fn second() -> Result<()> {
    let mut daemon = Hosted::start(&["--sim"])?;
    let other = daemon.provost(&["daemon", "--sim"])?;
    let said = String::from_utf8_lossy(&other.stderr).into_owned();
    expect!(other.status.code() == Some(1), "{other:?}");
    let expected =
        format!("another provost daemon runs: pid {}, its socket is {}", daemon.pid(), daemon.socket().display());
    expect!(said.contains(&expected), "{said}");
    expect!(daemon.ok(&["daemon", "status"])?.contains("runs"), "{}", daemon.log());
    // One that was killed leaves its socket, and the next takes its place.
    daemon.signal(Signal::KILL)?;
    daemon.ends()?;
    expect!(daemon.socket().exists(), "a killed daemon cannot remove it");
    expect!(daemon.provost(&["daemon", "status"])?.status.code() == Some(3), "nobody runs");
    Ok(())
}

/// An end that takes long and goes on is said: the manager waits for it.
fn long_end() -> Result<()> {
    let config = "[service.deaf]\ncommand = ['sh', '-c', 'trap \"\" TERM; while :; do sleep 1; done']\n\
        stop = { signals = ['TERM:8s', 'KILL'] }\n";
    let mut daemon = Hosted::with_config(&["--backend", "direct"], config)?;
    eventually("it runs", || daemon.service("deaf").is_ok_and(|one| one["state"] == "running"))?;
    daemon.signal(Signal::TERM)?;
    daemon.says("STOPPING=1")?;
    daemon.says("EXTEND_TIMEOUT_USEC=30000000")?;
    expect!(daemon.ends()?.success(), "{}", daemon.log());
    Ok(())
}

/// What a daemon cannot stop, because it has not the backend that runs it, is not said to be stopped.
fn stops_are_true() -> Result<()> {
    let config = "[service.one]\ncommand = ['sleep', '1000']\n";
    let mut daemon = Hosted::with_config(&["--backend", "direct"], config)?;
    eventually("it runs", || daemon.service("one").is_ok_and(|one| one["state"] == "running"))?;
    let pid = daemon.service("one")?["pid"].clone();
    daemon.kill()?;
    let path = daemon.registry()?.join("one.json");
    let backend = |from: &str, to: &str| -> Result<()> {
        let text = std::fs::read_to_string(&path)?;
        let [from, to] = [from, to].map(|word| format!("\"backend\": \"{word}\""));
        expect!(text.contains(&from), "{text}");
        Ok(std::fs::write(&path, text.replace(&from, &to))?)
    };
    // It is in no daemon but one of --sim.
    backend("direct", "sim")?;
    daemon.then()?;
    for verb in [&["stop", "one"][..], &["down", "one"], &["down", "--all"], &["up", "--replace", "-d", "one"]] {
        let said = daemon.provost(verb)?;
        let (told, code) = (String::from_utf8_lossy(&said.stderr), said.status.code());
        expect!(code == Some(1) && told.contains("the backend that runs it is not there"), "{verb:?}: {said:?}");
    }
    daemon.kill()?;
    backend("sim", "direct")?;
    daemon.then()?;
    daemon.ok(&["stop", "one"])?;
    let gone = || !Path::new(&format!("/proc/{pid}")).exists();
    eventually("it has ended", gone)
}

/// What runs in memory leaves no record that another daemon would run for real, and takes none of what runs.
fn sim() -> Result<()> {
    let mut daemon = Hosted::with_config(&["--backend", "direct"], "")?;
    daemon.ok(&["run", "--name", "real", "--", "sleep", "1000"])?;
    let pid = daemon.service("real")?["pid"].clone();
    daemon.kill()?;
    daemon.then_with(&["--sim"])?;
    expect!(daemon.service("real").is_err(), "it is not the sim's");
    daemon.ok(&["run", "--name", "tried", "--", "sleep", "1000"])?;
    expect!(daemon.service("tried")?["state"] == "running", "{}", daemon.log());
    daemon.signal(Signal::TERM)?;
    expect!(daemon.ends()?.success(), "{}", daemon.log());
    expect!(!daemon.dir().join("run/provost/sim").exists(), "nothing of it is left");
    daemon.then_with(&["--backend", "direct"])?;
    expect!(daemon.service("tried").is_err(), "it was in memory only");
    expect!(daemon.service("real")?["pid"] == pid, "{}", daemon.log());
    daemon.ok(&["stop", "real"])?;
    Ok(())
}

/// SIGHUP reads the config again; SIGTERM and SIGINT end it, and leave no socket.
fn signals() -> Result<()> {
    for signal in [Signal::TERM, Signal::INT] {
        let mut daemon = Hosted::start(&["--sim"])?;
        daemon.signal(Signal::HUP)?;
        eventually("the config is read again", || daemon.log().contains("the config was read again"))?;
        daemon.signal(signal)?;
        daemon.says("STOPPING=1")?;
        expect!(daemon.ends()?.success(), "{}", daemon.log());
        expect!(!daemon.socket().exists(), "{}", daemon.log());
    }
    let mut daemon = Hosted::start(&["--sim"])?;
    daemon.ok(&["daemon", "stop"])?;
    expect!(daemon.ends()?.success(), "{}", daemon.log());
    expect!(daemon.ok(&["daemon", "stop"])?.contains("no daemon runs"), "already so");
    Ok(())
}

/// It says that it lives while configs are read again all the time.
fn watchdog() -> Result<()> {
    let env = |_: &Path| Ok(vec![("WATCHDOG_USEC".to_owned(), "1000000".to_owned())]);
    let daemon = Hosted::with_env(&["--sim"], "[service.one]\ncommand = 'true'\nenabled = false\n", env)?;
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(3) {
        daemon.ok(&["daemon", "reload"])?;
        std::thread::sleep(Duration::from_millis(100));
    }
    let (said, most) = (daemon.said("WATCHDOG=1")?, begin.elapsed().as_millis() / 500 + 1);
    expect!((3..=most as usize).contains(&said), "{said} times, and {most} at most");
    Ok(())
}

/// It executes its program anew as often as it is asked to, under its pid; nobody who asks meanwhile finds none, and
/// nobody can take its place.
fn restart() -> Result<()> {
    let daemon = Hosted::start(&["--sim"])?;
    let pid = daemon.pid();
    let files = || std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);
    let (over, asked) = (AtomicBool::new(false), AtomicU32::new(0));
    let lock = daemon.socket().with_file_name("daemon.lock");
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let until = Instant::now() + Duration::from_secs(3);
            while Instant::now() < until || !over.load(Ordering::Relaxed) {
                let output = daemon.provost(&["daemon", "status", "--json"])?;
                let said = String::from_utf8_lossy(&output.stdout);
                expect!(said.contains(&format!("\"pid\": {pid}")), "{output:?} {}", daemon.log());
                asked.fetch_add(1, Ordering::Relaxed);
            }
            Ok::<_, libtest_mimic::Failed>(())
        });
        let rival = scope.spawn(|| {
            let file = std::fs::File::open(&lock)?;
            while !over.load(Ordering::Relaxed) {
                let taken = rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive).is_ok();
                expect!(!taken, "its place was free for a moment: {}", daemon.log());
                std::thread::yield_now();
            }
            Ok::<_, libtest_mimic::Failed>(())
        });
        let restarts = || {
            let (mut before, deadline) = (0, Instant::now() + Duration::from_secs(60));
            // On a machine that is busy it takes more of them until enough was asked meanwhile.
            for n in 0.. {
                if n >= 20 && (asked.load(Ordering::Relaxed) > 10 || asking.is_finished()) {
                    break;
                }
                expect!(Instant::now() < deadline, "{n} restarts, asked {asked:?} times");
                daemon.ok(&["daemon", "restart"])?;
                daemon.says("READY=1")?;
                if n == 4 {
                    before = files();
                }
            }
            expect!(files() <= before + 8, "{} open files, {before} before: something is left open each time", files());
            Ok::<_, libtest_mimic::Failed>(())
        };
        let restarted = restarts();
        over.store(true, Ordering::Relaxed);
        rival.join().map_err(|_| "the rival panicked")??;
        restarted?;
        asking.join().map_err(|_| "the thread that asks panicked")?
    })?;
    expect!(asked.load(Ordering::Relaxed) > 10, "{asked:?}");
    let words = std::fs::read_to_string(format!("/proc/{pid}/cmdline"))?;
    expect!(words.matches("--control-fd").count() == 1, "{words}");
    Ok(())
}

/// An upgrade that went wrong leaves no service without a daemon.
fn restart_without_its_file() -> Result<()> {
    let own = |dir: &Path| dir.join("provost");
    let put = |dir: &Path| program::copy(PROVOST.as_ref(), &own(dir));
    let daemon = Hosted::with_env(&["--sim"], "", |dir| {
        put(dir)?;
        Ok(Vec::new())
    })?;
    let runs = || std::fs::read_link(format!("/proc/{}/exe", daemon.pid()));
    std::fs::remove_file(own(daemon.dir()))?;
    daemon.ok(&["daemon", "restart"])?;
    expect!(runs()?.to_string_lossy().ends_with(" (deleted)") && daemon.log().contains("once more"), "{:?}", runs());
    put(daemon.dir())?;
    daemon.ok(&["daemon", "restart"])?;
    expect!(runs()? == own(daemon.dir()), "{:?}", runs());
    // What would leave nobody is tried first.
    let script = format!("#!/bin/sh\n[ \"$1\" = --version ] && exit 3\nexec {PROVOST} \"$@\"\n");
    program::write(script, &own(daemon.dir()), 0o755)?;
    let refused = daemon.provost(&["daemon", "restart"])?;
    let said = String::from_utf8_lossy(&refused.stderr);
    expect!(!refused.status.success() && said.contains("--version: exit code 3"), "{said}");
    daemon.ok(&["daemon", "status"])?;
    Ok(())
}

/// Without anything to do it does nothing at all: no wake-up in three seconds.
fn rest() -> Result<()> {
    let daemon = Hosted::start(&["--sim"])?;
    daemon.ok(&["daemon", "status"])?;
    let wakes = || daemon.status("voluntary_ctxt_switches");
    // What it still has to do after the start is done when a second has passed without a wake-up.
    let mut last = (wakes()?, Instant::now());
    eventually("it rests", || {
        let now = wakes().unwrap_or_default();
        if now != last.0 {
            last = (now, Instant::now());
        }
        last.1.elapsed() > Duration::from_secs(1)
    })?;
    std::thread::sleep(Duration::from_secs(3));
    expect!(wakes()? == last.0, "{} wake-ups", wakes()? - last.0);
    Ok(())
}

/// Children of the daemon survive its restarts and its death, and are stopped in reverse order when it is told to end.
fn children() -> Result<()> {
    let config = "[service.one]\ncommand = [\"sleep\", \"1000\"]\n[service.two]\ncommand = [\"sleep\", \"1000\"]\n\
        after = [\"one\"]\nready = { log = \"never\", timeout = \"1h\" }\n[service.not]\ncommand = \"true\"\nenabled = false\n";
    let mut daemon = Hosted::with_config(&["--backend", "direct"], config)?;
    let pids = |daemon: &Hosted| -> Result<Vec<u64>> {
        let listed: serde_json::Value = serde_json::from_str(&daemon.ok(&["list", "--json"])?)?;
        let all = listed.as_array().or_else(|| listed["services"].as_array()).ok_or("no list")?;
        Ok(all.iter().filter_map(|service| service["pid"].as_u64()).collect())
    };
    eventually("both run", || pids(&daemon).is_ok_and(|pids| pids.len() == 2))?;
    let before = pids(&daemon)?;
    daemon.ok(&["daemon", "restart"])?;
    expect!(pids(&daemon)? == before, "{}", daemon.log());
    daemon.again()?;
    expect!(pids(&daemon)? == before, "{}", daemon.log());
    daemon.signal(Signal::TERM)?;
    expect!(daemon.ends()?.success(), "{}", daemon.log());
    let log = daemon.log();
    let (two, one) = (log.rfind("two: it is stopped"), log.rfind("one: it is being stopped"));
    expect!(two.is_some() && two < one, "{log}");
    for pid in before {
        // Whoever inherited it when the first daemon was killed may not have looked yet.
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let left = stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'));
        expect!(!left, "{pid} is left: {log}");
    }
    Ok(())
}

/// What an earlier daemon lost is said when the next one starts, and below a list.
fn says_orphans() -> Result<()> {
    let mut daemon = Hosted::start(&["--backend", "direct"])?;
    daemon.ok(&["run", "--name", "lost", "--", "sleep", "1000"])?;
    let pid = daemon.service("lost")?["pid"].clone();
    let list = |daemon: &Hosted| Ok::<_, libtest_mimic::Failed>(String::from_utf8(daemon.provost(&["list"])?.stderr)?);
    let before = list(&daemon)?;
    expect!(!before.contains("orphan"), "{before}");
    daemon.kill()?;
    std::fs::remove_dir_all(daemon.registry()?)?;
    let without = list(&daemon)?;
    expect!(without.contains("1 orphan: provost orphans"), "{without}");
    daemon.then()?;
    eventually("it is in the log", || daemon.log().contains(&format!("orphan {pid} (sleep 1000)")))?;
    let with = list(&daemon)?;
    expect!(with.contains("1 orphan: provost orphans"), "{with}; {}", daemon.log());
    let document = daemon.ok(&["list", "-o", "json"])?;
    expect!(!document.contains("orphan"), "{document}");
    daemon.ok(&["orphans", "--clean", "--yes"])?;
    let after = list(&daemon)?;
    expect!(!after.contains("orphan"), "{after}");
    Ok(())
}
