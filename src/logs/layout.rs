//! How captured output lies on disk: the names, the index, and reading both. Nothing here writes
//! but what makes new files.
//!
//! A service has a folder, `LOGS/ID/`, and in it segments: `1.out` and `1.err` hold the bytes of
//! the two streams as they were written, and nothing else; `1.index` says when they came. One file
//! for each stream, because a line of one that is not finished yet must not be torn by a line of
//! the other, and so that any tool can read them; one index for both, because its order is the
//! order in which the bytes were read, whatever the clock did meanwhile.
//!
//! The index: a header of 48 bytes (the magic, the version, and for each stream the offset at
//! which the segment begins: a rotation opens the next segment where the one before it ends, and
//! offsets go on), then entries of 24 bytes, each three numbers of 64 bits, little endian: the
//! time in microseconds since 1970 with the kind in the highest byte, an offset, a length. An
//! entry is written after the bytes that it speaks of. A cut one at the end counts for nothing;
//! bytes that no entry covers are real, and came when their file was last changed.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::Stream;

/// Of an entry.
pub(super) const ENTRY: u64 = 24;
/// Of what stands before the entries.
pub(super) const HEADER: u64 = 48;
const MAGIC: [u8; 16] = *b"provost output\n\0";
const VERSION: u64 = 1;
/// Entries that are read at once.
const BLOCK: u64 = 1024;

/// One of the two streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Out,
    Err,
}

impl Side {
    pub(super) const BOTH: [Self; 2] = [Self::Out, Self::Err];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Out => "out",
            Self::Err => "err",
        }
    }

    pub(super) fn stream(self) -> Stream {
        match self {
            Self::Out => Stream::Out,
            Self::Err => Stream::Err,
        }
    }

    /// For people.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Out => "standard output",
            Self::Err => "standard error",
        }
    }
}

/// What an entry tells of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// So many bytes from the offset on came at this time.
    Bytes = 1,
    /// A run of the service begins here: what comes is no part of the line before.
    Start = 2,
    /// A line ends here although it has no end.
    Break = 3,
    /// So many bytes were lost here, because the disk was full.
    Lost = 4,
}

/// One entry of the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) what: What,
    pub(super) side: Side,
    /// Microseconds since 1970.
    pub(super) micros: u64,
    pub(super) offset: u64,
    pub(super) len: u64,
}

impl Entry {
    /// Where the stream stands after it.
    pub(super) fn end(&self) -> u64 {
        if self.what == What::Bytes { self.offset.saturating_add(self.len) } else { self.offset }
    }

    pub(super) fn at(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_micros(self.micros)
    }

    pub(super) fn encode(&self) -> [u8; ENTRY as usize] {
        let kind = (self.what as u64) << 1 | self.side as u64;
        let numbers = [self.micros & (u64::MAX >> 8) | kind << 56, self.offset, self.len];
        let mut bytes = [0; ENTRY as usize];
        for (place, number) in bytes.chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        bytes
    }

    /// `None` for what later versions may have to say.
    fn decode(bytes: &[u8]) -> Option<Self> {
        let [first, offset, len] = [0, 1, 2].map(|n| number(bytes, n));
        let side = if first >> 56 & 1 == 0 { Side::Out } else { Side::Err };
        let what = match first >> 57 {
            1 => What::Bytes,
            2 => What::Start,
            3 => What::Break,
            4 => What::Lost,
            _ => return None,
        };
        Some(Self { what, side, micros: first & (u64::MAX >> 8), offset, len })
    }
}

fn number(bytes: &[u8], at: usize) -> u64 {
    let place = bytes.get(at * 8..at * 8 + 8).and_then(|place| place.try_into().ok());
    u64::from_le_bytes(place.unwrap_or_default())
}

/// A time as entries have it.
pub(super) fn micros(at: SystemTime) -> u64 {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// The error, with what it is about.
pub(super) fn named(what: impl std::fmt::Display, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{what}: {error}"))
}

/// The files of a segment.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) number: u64,
    /// `None` to a reader, if it is missing.
    pub(super) index: Option<File>,
    pub(super) data: [Option<File>; 2],
    /// The offsets at which the segment begins.
    pub(super) base: [u64; 2],
    /// What follows the bytes in the files, and is to be read with them.
    more: [More; 2],
}

