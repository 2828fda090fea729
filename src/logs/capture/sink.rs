//! From a pipe into the files of one service, so that a byte is always in one of the two.
//!
//! splice(2) moves bytes within one system call, and the pipe gives up exactly those that the file
//! took: who is killed at any moment has moved them or has not. The place in the file is its end,
//! which is found again by looking at its length. Lines that somebody wants in another form than they
//! are written go another way (`refine`).

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use rustix::io::Errno;
use rustix::pipe::{SpliceFlags, splice};

use super::super::form::Form;
use super::super::layout::{ENTRY, Entries, Entry, Files, HEADER, Side, What, micros};
use super::super::read::{Place, start_of_run};
use super::super::spool::Spool;
use super::full::{self, Loss};
use super::turnover::Turnover;
use crate::clock;
use crate::model::service::LogSpec;
use crate::paths::make_own;

/// At most so much is moved at once, so that every service has its turn.
pub(super) const TURN: usize = 1 << 20;

/// The files of one service, and where they stand.
#[derive(Debug)]
pub(super) struct Sink {
    pub(super) dir: PathBuf,
    uid: u32,
    /// Open while there is something to write.
    pub(super) files: Option<Files>,
    /// The segment that the rest speaks of.
    known: Option<u64>,
    pub(super) sides: [Progress; 2],
    entries: u64,
    /// The segment and the entry with which the present run begins.
    start: Option<Place>,
    /// When the next segment is due.
    pub(super) turnover: Turnover,
    /// How lines are to be kept.
    pub(super) form: Form,
    /// What is on its way into that form; of who did not ask for one there is none.
    pub(super) spools: [Option<Spool>; 2],
}

/// How far a stream is.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// The bytes in the file.
    pub(super) end: u64,
    /// Those that entries speak of.
    pub(super) covered: u64,
    /// What a full disk cost.
    pub(super) loss: Loss,
}

impl Sink {
    /// Makes nothing yet.
    pub(super) fn new(dir: PathBuf, uid: u32, settings: &LogSpec) -> Self {
        let (sides, turnover, form) = (Default::default(), Turnover::new(settings), Form::of(settings));
        let spools = Default::default();
        Self { dir, uid, files: None, known: None, sides, entries: 0, start: None, turnover, form, spools }
    }

    /// From now on it is kept as these say.
    pub(super) fn set(&mut self, settings: &LogSpec) {
        self.turnover.set(settings);
        self.form = Form::of(settings);
    }

    /// Whether files are open.
    pub(super) fn is_open(&self) -> bool {
        self.files.is_some()
    }

    /// Closes the files until they are needed again.
    pub(super) fn rest(&mut self) {
        self.files = None;
        self.spools = Default::default();
    }

    /// Opens the files and finds out where they stand; what nobody wrote into the index, because
    /// its writer was killed, is written now.
    pub(super) fn ready(&mut self) -> io::Result<()> {
        if self.files.is_some() {
            return Ok(());
        }
        // Before it is made, and what is there then.
        self.turnover.may_use(&self.dir, self.uid)?;
        make_own(&self.dir, self.uid)?;
        self.turnover.may_use(&self.dir, self.uid)?;
        let files = Files::create(&self.dir)?;
        let entries = files.entries()?;
        if self.known == Some(files.number) && self.entries == entries {
            // As we left it; nobody else writes.
            self.files = Some(files);
            return self.find_spools();
        }
        self.entries = entries;
        let mut read = Entries::default();
        self.turnover.began(read.get(&files, 0)?.map(|entry| entry.micros));
        let covered = read.covered(&files, self.entries)?;
        let mut left = [None; 2];
        for side in Side::BOTH {
            let (end, changed) = files.end(side)?;
            let progress = &mut self.sides[side as usize];
            progress.covered = covered[side as usize];
            // Never before what the index knows: somebody may have cut the file.
            progress.end = end.max(progress.covered);
            left[side as usize] = (progress.end > progress.covered).then_some(changed);
        }
        self.known = Some(files.number);
        self.files = Some(files);
        self.find_spools()?;
        for side in Side::BOTH {
            self.refine(side, false)?;
            let changed = left[side as usize].unwrap_or_else(clock::now);
            self.tell(side, micros(changed))?;
        }
        Ok(())
    }

    fn find_spools(&mut self) -> io::Result<()> {
        Side::BOTH.iter().try_for_each(|side| self.find_spool(*side))
    }

    /// Notes that a run begins; what comes now is no part of an earlier line.
    pub(super) fn start_run(&mut self) -> io::Result<()> {
        // Somebody may have removed them.
        self.rest();
        self.ready()?;
        for side in Side::BOTH {
            self.finish(side)?;
            self.tell(side, micros(clock::now()))?;
        }
        self.start = self.known.map(|segment| Place { segment, entry: self.entries });
        for side in Side::BOTH {
            self.mark(What::Start, side)?;
        }
        Ok(())
    }

    /// Notes that nothing more comes: a last line without an end is a line.
    pub(super) fn end_run(&mut self) -> io::Result<()> {
        self.ready()?;
        for side in Side::BOTH {
            self.finish_run(side)?;
            self.tell(side, micros(clock::now()))?;
            let offset = self.sides[side as usize].end;
            let mut last = [b'\n'];
            if let (Some(before), Some(files)) = (offset.checked_sub(1), &self.files) {
                files.read(side, before, &mut last)?;
            }
            if last != [b'\n'] {
                self.mark(What::Break, side)?;
            }
        }
        Ok(())
    }

    /// The same, if anything was written here.
    pub(super) fn leave(&mut self) -> io::Result<()> {
        if self.known.is_some() { self.end_run() } else { Ok(()) }
    }

