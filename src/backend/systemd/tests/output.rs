//! What services write, in the journal.

use std::time::Duration;

use super::*;
use crate::backend::{Happened, What};
use crate::logs::{Line, Stream, journal};
use crate::model::Manager;

const LIMIT: Duration = Duration::from_secs(20);

fn source(scope: Scope, id: &str) -> journal::Source {
    let manager = match scope {
        Scope::System => Manager::System,
        Scope::User(uid) => Manager::User(uid),
    };
    journal::Source {
        manager,
        unit: crate::backend::systemd::unit::name_of(&id.parse().unwrap()).unwrap(),
        service: Some(id.parse().unwrap()),
    }
}

fn text(line: &Line) -> String {
    String::from_utf8_lossy(&line.text).into_owned()
}

async fn next(journal: &mut journal::Journal) -> Line {
    tokio::time::timeout(LIMIT, journal.next()).await.expect("a line comes").unwrap().expect("it goes on")
}

/// No line of a program that ends at once is missing, and each stands in its stream.
#[test]
fn last_words_are_kept() {
    with_manager(async |scope| {
        let (backend, mut happened) = make(scope).await;
        let word = format!("w{}", std::process::id());
        let query = journal::Query { follow: true, tail: Some(0), ..journal::Query::default() };
        let mut live = journal::Journal::open(source(scope, "words"), &query).await.unwrap();
        for n in 0..20 {
            let one = launch("words", &format!("echo {word} {n}; echo {word} {n} >&2; exit 1"));
            backend.start(&one, 1, &|_| Ok(())).await.unwrap();
            let Some(Happened { what: What::Exited(_), .. }) = happened.recv().await else { panic!("no exit") };
            backend.clear(&one.id).await.unwrap();
        }
        backend.release(&"words".parse().unwrap()).await;
        let mut seen = Vec::new();
        while seen.len() < 40 {
            let line = next(&mut live).await;
            if text(&line).starts_with(&word) {
                seen.push((line.stream, text(&line)));
            }
        }
        for n in 0..20 {
            for stream in [Stream::Out, Stream::Err] {
                assert!(seen.contains(&(stream, format!("{word} {n}"))), "{n} {stream:?} of {seen:?}");
            }
        }
        // The same from the past, and only a part of it.
        let read = async |query: journal::Query| {
            let mut journal = journal::Journal::open(source(scope, "words"), &query).await.unwrap();
            let mut lines = Vec::new();
            while let Some(line) = journal.next().await.unwrap() {
                lines.push((line.stream, text(&line)));
            }
            lines
        };
        let all = read(journal::Query::default()).await;
        assert_eq!(all.iter().filter(|(_, text)| text.starts_with(&word)).count(), 40);
        let tail = read(journal::Query { tail: Some(5), ..journal::Query::default() }).await;
        assert_eq!(tail, all[all.len() - 5..]);
        let errors = read(journal::Query { tail: Some(20), stderr: true, ..journal::Query::default() }).await;
        assert!(errors.iter().all(|(stream, text)| *stream == Stream::Err && text.starts_with(&word)), "{errors:?}");
        let notes = read(journal::Query { notes: true, ..journal::Query::default() }).await;
        assert!(notes.iter().any(|(stream, text)| *stream == Stream::Note && text.contains("words")));
        let since = Some(crate::clock::now() + Duration::from_secs(60));
        assert!(read(journal::Query { since, ..journal::Query::default() }).await.is_empty());
    });
}

#[test]
fn captured_output_goes_where_it_is_led() {
    with_manager(async |scope| {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().to_owned();
        let capture: Capture = Box::new(move |id| {
            let open =
                |name: &str| std::fs::File::options().create(true).append(true).open(at.join(format!("{id}.{name}")));
            Ok((open("out")?.into(), open("err")?.into()))
        });
        let (reports, mut happened) = unbounded_channel();
        let backend =
            Systemd::connect(Options { capture: Some(capture), ..options(scope, TEST_INSTANCE, reports) }).await;
        let backend = backend.unwrap();
        let one = Launch { log_file: true, ..launch("led", "echo out; echo err >&2; exit 4") };
        for _ in 0..2 {
            backend.start(&one, 1, &|_| Ok(())).await.unwrap();
            let Some(Happened { what: What::Exited(_), .. }) = happened.recv().await else { panic!("no exit") };
            backend.clear(&one.id).await.unwrap();
        }
        let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
        assert_eq!((read("led.out"), read("led.err")), ("out\nout\n".to_owned(), "err\nerr\n".to_owned()));
        backend.release(&one.id).await;
    });
}
