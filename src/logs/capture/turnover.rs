//! When the files of a service are followed by new ones, and how.
//!
//! Between two lines, so that each file can be read by itself: of a stream that is in the middle of a
//! line, the rest of it is moved before. The other stream may be in the middle of one; who reads both
//! files sees it whole.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags, pipe_with, tee};

use super::super::layout::{Side, micros};
use super::full;
use super::sink::Sink;
use crate::clock;
use crate::model::service::LogSpec;

/// A line that has no end after so many bytes is cut.
const LONGEST: u64 = 1 << 20;
/// After a failure it is tried again when so much more was written.
const AGAIN: u64 = 1 << 20;

/// When it is due.
#[derive(Debug)]
pub(super) struct Turnover {
    max_size: u64,
    /// Microseconds; 0: never.
    max_age: u64,
    /// Whether the folder is where the user wants it.
    elsewhere: bool,
    /// When the first of the present files came.
    begin: Option<u64>,
    /// The least size for another attempt.
    again: u64,
    /// That it was done.
    news: bool,
}

impl Turnover {
    pub(super) fn new(settings: &LogSpec) -> Self {
        let max_age = u64::try_from(settings.max_age.0.as_micros()).unwrap_or(u64::MAX);
        let (max_size, elsewhere) = (settings.max_size.0, settings.path.is_some());
        Self { max_size, max_age, elsewhere, begin: None, again: 0, news: false }
    }

    /// From now on it is due by these.
    pub(super) fn set(&mut self, settings: &LogSpec) {
        *self = Self { begin: self.begin, news: self.news, ..Self::new(settings) };
    }

    /// The first of the present files came then, if nothing came before.
    pub(super) fn began(&mut self, at: Option<u64>) {
        self.begin = self.begin.or(at);
    }

    /// Whether files have become old since this was asked last.
    pub(super) fn news(&mut self) -> bool {
        std::mem::take(&mut self.news)
    }

    pub(super) fn may_use(&self, dir: &Path, uid: u32) -> io::Result<()> {
        if self.elsewhere { may_use(dir, uid) } else { Ok(()) }
    }
}

/// A folder in a place that the user has chosen may be somebody else's, or lead there.
pub(in crate::logs) fn may_use(dir: &Path, uid: u32) -> io::Result<()> {
    let refused = |why: String| Err(io::Error::new(io::ErrorKind::PermissionDenied, format!("log.path: {why}")));
    if let Ok(found) = fs::symlink_metadata(dir)
        && (!found.is_dir() || found.uid() != uid || found.mode() & 0o022 != 0)
    {
        return refused(format!("{} is not a folder of uid {uid} alone", dir.display()));
    }
    let there = dir.ancestors().find(|part| part.exists());
    match there.filter(|_| uid == 0).and_then(crate::config::distrusted_folder) {
        Some(why) => refused(why),
        None => Ok(()),
    }
}

impl Sink {
    /// Whether the present files are long or old enough.
    pub(super) fn is_due(&self) -> bool {
        let due = &self.turnover;
        let Some(size) = self.size() else { return false };
        if size == 0 || size < due.again {
            return false;
        }
        let old = |begin: u64| due.max_age > 0 && micros(clock::now()).saturating_sub(begin) >= due.max_age;
        size >= due.max_size || due.begin.is_some_and(old)
    }

    /// How much fits into the present files until the next ones are due.
    pub(super) fn room(&self) -> usize {
        let room = self.turnover.max_size.saturating_sub(self.size().unwrap_or(0));
        // No next ones could be made: these go on.
        if room == 0 { usize::MAX } else { usize::try_from(room).unwrap_or(usize::MAX) }
    }

    /// Of both streams in the present files.
    fn size(&self) -> Option<u64> {
        let base = self.files.as_ref()?.base;
        Some(Side::BOTH.iter().map(|side| self.sides[*side as usize].end.saturating_sub(base[*side as usize])).sum())
    }

    /// Moves what belongs into the present files, and takes new ones if that was all; how much it was.
    pub(super) fn turn_over(&mut self, side: Side, fifo: &OwnedFd) -> io::Result<usize> {
        let mut moved = 0;
        if !self.is_between_lines(side)? {
            let seen = look(fifo)?;
            let line_end = seen.iter().position(|byte| *byte == b'\n').map(|at| at + 1);
            moved = self.move_up_to(side, fifo, line_end.unwrap_or(seen.len()))?;
            let too_long = self.size().unwrap_or(0) >= self.turnover.max_size.saturating_add(LONGEST);
            if line_end.is_none_or(|end| end != moved) && !too_long {
                return Ok(moved);
            }
        }
        self.turn();
        Ok(moved)
    }

    /// Takes new files.
    pub(super) fn turn(&mut self) {
        if let Err(error) = self.take_new_files() {
            // The present ones are as good.
            self.turnover.again = self.size().unwrap_or(0) + AGAIN;
            if !full::is_full(&error) {
                tracing::warn!("{}: no new files can be made: {error}", self.dir.display());
            }
        }
    }

    fn is_between_lines(&self, side: Side) -> io::Result<bool> {
        let Some(files) = &self.files else { return Ok(true) };
        let (end, mut last) = (self.sides[side as usize].end, [b'\n']);
        if end > files.base[side as usize] {
            files.read(side, end - 1, &mut last)?;
        }
        Ok(last == [b'\n'])
    }

    fn take_new_files(&mut self) -> io::Result<()> {
        for side in Side::BOTH {
            self.tell(side, micros(clock::now()))?;
            let progress = &self.sides[side as usize];
            if progress.covered < progress.end || progress.loss.first().is_some() {
                return Err(io::ErrorKind::StorageFull.into());
            }
        }
        let Some(files) = &self.files else { return Ok(()) };
        let new = files.next(&self.dir)?;
        self.go_on_with(new);
        (self.turnover.begin, self.turnover.again, self.turnover.news) = (None, 0, true);
        Ok(())
    }
}

/// A copy of what is in the pipe.
///
/// # Errors
/// `WouldBlock`: it is empty.
fn look(fifo: &OwnedFd) -> io::Result<Vec<u8>> {
    let (copy, end) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
    let seen = loop {
        match tee(fifo, &end, 1 << 16, SpliceFlags::NONBLOCK) {
            Err(Errno::INTR) => {}
            other => break other?,
        }
    };
    drop(end);
    let mut bytes = Vec::with_capacity(seen);
    File::from(copy).read_to_end(&mut bytes)?;
    if bytes.is_empty() { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(bytes) }
}
