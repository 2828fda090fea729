//! What is captured over the life of a service, and read.

use std::os::unix::fs::FileTypeExt as _;
use std::time::Duration;

use super::*;
use crate::logs::capture::matching;
use crate::logs::read::Follow;

#[test]
fn lines_of_both_streams_stand_in_the_order_of_reading() {
    let dir = tempfile::tempdir().unwrap();
    let places = Places::below(dir.path());
    local(async || {
        let capture = Capture::new(&places).unwrap();
        let mut service = Service::from(capture.open(&id()).unwrap());
        let mut follow = Follow::new().unwrap();
        follow.add(&places, &id(), &Query::default()).unwrap();
        // A line that is not finished does not keep the other stream's from being seen, and is
        // not torn by it.
        service.out("one\ntw");
        assert_eq!(text(follow.next().await), "one");
        service.err("bad\n");
        assert_eq!(text(follow.next().await), "bad");
        service.out("o\nthree");
        assert_eq!(text(follow.next().await), "two");
        assert_eq!(words(&all(&places)), ["out: one", "err: bad", "out: two", "out: three"]);
        drop(service);
        capture.close(&id()).unwrap();
        assert_eq!(text(follow.next().await), "three");
        assert!(std::fs::read_dir(places.state.join("fifo")).unwrap().next().is_none());
    });
    let written = std::fs::read(places.logs.join("llm/1.out")).unwrap();
    assert_eq!(written, b"one\ntwo\nthree");
}

fn text(next: std::io::Result<(ServiceId, Line)>) -> String {
    let (_, line) = next.unwrap();
    String::from_utf8(line.text).unwrap()
}

#[test]
fn a_query_takes_the_last_those_since_and_those_of_standard_error() {
    let dir = tempfile::tempdir().unwrap();
    let places = Places::below(dir.path());
    let folder = crate::logs::folder(&places, &id());
    local(async || {
        let capture = Capture::new(&places).unwrap();
        let mut follow = Follow::new().unwrap();
        // Before there is anything to follow.
        follow.add(&places, &id(), &Query::default()).unwrap();
        for run in 0..3 {
            let mut service = Service::from(capture.open(&id()).unwrap());
            for n in 0..40 {
                service.out(&format!("{run}.{n}\n"));
                follow.next().await.unwrap();
                if n % 10 == 0 {
                    service.err(&format!("{run}.{n} bad\n"));
                    follow.next().await.unwrap();
                }
            }
            service.out("end");
        }
        capture.close(&id()).unwrap();
    });
    let all = all(&places);
    assert_eq!(all.len(), 3 * 45);
    assert_eq!(words(&all)[44..46], ["out: 0.end".replace("0.", ""), "out: 1.0".to_owned()]);
    assert!(all.is_sorted_by_key(|line| line.at));
    every_tail(&places);
    for (at, line) in all.iter().enumerate() {
        let first = all.iter().position(|other| other.at == line.at).unwrap();
        let since = lines(&folder, &Query { since: Some(line.at), ..Query::default() });
        assert_eq!(words(&since), words(&all[first..]), "since line {at}");
        let some = lines(&folder, &Query { since: Some(line.at), lines: Some(3), ..Query::default() });
        assert_eq!(words(&some), words(&all[first.max(all.len() - 3)..]), "the last 3 since line {at}");
    }
}

#[test]
fn what_is_written_while_no_daemon_runs_is_captured_by_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let places = Places::below(dir.path());
    let mut service = local(async || {
        let capture = Capture::new(&places).unwrap();
        Service::from(capture.open(&id()).unwrap())
    });
    service.out("one\ntw");
    service.err("bad\n");
    // Not even a file: nobody has moved anything.
    assert!(all(&places).is_empty());
    local(async || {
        let capture = Capture::new(&places).unwrap();
        capture.resume(&id()).unwrap();
        let mut run = capture.lines(&id()).unwrap();
        assert_eq!(run.next().await.unwrap().text, b"one");
        assert_eq!(run.next().await.unwrap().text, b"bad");
        service.out("o\n");
        assert_eq!(run.next().await.unwrap().text, b"two");
    });
    // Bytes whose entry was never written are lines all the same.
    let index = places.logs.join("llm/1.index");
    let whole = std::fs::read(&index).unwrap();
    for cut in 0..=whole.len() {
        std::fs::write(&index, &whole[..cut]).unwrap();
        let mut found = words(&all(&places));
        found.sort();
        assert_eq!(found, ["err: bad", "out: one", "out: two"], "cut at {cut}");
    }
    std::fs::write(&index, "rubbish that is long enough to be looked at as the header of an index").unwrap();
    assert_eq!(all(&places).len(), 3);
    local(async || {
        let capture = Capture::new(&places).unwrap();
        capture.resume(&id()).unwrap();
        service.out("three\n");
        capture.close(&id()).unwrap();
        assert_eq!(words(&all(&places)).len(), 4);
        // Of what is not captured there is nothing to close.
        capture.close(&id()).unwrap();
    });
}

