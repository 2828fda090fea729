//! How captured output lies on disk: the names, the index, and reading both. Nothing here writes
//! but what makes new files.
//!
//! A service has a folder, `LOGS/ID/` (or `PATH/ID/` of its `log.path`), and in it segments: `1.out`
//! and `1.err` hold the bytes of the two streams as they were written (or in the form that was asked
//! for), and nothing else; `1.index`
//! says when they came. One file for each stream, because a line of one that is not finished yet
//! must not be torn by a line of the other, and so that any tool can read them; one index for both,
//! because its order is the order in which the bytes were read, whatever the clock did meanwhile.
//!
//! The segment with the highest number is written; one that has become too long or too old is
//! followed by the next ([`files`]). Those before it are whole and never change, but that each of
//! their files may be replaced by the same compressed, `1.out.gz` ([`packed`]).
//!
//! The index: a header of 48 bytes (the magic, the version, and for each stream the offset at
//! which the segment begins: a rotation opens the next segment where the one before it ends, and
//! offsets go on), then entries of 24 bytes, each three numbers of 64 bits, little endian: the
//! time in microseconds since 1970 with the kind in the highest byte, an offset, a length. An
//! entry is written after the bytes that it speaks of. A cut one at the end counts for nothing;
//! bytes that no entry covers are real, and came when their file was last changed.

mod data;
mod entries;
mod files;
mod names;
pub(super) mod packed;

use std::io;
use std::time::{Duration, SystemTime};

pub(super) use entries::Entries;
pub(super) use files::{Files, write_new};
pub(super) use names::{begun, numbers, path, segment_of};

use super::Stream;

/// Of an entry.
pub(super) const ENTRY: u64 = 24;
/// Of what stands before the entries.
pub(super) const HEADER: u64 = 48;
const MAGIC: [u8; 16] = *b"provost output\n\0";
const VERSION: u64 = 1;

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