/// Bytes that are on their way into a file.
#[derive(Debug, Default)]
struct More {
    offset: u64,
    bytes: Vec<u8>,
    written: Option<SystemTime>,
}

impl Files {
    /// The newest segment, to read; `None`: there is none.
    pub(super) fn open(dir: &Path) -> io::Result<Option<Self>> {
        let Some(number) = newest(dir)? else { return Ok(None) };
        let open = |end: &str| match File::open(path(dir, number, end)) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(named(path(dir, number, end).display(), &error)),
        };
        let (index, data) = (open("index")?, [open("out")?, open("err")?]);
        let mut files = Self { number, index, data, base: [0; 2], more: Default::default() };
        match files.index.as_ref().map(header).transpose()? {
            Some(Header::Ours(base)) => files.base = base,
            Some(Header::Later) => {
                let why = format!("{} is of a later version of provost", path(dir, number, "index").display());
                return Err(io::Error::new(io::ErrorKind::Unsupported, why));
            }
            // The bytes are there all the same.
            Some(Header::None | Header::Other) | None => files.index = None,
        }
        Ok(Some(files))
    }

    /// The newest segment, to read and write; the first, if there is none. The folder is there.
    pub(super) fn create(dir: &Path) -> io::Result<Self> {
        let mut number = newest(dir)?.unwrap_or(1);
        let open = |number: u64, end: &str| {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false).mode(0o600);
            let path = path(dir, number, end);
            options.open(&path).map_err(|error| named(path.display(), &error))
        };
        let mut base = [0; 2];
        let index = loop {
            let index = open(number, "index")?;
            match header(&index)? {
                Header::Ours(found) => {
                    base = found;
                    break index;
                }
                Header::None => {
                    let start = [VERSION, 0, 0, 0].map(u64::to_le_bytes).concat();
                    index.write_all_at(&[&MAGIC[..], &start].concat(), 0)?;
                    break index;
                }
                Header::Later => number += 1,
                Header::Other => {
                    let (old, aside) = (path(dir, number, "index"), path(dir, number, "index.damaged"));
                    tracing::warn!("{} is damaged, and is kept as {}", old.display(), aside.display());
                    fs::rename(&old, &aside).map_err(|error| named(old.display(), &error))?;
                }
            }
        };
        let data = [Some(open(number, "out")?), Some(open(number, "err")?)];
        Ok(Self { number, index: Some(index), data, base, more: Default::default() })
    }

    /// How many whole entries the index has.
    pub(super) fn entries(&self) -> io::Result<u64> {
        let Some(index) = &self.index else { return Ok(0) };
        Ok(index.metadata()?.len().saturating_sub(HEADER) / ENTRY)
    }

    /// Up to where a stream has bytes, and when its file was last changed.
    pub(super) fn end(&self, side: Side) -> io::Result<(u64, SystemTime)> {
        let (end, changed) = self.end_of_file(side)?;
        let more = &self.more[side as usize];
        Ok((end.max(more.offset + more.bytes.len() as u64), more.written.map_or(changed, |at| at.max(changed))))
    }

    fn end_of_file(&self, side: Side) -> io::Result<(u64, SystemTime)> {
        let base = self.base[side as usize];
        let Some(file) = &self.data[side as usize] else { return Ok((base, SystemTime::UNIX_EPOCH)) };
        let found = file.metadata()?;
        Ok((base + found.len(), found.modified().unwrap_or(SystemTime::UNIX_EPOCH)))
    }

    /// Has what is on its way into the file of a stream read with it. `look` may be asked again: if
    /// some of it arrives meanwhile, nobody can tell where the rest belongs.
    pub(super) fn with_more(
        &mut self,
        side: Side,
        look: impl Fn() -> io::Result<(Vec<u8>, SystemTime)>,
    ) -> io::Result<()> {
        for _ in 0..8 {
            let (offset, _) = self.end_of_file(side)?;
            // Nothing, or not for us to see: what is in the files is there in any case.
            let Ok((bytes, written)) = look() else { return Ok(()) };
            if self.end_of_file(side)?.0 == offset {
                self.more[side as usize] = More { offset, bytes, written: Some(written) };
                return Ok(());
            }
        }
        Ok(())
    }

    /// Bytes of a stream from an offset on, at most as many as fit; none where there are none.
    pub(super) fn read(&self, side: Side, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let place = offset.checked_sub(self.base[side as usize]);
        let (Some(file), Some(place)) = (&self.data[side as usize], place) else { return Ok(0) };
        let got = loop {
            match file.read_at(buffer, place) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        let more = &self.more[side as usize];
        let from = (offset + got as u64).checked_sub(more.offset).and_then(|from| usize::try_from(from).ok());
        let rest = from.and_then(|from| more.bytes.get(from..)).unwrap_or_default();
        let also = rest.len().min(buffer.len() - got);
        buffer[got..got + also].copy_from_slice(&rest[..also]);
        Ok(got + also)
    }
}

