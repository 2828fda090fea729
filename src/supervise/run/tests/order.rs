//! Several services that need one another.

use super::*;
use crate::model::service::{Exit, Health};

fn three() -> [ServiceSpec; 3] {
    [
        after(spec("web", "on TERM exit 0"), &["api"]),
        after(notify(spec("api", "ready after 3s; on TERM exit 0")), &["db"]),
        notify(spec("db", "ready after 2s; ignore TERM")),
    ]
}

#[test]
fn starts_wait_for_what_they_come_after_and_stops_go_back() {
    simulated(async |dir| {
        let mut rig = Rig::new(dir);
        rig.define(three()).await.unwrap();
        let begun = Instant::now();
        let outcomes = rig.start("web").await.unwrap();
        assert_eq!(outcomes, [(id("api"), true), (id("db"), true), (id("web"), true)]);
        rig.soon().await;
        let report = rig.report("web").await;
        assert_eq!((report.state, report.reason.as_deref()), (ServiceState::Starting, Some("waits for api")));
        rig.ready("web").await;
        assert_eq!(begun.elapsed(), 5 * SECOND);
        assert_eq!(rig.world.starts(), [id("db"), id("api"), id("web")]);

        let begun = Instant::now();
        let outcomes = rig.stop("db").await.unwrap();
        assert_eq!(outcomes, [(id("api"), true), (id("db"), true), (id("web"), true)]);
        rig.becomes("web", ServiceState::Stopped).await;
        rig.becomes("api", ServiceState::Stopped).await;
        assert_eq!(rig.state("db").await, ServiceState::Stopping, "its 30 s begin only now");
        rig.becomes("db", ServiceState::Stopped).await;
        assert!(begun.elapsed() >= 30 * SECOND && begun.elapsed() < 31 * SECOND, "{:?}", begun.elapsed());
    });
}

#[test]
fn a_restart_of_several_keeps_their_order() {
    simulated(async |dir| {
        let mut rig = Rig::new(dir);
        rig.define(three()).await.unwrap();
        rig.start("").await.unwrap();
        rig.ready("web").await;
        rig.restart("").await.unwrap();
        for word in ["web", "api"] {
            rig.becomes(word, ServiceState::Starting).await;
        }
        rig.becomes("db", ServiceState::Stopping).await;
        rig.ready("web").await;
        assert_eq!(rig.world.starts()[3..], [id("db"), id("api"), id("web")]);
        // Of one alone, the others run on.
        rig.restart("db").await.unwrap();
        rig.ready("db").await;
        assert_eq!(rig.world.starts()[6..], [id("db")]);
    });
}

#[test]
fn what_comes_after_has_ended_before_a_restart_goes_on() {
    simulated(async |dir| {
        let mut rig = Rig::new(dir);
        // The one that comes later is the first by name.
        rig.define([after(spec("a-dep", "ignore TERM"), &["z-base"]), spec("z-base", "on TERM exit 0")]).await.unwrap();
        rig.start("").await.unwrap();
        rig.ready("a-dep").await;
        rig.restart("").await.unwrap();
        rig.becomes("a-dep", ServiceState::Stopping).await;
        tokio::time::sleep(SECOND).await;
        assert_eq!(rig.state("z-base").await, ServiceState::Running);
        rig.ready("a-dep").await;
        assert_eq!(rig.world.starts()[2..], [id("z-base"), id("a-dep")]);
    });
}

