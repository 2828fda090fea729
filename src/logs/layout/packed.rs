//! Compressed files: any gzip(1) reads them, and we do from any place on, also what is left of a
//! damaged one.
//!
//! Such a file is a row of gzip members (RFC 1952), each of a block of the original. An extra field
//! in a member's header (its subfield `PV`) says where the block stands in the original, how long
//! the member is, and how long the block. So the members are found without decompressing any, one
//! is decompressed to read what is in it, and one that is damaged costs itself alone.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt as _;

use flate2::{Compress, Compression, Crc, Decompress, FlushCompress, FlushDecompress, Status};

/// Of the original, in one member.
const BLOCK: usize = 256 << 10;
/// Nothing of ours is longer: what says so is damaged.
const MOST: u32 = 1 << 24;
/// A member's header, and what follows its content.
const HEAD: usize = 32;
const TAIL: usize = 8;
/// gzip, deflate, with an extra field.
const MAGIC: [u8; 4] = [0x1f, 0x8b, 8, 4];
/// The length of all extra fields, the name of ours, its length.
const FIELD: [u8; 6] = [20, 0, b'P', b'V', 16, 0];
/// What is searched through at once for the next member behind a damaged one.
const PIECE: usize = 1 << 16;

/// A compressed file, to read.
#[derive(Debug)]
pub(super) struct Packed {
    file: File,
    blocks: RefCell<Vec<Block>>,
    len: u64,
    /// The one that was read last.
    held: RefCell<Option<(u64, Vec<u8>)>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Block {
    /// In the original.
    offset: u64,
    len: u32,
    /// Where its member is.
    at: u64,
    size: u32,
}

impl Packed {
    pub(super) fn open(file: File) -> io::Result<Self> {
        let end = file.metadata()?.len();
        let (mut blocks, mut at, mut len): (Vec<Block>, u64, u64) = (Vec::new(), 0, 0);
        while at < end {
            let mut head = [0; HEAD];
            let whole = file.read_exact_at(&mut head, at).is_ok();
            match parse(&head, at).filter(|block| whole && block.offset >= len && at + u64::from(block.size) <= end) {
                Some(block) => {
                    blocks.push(block);
                    (at, len) = (at + u64::from(block.size), block.offset + u64::from(block.len));
                }
                None => match next_member(&file, at + 1)? {
                    Some(next) => at = next,
                    None => break,
                },
            }
        }
        Ok(Self { file, blocks: RefCell::new(blocks), len, held: RefCell::default() })
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Of the original, as far as that is known.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Bytes of the original; none at its end, and where it is damaged.
    pub(super) fn read_at(&self, buffer: &mut [u8], place: u64) -> io::Result<usize> {
        let Some(block) = self.block(place) else { return Ok(0) };
        let mut held = self.held.borrow_mut();
        if held.as_ref().is_none_or(|(at, _)| *at != block.at) {
            let Some(bytes) = self.unpack(&block)? else {
                self.blocks.borrow_mut().retain(|other| *other != block);
                return Ok(0);
            };
            *held = Some((block.at, bytes));
        }
        let from = usize::try_from(place - block.offset).unwrap_or(usize::MAX);
        let rest = held.as_ref().and_then(|(_, bytes)| bytes.get(from..)).unwrap_or_default();
        let got = rest.len().min(buffer.len());
        buffer[..got].copy_from_slice(&rest[..got]);
        Ok(got)
    }

    /// The next place behind this one, which is damaged, where something can be read.
    pub(super) fn readable(&self, place: u64) -> Option<u64> {
        let blocks = self.blocks.borrow();
        blocks.get(blocks.partition_point(|block| block.offset <= place)).map(|block| block.offset)
    }

    fn block(&self, place: u64) -> Option<Block> {
        let blocks = self.blocks.borrow();
        let at = blocks.partition_point(|block| block.offset <= place).checked_sub(1)?;
        blocks.get(at).copied().filter(|block| place - block.offset < u64::from(block.len))
    }

    /// `None`: it is damaged.
    fn unpack(&self, block: &Block) -> io::Result<Option<Vec<u8>>> {
        let mut member = vec![0; block.size as usize];
        self.file.read_exact_at(&mut member, block.at)?;
        let (content, tail) = member[HEAD..].split_at(member.len() - HEAD - TAIL);
        let mut bytes = Vec::with_capacity(block.len as usize);
        let done = Decompress::new(false).decompress_vec(content, &mut bytes, FlushDecompress::Finish);
        let mut sum = Crc::new();
        sum.update(&bytes);
        let meant = [sum.sum().to_le_bytes(), block.len.to_le_bytes()].concat();
        let whole = matches!(done, Ok(Status::StreamEnd)) && bytes.len() == block.len as usize && tail == meant;
        Ok(whole.then_some(bytes))
    }
}

/// A member's header.
fn parse(head: &[u8; HEAD], at: u64) -> Option<Block> {
    let number = |from: usize| head.get(from..from + 4).and_then(|bytes| bytes.try_into().ok()).map(u32::from_le_bytes);
    let offset = u64::from_le_bytes(head.get(16..24)?.try_into().ok()?);
    let (size, len) = (number(24)?, number(28)?);
    let fits = head[..4] == MAGIC && head[10..16] == FIELD && (1..=MOST).contains(&len);
    let sane = (HEAD + TAIL..=2 * MOST as usize).contains(&(size as usize)) && offset < u64::MAX / 2;
    (fits && sane).then_some(Block { offset, len, at, size })
}

/// Where a member may begin, from this place on.
fn next_member(file: &File, mut from: u64) -> io::Result<Option<u64>> {
    let mut piece = vec![0; PIECE];
    loop {
        let got = file.read_at(&mut piece, from)?;
        let begins = |head: &[u8]| head[..4] == MAGIC && head[10..16] == FIELD;
        if let Some(at) = piece[..got].windows(HEAD).position(begins) {
            return Ok(Some(from + at as u64));
        }
        if got < HEAD {
            return Ok(None);
        }
        from += (got - HEAD + 1) as u64;
    }
}

/// Compresses all of it. `go_on` is asked before each block.
///
/// # Errors
/// `Interrupted`: it was not to go on. Any other: it cannot be read or written.
pub(in crate::logs) fn pack(from: &mut impl Read, to: &mut impl Write, go_on: impl Fn() -> bool) -> io::Result<()> {
    let mut compress = Compress::new(Compression::new(LEVEL), false);
    let (mut block, mut member, mut offset) = (Vec::with_capacity(BLOCK), Vec::new(), 0_u64);
    loop {
        if !go_on() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        block.clear();
        from.by_ref().take(BLOCK as u64).read_to_end(&mut block)?;
        if block.is_empty() {
            return Ok(());
        }
        member.clear();
        // What cannot be compressed becomes longer by little.
        member.reserve(HEAD + TAIL + block.len() + block.len() / 8 + 1024);
        member.resize(HEAD, 0);
        compress.reset();
        compress.compress_vec(&block, &mut member, FlushCompress::Finish).map_err(io::Error::other)?;
        let mut sum = Crc::new();
        sum.update(&block);
        let len = u32::try_from(block.len()).unwrap_or(u32::MAX).to_le_bytes();
        member.extend_from_slice(&sum.sum().to_le_bytes());
        member.extend_from_slice(&len);
        let size = u32::try_from(member.len()).unwrap_or(u32::MAX).to_le_bytes();
        // No time, no word about the level, made on Unix.
        let head = [&MAGIC[..], &[0, 0, 0, 0, 0, 3], &FIELD, &offset.to_le_bytes(), &size, &len].concat();
        member[..HEAD].copy_from_slice(&head);
        to.write_all(&member)?;
        offset += block.len() as u64;
    }
}

/// Of 9; from here on more costs much and saves little of what logs are.
const LEVEL: u32 = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Seek as _, SeekFrom};