#[test]
fn tails_begin_where_lines_do_however_they_were_written() {
    let dir = tempfile::tempdir().unwrap();
    let places = Places::below(dir.path());
    let mut dice = kills::Dice(7);
    local(async || {
        let capture = Capture::new(&places).unwrap();
        let mut service = Service::from(capture.open(&id()).unwrap());
        for n in 0..600 {
            // Most are not finished, or finish one and begin others.
            let text = "words ".repeat(usize::try_from(dice.up_to(4)).unwrap());
            let text = format!("{text}{n}{}", "\n".repeat(usize::try_from(dice.up_to(2)).unwrap()));
            if dice.up_to(3) == 0 {
                service.err(&text)
            } else {
                service.out(&text)
            }
            match dice.up_to(40) {
                0 => {
                    capture.close(&id()).unwrap();
                    service = Service::from(capture.open(&id()).unwrap());
                }
                1 => service = Service::from(capture.open(&id()).unwrap()),
                2..10 => tokio::time::sleep(Duration::from_micros(100)).await,
                _ => {}
            }
        }
        // As it is, and once it has ended.
        every_tail(&places);
        capture.close(&id()).unwrap();
        every_tail(&places);
    });
}

#[test]
fn what_is_taken_over_or_about_to_be_killed_is_moved_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let places = Places::below(dir.path());
    let mut service = local(async || Service::from(Capture::new(&places).unwrap().open(&id()).unwrap()));
    service.out("one\n");
    // Nothing is awaited here, so that the task that moves everything never has its turn.
    local(async || {
        let capture = Capture::new(&places).unwrap();
        capture.resume(&id()).unwrap();
        assert_eq!(words(&all(&places)), ["out: one"]);
        service.err("two\n");
        capture.drain(&id()).unwrap();
        drop(service);
        assert_eq!(words(&all(&places)), ["out: one", "err: two"]);
        // Of what is not captured there is nothing to move.
        capture.drain(&"other".parse().unwrap()).unwrap();
    });
}

#[test]
fn a_word_of_the_present_run_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let places = Places::below(dir.path());
    local(async || {
        let capture = Capture::new(&places).unwrap();
        let mut service = Service::from(capture.open(&id()).unwrap());
        service.out("ready in 3 s\nlistening on");
        let mut service = Service::from(capture.open(&id()).unwrap());
        let wait = async || matching(capture.lines(&id()).unwrap(), "^(ready|listening)").await;
        // That was the run before.
        let early = tokio::time::timeout(Duration::from_millis(50), wait()).await;
        assert!(early.is_err(), "{early:?}");
        service.err("ready");
        let early = tokio::time::timeout(Duration::from_millis(50), wait()).await;
        assert!(early.is_err(), "{early:?}");
        service.err(" now\n");
        wait().await.unwrap();
        assert!(matching(capture.lines(&id()).unwrap(), "(").await.unwrap_err().starts_with("not a regular"));
        assert!(capture.lines(&"other".parse().unwrap()).is_err());
    });
}

#[test]
fn something_else_in_the_place_of_a_pipe_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let places = Places::below(dir.path());
    let fifo = places.state.join("fifo");
    local(async || {
        let capture = Capture::new(&places).unwrap();
        drop(capture.open(&id()).unwrap());
        capture.close(&id()).unwrap();
        let path = fifo.join("llm.err");
        let refused = |why: &str| {
            let error = capture.open(&id()).unwrap_err().to_string();
            assert!(error.contains("llm.err") && error.ends_with(why), "{error}");
            std::fs::remove_file(&path).unwrap();
        };
        std::fs::write(&path, "").unwrap();
        refused("something else than a named pipe is there");
        std::os::unix::fs::symlink("/dev/null", &path).unwrap();
        refused("something else than a named pipe is there");
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, mode).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o620)).unwrap();
        refused("others could read or write it");
        drop(capture.open(&id()).unwrap());
        assert!(path.symlink_metadata().unwrap().file_type().is_fifo());
    });
}

#[test]
fn a_line_without_end_comes_in_parts() {
    let dir = tempfile::tempdir().unwrap();
    let places = Places::below(dir.path());
    local(async || {
        let capture = Capture::new(&places).unwrap();
        let mut service = Service::from(capture.open(&id()).unwrap());
        let writer = std::thread::spawn(move || {
            service.out(&"x".repeat(3 << 20));
            service.out("\nnext\n");
        });
        let mut run = capture.lines(&id()).unwrap();
        let mut length = 0;
        loop {
            let line = run.next().await.unwrap();
            if line.text == b"next" {
                break;
            }
            assert!(line.text.len() <= 3 << 19);
            length += line.text.iter().filter(|byte| **byte == b'x').count();
        }
        assert_eq!(length, 3 << 20);
        writer.join().unwrap();
        let folder = crate::logs::folder(&places, &id());
        let last = lines(&folder, &Query { lines: Some(1), ..Query::default() });
        assert_eq!(words(&last), ["out: next"]);
    });
}
