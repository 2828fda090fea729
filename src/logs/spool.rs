//! What is on its way from a pipe through a [`Form`] into the file of a stream.
//!
//! Bytes that are to be changed cannot go from the pipe into the file by one system call. They are moved
//! into this file first, as they are, and from here they are put in form and written behind the end of
//! the stream. Only then is it noted here that they are done, by one small write: whoever is killed
//! before has changed nothing, because the next one writes the same bytes at the same place.
//!
//! `out.raw` and `err.raw`, beside the files of the segments: a header of 64 bytes (the magic; where in
//! the stream, and in this file, the next bytes belong and begin; how long the present line is; the form),
//! and the bytes.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::form::Form;
use super::layout::{Side, named};

const MAGIC: [u8; 16] = *b"provost spool 1\n";
const HEADER: u64 = 64;
/// What is done takes no more room than this.
const DONE: u64 = 1 << 20;

#[derive(Debug)]
pub(super) struct Spool {
    path: PathBuf,
    pub(super) file: File,
    pub(super) head: Head,
}

/// What stands first in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    /// Where in the stream what comes next belongs.
    pub(super) offset: u64,
    /// Where in this file it begins.
    from: u64,
    /// How long the present line is, or its present part.
    pub(super) column: usize,
    pub(super) form: Form,
}

impl Spool {
    /// The one that is there.
    pub(super) fn open(dir: &Path, side: Side, write: bool) -> io::Result<Option<Self>> {
        let path = path(dir, side);
        let file = match options(write).open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(|error| named(path.display(), &error))?,
        };
        // Whoever made it was killed before it was used.
        let Some(head) = read(&file)? else { return Ok(None) };
        Ok(Some(Self { path, file, head }))
    }

    /// A new one of a stream that is so long.
    pub(super) fn create(dir: &Path, side: Side, form: Form, offset: u64) -> io::Result<Self> {
        let path = path(dir, side);
        let file = options(true).create(true).truncate(true).open(&path).map_err(|e| named(path.display(), &e))?;
        let mut spool = Self { path, file, head: Head { offset, from: HEADER, column: 0, form } };
        spool.set(spool.head)?;
        Ok(spool)
    }

    /// Where the next bytes are to be put.
    pub(super) fn end(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len().max(self.head.from))
    }

    /// What is to be put in form.
    pub(super) fn rest(&self) -> io::Result<Vec<u8>> {
        let mut rest = vec![0; usize::try_from(self.end()? - self.head.from).unwrap_or_default()];
        self.file.read_exact_at(&mut rest, self.head.from)?;
        Ok(rest)
    }

    /// So many of those are done: the stream ends there now.
    pub(super) fn done(&mut self, used: usize, offset: u64, column: usize) -> io::Result<()> {
        let from = self.head.from + used as u64;
        self.set(Head { offset, from, column, ..self.head })?;
        if from > DONE && self.end()? == from {
            self.file.set_len(HEADER)?;
            self.set(Head { from: HEADER, ..self.head })?;
        }
        Ok(())
    }

    /// What comes is put into this form.
    pub(super) fn change(&mut self, form: Form) -> io::Result<()> {
        self.set(Head { form, ..self.head })
    }

    pub(super) fn remove(self) -> io::Result<()> {
        std::fs::remove_file(&self.path).map_err(|error| named(self.path.display(), &error))
    }

    /// The same, of one that somebody else writes, together with what is in the pipe.
    ///
    /// # Errors
    /// It is written faster than it can be looked at.
    pub(super) fn look(&mut self, pipe: impl Fn() -> Vec<u8>) -> io::Result<(u64, Vec<u8>, SystemTime)> {
        for _ in 0..8 {
            self.head = read(&self.file)?.ok_or(io::ErrorKind::NotFound)?;
            let (end, written) = (self.end()?, self.file.metadata()?.modified()?);
            let Ok(mut bytes) = self.rest() else { continue };
            bytes.extend(pipe());
            if read(&self.file)? == Some(self.head) && self.end()? == end {
                let Head { offset, mut column, form, .. } = self.head;
                let mut to = Vec::with_capacity(bytes.len());
                form.apply(&bytes, true, usize::MAX, &mut column, &mut to);
                return Ok((offset, to, written));
            }
        }
        Err(io::ErrorKind::WouldBlock.into())
    }

    fn set(&mut self, head: Head) -> io::Result<()> {
        let Form { max_line, strip } = head.form;
        let numbers = [head.offset, head.from, head.column as u64, max_line as u64, u64::from(strip), 0];
        let bytes = [&MAGIC[..], &numbers.map(u64::to_le_bytes).concat()].concat();
        self.file.write_all_at(&bytes, 0)?;
        self.head = head;
        Ok(())
    }
}

fn path(dir: &Path, side: Side) -> PathBuf {
    dir.join(format!("{}.raw", side.name()))
}

fn options(write: bool) -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(write).mode(0o600);
    options.custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed());
    options
}

fn read(file: &File) -> io::Result<Option<Head>> {
    let mut bytes = [0; HEADER as usize];
    match file.read_exact_at(&mut bytes, 0) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let number = |at: usize| bytes[at * 8..at * 8 + 8].try_into().map_or(0, u64::from_le_bytes);
    let size = |at| usize::try_from(number(at)).unwrap_or(usize::MAX);
    let form = Form { max_line: size(5), strip: number(6) == 1 };
    let head = Head { offset: number(2), from: number(3).max(HEADER), column: size(4), form };
    Ok((bytes[..16] == MAGIC && form.max_line >= super::form::SHORTEST).then_some(head))
}
