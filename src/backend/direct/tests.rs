//! The direct backend against the suite that all backends must pass.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::mpsc::TryRecvError;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::sync::mpsc::UnboundedReceiver;

use super::*;
use crate::backend::conformance;
use crate::sys::spawn;

type Happenings = UnboundedReceiver<Happened>;

/// Output that nobody wants to see.
struct Nowhere;

impl Output for Nowhere {
    fn open(&self, _: &ServiceId) -> io::Result<(OwnedFd, OwnedFd)> {
        let null = std::fs::OpenOptions::new().write(true).open("/dev/null")?;
        Ok((null.try_clone()?.into(), null.into()))
    }

    fn resume(&self, _: &ServiceId) -> io::Result<()> {
        Ok(())
    }

    fn drain(&self, _: &ServiceId) -> io::Result<()> {
        Ok(())
    }

    fn close(&self, _: &ServiceId) -> io::Result<()> {
        Ok(())
    }
}

/// The backend makes its process the reaper of all that loses its parent, which other tests look at.
#[test]
fn the_suite_of_all_backends() {
    if !crate::sys::in_own_process("backend::direct::tests::the_suite_of_all_backends") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let places = Places::below(dir.path());
    std::fs::create_dir(&places.runtime).unwrap();
    let instance = format!("direct-test-{}", std::process::id());
    let make = async || {
        let (reports, happened) = tokio::sync::mpsc::unbounded_channel();
        (Direct::new(&places, &instance, Box::new(Nowhere), reports).unwrap(), happened)
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async {
        conformance::all(&make, &instance).await;
        at_the_gate(&make().await.0, &instance).await;
        ready_at_once(&mut make().await, &instance).await;
        another_goes_on(&mut make().await, &instance).await;
        said_without_end(&mut make().await, &instance).await;
        its_number_is_anothers(&make().await.0).await;
        by_its_group(&[make().await.0, make().await.0, make().await.0], &instance).await;
    });
}

/// A daemon has died between the record of a start and the start itself.
async fn at_the_gate(direct: &Direct, instance: &str) {
    let log = std::fs::File::options().write(true).open("/dev/null").unwrap();
    for released in [false, true] {
        let argv = ["sleep".to_owned(), "1000".to_owned()];
        let mark = [format!("PROVOST_INSTANCE_ID={instance}"), "PROVOST_SERVICE=gate".to_owned()];
        let program = spawn::Program {
            env: Some(mark.to_vec()),
            ..spawn::Program::new("/bin/sleep".as_ref(), &argv, log.as_fd(), log.as_fd())
        };
        let held = spawn::spawn(&program).unwrap();
        let (identity, _) = direct.inner.proc.identify(held.pid()).unwrap();
        let spec = crate::model::service::ServiceSpec::new("gate".parse().unwrap(), argv.to_vec(), "/".into());
        let identity = Some(Identity { pidfd_inode: held.pidfd().inode(), ..identity });
        let state = crate::model::service::ServiceState::Starting;
        let record = Record { state, identity, ..Record::new(spec, 0) };
        let decide = async {
            tokio::task::yield_now().await;
            match released {
                true => drop(held.release().await.unwrap()),
                false => drop(held.abandon()),
            }
        };
        let (adopted, ()) = tokio::join!(direct.adopt(&record, 41), decide);
        match adopted.unwrap() {
            Adoption::NeverStarted => assert!(!released, "it runs"),
            Adoption::Running(placed) => assert!(released && placed.identity == identity, "{placed:?}"),
            other => panic!("{other:?}"),
        }
        direct.clear(&record.id).await.unwrap();
        direct.release(&record.id).await;
    }
}

/// A service says that it is ready, and is heard before it is seen that its program was executed: what others say wakes
/// who listens.
async fn ready_at_once((direct, happened): &mut (Direct, Happenings), instance: &str) {
    let argv = ["provost-test", "--exact", conformance::SAYS_READY];
    let program = std::env::current_exe().unwrap();
    let launch = conformance::of_instance(instance, "at-once", program.to_str().unwrap(), &argv);
    let launch = Launch { notify: true, ..launch };
    for run in 1..3 {
        let heard = async {
            let socket = direct.inner.notify.as_ref().unwrap().socket();
            let limit = Timespec { tv_sec: 20, tv_nsec: 0 };
            assert_eq!(poll(&mut [PollFd::new(socket, PollFlags::IN)], Some(&limit)), Ok(1), "it says something");
            notify::take(&direct.inner, socket).unwrap();
        };
        let (started, ()) = tokio::join!(biased; direct.start(&launch, run, &|_| Ok(())), heard);
        started.unwrap();
        let ready = Happened { id: launch.id.clone(), run, what: What::Ready };
        let told = std::iter::from_fn(|| happened.try_recv().ok()).collect::<Vec<_>>();
        assert!(told.contains(&ready), "{told:?}");
        direct.clear(&launch.id).await.unwrap();
        let ended = async { while !matches!(happened.recv().await.unwrap().what, What::Exited(_)) {} };
        tokio::time::timeout(Duration::from_secs(20), ended).await.unwrap();
    }
    direct.release(&launch.id).await;
}

