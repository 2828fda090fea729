use std::fs;
use std::path::PathBuf;

use super::*;

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|w| (*w).to_owned()).collect()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Runs a shell script by this, and returns what it wrote and how it ended.
fn shell(script: &str, change: impl FnOnce(&mut Program<'_>)) -> (String, Vec<Fault>, Option<Exit>) {
    let (read, write) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    let argv = words(&["sh", "-c", script]);
    let mut program = Program::new(Path::new("/bin/sh"), &argv, write.as_fd(), write.as_fd());
    change(&mut program);
    let held = spawn(&program).unwrap();
    drop(write);
    let (pidfd, _own, faults) = runtime().block_on(held.release()).unwrap();
    let text = io::read_to_string(File::from(read)).unwrap();
    runtime().block_on(pidfd.ended()).unwrap();
    (text, faults, pidfd.reap().unwrap())
}

#[test]
fn nothing_runs_before_it_is_released() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ran");
    let log = File::create(dir.path().join("log")).unwrap();
    let command = words(&["touch", path.to_str().unwrap()]);
    let touch = crate::sys::find_program("touch").unwrap();

    let held = detached(&touch, &command, &log).unwrap();
    let fd = PidFd::open(held.pid()).unwrap();
    assert!(fd.is_alive());
    drop(held);
    runtime().block_on(fd.ended()).unwrap();
    let _ = fd.reap();
    assert!(!path.exists());

    let held = detached(&touch, &command, &log).unwrap();
    let pid = held.pid();
    let mut child = held.run().unwrap();
    assert_eq!(child.id(), pid);
    runtime().block_on(child.pidfd.ended()).unwrap();
    assert_eq!(child.try_wait().unwrap(), Some(Exit::Code(0)));
    assert_eq!(child.try_wait().unwrap(), Some(Exit::Code(0)), "it is told again");
    assert!(path.exists());
}

#[test]
fn what_cannot_be_executed_says_at_which_step() {
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("script");
    crate::sys::program::write("#!/nowhere/at/all\n", &script, 0o755).unwrap();
    let plain = dir.path().join("plain");
    fs::write(&plain, "x").unwrap();
    let nowhere = PathBuf::from("/nowhere");
    for (path, cwd, stage, errno) in [
        (&nowhere, None, Stage::Exec, Errno::NOENT),
        (&script, None, Stage::Exec, Errno::NOENT),
        (&plain, None, Stage::Exec, Errno::ACCESS),
        (&PathBuf::from("/bin/sh"), Some(&nowhere), Stage::Cwd, Errno::NOENT),
    ] {
        let log = File::create(dir.path().join("log")).unwrap();
        let argv = words(&["x"]);
        let program = Program { cwd: cwd.map(PathBuf::as_path), ..Program::new(path, &argv, log.as_fd(), log.as_fd()) };
        let (pidfd, _own, faults) = spawn(&program).unwrap().release_now().unwrap();
        assert_eq!(faults, [Fault { stage, errno, fatal: true }]);
        runtime().block_on(pidfd.ended()).unwrap();
        assert_eq!(pidfd.reap().unwrap(), Some(Exit::Code(127)));
    }
    let log = File::create(dir.path().join("log")).unwrap();
    let error = detached(&nowhere, &words(&["x"]), &log).unwrap().run().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
    let error = detached(&nowhere, &words(&["a\0b"]), &log).unwrap_err();
    assert_eq!(error.to_string(), "the command has a NUL byte");
}

#[test]
fn the_program_gets_what_it_was_given_and_nothing_else() {
    let script = "echo $A $PWD $0; ls -l /proc/self/fd | grep -c ' -> '; cat; grep -E '^Sig(Blk|Ign)' /proc/self/status; \
        ps -o sid= -p $$ | tr -d ' '; echo $$; ulimit -n; cat /proc/self/oom_score_adj; nice";
    let (text, faults, exit) = shell(script, |program| {
        program.env = Some(words(&["A=b c", "PATH=/usr/bin:/bin"]));
        program.cwd = Some(Path::new("/usr"));
        program.nofile = Some(100);
        program.nice = Some(5);
        program.oom_score_adjust = Some(500);
    });
    assert_eq!((faults, exit), (vec![], Some(Exit::Code(0))), "{text}");
    let lines: Vec<&str> = text.lines().collect();
    // Those of `ls`: the three, and its folder.
    assert_eq!(lines[..2], ["b c /usr sh", "4"], "{text}");
    assert!(lines[2].ends_with("0000000000000000") && lines[3].ends_with("0000000000000000"), "{text}");
    assert_eq!(lines[4], lines[5], "it leads a session: {text}");
    assert_eq!(lines[6..], ["100", "500", "5"], "{text}");
}

