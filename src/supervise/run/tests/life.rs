//! One service at a time.

use super::*;
use crate::model::service::{Exit, Health, Program, Reload};
use crate::model::{Signal, Whom};
use crate::supervise::pid_file;

#[test]
fn a_service_runs_crashes_and_is_started_again() {
    simulated(async |dir| {
        let mut rig = Rig::new(dir);
        rig.define([spec("a", "exit 3 after 500ms")]).await.unwrap();
        assert_eq!(rig.state("a").await, ServiceState::Stopped);
        assert_eq!(rig.start("a").await.unwrap(), [(id("a"), true)]);
        rig.ready("a").await;
        let report = rig.report("a").await;
        assert_eq!((report.health, report.ready, report.command_line), (Health::Ok, true, vec!["sh".to_owned()]));
        let pid = report.pid.unwrap();
        assert_eq!(pid_file::read(&rig.places.pid_file(&id("a"))), Some(pid));
        assert_eq!(rig.start("a").await.unwrap(), [(id("a"), false)], "already so");

        let exited = rig.event("a", |kind| matches!(kind, EventKind::Exited { .. })).await;
        assert_eq!(exited.kind, EventKind::Exited { exit: Exit::Code(3) });
        let ended = Instant::now();
        let report = rig.report("a").await;
        assert_eq!((report.state, report.pid, report.health), (ServiceState::Restarting, None, Health::Bad));
        assert_eq!(report.reason.unwrap(), "ended with exit code 3 after 500ms");
        assert_eq!(pid_file::read(&rig.places.pid_file(&id("a"))), None);
        rig.ready("a").await;
        assert_eq!(ended.elapsed(), SECOND);
        rig.becomes("a", ServiceState::Failed).await;
        // 10 runs of half a second, and the delays between them.
        assert_eq!(rig.world.starts().len(), 10);
        let delays = 1 + 2 + 4 + 8 + 16 + 30 + 30 + 30 + 30;
        assert_eq!(ended.elapsed() + SECOND / 2, delays * SECOND + 10 * SECOND / 2);
        let report = rig.report("a").await;
        assert_eq!((report.restarts, report.failures, report.last_exit), (9, 10, Some(Exit::Code(3))));
    });
}

#[test]
fn what_would_destroy_a_file_or_has_no_script_is_not_started() {
    simulated(async |dir| {
        let rig = Rig::new(dir);
        let (notes, text) = (dir.join("notes.txt"), "buy milk\n");
        std::fs::write(&notes, text).unwrap();
        let mut of_notes = spec("a", "");
        of_notes.pid_file = Some(notes.clone());
        let mut of_script = spec("b", "");
        of_script.program = Program::Script { path: "nosuch.py".to_owned(), interpreter: Some("python3".to_owned()) };
        of_script.env.insert("PATH".to_owned(), python(dir));
        rig.define([of_notes, of_script]).await.unwrap();
        rig.start("a b").await.unwrap();
        for (id, why) in [("a", "notes.txt: there is something else of that name"), ("b", "nosuch.py: there is no")] {
            let report = rig.until(id, |report| report.state == ServiceState::Failed).await;
            assert!(report.last_error.as_ref().unwrap().contains(why), "{report:?}");
            assert_eq!(report.restarts, 0);
        }
        assert_eq!(std::fs::read_to_string(&notes).unwrap(), text);
        // What somebody makes of it while the service runs stays as well.
        std::fs::write(&notes, "").unwrap();
        rig.start("a").await.unwrap();
        rig.until("a", |report| report.ready).await;
        assert!(pid_file::read(&notes).is_some());
        std::fs::write(&notes, text).unwrap();
        rig.stop("a").await.unwrap();
        rig.until("a", |report| report.state == ServiceState::Stopped).await;
        assert_eq!(std::fs::read_to_string(&notes).unwrap(), text);
    });
}

