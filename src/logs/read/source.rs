//! The entries of a log one after the other, those that its writer could not write any more among
//! them, and where to begin.

use std::io;
use std::path::Path;

use super::super::capture::peek;
use super::super::layout::{Entries, Entry, Files, Side, What, micros};
use super::Query;
use super::reader::LONGEST;
use crate::model::ServiceId;
use crate::paths::Places;

/// Bytes that are looked through at once.
const PIECE: u64 = 1 << 14;

/// The files of a log, as a sequence of entries.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) files: Files,
    entries: Entries,
    /// The whole ones in the index.
    count: u64,
    /// What follows them, if nothing more is to come.
    after: Vec<Entry>,
}

/// Where to begin: the number of an entry, and how many of the lines from there on are too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Begin {
    pub(super) entry: u64,
    pub(super) skip: u64,
}

/// A line that is not finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Begun {
    /// The offset of its first byte.
    pub(super) start: u64,
    /// When the last of it came.
    pub(super) micros: u64,
}

impl Source {
    /// One that goes on as long as its writer does. `None`: there is none.
    pub(super) fn live(dir: &Path) -> io::Result<Option<Self>> {
        let Some(files) = Files::open(dir)? else { return Ok(None) };
        let count = files.entries()?;
        Ok(Some(Self { files, entries: Entries::default(), count, after: Vec::new() }))
    }

    /// One that ends with what there is now, in the files or in the pipes of this service.
    pub(super) fn ended(dir: &Path, pipes: Option<(&Places, &ServiceId)>) -> io::Result<Option<Self>> {
        let Some(mut source) = Self::live(dir)? else { return Ok(None) };
        if let Some((places, id)) = pipes {
            for side in Side::BOTH {
                source.files.with_more(side, || peek(places, id, side))?;
            }
            // An entry of it may have come since.
            source.count = source.files.entries()?;
        }
        let covered = source.entries.covered(&source.files, source.count)?;
        let mut last = Vec::new();
        for side in Side::BOTH {
            // Its writer was killed, or is about to say it.
            let (end, changed) = source.files.end(side)?;
            let (offset, micros) = (covered[side as usize], micros(changed));
            if end > offset {
                source.after.push(Entry { what: What::Bytes, side, micros, offset, len: end - offset });
            }
            last.push(Entry { what: What::Break, side, micros, offset: end.max(offset), len: 0 });
        }
        source.after.sort_by_key(|entry| entry.micros);
        source.after.append(&mut last);
        Ok(Some(source))
    }

    /// Whether there is an entry of this number by now.
    pub(super) fn has(&mut self, number: u64) -> io::Result<bool> {
        if number >= self.count && self.after.is_empty() {
            self.count = self.files.entries()?;
        }
        Ok(number < self.len())
    }

    fn len(&self) -> u64 {
        self.count + self.after.len() as u64
    }

    /// One that there is; `None`: it is not known what it says.
    pub(super) fn get(&mut self, number: u64) -> io::Result<Option<Entry>> {
        match number.checked_sub(self.count) {
            Some(after) => Ok(usize::try_from(after).ok().and_then(|after| self.after.get(after).copied())),
            None => self.entries.get(&self.files, number),
        }
    }

    /// Where the lines that a query means begin.
    pub(super) fn begin(&mut self, query: &Query) -> io::Result<Begin> {
        let since = query.since.map_or(0, micros);
        match query.lines {
            Some(lines) => self.tail(lines as u64, since, query.stderr),
            None => {
                let mut entry = 0;
                while entry < self.len() && self.get(entry)?.is_none_or(|found| found.micros < since) {
                    entry += 1;
                }
                Ok(Begin { entry, skip: 0 })
            }
        }
    }

    fn tail(&mut self, lines: u64, since: u64, stderr: bool) -> io::Result<Begin> {
        let (mut counted, mut number) = (0, self.len());
        while counted < lines && number > 0 {
            number -= 1;
            let Some(entry) = self.get(number)?.filter(|entry| !stderr || entry.side == Side::Err) else { continue };
            if entry.what == What::Bytes {
                if entry.micros >= since {
                    counted += self.count(&entry)?;
                }
                continue;
            }
            let unfinished = self.line_start(number, &entry)?;
            counted += u64::from(unfinished.is_some_and(|line| line.micros >= since));
            counted += u64::from(entry.what == What::Lost && entry.micros >= since);
        }
        Ok(Begin { entry: number, skip: counted.saturating_sub(lines) })
    }

    /// The lines that end in an entry's bytes.
    fn count(&self, entry: &Entry) -> io::Result<u64> {
        let (mut lines, mut at) = (0, entry.offset);
        let mut buffer = [0; PIECE as usize];
        while at < entry.end() {
            let room = usize::try_from((entry.end() - at).min(PIECE)).unwrap_or_default();
            let got = self.files.read(entry.side, at, &mut buffer[..room])?;
            if got == 0 {
                break;
            }
            lines += buffer[..got].iter().filter(|byte| **byte == b'\n').count() as u64;
            at += got as u64;
        }
        Ok(lines)
    }

    /// The line of the same stream that is not finished where entry `number` stands.
    pub(super) fn line_start(&mut self, number: u64, here: &Entry) -> io::Result<Option<Begun>> {
        let mut begun: Option<Begun> = None;
        for earlier in (0..number).rev() {
            let Some(entry) = self.get(earlier)?.filter(|entry| entry.side == here.side) else { continue };
            if entry.what != What::Bytes {
                break;
            }
            let mut end = entry.end();
            while end > entry.offset {
                let from = entry.offset.max(end.saturating_sub(PIECE));
                let mut buffer = [0; PIECE as usize];
                let room = usize::try_from(end - from).unwrap_or_default();
                let got = self.files.read(here.side, from, &mut buffer[..room])?;
                let line_end = buffer[..got].iter().rposition(|byte| *byte == b'\n').map(|at| from + at as u64 + 1);
                let start = line_end.unwrap_or(from);
                if start < here.offset {
                    // Its time is that of the last byte.
                    begun = Some(Begun { start, micros: begun.map_or(entry.micros, |begun| begun.micros) });
                }
                if line_end.is_some() || here.offset.saturating_sub(start) >= LONGEST as u64 {
                    return Ok(begun);
                }
                end = from;
            }
        }
        Ok(begun)
    }
}