    fn mark(&mut self, what: What, side: Side) -> io::Result<()> {
        match self.append(what, side, micros(clock::now()), self.sides[side as usize].end, 0) {
            Err(error) if full::is_full(&error) => Ok(()),
            other => other,
        }
    }

    /// Where the present run begins; of a service that an earlier daemon started, as that has
    /// written it.
    pub(super) fn run_began(&mut self) -> io::Result<Place> {
        self.ready()?;
        let here = Place { segment: self.known.unwrap_or(1), entry: self.entries };
        if self.start.is_none() {
            self.start = Some(start_of_run(&self.dir, here)?);
        }
        Ok(self.start.unwrap_or(here))
    }

    /// Moves what is in the pipe, at most `TURN`; how much it was.
    ///
    /// # Errors
    /// `WouldBlock`: the pipe is empty. Any other: nothing is lost, and it can be tried again.
    pub(super) fn take(&mut self, side: Side, fifo: &OwnedFd) -> io::Result<usize> {
        self.ready()?;
        let progress = &mut self.sides[side as usize];
        if progress.loss.is_torn() {
            // The rest of a line whose beginning is lost goes with it.
            let skipped = progress.loss.skip_line(fifo, progress.end)?;
            if progress.loss.is_torn() {
                return Ok(skipped);
            }
        }
        if self.has_form(side) {
            if self.form.is_asked_for() {
                return self.take_in_form(side, fifo);
            }
            self.finish(side)?;
        }
        if self.is_due() {
            return self.turn_over(side, fifo);
        }
        self.move_up_to(side, fifo, self.room().min(TURN))
    }

    /// Moves so many bytes of what is in the pipe.
    pub(super) fn move_up_to(&mut self, side: Side, fifo: &OwnedFd, most: usize) -> io::Result<usize> {
        let (file, base) = self.data(side)?;
        let moved = match move_bytes(fifo, file, self.sides[side as usize].end - base, most) {
            Err(error) if full::is_full(&error) => return self.lose(side, fifo),
            other => other?,
        };
        self.sides[side as usize].end += moved as u64;
        self.has_room(side);
        self.tell(side, micros(clock::now()))?;
        Ok(moved)
    }

    /// Something found room.
    pub(super) fn has_room(&mut self, side: Side) {
        if self.sides[side as usize].loss.ends() {
            tracing::warn!("{}: there is room again for {}", self.dir.display(), side.words());
        }
    }

    pub(super) fn data(&self, side: Side) -> io::Result<(&File, u64)> {
        let files = self.files.as_ref().ok_or(io::ErrorKind::NotFound)?;
        Ok((files.file(side)?, files.base[side as usize]))
    }

    /// There is no room: the service must not wait for it, so that its output is dropped.
    pub(super) fn lose(&mut self, side: Side, fifo: &OwnedFd) -> io::Result<usize> {
        let progress = &mut self.sides[side as usize];
        let lost = progress.loss.drop_from(fifo, progress.end)?;
        self.is_lost(side)?;
        Ok(lost)
    }

    pub(super) fn is_lost(&mut self, side: Side) -> io::Result<()> {
        if self.sides[side as usize].loss.begins() {
            let dir = self.dir.display();
            tracing::warn!("{dir}: the disk is full: {} is dropped until there is room", side.words());
            self.tell(side, micros(clock::now()))?;
        }
        Ok(())
    }

    /// Writes into the index what it does not know of a stream. A full disk is no error: it is
    /// written the next time.
    pub(super) fn tell(&mut self, side: Side, at: u64) -> io::Result<()> {
        match self.try_tell(side, at) {
            Err(error) if full::is_full(&error) => Ok(()),
            other => other,
        }
    }

    fn try_tell(&mut self, side: Side, at: u64) -> io::Result<()> {
        while let Some((offset, lost)) = self.sides[side as usize].loss.first() {
            self.cover(side, at, offset)?;
            self.append(What::Lost, side, at, offset, lost)?;
            self.sides[side as usize].loss.told();
        }
        self.cover(side, at, self.sides[side as usize].end)
    }

    fn cover(&mut self, side: Side, at: u64, end: u64) -> io::Result<()> {
        let covered = self.sides[side as usize].covered;
        if end > covered {
            self.append(What::Bytes, side, at, covered, end - covered)?;
            self.sides[side as usize].covered = end;
        }
        Ok(())
    }

    fn append(&mut self, what: What, side: Side, micros: u64, offset: u64, len: u64) -> io::Result<()> {
        let index = self.files.as_ref().ok_or(io::ErrorKind::NotFound)?.index_file()?;
        let entry = Entry { what, side, micros, offset, len };
        // One that could be written only in part is written over the next time.
        index.write_all_at(&entry.encode(), HEADER + self.entries * ENTRY)?;
        self.entries += 1;
        self.turnover.began(Some(micros));
        Ok(())
    }

    /// Goes on with these files, which nothing is in.
    pub(super) fn go_on_with(&mut self, files: Files) {
        self.known = Some(files.number);
        self.files = Some(files);
        self.entries = 0;
    }
}

/// Moves at most so many bytes of what is in a pipe to a place of a file.
///
/// # Errors
/// `WouldBlock`: the pipe is empty.
pub(super) fn move_bytes(fifo: &OwnedFd, file: &File, mut place: u64, most: usize) -> io::Result<usize> {
    loop {
        match splice(fifo, None, file, Some(&mut place), most, SpliceFlags::NONBLOCK | SpliceFlags::MOVE) {
            Err(Errno::INTR) => {}
            Ok(0) => return Err(io::ErrorKind::WouldBlock.into()),
            other => return Ok(other?),
        }
    }
}