#[test]
fn a_pid_file_is_moved_and_that_there_is_none_is_said() {
    simulated(async |dir| {
        let rig = Rig::new(dir);
        let config = dir.join("provost.toml");
        let load = async |place: &str| {
            let text = format!("[service.a]\ncommand = ['sh']\npid_file = '{}'\n", dir.join(place).display());
            std::fs::write(&config, text).unwrap();
            rig.load(&config).await.unwrap();
        };
        load("first/a.pid").await;
        rig.start("a").await.unwrap();
        let pid = rig.until("a", |report| report.ready).await.pid;
        assert_eq!(pid_file::read(&dir.join("first/a.pid")), pid);
        load("second/a.pid").await;
        let report = rig.report("a").await;
        assert_eq!((report.pid, report.restarts, report.warnings), (pid, 0, Vec::new()));
        let places = ["first/a.pid", "second/a.pid"].map(|place| pid_file::read(&dir.join(place)));
        assert_eq!(places, [None, pid]);
        // Below a file there can be none.
        for started in [false, true] {
            load("provost.toml/a.pid").await;
            if started {
                rig.restart("a").await.unwrap();
                rig.until("a", |report| report.ready && report.pid != pid).await;
            }
            let warnings = rig.report("a").await.warnings;
            assert!(warnings.len() == 1 && warnings[0].contains("provost.toml/a.pid: "), "{warnings:?}");
        }
        load("third/a.pid").await;
        let report = rig.report("a").await;
        assert_eq!((report.warnings, report.pid), (Vec::new(), pid_file::read(&dir.join("third/a.pid"))));
        rig.stop("a").await.unwrap();
        rig.until("a", |report| report.state == ServiceState::Stopped).await;
        assert_eq!(pid_file::read(&dir.join("third/a.pid")), None);
    });
}

/// A PATH in which there is a python.
fn python(dir: &std::path::Path) -> String {
    let there = dir.join("python3");
    std::os::unix::fs::symlink("/bin/sh", there).unwrap();
    dir.display().to_string()
}

#[test]
fn a_stop_ends_it_and_what_it_left() {
    simulated(async |dir| {
        let mut rig = Rig::new(dir);
        rig.define([spec("a", "ignore TERM; children 3"), spec("b", "on TERM exit 0")]).await.unwrap();
        rig.start("a b").await.unwrap();
        rig.ready("a").await;
        let asked = Instant::now();
        assert_eq!(rig.stop("a b").await.unwrap(), [(id("a"), true), (id("b"), true)]);
        rig.becomes("a", ServiceState::Stopped).await;
        assert_eq!(asked.elapsed(), 30 * SECOND, "the first rung, and then SIGKILL");
        assert_eq!((rig.world.alive(), rig.state("b").await), (0, ServiceState::Stopped));
        assert_eq!(rig.report("a").await.health, Health::Ok);
        assert_eq!(rig.stop("*").await.unwrap(), [(id("a"), false), (id("b"), false)]);
        // At once, with force.
        rig.start("a").await.unwrap();
        rig.ready("a").await;
        let asked = Instant::now();
        rig.handle.ask(|answer| Command::Stop { which: which("a"), force: true, answer }).await.unwrap();
        rig.becomes("a", ServiceState::Stopped).await;
        assert!(asked.elapsed() < SECOND);
    });
}

#[test]
fn what_cannot_work_says_why() {
    simulated(async |dir| {
        let mut rig = Rig::new(dir);
        let missing = ServiceSpec {
            program: crate::model::service::Program::Command(vec!["none-such".to_owned()]),
            ..spec("a", "")
        };
        let folder = ServiceSpec { cwd: "/nowhere".into(), ..spec("b", "") };
        let mut variable = spec("c", "");
        variable.args.push("${NONE_SUCH}".to_owned());
        let stuck = spec("d", "stuck");
        let backend = ServiceSpec { backend: crate::model::service::BackendChoice::Direct, ..spec("e", "") };
        let systemd = ServiceSpec { backend: crate::model::service::BackendChoice::Systemd, ..spec("f", "") };
        let file = ServiceSpec { cwd: "/etc/passwd".into(), ..spec("g", "") };
        rig.define([missing, folder, variable, stuck, backend, systemd, file]).await.unwrap();
        rig.start("a b c d e f g").await.unwrap();
        rig.ready("d").await;
        for (word, why) in [
            ("a", "none-such: there is no such program in the PATH of the service"),
            ("b", "the folder /nowhere is not there"),
            ("c", "args[0]: ${NONE_SUCH} is not set and has no default (the environment of the daemon was asked)"),
            ("e", "this daemon has no backend direct: leave backend out, and it is run as all are here"),
            (
                "f",
                "this daemon has no backend systemd: once a manager of its user runs, 'provost daemon restart' looks \
                 for it again",
            ),
            ("g", "/etc/passwd is not a folder"),
        ] {
            let report = rig.report(word).await;
            assert_eq!((report.state, report.reason.as_deref()), (ServiceState::Failed, Some(why)));
        }
        rig.stop("d").await.unwrap();
        rig.becomes("d", ServiceState::Failed).await;
        assert!(rig.report("d").await.reason.unwrap().contains("cannot be killed"));
    });
}

