//! Lines from the journal, of a service of ours or of any unit.
//!
//! Read by `journalctl -o json`, which ships with every journal and knows all its formats.
//! [`access`] is asked first: where the caller may not read, journalctl says nothing and exits with 0.

mod access;
mod entry;
mod matches;
mod wait;

use std::collections::VecDeque;
use std::process::Stdio;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};

pub(crate) use access::access;
pub(crate) use wait::matching;

use super::form::plain;
use super::{Line, Pattern};
use entry::Entry;

use crate::model::{Manager, ServiceId, UnitName};

/// Whose lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    /// Whose unit.
    pub(crate) manager: Manager,
    /// The unit.
    pub(crate) unit: UnitName,
    /// The service of ours that the unit is. What a program writes just before it ends often stands
    /// in the journal without a unit, and is known by this, its identifier.
    pub(crate) service: Option<ServiceId>,
}

/// Which of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Query {
    /// At most so many, the last ones; then `follow`.
    pub(crate) tail: Option<usize>,
    /// None before this.
    pub(crate) since: Option<SystemTime>,
    /// None after this.
    pub(crate) until: Option<SystemTime>,
    /// Only those with this.
    pub(crate) grep: Option<Pattern>,
    /// Those to come, too.
    pub(crate) follow: bool,
    /// Only those of standard error (of another unit: of priority err and above).
    pub(crate) stderr: bool,
    /// Also what the manager said of the unit, as notes.
    pub(crate) notes: bool,
    /// Colours are left out.
    pub(crate) strip: bool,
    /// Only those of this invocation of the unit.
    pub(crate) invocation: Option<String>,
}

/// Why there are no lines.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum JournalError {
    /// The caller may not read them; what to do is in it.
    #[error("{0}")]
    Denied(String),
    /// journalctl is not there, or failed.
    #[error("{0}")]
    Failed(String),
}

/// Lines, the older first; those to come when they come.
#[derive(Debug)]
pub(crate) struct Journal {
    source: Source,
    query: Query,
    past: VecDeque<Line>,
    /// What comes after that.
    rest: Option<Reader>,
}

impl Journal {
    /// Reads what is there, and begins to follow if that is asked for. What there is of one that is
    /// neither followed nor only its last lines is read as it is asked for.
    pub(crate) async fn open(source: Source, query: &Query) -> Result<Self, JournalError> {
        access(source.manager).map_err(JournalError::Denied)?;
        let begin = crate::clock::now();
        let (mut past, mut cursor, mut rest) = (VecDeque::new(), None, None);
        if query.tail != Some(0) {
            let mut reader = Reader::start(&source, query, None)?;
            if query.tail.is_none() && !query.follow {
                rest = Some(reader);
            } else {
                while let Some(entry) = reader.next().await? {
                    let line = entry.line_of(&source).and_then(|line| query.meant(line));
                    match query.tail {
                        // The newest first.
                        Some(tail) => {
                            cursor = cursor.or(entry.cursor);
                            line.into_iter().for_each(|line| past.push_front(line));
                            if past.len() >= tail {
                                break;
                            }
                        }
                        None => {
                            cursor = entry.cursor.or(cursor);
                            past.extend(line);
                        }
                    }
                }
            }
        }
        let from = match cursor {
            Some(cursor) => format!("--after-cursor={cursor}"),
            None => time("since", begin),
        };
        let follow = if query.follow { Some(Reader::start(&source, query, Some(&from))?) } else { None };
        Ok(Self { source, query: query.clone(), past, rest: follow.or(rest) })
    }

    /// The next line; `None` at the end. May be dropped and asked again while it waits.
    pub(crate) async fn next(&mut self) -> Result<Option<Line>, JournalError> {
        if let Some(line) = self.past.pop_front() {
            return Ok(Some(line));
        }
        let Some(reader) = &mut self.rest else { return Ok(None) };
        loop {
            match reader.next().await? {
                None => return Ok(None),
                Some(entry) => {
                    if let Some(line) = entry.line_of(&self.source).and_then(|line| self.query.meant(line)) {
                        return Ok(Some(line));
                    }
                }
            }
        }
    }
}

impl Query {
    fn meant(&self, mut line: Line) -> Option<Line> {
        if self.grep.as_ref().is_some_and(|grep| !grep.is_in(&line.text)) {
            return None;
        }
        if self.strip {
            line.text = plain(&line.text).into_owned();
        }
        Some(line)
    }
}

/// A journalctl that runs. It is killed when this is dropped.
#[derive(Debug)]
struct Reader {
    child: Child,
    out: BufReader<ChildStdout>,
    /// A line that was read in part.
    line: Vec<u8>,
}

impl Reader {
    fn start(source: &Source, query: &Query, follow_from: Option<&str>) -> Result<Self, JournalError> {
        #[expect(clippy::disallowed_methods, reason = "journalctl, with arguments of ours")]
        let mut command = Command::new("journalctl");
        command.args(["--quiet", "--no-pager", "--all", "--output=json", entry::FIELDS]);
        match follow_from {
            Some(from) => command.args(["--follow", "--no-tail", from]),
            None => command.args(query.since.map(|at| time("since", at))),
        };
        command.args(query.until.map(|at| time("until", at)));
        // From the end on, until there are enough.
        if query.tail.is_some() && follow_from.is_none() {
            command.arg("--reverse");
        }
        command.args(matches::of(source, query));
        command
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Ctrl-C is for who reads it: what services write at their end is still to be shown.
            .process_group(0)
            .kill_on_drop(true);
        let mut child = command.spawn().map_err(|error| JournalError::Failed(format!("journalctl: {error}")))?;
        let out = child.stdout.take().ok_or_else(|| JournalError::Failed("journalctl: no output".to_owned()))?;
        Ok(Self { child, out: BufReader::new(out), line: Vec::new() })
    }

    async fn next(&mut self) -> Result<Option<Entry>, JournalError> {
        loop {
            let read = self.out.read_until(b'\n', &mut self.line).await;
            let read = read.map_err(|error| JournalError::Failed(format!("journalctl: {error}")))?;
            if read == 0 && self.line.is_empty() {
                return self.ended().await;
            }
            let line = std::mem::take(&mut self.line);
            if let Some(entry) = Entry::parse(&line) {
                return Ok(Some(entry));
            }
        }
    }

    async fn ended(&mut self) -> Result<Option<Entry>, JournalError> {
        let mut said = Vec::new();
        if let Some(err) = self.child.stderr.take() {
            let _unreadable = err.take(4096).read_to_end(&mut said).await;
        }
        let status = self.child.wait().await;
        let said = crate::text::clip_to(String::from_utf8_lossy(&said).trim(), 300);
        match status {
            // 1 is also the word of some versions for "no entries".
            Ok(status) if status.success() || said.is_empty() => Ok(None),
            Ok(_) => Err(JournalError::Failed(format!("journalctl: {said}"))),
            Err(error) => Err(JournalError::Failed(format!("journalctl: {error}"))),
        }
    }
}

/// `--since=@…`, `--until=@…`.
fn time(word: &str, time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    format!("--{word}=@{}.{:06}", since.as_secs(), since.subsec_micros())
}
