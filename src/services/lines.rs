//! What services have written: lines of one from wherever they are, and of several in the order of
//! time. They are read as they are asked for, so that a whole log needs no memory.

use std::collections::VecDeque;

use super::output::{Piece, Query, Source, journal, of_journal, places, unreadable};
use super::remote::Remote;
use crate::error::Error;
use crate::logs::journal::Journal;
use crate::logs::{Line, read};
use crate::observe::Observer;

/// What one has written.
pub(crate) async fn read_output(observer: &Observer, source: &Source, query: &Query) -> Result<Vec<Line>, Error> {
    let mut all = Lines::of(observer, source, query)?;
    let mut lines = Vec::new();
    while let Some(line) = all.next().await? {
        lines.push(line);
    }
    Ok(lines)
}

/// The lines of one source, in the order in which they were written.
#[derive(Debug)]
pub(crate) struct Lines<'a> {
    observer: &'a Observer,
    source: &'a Source,
    query: &'a Query,
    files: Option<read::Reader>,
    journal: Option<Journal>,
    remote: Option<Remote>,
    /// Whether it was looked where there are any.
    begun: bool,
    /// The next one of the files, and of the journal.
    heads: [Option<Line>; 2],
    /// The last ones, where those had to be looked for here.
    last: VecDeque<Line>,
}

impl<'a> Lines<'a> {
    pub(crate) fn of(observer: &'a Observer, source: &'a Source, query: &'a Query) -> Result<Self, Error> {
        let places = places(observer)?;
        let files = match source {
            Source::Service(id, _) => read::read_all(&places, id, query).map_err(|error| unreadable(source, error))?,
            Source::Unit(..) | Source::System(..) => None,
        };
        let (heads, last) = (Default::default(), VecDeque::new());
        Ok(Self { observer, source, query, files, journal: None, remote: None, begun: false, heads, last })
    }

    /// The next one; `None`: that was all.
    pub(crate) async fn next(&mut self) -> Result<Option<Line>, Error> {
        if !self.begun {
            self.begun = true;
            self.begin().await?;
        }
        if let Some(line) = self.last.pop_front() {
            return Ok(Some(line));
        }
        match self.remote {
            Some(_) => self.next_of_daemon().await,
            None => self.merged().await,
        }
    }

    /// Of what the daemon gives, those that are meant.
    async fn next_of_daemon(&mut self) -> Result<Option<Line>, Error> {
        while let Some(remote) = &mut self.remote {
            match remote.next().await.map_err(|error| unreadable(self.source, error))? {
                Some(piece) if self.query.means(&piece.line) => return Ok(Some(piece.line)),
                Some(_) => {}
                None => self.remote = None,
            }
        }
        Ok(None)
    }

    async fn begin(&mut self) -> Result<(), Error> {
        if let Source::System(id, ask) = self.source {
            self.remote = Some(Remote::open(self.observer, std::slice::from_ref(id), *ask, self.query, false).await?);
            if self.query.lines.is_some() {
                while let Some(line) = self.next_of_daemon().await? {
                    self.keep(line);
                }
            }
            return Ok(());
        }
        self.journal = journal(self.observer, &places(self.observer)?, self.source, self.query, false).await?;
        // Each has given its last ones.
        if self.query.lines.is_some() && self.files.is_some() && self.journal.is_some() {
            while let Some(line) = self.merged().await? {
                self.keep(line);
            }
        }
        Ok(())
    }

    /// Reads all of it now.
    async fn hold(&mut self) -> Result<(), Error> {
        let mut all = VecDeque::new();
        while let Some(line) = self.next().await? {
            all.push_back(line);
        }
        (self.last, self.files, self.journal, self.remote) = (all, None, None, None);
        Ok(())
    }

    fn keep(&mut self, line: Line) {
        self.last.push_back(line);
        if self.query.lines.is_some_and(|most| self.last.len() > most) {
            self.last.pop_front();
        }
    }

    /// Of files and journal, whichever comes first. Each is in order, also where a clock was set back.
    async fn merged(&mut self) -> Result<Option<Line>, Error> {
        let [of_files, of_journal_] = &mut self.heads;
        if of_files.is_none()
            && let Some(files) = &mut self.files
        {
            *of_files = files.next().map_err(|error| unreadable(self.source, error))?;
        }
        if of_journal_.is_none()
            && let Some(journal) = &mut self.journal
        {
            *of_journal_ = journal.next().await.map_err(|error| of_journal(self.source, error))?;
        }
        let first = match (&of_files, &of_journal_) {
            (Some(file), Some(journal)) if journal.at < file.at => of_journal_,
            (Some(_), _) => of_files,
            (None, _) => of_journal_,
        };
        Ok(first.take())
    }
}

/// The lines of several, in the order of time.
#[derive(Debug)]
pub(crate) struct Merged<'a> {
    all: Vec<(Lines<'a>, Option<Line>)>,
}

/// So many have their files open at once; of more than that the lines are held.
const OPEN: usize = 64;

impl<'a> Merged<'a> {
    pub(crate) async fn of(observer: &'a Observer, sources: &'a [Source], query: &'a Query) -> Result<Self, Error> {
        let mut all = Vec::with_capacity(sources.len());
        for source in sources {
            let mut lines = Lines::of(observer, source, query)?;
            let head = lines.next().await?;
            // The daemon has not many of them open for one user.
            let held = sources.len() > 1 && matches!(source, Source::System(..));
            if held || sources.len() > OPEN {
                lines.hold().await?;
            }
            all.push((lines, head));
        }
        Ok(Self { all })
    }

    /// The next one; `None`: that was all.
    pub(crate) async fn next(&mut self) -> Result<Option<Piece>, Error> {
        // The first of those with the same time: `min_by_key` has it so.
        let there = self.all.iter_mut().filter(|(_, head)| head.is_some());
        let Some((lines, head)) = there.min_by_key(|(_, head)| head.as_ref().map(|line| line.at)) else {
            return Ok(None);
        };
        let next = lines.next().await?;
        let line = std::mem::replace(head, next);
        Ok(line.map(|line| Piece { whose: lines.source.whose().to_owned(), line }))
    }
}
