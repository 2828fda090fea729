//! What services write: from the files or the journal, whichever holds it, merged for who looks at
//! several.

use std::collections::VecDeque;
use std::io;
use std::task::Poll;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::lines::Lines;
use super::remote::{MOST, Remote};
use crate::act::ActError;
use crate::error::Error;
use crate::gather::Arrange as _;
use crate::logs::journal::{self, Journal, JournalError};
use crate::logs::read::Follow;
pub(crate) use crate::logs::read::Query;
use crate::logs::{Line, Stream};
use crate::model::service::{BackendKind, ServiceReport};
use crate::model::{Instance, Manager, ServiceId, UnitName};
use crate::observe::Observer;
use crate::paths::Places;

/// All that was written since a time.
pub(crate) fn written_since(time: SystemTime) -> Query {
    Query { since: Some(time), ..Query::default() }
}

/// A line, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    /// The service, or the unit.
    pub(crate) whose: String,
    /// What was written.
    pub(crate) line: Line,
}

impl Piece {
    /// `{"id", "at", "stream", "text"}`.
    pub(crate) fn document(&self) -> Value {
        json!({
            "id": self.whose,
            "at": humantime::format_rfc3339_micros(self.line.at).to_string(),
            "stream": match self.line.stream {
                Stream::Out => "stdout",
                Stream::Err => "stderr",
                Stream::Note => "note",
            },
            "text": String::from_utf8_lossy(&self.line.text),
        })
    }
}

/// Where lines come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// A service; its backend, where it is known, says whether files or the journal hold them.
    Service(ServiceId, Option<BackendKind>),
    /// A unit of others: the journal.
    Unit(Manager, UnitName),
    /// A service of the system, which its daemon reads for the caller; whether a password may be
    /// asked for.
    System(ServiceId, bool),
}

impl Source {
    /// What a report speaks of.
    pub(crate) fn of(report: &ServiceReport) -> Self {
        Self::Service(report.id.clone(), report.backend)
    }

    fn of_system(&self) -> Option<ServiceId> {
        if let Self::System(id, _) = self { Some(id.clone()) } else { None }
    }

    /// Its name before its lines.
    pub(crate) fn whose(&self) -> &str {
        match self {
            Self::Service(id, _) | Self::System(id, _) => id.as_str(),
            Self::Unit(_, unit) => unit.as_str(),
        }
    }
}

/// How long nothing must come from the journal until it counts as told: journald tells who follows
/// at most four times a second.
const QUIET: Duration = Duration::from_millis(600);

/// Lines as they are written.
#[derive(Debug)]
pub(crate) struct Output {
    /// What was looked for before the rest began.
    past: VecDeque<Piece>,
    files: Option<Follow>,
    journals: Vec<(String, Journal)>,
    remote: Option<Remote>,
    query: Query,
}

impl Output {
    /// What the query asks for, and then what is written.
    pub(crate) async fn follow(observer: &Observer, sources: &[Source], query: &Query) -> Result<Self, Error> {
        let places = places(observer)?;
        let mut files = None;
        let mut journals = Vec::new();
        let of_system: Vec<ServiceId> = sources.iter().filter_map(Source::of_system).collect();
        let ask = sources.iter().any(|source| matches!(source, Source::System(_, true)));
        let mut past = VecDeque::new();
        let remote = match of_system.is_empty() {
            true => None,
            false if query.grep.is_some() || query.lines.is_none_or(|lines| lines > MOST) => {
                let began = crate::clock::now();
                past = of_daemon_until(began, observer, sources, query).await?;
                let new = Query { since: query.since.max(Some(began)), lines: None, ..query.clone() };
                Some(Remote::open(observer, &of_system, ask, &new, true).await?)
            }
            false => Some(Remote::open(observer, &of_system, ask, query, true).await?),
        };
        for source in sources {
            if let Source::Service(id, backend) = source
                && *backend != Some(BackendKind::Sim)
            {
                let follow = match files.take() {
                    Some(follow) => Ok(follow),
                    None => Follow::new(),
                };
                let mut follow = follow.map_err(|error| unreadable(source, error))?;
                follow.add(&places, id, query).map_err(|error| unreadable(source, error))?;
                files = Some(follow);
            }
            journals.extend(
                journal(observer, &places, source, query, true)
                    .await?
                    .map(|journal| (source.whose().to_owned(), journal)),
            );
        }
        Ok(Self { past, files, journals, remote, query: query.clone() })
    }

    /// The next one; it may never come. It can be dropped and called again.
    pub(crate) async fn next(&mut self) -> Piece {
        if let Some(piece) = self.past.pop_front() {
            return piece;
        }
        loop {
            // A source that fails is left out from then on: the others go on.
            match self.news().await {
                News::File(Ok((id, line))) => return Piece { whose: id.into(), line },
                News::File(Err(error)) => {
                    tracing::warn!("captured output cannot be followed: {error}");
                    self.files = None;
                }
                // The daemon does not search for others.
                News::Remote(Ok(Some(piece))) if self.query.means(&piece.line) => return piece,
                News::Remote(Ok(Some(_))) => {}
                News::Remote(end) => {
                    if let Err(error) = end {
                        tracing::warn!("the log from the system's daemon: {error}");
                    }
                    self.remote = None;
                }
                News::Journal(at, Ok(Some(line))) => return Piece { whose: self.journals[at].0.clone(), line },
                News::Journal(at, end) => {
                    if let Err(error) = end {
                        tracing::warn!("the journal cannot be followed: {error}");
                    }
                    drop(self.journals.remove(at));
                }
            }
        }
    }

