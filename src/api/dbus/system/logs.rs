//! `Logs`: what services have written, for who may not read the files or the journal.
//!
//! The lines come through a pipe, each as one JSON object, as `provost logs -o json` prints them. A
//! reader that rests is waited for, one line is held meanwhile: who wants all of them, or looks for
//! some, does the work. The pipe ends with the lines, when
//! its reader closes it, and when the client leaves the bus.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use tokio::io::AsyncWriteExt as _;
use tokio::net::unix::pipe;
use zbus::Fd;
use zbus::message::Message;

use super::super::Dict;
use super::super::dict::to_json;
use super::super::error::Fault;
use super::super::manager::{arguments, reply};
use super::super::serve::Api;
use super::gate::Ids;
use super::{Asking, Permit};
use crate::observe::{Observer, Units};
use crate::services::{Lines, MOST_OF_DAEMON as MOST, Output, Piece, Query, Source};
use crate::supervise::Command;

/// Pipes of one user.
const STREAMS: usize = 4;

/// The pipes that are open, by user.
#[derive(Debug, Clone, Default)]
pub(crate) struct Streams(Arc<Mutex<HashMap<u32, usize>>>);

/// One of them.
struct Open(Streams, u32);

impl Streams {
    fn open(&self, uid: u32) -> Option<Open> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = all.entry(uid).or_default();
        if *count == STREAMS {
            return None;
        }
        *count += 1;
        Some(Open(self.clone(), uid))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut all = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        match all.get_mut(&self.1) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(all.remove(&self.1)),
        }
    }
}

/// Answers with the reading end.
pub(crate) async fn logs(
    api: &Api,
    asking: Option<&Asking>,
    permit: &Permit,
    call: &Message,
) -> Result<Message, Fault> {
    let failed = |why: String| Fault::standard("Failed", why);
    let owner = || Fault::standard("NotSupported", "the owner reads the files and the journal without the daemon");
    let asking = asking.ok_or_else(owner)?;
    let ids = match permit {
        Permit::Only(ids, _) => Some(ids),
        Permit::Nothing => None,
        Permit::Everything => return Err(owner()),
    };
    let (_, query): (Vec<String>, Dict) = arguments(call)?;
    let (query, follow) = self::query(&query)?;
    let open = asking.streams.open(asking.caller.uid);
    let open = open.ok_or_else(|| Fault::ours("LimitsExceeded", "you are reading too many logs already"))?;
    let sources = sources(api, ids).await?;
    let observer = Observer::new(Units::System).await.map_err(|error| failed(error.to_string()))?;
    let (sender, receiver) = pipe::pipe().map_err(|error| failed(error.to_string()))?;
    let reader: OwnedFd = receiver.into_blocking_fd().map_err(|error| failed(error.to_string()))?;
    let answer = reply(call, &Fd::from(reader))?;
    let mut client = asking.client.clone();
    crate::tasks::spawn(async move {
        let work = write(&observer, &sources, &query, follow, sender);
        tokio::select! {
            written = work => if let Err(error) = written {
                tracing::debug!("a log is not read any more: {error}");
            },
            // It is never changed, only dropped: the client has left.
            _ = client.changed() => {}
        }
        drop(open);
    });
    Ok(answer)
}

fn query(of: &Dict) -> Result<(Query, bool), Fault> {
    let (mut query, mut follow) = (Query { lines: Some(MOST), ..Query::default() }, false);
    for (key, value) in of {
        let value = to_json(value);
        let wrong = || Fault::arguments(format!("'{}' of the query is not what it must be", crate::text::clip(key)));
        match key.as_str() {
            "lines" => {
                let lines = value.as_u64().and_then(|lines| usize::try_from(lines).ok()).ok_or_else(wrong)?;
                query.lines = Some(lines.min(MOST));
            }
            // Those of who follows would be held.
            "all" => query.lines = query.lines.filter(|_| value.as_bool() != Some(true)),
            // Microseconds since 1970.
            "since" | "until" => {
                let micros = value.as_u64().ok_or_else(wrong)?;
                let time = UNIX_EPOCH.checked_add(Duration::from_micros(micros)).ok_or_else(wrong)?;
                *(if key == "since" { &mut query.since } else { &mut query.until }) = Some(time);
            }
            "stderr" => query.stderr = value.as_bool().ok_or_else(wrong)?,
            "follow" => follow = value.as_bool().ok_or_else(wrong)?,
            _ => return Err(wrong()),
        }
    }
    if follow {
        query.lines = query.lines.or(Some(MOST));
    }
    Ok((query, follow))
}

async fn sources(api: &Api, ids: Option<&Ids>) -> Result<Vec<Source>, Fault> {
    let Some(ids) = ids else { return Ok(Vec::new()) };
    let which = ids.selection();
    let all = api.handle.ask(|answer| Command::Report { which, resources: false, answer }).await?;
    Ok(all.iter().map(Source::of).collect())
}

async fn write(
    observer: &Observer,
    sources: &[Source],
    query: &Query,
    follow: bool,
    mut pipe: pipe::Sender,
) -> std::io::Result<()> {
    let failed = |error: crate::Error| std::io::Error::other(error.to_string());
    if follow {
        let mut output = Output::follow(observer, sources, query).await.map_err(failed)?;
        loop {
            pipe.write_all(&line(&output.next().await)?).await?;
        }
    }
    for source in sources {
        let mut lines = Lines::of(observer, source, query).map_err(failed)?;
        while let Some(found) = lines.next().await.map_err(failed)? {
            pipe.write_all(&line(&Piece { whose: source.whose().to_owned(), line: found })?).await?;
        }
    }
    Ok(())
}

fn line(piece: &Piece) -> std::io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(&piece.document())?;
    line.push(b'\n');
    Ok(line)
}
