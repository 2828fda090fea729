//! The daemon dies, and another one starts.

use super::*;
use crate::model::service::{Desired, Exit, RestartPolicy};
use crate::registry::Record;

#[test]
fn what_runs_is_taken_over_and_started_once() {
    simulated(async |dir| {
        let mut rig = Rig::new(dir);
        let mut never = spec("never", "");
        never.restart.policy = RestartPolicy::Never;
        let stopped = ServiceSpec { project: Some("/one.toml".into()), ..spec("stopped", "") };
        rig.define([spec("runs", ""), spec("dies", ""), never, stopped]).await.unwrap();
        rig.start("").await.unwrap();
        rig.up("runs dies never stopped").await;
        rig.stop("stopped").await.unwrap();
        rig.becomes("stopped", ServiceState::Stopped).await;
        let pid = rig.report("runs").await.pid;
        let world = rig.world.clone();
        rig.task.abort();
        world.kill(&id("dies"), Exit::Code(1));
        world.kill(&id("never"), Exit::Code(1));

        let mut rig = rig.again(dir).await;
        rig.up("dies").await;
        let report = rig.report("runs").await;
        assert_eq!((report.state, report.pid), (ServiceState::Running, pid));
        assert_eq!(
            (rig.state("never").await, rig.state("stopped").await),
            (ServiceState::Failed, ServiceState::Stopped)
        );
        assert_eq!(rig.report("dies").await.last_exit, Some(Exit::Unknown));
        assert_eq!(rig.world.starts().len(), 5, "four, and the one that had died");
        // It is watched like any other.
        rig.world.kill(&id("runs"), Exit::Signal(11));
        rig.becomes("runs", ServiceState::Restarting).await;
        rig.ready("runs").await;
    });
}

#[test]
fn what_is_to_be_said_of_a_run_is_said_by_the_next_daemon_too() {
    simulated(async |dir| {
        let mut rig = Rig::new(dir);
        rig.define([spec("a", "warns limits.nofile is less than asked"), spec("b", "")]).await.unwrap();
        rig.start("").await.unwrap();
        rig.up("a b").await;
        let said = ["limits.nofile is less than asked"];
        assert_eq!(rig.report("a").await.warnings, said);
        for _ in 0..2 {
            rig.soon().await;
            rig = rig.again(dir).await;
            rig.up("a b").await;
            assert_eq!(rig.report("a").await.warnings, said);
            assert_eq!(rig.report("b").await.warnings, [""; 0]);
        }
        assert_eq!(rig.world.starts().len(), 2, "both were taken over");
        rig.world.script(&id("a"), "");
        rig.restart("a").await.unwrap();
        rig.until("a", |report| report.warnings.is_empty() && report.state == ServiceState::Running).await;
    });
}

#[test]
fn what_was_stopped_while_it_waited_for_others_stays_stopped() {
    simulated(async |dir| {
        let mut rig = Rig::new(dir);
        let of_file = |spec| ServiceSpec { project: Some("/one.toml".into()), ..spec };
        let loads = of_file(notify(spec("loads", "ready after 20s")));
        rig.define([loads, of_file(after(spec("waits", ""), &["loads"]))]).await.unwrap();
        rig.start("").await.unwrap();
        rig.becomes("loads", ServiceState::Running).await;
        rig.stop("").await.unwrap();
        rig.soon().await;
        assert_eq!(rig.state("waits").await, ServiceState::Stopped);
        let rig = rig.again(dir).await;
        rig.soon().await;
        assert_eq!(rig.state("waits").await, ServiceState::Stopped);
    });
}

#[test]
fn what_waited_for_others_when_the_daemon_died_is_started() {
    simulated(async |dir| {
        let rig = Rig::new(dir);
        let of_file = |spec| ServiceSpec { project: Some("/one.toml".into()), ..spec };
        let loads = of_file(notify(spec("loads", "ready after 20s")));
        rig.define([loads, of_file(after(spec("waits", ""), &["loads"]))]).await.unwrap();
        rig.start("").await.unwrap();
        let rig = rig.again(dir).await;
        rig.start("").await.unwrap();
        rig.up("loads waits").await;
    });
}

