//! Lines out of bytes, one log at a time.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};

use super::super::form::{Form, MARK, plain};
use super::super::layout::{Entry, Side, What, micros};
use super::super::{Line, Stream};
use super::Query;
use super::source::{At, Place, Source};
use crate::model::ServiceId;
use crate::paths::Places;

/// Bytes that are read at once.
const PIECE: usize = 1 << 14;
/// The last lines are looked for in so many bytes at the end, then in more and more.
const FIRST_LOOK: u64 = 1 << 16;
const LONGEST_LOOK: u64 = 8 << 20;

/// The lines of one service, both streams in the order in which they were read; a line stands
/// where its end came. Holds a piece of the files, the beginnings of lines, and the last lines if
/// those were asked for.
#[derive(Debug)]
pub(crate) struct Reader {
    dir: PathBuf,
    form: Form,
    query: Query,
    /// Open while it is read.
    source: Option<Source>,
    next: Place,
    /// Up to there, and no further.
    stop: Option<Place>,
    /// The bytes of an entry that are still to be read.
    left: Option<Entry>,
    sides: [Unfinished; 2],
    found: VecDeque<Line>,
}

/// The beginning of a line.
#[derive(Debug, Default)]
struct Unfinished {
    text: Vec<u8>,
    micros: u64,
    /// Whether it is all of it, or nothing was read yet.
    known: bool,
    /// In the present segment: the offset up to which entries were read.
    reached: Option<u64>,
    /// Up to this offset the file is damaged, and that was said.
    damaged: u64,
}

impl Reader {
    /// What there is now, and no more.
    pub(super) fn of(
        dir: &Path,
        pipes: Option<(&Places, &ServiceId)>,
        form: Form,
        query: &Query,
    ) -> io::Result<Option<Self>> {
        Source::ended(dir, pipes)?.map(|source| Self::new(dir, source, form, query)).transpose()
    }

    /// What there is now, and what comes.
    pub(super) fn live(dir: &Path, form: Form, query: &Query) -> io::Result<Option<Self>> {
        Source::live(dir)?.map(|source| Self::new(dir, source, form, query)).transpose()
    }

    /// What comes from this place on, where runs begin.
    pub(in crate::logs) fn from_place(dir: &Path, first: Place) -> io::Result<Self> {
        let source = Source::live(dir)?.ok_or(io::ErrorKind::NotFound)?;
        let mut reader = Self::at(dir, source, Form::default(), &Query::default(), first);
        reader.forget(true);
        Ok(reader)
    }

    fn new(dir: &Path, mut source: Source, form: Form, query: &Query) -> io::Result<Self> {
        let begin = match query.lines {
            Some(_) => source.end()?,
            None => source.since(query.since.map_or(0, micros))?,
        };
        let mut reader = Self::at(dir, source, form, query, begin);
        if let Some(lines) = query.lines {
            reader.last(lines)?;
        }
        Ok(reader)
    }

    fn at(dir: &Path, source: Source, form: Form, query: &Query, next: Place) -> Self {
        Self {
            dir: dir.to_owned(),
            form,
            query: query.clone(),
            source: Some(source),
            next,
            stop: None,
            left: None,
            sides: Default::default(),
            found: VecDeque::new(),
        }
    }

    /// The next line. `None`: there is none now, and of a live one there may be one later.
    ///
    /// # Errors
    /// The files cannot be read.
    pub(crate) fn next(&mut self) -> io::Result<Option<Line>> {
        loop {
            if let Some(line) = self.found.pop_front() {
                return Ok(Some(line));
            }
            if let Some(entry) = self.left.take() {
                self.piece(entry)?;
            } else if !self.step()? {
                return Ok(None);
            }
        }
    }

    /// From now on lines are given in this form.
    pub(super) fn set_form(&mut self, form: Form) {
        self.form = form;
    }

    /// Closes the files until the next call.
    pub(super) fn rest(&mut self) {
        self.source = None;
    }

