//! Capture and what is read of it, on real pipes and files.

mod kept;
mod kills;
mod limits;
mod lives;

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use super::{Capture, Streams};
use crate::logs::read::{Query, read};
use crate::logs::{Line, Stream};
use crate::model::ServiceId;
use crate::paths::Places;

/// Past it, something never comes.
const DEADLINE: Duration = Duration::from_secs(60);

fn id() -> ServiceId {
    "llm".parse().unwrap()
}

/// Runs it as the daemon would.
fn local<T>(what: impl AsyncFnOnce() -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new()
        .block_on(&runtime, async { tokio::time::timeout(DEADLINE, what()).await.expect("it never came") })
}

struct Service {
    out: File,
    err: File,
}

impl From<Streams> for Service {
    fn from(streams: Streams) -> Self {
        Self { out: streams.out.into(), err: streams.err.into() }
    }
}

impl Service {
    fn out(&mut self, text: &str) {
        self.out.write_all(text.as_bytes()).unwrap();
    }

    fn err(&mut self, text: &str) {
        self.err.write_all(text.as_bytes()).unwrap();
    }
}

fn lines(dir: &Path, query: &Query) -> Vec<Line> {
    let mut reader = read(dir, query).unwrap().expect("nothing was captured");
    std::iter::from_fn(|| reader.next().unwrap()).collect()
}

fn all(places: &Places) -> Vec<Line> {
    lines(&crate::logs::folder(places, &id()), &Query::default())
}

/// The last N lines are those of all, whatever N.
fn every_tail(places: &Places) {
    let folder = crate::logs::folder(places, &id());
    for stderr in [false, true] {
        let mut all = lines(&folder, &Query::default());
        all.retain(|line| !stderr || line.stream == Stream::Err);
        for count in (0..all.len() + 2).step_by(1 + all.len() / 200) {
            let last = lines(&folder, &Query { lines: Some(count), stderr, ..Query::default() });
            let meant = &all[all.len().saturating_sub(count)..];
            assert!(last == meant, "the last {count}: {:?}, and not {:?}", words(&last), words(meant));
        }
    }
}

/// `out: text`.
fn words(lines: &[Line]) -> Vec<String> {
    let word = |line: &Line| {
        let stream = match line.stream {
            Stream::Out => "out",
            Stream::Err => "err",
            Stream::Note => "note",
        };
        format!("{stream}: {}", String::from_utf8_lossy(&line.text))
    };
    lines.iter().map(word).collect()
}