/// A service names a child of its own as its main process, and the one that was ends.
async fn another_goes_on((direct, happened): &mut (Direct, Happenings), instance: &str) {
    let dir = tempfile::tempdir().unwrap();
    let text = "sleep 1000 & echo $! > new; mv new child; while [ ! -e go ]; do sleep 0.02; done";
    for run in 1..3 {
        let mut launch = conformance::of_instance(instance, "forks", "/bin/sh", &["sh", "-c", text]);
        launch.cwd = dir.path().to_owned();
        let mut launch = Launch { notify: true, systemd: [("PrivateTmp".to_owned(), true.into())].into(), ..launch };
        launch.limits.nofile = Some(u64::MAX - 1);
        let placed = direct.start(&launch, run, &|_| Ok(())).await.unwrap();
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", placed.identity.unwrap().pid)).unwrap();
        let files = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
        let is = files.split_whitespace().next().unwrap();
        let said = format!("limits.nofile is {is} instead of {}: more was not allowed", u64::MAX - 1);
        assert!(placed.warnings.contains(&said), "{placed:?}");
        assert!(placed.warnings.iter().any(|warning| warning.contains("systemd.PrivateTmp")), "{placed:?}");
        while !dir.path().join("child").exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let child: u32 = std::fs::read_to_string(dir.path().join("child")).unwrap().trim().parse().unwrap();
        let (first, own) = (placed.identity.unwrap(), std::process::id());
        // This process speaks for it.
        direct.inner.mains.borrow_mut().insert(own, launch.id.clone());
        let socket = std::os::unix::net::UnixDatagram::unbound().unwrap();
        let path = direct.inner.notify.as_ref().unwrap().path().to_owned();
        for named in [1, rustix::process::getppid().map_or(1, |pid| pid.as_raw_nonzero().get() as u32), child] {
            socket.send_to(format!("MAINPID={named}").as_bytes(), &path).unwrap();
        }
        if run == 1 {
            let heard = tokio::time::timeout(Duration::from_secs(20), happened.recv()).await.unwrap().unwrap();
            assert!(matches!(&heard.what, What::Main(identity) if identity.pid == child), "{heard:?}");
        }
        // Its end, and in the second run what it said before as well, is there at once.
        let pidfd = PidFd::open(first.pid).unwrap();
        std::fs::write(dir.path().join("go"), "").unwrap();
        let limit = Timespec { tv_sec: 20, tv_nsec: 0 };
        assert_eq!(poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&limit)), Ok(1), "it ends");
        let again = tokio::time::timeout(Duration::from_millis(300), async {
            while let What::Main(identity) = happened.recv().await.unwrap().what {
                assert_eq!((run, identity.pid), (2, child));
            }
        });
        assert!(again.await.is_err(), "it goes on");
        assert!(!crate::sys::exists(first.pid), "it was waited for");
        direct.inner.mains.borrow_mut().remove(&own);
        direct.signal(&launch.id, crate::model::Signal::KILL, Whom::Main).await.unwrap();
        let next = tokio::time::timeout(Duration::from_secs(20), happened.recv()).await.unwrap().unwrap();
        assert_eq!(next.what, What::Exited(crate::model::service::Exit::Signal(9)));
        direct.clear(&launch.id).await.unwrap();
        direct.release(&launch.id).await;
        for name in ["go", "child"] {
            std::fs::remove_file(dir.path().join(name)).unwrap();
        }
    }
}

