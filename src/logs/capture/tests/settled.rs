//! Where files are, and how lines are given, as the settings of a service say.

use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::*;
use crate::logs::Pattern;
use crate::logs::form::Form;
use crate::logs::layout::Side;
use crate::logs::read::Follow;
use crate::logs::spool::Spool;
use crate::model::service::{Ansi, LogSpec, Size};

#[test]
fn long_lines_are_given_in_parts_whoever_looks() {
    let dir = tempfile::tempdir().unwrap();
    let places = Places::below(dir.path());
    local(async || {
        let capture = Capture::new(&places).unwrap();
        let mut service = Service::from(capture.open(&id()).unwrap());
        for length in 0..70 {
            let line = "0123456789".repeat(7);
            service.out(&line[..length / 2]);
            if length % 3 == 0 {
                tokio::time::sleep(Duration::from_micros(300)).await;
            }
            service.out(&format!("{}\n", &line[length / 2..length]));
        }
        service.out("last");
        capture.close(&id()).unwrap();
    });
    // Asked for when they were there already: they are given so.
    let settings = LogSpec { max_line: Size(16), ..LogSpec::default() };
    crate::logs::settle(&places, &id(), &settings, None).unwrap();
    let all = given(&places, &Query::default());
    let parts = |length: usize| {
        let line = "0123456789".repeat(7);
        let (first, mut rest) = line[..length].split_at(length.min(16));
        let mut parts = vec![first.to_owned()];
        while !rest.is_empty() {
            let (part, more) = rest.split_at(rest.len().min(13));
            parts.push(format!("…{part}"));
            rest = more;
        }
        parts
    };
    let mut meant: Vec<String> = (0..70).flat_map(parts).collect();
    meant.push("last".to_owned());
    assert_eq!(words(&all), meant.iter().map(|part| format!("out: {part}")).collect::<Vec<_>>());
    for count in 0..all.len() {
        let last = given(&places, &Query { lines: Some(count), ..Query::default() });
        assert_eq!(words(&last), words(&all[all.len() - count..]), "the last {count}");
    }
}

#[test]
fn colours_are_kept_or_stripped_and_found_through() {
    let dir = tempfile::tempdir().unwrap();
    let places = Places::below(dir.path());
    local(async || {
        let capture = Capture::new(&places).unwrap();
        let mut service = Service::from(capture.open(&id()).unwrap());
        service.out("\x1b[31mer\x1b[1mror\x1b[0m: x\nplain\n");
        capture.close(&id()).unwrap();
    });
    let query = Query { grep: Some(Pattern::new("^error", false).unwrap()), ..Query::default() };
    assert_eq!(words(&given(&places, &query)), ["out: \x1b[31mer\x1b[1mror\x1b[0m: x"]);
    crate::logs::settle(&places, &id(), &LogSpec { ansi: Ansi::Strip, ..LogSpec::default() }, None).unwrap();
    assert_eq!(words(&given(&places, &Query::default())), ["out: error: x", "out: plain"]);
    // What was written is there.
    assert!(std::fs::read(places.logs.join("llm/1.out")).unwrap().starts_with(b"\x1b[31m"));
}

/// As somebody asked for it.
fn asked_for(max_line: u64) -> LogSpec {
    LogSpec { max_line: Size(max_line), ansi: Ansi::Strip, ..LogSpec::default() }
}

#[test]
fn lines_are_kept_in_the_form_that_was_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let places = Places::below(dir.path());
    let folder = places.logs.join("llm");
    let wait = async |service: &Service| {
        while rustix::io::ioctl_fionread(&service.out).unwrap() > 0 {
            tokio::task::yield_now().await;
        }
    };
    crate::logs::settle(&places, &id(), &asked_for(20), None).unwrap();
    local(async || {
        let capture = Capture::new(&places).unwrap();
        let mut service = Service::from(capture.open(&id()).unwrap());
        let mut run = capture.lines(&id()).unwrap();
        // In pieces that end in a sequence and in a character.
        for piece in ["\x1b[3", "1mred\x1b[0m \u{20ac} 0123456789abc", "def\n\x1b]0;ti", "tle\x07two\nthr"] {
            service.out(piece);
            wait(&service).await;
        }
        assert_eq!(run.next().await.unwrap().text, "red € 0123456789ab".as_bytes());
        // What is not finished is there as well, with and without a daemon.
        let meant = ["out: red € 0123456789ab", "out: …cdef", "out: two", "out: thr"];
        assert_eq!(words(&given(&places, &Query::default())), meant);
        // Another one: the old settings are those of what was written before.
        service.out("\x1b[");
        wait(&service).await;
        crate::logs::settle(&places, &id(), &LogSpec::default(), None).unwrap();
        let mut service = Service::from(capture.open(&id()).unwrap());
        service.out("\x1b[1mas it is\x1b[0m\n");
        wait(&service).await;
        assert!(!folder.join("out.raw").exists());
        crate::logs::settle(&places, &id(), &asked_for(16), None).unwrap();
        let mut service = Service::from(capture.open(&id()).unwrap());
        service.out("\x1b[1m0123456789abcdef0123\n");
        service.err("end\x1b[");
        capture.close(&id()).unwrap();
    });
    let text = std::fs::read_to_string(folder.join("1.out")).unwrap();
    assert_eq!(text, "red € 0123456789ab\n…cdef\ntwo\nthr\x1b[1mas it is\x1b[0m\n0123456789abcdef\n…0123\n");
    assert_eq!(std::fs::read(folder.join("1.err")).unwrap(), b"end");
    assert!(!folder.join("out.raw").exists() && !folder.join("err.raw").exists());
}

