//! What a backend makes of that which an earlier one started.

use tokio::sync::mpsc::UnboundedReceiver;

use super::{Suite, main_pid, runs, until, within};
use crate::backend::{Adoption, Backend, Happened, Placed};
use crate::model::service::{Exit, ServiceState};
use crate::model::{Signal, Whom};

type Made<B> = (B, UnboundedReceiver<Happened>);

pub(super) async fn what_runs_is_adopted<B: Backend>(make: &impl AsyncFn() -> Made<B>, instance: &str) {
    let mut first = Suite::new(make, instance).await;
    let launch = first.launch("adopted", "setsid sleep 1000 & touch ready; wait", "children 1");
    let placed = first.start(&launch).await;
    first.file("ready").await;
    let record = first.record(&launch, &placed);
    let Suite { backend, happened, dir, .. } = first;
    drop((backend, happened));

    let mut second = Suite { dir, run: 41, ..Suite::new(make, instance).await };
    let adopted = within("adopting", second.backend.adopt(&record, second.run)).await.unwrap();
    let Adoption::Running(now) = adopted else { panic!("it runs, and is {adopted:?}") };
    assert_eq!(now.identity.map(|i| i.pid), placed.identity.map(|i| i.pid));
    assert_eq!((&now.unit, &now.invocation), (&placed.unit, &placed.invocation));
    until("both processes", || second.backend.processes(&launch.id).len() >= 2).await;
    let pids = second.backend.processes(&launch.id);
    within("the signal", second.backend.signal(&launch.id, Signal::KILL, Whom::Main)).await.unwrap();
    let exit = second.exit(&launch).await;
    assert!(matches!(exit, Exit::Signal(9) | Exit::Unknown), "{exit}");
    second.clear(&launch, &pids).await;
    // It is a service like any other: it starts again.
    let again = second.launch("adopted", "exit 8", "exit 8");
    second.start(&again).await;
    assert_eq!(second.exit(&again).await, Exit::Code(8));
    second.finish(&again, false).await;
}

pub(super) async fn what_ended_meanwhile_is_told<B: Backend>(make: &impl AsyncFn() -> Made<B>, instance: &str) {
    let mut first = Suite::new(make, instance).await;
    let script = "setsid sleep 1000 & touch ready; while [ ! -e go ]; do sleep 0.01; done; exit 4";
    let launch = first.launch("ended", script, "exit 4 after 1ms; children 1");
    let placed = first.start(&launch).await;
    first.file("ready").await;
    let pids = first.backend.processes(&launch.id);
    let record = first.record(&launch, &placed);
    let Suite { backend, mut happened, dir, .. } = first;
    if backend.kind() == crate::model::service::BackendKind::Sim {
        within("the end", happened.recv()).await.unwrap();
    }
    drop((backend, happened));
    std::fs::write(dir.path().join("go"), "").unwrap();
    until("its end", || !runs(main_pid(&placed))).await;

    let second = Suite { dir, run: 41, ..Suite::new(make, instance).await };
    let adopted = within("adopting", second.backend.adopt(&record, second.run)).await.unwrap();
    assert!(matches!(adopted, Adoption::Ended(Exit::Code(4) | Exit::Unknown)), "{adopted:?}");
    second.clear(&launch, &pids).await;
    let mut second = second;
    second.finish(&launch, false).await;
}

pub(super) async fn what_never_started_is_no_exit<B: Backend>(make: &impl AsyncFn() -> Made<B>, instance: &str) {
    let mut suite = Suite::new(make, instance).await;
    let launch = suite.launch("never", "exit 0", "");
    let mut record = suite.record(&launch, &Placed::default());
    record.state = ServiceState::Starting;
    let adopted = within("adopting", suite.backend.adopt(&record, 41)).await.unwrap();
    assert!(matches!(adopted, Adoption::NeverStarted), "{adopted:?}");
    suite.finish(&launch, false).await;
}
