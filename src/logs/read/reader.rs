//! Lines out of bytes, one log at a time.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};

use super::super::layout::{Entry, Side, What, micros};
use super::super::{Line, Stream};
use super::Query;
use super::source::Source;
use crate::model::ServiceId;
use crate::paths::Places;

/// A line that is longer is given in parts.
pub(super) const LONGEST: usize = 1 << 20;
/// Bytes that are read at once.
const PIECE: usize = 1 << 14;

/// The lines of one service, both streams in the order in which they were read; a line stands
/// where its end came. Holds a piece of the files, and the beginnings of lines.
#[derive(Debug)]
pub(crate) struct Reader {
    dir: PathBuf,
    /// Open while it is read.
    source: Option<Source>,
    segment: u64,
    next: u64,
    /// The bytes of an entry that are still to be read.
    left: Option<Entry>,
    unfinished: [Unfinished; 2],
    found: VecDeque<Line>,
    skip: u64,
    since: u64,
    stderr: bool,
}

/// The beginning of a line.
#[derive(Debug, Default)]
struct Unfinished {
    text: Vec<u8>,
    micros: u64,
    /// Whether it is all of it, or nothing was read yet.
    known: bool,
}

impl Reader {
    /// What there is now, and no more.
    pub(super) fn of(dir: &Path, pipes: Option<(&Places, &ServiceId)>, query: &Query) -> io::Result<Option<Self>> {
        Source::ended(dir, pipes)?.map(|source| Self::new(dir, source, query)).transpose()
    }

    /// What there is now, and what comes.
    pub(super) fn live(dir: &Path, query: &Query) -> io::Result<Option<Self>> {
        Source::live(dir)?.map(|source| Self::new(dir, source, query)).transpose()
    }

    /// What comes from this entry of the newest segment on, where runs begin.
    pub(crate) fn from_entry(dir: &Path, first: u64) -> io::Result<Self> {
        let source = Source::live(dir)?.ok_or(io::ErrorKind::NotFound)?;
        let mut reader = Self::at(dir, source, first);
        for unfinished in &mut reader.unfinished {
            unfinished.known = true;
        }
        Ok(reader)
    }

    fn new(dir: &Path, mut source: Source, query: &Query) -> io::Result<Self> {
        let begin = source.begin(query)?;
        let since = query.since.map_or(0, micros);
        Ok(Self { skip: begin.skip, since, stderr: query.stderr, ..Self::at(dir, source, begin.entry) })
    }

    fn at(dir: &Path, source: Source, next: u64) -> Self {
        Self {
            dir: dir.to_owned(),
            segment: source.files.number,
            source: Some(source),
            next,
            left: None,
            unfinished: Default::default(),
            found: VecDeque::new(),
            skip: 0,
            since: 0,
            stderr: false,
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

    /// Closes the files until the next call.
    pub(super) fn rest(&mut self) {
        self.source = None;
    }

    fn source(&mut self) -> io::Result<Option<&mut Source>> {
        if self.source.is_none() {
            self.source = Source::live(&self.dir)?;
            let segment = self.source.as_ref().map_or(self.segment, |source| source.files.number);
            if std::mem::replace(&mut self.segment, segment) != segment {
                self.next = 0;
            }
        }
        Ok(self.source.as_mut())
    }

    /// Takes the next entry; whether there was one.
    fn step(&mut self) -> io::Result<bool> {
        let number = self.next;
        let Some(source) = self.source()? else { return Ok(false) };
        if !source.has(number)? {
            return Ok(false);
        }
        let entry = source.get(number)?;
        self.next += 1;
        let Some(entry) = entry.filter(|entry| !self.stderr || entry.side == Side::Err) else { return Ok(true) };
        self.begin_of_line(number, &entry)?;
        if entry.what == What::Bytes {
            self.left = Some(entry);
            return Ok(true);
        }
        let unfinished = &mut self.unfinished[entry.side as usize];
        let (text, at) = (std::mem::take(&mut unfinished.text), unfinished.micros);
        if !text.is_empty() {
            self.line(at, entry.side.stream(), text);
        }
        if entry.what == What::Lost {
            let (bytes, of) = (entry.len, entry.side.words());
            let text = format!("{bytes} bytes of {of} were dropped here: the disk was full");
            self.line(entry.micros, Stream::Note, text.into_bytes());
        }
        Ok(true)
    }

    /// Who began to read within a line has missed the first of it.
    fn begin_of_line(&mut self, number: u64, entry: &Entry) -> io::Result<()> {
        if std::mem::replace(&mut self.unfinished[entry.side as usize].known, true) {
            return Ok(());
        }
        let Some(source) = &mut self.source else { return Ok(()) };
        let Some(begun) = source.line_start(number, entry)? else { return Ok(()) };
        let (unfinished, mut at) = (&mut self.unfinished[entry.side as usize], begun.start);
        unfinished.micros = begun.micros;
        let text = &mut unfinished.text;
        text.resize(usize::try_from(entry.offset - at).unwrap_or_default(), 0);
        let mut got = 0;
        while at < entry.offset {
            match source.files.read(entry.side, at, &mut text[got..])? {
                0 => break,
                n => (at, got) = (at + n as u64, got + n),
            }
        }
        text.truncate(got);
        Ok(())
    }

    /// Reads some bytes of an entry.
    fn piece(&mut self, mut entry: Entry) -> io::Result<()> {
        let mut buffer = [0; PIECE];
        let room = usize::try_from(entry.len).unwrap_or(PIECE).min(PIECE);
        let Some(source) = &self.source else { return Ok(()) };
        let got = source.files.read(entry.side, entry.offset, &mut buffer[..room])?;
        (entry.offset, entry.len) = (entry.offset + got as u64, entry.len - got as u64);
        for line in buffer[..got].split_inclusive(|byte| *byte == b'\n') {
            let unfinished = &mut self.unfinished[entry.side as usize];
            unfinished.micros = entry.micros;
            let end = line.strip_suffix(b"\n");
            unfinished.text.extend_from_slice(end.unwrap_or(line));
            if end.is_some() || unfinished.text.len() >= LONGEST {
                let text = std::mem::take(&mut unfinished.text);
                self.line(entry.micros, entry.side.stream(), text);
            }
        }
        // Somebody may have cut the file.
        if got > 0 && entry.len > 0 {
            self.left = Some(entry);
        }
        Ok(())
    }

    fn line(&mut self, micros: u64, stream: Stream, text: Vec<u8>) {
        if micros < self.since {
            return;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return;
        }
        let entry = Entry { what: What::Bytes, side: Side::Out, micros, offset: 0, len: 0 };
        self.found.push_back(Line { at: entry.at(), stream, text });
    }
}