    /// What is left when nobody writes any more, one after the other.
    pub(crate) async fn rest(&mut self) -> Option<Piece> {
        let wait = if self.journals.is_empty() && self.remote.is_none() { Duration::ZERO } else { QUIET };
        tokio::time::timeout(wait, self.next()).await.ok()
    }

    async fn news(&mut self) -> News {
        let files = async {
            match &mut self.files {
                Some(files) => files.next().await,
                None => std::future::pending().await,
            }
        };
        let remote = async {
            match &mut self.remote {
                Some(remote) => remote.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            next = files => News::File(next),
            next = remote => News::Remote(next),
            (at, next) = first(&mut self.journals) => News::Journal(at, next),
        }
    }
}

/// What the system's daemon gives that was written before this moment.
async fn of_daemon_until(
    end: SystemTime,
    observer: &Observer,
    sources: &[Source],
    query: &Query,
) -> Result<VecDeque<Piece>, Error> {
    let query = Query { until: Some(end - Duration::from_micros(1)), ..query.clone() };
    let mut all = Vec::new();
    for source in sources.iter().filter(|source| matches!(source, Source::System(..))) {
        let mut lines = Lines::of(observer, source, &query)?;
        while let Some(line) = lines.next().await? {
            all.push(Piece { whose: source.whose().to_owned(), line });
        }
    }
    all.arrange_by_key(|piece| piece.line.at);
    Ok(all.into())
}

/// What came from where.
enum News {
    File(io::Result<(ServiceId, Line)>),
    Remote(io::Result<Option<Piece>>),
    Journal(usize, Result<Option<Line>, JournalError>),
}

/// The first of the journals that has something.
async fn first(journals: &mut [(String, Journal)]) -> (usize, Result<Option<Line>, JournalError>) {
    let mut waits: Vec<_> = journals.iter_mut().map(|(_, journal)| Box::pin(journal.next())).collect();
    std::future::poll_fn(|cx| {
        for (at, wait) in waits.iter_mut().enumerate() {
            if let Poll::Ready(next) = wait.as_mut().poll(cx) {
                return Poll::Ready((at, next));
            }
        }
        Poll::Pending
    })
    .await
}

/// The journal of a source, where it can have one.
pub(super) async fn journal(
    observer: &Observer,
    places: &Places,
    source: &Source,
    query: &Query,
    follow: bool,
) -> Result<Option<Journal>, Error> {
    let (manager, unit, service, sure) = match source {
        Source::Unit(manager, unit) => (*manager, unit.clone(), None, true),
        Source::System(..) => return Ok(None),
        Source::Service(_, Some(BackendKind::Direct | BackendKind::Sim)) => return Ok(None),
        Source::Service(id, backend) => {
            let manager = match places.instance {
                Instance::System => Manager::System,
                Instance::User => Manager::User(places.uid),
            };
            (manager, format!("provost-{id}.service").parse()?, Some(id.clone()), backend.is_some())
        }
    };
    if !sure && observer.bus().manager(manager).await.is_err() {
        return Ok(None);
    }
    let query = query.clone();
    let (tail, since, until, stderr, grep) = (query.lines, query.since, query.until, query.stderr, query.grep);
    let notes = service.is_none();
    let strip = service.as_ref().is_some_and(|id| crate::logs::strips(places, id));
    let from = journal::Source { manager, unit, service };
    let query = journal::Query { tail, since, until, grep, follow, stderr, notes, strip, invocation: None };
    match Journal::open(from, &query).await {
        Ok(journal) => Ok(Some(journal)),
        Err(error) if sure => Err(of_journal(source, error)),
        Err(error) => {
            tracing::info!("the journal: {error}");
            Ok(None)
        }
    }
}

pub(super) fn places(observer: &Observer) -> Result<Places, Error> {
    let uid = observer.caller().uid;
    let instance = super::instance_of(observer.units(), uid);
    let places = Places::of(instance, uid);
    places.ok_or_else(|| crate::model::Malformed::new("there is no home folder for the state").into())
}

pub(super) fn unreadable(source: &Source, error: io::Error) -> Error {
    Error::Io { what: format!("the output of {} cannot be read", source.whose()), source: error }
}

pub(super) fn of_journal(source: &Source, error: JournalError) -> Error {
    let what = |why: &str| format!("the journal of {}: {why}", source.whose());
    Error::Act(match error {
        JournalError::Denied(why) => ActError::NotPermitted(what(&why)),
        JournalError::Failed(why) => ActError::Failed(what(&why)),
    })
}
