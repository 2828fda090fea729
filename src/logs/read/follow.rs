//! Lines as they are captured, of several services, for another process than the one that
//! captures: the kernel tells when there is something (inotify(7)).

use std::collections::HashMap;
use std::io;
use std::mem::MaybeUninit;
use std::path::{Path, PathBuf};

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;

use super::super::form::Form;
use super::super::layout::named;
use super::super::{Line, folder};
use super::{Query, Reader, form};
use crate::model::ServiceId;
use crate::paths::Places;
use crate::sys::watched::Watched;

/// So many services have their files open between two lines.
const OPEN: usize = 64;

/// The lines of some services, by their time as far as they are there together.
#[derive(Debug)]
pub(crate) struct Follow {
    inotify: Watched,
    logs: Vec<Log>,
    /// What a watch is for.
    watches: HashMap<i32, Vec<usize>>,
    /// Those that may have something.
    due: Vec<usize>,
}

#[derive(Debug)]
struct Log {
    id: ServiceId,
    places: Places,
    dir: PathBuf,
    form: Form,
    query: Query,
    reader: Option<Reader>,
    /// Whether the folder itself is watched, and not the one where it will be.
    there: bool,
    next: Option<Line>,
}

impl Follow {
    /// Of no service yet. Needs a tokio runtime.
    pub(crate) fn new() -> io::Result<Self> {
        let fd = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        Ok(Self { inotify: Watched::new(fd)?, logs: Vec::new(), watches: HashMap::new(), due: Vec::new() })
    }

    /// One more: what the query means, and then what comes. A service of which nothing was
    /// captured yet may get something.
    ///
    /// # Errors
    /// Its files cannot be read or watched.
    pub(crate) fn add(&mut self, places: &Places, id: &ServiceId, query: &Query) -> io::Result<()> {
        let (dir, form, query) = (folder(places, id), form(places, id), query.clone());
        let (id, places) = (id.clone(), places.clone());
        let log = Log { id, places, dir, form, query, reader: None, there: false, next: None };
        self.logs.push(log);
        self.attach(self.logs.len() - 1)
    }

    /// The next line; it may never come. It can be dropped and called again.
    ///
    /// # Errors
    /// Files cannot be read.
    pub(crate) async fn next(&mut self) -> io::Result<(ServiceId, Line)> {
        loop {
            tokio::task::consume_budget().await;
            if let Some(line) = self.ready()? {
                return Ok(line);
            }
            self.heard().await?;
        }
    }

    /// A line that is there already.
    ///
    /// # Errors
    /// Files cannot be read.
    pub(crate) fn ready(&mut self) -> io::Result<Option<(ServiceId, Line)>> {
        let many = self.logs.len() > OPEN;
        let mut first: Option<usize> = None;
        let mut due = std::mem::take(&mut self.due);
        let mut failed = None;
        due.retain(|at| match self.logs[*at].fill(many) {
            Ok(false) => false,
            Ok(true) => {
                let time = |at: usize| self.logs[at].next.as_ref().map(|line| line.at);
                if first.is_none_or(|first| time(*at) < time(first)) {
                    first = Some(*at);
                }
                true
            }
            Err(error) => {
                failed = Some(error);
                false
            }
        });
        self.due = due;
        if let Some(error) = failed {
            return Err(error);
        }
        let log = first.and_then(|first| self.logs.get_mut(first));
        Ok(log.and_then(|log| Some((log.id.clone(), log.next.take()?))))
    }

    /// Waits until something changes.
    async fn heard(&mut self) -> io::Result<()> {
        let mut heard: Vec<(i32, bool)> = Vec::new();
        let read = |fd: &_| {
            let mut buffer = [MaybeUninit::uninit(); 4096];
            let mut events = inotify::Reader::new(fd, &mut buffer);
            loop {
                let event = events.next()?;
                let gone =
                    event.events().intersects(ReadFlags::IGNORED | ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF);
                if heard.last() != Some(&(event.wd(), gone)) {
                    heard.push((event.wd(), gone));
                }
                if events.is_buffer_empty() {
                    return Ok(());
                }
            }
        };
        self.inotify.drain(read).await?;
        for (watch, gone) in heard {
            // -1: some events were lost.
            let concerned = match watch {
                -1 => (0..self.logs.len()).collect(),
                _ if gone => self.watches.remove(&watch).unwrap_or_default(),
                _ => self.watches.get(&watch).cloned().unwrap_or_default(),
            };
            for at in concerned {
                if gone || self.logs[at].has_moved() {
                    self.logs[at].there = false;
                }
                if self.logs[at].there { self.is_due(at) } else { self.attach(at)? }
            }
        }
        Ok(())
    }

    fn is_due(&mut self, at: usize) {
        if !self.due.contains(&at) {
            self.due.push(at);
        }
    }

    /// Watches the folder of a service, or the nearest there is on the way to it.
    fn attach(&mut self, at: usize) -> io::Result<()> {
        let dir = self.logs[at].dir.clone();
        for (steps, ancestor) in dir.ancestors().enumerate() {
            let what = match steps {
                0 => {
                    WatchFlags::MODIFY
                        | WatchFlags::CREATE
                        | WatchFlags::MOVED_TO
                        | WatchFlags::DELETE_SELF
                        | WatchFlags::MOVE_SELF
                }
                _ => WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::DELETE_SELF,
            };
            let watch = match inotify::add_watch(self.inotify.get(), ancestor, what) {
                Err(Errno::NOENT) => continue,
                other => other.map_err(|error| named(ancestor.display(), &error.into()))?,
            };
            let concerned = self.watches.entry(watch).or_default();
            if !concerned.contains(&at) {
                concerned.push(at);
            }
            self.logs[at].there = steps == 0;
            // The next folder may have come before the watch did.
            if steps == 0 || !below(ancestor, &dir).is_some_and(|next| next.exists()) {
                break;
            }
            return self.attach(at);
        }
        self.is_due(at);
        Ok(())
    }
}

impl Log {
    /// Whether it is somewhere else than it seemed before there was anything of it.
    fn has_moved(&mut self) -> bool {
        if self.reader.is_some() {
            return false;
        }
        let dir = folder(&self.places, &self.id);
        self.form = form(&self.places, &self.id);
        std::mem::replace(&mut self.dir, dir) != self.dir
    }

    /// Whether there is a line.
    fn fill(&mut self, many: bool) -> io::Result<bool> {
        if self.next.is_some() {
            return Ok(true);
        }
        if self.reader.is_none() {
            self.reader = Reader::live(&self.dir, self.form, &self.query)?;
            // Another one, later, is new as a whole.
            self.query.lines = None;
        }
        let Some(reader) = &mut self.reader else { return Ok(false) };
        self.next = reader.next()?;
        if self.next.is_none() && many {
            reader.rest();
        }
        Ok(self.next.is_some())
    }
}

/// The folder on the way from one to the other that comes after the first.
fn below(from: &Path, to: &Path) -> Option<PathBuf> {
    Some(from.join(to.strip_prefix(from).ok()?.components().next()?))
}
