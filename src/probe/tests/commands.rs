//! Commands as probes.

use super::*;
use crate::model::AvailabilityState::{Available, Unavailable};

async fn exec(argv: &[&str], timeout: Duration) -> Availability {
    let argv = argv.iter().map(|word| (*word).to_owned()).collect();
    let options = Options { timeout, spec: Some(ProbeSpec::exec(argv).unwrap()), models: false };
    probe(&Subject::default(), &Known::builtin(), &options).await
}

fn sh(script: &str) -> Availability {
    run(exec(&["sh", "-c", script], Duration::from_secs(20)))
}

#[test]
fn exit_codes_decide_and_the_first_line_is_the_evidence() {
    let ok = sh("echo; echo '  ready '; echo more");
    assert_eq!((ok.state, ok.detail.as_str()), (Available, "exit code 0: ready"));
    assert_eq!(ok.by.unwrap(), "exec sh -c 'echo; echo '\\''  ready '\\''; echo more'");
    let failed = sh("echo not yet >&2; exit 3");
    assert_eq!((failed.state, failed.detail.as_str()), (Unavailable, "exit code 3: not yet"));
    assert_eq!(sh("exit 1").detail, "exit code 1");
    assert_eq!(sh("kill -9 $$").detail, "killed by signal 9");
    assert_eq!(sh("printf '\\033[2Jx\\377'").detail, "exit code 0: \\u{1b}[2Jx\u{fffd}");
    // Standard input is empty, and much output blocks nobody.
    assert_eq!(sh("cat; head -c 1000000 /dev/zero | tr '\\0' x >&2").state, Available);
}

#[test]
fn a_command_that_cannot_start_says_why() {
    let found = run(exec(&["/no/such/command"], Duration::from_secs(20)));
    assert_eq!(found.state, Unavailable);
    assert!(found.detail.starts_with("starting the command: No such file"), "{}", found.detail);
}

#[test]
fn a_command_that_hangs_is_killed_with_all_it_started() {
    // Both hold the write end; the read ends only when both are gone.
    let (mut reader, writer) = std::io::pipe().unwrap();
    rustix::io::fcntl_setfd(&writer, rustix::io::FdFlags::empty()).unwrap();
    let script = "sleep 1000 & exec sleep 1000";
    let found = run(exec(&["sh", "-c", script], Duration::from_millis(100)));
    assert_eq!((found.state, found.detail.as_str()), (Unavailable, "the command did not end within 100ms"));
    drop(writer);
    let mut rest = Vec::new();
    std::io::Read::read_to_end(&mut reader, &mut rest).unwrap();
}

#[test]
fn a_grandchild_that_keeps_the_output_open_is_not_waited_for() {
    let started = tokio::time::Instant::now();
    let found = sh("setsid sleep 30 & echo \"$!\"; sleep 0.5");
    assert_eq!(found.state, Available);
    assert!(started.elapsed() < Duration::from_secs(15));
    let pid: i32 = found.detail.rsplit(' ').next().unwrap().parse().unwrap();
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

#[test]
fn what_a_command_leaves_of_its_group_is_killed() {
    for end in ["exit 0", "exit 1"] {
        let found = sh(&format!("sleep 989 & echo \"$!\"; {end}"));
        let pid: u32 = found.detail.rsplit(' ').next().unwrap().parse().unwrap();
        // Whoever inherited it may take a while to wait for it: one that was killed is not alive then.
        let killed = || crate::sys::pidfd::PidFd::open(pid).map_or(true, |left| !left.is_alive());
        let end = std::time::Instant::now() + Duration::from_secs(20);
        while !killed() {
            assert!(std::time::Instant::now() < end, "{pid} lives on");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
