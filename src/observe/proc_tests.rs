//! Tests of the process reader: the real /proc, and a made-up one for what cannot be staged.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};

use super::*;
use crate::model::{ProcState, Uids};

fn host() -> ProcFs {
    ProcFs::host().unwrap()
}

/// A folder that looks like /proc with these processes.
fn fake(pids: &[u32], exists: fn(u32) -> bool) -> (tempfile::TempDir, ProcFs) {
    let dir = tempfile::tempdir().unwrap();
    for pid in pids {
        let folder = dir.path().join(pid.to_string());
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("stat"), format!("{pid} (a) R 1 () S 1 1 1 0 -1 64 0 0 0 0 0 0 0 0 20 0 1 0 250 0"))
            .unwrap();
        fs::write(folder.join("status"), format!("Name:\ta\nTgid:\t{pid}\nUid:\t7\t8\t9\t8\n")).unwrap();
        fs::write(folder.join("cmdline"), b"/bin/x\0-\xff\0").unwrap();
        fs::write(folder.join("comm"), "a) R 1 (\n").unwrap();
        symlink("/bin/x (deleted)", folder.join("exe")).unwrap();
    }
    let proc = ProcFs::at(dir.path(), SystemTime::UNIX_EPOCH + Duration::from_secs(1000), exists).unwrap();
    (dir, proc)
}

#[test]
fn this_very_process() {
    let proc = host();
    let pid = std::process::id();
    let own = proc.process(pid).unwrap();
    assert_eq!(own.pid(), pid);
    assert_eq!(own.ppid, std::os::unix::process::parent_id());
    assert_eq!(own.uids.unwrap().real, rustix::process::getuid().as_raw());
    assert_eq!(own.exe.as_deref().map(Path::new), std::env::current_exe().ok().as_deref());
    assert_eq!(own.cmdline, std::env::args().collect::<Vec<_>>());
    assert_eq!(own.state, ProcState::Alive);
    assert!(!own.kernel_thread && own.started_at.is_some());
    assert!(proc.pids().unwrap().contains(&pid));
    assert_eq!(proc.comm(pid).unwrap(), own.comm);
    assert_eq!(proc.environ(pid).unwrap().len(), std::env::vars_os().count());
    assert_eq!(proc.lineage()[..2], [pid, own.ppid]);
}

#[test]
fn a_process_that_ends_is_a_zombie_and_then_gone() {
    let proc = host();
    let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
    let (identity, fd) = proc.identify(child.id()).unwrap();
    assert_eq!(proc.identify(child.id()).unwrap().0, identity);
    child.kill().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    runtime.block_on(fd.ended()).unwrap();
    let zombie = proc.process(child.id()).unwrap();
    assert_eq!((zombie.state, zombie.cmdline.len(), zombie.exe), (ProcState::Zombie, 0, None));
    assert!(matches!(proc.identify(child.id()), Err(ReadError::Gone { .. })));
    child.wait().unwrap();
    assert!(matches!(proc.process(child.id()), Err(ReadError::Gone { .. })));
    assert!(proc.processes(&[child.id()]).is_empty());
}

#[test]
fn a_thread_is_not_a_process() {
    let proc = host();
    std::thread::scope(|scope| {
        let (tell, told) = std::sync::mpsc::channel();
        let (end, ended) = std::sync::mpsc::channel::<()>();
        scope.spawn(move || {
            tell.send(nix::unistd::gettid().as_raw() as u32).unwrap();
            let _ = ended.recv();
        });
        let tid = told.recv().unwrap();
        let own = std::process::id();
        for error in [proc.process(tid).map(drop).unwrap_err(), proc.identify(tid).map(drop).unwrap_err()] {
            assert!(matches!(error, ReadError::Thread { process, .. } if process == own), "{error}");
        }
        drop(end);
    });
}

#[test]
fn hostile_text_and_a_deleted_executable() {
    let (_dir, proc) = fake(&[12], |_| false);
    let process = proc.process(12).unwrap();
    assert_eq!(process.comm, "a) R 1 (");
    assert_eq!(process.cmdline, ["/bin/x", "-\u{fffd}"]);
    assert_eq!(process.exe.as_deref(), Some("/bin/x"));
    assert_eq!(process.uids, Some(Uids { real: 7, effective: 8, saved: 9 }));
    let hertz = rustix::param::clock_ticks_per_second();
    let expected = Duration::from_secs(1000) + Duration::from_millis(250 * 1000 / hertz);
    assert_eq!(process.started_at, Some(SystemTime::UNIX_EPOCH + expected));
}

#[test]
fn hidden_is_not_gone() {
    let (_dir, proc) = fake(&[12], |pid| pid == 13);
    assert!(matches!(proc.process(13), Err(ReadError::Hidden { pid: 13 })));
    assert!(matches!(proc.process(14), Err(ReadError::Gone { pid: 14 })));
    assert_eq!(proc.pids().unwrap(), [12]);
}

#[test]
fn what_vanishes_while_it_is_read_is_left_out() {
    let (dir, proc) = fake(&[12, 15], |_| false);
    fs::remove_file(dir.path().join("15/stat")).unwrap();
    assert!(matches!(proc.process(15), Err(ReadError::Gone { pid: 15 })));
    fs::write(dir.path().join("12/stat"), "nonsense").unwrap();
    assert!(matches!(proc.process(12), Err(ReadError::Other { .. })));
    assert!(proc.processes(&[12, 15, 16]).is_empty());
}

#[test]
fn a_process_without_status_has_no_uids() {
    let (dir, proc) = fake(&[12], |_| false);
    fs::remove_file(dir.path().join("12/status")).unwrap();
    assert_eq!(proc.process(12).unwrap().uids, None);
}