#[test]
fn it_must_become_ready() {
    simulated(async |dir| {
        let mut rig = Rig::new(dir);
        let slow = notify(spec("slow", "ready after 59s"));
        let never = notify(spec("never", ""));
        rig.define([slow, never]).await.unwrap();
        let started = Instant::now();
        rig.start("").await.unwrap();
        rig.soon().await;
        let report = rig.report("slow").await;
        assert_eq!((report.state, report.ready, report.health), (ServiceState::Running, false, Health::Pending));
        rig.ready("slow").await;
        assert_eq!(started.elapsed(), 59 * SECOND);
        rig.becomes("never", ServiceState::Stopping).await;
        assert_eq!(started.elapsed(), 60 * SECOND);
        rig.becomes("never", ServiceState::Restarting).await;
        let report = rig.report("never").await;
        assert_eq!(report.reason.unwrap(), "not ready within 1m: it did not say READY=1");
        assert_eq!(rig.world.alive(), 1, "it was stopped");
    });
}

#[test]
fn signals_and_reloads() {
    simulated(async |dir| {
        let mut rig = Rig::new(dir);
        let usr1 = Signal::from_number(10).unwrap();
        let mut reloads = spec("a", "ignore HUP; on USR1 exit 0");
        reloads.reload = Some(Reload::Signal(Signal::HUP));
        rig.define([reloads, spec("b", "")]).await.unwrap();
        rig.start("").await.unwrap();
        rig.ready("a").await;
        let reload = async |word| rig.handle.ask(|answer| Command::Reload { which: which(word), answer }).await;
        assert_eq!(reload("a").await.unwrap(), [(id("a"), true)]);
        let refused = reload("b").await.unwrap_err().to_string();
        assert!(refused.starts_with("b cannot be reloaded: its config does not say how"), "{refused}");
        let kill = |answer| Command::Kill { which: which("a"), signal: usr1, whom: Whom::Main, answer };
        assert_eq!(rig.handle.ask(kill).await.unwrap(), [(id("a"), true)]);
        rig.event("a", |kind| *kind == EventKind::Reloaded).await;
        rig.becomes("a", ServiceState::Restarting).await;
        assert_eq!(rig.report("a").await.last_exit, Some(Exit::Code(0)));
        rig.stop("a").await.unwrap();
        rig.becomes("a", ServiceState::Stopped).await;
        assert_eq!(rig.handle.ask(kill).await.unwrap(), [(id("a"), false)]);
    });
}

#[test]
fn a_signal_to_reload_is_for_the_run_whose_configuration_was_checked() {
    real(async |dir| {
        let mut rig = Rig::new(dir);
        let mut reloads = spec("a", "on HUP exit 7");
        reloads.cwd = dir.to_owned();
        reloads.reload = Some(Reload::Signal(Signal::HUP));
        reloads.config_check = Some(["sh", "-c", "until [ -e go ]; do sleep 0.01; done"].map(str::to_owned).to_vec());
        rig.define([reloads]).await.unwrap();
        rig.start("a").await.unwrap();
        rig.ready("a").await;
        let handle = rig.handle.clone();
        let reload = crate::tasks::spawn_local(async move {
            handle.ask(|answer| Command::Reload { which: which("a"), answer }).await.unwrap();
        });
        rig.soon().await;
        rig.restart("a").await.unwrap();
        rig.ready("a").await;
        std::fs::write(dir.join("go"), "").unwrap();
        reload.await.unwrap();
        rig.event("a", |kind| *kind == EventKind::Reloaded).await;
        assert_eq!(rig.state("a").await, ServiceState::Running);
        // With no other run meanwhile it gets there.
        rig.handle.ask(|answer| Command::Reload { which: which("a"), answer }).await.unwrap();
        rig.becomes("a", ServiceState::Restarting).await;
        assert_eq!(rig.report("a").await.last_exit, Some(Exit::Code(7)));
    });
}

