//! Starts, and ends that nobody asked for.

use std::cell::Cell;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process::{Command, Stdio};

use super::{Suite, main_pid, within};
use crate::backend::{Backend, Launch, StartError, What};
use crate::model::service::Exit;

pub(super) async fn exits_are_told(suite: &mut Suite<impl Backend>) {
    for (script, sim, expected) in [
        ("exit 0", "exit 0", Exit::Code(0)),
        ("exit 7", "exit 7", Exit::Code(7)),
        ("exit 255", "exit 255", Exit::Code(255)),
        ("kill -USR1 $$", "signal 10", Exit::Signal(10)),
        ("kill -KILL $$", "signal 9", Exit::Signal(9)),
    ] {
        // The same id again and again: an end leaves nothing that is in the way of the next start.
        let launch = suite.launch("exits", script, sim);
        suite.start(&launch).await;
        assert_eq!(suite.exit(&launch).await, expected, "{script}");
        suite.clear(&launch, &[]).await;
    }
    let launch = suite.launch("exits", "", "");
    suite.finish(&launch, false).await;
}

pub(super) async fn what_cannot_be_started_is_permanent(suite: &mut Suite<impl Backend>) {
    let good = suite.launch("permanent", "exec sleep 1000", "");
    let missing = Launch { program: "/nowhere/at/all".into(), ..good.clone() };
    let forbidden = Launch { program: "/etc/passwd".into(), ..good.clone() };
    let folder = Launch { cwd: "/nowhere/to/be".into(), ..good.clone() };
    for (launch, named) in [(&missing, "/nowhere/at/all"), (&forbidden, "/etc/passwd"), (&folder, "/nowhere/to/be")] {
        suite.run += 1;
        let result = within("the start", suite.backend.start(launch, suite.run, &|_| Ok(()))).await;
        let Err(StartError::Permanent(why)) = result else { panic!("{named} gave {result:?}") };
        assert!(why.contains(named), "'{why}' does not name {named}");
        assert_eq!(suite.backend.processes(&launch.id), [0_u32; 0]);
    }
    // None of it is in the way of one that works, and none of it is an exit.
    let placed = suite.start(&good).await;
    assert!(suite.backend.processes(&good.id).contains(&main_pid(&placed)));
    suite.finish(&good, true).await;
}

