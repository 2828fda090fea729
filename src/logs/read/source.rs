//! The segments of a log as one sequence of entries, those that their writer could not write any more
//! among them.

use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::super::capture::peek;
use super::super::layout::{Entries, Entry, Files, Side, What, begun, micros, numbers};
use super::super::spool::Spool;
use crate::gather::Arrange as _;
use crate::model::ServiceId;
use crate::paths::Places;

/// Segments that are open at once: the one that is read, and those around it.
const OPEN: usize = 3;

/// Where an entry is. The order is that of reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::logs) struct Place {
    pub(in crate::logs) segment: u64,
    /// Counted from 0.
    pub(in crate::logs) entry: u64,
}

/// What is at a place.
#[derive(Debug, Clone, Copy)]
pub(super) enum At {
    /// `None`: it is not known what it says.
    Entry(Option<Entry>),
    /// The segment ends here, and this one follows.
    Next(u64),
    /// Nothing, yet.
    End,
}

/// The files of a log.
#[derive(Debug)]
pub(super) struct Source {
    dir: PathBuf,
    /// The segments, the oldest first.
    numbers: Vec<u64>,
    /// The one used last is the last.
    open: Vec<Segment>,
    /// Whether it ends with what was there at the beginning.
    ended: bool,
}

#[derive(Debug)]
pub(super) struct Segment {
    pub(super) files: Files,
    entries: Entries,
    /// The whole ones in the index.
    count: u64,
    /// What follows them, if nothing more is to come.
    after: Vec<Entry>,
}

impl Source {
    /// One that goes on as long as its writer does. `None`: there is none.
    pub(super) fn live(dir: &Path) -> io::Result<Option<Self>> {
        let mut numbers = numbers(dir)?;
        // The next one may be about to begin: there are files, and nothing in them.
        if numbers.len() > 1
            && let Some(newest) = numbers.last().copied().filter(|newest| !begun(dir, *newest))
            && Files::open(dir, newest)?.is_none_or(|files| Side::BOTH.iter().all(|side| is_empty(&files, *side)))
        {
            numbers.pop();
        }
        let mut source = Self { dir: dir.to_owned(), numbers, open: Vec::new(), ended: false };
        Ok(source.newest()?.is_some().then_some(source))
    }

    /// One that ends with what there is now, in the files or in the pipes of this service.
    pub(super) fn ended(dir: &Path, pipes: Option<(&Places, &ServiceId)>) -> io::Result<Option<Self>> {
        for _ in 0..8 {
            let Some(mut source) = Self::live(dir)? else { return Ok(None) };
            let Some(segment) = source.newest()? else { return Ok(None) };
            let number = segment.files.number;
            if let Some((places, id)) = pipes {
                for side in Side::BOTH {
                    segment.files.with_more(side, || on_its_way(dir, places, id, side))?;
                }
            }
            // An entry of it may have come since.
            segment.count = segment.files.entries()?;
            segment.end()?;
            segment.end_lines()?;
            source.ended = true;
            // What was in the pipes may be in new files by now.
            if !begun(dir, number + 1) {
                return Ok(Some(source));
            }
        }
        Err(io::Error::other("it is written faster than it can be looked at; try it again"))
    }

    fn newest(&mut self) -> io::Result<Option<&mut Segment>> {
        while let Some(number) = self.numbers.last().copied() {
            if self.load(number)? {
                return Ok(self.open.last_mut());
            }
            self.numbers.pop();
        }
        Ok(None)
    }

    /// Opens a segment, and puts it last; whether it is there.
    fn load(&mut self, number: u64) -> io::Result<bool> {
        if let Some(at) = self.open.iter().position(|segment| segment.files.number == number) {
            self.open[at..].rotate_left(1);
            return Ok(true);
        }
        let Some(files) = Files::open(&self.dir, number)? else { return Ok(false) };
        let count = files.entries()?;
        let mut segment = Segment { files, entries: Entries::default(), count, after: Vec::new() };
        let newest = self.numbers.last().copied();
        if newest.is_some_and(|newest| number < newest) {
            segment.end()?;
        }
        if self.open.len() >= OPEN {
            // Of the newest it is kept up to where it went.
            let oldest = self.open.iter().position(|segment| Some(segment.files.number) != newest);
            oldest.map(|at| self.open.remove(at));
        }
        self.open.push(segment);
        Ok(true)
    }

    /// One that there is.
    pub(super) fn segment(&mut self, number: u64) -> io::Result<Option<&mut Segment>> {
        Ok(if self.load(number)? { self.open.last_mut() } else { None })
    }

    pub(super) fn at(&mut self, place: Place) -> io::Result<At> {
        if let Some(segment) = self.segment(place.segment)?
            && place.entry < segment.len()
        {
            return segment.get(place.entry).map(At::Entry);
        }
        let next = self.after(place.segment)?;
        // Whatever is in this one was there before the next began.
        let ended = self.ended;
        if let Some(segment) = self.segment(place.segment)?.filter(|segment| !ended && segment.after.is_empty()) {
            segment.count = segment.files.entries()?;
            if place.entry < segment.len() {
                return segment.get(place.entry).map(At::Entry);
            }
        }
        Ok(next.map_or(At::End, At::Next))
    }

    /// The segment that follows.
    fn after(&mut self, number: u64) -> io::Result<Option<u64>> {
        let known = |all: &[u64]| all.iter().copied().find(|other| *other > number);
        if let Some(next) = known(&self.numbers) {
            return Ok(Some(next));
        }
        if self.ended || !begun(&self.dir, number + 1) && begun(&self.dir, number) {
            return Ok(None);
        }
        // It was slower than what removes the oldest; or somebody has removed all, and it begins anew.
        let all = numbers(&self.dir)?;
        let is_there = all.contains(&number);
        self.numbers = all.into_iter().filter(|other| begun(&self.dir, *other)).collect();
        Ok(known(&self.numbers).or_else(|| self.numbers.first().copied().filter(|_| !is_there)))
    }