#[test]
fn a_stop_goes_on_and_a_backoff_too() {
    simulated(async |dir| {
        let mut rig = Rig::new(dir);
        rig.define([spec("deaf", "ignore TERM"), spec("crashes", "exit 1")]).await.unwrap();
        rig.start("").await.unwrap();
        rig.ready("deaf").await;
        rig.stop("deaf").await.unwrap();
        rig.becomes("crashes", ServiceState::Restarting).await;
        rig.becomes("crashes", ServiceState::Running).await;
        rig.becomes("crashes", ServiceState::Restarting).await;
        rig.soon().await;
        let mut rig = rig.again(dir).await;
        let begun = Instant::now();
        rig.becomes("crashes", ServiceState::Running).await;
        assert_eq!(begun.elapsed(), 2 * SECOND, "its failures are not forgotten");
        rig.becomes("deaf", ServiceState::Stopped).await;
        assert_eq!(begun.elapsed(), 30 * SECOND);
    });
}

#[test]
fn a_stop_goes_on_in_its_order() {
    simulated(async |dir| {
        let mut rig = Rig::new(dir);
        // Of a file: what was started by a command is forgotten with its end.
        let of_file = |spec| ServiceSpec { project: Some("/one.toml".into()), ..spec };
        let later = of_file(after(spec("later", "ignore TERM"), &["first"]));
        for removes in [false, true] {
            rig.define([of_file(spec("first", "on TERM exit 0")), later.clone()]).await.unwrap();
            rig.start("").await.unwrap();
            rig.up("first later").await;
            if removes {
                rig.remove("first").await.unwrap()
            } else {
                rig.stop("first").await.unwrap()
            };
            rig.becomes("later", ServiceState::Stopping).await;
            rig.soon().await;
            rig = rig.again(dir).await;
            rig.becomes("later", ServiceState::Stopping).await;
            tokio::time::sleep(10 * SECOND).await;
            assert_eq!(rig.state("first").await, ServiceState::Running, "its turn has not come");
            rig.becomes("later", ServiceState::Stopped).await;
            rig.becomes("first", ServiceState::Stopped).await;
        }
    });
}

#[test]
fn a_new_boot_starts_what_is_enabled() {
    simulated(async |dir| {
        let rig = Rig::new(dir);
        let config = dir.join("provost.toml");
        let text = "[service.on]\ncommand = ['sh']\n[service.off]\ncommand = ['sh']\nenabled = false\n";
        std::fs::write(&config, text).unwrap();
        rig.load(&config).await.unwrap();
        rig.start("on off").await.unwrap();
        rig.soon().await;
        assert_eq!(rig.world.alive(), 2);
        rig.task.abort();
        let store = Store::at(&rig.places);
        for record in store.all() {
            store.save(&Record { boot_id: "another".to_owned(), ..record }, true).unwrap();
        }
        let mut rig = Rig::new(dir);
        rig.ready("on").await;
        let report = rig.report("off").await;
        assert_eq!((report.state, report.desired_up()), (ServiceState::Stopped, false));
    });
}

#[test]
fn another_daemon_starts_nothing_that_nobody_asked_for() {
    simulated(async |dir| {
        let rig = Rig::new(dir);
        let config = dir.join("provost.toml");
        let text = "[service.asked]\ncommand = ['sh']\n[service.unasked]\ncommand = ['sh']\n\
                    [service.off]\ncommand = ['sh']\nenabled = false\n";
        std::fs::write(&config, text).unwrap();
        rig.load(&config).await.unwrap();
        rig.start("asked").await.unwrap();
        rig.up("asked").await;
        let rig = rig.again(dir).await;
        rig.up("asked").await;
        assert_eq!(rig.state("unasked").await, ServiceState::Stopped);
        rig.task.abort();
        let store = Store::at(&rig.places);
        for record in store.all() {
            store.save(&Record { boot_id: "another".to_owned(), ..record }, true).unwrap();
        }
        // The next boot is when it starts; what is enabled only in that one waits for the one after it.
        let rig = Rig::new(dir);
        rig.up("asked unasked").await;
        rig.handle.ask(|answer| Command::Enable { which: which("off"), enabled: true, answer }).await.unwrap();
        let rig = rig.again(dir).await;
        rig.up("asked unasked").await;
        assert_eq!(rig.state("off").await, ServiceState::Stopped);
    });
}

