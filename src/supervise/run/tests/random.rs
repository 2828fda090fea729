//! Anything in any order, with daemons that die: the sim itself fails if a service is started
//! beside itself.

use proptest::prelude::*;

use super::*;
use crate::model::service::Exit;

#[derive(Debug, Clone)]
enum Step {
    Start(usize),
    Stop(usize),
    Restart(usize),
    Kill(usize),
    StopByOthers(usize),
    Wait(u64),
    Die,
}

const WORDS: [&str; 4] = ["a", "b", "c", "d"];

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..4_usize).prop_map(Step::Start),
        (0..4_usize).prop_map(Step::Stop),
        (0..4_usize).prop_map(Step::Restart),
        (0..4_usize).prop_map(Step::Kill),
        (0..4_usize).prop_map(Step::StopByOthers),
        (0..5000_u64).prop_map(Step::Wait),
        Just(Step::Die),
    ]
}

fn services() -> [ServiceSpec; 4] {
    let mut all = [
        notify(spec("a", "ready after 200ms; slow 50ms; on TERM exit 0")),
        after(notify(spec("b", "ready after 300ms; ignore TERM; children 2")), &["a"]),
        after(spec("c", "exit 1 after 700ms; slow 10ms"), &["b"]),
        after(spec("d", "slow 20ms"), &["a"]),
    ];
    for spec in &mut all {
        // What is in no file is forgotten by a new daemon once it has stopped.
        spec.project = Some("/one.toml".into());
        spec.restart.tries = -1;
        spec.stop.0[0].wait = SECOND;
    }
    all
}

async fn run(dir: &Path, steps: Vec<Step>) {
    let mut rig = Rig::new(dir);
    rig.define(services()).await.unwrap();
    for step in steps {
        match step {
            Step::Start(n) => drop(rig.start(WORDS[n]).await.unwrap()),
            Step::Stop(n) => drop(rig.stop(WORDS[n]).await.unwrap()),
            Step::Restart(n) => drop(rig.restart(WORDS[n]).await.unwrap()),
            Step::Kill(n) => rig.world.kill(&id(WORDS[n]), Exit::Signal(9)),
            Step::StopByOthers(n) => rig.world.stop_by_others(&id(WORDS[n])),
            Step::Wait(ms) => tokio::time::sleep(Duration::from_millis(ms)).await,
            Step::Die => rig = rig.again(dir).await,
        }
    }
    // Whatever it was, all can be had up, and then down.
    rig.start("").await.unwrap();
    tokio::time::sleep(600 * SECOND).await;
    for word in ["a", "b", "d"] {
        let report = rig.report(word).await;
        assert!(report.state == ServiceState::Running && report.ready, "{report:#?}");
    }
    rig.stop("").await.unwrap();
    tokio::time::sleep(600 * SECOND).await;
    for word in WORDS {
        assert_eq!(rig.state(word).await, ServiceState::Stopped, "{word}");
    }
    assert_eq!(rig.world.alive(), 0);
}

/// More of them by `PROPTEST_CASES`.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(64)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn all_can_be_had_up_and_down_again(steps in prop::collection::vec(step(), 0..40)) {
        simulated(async |dir| run(dir, steps).await);
    }
}

#[test]
fn a_dependent_that_is_restarted_while_what_it_comes_after_is() {
    use Step::{Restart, Stop, Wait};
    for wait in (0..40).step_by(4) {
        simulated(async |dir| run(dir, vec![Restart(1), Wait(235 + wait), Stop(0), Restart(0), Restart(3)]).await);
    }
}