#[test]
fn who_waits_for_a_failed_one_says_so_and_goes_on_when_it_comes() {
    simulated(async |dir| {
        let mut rig = Rig::new(dir);
        let mut db = spec("db", "");
        db.restart.tries = 1;
        rig.world.script(&id("db"), "fails no memory");
        rig.define([db, after(spec("api", ""), &["db"])]).await.unwrap();
        rig.start("api").await.unwrap();
        rig.becomes("db", ServiceState::Failed).await;
        let report = rig.report("api").await;
        assert_eq!((report.state, report.health), (ServiceState::Starting, Health::Bad));
        assert_eq!(report.reason.unwrap(), "waits for db, which failed");
        assert_eq!(rig.start("api").await.unwrap(), [(id("api"), true), (id("db"), true)], "both are tried again");
        rig.ready("api").await;
        // What did its work is not waited for.
        let mut job = spec("job", "exit 0");
        job.restart.policy = crate::model::service::RestartPolicy::OnFailure;
        rig.define([job, after(spec("later", ""), &["job"])]).await.unwrap();
        rig.start("later").await.unwrap();
        rig.ready("later").await;
    });
}

#[test]
fn what_ends_at_once_was_not_ready_for_others() {
    simulated(async |dir| {
        let mut rig = Rig::new(dir);
        rig.define([spec("bad", "exit 4 after 100ms"), after(spec("dep", ""), &["bad"]), spec("good", "")])
            .await
            .unwrap();
        rig.start("").await.unwrap();
        rig.becomes("bad", ServiceState::Restarting).await;
        assert_eq!(rig.report("dep").await.reason.as_deref(), Some("waits for bad"));
        assert!(!rig.world.starts().contains(&id("dep")), "{:?}", rig.world.starts());
        // Once it has run for long enough it is there, for one that comes later too.
        rig.define([after(spec("later", ""), &["good"])]).await.unwrap();
        tokio::time::sleep(SECOND).await;
        rig.restart("good").await.unwrap();
        rig.ready("good").await;
        let begun = Instant::now();
        rig.start("later").await.unwrap();
        rig.ready("later").await;
        assert!(begun.elapsed() >= SECOND / 5 && begun.elapsed() < SECOND, "{:?}", begun.elapsed());
        let begun = Instant::now();
        rig.restart("later").await.unwrap();
        rig.ready("later").await;
        assert!(begun.elapsed() < SECOND / 5, "{:?}", begun.elapsed());
    });
}

#[test]
fn a_dependent_that_crashes_waits_until_it_is_ready_again() {
    simulated(async |dir| {
        let mut rig = Rig::new(dir);
        rig.define([notify(spec("db", "ready after 20s")), after(spec("api", ""), &["db"])]).await.unwrap();
        rig.start("").await.unwrap();
        rig.ready("api").await;
        rig.world.kill(&id("db"), Exit::Signal(9));
        rig.world.kill(&id("api"), Exit::Code(1));
        let died = Instant::now();
        rig.ready("api").await;
        assert_eq!(died.elapsed(), 21 * SECOND);
    });
}

#[test]
fn asked_for_the_contrary_before_it_is_through() {
    simulated(async |dir| {
        let mut rig = Rig::new(dir);
        let [_, api, db] = three();
        rig.define([after(spec("web", "ignore TERM"), &["api"]), api, db]).await.unwrap();
        rig.start("").await.unwrap();
        rig.ready("web").await;
        // Up again before db was even asked to stop: it need not.
        rig.stop("db").await.unwrap();
        rig.start("").await.unwrap();
        rig.ready("web").await;
        assert_eq!(rig.world.starts().iter().filter(|one| **one == id("db")).count(), 1);
        assert_eq!(rig.world.alive(), 3);
    });
}

#[test]
fn circles_are_refused_and_leave_nothing() {
    simulated(async |dir| {
        let rig = Rig::new(dir);
        rig.define([spec("a", "")]).await.unwrap();
        let refused = rig.define([after(spec("a", ""), &["b"]), after(spec("b", ""), &["a"])]).await.unwrap_err();
        assert!(refused.to_string().ends_with("a circle: a -> b -> a"), "{refused}");
        rig.define([after(spec("b", ""), &["a"])]).await.unwrap();
        assert_eq!(rig.start("a").await.unwrap(), [(id("a"), true)]);
    });
}