#[test]
fn what_ended_with_its_manager_is_started_in_another_backend() {
    use crate::model::service::BackendKind;
    simulated(async |dir| {
        let rig = Rig::new(dir);
        let of_file = |word| ServiceSpec { project: Some("/one.toml".into()), ..spec(word, "") };
        rig.define([of_file("up"), of_file("down")]).await.unwrap();
        rig.start("").await.unwrap();
        rig.up("up down").await;
        let (world, places) = (rig.world.clone(), rig.places.clone());
        rig.task.abort();
        world.kill(&id("up"), Exit::Signal(9));
        world.kill(&id("down"), Exit::Signal(9));
        let store = Store::at(&places);
        for record in store.all() {
            let desired = if record.id == id("down") { Desired::Down } else { Desired::Up };
            store.save(&Record { backend: Some(BackendKind::Systemd), desired, ..record }, true).unwrap();
        }
        let rig = Rig::in_world(world, dir);
        rig.up("up").await;
        assert_eq!(rig.report("up").await.backend, Some(BackendKind::Sim));
        assert_eq!(rig.state("down").await, ServiceState::Stopped);
        rig.start("down").await.unwrap();
        rig.up("down").await;
    });
}

#[test]
fn what_is_new_is_started_though_the_daemon_died_meanwhile() {
    simulated(async |dir| {
        let rig = Rig::new(dir);
        let project = Some(dir.join("provost.toml"));
        let record = Record::new(ServiceSpec { project, ..spec("new", "") }, 0);
        rig.task.abort();
        Store::at(&rig.places).save(&Record { instance: Some("i".to_owned()), ..record }, true).unwrap();
        Rig::new(dir).up("new").await;
    });
}

#[test]
fn a_damaged_record_loses_nothing() {
    simulated(async |dir| {
        let mut rig = Rig::new(dir);
        rig.define([spec("a", ""), spec("b", "")]).await.unwrap();
        rig.start("").await.unwrap();
        rig.ready("b").await;
        rig.soon().await;
        rig.task.abort();
        std::fs::write(rig.places.registry().join("a.json"), "{\"version\":2,").unwrap();
        let rig = rig.again(dir).await;
        assert_eq!(rig.state("b").await, ServiceState::Running);
        let files: Vec<String> = std::fs::read_dir(rig.places.registry())
            .unwrap()
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect();
        assert!(files.iter().any(|name| name.starts_with("a.json.damaged-")), "{files:?}");
        assert_eq!(rig.world.starts().len(), 2, "none is started twice");
    });
}

#[test]
fn a_damaged_record_of_what_a_config_describes_knows_its_port() {
    simulated(async |dir| {
        let rig = Rig::new(dir);
        std::fs::create_dir_all(&rig.places.config).unwrap();
        let config = rig.places.config.join("provost.toml");
        let text = "[service.fixed]\ncommand = ['sh']\nport = 47631\n\
                    [service.range]\ncommand = ['sh']\nport = '47632-47639'\n";
        std::fs::write(&config, text).unwrap();
        rig.load(&config).await.unwrap();
        rig.start("").await.unwrap();
        rig.up("fixed range").await;
        let port = rig.report("range").await.port.unwrap();
        rig.soon().await;
        rig.task.abort();
        // What its unit read when it was started.
        let variables = rig.places.variables(&id("range"));
        std::fs::create_dir_all(variables.parent().unwrap()).unwrap();
        std::fs::write(&variables, format!("A=\"x y\"\nPORT=\"{port}\"\n")).unwrap();
        for name in ["fixed.json", "range.json"] {
            std::fs::write(rig.places.registry().join(name), "x").unwrap();
        }
        let rig = rig.again(dir).await;
        assert_eq!((rig.report("fixed").await.port, rig.report("range").await.port), (Some(47631), Some(port)));
        assert_eq!(rig.world.starts().len(), 2, "none is started twice");
    });
}

