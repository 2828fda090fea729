use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use super::*;
use crate::model::Identity;
use crate::model::service::{Desired, ServiceState};
use crate::observe::Units;
use crate::sys::pidfd::PidFd;

const INSTANCE: &str = "0123456789abcdef0123456789abcdef";

/// A shell under another name, and what it runs: it says its pid, so that it has that name by then,
/// and waits for ever, without a child.
fn program(name: &str) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let (path, fifo) = (dir.path().join(name), dir.path().join("fifo"));
    crate::sys::program::copy("/bin/sh".as_ref(), &path).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    let script = format!("{} -c 'echo $$; read x < {}'", path.display(), fifo.display());
    (dir, script)
}

fn first_line(child: &mut Child) -> u32 {
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    line.trim().parse().unwrap()
}

/// What a shell has left behind, with these variables.
struct Left {
    pid: u32,
    held: PidFd,
    _dir: tempfile::TempDir,
}

impl Left {
    /// `sid`: in a session of its own, as a daemon.
    fn behind(name: &str, env: &[(&str, &str)], sid: bool) -> Self {
        let (dir, script) = program(name);
        let script = format!("{}{script} & exit", if sid { "setsid " } else { "" });
        let mut shell = Command::new("sh");
        shell.args(["-c", &script]).envs(env.iter().copied()).stdout(Stdio::piped());
        let mut shell = shell.spawn().unwrap();
        let pid = first_line(&mut shell);
        shell.wait().unwrap();
        Self { pid, held: PidFd::open(pid).unwrap(), _dir: dir }
    }

    fn identity(&self) -> Identity {
        crate::observe::ProcFs::host().unwrap().identify(self.pid).unwrap().0
    }
}

impl Drop for Left {
    fn drop(&mut self) {
        let _ended_already = self.held.signal(9);
    }
}