#[test]
fn a_soft_limit_leaves_the_hard_one() {
    let limits = |program: &mut Program<'_>| program.soft_nofile = Some(99);
    let (text, faults, _) = shell("ulimit -Sn; test $(ulimit -Hn) != 99 && echo more", limits);
    assert_eq!((text.as_str(), faults), ("99\nmore\n", vec![]));
    let both = |program: &mut Program<'_>| (program.soft_nofile, program.nofile) = (Some(99), Some(98));
    assert_eq!(shell("ulimit -Sn; ulimit -Hn", both).0, "98\n98\n");
}

#[test]
fn a_limit_that_is_not_to_be_had_is_said() {
    let (text, faults, exit) = shell("ulimit -n", |program| program.nofile = Some(u64::MAX - 1));
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert_eq!((faults[0].stage, faults[0].fatal), (Stage::Nofile, false));
    assert_eq!(exit, Some(Exit::Code(0)), "{text}");
}

#[test]
fn it_becomes_a_user() {
    if !rustix::process::geteuid().is_root() {
        assert!(user("0").is_ok());
        let (_, faults, _) = shell("id", |program| program.user = Some(user("0").unwrap()));
        assert_eq!((faults[0].stage, faults[0].errno), (Stage::User, Errno::PERM));
        return;
    }
    let nobody = user("nobody").unwrap();
    let (text, faults, _) = shell("id -ru; id -u; id -rg; id -G", |program| program.user = Some(nobody.clone()));
    assert!(faults.is_empty(), "{faults:?}");
    let groups = nobody.groups.iter().map(u32::to_string).collect::<Vec<_>>().join(" ");
    assert_eq!(text, format!("{0}\n{0}\n{1}\n{groups}\n", nobody.uid, nobody.gid));
    assert_eq!(user("no-such-user-here").unwrap_err().to_string(), "there is no user no-such-user-here");
}

#[test]
fn one_that_is_held_does_not_keep_another_from_noticing_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let log = File::create(dir.path().join("log")).unwrap();
    let argv = words(&["true"]);
    let hold = || detached(Path::new("/bin/true"), &argv, &log).unwrap();
    let (one, other) = (hold(), hold());
    let (first, second) = (PidFd::open(one.pid()).unwrap(), PidFd::open(other.pid()).unwrap());
    drop(one);
    runtime().block_on(first.ended()).unwrap();
    assert!(second.is_alive());
    drop(other);
    runtime().block_on(second.ended()).unwrap();
    let _ = (first.reap(), second.reap());
}

/// The descriptors would be those of other tests as well.
#[test]
fn a_process_of_many_files_makes_children_by_a_thread() {
    if !crate::sys::in_own_process("sys::spawn::tests::a_process_of_many_files_makes_children_by_a_thread") {
        return;
    }
    let null = File::open("/dev/null").unwrap();
    let _many: Vec<File> = (0..800).map(|_| null.try_clone().unwrap()).collect();
    the_program_gets_what_it_was_given_and_nothing_else();
    one_that_is_held_does_not_keep_another_from_noticing_the_end();
    what_cannot_be_executed_says_at_which_step();
    nothing_runs_before_it_is_released();
    it_becomes_a_user();
    // A handler that ran in the thread would write to a descriptor that is another there.
    let threads = || fs::read_dir("/proc/self/task").unwrap().flatten().map(|entry| entry.path());
    let name = |task: &PathBuf| fs::read_to_string(task.join("comm")).unwrap();
    let maker = threads().find(|task| name(task) == "provost-maker\n").expect("no thread was made");
    let status = fs::read_to_string(maker.join("status")).unwrap();
    let blocked = status.lines().find_map(|line| line.strip_prefix("SigBlk:")).unwrap().trim();
    assert!(u64::from_str_radix(blocked, 16).unwrap() & 0x7fff_ffff == 0x7fff_ffff & !(1 << 8 | 1 << 18), "{blocked}");
    // Its socket, and nothing that a child was given; those of this test's other threads are in another table.
    let own = fs::read_dir(maker.join("fd")).unwrap().count();
    assert_eq!(own, 4, "{own} descriptors");
}