#[test]
fn what_runs_and_has_no_record_is_taken_over_where_a_config_describes_it() {
    simulated(async |dir| {
        let rig = Rig::new(dir);
        std::fs::create_dir_all(&rig.places.config).unwrap();
        let config = rig.places.config.join("provost.toml");
        std::fs::write(&config, "[service.a]\ncommand = ['sh']\n[service.b]\ncommand = ['sh']\n").unwrap();
        rig.load(&config).await.unwrap();
        rig.define([spec("other", "")]).await.unwrap();
        rig.start("").await.unwrap();
        rig.up("a b other").await;
        let pid = rig.report("a").await.pid;
        rig.soon().await;
        rig.task.abort();
        for name in ["a.json", "other.json"] {
            std::fs::remove_file(rig.places.registry().join(name)).unwrap();
        }
        let mut rig = rig.again(dir).await;
        rig.event("a", |kind| *kind == EventKind::Adopted).await;
        let config = rig.places.config.join("provost.toml");
        let load = |answer| Command::Load { config, environment: BTreeMap::new(), occasion: Occasion::Found, answer };
        rig.handle.ask(load).await.unwrap();
        rig.up("a b").await;
        assert_eq!(rig.report("a").await.pid, pid);
        assert_eq!(rig.world.starts().len(), 3, "none is started twice");
        let all =
            rig.handle.ask(|answer| Command::Report { which: which(""), resources: false, answer }).await.unwrap();
        assert_eq!(all.len(), 2, "what nobody describes is nobody's: {all:?}");
    });
}

#[test]
fn how_a_daemon_ends() {
    simulated(async |dir| {
        let mut b = after(spec("b", "on TERM exit 0"), &["a"]);
        b.restart.policy = RestartPolicy::Never;
        let mut bad = spec("bad", "exit 3");
        bad.restart.tries = 1;
        let mut rig = Rig::new(dir);
        rig.define([spec("a", "on TERM exit 0"), b, bad]).await.unwrap();
        rig.start("").await.unwrap();
        rig.becomes("bad", ServiceState::Failed).await;
        rig.up("b").await;
        rig.finish(Stop::None).await;
        assert_eq!((rig.world.alive(), rig.task.is_finished() || rig.task.await.is_ok()), (2, true));
        assert_eq!(rig.handle.ask(|answer| Command::ReloadConfig { answer }).await, Err(Refusal::Ending));

        // Stopped with the daemon, and up again with the next.
        let mut rig = Rig::in_world(rig.world, dir);
        rig.event("b", |kind| *kind == EventKind::Adopted).await;
        rig.finish(Stop::Direct).await;
        assert_eq!(rig.world.alive(), 0);
        let rig = Rig::in_world(rig.world, dir);
        rig.up("b").await;
        let bad = rig.report("bad").await;
        assert_eq!((bad.state, bad.restarts), (ServiceState::Failed, 0), "{bad:?}");
        assert!(bad.reason.is_some(), "{bad:?}");
        // Stopped for good.
        rig.finish(Stop::All).await;
        assert_eq!(rig.world.alive(), 0);
        let rig = Rig::in_world(rig.world, dir);
        rig.soon().await;
        assert_eq!(rig.world.alive(), 0);
    });
}

#[test]
fn an_end_can_be_hurried() {
    simulated(async |dir| {
        let mut rig = Rig::new(dir);
        rig.define([spec("deaf", "ignore TERM")]).await.unwrap();
        rig.start("").await.unwrap();
        rig.ready("deaf").await;
        let begun = Instant::now();
        tokio::join!(rig.finish(Stop::All), async {
            tokio::time::sleep(SECOND).await;
            rig.finish(Stop::Force).await;
        });
        assert!(begun.elapsed() < 2 * SECOND);
        assert_eq!(rig.world.alive(), 0);
    });
}

#[test]
fn what_many_services_leave_is_released_before_the_end() {
    simulated(async |dir| {
        let rig = Rig::new(dir);
        let names: Vec<String> = (0..600).map(|n| format!("s{n}")).collect();
        rig.define(names.iter().map(|name| spec(name, "release 7s"))).await.unwrap();
        rig.start("").await.unwrap();
        while rig.world.alive() < 600 {
            rig.soon().await;
        }
        rig.finish(Stop::All).await;
        assert_eq!(rig.world.known(), 0);
    });
}

#[test]
fn what_carries_the_mark_and_is_no_known_run_is_stopped_before_a_start() {
    simulated(async |dir| {
        let rig = Rig::new(dir);
        rig.define([spec("p", "ignore TERM; on INT exit 0")]).await.unwrap();
        rig.start("p").await.unwrap();
        rig.up("p").await;
        rig.soon().await;
        rig.task.abort();
        std::fs::remove_file(rig.places.registry().join("p.json")).unwrap();

        let mut rig = rig.again(dir).await;
        let mut again = spec("p", "");
        again.stop = "TERM:2s,INT:60s,KILL".parse().unwrap();
        rig.define([again]).await.unwrap();
        let asked = Instant::now();
        rig.start("p").await.unwrap();
        rig.event("p", |kind| *kind == EventKind::Warning).await;
        rig.up("p").await;
        assert!((2 * SECOND..10 * SECOND).contains(&asked.elapsed()), "it was stopped by the signals of a stop");
        assert_eq!((rig.world.starts().len(), rig.world.alive()), (2, 1));
        // Only what was there when the daemon started.
        rig.restart("p").await.unwrap();
        rig.ready("p").await;
    });
}

