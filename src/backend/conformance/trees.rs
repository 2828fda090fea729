//! Signals, stops, and what becomes of all that a service started.

use super::{Suite, main_pid, until, within};
use crate::backend::Backend;
use crate::model::service::Exit;
use crate::model::{Signal, Whom};

fn usr1() -> Signal {
    Signal::from_number(10).unwrap()
}

pub(super) async fn signals_reach_whom_they_should(suite: &mut Suite<impl Backend>) {
    let main = suite.launch(
        "main",
        r#"sh -c 'trap "touch wrong" USR1; touch child; while :; do sleep 0.02; done' & trap 'exit 5' USR1; touch ready; while :; do sleep 0.02; done"#,
        "on USR1 exit 5",
    );
    suite.start(&main).await;
    suite.file("child").await;
    suite.file("ready").await;
    within("the signal", suite.backend.signal(&main.id, usr1(), Whom::Main)).await.unwrap();
    assert_eq!(suite.exit(&main).await, Exit::Code(5));
    assert!(!suite.path("wrong").exists(), "the child was signalled too");
    // Nothing left to signal is no error.
    suite.clear(&main, &[]).await;
    within("the signal", suite.backend.signal(&main.id, usr1(), Whom::Main)).await.unwrap();
    within("the signal", suite.backend.signal(&main.id, usr1(), Whom::All)).await.unwrap();
    suite.finish(&main, false).await;

    let all = suite.launch(
        "everyone",
        r#"trap : USR1; sh -c 'trap "touch got; exit" USR1; touch ready2; while :; do sleep 0.02; done' & wait; wait; exit 9"#,
        "on USR1 exit 9",
    );
    suite.start(&all).await;
    suite.file("ready2").await;
    within("the signal", suite.backend.signal(&all.id, usr1(), Whom::All)).await.unwrap();
    assert_eq!(suite.exit(&all).await, Exit::Code(9));
    suite.file("got").await;
    suite.finish(&all, false).await;
}

pub(super) async fn a_stop_is_an_exit(suite: &mut Suite<impl Backend>) {
    let polite =
        suite.launch("polite", "trap 'exit 4' TERM; touch ready; while :; do sleep 0.02; done", "on TERM exit 4");
    suite.start(&polite).await;
    suite.file("ready").await;
    within("the stop", suite.backend.stop(&polite.id, Signal::TERM)).await.unwrap();
    assert_eq!(suite.exit(&polite).await, Exit::Code(4));
    suite.clear(&polite, &[]).await;
    // It can be started again at once.
    let again = suite.launch("polite", "exit 6", "exit 6");
    suite.start(&again).await;
    assert_eq!(suite.exit(&again).await, Exit::Code(6));
    suite.finish(&again, false).await;

    // One that is suspended goes on, to hear of it.
    let words = "trap 'exit 4' TERM; touch asleep; while :; do sleep 0.02; done";
    let asleep = suite.launch("asleep", words, "on TERM exit 4; ignore STOP");
    suite.start(&asleep).await;
    suite.file("asleep").await;
    let stop = Signal::from_number(19).unwrap();
    within("the signal", suite.backend.signal(&asleep.id, stop, Whom::All)).await.unwrap();
    within("the stop", suite.backend.stop(&asleep.id, Signal::TERM)).await.unwrap();
    assert_eq!(suite.exit(&asleep).await, Exit::Code(4));
    suite.finish(&asleep, false).await;

    let deaf =
        suite.launch("deaf", "trap '' TERM INT; touch deaf; while :; do sleep 0.02; done", "ignore TERM; ignore INT");
    suite.start(&deaf).await;
    suite.file("deaf").await;
    within("the stop", suite.backend.stop(&deaf.id, Signal::TERM)).await.unwrap();
    within("the signal", suite.backend.signal(&deaf.id, Signal::from_number(2).unwrap(), Whom::All)).await.unwrap();
    let pids = suite.backend.processes(&deaf.id);
    assert!(!pids.is_empty(), "it lives on");
    suite.clear(&deaf, &pids).await;
    assert_eq!(suite.exit(&deaf).await, Exit::Signal(9));
    suite.finish(&deaf, false).await;
}

pub(super) async fn nothing_is_left_of_a_tree(suite: &mut Suite<impl Backend>) {
    // A child with a session of its own, a grandchild whose parent has gone, and a child's child.
    let script = "setsid sleep 1000 & (setsid sleep 1000 &) ; sh -c 'sleep 1000 & wait' & wait";
    let tree = suite.launch("tree", script, "children 4");
    let placed = suite.start(&tree).await;
    until("the whole tree", || suite.backend.processes(&tree.id).len() >= 5).await;
    let pids = suite.backend.processes(&tree.id);
    assert!(pids.contains(&main_pid(&placed)));
    suite.clear(&tree, &pids).await;
    assert_eq!(suite.exit(&tree).await, Exit::Signal(9));
    suite.finish(&tree, false).await;
}

pub(super) async fn what_outlives_the_main_process_is_cleared(suite: &mut Suite<impl Backend>) {
    let script = "setsid sleep 1000 & echo $! > left; (setsid sh -c 'echo $$ > further; exec sleep 1000' &); \
                  while [ ! -s further ]; do sleep 0.01; done; exit 3";
    let tree = suite.launch("outlives", script, "exit 3; children 2");
    suite.start(&tree).await;
    assert_eq!(suite.exit(&tree).await, Exit::Code(3));
    let pids: Vec<u32> = match suite.is_sim() {
        true => Vec::new(),
        false => ["left", "further"]
            .map(|name| std::fs::read_to_string(suite.path(name)).unwrap().trim().parse().unwrap())
            .to_vec(),
    };
    suite.clear(&tree, &pids).await;
    suite.finish(&tree, false).await;
}

pub(super) async fn what_carries_the_mark_is_found(suite: &mut Suite<impl Backend>) {
    let one = suite.launch("marked", "exec sleep 1000", "");
    let placed = suite.start(&one).await;
    let marked = within("the search", suite.backend.marked()).await.unwrap();
    let found = marked.iter().find(|marked| marked.id == one.id).expect("it is found by its mark");
    assert!(found.processes.iter().any(|process| process.pid == main_pid(&placed)), "{found:?}");
    suite.finish(&one, true).await;
    let marked = within("the search", suite.backend.marked()).await.unwrap();
    assert!(!marked.iter().any(|marked| marked.id == one.id), "{marked:?}");
}
