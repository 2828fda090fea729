//! `/api/v1/services/ID/logs`: what a service has written, as text or as server-sent events.

use std::collections::VecDeque;

use axum::body::Bytes;
use axum::http::{Method, StatusCode};

use super::call::{Answered, Call};
use super::endpoint::{Endpoint, Gives};
use super::problem::Problem;
use super::query::{Kind, param};
use super::stream::{ALIVE, EVENTS, TEXT, Writer, answer, event};
use crate::logs::{Line, Pattern};
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
        param("ignore_case", Kind::Flag, "grep takes upper case for lower"),
        param("until", Kind::Time, "only those up to then"),
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

/// How lines are shown, and whose they are.
struct Shown {
    source: Source,
    events: bool,
}

async fn logs(call: Call) -> Answered {
    let report = call.report(false).await?;
    // What services of the system write is for its readers: the right is one of its own there.
    if call.front.is_system() && call.asker.is_none_or(|asker| asker.scope < Scope::Manage) {
        let why = "what services of the system write takes a token of scope manage";
        return Err(Problem::new(StatusCode::FORBIDDEN, why));
    }
    let grep = call.query.text("grep").map(|text| Pattern::new(text, call.query.flag("ignore_case"))).transpose();
    let grep = grep.map_err(|why| Problem::wrong(format!("grep: {}", crate::text::escape(&why))))?;
    let lines = call.query.whole("lines").and_then(|lines| usize::try_from(lines).ok()).unwrap_or(LINES.0);
    let query = Query {
        lines: Some(lines),
        since: call.query.time("since"),
        until: call.query.time("until"),
        stderr: call.query.flag("stderr"),
        grep,
    };
    let units = if call.front.is_system() { Units::System } else { Units::User };
    let observer = Observer::new(units).await?;
    let shown = Shown { source: Source::of(&report), events: call.accepts(EVENTS) };
    let content = if shown.events { EVENTS } else { TEXT };
    if !call.query.flag("follow") {
        let last = last(&observer, &shown.source, &query, lines).await?;
        return Ok(answer(last.iter().flat_map(|line| shown.line(line)).collect::<Vec<u8>>(), content));
    }
    if query.until.is_some() {
        return Err(Problem::wrong("until: there is no end of what is followed"));
    }
    let output = Output::follow(&observer, std::slice::from_ref(&shown.source), &query).await?;
    let (writer, body) = call.front.streams.open()?;
    crate::tasks::spawn(async move {
        tokio::select! {
            () = writer.closed() => {}
            () = follow(&writer, &shown, output) => {}
        }
    });
    Ok(answer(body, content))
}

/// The last lines that are meant.
async fn last(observer: &Observer, source: &Source, query: &Query, most: usize) -> Result<VecDeque<Line>, Problem> {
    let mut all = Lines::of(observer, source, query)?;
    let (mut last, mut read) = (VecDeque::new(), 0usize);
    while let Some(line) = all.next().await? {
        read += 1;
        if read.is_multiple_of(TURN) {
            tokio::task::yield_now().await;
        }
        last.push_back(line);
        if last.len() > most {
            last.pop_front();
        }
    }
    Ok(last)
}

async fn follow(writer: &Writer, shown: &Shown, mut output: Output) {
    // The answer begins at once, for who waits for its head.
    if shown.events && !writer.write(": provost\n\n").await {
        return;
    }
    loop {
        let written = match tokio::time::timeout(ALIVE, output.next()).await {
            Ok(piece) => writer.write(shown.line(&piece.line)).await,
            Err(_) if shown.events => writer.write(": it is quiet\n\n").await,
            Err(_) => true,
        };
        if !written {
            return;
        }
    }
}

impl Shown {
    fn line(&self, line: &Line) -> Bytes {
        if self.events {
            let piece = Piece { whose: self.source.whose().to_owned(), line: line.clone() };
            return event(None, None, &piece.document());
        }
        let mut text = line.text.clone();
        text.push(b'\n');
        Bytes::from(text)
    }
}
