//! `/api/v1/services/ID/logs`: what a service has written, as text or as server-sent events.

use std::collections::VecDeque;

use axum::body::Bytes;
use axum::http::{Method, StatusCode};
use regex_lite::Regex;

use super::call::{Answered, Call};
use super::endpoint::{Endpoint, Gives};
use super::problem::Problem;
use super::query::{Kind, param};
use super::stream::{ALIVE, EVENTS, TEXT, Writer, answer, event};
use crate::logs::{Line, Stream};
use crate::observe::{Observer, Units};
use crate::services::{Lines, Output, Piece, Query, Source};
use crate::tokens::Scope;

/// Lines without `lines`, and the most of them.
const LINES: (usize, u64) = (1000, 100_000);
/// After so many lines others have a turn: files are read without waiting.
const TURN: usize = 256;

pub(super) static ENDPOINTS: &[Endpoint] = &[Endpoint {
    method: Method::GET,
    path: "/api/v1/services/{id}/logs",
    scope: Some(Scope::Read),
    system: true,
    about: "What it has written: its last lines, and with follow=true what it goes on to write. As text, or, with \
            Accept: text/event-stream, as server-sent events.",
    params: &[
        param("follow", Kind::Flag, "go on with what it writes"),
        param("lines", Kind::Whole(0, LINES.1), "so many of the last lines; 1000 without it"),
        param("since", Kind::Time, "only those since then: 10m, or 2026-01-30T10:00:00Z"),
        param("grep", Kind::Text(256), "only lines that this regular expression matches"),
        param("stderr", Kind::Flag, "only those of standard error"),
    ],
    body: None,
    gives: Gives::Text(
        &[TEXT, EVENTS],
        "lines; each event's data is one JSON object, as `provost logs -o json` prints it",
    ),
    fails: &[403, 404, 409, 503],
    handler: |call| Box::pin(logs(call)),
}];

/// What is wanted of the lines.
struct Wanted {
    pattern: Option<Regex>,
    lines: usize,
    events: bool,
}

async fn logs(call: Call) -> Answered {
    let report = call.report(false).await?;
    // What services of the system write is for its readers: the right is one of its own there.
    if call.front.is_system() && call.asker.is_none_or(|asker| asker.scope < Scope::Manage) {
        let why = "what services of the system write takes a token of scope manage";
        return Err(Problem::new(StatusCode::FORBIDDEN, why));
    }
    let pattern =
        call.query.text("grep").map(|text| Regex::new(text).map_err(|error| no_pattern(&error))).transpose()?;
    let lines = call.query.whole("lines").and_then(|lines| usize::try_from(lines).ok()).unwrap_or(LINES.0);
    let wanted = Wanted { pattern, lines, events: call.accepts(EVENTS) };
    // Lines are counted once they are known to match.
    let tail = wanted.pattern.is_none().then_some(wanted.lines);
    let (since, stderr) = (call.query.time("since"), call.query.flag("stderr"));
    let query = Query { lines: tail, since, stderr, ..Query::default() };
    let units = if call.front.is_system() { Units::System } else { Units::User };
    let observer = Observer::new(units).await?;
    let source = Source::of(&report);
    let content = if wanted.events { EVENTS } else { TEXT };
    if !call.query.flag("follow") {
        let old = told(&observer, &source, &query, &wanted).await?;
        let body: Vec<u8> = old.iter().flat_map(|line| wanted.shown(&source, line)).collect();
        return Ok(answer(body, content));
    }
    // What is written between the two is there twice, rather than not at all.
    let new = Query { lines: Some(0), stderr, ..Query::default() };
    let output = Output::follow(&observer, std::slice::from_ref(&source), &new).await?;
    let old = told(&observer, &source, &query, &wanted).await?;
    let (writer, body) = call.front.streams.open()?;
    tokio::spawn(async move {
        tokio::select! {
            () = writer.closed() => {}
            () = follow(&writer, &wanted, &source, old, output) => {}
        }
        drop(observer);
    });
    Ok(answer(body, content))
}

fn no_pattern(error: &regex_lite::Error) -> Problem {
    Problem::wrong(format!("grep is no regular expression: {}", crate::text::escape(&error.to_string())))
}

/// The last lines that are wanted.
async fn told(observer: &Observer, source: &Source, query: &Query, wanted: &Wanted) -> Result<Vec<Line>, Problem> {
    let mut all = Lines::of(observer, source, query)?;
    let mut last = VecDeque::new();
    let mut read = 0usize;
    while let Some(line) = all.next().await? {
        read += 1;
        if read.is_multiple_of(TURN) {
            tokio::task::yield_now().await;
        }
        if wanted.is(&line) && wanted.lines > 0 {
            if last.len() == wanted.lines {
                last.pop_front();
            }
            last.push_back(line);
        }
    }
    Ok(last.into())
}

async fn follow(writer: &Writer, wanted: &Wanted, source: &Source, old: Vec<Line>, mut output: Output) {
    if wanted.events && !writer.write(": provost\n\n").await {
        return;
    }
    for line in &old {
        if !writer.write(wanted.shown(source, line)).await {
            return;
        }
    }
    let mut twice = old.into_iter().collect::<VecDeque<Line>>();
    loop {
        match tokio::time::timeout(ALIVE, output.next()).await {
            Ok(piece) => {
                if let Some(at) = twice.iter().position(|old| *old == piece.line) {
                    twice.drain(..=at);
                    continue;
                }
                twice.clear();
                if wanted.is(&piece.line) && !writer.write(wanted.shown(source, &piece.line)).await {
                    return;
                }
            }
            Err(_) if wanted.events => {
                if !writer.write(": it is quiet\n\n").await {
                    return;
                }
            }
            Err(_) => {}
        }
    }
}

impl Wanted {
    fn is(&self, line: &Line) -> bool {
        match (&self.pattern, line.stream) {
            // What provost itself notes is said in any case.
            (None, _) | (_, Stream::Note) => true,
            (Some(pattern), _) => pattern.is_match(&String::from_utf8_lossy(&line.text)),
        }
    }

    fn shown(&self, source: &Source, line: &Line) -> Bytes {
        if self.events {
            let piece = Piece { whose: source.whose().to_owned(), line: line.clone() };
            return event(None, None, &piece.document());
        }
        let mut text = line.text.clone();
        text.push(b'\n');
        Bytes::from(text)
    }
}
