//! A process that waits, in the shape that a test wants.

use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::sys::signal::{SigSet, Signal};

use super::{Result, flag, value, wait};

/// What `sleeper` can be told:
///
/// * `--ignore TERM` (or another signal; may be repeated): the signal has no effect
/// * `--child`, `--session-child`, `--daemon-child`: a child `sleeper` of its own group, of its own session, or one whose
///   parent is gone; what follows `--` is its arguments
/// * `--seteuid UID`: takes that effective uid and keeps root as its real and saved one, as some daemons do
/// * `--pid-file PATH`: writes its process id there once all of that is done
/// * `--comm NAME`: takes that name, which may be hostile
/// * `--for SECONDS`: ends then
pub fn main(args: &[String]) -> Result<()> {
    let cut = args.iter().position(|a| a == "--").unwrap_or(args.len());
    let (own, rest) = args.split_at(cut);
    let rest = rest.get(1..).unwrap_or_default();
    for pair in own.windows(2).filter(|pair| pair[0] == "--ignore") {
        let signal: Signal = format!("SIG{}", pair[1]).parse()?;
        SigSet::from(signal).thread_block()?;
    }
    if let Some(name) = value(own, "--comm") {
        std::fs::write("/proc/self/comm", name)?;
    }
    if let Some(uid) = value(own, "--seteuid") {
        nix::unistd::seteuid(uid.parse::<u32>()?.into())?;
    }
    let mut children = Vec::new();
    if flag(own, "--child") {
        children.push(child(rest).process_group(0).spawn()?);
    }
    if flag(own, "--session-child") {
        children.push(child(&[&["--setsid".to_owned()], rest].concat()).spawn()?);
    }
    if flag(own, "--daemon-child") {
        // The one in between ends at once.
        child(&[&["--for".to_owned(), "0".to_owned(), "--session-child".to_owned(), "--".to_owned()], rest].concat())
            .spawn()?
            .wait()?;
    }
    if flag(own, "--setsid") {
        rustix::process::setsid()?;
    }
    if let Some(path) = value(own, "--pid-file") {
        std::fs::write(path, std::process::id().to_string())?;
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