    /// Finds the last lines that are meant, from the end on, and is at the end then.
    fn last(&mut self, lines: usize) -> io::Result<()> {
        let end = self.next;
        let (since, until) = (self.query.since.map_or(0, micros), self.query.until.map(micros));
        let mut stop = match (until, self.source()?) {
            (Some(until), Some(source)) => source.until(until)?,
            _ => end,
        };
        let (mut found, mut size, mut more) = (VecDeque::new(), FIRST_LOOK, lines > 0);
        while more {
            let (begin, older) = self.back(stop, size, since)?;
            (self.next, self.stop) = (begin, Some(stop));
            self.forget(false);
            let mut some = Vec::new();
            while let Some(line) = self.next()? {
                some.push(line);
            }
            let room = lines - found.len();
            some.drain(..some.len().saturating_sub(room));
            some.into_iter().rev().for_each(|line| found.push_front(line));
            more = found.len() < lines && !older && begin < stop;
            (stop, size) = (begin, (size * 2).min(LONGEST_LOOK));
        }
        self.forget(false);
        (self.next, self.stop, self.found) = (end, None, found);
        Ok(())
    }

    /// The place so many bytes before this one, and whether what is before it is too old or nothing.
    fn back(&mut self, stop: Place, size: u64, since: u64) -> io::Result<(Place, bool)> {
        let (stderr, mut place, mut passed) = (self.query.stderr, stop, 0);
        let Some(source) = self.source()? else { return Ok((stop, true)) };
        while passed < size {
            let Some((earlier, found)) = source.before(place)? else { return Ok((place, true)) };
            place = earlier;
            let Some(found) = found else { continue };
            if found.what == What::Bytes && found.micros < since {
                return Ok((place, true));
            }
            // Entries of nothing are not for nothing.
            let bytes = if found.what == What::Bytes { found.len } else { 0 };
            passed += 24 + if stderr && found.side == Side::Out { 0 } else { bytes };
        }
        Ok((place, false))
    }

    /// Whatever was read, what comes is in another place; `whole`: between two lines.
    fn forget(&mut self, whole: bool) {
        self.left = None;
        self.found.clear();
        for side in &mut self.sides {
            *side = Unfinished { known: whole, ..Unfinished::default() };
        }
    }

    fn source(&mut self) -> io::Result<Option<&mut Source>> {
        if self.source.is_none() {
            self.source = Source::live(&self.dir)?;
            if let Some(source) = self.source.as_ref().filter(|source| !source.has(self.next.segment)) {
                self.next = Place { segment: source.from(self.next.segment), entry: 0 };
                self.sides.iter_mut().for_each(|side| (side.reached, side.damaged) = (None, 0));
            }
        }
        Ok(self.source.as_mut())
    }

    /// Takes the next entry; whether there was one.
    fn step(&mut self) -> io::Result<bool> {
        let place = self.next;
        let stop = self.stop;
        if stop.is_some_and(|stop| place >= stop) {
            return Ok(false);
        }
        let Some(source) = self.source()? else { return Ok(false) };
        let entry = match source.at(place)? {
            At::End => return Ok(false),
            At::Next(segment) => {
                self.next = Place { segment, entry: 0 };
                self.sides.iter_mut().for_each(|side| (side.reached, side.damaged) = (None, 0));
                return Ok(true);
            }
            At::Entry(entry) => entry,
        };
        self.next.entry += 1;
        let Some(mut entry) = entry.filter(|entry| !self.query.stderr || entry.side == Side::Err) else {
            return Ok(true);
        };
        self.begin_of_line(place, &entry)?;
        if entry.what == What::Bytes {
            // What no entry speaks of, because the index is damaged, came before this.
            let reached = self.sides[entry.side as usize].reached.replace(entry.end());
            if let Some(reached) = reached.filter(|reached| *reached < entry.offset) {
                (entry.offset, entry.len) = (reached, entry.end() - reached);
            }
            self.left = Some(entry);
            return Ok(true);
        }
        self.end_of_line(entry.side);
        if entry.what == What::Lost {
            let (bytes, of) = (entry.len, entry.side.words());
            self.note(entry.micros, format!("{bytes} bytes of {of} were dropped here: the disk was full"));
        }
        Ok(true)
    }