/// A service that says how it is as fast as it can is told of now and then.
async fn said_without_end((direct, happened): &mut (Direct, Happenings), instance: &str) {
    const LAST: u32 = u32::MAX;
    let launch = conformance::of_instance(instance, "talks", "/bin/sleep", &["sleep", "1000"]);
    direct.start(&launch, 1, &|_| Ok(())).await.unwrap();
    // This process speaks for it.
    direct.inner.mains.borrow_mut().insert(std::process::id(), launch.id.clone());
    let (path, began) = (direct.inner.notify.as_ref().unwrap().path().to_owned(), Instant::now());
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let talker = std::thread::spawn(move || {
        let socket = std::os::unix::net::UnixDatagram::unbound().unwrap();
        let say = |n: u32| socket.send_to(format!("READY=1\nWATCHDOG=1\nSTATUS={n}").as_bytes(), &path).unwrap();
        let limit = Duration::from_secs(10);
        let most = (0..LAST).find(|n| {
            say(*n);
            stopped.try_recv() != Err(TryRecvError::Empty) || began.elapsed() > limit
        });
        say(LAST);
        most.unwrap()
    });
    tokio::time::sleep(5 * said::PAUSE).await;
    stop.send(()).unwrap();
    let mut told: Vec<What> = Vec::new();
    let last = What::Status(LAST.to_string());
    while told.last() != Some(&last) {
        let next = tokio::time::timeout(Duration::from_secs(20), happened.recv()).await.unwrap().unwrap();
        assert_eq!((&next.id, next.run), (&launch.id, 1));
        told.push(next.what);
    }
    let times = began.elapsed().div_duration_f64(said::PAUSE) as usize + 1;
    assert!(talker.join().unwrap() as usize > 10 * times, "it was no flood");
    let of = |is: fn(&What) -> bool| told.iter().filter(|what| is(what)).count();
    assert_eq!(of(|what| *what == What::Ready), 1);
    let (alive, status) = (of(|what| *what == What::Alive), of(|what| matches!(what, What::Status(_))));
    assert!((2..=times).contains(&alive) && (2..=times).contains(&status), "{alive} and {status} of {times}");
    // The same once more is nothing new.
    direct.inner.says(&launch.id, format!("STATUS={LAST}").as_bytes());
    direct.inner.says(&launch.id, b"STATUS=");
    direct.inner.says(&launch.id, format!("STATUS={LAST}").as_bytes());
    tokio::time::sleep(3 * said::PAUSE).await;
    assert!(happened.try_recv().is_err());
    direct.inner.mains.borrow_mut().remove(&std::process::id());
    direct.clear(&launch.id).await.unwrap();
    direct.release(&launch.id).await;
}

/// What was seen of a service has ended, and its number is another process's by the time that a signal is sent.
async fn its_number_is_anothers(direct: &Direct) {
    let id: ServiceId = "reused".parse().unwrap();
    // Should this fail, nobody waits for it.
    let nothing = std::process::Stdio::null;
    let mut sleep = std::process::Command::new("sleep");
    let mut another = sleep.arg("1000").stdout(nothing()).stderr(nothing()).spawn().unwrap();
    let start_ticks = direct.inner.proc.stat(another.id()).unwrap().start_ticks;
    for (then, alive) in [(start_ticks - 1, true), (start_ticks, false)] {
        let seen = look::Seen { pid: another.id(), start_ticks: Some(then) };
        direct.inner.last_look.replace(Some(look::Look::of_one_left(seen, &id)));
        assert_eq!(direct.processes(&id).is_empty(), alive);
        direct.signal(&id, Signal::KILL, Whom::All).await.unwrap();
        if !alive {
            another.wait().unwrap();
        }
        assert_eq!(another.try_wait().unwrap().is_none(), alive);
    }
    direct.inner.last_look.take();
}

/// A service that has cleared its environment, and whose record names no process, is in its control group: later
/// daemons find it there, and never start it beside itself.
async fn by_its_group([first, second, third]: &[Direct; 3], instance: &str) {
    if first.inner.cgroups.is_none() {
        return println!("not run: no control group can be made here");
    }
    let argv = ["env", "-i", "/bin/sleep", "1000"];
    let launch = conformance::of_instance(instance, "bare", "/usr/bin/env", &argv);
    let identity = first.start(&launch, 1, &|_| Ok(())).await.unwrap().identity.unwrap();
    let cleared = async {
        while std::fs::read_to_string(format!("/proc/{}/comm", identity.pid)).unwrap() != "sleep\n" {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), cleared).await.unwrap();
    let marked = second.marked().await.unwrap();
    let marked: Vec<_> = marked.iter().filter(|marked| marked.id == launch.id).flat_map(|m| &m.processes).collect();
    assert_eq!(marked, [&identity]);
    let spec = crate::model::service::ServiceSpec::new(launch.id.clone(), launch.argv.clone(), "/".into());
    let record = Record { state: crate::model::service::ServiceState::Running, ..Record::new(spec, 0) };
    match second.adopt(&record, 1).await.unwrap() {
        Adoption::Running(placed) => assert_eq!(placed.identity, Some(identity)),
        other => panic!("{other:?}"),
    }
    // Whoever knows nothing of it ends it first.
    let again = third.start(&launch, 1, &|_| Ok(())).await.unwrap().identity.unwrap();
    assert_ne!(again.pid, identity.pid);
    assert_eq!(third.processes(&launch.id), [again.pid]);
    third.clear(&launch.id).await.unwrap();
    assert_eq!(second.marked().await.unwrap().iter().filter(|marked| marked.id == launch.id).count(), 0);
    third.release(&launch.id).await;
}