#[test]
fn who_waits_until_others_are_ready_holds_nobody_up_and_can_be_stopped() {
    simulated(async |dir| {
        let mut rig = Rig::new(dir);
        rig.world.unready_at_once(2);
        let slow = |n: usize| notify(spec(&format!("n{n:03}"), "ready after 10s"));
        rig.define((0..150).map(slow).chain([spec("z", "")])).await.unwrap();
        rig.start("").await.unwrap();
        let begun = Instant::now();
        rig.ready("z").await;
        assert!(begun.elapsed() < SECOND, "{:?}", begun.elapsed());
        assert_eq!(rig.report("n000").await.reason.as_deref(), Some("not ready yet: waits for its READY=1"));
        let waits = rig.report("n149").await.reason;
        assert!(waits.as_ref().is_some_and(|why| why.starts_with("waits for others: ")), "{waits:?}");
        rig.up("n000 n001 n002 n003").await;
        rig.soon().await;
        let starts = rig.world.starts().len();
        assert_eq!((begun.elapsed().as_secs(), starts), (20, 7));
        rig.stop("*").await.unwrap();
        rig.soon().await;
        for word in ["n004", "n006", "n007", "n149", "z"] {
            assert_eq!(rig.state(word).await, ServiceState::Stopped);
        }
        assert_eq!((rig.world.alive(), rig.world.starts().len()), (0, starts), "nothing was executed to be stopped");
        // All of the room was given back.
        rig.start("n006 n007 n008").await.unwrap();
        rig.up("n006 n007 n008").await;
    });
}

#[test]
fn an_order_may_be_reversed() {
    simulated(async |dir| {
        let mut rig = Rig::new(dir);
        let path = dir.join("provost.toml");
        let text = |of_a: &str, of_b: &str| {
            format!("[service.a]\ncommand = 'sh'\nafter = [{of_a}]\n[service.b]\ncommand = 'sh'\nafter = [{of_b}]\n")
        };
        std::fs::write(&path, text("'b'", "")).unwrap();
        rig.load(&path).await.unwrap();
        std::fs::write(&path, text("", "'a'")).unwrap();
        rig.load(&path).await.unwrap();
        rig.start("b").await.unwrap();
        rig.ready("b").await;
        assert_eq!(rig.world.starts(), [id("a"), id("b")]);
    });
}

#[test]
fn who_waits_by_an_order_that_holds_no_more_goes_on() {
    simulated(async |dir| {
        let mut rig = Rig::new(dir);
        let path = dir.join("provost.toml");
        let stubborn = "[service.c]\ncommand = 'sh'\nenv = { PROVOST_SIM = 'ignore TERM' }\nafter =";
        let text = |after: &str| {
            let script = "env = { PROVOST_SIM = 'fails no memory' }\nrestart = { tries = 1 }";
            format!("[service.a]\ncommand = 'sh'\n[service.b]\ncommand = 'sh'\n{script}\n{stubborn} [{after}]\n")
        };
        // One that stops waits for the end of what came after it.
        std::fs::write(&path, text("'a'")).unwrap();
        rig.load(&path).await.unwrap();
        rig.start("c").await.unwrap();
        rig.ready("c").await;
        rig.stop("a").await.unwrap();
        std::fs::write(&path, text("")).unwrap();
        rig.load(&path).await.unwrap();
        rig.becomes("a", ServiceState::Stopped).await;
        assert_eq!(rig.state("c").await, ServiceState::Stopping);
        rig.becomes("c", ServiceState::Stopped).await;
        // One that starts waits for what it came after.
        std::fs::write(&path, text("'b'")).unwrap();
        rig.load(&path).await.unwrap();
        rig.start("c").await.unwrap();
        rig.becomes("b", ServiceState::Failed).await;
        assert_eq!(rig.report("c").await.reason.as_deref(), Some("waits for b, which failed"));
        std::fs::write(&path, text("")).unwrap();
        rig.load(&path).await.unwrap();
        rig.ready("c").await;
    });
}