    /// The last place, behind the last entry.
    pub(super) fn end(&mut self) -> io::Result<Place> {
        let segment = self.newest()?.map(|segment| Place { segment: segment.files.number, entry: segment.len() });
        segment.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// The place of the entry before this one, and what it says.
    pub(super) fn before(&mut self, place: Place) -> io::Result<Option<(Place, Option<Entry>)>> {
        let mut place = place;
        while place.entry == 0 {
            let earlier = self.numbers.iter().rev().copied().find(|number| *number < place.segment);
            let Some(earlier) = earlier else { return Ok(None) };
            let entry = self.segment(earlier)?.map_or(0, |segment| segment.len());
            place = Place { segment: earlier, entry };
        }
        place.entry -= 1;
        let Some(segment) = self.segment(place.segment)? else { return Ok(None) };
        Ok(Some((place, segment.get(place.entry)?)))
    }

    /// Where a segment begins; if that is what there is first, where all begins.
    pub(super) fn first(&self) -> Place {
        Place { segment: self.numbers.first().copied().unwrap_or(1), entry: 0 }
    }

    /// The first place of which what follows may have come at this time or later, and before which
    /// nothing did: a clock that was set back may hide some.
    pub(super) fn since(&mut self, since: u64) -> io::Result<Place> {
        if since == 0 {
            return Ok(self.first());
        }
        let mut place = self.first();
        for number in self.numbers.clone().into_iter().rev() {
            let Some(segment) = self.segment(number)? else { continue };
            if segment.first_time()?.is_some_and(|first| first < since) {
                place = Place { segment: number, entry: 0 };
                break;
            }
        }
        loop {
            match self.at(place)? {
                At::Entry(found) if found.is_none_or(|found| found.micros < since) => place.entry += 1,
                At::Entry(_) | At::End => return Ok(place),
                At::Next(segment) => place = Place { segment, entry: 0 },
            }
        }
    }

    /// The last place before which something came at this time or earlier; a clock that was set back
    /// may hide some.
    pub(super) fn until(&mut self, until: u64) -> io::Result<Place> {
        let mut place = self.end()?;
        loop {
            // Whole segments first.
            let first = self.segment(place.segment)?.map(Segment::first_time).transpose()?.flatten();
            if place.segment != self.first().segment && first.is_some_and(|first| first > until) {
                place.entry = 0;
            }
            match self.before(place)? {
                Some((earlier, found)) if found.is_none_or(|found| found.micros > until) => place = earlier,
                _ => return Ok(place),
            }
        }
    }

    /// Whether there is the segment of a place.
    pub(super) fn has(&self, number: u64) -> bool {
        self.numbers.contains(&number)
    }

    /// The first segment from this number on, or the first of all.
    pub(super) fn from(&self, number: u64) -> u64 {
        let from = self.numbers.iter().copied().find(|other| *other >= number);
        from.unwrap_or(self.first().segment)
    }
}

impl Segment {
    pub(super) fn len(&self) -> u64 {
        self.count + self.after.len() as u64
    }

    /// One that there is.
    fn get(&mut self, number: u64) -> io::Result<Option<Entry>> {
        match number.checked_sub(self.count) {
            Some(after) => Ok(usize::try_from(after).ok().and_then(|after| self.after.get(after).copied())),
            None => self.entries.get(&self.files, number),
        }
    }

    /// When its first bytes came.
    fn first_time(&mut self) -> io::Result<Option<u64>> {
        if self.len() == 0 {
            return Ok(None);
        }
        Ok(self.get(0)?.map(|entry| entry.micros))
    }

    /// Takes what no entry speaks of as the last that came: its writer was killed, or is about to
    /// say it.
    fn end(&mut self) -> io::Result<()> {
        let covered = self.covered()?;
        for side in Side::BOTH {
            let (end, changed) = self.files.end(side)?;
            let (offset, micros) = (covered[side as usize], micros(changed));
            if end > offset {
                self.after.push(Entry { what: What::Bytes, side, micros, offset, len: end - offset });
            }
        }
        self.after.arrange_by_key(|entry| entry.micros);
        Ok(())
    }

    /// A line without an end is a line.
    fn end_lines(&mut self) -> io::Result<()> {
        let covered = self.covered()?;
        for side in Side::BOTH {
            let (end, changed) = self.files.end(side)?;
            let offset = end.max(covered[side as usize]);
            self.after.push(Entry { what: What::Break, side, micros: micros(changed), offset, len: 0 });
        }
        Ok(())
    }

    /// Up to where entries speak of each stream.
    pub(super) fn covered(&mut self) -> io::Result<[u64; 2]> {
        self.entries.covered(&self.files, self.count)
    }
}

/// What is not in the file of a stream yet: in the pipe, and before that in the spool of one whose lines
/// are put in form, and then where it belongs is known.
fn on_its_way(
    dir: &Path,
    places: &Places,
    id: &ServiceId,
    side: Side,
) -> io::Result<(Option<u64>, Vec<u8>, SystemTime)> {
    let Some(mut spool) = Spool::open(dir, side, false)? else {
        return peek(places, id, side).map(|(bytes, written)| (None, bytes, written));
    };
    // Of one that has ended there is no pipe.
    let (offset, bytes, written) =
        spool.look(|| peek(places, id, side).map_or_else(|_| Vec::new(), |(bytes, _)| bytes))?;
    Ok((Some(offset), bytes, written))
}

fn is_empty(files: &Files, side: Side) -> bool {
    files.end(side).is_ok_and(|(end, _)| end == 0)
}