enum Header {
    Ours([u64; 2]),
    /// It was cut when it was written.
    None,
    Later,
    Other,
}

fn header(index: &File) -> io::Result<Header> {
    let mut bytes = [0; HEADER as usize];
    match index.read_exact_at(&mut bytes, 0) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(Header::None),
        Err(error) => return Err(error),
    }
    if bytes[..16] != MAGIC {
        return Ok(Header::Other);
    }
    match number(&bytes, 2) {
        0 => Ok(Header::Other),
        VERSION => Ok(Header::Ours([number(&bytes, 3), number(&bytes, 4)])),
        _ => Ok(Header::Later),
    }
}

fn path(dir: &Path, number: u64, end: &str) -> PathBuf {
    dir.join(format!("{number}.{end}"))
}

fn newest(dir: &Path) -> io::Result<Option<u64>> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(|error| named(dir.display(), &error))?,
    };
    let mut newest = None;
    for entry in entries {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| match name.split_once('.')? {
            (number, "out" | "err" | "index") => number.parse().ok(),
            _ => None,
        });
        newest = newest.max(number);
    }
    Ok(newest)
}

/// Entries of an index, read in blocks.
#[derive(Debug, Default)]
pub(super) struct Entries {
    first: u64,
    block: Vec<u8>,
}

impl Entries {
    /// The entry of this number, counted from 0. `None`: it is not there, or not known.
    pub(super) fn get(&mut self, files: &Files, number: u64) -> io::Result<Option<Entry>> {
        if let Some(bytes) = self.bytes(number) {
            return Ok(Entry::decode(bytes));
        }
        let Some(index) = &files.index else { return Ok(None) };
        self.first = number / BLOCK * BLOCK;
        // A few at the end need no room for many.
        let room = files.entries()?.saturating_sub(self.first).min(BLOCK) * ENTRY;
        self.block.resize(usize::try_from(room).unwrap_or_default(), 0);
        let mut got = 0;
        while let Some(rest) = self.block.get_mut(got..).filter(|rest| !rest.is_empty()) {
            match index.read_at(rest, HEADER + self.first * ENTRY + got as u64)? {
                0 => break,
                n => got += n,
            }
        }
        self.block.truncate(got);
        Ok(self.bytes(number).and_then(Entry::decode))
    }

    fn bytes(&self, number: u64) -> Option<&[u8]> {
        let at = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.block.get(at.checked_mul(ENTRY as usize)?..)?.get(..ENTRY as usize)
    }

    /// Up to where entries cover each stream, looking back from the entry before `number`.
    pub(super) fn covered(&mut self, files: &Files, number: u64) -> io::Result<[u64; 2]> {
        let mut ends = [None; 2];
        let mut at = number;
        while at > 0 && ends.contains(&None) {
            at -= 1;
            if let Some(entry) = self.get(files, at)? {
                ends[entry.side as usize].get_or_insert(entry.end());
            }
        }
        Ok([0, 1].map(|side| ends[side].unwrap_or(files.base[side])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_read_as_they_were_written() {
        for (what, side) in [(What::Bytes, Side::Out), (What::Lost, Side::Err), (What::Start, Side::Err)] {
            let entry = Entry { what, side, micros: 1_790_000_000_123_456, offset: 1 << 40, len: 77 };
            assert_eq!(Entry::decode(&entry.encode()), Some(entry));
        }
        assert_eq!(Entry::decode(&[0xff; 24]), None);
    }
}
