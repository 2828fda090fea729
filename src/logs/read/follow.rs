//! Lines as they are captured, of several services, for another process than the one that
//! captures: the kernel tells when there is something (inotify(7)).

use std::collections::HashMap;
use std::io;
use std::mem::MaybeUninit;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;

use super::super::form::Form;
use super::super::layout::named;
use super::super::{Line, folder, settings};
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
    /// Where the next run of the service writes, and since when that is so.
    next_dir: Option<(PathBuf, SystemTime)>,
    /// Whether the folders themselves are watched, and not those where they will be.
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
        let log = Log { id, places, dir, form, query, reader: None, next_dir: None, there: false, next: None };
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
        let mut heard: Vec<(i32, bool, bool)> = Vec::new();
        let read = |fd: &_| {
            let mut buffer = [MaybeUninit::uninit(); 4096];
            let mut events = inotify::Reader::new(fd, &mut buffer);
            loop {
                let event = events.next()?;
                let gone =
                    event.events().intersects(ReadFlags::IGNORED | ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF);
                let settled = event.file_name().is_some_and(|name| name.to_str() == Ok(settings::NAME));
                if heard.last() != Some(&(event.wd(), gone, settled)) {
                    heard.push((event.wd(), gone, settled));
                }
                if events.is_buffer_empty() {
                    return Ok(());
                }
            }
        };
        self.inotify.drain(read).await?;
        for (watch, gone, settled) in heard {
            // -1: some events were lost.
            let concerned = match watch {
                -1 => (0..self.logs.len()).collect(),
                _ if gone => self.watches.remove(&watch).unwrap_or_default(),
                _ => self.watches.get(&watch).cloned().unwrap_or_default(),
            };
            for at in concerned {
                if gone || self.logs[at].has_moved(settled || watch == -1) {
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

    /// Watches the folders of a service: that of its files, that of its settings, and the one where it
    /// is about to write.
    fn attach(&mut self, at: usize) -> io::Result<()> {
        let log = &self.logs[at];
        let (home, next) = (log.places.logs.join(log.id.as_str()), log.next_dir.as_ref().map(|(dir, _)| dir.clone()));
        let mut there = self.watch(at, &log.dir.clone())?;
        for dir in std::iter::once(home).chain(next) {
            there &= self.watch(at, &dir)?;
        }
        self.logs[at].there = there;
        self.is_due(at);
        Ok(())
    }

    /// Watches a folder, or the nearest there is on the way to it; whether it is there.
    fn watch(&mut self, at: usize, dir: &Path) -> io::Result<bool> {
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
            let watch = match inotify::add_watch(self.inotify.get(), ancestor, what | WatchFlags::MASK_ADD) {
                Err(Errno::NOENT) => continue,
                other => other.map_err(|error| named(ancestor.display(), &error.into()))?,
            };
            let concerned = self.watches.entry(watch).or_default();
            if !concerned.contains(&at) {
                concerned.push(at);
            }
            // The next folder may have come before the watch did.
            if steps == 0 || !below(ancestor, dir).is_some_and(|next| next.exists()) {
                return Ok(steps == 0);
            }
            return self.watch(at, dir);
        }
        Ok(false)
    }
}

impl Log {
    /// Whether it is somewhere else than it seemed before there was anything of it, or is about to be;
    /// `settled`: its settings were written.
    fn has_moved(&mut self, settled: bool) -> bool {
        if self.reader.is_some() && !settled {
            return false;
        }
        let dir = folder(&self.places, &self.id);
        self.form = form(&self.places, &self.id);
        match &mut self.reader {
            None => std::mem::replace(&mut self.dir, dir) != self.dir,
            Some(reader) => {
                reader.set_form(self.form);
                let since = settings::changed(&self.places, &self.id).unwrap_or_else(crate::clock::now);
                // It may have been changed back meanwhile.
                self.next_dir = (dir != self.dir).then_some((dir, since));
                self.next_dir.is_some()
            }
        }
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
        // Once something is there, all that belongs here has come.
        let new = match &self.next_dir {
            Some((dir, since)) => Reader::live(dir, self.form, &Query { since: Some(*since), ..self.query.clone() })?,
            None => None,
        };
        self.next = reader.next()?;
        if self.next.is_none()
            && let Some(new) = new
        {
            *reader = new;
            self.dir = self.next_dir.take().map_or_else(PathBuf::new, |(dir, _)| dir);
            self.next = reader.next()?;
        }
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