#[test]
fn what_a_stopped_service_left_behind_is_ended_by_a_stop() {
    // One of a config, and one of a command, whose record would go.
    for project in [Some("/one.toml".into()), None] {
        simulated(async |dir| left_behind(dir, project.clone()).await);
    }
}

async fn left_behind(dir: &Path, project: Option<std::path::PathBuf>) {
    let rig = Rig::new(dir);
    rig.define([ServiceSpec { project, ..spec("e", "children 2") }]).await.unwrap();
    rig.start("e").await.unwrap();
    rig.up("e").await;
    rig.soon().await;
    rig.task.abort();
    let store = Store::at(&rig.places);
    let record = store.one(&id("e")).unwrap();
    let down = (Desired::Down, ServiceState::Stopped);
    store.save(&Record { desired: down.0, state: down.1, identity: None, ..record }, false).unwrap();
    rig.world.kill(&id("e"), Exit::Signal(9));
    assert_eq!(rig.world.processes(&id("e")).len(), 2);

    let mut rig = rig.again(dir).await;
    let reason = rig.report("e").await.reason;
    assert_eq!(reason.as_deref(), Some("what it started runs on; a stop, or a start, ends it first"));
    assert_eq!(rig.stop("e").await.unwrap(), [(id("e"), true)]);
    rig.becomes("e", ServiceState::Stopped).await;
    assert_eq!(rig.world.processes(&id("e")).len(), 0);
}

#[test]
fn what_has_lost_its_record_is_found_by_the_config_of_others_at_once() {
    simulated(async |dir| {
        let rig = Rig::new(dir);
        let path = dir.join("one.toml");
        std::fs::write(&path, "[service.a]\ncommand = 'sh'\n[service.b]\ncommand = 'sh'").unwrap();
        rig.load(&path).await.unwrap();
        rig.start("").await.unwrap();
        rig.up("a b").await;
        rig.soon().await;
        rig.task.abort();
        let store = Store::at(&rig.places);
        for word in ["a", "b"] {
            let record = store.one(&id(word)).unwrap();
            store.save(&Record { boot_id: "another".to_owned(), ..record }, false).unwrap();
            rig.world.kill(&id(word), Exit::Signal(9));
        }
        let torn = rig.places.registry().join("b.json");
        let text = std::fs::read(&torn).unwrap();
        std::fs::write(&torn, &text[..text.len() / 2]).unwrap();

        let rig = rig.again(dir).await;
        rig.up("a b").await;
    });
}

#[test]
fn a_daemon_that_starts_says_which_config_is_not_applied() {
    simulated(async |dir| {
        let rig = Rig::new(dir);
        let path = dir.join("provost.toml");
        let right = "[service.a]\ncommand = ['sh']\n";
        std::fs::write(&path, right).unwrap();
        rig.load(&path).await.unwrap();
        rig.start("a").await.unwrap();
        rig.up("a").await;
        std::fs::write(&path, "[service.a]\ncomand = ['sh']\n").unwrap();
        let mut rig = rig.again(dir).await;
        let said = rig.event("a", |kind| *kind == EventKind::Warning).await.message;
        assert!(said.starts_with("the config is not applied: "), "{said}");
        let errors = rig.handle.config_errors();
        assert!(errors.iter().any(|error| error.contains("comand")), "{errors:?}");
        assert_eq!(rig.state("a").await, ServiceState::Running);
        std::fs::write(&path, right).unwrap();
        let rig = rig.again(dir).await;
        rig.up("a").await;
        assert_eq!(rig.handle.config_errors(), [""; 0]);
        std::fs::remove_file(&path).unwrap();
        let rig = rig.again(dir).await;
        rig.up("a").await;
        assert_eq!(rig.handle.config_errors().len(), 1, "it is gone");
    });
}
