//! A process that waits, in the shape that a test wants.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::sys::signal::{SigSet, Signal};

use super::{Result, flag, value, wait};

/// What `sleeper` can be told:
///
/// * `--ignore TERM` (or another signal; may be repeated): the signal has no effect
/// * `--child`, `--session-child`, `--orphan-child`, `--daemon-child`: a child `sleeper` of its own group, of its own
///   session, one of its own group whose parent is gone, or of its own session whose parent is gone; what follows `--` is
///   its arguments
/// * `--setsid`: makes a session of its own first
/// * `--seteuid UID`: takes that effective uid and keeps root as its real and saved one, as some daemons do
/// * `--pid-file PATH`: writes its process id there once all of that is done
/// * `--comm NAME`: takes that name, which may be hostile
/// * `--log PATH`: appends `START PID` there once all of that is done, and then the name of each HUP, USR1 and USR2 that it
///   gets; as the first process of a container it also ends on TERM, as such processes do
/// * `--for SECONDS`: ends then
pub fn main(args: &[String]) -> Result<()> {
    let cut = args.iter().position(|a| a == "--").unwrap_or(args.len());
    let (own, rest) = args.split_at(cut);
    let rest = rest.get(1..).unwrap_or_default();
    for pair in own.windows(2).filter(|pair| pair[0] == "--ignore") {
        let signal: Signal = format!("SIG{}", pair[1]).parse()?;
        SigSet::from(signal).thread_block()?;
    }
    let log = value(own, "--log").map(Log::prepare).transpose()?;
    if let Some(name) = value(own, "--comm") {
        std::fs::write("/proc/self/comm", name)?;
    }
    if let Some(uid) = value(own, "--seteuid") {
        nix::unistd::seteuid(uid.parse::<u32>()?.into())?;
    }
    if flag(own, "--setsid") {
        rustix::process::setsid()?;
    }
    let mut children = Vec::new();
    if flag(own, "--child") {
        children.push(child(rest).process_group(0).spawn()?);
    }
    if flag(own, "--session-child") {
        children.push(child(&[&["--setsid".to_owned()], rest].concat()).spawn()?);
    }
    for (lost, kind) in [("--orphan-child", "--child"), ("--daemon-child", "--session-child")] {
        if flag(own, lost) {
            // The one in between ends at once.
            let between = ["--for", "0", kind, "--"].map(str::to_owned);
            child(&[&between, rest].concat()).spawn()?.wait()?;
        }
    }
    if let Some(path) = value(own, "--pid-file") {
        std::fs::write(path, std::process::id().to_string())?;
    }
    if let Some(log) = log {
        log.begin()?;
    }
    match value(own, "--for") {
        Some(seconds) => std::thread::sleep(std::time::Duration::from_secs_f64(seconds.parse()?)),
        None => wait(),
    }
    Ok(())
}

fn child(args: &[String]) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.arg0("sleeper").args(args);
    command
}

/// The record of what happens to a process.
struct Log {
    path: String,
    signals: SigSet,
}

impl Log {
    /// From now on the signals wait to be written.
    fn prepare(path: &str) -> Result<Self> {
        let mut signals: SigSet = [Signal::SIGHUP, Signal::SIGUSR1, Signal::SIGUSR2].into_iter().collect();
        if std::process::id() == 1 {
            signals.add(Signal::SIGTERM);
        }
        signals.thread_block()?;
        Ok(Self { path: path.to_owned(), signals })
    }

    fn begin(self) -> Result<()> {
        let mut file = OpenOptions::new().append(true).create(true).open(&self.path)?;
        // In one piece: others may write to the same file.
        file.write_all(format!("START {}\n", std::process::id()).as_bytes())?;
        std::thread::spawn(move || {
            while let Ok(signal) = self.signals.wait() {
                if signal == Signal::SIGTERM {
                    std::process::exit(0);
                }
                let _ = file.write_all(format!("{}\n", &signal.as_str()[3..]).as_bytes());
            }
        });
        Ok(())
    }
}