/// A child that lives, and its parent does, too.
struct Held(Child, #[expect(dead_code, reason = "it is there as long as the process")] tempfile::TempDir);

impl Held {
    fn child(name: &str) -> Self {
        let (dir, script) = program(name);
        let script = format!("exec {script}");
        let mut child = Command::new("sh").args(["-c", &script]).stdout(Stdio::piped()).spawn().unwrap();
        assert_eq!(first_line(&mut child), child.id());
        Self(child, dir)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn mark(service: &str) -> [(&str, &str); 2] {
    [("PROVOST_INSTANCE_ID", INSTANCE), ("PROVOST_SERVICE", service)]
}

fn record(id: &str, state: ServiceState, identity: Option<Identity>) -> Record {
    let spec = ServiceSpec::new(id.parse().unwrap(), vec!["x".to_owned()], "/".into());
    let boot_id = crate::observe::boot_id();
    let instance = Some(INSTANCE.to_owned());
    Record { instance, desired: Desired::Up, state, identity, boot_id, ..Record::new(spec, 0) }
}

/// What is found of one process.
fn find_one(pid: u32, instance: &str, records: &[Record], daemon: Option<u32>, name: &str) -> Option<Orphan> {
    let found = run(async {
        let observer = Observer::new(Units::Both).await.unwrap();
        let names: Vec<String> = Some(name).filter(|name| !name.is_empty()).map(str::to_owned).into_iter().collect();
        let instance = Some(instance);
        Search {
            observer: &observer,
            instance,
            records,
            unread: &[],
            elsewhere: &[],
            daemon,
            marked: &[],
            names: &names,
        }
        .find()
    });
    found.into_iter().find(|one| one.identity.pid == pid)
}

/// By the mark alone, as seen by a daemon.
fn by_mark(left: &Left, records: &[Record]) -> Option<Orphan> {
    find_one(left.pid, INSTANCE, records, Some(std::process::id()), "")
}

#[test]
fn what_carries_the_mark_and_is_in_no_record() {
    let left = Left::behind("pvt-orphan-m", &mark("a"), true);
    let found = by_mark(&left, &[]).unwrap();
    assert!(found.orphan && found.marked && found.identity.is(&left.identity()), "{found:?}");
    assert_eq!(found.service.unwrap().as_str(), "a");
    assert_eq!(found.reason, "it carries the mark of service a, which is in no record");
    assert!(found.command_line[0].ends_with("pvt-orphan-m"));
    let found = by_mark(&left, &[record("b", ServiceState::Running, None)]).unwrap();
    assert!(found.orphan);
    let found = by_mark(&left, &[record("a", ServiceState::Stopped, None)]).unwrap();
    assert_eq!((found.orphan, found.reason.as_str()), (true, "it was left behind by service a, which is stopped"));
    // Something is known of it, or soon will be.
    for state in [ServiceState::Starting, ServiceState::Running, ServiceState::Stopping, ServiceState::Restarting] {
        assert_eq!(by_mark(&left, &[record("a", state, None)]), None, "{state}");
    }
    // The record is of it, whatever else it says.
    assert_eq!(by_mark(&left, &[record("other", ServiceState::Stopped, Some(left.identity()))]), None);
}

#[test]
fn without_a_daemon_a_record_answers_for_what_runs_only() {
    let left = Left::behind("pvt-orphan-n", &mark("a"), true);
    let find = |record| find_one(left.pid, INSTANCE, &[record], None, "");
    let gone = Identity { pid: left.pid, start_ticks: 1, pidfd_inode: None };
    let found = find(record("a", ServiceState::Running, Some(gone))).unwrap();
    assert!(found.orphan && found.reason.ends_with("whose main process has ended, and no daemon runs"), "{found:?}");
    assert_eq!(find(record("a", ServiceState::Starting, None)), None, "it may just have been started");
    assert_eq!(find(record("a", ServiceState::Running, Some(left.identity()))), None);
    // One that has ended, and that nobody has waited for yet.
    let mut ended = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
    let main = crate::observe::ProcFs::host().unwrap().identify(ended.id()).unwrap().0;
    let held = PidFd::open(ended.id()).unwrap();
    drop(ended.stdin.take());
    run(async { held.ended().await }).unwrap();
    assert!(find(record("a", ServiceState::Running, Some(main))).unwrap().orphan);
    ended.wait().unwrap();
    let before = Record { boot_id: "another".to_owned(), ..record("a", ServiceState::Running, None) };
    assert!(find(before).unwrap().orphan, "pids of an earlier boot are nobody's");
}

#[test]
fn by_name_what_has_lost_its_parent() {
    for sid in [false, true] {
        let left = Left::behind("pvt-orphan-nam", &[], sid);
        let found = find_one(left.pid, INSTANCE, &[], None, "pvt-orphan-nam").unwrap();
        // Who takes it in depends on the host.
        let reaped = found.reason.starts_with("nobody owns it: its parent has ended, and ");
        let unseen = sid && found.reason.starts_with("it is a child of ");
        assert!((found.orphan && reaped) || unseen, "{found:?}");
        assert!(!found.marked && found.service.is_none());
        assert_eq!(find_one(left.pid, INSTANCE, &[], None, ""), None, "unless it is named");
    }
}

#[test]
fn look_alikes_say_why_they_are_none() {
    let child = Held::child("pvt-orphan-ch");
    let found = find_one(child.0.id(), INSTANCE, &[], None, "pvt-orphan-ch").unwrap();
    assert!(!found.orphan && found.reason.ends_with(&format!("({}), which lives", std::process::id())), "{found:?}");
    let left = Left::behind("pvt-orphan-oth", &[("PROVOST_INSTANCE_ID", "another"), ("PROVOST_SERVICE", "x")], false);
    let found = find_one(left.pid, INSTANCE, &[], None, "pvt-orphan-oth").unwrap();
    assert!(!found.orphan && !found.marked, "{found:?}");
    assert_eq!(found.reason, "it belongs to service x of another instance of provost");
    let left = Left::behind("pvt-orphan-rec", &mark("x"), false);
    let running = record("x", ServiceState::Running, Some(left.identity()));
    let found = find_one(left.pid, INSTANCE, &[running], None, "pvt-orphan-rec").unwrap();
    assert_eq!((found.orphan, found.reason.as_str()), (false, "it belongs to service x"));
    let own = std::process::id();
    let comm = crate::observe::ProcFs::host().unwrap().comm(std::os::unix::process::parent_id()).unwrap();
    let parent = find_one(std::os::unix::process::parent_id(), INSTANCE, &[], None, &comm);
    assert!(parent.is_none_or(|one| !one.orphan && one.identity.pid != own));
}

#[test]
fn orphans_are_ended_and_others_are_not() {
    let (first, second) = (Left::behind("pvt-orphan-e1", &mark("a"), true), Left::behind("pvt-orphan-e2", &[], false));
    let found = |names: &[&str]| {
        run(async {
            let observer = Observer::new(Units::Both).await.unwrap();
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            let instance = Some(INSTANCE);
            let all = Search {
                observer: &observer,
                instance,
                records: &[],
                unread: &[],
                elsewhere: &[],
                daemon: None,
                marked: &[],
                names: &names,
            }
            .find();
            let ours: Vec<Orphan> =
                all.into_iter().filter(|one| [first.pid, second.pid].contains(&one.identity.pid)).collect();
            to_clean(ours, !names.is_empty())
        })
    };
    let proc = crate::observe::ProcFs::host().unwrap();
    let marked = found(&[]);
    assert_eq!(marked.iter().map(|one| one.identity.pid).collect::<Vec<_>>(), [first.pid]);
    assert_eq!(would_clean(&marked).message, "Would clean up 1 orphaned process");
    let mut another = marked.clone();
    another[0].identity.start_ticks += 1;
    let spared = run(clean(&proc, &another, true));
    assert_eq!((spared.killed_count, first.held.is_alive()), (0, true), "it is not the one that was found");
    let mut expected = vec![first.pid, second.pid];
    let both = found(&["pvt-orphan-e2"]);
    let cleaned = run(clean(&proc, &both, false));
    assert!(cleaned.success && !first.held.is_alive() && !second.held.is_alive(), "{cleaned:?}");
    let mut pids = cleaned.orphaned_pids.clone();
    pids.sort_unstable();
    expected.sort_unstable();
    assert_eq!((pids, cleaned.killed_count), (expected, 2));
    assert_eq!(cleaned.message, "Cleaned up 2 orphaned processes");
    assert_eq!(run(clean(&proc, &[], false)).message, "No orphaned processes");
}

#[test]
fn programs_are_known_by_what_they_run() {
    let spec = |words: &[&str]| {
        ServiceSpec::new("a".parse().unwrap(), words.iter().map(|w| (*w).to_owned()).collect(), "/".into())
    };
    let specs = [
        spec(&["/opt/bin/llama-server", "-m", "x"]),
        spec(&["python3", "agents/agent.py", "--model", "x"]),
        spec(&["sh", "-c", "sleep 1"]),
        ServiceSpec { program: Program::Script { path: "./gateway.py".to_owned(), interpreter: None }, ..spec(&[]) },
        spec(&["llama-server"]),
    ];
    assert_eq!(programs(&specs), ["agent.py", "gateway.py", "llama-server"]);
}
