//! What runs inside the rig: starts commands, waits for them, and tells their times.

use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Instant;

/// Where the bench puts itself in the rig; by this name it knows its part.
pub const PATH: &str = "/usr/local/bin/bench-driver";

/// Runs the driver, if this program was started as it.
pub fn main() -> Option<ExitCode> {
    let argv: Vec<String> = std::env::args().collect();
    if argv.first()? != PATH {
        return None;
    }
    let words: Vec<&str> = argv[1..].iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["crowd", n, rest @ ..] => crowd(n, rest),
        rest => one(rest),
    };
    Some(match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-driver: {error}");
            ExitCode::FAILURE
        }
    })
}

fn one(words: &[&str]) -> Result<(), String> {
    match words {
        ["times", n, "--", rest @ ..] => times(n, rest),
        ["peak", command @ ..] => peak(command),
        ["services", provost] => crate::services::in_rig(provost).map_err(|e| crate::rig::words(&e).to_owned()),
        [what @ ("starts" | "restarts"), provost] => {
            crate::services::part(what, provost).map_err(|e| crate::rig::words(&e).to_owned())
        }
        _ => Err(format!("unknown: {words:?}")),
    }
}

/// Runs the rest among so many processes that only wait, one of which is the needle.
fn crowd(n: &str, rest: &[&str]) -> Result<(), String> {
    let n: usize = n.parse().map_err(|_| "crowd takes a number")?;
    let mut children: Vec<Child> = Vec::with_capacity(n);
    let mut done = Ok(());
    for i in 0..n {
        let mut command = Command::new("sleep");
        command.arg("100000").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let named = if i == n / 2 { needle() } else { Ok(command.spawn()) };
        match named.and_then(|child| child.map_err(|e| e.to_string())) {
            Ok(child) => children.push(child),
            Err(error) => {
                done = Err(error);
                break;
            }
        }
    }
    let done = done.and_then(|()| one(rest));
    for child in &mut children {
        let _ = child.kill();
        let _ = child.wait();
    }
    done
}

/// A process whose comm is the name that is looked for: a copy of sleep under that name.
fn needle() -> Result<std::io::Result<Child>, String> {
    let path = std::env::temp_dir().join(format!("bench-{}", std::process::id()));
    std::fs::create_dir_all(&path).map_err(|e| e.to_string())?;
    let program = path.join("bench-needle");
    crate::rig::program::copy("/usr/bin/sleep".as_ref(), &program).map_err(|e| e.to_string())?;
    Ok(Command::new(program).arg("100000").stdin(Stdio::null()).stdout(Stdio::null()).process_group(0).spawn())
}

/// The commands alternate, so that noise meets all of them alike.
fn times(n: &str, rest: &[&str]) -> Result<(), String> {
    let n: usize = n.parse().map_err(|_| "times takes a number")?;
    let commands: Vec<&[&str]> = rest.split(|word| *word == "--").collect();
    let mut taken = vec![Vec::with_capacity(n); commands.len()];
    for round in 0..n + 3 {
        for (command, taken) in commands.iter().zip(&mut taken) {
            let start = Instant::now();
            run(command)?;
            // The first rounds warm the caches.
            if round >= 3 {
                taken.push(start.elapsed().as_secs_f64() * 1000.0);
            }
        }
    }
    for mut taken in taken {
        taken.sort_by(f64::total_cmp);
        println!("{:.3}", taken[taken.len() / 2]);
    }
    Ok(())
}

fn run(command: &[&str]) -> Result<(), String> {
    let (program, arguments) = command.split_first().ok_or("no command")?;
    let mut child = Command::new(program);
    child.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let status = child.status().map_err(|e| format!("{program}: {e}"))?;
    if status.success() { Ok(()) } else { Err(format!("{command:?}: {status}")) }
}

/// The largest resident set of the command, in KiB.
fn peak(command: &[&str]) -> Result<(), String> {
    run(command)?;
    let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_CHILDREN);
    println!("{}", usage.map_err(|e| e.to_string())?.max_rss());
    Ok(())
}
