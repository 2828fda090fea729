//! From a pipe into the files of one service, so that a byte is always in one of the two.
//!
//! splice(2) moves bytes within one system call, and the pipe gives up exactly those that the file
//! took: who is killed at any moment has moved them or has not. The place in the file is its end,
//! which is found again by looking at its length.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use rustix::io::Errno;
use rustix::pipe::{SpliceFlags, splice};

use super::super::layout::{ENTRY, Entries, Entry, Files, HEADER, Side, What, micros};
use super::full::{self, Loss};
use crate::clock;
use crate::paths::make_own;

/// At most so much is moved at once, so that every service has its turn.
const TURN: usize = 1 << 20;

/// The files of one service, and where they stand.
#[derive(Debug)]
pub(super) struct Sink {
    dir: PathBuf,
    uid: u32,
    /// Open while there is something to write.
    files: Option<Files>,
    /// The segment that the rest speaks of.
    known: Option<u64>,
    sides: [Progress; 2],
    entries: u64,
    /// The entry with which the present run begins.
    start: Option<u64>,
}

/// How far a stream is.
#[derive(Debug, Default)]
struct Progress {
    /// The bytes in the file.
    end: u64,
    /// Those that entries speak of.
    covered: u64,
    /// What a full disk cost.
    loss: Loss,
}

impl Sink {
    /// Makes nothing yet.
    pub(super) fn new(dir: PathBuf, uid: u32) -> Self {
        Self { dir, uid, files: None, known: None, sides: Default::default(), entries: 0, start: None }
    }

    /// Whether files are open.
    pub(super) fn is_open(&self) -> bool {
        self.files.is_some()
    }

    /// Closes the files until they are needed again.
    pub(super) fn rest(&mut self) {
        self.files = None;
    }

    /// Opens the files and finds out where they stand; what nobody wrote into the index, because
    /// its writer was killed, is written now.
    pub(super) fn ready(&mut self) -> io::Result<()> {
        if self.files.is_some() {
            return Ok(());
        }
        make_own(&self.dir, self.uid)?;
        let files = Files::create(&self.dir)?;
        let entries = files.entries()?;
        if self.known == Some(files.number) && self.entries == entries {
            // As we left it; nobody else writes.
            self.files = Some(files);
            return Ok(());
        }
        self.entries = entries;
        let covered = Entries::default().covered(&files, self.entries)?;
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
        for side in Side::BOTH {
            if let Some(changed) = left[side as usize] {
                self.tell(side, micros(changed))?;
            }
        }
        Ok(())
    }

    /// Notes that a run begins; what comes now is no part of an earlier line.
    pub(super) fn start_run(&mut self) -> io::Result<()> {
        // Somebody may have removed them.
        self.rest();
        self.ready()?;
        self.start = Some(self.entries);
        for side in Side::BOTH {
            self.mark(What::Start, side)?;
        }
        Ok(())
    }

    /// Notes that nothing more comes: a last line without an end is a line.
    pub(super) fn end_run(&mut self) -> io::Result<()> {
        self.ready()?;
        for side in Side::BOTH {
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

    fn mark(&mut self, what: What, side: Side) -> io::Result<()> {
        match self.append(what, side, micros(clock::now()), self.sides[side as usize].end, 0) {
            Err(error) if full::is_full(&error) => Ok(()),
            other => other,
        }
    }

    /// The entry with which the present run begins; of a service that an earlier daemon started,
    /// as that has written it.
    pub(super) fn run_began(&mut self) -> io::Result<u64> {
        self.ready()?;
        let (None, Some(files)) = (self.start, &self.files) else { return Ok(self.start.unwrap_or(0)) };
        let (mut entries, mut began) = (Entries::default(), None);
        for at in (0..self.entries).rev() {
            let entry = entries.get(files, at)?;
            match entry.filter(|entry| entry.what == What::Start) {
                Some(_) => began = Some(at),
                // Both streams have one, and they stand together.
                None if began.is_some() => break,
                None => {}
            }
        }
        self.start = Some(began.unwrap_or(0));
        Ok(self.start.unwrap_or(0))
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
        let moved = match self.splice(side, fifo) {
            Err(error) if full::is_full(&error) => return self.lose(side, fifo),
            other => other?,
        };
        self.sides[side as usize].end += moved as u64;
        if self.sides[side as usize].loss.ends() {
            tracing::warn!("{}: there is room again for {}", self.dir.display(), side.words());
        }
        self.tell(side, micros(clock::now()))?;
        Ok(moved)
    }

    fn splice(&self, side: Side, fifo: &OwnedFd) -> io::Result<usize> {
        let (file, base) = self.data(side)?;
        let mut place = self.sides[side as usize].end - base;
        loop {
            match splice(fifo, None, file, Some(&mut place), TURN, SpliceFlags::NONBLOCK | SpliceFlags::MOVE) {
                Err(Errno::INTR) => {}
                Ok(0) => return Err(io::ErrorKind::WouldBlock.into()),
                other => return Ok(other?),
            }
        }
    }

    fn data(&self, side: Side) -> io::Result<(&File, u64)> {
        let files = self.files.as_ref().ok_or(io::ErrorKind::NotFound)?;
        let file = files.data[side as usize].as_ref().ok_or(io::ErrorKind::NotFound)?;
        Ok((file, files.base[side as usize]))
    }

    /// There is no room: the service must not wait for it, so that its output is dropped.
    fn lose(&mut self, side: Side, fifo: &OwnedFd) -> io::Result<usize> {
        let progress = &mut self.sides[side as usize];
        let lost = progress.loss.drop_from(fifo, progress.end)?;
        if progress.loss.begins() {
            let dir = self.dir.display();
            tracing::warn!("{dir}: the disk is full: {} is dropped until there is room", side.words());
            self.tell(side, micros(clock::now()))?;
        }
        Ok(lost)
    }

    /// Writes into the index what it does not know of a stream. A full disk is no error: it is
    /// written the next time.
    fn tell(&mut self, side: Side, at: u64) -> io::Result<()> {
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
        let index = self.files.as_ref().and_then(|files| files.index.as_ref()).ok_or(io::ErrorKind::NotFound)?;
        let entry = Entry { what, side, micros, offset, len };
        // One that could be written only in part is written over the next time.
        index.write_all_at(&entry.encode(), HEADER + self.entries * ENTRY)?;
        self.entries += 1;
        Ok(())
    }
}