#[test]
fn words_mean_services() {
    simulated(async |dir| {
        let rig = Rig::new(dir);
        let agent = |n: u32| ServiceSpec { instance_of: Some((id("agent"), n)), ..spec(&format!("agent-{n}"), "") };
        rig.define([agent(1), agent(2), spec("embedding", ""), after(spec("web", ""), &["agent"])]).await.unwrap();
        let select = async |words: &str| {
            let ask = |answer| Command::Report { which: which(words), resources: false, answer };
            rig.handle.ask(ask).await.map(|all| all.iter().map(|one| one.id.to_string()).collect::<Vec<_>>().join(" "))
        };
        assert_eq!(select("agent").await.unwrap(), "agent-1 agent-2");
        assert_eq!(select("agent-2 e*").await.unwrap(), "agent-2 embedding");
        assert_eq!(select("").await.unwrap(), "agent-1 agent-2 embedding web");
        let nearest = vec!["embedding".to_owned()];
        assert_eq!(select("embeding").await, Err(Refusal::NoSuchService { id: "embeding".to_owned(), nearest }));
        assert!(select("web x*").await.is_err());
        let started = rig.start("web").await.unwrap();
        assert_eq!(started.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(), ["agent-1", "agent-2", "web"]);
    });
}

#[test]
fn what_runs_once_is_waited_for_until_it_has_ended_well() {
    simulated(async |dir| {
        let mut rig = Rig::new(dir);
        let once = |script: &str| {
            let mut spec = spec("migrate", script);
            spec.oneshot = true;
            spec.restart.policy = crate::model::service::RestartPolicy::Never;
            spec.project = Some("/one.toml".into());
            spec
        };
        let mut web = after(spec("web", ""), &["migrate"]);
        web.project = Some("/one.toml".into());
        rig.define([once("exit 0 after 5s"), web.clone()]).await.unwrap();
        rig.start("web").await.unwrap();
        rig.becomes("migrate", ServiceState::Running).await;
        tokio::time::sleep(4 * SECOND).await;
        assert_eq!(rig.state("web").await, ServiceState::Starting);
        rig.becomes("migrate", ServiceState::Done).await;
        rig.ready("web").await;
        let report = rig.report("migrate").await;
        assert_eq!((report.ready, report.health, report.pid), (true, crate::model::service::Health::Ok, None));
        assert_eq!(rig.world.starts(), [id("migrate"), id("web")]);

        // A daemon that starts again takes it for what it is, and nothing is done twice.
        let mut rig = rig.again(dir).await;
        rig.up("web").await;
        assert_eq!(rig.state("migrate").await, ServiceState::Done);
        assert_eq!(rig.start("").await.unwrap(), [(id("migrate"), false), (id("web"), false)]);
        rig.restart("web").await.unwrap();
        rig.ready("web").await;
        assert_eq!(rig.world.starts(), [id("migrate"), id("web"), id("web")]);
        rig.finish(Stop::Direct).await;
        let mut rig = rig.again(dir).await;
        rig.up("web").await;
        assert_eq!(rig.state("migrate").await, ServiceState::Done);

        // Where it fails, what comes after it waits, until it was done.
        rig.stop("").await.unwrap();
        tokio::time::sleep(60 * SECOND).await;
        assert_eq!(rig.state("migrate").await, ServiceState::Stopped);
        rig.world.script(&id("migrate"), "exit 1 after 1s");
        rig.start("").await.unwrap();
        rig.becomes("migrate", ServiceState::Failed).await;
        tokio::time::sleep(60 * SECOND).await;
        let report = rig.report("web").await;
        assert_eq!(report.reason.as_deref(), Some("waits for migrate, which failed"));
        rig.restart("migrate").await.unwrap();
        rig.ready("web").await;
        assert_eq!(rig.state("migrate").await, ServiceState::Done);
    });
}