#[test]
fn others_stop_and_start_it() {
    simulated(async |dir| {
        let mut rig = Rig::new(dir);
        rig.define([spec("a", "")]).await.unwrap();
        rig.start("a").await.unwrap();
        rig.ready("a").await;
        let before = rig.report("a").await.started_at;
        rig.world.stop_by_others(&id("a"));
        rig.becomes("a", ServiceState::Stopped).await;
        let report = rig.report("a").await;
        assert!(!report.desired_up() && report.stopped_at >= before, "{report:?}");
        rig.world.start_by_others(&id("a"), 1, &rig.reports);
        rig.becomes("a", ServiceState::Running).await;
        let report = rig.report("a").await;
        assert!(report.desired_up() && report.pid.is_some());
    });
}

#[test]
fn a_restart_by_others_is_told_and_recorded() {
    simulated(async |dir| {
        let mut rig = Rig::new(dir);
        rig.define([spec("a", "")]).await.unwrap();
        rig.start("a").await.unwrap();
        rig.ready("a").await;
        let before = rig.report("a").await;
        rig.world.start_by_others(&id("a"), 1, &rig.reports);
        let told = |from, to| move |kind: &EventKind| matches!(kind, EventKind::State { from: f, to: t, .. } if (*f, *t) == (from, to));
        let end = rig.event("a", told(ServiceState::Running, ServiceState::Starting)).await;
        assert_eq!(end.message, "others restarted it");
        let start = rig.event("a", told(ServiceState::Starting, ServiceState::Running)).await;
        rig.ready("a").await;
        let after = rig.report("a").await;
        assert_eq!(start.message, format!("it runs as pid {}", after.pid.unwrap()));
        assert!(after.pid != before.pid && after.started_at != before.started_at, "{before:?} {after:?}");
        assert_eq!((after.restarts, &after.stopped_at), (1, &after.started_at));
        rig.world.stop_by_others(&id("a"));
        rig.becomes("a", ServiceState::Stopped).await;
        let stopped = rig.report("a").await;
        assert!(stopped.stopped_at > stopped.started_at, "{stopped:?}");
        rig.finish(Stop::None).await;
        let record = Store::at(&rig.places).one(&id("a")).unwrap();
        assert_eq!((record.started_at, record.stopped_at), (after.started_at, stopped.stopped_at));
    });
}

#[test]
fn what_could_not_be_started_again_is_not_stopped_for_a_restart() {
    simulated(async |dir| {
        let mut rig = Rig::new(dir);
        let cwd = dir.join("work");
        std::fs::create_dir(&cwd).unwrap();
        let mut gone = spec("a", "");
        gone.cwd.clone_from(&cwd);
        rig.define([gone, spec("b", "")]).await.unwrap();
        rig.start("").await.unwrap();
        rig.up("a b").await;
        std::fs::remove_dir(&cwd).unwrap();
        let refused = rig.restart("a b").await.unwrap_err().to_string();
        assert!(refused.starts_with("a goes on as it is, for it could not be started again: the folder "), "{refused}");
        assert_eq!((rig.state("a").await, rig.world.starts().len()), (ServiceState::Running, 2));
        // One that does not run loses nothing by it.
        rig.stop("a").await.unwrap();
        rig.becomes("a", ServiceState::Stopped).await;
        rig.restart("a").await.unwrap();
        rig.becomes("a", ServiceState::Failed).await;
    });
}

#[test]
fn a_stale_socket_is_removed() {
    simulated(async |dir| {
        let mut rig = Rig::new(dir);
        let path = dir.join("s");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let with_socket = ServiceSpec { socket: Some(path.display().to_string()), ..spec("a", "") };
        rig.define([with_socket]).await.unwrap();
        rig.start("a").await.unwrap();
        rig.ready("a").await;
        assert!(!path.exists());
        assert_eq!(rig.report("a").await.socket, Some(path.display().to_string()));
    });
}

