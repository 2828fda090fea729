//! What a service wrote that ended while no daemon ran.

use super::*;
use crate::logs::keeper::tests::in_a_thread;

fn capture(places: &Places) -> Capture {
    Capture::with_keeper(places, Some(in_a_thread)).unwrap()
}

fn is_there(places: &Places) -> bool {
    places.runtime.join("keeper").exists()
}

#[test]
fn last_words_are_there_for_the_next_daemon() {
    let dir = tempfile::tempdir().unwrap();
    let places = Places::below(dir.path());
    for round in 0..3 {
        let mut service = local(async || Service::from(capture(&places).open(&id()).unwrap()));
        service.out("one\ntwo\n");
        service.err("why it ended\nthree");
        drop(service);
        local(async || {
            let capture = capture(&places);
            assert!(capture.has_pipes(&id()));
            match round {
                // It is looked for, it is started again, or it is done with.
                0 => capture.resume(&id()).unwrap(),
                1 => drop(capture.open(&id()).unwrap()),
                _ => {}
            }
            capture.close(&id()).unwrap();
            assert!(!capture.has_pipes(&id()));
        });
        let all = words(&all(&places));
        let run = ["out: one", "out: two", "err: why it ended", "err: three"];
        assert_eq!(all, run.repeat(round + 1), "round {round}");
    }
    // Nothing is held any more, and nobody is connected.
    let begin = std::time::Instant::now();
    while is_there(&places) {
        assert!(begin.elapsed() < DEADLINE, "the keeper stays");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_keeper_that_ends_is_made_again_and_holds_what_is_there() {
    use std::sync::atomic::{AtomicU32, Ordering};
    static MADE: AtomicU32 = AtomicU32::new(0);
    let dir = tempfile::tempdir().unwrap();
    let places = Places::below(dir.path());
    let mut service = local(async || {
        let make: crate::logs::keeper::Make = |listener, places| match MADE.fetch_add(1, Ordering::Relaxed) {
            // The first one goes at once.
            0 => Ok(None),
            _ => in_a_thread(listener, places),
        };
        let capture = Capture::with_keeper(&places, Some(make)).unwrap();
        let service = Service::from(capture.open(&id()).unwrap());
        while MADE.load(Ordering::Relaxed) < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // What is there is held in the same turn.
        service
    });
    service.out("last words\n");
    drop(service);
    local(async || capture(&places).close(&id()).unwrap());
    assert_eq!(words(&all(&places)), ["out: last words"]);
}

#[test]
fn what_is_in_the_pipes_is_read_without_a_daemon() {
    let dir = tempfile::tempdir().unwrap();
    let places = Places::below(dir.path());
    let mut service = local(async || {
        let capture = capture(&places);
        let mut service = Service::from(capture.open(&id()).unwrap());
        let mut run = capture.lines(&id()).unwrap();
        service.out("one\ntw");
        assert_eq!(run.next().await.unwrap().text, b"one");
        service
    });
    service.out("o\nthr");
    service.err("bad\n");
    for _ in 0..2 {
        for count in 0..5 {
            let query = Query { lines: Some(count), ..Query::default() };
            let mut reader = crate::logs::read::read_all(&places, &id(), &query).unwrap().unwrap();
            let found: Vec<Line> = std::iter::from_fn(|| reader.next().unwrap()).collect();
            let mut found = words(&found);
            let expected = ["out: one", "out: two", "err: bad", "out: thr"];
            assert_eq!(found.len(), count.min(4), "{found:?}");
            found.retain(|line| !expected.contains(&line.as_str()));
            assert!(found.is_empty(), "{found:?}");
        }
    }
    // It was only looked at.
    service.out("ee\n");
    drop(service);
    local(async || capture(&places).close(&id()).unwrap());
    let mut found = words(&all(&places));
    found.sort();
    assert_eq!(found, ["err: bad", "out: one", "out: three", "out: two"]);
}
