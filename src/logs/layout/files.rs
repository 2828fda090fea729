//! The files of one segment.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::SystemTime;

use super::data::Data;
use super::{ENTRY, HEADER, MAGIC, Side, VERSION, begun, named, number, numbers, path};

/// The files of a segment.
#[derive(Debug)]
pub(in crate::logs) struct Files {
    pub(in crate::logs) number: u64,
    /// `None` to a reader, if it is missing.
    index: Option<Data>,
    data: [Option<Data>; 2],
    /// The offsets at which the segment begins.
    pub(in crate::logs) base: [u64; 2],
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
    /// A segment, to read; `None`: nothing is left of it.
    pub(in crate::logs) fn open(dir: &Path, number: u64) -> io::Result<Option<Self>> {
        let (out, err) = (Data::open(dir, number, "out")?, Data::open(dir, number, "err")?);
        let index = Data::open(dir, number, "index")?;
        if out.is_none() && err.is_none() && index.is_none() {
            return Ok(None);
        }
        let mut files = Self { number, index, data: [out, err], base: [0; 2], more: Default::default() };
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
    pub(in crate::logs) fn create(dir: &Path) -> io::Result<Self> {
        let all = numbers(dir)?;
        let newest = all.last().copied().unwrap_or(1);
        // One that is compressed is not gone on with.
        let packed = ["out.gz", "err.gz", "index.gz"].iter().any(|end| path(dir, newest, end).exists());
        let mut number = if packed { newest + 1 } else { newest };
        loop {
            let index = writable(dir, number, "index")?;
            let base = match header(&Data::Plain(index))? {
                Header::Ours(found) => found,
                Header::None => {
                    // It begins where the one before it ends.
                    let earlier = all.iter().rev().find(|earlier| **earlier < number).copied();
                    let earlier = earlier.map(|earlier| Self::open(dir, earlier)).transpose()?.flatten();
                    let base = earlier.map(|files| files.ends()).transpose()?.unwrap_or_default();
                    write_new(&path(dir, number, "index"), &first_bytes(base))?;
                    base
                }
                Header::Later => {
                    number += 1;
                    continue;
                }
                Header::Other => {
                    let (old, aside) = (path(dir, number, "index"), path(dir, number, "index.damaged"));
                    tracing::warn!("{} is damaged, and is kept as {}", old.display(), aside.display());
                    fs::rename(&old, &aside).map_err(|error| named(old.display(), &error))?;
                    continue;
                }
            };
            return Self::writing(dir, number, base);
        }
    }

    /// The segment after this one, which is whole. Whoever is killed in here leaves nothing of it, or
    /// files without a byte, or all of it.
    pub(in crate::logs) fn next(&self, dir: &Path) -> io::Result<Self> {
        let (number, base) = (self.number + 1, self.ends()?);
        let made = (|| {
            for side in Side::BOTH {
                drop(writable(dir, number, side.name())?);
            }
            let (new, index) = (path(dir, number, "index.new"), path(dir, number, "index"));
            write_new(&new, &first_bytes(base)).map_err(|error| named(new.display(), &error))?;
            fs::rename(&new, &index).map_err(|error| named(index.display(), &error))?;
            Self::writing(dir, number, base)
        })();
        if made.is_err() && !begun(dir, number) {
            for end in ["out", "err", "index.new"] {
                let _not_there = fs::remove_file(path(dir, number, end));
            }
        }
        made
    }

    fn writing(dir: &Path, number: u64, base: [u64; 2]) -> io::Result<Self> {
        let open = |end: &str| Ok(Some(Data::Plain(writable(dir, number, end)?)));
        let (index, data) = (open("index"), [open("out")?, open("err")?]);
        index.map(|index| Self { number, index, data, base, more: Default::default() })
    }

    /// The index, to write.
    pub(in crate::logs) fn index_file(&self) -> io::Result<&File> {
        self.index.as_ref().and_then(Data::plain).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// The bytes of a stream, to write.
    pub(in crate::logs) fn file(&self, side: Side) -> io::Result<&File> {
        self.data[side as usize].as_ref().and_then(Data::plain).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Bytes of the index.
    pub(super) fn read_index(&self, buffer: &mut [u8], place: u64) -> io::Result<usize> {
        self.index.as_ref().map_or(Ok(0), |index| index.read_at(buffer, place))
    }

    /// How many whole entries the index has.
    pub(in crate::logs) fn entries(&self) -> io::Result<u64> {
        let Some(index) = &self.index else { return Ok(0) };
        Ok(index.end()?.0.saturating_sub(HEADER) / ENTRY)
    }

    /// Up to where a stream has bytes, and when its file was last changed.
    pub(in crate::logs) fn end(&self, side: Side) -> io::Result<(u64, SystemTime)> {
        let (end, changed) = self.end_of_file(side)?;
        let more = &self.more[side as usize];
        Ok((end.max(more.offset + more.bytes.len() as u64), more.written.map_or(changed, |at| at.max(changed))))
    }

    fn ends(&self) -> io::Result<[u64; 2]> {
        Ok([self.end_of_file(Side::Out)?.0, self.end_of_file(Side::Err)?.0])
    }

    fn end_of_file(&self, side: Side) -> io::Result<(u64, SystemTime)> {
        let base = self.base[side as usize];
        let Some(data) = &self.data[side as usize] else { return Ok((base, SystemTime::UNIX_EPOCH)) };
        let (len, changed) = data.end()?;
        Ok((base.saturating_add(len), changed))
    }

    /// Has what is on its way into the file of a stream read with it. Where it belongs is said, or is
    /// at the end of the file. `look` may be asked again: if some of it arrives meanwhile, nobody can
    /// tell where the rest belongs.
    pub(in crate::logs) fn with_more(
        &mut self,
        side: Side,
        look: impl Fn() -> io::Result<(Option<u64>, Vec<u8>, SystemTime)>,
    ) -> io::Result<()> {
        for _ in 0..8 {
            let (offset, _) = self.end_of_file(side)?;
            // Nothing, or not for us to see: what is in the files is there in any case.
            let Ok((place, bytes, written)) = look() else { return Ok(()) };
            let offset = place.unwrap_or(offset);
            if place.is_some() || self.end_of_file(side)?.0 == offset {
                self.more[side as usize] = More { offset, bytes, written: Some(written) };
                return Ok(());
            }
        }
        Ok(())
    }

    /// Bytes of a stream from an offset on, at most as many as fit; none where there are none.
    pub(in crate::logs) fn read(&self, side: Side, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let place = offset.checked_sub(self.base[side as usize]);
        let (Some(data), Some(place)) = (&self.data[side as usize], place) else { return Ok(0) };
        let got = data.read_at(buffer, place)?;
        let more = &self.more[side as usize];
        let from = (offset + got as u64).checked_sub(more.offset).and_then(|from| usize::try_from(from).ok());
        let rest = from.and_then(|from| more.bytes.get(from..)).unwrap_or_default();
        let also = rest.len().min(buffer.len() - got);
        buffer[got..got + also].copy_from_slice(&rest[..also]);
        Ok(got + also)
    }

    /// Where nothing can be read because the file is damaged: the next offset where something can,
    /// if there is one. `None`: it is not compressed, and nothing says that it is damaged.
    pub(in crate::logs) fn damaged(&self, side: Side, offset: u64) -> Option<Option<u64>> {
        let base = self.base[side as usize];
        match &self.data[side as usize] {
            Some(Data::Packed(packed)) => Some(packed.readable(offset.saturating_sub(base)).map(|place| base + place)),
            _ => None,
        }
    }
}

fn writable(dir: &Path, number: u64, end: &str) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    options.custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed());
    let path = path(dir, number, end);
    options.open(&path).map_err(|error| named(path.display(), &error))
}

/// A file for its owner alone, with nothing else in it.
pub(in crate::logs) fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    options.custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed());
    options.open(path)?.write_all(bytes)
}

fn first_bytes(base: [u64; 2]) -> Vec<u8> {
    let numbers = [VERSION, base[0], base[1], 0].map(u64::to_le_bytes).concat();
    [&MAGIC[..], &numbers].concat()
}

enum Header {
    Ours([u64; 2]),
    /// It was cut when it was written.
    None,
    Later,
    Other,
}

fn header(index: &Data) -> io::Result<Header> {
    let mut bytes = [0; HEADER as usize];
    if !index.fill(&mut bytes, 0)? {
        return Ok(Header::None);
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