    /// Who began to read within a line has missed the first of it.
    fn begin_of_line(&mut self, place: Place, entry: &Entry) -> io::Result<()> {
        if std::mem::replace(&mut self.sides[entry.side as usize].known, true) {
            return Ok(());
        }
        let form = self.form;
        let Some(source) = &mut self.source else { return Ok(()) };
        let begun = source.line_before(place, entry, &form)?;
        let side = &mut self.sides[entry.side as usize];
        (side.text, side.micros) = (begun.text, begun.micros);
        Ok(())
    }

    /// What there is of a line is one.
    fn end_of_line(&mut self, side: Side) {
        let unfinished = &mut self.sides[side as usize];
        let (text, at) = (std::mem::take(&mut unfinished.text), unfinished.micros);
        if !text.is_empty() {
            self.line(at, side.stream(), text);
        }
    }

    /// Reads some bytes of an entry.
    fn piece(&mut self, mut entry: Entry) -> io::Result<()> {
        let mut buffer = [0; PIECE];
        let room = usize::try_from(entry.len).unwrap_or(PIECE).min(PIECE);
        let segment = self.next.segment;
        let Some(source) = &mut self.source else { return Ok(()) };
        let Some(segment) = source.segment(segment)? else { return Ok(()) };
        let got = segment.files.read(entry.side, entry.offset, &mut buffer[..room])?;
        if got == 0 && entry.len > 0 {
            // Somebody may have cut the file.
            let Some(readable) = segment.files.damaged(entry.side, entry.offset) else { return Ok(()) };
            let until =
                readable.unwrap_or(segment.covered()?[entry.side as usize]).max(entry.end().min(entry.offset + 1));
            self.damaged(&entry, until);
            if until < entry.end() {
                (entry.len, entry.offset) = (entry.end() - until, until);
                self.left = Some(entry);
            }
            return Ok(());
        }
        (entry.offset, entry.len) = (entry.offset + got as u64, entry.len - got as u64);
        for line in buffer[..got].split_inclusive(|byte| *byte == b'\n') {
            let unfinished = &mut self.sides[entry.side as usize];
            unfinished.micros = entry.micros;
            let end = line.strip_suffix(b"\n");
            unfinished.text.extend_from_slice(end.unwrap_or(line));
            let form = self.form;
            if form.last_part(&unfinished.text) > 0 {
                let text = std::mem::take(&mut unfinished.text);
                let mut given = 0;
                for part in form.parts(&text) {
                    let mark = if part.start == 0 { &[] } else { MARK };
                    given = part.end;
                    self.line(entry.micros, entry.side.stream(), [mark, &text[part]].concat());
                }
                self.sides[entry.side as usize].text = [MARK, &text[given..]].concat();
            }
            if end.is_some() {
                let text = std::mem::take(&mut self.sides[entry.side as usize].text);
                self.line(entry.micros, entry.side.stream(), text);
            }
        }
        if entry.len > 0 {
            self.left = Some(entry);
        }
        Ok(())
    }

    /// Says once that nothing can be read up to there.
    fn damaged(&mut self, entry: &Entry, until: u64) {
        let said = self.sides[entry.side as usize].damaged;
        if until <= said {
            return;
        }
        self.sides[entry.side as usize].damaged = until;
        self.end_of_line(entry.side);
        let (bytes, of, segment) = (until - entry.offset.max(said), entry.side.words(), self.next.segment);
        let file = format!("{segment}.{}.gz", entry.side.name());
        let text = format!("{bytes} bytes of {of} cannot be read here: {} is damaged", self.dir.join(file).display());
        self.note(entry.micros, text);
    }

    fn note(&mut self, micros: u64, text: String) {
        self.line(micros, Stream::Note, text.into_bytes());
    }

    fn line(&mut self, at: u64, stream: Stream, text: Vec<u8>) {
        let entry = Entry { what: What::Bytes, side: Side::Out, micros: at, offset: 0, len: 0 };
        let mut line = Line { at: entry.at(), stream, text };
        if !self.query.means(&line) {
            return;
        }
        if self.form.strip {
            line.text = plain(&line.text).into_owned();
        }
        self.found.push_back(line);
    }
}