#[test]
fn what_a_killed_daemon_had_on_its_way_is_there_once() {
    let dir = tempfile::tempdir().unwrap();
    let places = Places::below(dir.path());
    crate::logs::settle(&places, &id(), &asked_for(16), None).unwrap();
    let mut service = local(async || {
        let capture = Capture::new(&places).unwrap();
        let mut service = Service::from(capture.open(&id()).unwrap());
        let mut run = capture.lines(&id()).unwrap();
        service.out("one\n");
        assert_eq!(run.next().await.unwrap().text, b"one");
        service
    });
    let folder = places.logs.join("llm");
    // It has moved this, and has written some of it.
    let spool = Spool::open(&folder, Side::Out, true).unwrap().unwrap();
    let raw = b"\x1b[1mtwo\x1b[0m 0123456789abcdef\nthree\n";
    std::os::unix::fs::FileExt::write_all_at(&spool.file, raw, spool.end().unwrap()).unwrap();
    let (mut whole, mut column) = (Vec::new(), 0);
    Form::of(&asked_for(16)).apply(raw, false, usize::MAX, &mut column, &mut whole);
    service.out("\x1b[1mfour\x1b[0m\n");
    let meant = ["out: one", "out: two 0123456789ab", "out: …cdef", "out: three", "out: four"];
    for written in [0, 1, 10, whole.len()] {
        let file = std::fs::File::options().append(true).open(folder.join("1.out")).unwrap();
        file.set_len(4).unwrap();
        std::io::Write::write_all(&mut &file, &whole[..written]).unwrap();
        assert_eq!(words(&given(&places, &Query::default())), meant, "{written} bytes were written");
    }
    local(async || {
        let capture = Capture::new(&places).unwrap();
        capture.resume(&id()).unwrap();
        capture.close(&id()).unwrap();
    });
    assert_eq!(words(&given(&places, &Query::default())), meant);
    let bytes = std::fs::read(folder.join("1.out")).unwrap();
    assert_eq!(String::from_utf8(bytes).unwrap(), "one\ntwo 0123456789ab\n…cdef\nthree\nfour\n");
}

#[test]
fn who_follows_goes_where_the_files_go() {
    let dir = tempfile::tempdir().unwrap();
    let places = Places::below(dir.path());
    let there = tempfile::tempdir_in("/var/lib").or_else(|_| tempfile::tempdir_in(dir.path())).unwrap();
    let elsewhere =
        |path: &str| crate::logs::settle(&places, &id(), &LogSpec::default(), Some(&there.path().join(path)));
    local(async || {
        let capture = Capture::new(&places).unwrap();
        let mut follow = Follow::new().unwrap();
        follow.add(&places, &id(), &Query::default()).unwrap();
        let mut next = async |meant: &str| assert_eq!(follow.next().await.unwrap().1.text, meant.as_bytes());
        let mut service = Service::from(capture.open(&id()).unwrap());
        service.out("one\n");
        next("one").await;
        for round in ["two", "three"] {
            elsewhere("a").unwrap();
            // Of the run before: nobody has read it when the next begins.
            service.out(&format!("last of {round}\nnot finished"));
            service = Service::from(capture.open(&id()).unwrap());
            service.out(&format!("{round}\n"));
            next(&format!("last of {round}")).await;
            next("not finished").await;
            next(round).await;
            elsewhere("b").unwrap();
            service = Service::from(capture.open(&id()).unwrap());
            service.out("between\n");
            next("between").await;
        }
        // In the folder where it was from the beginning; what is there already is not told again.
        crate::logs::settle(&places, &id(), &LogSpec::default(), None).unwrap();
        let mut service = Service::from(capture.open(&id()).unwrap());
        service.out("end\n");
        next("end").await;
    });
}

#[test]
fn files_are_where_the_user_wants_them() {
    let dir = tempfile::tempdir().unwrap();
    let places = Places::below(dir.path());
    // Not the folder of others, which /tmp is below.
    let there = tempfile::tempdir_in("/var/lib").or_else(|_| tempfile::tempdir_in(dir.path())).unwrap();
    let elsewhere = there.path().join("logs");
    let run = |text: &str| {
        local(async || {
            let capture = Capture::new(&places).unwrap();
            let mut service = Service::from(capture.open(&id())?);
            service.out(text);
            drop(service);
            capture.close(&id())
        })
    };
    assert_eq!(crate::logs::size(&places, &id()), None);
    run("first\n").unwrap();
    crate::logs::settle(&places, &id(), &LogSpec::default(), Some(&elsewhere)).unwrap();
    run("second\n").unwrap();
    assert_eq!(std::fs::read(elsewhere.join("llm/1.out")).unwrap(), b"second\n");
    assert_eq!(words(&given(&places, &Query::default())), ["out: second"]);
    // Its bytes, and two entries of its index: begun, and come.
    let index = std::fs::metadata(elsewhere.join("llm/1.index")).unwrap().len();
    assert_eq!(crate::logs::size(&places, &id()), Some(index + 7));
    crate::logs::settle(&places, &id(), &LogSpec::default(), None).unwrap();
    run("third\n").unwrap();
    assert_eq!(words(&given(&places, &Query::default())), ["out: first", "out: third"]);
    // A folder that others may write, and a link in its place.
    crate::logs::settle(&places, &id(), &LogSpec::default(), Some(&elsewhere)).unwrap();
    std::fs::set_permissions(elsewhere.join("llm"), std::fs::Permissions::from_mode(0o777)).unwrap();
    assert!(run("x").unwrap_err().to_string().contains("log.path: "));
    std::fs::remove_dir_all(elsewhere.join("llm")).unwrap();
    symlink("/tmp", elsewhere.join("llm")).unwrap();
    assert!(run("x").unwrap_err().to_string().contains("log.path: "));
    assert!(!std::path::Path::new("/tmp/1.out").exists());
}
