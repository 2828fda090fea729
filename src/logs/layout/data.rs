//! A file of a segment, whichever way it is kept.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::SystemTime;

use super::packed::Packed;
use super::{named, path};

#[derive(Debug)]
pub(super) enum Data {
    /// As it was written.
    Plain(File),
    /// Compressed.
    Packed(Packed),
}

impl Data {
    /// `None`: it is not there.
    pub(super) fn open(dir: &Path, number: u64, end: &str) -> io::Result<Option<Self>> {
        // It may be replaced by the compressed one between the two attempts.
        for _ in 0..3 {
            if let Some(file) = open(&path(dir, number, end))? {
                return Ok(Some(Self::Plain(file)));
            }
            let packed = path(dir, number, &format!("{end}.gz"));
            if let Some(file) = open(&packed)? {
                let packed = Packed::open(file).map_err(|error| named(packed.display(), &error))?;
                return Ok(Some(Self::Packed(packed)));
            }
        }
        Ok(None)
    }

    pub(super) fn plain(&self) -> Option<&File> {
        if let Self::Plain(file) = self { Some(file) } else { None }
    }

    /// Its length, uncompressed, and when it was last changed.
    pub(super) fn end(&self) -> io::Result<(u64, SystemTime)> {
        let (file, len) = match self {
            Self::Plain(file) => (file, None),
            Self::Packed(packed) => (packed.file(), Some(packed.len())),
        };
        let found = file.metadata()?;
        Ok((len.unwrap_or(found.len()), found.modified().unwrap_or(SystemTime::UNIX_EPOCH)))
    }

    /// None where nothing is, or what is there is damaged.
    pub(super) fn read_at(&self, buffer: &mut [u8], place: u64) -> io::Result<usize> {
        loop {
            let got = match self {
                Self::Plain(file) => file.read_at(buffer, place),
                Self::Packed(packed) => packed.read_at(buffer, place),
            };
            match got {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }

    /// Whether that was all of these bytes.
    pub(super) fn fill(&self, buffer: &mut [u8], place: u64) -> io::Result<bool> {
        let mut got = 0;
        while got < buffer.len() {
            match self.read_at(&mut buffer[got..], place + got as u64)? {
                0 => return Ok(false),
                n => got += n,
            }
        }
        Ok(true)
    }
}

fn open(path: &Path) -> io::Result<Option<File>> {
    let flags = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
    match File::options().read(true).custom_flags(flags).open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(named(path.display(), &error)),
    }
}
