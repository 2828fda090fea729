//! Capture and what is read of it, on real pipes and files.

mod kept;
mod kills;
mod limits;
mod lives;
mod rotation;
mod settled;

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

/// As it is given, by its settings.
fn given(places: &Places, query: &Query) -> Vec<Line> {
    let mut reader = crate::logs::read::read_all(places, &id(), query).unwrap().expect("nothing was captured");
    std::iter::from_fn(|| reader.next().unwrap()).collect()
}

/// Waits for what comes without being told.
async fn until(what: &str, is_so: impl Fn() -> bool) {
    let begin = std::time::Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < DEADLINE / 2, "never: {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// The bytes of the streams that are in files, by what these say.
fn kept(places: &Places) -> [u64; 2] {
    use crate::logs::layout::{Files, Side, numbers};
    let dir = crate::logs::folder(places, &id());
    let newest = numbers(&dir).unwrap().last().copied().unwrap();
    let files = Files::open(&dir, newest).unwrap().unwrap();
    [Side::Out, Side::Err].map(|side| files.end(side).unwrap().0)
}

/// The last N lines are those of all, whatever N.
fn every_tail(places: &Places) {
    let folder = crate::logs::folder(places, &id());
    for stderr in [false, true] {
        let mut all = lines(&folder, &Query::default());
        all.retain(|line| !stderr || line.stream == Stream::Err);
        for count in (0..all.len() + 2).step_by(1 + all.len() / 60) {
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