    fn original() -> Vec<u8> {
        let lines = (0..60_000).map(|n| format!("line {n} of {}\n", n * 7919 % 1000));
        lines.collect::<String>().into_bytes()
    }

    fn packed(bytes: &[u8], damage: impl Fn(&mut Vec<u8>)) -> Packed {
        let mut out = Vec::new();
        pack(&mut &bytes[..], &mut out, || true).unwrap();
        damage(&mut out);
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&out).unwrap();
        file.seek(SeekFrom::Start(0)).unwrap();
        Packed::open(file).unwrap()
    }

    fn all(packed: &Packed) -> (Vec<u8>, u64) {
        let (mut bytes, mut at, mut lost) = (Vec::new(), 0, 0);
        let mut buffer = [0; 10_007];
        loop {
            match packed.read_at(&mut buffer, at).unwrap() {
                0 => match packed.readable(at) {
                    Some(next) => (lost, at) = (lost + next - at, next),
                    None => return (bytes, lost),
                },
                n => {
                    bytes.extend_from_slice(&buffer[..n]);
                    at += n as u64;
                }
            }
        }
    }

    #[test]
    fn it_is_read_from_any_place_and_by_gzip() {
        let original = original();
        assert!(original.len() > 3 * BLOCK);
        let packed = packed(&original, |_| {});
        assert_eq!(packed.len(), original.len() as u64);
        assert_eq!(all(&packed), (original.clone(), 0));
        let mut some = [0; 100];
        for at in [0, BLOCK - 50, 2 * BLOCK, original.len() - 100] {
            let got = packed.read_at(&mut some, at as u64).unwrap();
            assert_eq!(some[..got], original[at..at + got]);
        }
        let mut gzip = Vec::new();
        flate2::read::MultiGzDecoder::new(packed.file()).read_to_end(&mut gzip).unwrap();
        assert!(gzip == original);
        assert!(packed.file().metadata().unwrap().len() * 3 < original.len() as u64);
    }

    #[test]
    fn what_is_not_damaged_is_read() {
        let original = original();
        // In the content of the second member, in the header of the first, and the end is missing.
        let second = packed(&original, |_| {}).blocks.borrow()[1];
        let damaged = packed(&original, |bytes| bytes[second.at as usize + 1000] ^= 1);
        let (bytes, lost) = all(&damaged);
        assert_eq!((bytes.len() as u64 + lost, lost), (original.len() as u64, BLOCK as u64));
        assert!(bytes[..BLOCK] == original[..BLOCK] && bytes[BLOCK..] == original[2 * BLOCK..]);
        let (bytes, lost) = all(&packed(&original, |bytes| bytes[12] = 0));
        assert!(lost == BLOCK as u64 && bytes == original[BLOCK..]);
        let (bytes, _) = all(&packed(&original, |bytes| bytes.truncate(bytes.len() - 3)));
        assert!(!bytes.is_empty() && bytes.len() % BLOCK == 0 && original.starts_with(&bytes));
        for rubbish in [&b""[..], b"no gzip", &[0x1f; 5000]] {
            assert_eq!(all(&packed(b"", |bytes| bytes.extend_from_slice(rubbish))), (Vec::new(), 0));
        }
    }
}
