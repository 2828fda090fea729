//! Where files are, and how lines are given, as the settings of a service say.

use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::*;
use crate::logs::Pattern;
use crate::model::service::{Ansi, LogSpec, Size};

#[test]
fn long_lines_are_given_in_parts_whoever_looks() {
    let dir = tempfile::tempdir().unwrap();
    let places = Places::below(dir.path());
    let settings = LogSpec { max_line: Size(10), ..LogSpec::default() };
    crate::logs::settle(&places, &id(), &settings, None).unwrap();
    local(async || {
        let capture = Capture::new(&places).unwrap();
        let mut service = Service::from(capture.open(&id()).unwrap());
        for length in 0..45 {
            let line = "0123456789".repeat(5);
            service.out(&line[..length / 2]);
            if length % 3 == 0 {
                tokio::time::sleep(Duration::from_micros(300)).await;
            }
            service.out(&format!("{}\n", &line[length / 2..length]));
        }
        service.out("last");
        capture.close(&id()).unwrap();
    });
    let all = given(&places, &Query::default());
    let parts = |length: usize| (0..length.max(1)).step_by(10).map(move |at| (length - at).min(10));
    assert!(all.iter().map(|line| line.text.len()).eq((0..45).flat_map(parts).chain([4])), "{:?}", words(&all));
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
    run("first\n").unwrap();
    crate::logs::settle(&places, &id(), &LogSpec::default(), Some(&elsewhere)).unwrap();
    run("second\n").unwrap();
    assert_eq!(std::fs::read(elsewhere.join("llm/1.out")).unwrap(), b"second\n");
    assert_eq!(words(&given(&places, &Query::default())), ["out: second"]);
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