#[test]
fn nothing_runs_without_a_record() {
    simulated(async |dir| {
        let mut rig = Rig::new(dir);
        rig.define([spec("a", "")]).await.unwrap();
        // The folder of records becomes a file: nothing can be written any more.
        let registry = rig.places.registry();
        std::fs::rename(&registry, dir.join("away")).unwrap();
        std::fs::write(&registry, "").unwrap();
        let refused = rig.define([spec("b", "")]).await.unwrap_err().to_string();
        assert!(refused.contains("the record of b cannot be written"), "{refused}");
        rig.start("a").await.unwrap();
        rig.becomes("a", ServiceState::Restarting).await;
        let report = rig.report("a").await;
        assert!(report.reason.unwrap().contains("record"), "{:?}", report.last_error);
        assert!(report.warnings[0].starts_with("the record of "), "{:?}", report.warnings);
        assert_eq!(rig.world.starts(), []);
        // The disk is well again.
        std::fs::remove_file(&registry).unwrap();
        std::fs::rename(dir.join("away"), &registry).unwrap();
        rig.ready("a").await;
        assert_eq!(rig.report("a").await.warnings, [""; 0]);
    });
}

#[test]
fn it_ends_when_nobody_can_ask_and_nothing_runs() {
    simulated(async |dir| {
        let Rig { task, handle, events, world, .. } = {
            let mut rig = Rig::new(dir);
            rig.define([spec("a", "")]).await.unwrap();
            rig.start("a").await.unwrap();
            rig.ready("a").await;
            rig
        };
        drop((handle, events));
        tokio::time::sleep(SECOND).await;
        assert!(!task.is_finished(), "a service runs still");
        world.stop_by_others(&id("a"));
        tokio::time::timeout(SECOND, task).await.unwrap().unwrap();
    });
}

#[test]
fn a_variable_that_is_another_one_now_is_said() {
    simulated(async |dir| {
        let mut rig = Rig::new(dir);
        let config = dir.join("one.toml");
        std::fs::write(&config, "[service.a]\ncommand = ['sh', '${KEY}']").unwrap();
        let handle = rig.handle.clone();
        let up = async |variables: &[(&str, &str)]| {
            let pairs = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            let (environment, occasion): (BTreeMap<_, _>, _) = (pairs.collect(), Occasion::Asked);
            let (config, sent) = (config.clone(), environment.clone());
            handle.ask(|answer| Command::Load { config, environment, occasion, answer }).await.unwrap();
            handle.ask(|answer| Command::Start { which: which("a"), environment: sent, answer }).await.unwrap();
        };
        up(&[("PATH", "/bin")]).await;
        rig.becomes("a", ServiceState::Failed).await;
        let why = rig.report("a").await.reason.unwrap();
        assert!(why.ends_with("(the environment of the last 'provost up' was asked: set it, and 'provost up' again)"));
        up(&[("KEY", "1")]).await;
        rig.ready("a").await;
        for (key, said) in [("1", 0), ("2", 1), ("1", 0), ("2", 1)] {
            up(&[("VIRTUAL_ENV", key), ("KEY", key)]).await;
            let warnings = rig.report("a").await.warnings;
            assert_eq!(warnings.len(), said, "{key}: {warnings:?}");
        }
        assert!(rig.report("a").await.warnings[0].starts_with("KEY is not what it was"));
        rig.restart("a").await.unwrap();
        rig.ready("a").await;
        let report = rig.report("a").await;
        assert_eq!((report.warnings.len(), report.command_line[1].as_str()), (0, "2"));
    });
}

#[test]
fn a_stop_that_a_daemon_took_over_is_one_for_who_asks_again() {
    simulated(async |dir| {
        let mut rig = Rig::new(dir);
        rig.define([spec("a", "ignore TERM")]).await.unwrap();
        rig.start("a").await.unwrap();
        rig.ready("a").await;
        rig.stop("a").await.unwrap();
        rig.becomes("a", ServiceState::Stopping).await;
        let rig = rig.again(dir).await;
        assert_eq!(rig.stop("a").await.unwrap(), [(id("a"), true)], "it runs still");
        rig.until("a", |report| report.state == ServiceState::Stopped).await;
        assert_eq!(rig.stop("a").await.unwrap(), [(id("a"), false)]);
    });
}
