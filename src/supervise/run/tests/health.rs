//! Who does not do its work is started again.

use super::*;
use crate::model::service::{Health, HealthSpec, RestartPolicy};

/// It must say that it lives, which nobody does here.
fn silent(id: &str) -> ServiceSpec {
    let health: HealthSpec = serde_json::from_str(r#"{"heartbeat":{"timeout":"5s"},"start_period":"20s"}"#).unwrap();
    ServiceSpec { health: Some(health), ..spec(id, "on TERM exit 0") }
}

#[test]
fn an_unhealthy_service_is_started_again_until_its_tries_are_used_up() {
    simulated(async |dir| {
        let mut rig = Rig::new(dir);
        let mut spec = silent("a");
        (spec.restart.tries, spec.restart.warn_after) = (3, 1);
        rig.define([spec]).await.unwrap();
        // How long it had run when it became ready is told by the clock on the wall, which is not simulated.
        let (started, wall) = (Instant::now(), std::time::Instant::now());
        rig.start("a").await.unwrap();
        rig.ready("a").await;
        let event = rig.event("a", |kind| *kind == EventKind::Unhealthy).await;
        assert_eq!(event.message, "it is unhealthy: no heartbeat within 5s");
        let (simulated, real) = (started.elapsed(), wall.elapsed());
        assert!(simulated + real >= 20 * SECOND && simulated < 22 * SECOND, "{simulated:?} and {real:?}");
        rig.becomes("a", ServiceState::Restarting).await;
        let report = rig.report("a").await;
        assert_eq!(report.reason.as_deref(), Some("unhealthy: no heartbeat within 5s"));
        assert_eq!((report.health, report.failures), (Health::Bad, 1));
        // It ran for longer than reset_after each time: that it ran is not that it was well.
        let event = rig.event("a", |kind| *kind == EventKind::Warning).await;
        assert!(event.message.starts_with("it failed 2 times in a row, the last: unhealthy"), "{}", event.message);
        rig.becomes("a", ServiceState::Failed).await;
        let report = rig.report("a").await;
        assert_eq!((report.failures, report.restarts), (3, 2));
        assert_eq!(rig.world.alive(), 0);
    });
}

#[test]
fn whom_nothing_starts_again_is_only_said_to_be_unhealthy() {
    simulated(async |dir| {
        let mut rig = Rig::new(dir);
        let file = dir.join("provost.toml");
        let text = format!(
            "[service.a]\ncommand = 'sh'\nenv = {{ {VARIABLE} = 'on TERM exit 0' }}\nrestart = {{ policy = 'never' }}\n"
        );
        let health = "health = { heartbeat = { timeout = '5s' }, start_period = '20s' }";
        std::fs::write(&file, format!("{text}{health}\n")).unwrap();
        rig.load(&file).await.unwrap();
        rig.start("a").await.unwrap();
        rig.event("a", |kind| *kind == EventKind::Unhealthy).await;
        let report = rig.report("a").await;
        assert_eq!((report.state, report.health), (ServiceState::Running, Health::Bad));
        assert_eq!(report.reason.as_deref(), Some("no heartbeat within 5s"));
        // What is looked at can be changed while it runs.
        let pid = report.pid;
        std::fs::write(&file, text).unwrap();
        rig.load(&file).await.unwrap();
        let report = rig.report("a").await;
        assert_eq!((report.health, report.reason, report.pid), (Health::Ok, None, pid));
    });
}

#[test]
fn what_may_pass_is_nothing_to_call_anybody_for() {
    simulated(async |dir| {
        let mut rig = Rig::new(dir);
        let path = dir.join("s");
        let health = serde_json::json!({"unix": path, "interval": "1s", "failures": 3, "start_period": "5s"});
        let mut spec = silent("a");
        spec.health = Some(serde_json::from_value(health).unwrap());
        spec.restart.policy = RestartPolicy::Never;
        rig.define([spec]).await.unwrap();
        rig.start("a").await.unwrap();
        let report = rig.until("a", |report| report.reason.is_some()).await;
        assert_eq!(report.health, Health::Pending, "it is being started: {report:?}");
        let socket = std::os::unix::net::UnixListener::bind(&path).unwrap();
        rig.until("a", |report| report.health == Health::Ok && report.reason.is_none()).await;
        drop(socket);
        let why = |report: &ServiceReport| report.reason.clone().unwrap_or_default();
        let report = rig.until("a", |report| report.reason.is_some()).await;
        assert!(report.health == Health::Ok && why(&report).ends_with("(1 of 3 times)"), "{report:?}");
        let report = rig.until("a", |report| why(report).ends_with("5 times in a row")).await;
        assert_eq!(report.health, Health::Bad, "{report:?}");
        std::fs::remove_file(&path).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(&path).unwrap();
        rig.until("a", |report| report.health == Health::Ok).await;
        let said = |kind: &EventKind| matches!(kind, EventKind::Unhealthy | EventKind::Healthy);
        let event = rig.event("a", said).await;
        assert!(
            event.message.starts_with("it is unhealthy: ") && event.message.ends_with("3 times in a row"),
            "{event:?}"
        );
        let event = rig.event("a", said).await;
        assert_eq!(event.kind, EventKind::Healthy, "it is said once, and that it is over: {event:?}");
    });
}

#[test]
fn nobody_looks_after_what_does_not_run() {
    simulated(async |dir| {
        let mut rig = Rig::new(dir);
        rig.define([silent("a")]).await.unwrap();
        rig.start("a").await.unwrap();
        rig.ready("a").await;
        rig.stop("a").await.unwrap();
        rig.becomes("a", ServiceState::Stopped).await;
        tokio::time::sleep(100 * SECOND).await;
        let report = rig.report("a").await;
        assert_eq!((report.state, report.health, report.last_error), (ServiceState::Stopped, Health::Ok, None));
    });
}