pub(super) async fn what_is_being_written_is_tried_again(suite: &mut Suite<impl Backend>) {
    if suite.is_sim() {
        return; // It has no programs.
    }
    let program = suite.path("program");
    crate::sys::program::copy("/bin/sh".as_ref(), &program).unwrap();
    let launch = Launch { program: program.clone(), ..suite.launch("written", "exec sleep 1000", "") };
    // Another process has it open: no descriptor of this one goes on to what others start meanwhile.
    let script = format!("exec 3>>'{}'; echo; read x", program.display());
    let mut writer =
        Command::new("sh").args(["-c", &script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    std::io::Read::read_exact(writer.stdout.as_mut().unwrap(), &mut [0]).unwrap();
    suite.run += 1;
    let result = within("the start", suite.backend.start(&launch, suite.run, &|_| Ok(()))).await;
    let Err(StartError::Transient(why)) = result else { panic!("it gave {result:?}") };
    assert!(why.contains(&format!("{} is being written", program.display())), "{why}");
    assert_eq!(suite.backend.processes(&launch.id), [0_u32; 0]);

    drop(writer.stdin.take());
    writer.wait().unwrap();
    suite.start(&launch).await;
    suite.finish(&launch, true).await;
}

pub(super) async fn nothing_runs_without_a_record(suite: &mut Suite<impl Backend>) {
    let launch = suite.launch("record", "touch ran; exec sleep 1000", "");
    suite.run += 1;
    let full = |_: &_| Err(std::io::Error::other("no space left"));
    let result = within("the start", suite.backend.start(&launch, suite.run, &full)).await;
    let Err(StartError::Unwritable(why)) = result else { panic!("without a record: {result:?}") };
    assert!(why.contains("no space left"), "{why}");
    assert_eq!(suite.backend.processes(&launch.id), [0_u32; 0]);
    assert!(!suite.path("ran").exists());

    let ran = suite.path("ran");
    let early = Cell::new(None);
    suite.run += 1;
    let record = |_: &_| {
        early.set(Some(ran.exists()));
        Ok(())
    };
    within("the start", suite.backend.start(&launch, suite.run, &record)).await.unwrap();
    assert_eq!(early.get(), Some(false), "recorded, and before the program ran");
    suite.file("ran").await;
    suite.finish(&launch, true).await;
}

pub(super) async fn a_program_gets_its_surroundings(suite: &mut Suite<impl Backend>) {
    let script =
        r#"pwd > cwd; printf '%s' "$ODD" > odd; printf '%s' "$0" > name; env > env; touch done; exec sleep 1000"#;
    let mut launch = suite.launch("surroundings", script, "");
    let odd = "a $HOME ${X} %h \"q\" 'q' \\ é\ttab";
    launch.env.insert("ODD".to_owned(), odd.to_owned());
    launch.argv.push("$zero %n".to_owned());
    suite.start(&launch).await;
    suite.file("done").await;
    if !suite.is_sim() {
        let read = |name| std::fs::read_to_string(suite.path(name)).unwrap();
        assert_eq!(read("cwd").trim_end(), suite.dir.path().canonicalize().unwrap().to_str().unwrap());
        assert_eq!((read("odd").as_str(), read("name").as_str()), (odd, "$zero %n"));
        let env = read("env");
        assert!(env.lines().any(|line| line == format!("PROVOST_INSTANCE_ID={}", suite.instance)), "{env}");
        assert!(!env.contains("CARGO"), "the daemon's own variables are not inherited");
    }
    suite.finish(&launch, true).await;
}

pub(super) async fn many_start_at_once(suite: &mut Suite<impl Backend>) {
    let all: Vec<Launch> = (0..30).map(|n| suite.launch(&format!("many-{n}"), "exit 5", "exit 5")).collect();
    suite.run += 1;
    let starts = all.iter().map(|launch| suite.backend.start(launch, suite.run, &|_| Ok(())));
    for result in within("30 starts", crate::join::join_all(starts)).await {
        result.unwrap();
    }
    let mut ended = Vec::new();
    while ended.len() < all.len() {
        let next = within("an exit", suite.happened.recv()).await.unwrap();
        assert_eq!((next.run, &next.what), (suite.run, &What::Exited(Exit::Code(5))));
        assert!(!ended.contains(&next.id), "{} ended twice", next.id);
        ended.push(next.id);
    }
    for launch in &all {
        suite.finish(launch, false).await;
    }
}

pub(super) async fn it_says_that_it_is_ready(suite: &mut Suite<impl Backend>) {
    let mut launch = suite.launch("ready", "", "ready");
    launch.notify = true;
    launch.program = std::env::current_exe().unwrap();
    launch.argv = ["provost-test", "--exact", SAYS_READY].map(str::to_owned).to_vec();
    suite.start(&launch).await;
    loop {
        let next = within("READY=1", suite.happened.recv()).await.unwrap();
        assert_eq!((&next.id, next.run), (&launch.id, suite.run));
        match next.what {
            What::Ready => break,
            What::Status(_) | What::Alive => {}
            other => panic!("{other:?} before READY=1"),
        }
    }
    suite.finish(&launch, true).await;
}

/// The test below, which is the program of the part above as well: its variables say which.
pub(crate) const SAYS_READY: &str = "backend::conformance::starts::a_program_says_that_it_is_ready";

#[test]
fn a_program_says_that_it_is_ready() {
    if let (Ok(path), Ok(_)) = (std::env::var("NOTIFY_SOCKET"), std::env::var("PROVOST_SERVICE")) {
        say_ready(&path);
    }
    let dir = tempfile::tempdir().unwrap();
    let socket = UnixDatagram::bind(dir.path().join("notify")).unwrap();
    socket.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
    let mut program = std::process::Command::new(std::env::current_exe().unwrap());
    program.args(["--exact", SAYS_READY]).env("NOTIFY_SOCKET", dir.path().join("notify"));
    let mut program = program.env("PROVOST_SERVICE", "ready").stdout(std::process::Stdio::null()).spawn().unwrap();
    let mut said = [0; 64];
    let read = socket.recv(&mut said);
    program.kill().unwrap();
    program.wait().unwrap();
    assert_eq!(&said[..read.unwrap()], READY);
}

const READY: &[u8] = b"STATUS=warm\nREADY=1\n";

fn say_ready(path: &str) -> ! {
    let to = match path.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name).unwrap(),
        None => SocketAddr::from_pathname(path).unwrap(),
    };
    UnixDatagram::unbound().unwrap().send_to_addr(READY, &to).unwrap();
    loop {
        std::thread::park();
    }
}
