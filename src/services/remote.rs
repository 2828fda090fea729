//! What services of the system have written, from their daemon: for who may not read it themselves.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::Deserialize;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::net::unix::pipe;
use zbus::Variant;

use super::output::{Piece, Query};
use crate::control::{Asks, Control};
use crate::error::Error;
use crate::logs::{Line, Stream};
use crate::model::{Instance, ServiceId};
use crate::observe::Observer;

/// So many of the last lines of one service are had at once, and of who follows.
pub(crate) const MOST: usize = 1000;

/// The lines that come from the daemon.
#[derive(Debug)]
pub(super) struct Remote {
    lines: Lines<BufReader<pipe::Receiver>>,
    /// The daemon writes for as long as the connection lives.
    _control: Control,
}

/// A line on the wire: [`Piece::document`].
#[derive(Deserialize)]
struct Wire {
    id: String,
    at: String,
    stream: String,
    text: String,
}

impl Remote {
    /// Asks for the lines of these services; `ask`: a password may be asked for.
    pub(super) async fn open(
        observer: &Observer,
        ids: &[ServiceId],
        ask: bool,
        query: &Query,
        follow: bool,
    ) -> Result<Self, Error> {
        let caller = observer.caller();
        let asks = Asks { terminal: caller.interactive, session: caller.session.is_some() };
        let none = || Error::Unreachable("the system's provost does not run".to_owned());
        let control = Control::connect(Instance::System).await?.ok_or_else(none)?.asking(ask.then_some(asks));
        let mut wire = vec![("stderr", Variant::from(query.stderr)), ("follow", Variant::from(follow))];
        match query.lines.filter(|lines| *lines <= MOST && !query.searches()) {
            Some(lines) => wire.push(("lines", Variant::from(lines as u64))),
            // The daemon does not search for others: it gives them all, and of those some are taken here.
            None if !follow => wire.push(("all", Variant::from(true))),
            None => {}
        }
        wire.extend(query.until.map(|until| ("until", Variant::from(micros(until)))));
        wire.extend(query.since.map(|since| ("since", Variant::from(micros(since)))));
        let owned = wire.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value.try_into_owned().ok()?)));
        let pipe = control.logs(ids, &owned.collect()).await?;
        let failed = |source| Error::Io { what: "the log from the daemon".to_owned(), source };
        let receiver = pipe::Receiver::from_owned_fd(pipe).map_err(failed)?;
        Ok(Self { lines: BufReader::new(receiver).lines(), _control: control })
    }

    /// The next one; `None`: that was all. It can be dropped and called again.
    pub(super) async fn next(&mut self) -> std::io::Result<Option<Piece>> {
        let Some(line) = self.lines.next_line().await? else { return Ok(None) };
        let wire: Wire = serde_json::from_str(&line)?;
        let at = humantime::parse_rfc3339(&wire.at).map_err(std::io::Error::other)?;
        let stream = match wire.stream.as_str() {
            "stdout" => Stream::Out,
            "stderr" => Stream::Err,
            _ => Stream::Note,
        };
        Ok(Some(Piece { whose: wire.id, line: Line { at, stream, text: wire.text.into_bytes() } }))
    }
}

fn micros(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
