//! Reading records: a damaged file is set aside and reported, and no other is touched.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::store::about;
use super::upgrade::{self, Unreadable};
use super::{Record, Store};
use crate::gather::Arrange as _;
use crate::model::ServiceId;

/// No record is larger, whatever environment it holds.
const LIMIT: u64 = 16 << 20;

/// All that the folder of records holds.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    /// In the order of their ids.
    pub(crate) records: Vec<Record>,
    /// What is no record of this version, in no order.
    pub(crate) damaged: Vec<Damaged>,
}

/// A file that is no record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Damaged {
    /// Of which service, by its name: it may run, and be found by its unit or its mark.
    pub(crate) id: Option<ServiceId>,
    /// Where it was.
    pub(crate) path: PathBuf,
    /// Where it was set aside, or is kept by another name as well; `None` if it was left where it is.
    pub(crate) aside: Option<PathBuf>,
    /// What is wrong with it.
    pub(crate) reason: String,
    /// It is good for nobody: not another version's, nor one that merely cannot be read now.
    pub(crate) useless: bool,
}

impl Loaded {
    /// The services whose records cannot be read.
    pub(crate) fn unread(&self) -> Vec<ServiceId> {
        self.damaged.iter().filter_map(|damaged| damaged.id.clone()).collect()
    }
}

impl std::fmt::Display for Damaged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} is no record: {}", self.path.display(), self.reason)?;
        match self.aside.as_ref().and_then(|path| path.file_name()) {
            Some(name) if self.useless => write!(f, "; set aside as {}", name.to_string_lossy()),
            Some(name) => write!(f, "; kept as {}", name.to_string_lossy()),
            None => f.write_str("; left where it is"),
        }
    }
}

/// Why a file is not read.
enum Fault {
    /// It is to be set aside.
    Damaged(String),
    /// It is good for somebody else, or cannot be told.
    Leave(String),
    /// It is good for all that is known, and cannot be read.
    Unread(io::Error),
    /// A newer provost wrote it.
    Newer(String),
    /// It went away meanwhile.
    Gone,
}

impl Store {
    /// All records that can be read. Changes nothing, for those that only look; what is damaged is
    /// left out and logged.
    pub(crate) fn all(&self) -> Vec<Record> {
        let loaded = self.load(None).unwrap_or_default();
        for damaged in &loaded.damaged {
            tracing::warn!("{damaged}");
        }
        loaded.records
    }

    /// All that can be read and all that cannot; changes nothing.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub(crate) fn look(&self) -> io::Result<Loaded> {
        self.load(None)
    }

    /// The files that daemons have set aside or kept, of services that have no record now which can be read.
    pub(crate) fn lost(&self) -> Vec<(ServiceId, PathBuf)> {
        let mut lost = Vec::new();
        for file in fs::read_dir(&self.dir).into_iter().flatten().flatten() {
            let name = file.file_name();
            let Some((id, _)) = name.to_str().and_then(|name| name.split_once(".json.")) else { continue };
            let Ok(id) = id.parse::<ServiceId>() else { continue };
            if self.one(&id).is_none() {
                lost.push((id, file.path()));
            }
        }
        lost.arrange_by(|a, b| a.cmp(b));
        lost
    }

    /// The record of one service.
    pub(crate) fn one(&self, id: &ServiceId) -> Option<Record> {
        read(&self.path(id), id).ok()
    }

    /// All records, for the one daemon: files that are damaged are renamed to
    /// `ID.json.damaged-TIME`, and what a killed daemon left half written is removed. A folder that
    /// is not there is empty.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub(crate) fn load_all(&self, now: SystemTime) -> io::Result<Loaded> {
        self.load(Some(now))
    }

    fn load(&self, aside: Option<SystemTime>) -> io::Result<Loaded> {
        let mut loaded = Loaded::default();
        let files = match fs::read_dir(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(loaded),
            files => files.map_err(|error| about(error, "the records cannot be read:", &self.dir))?,
        };
        for file in files {
            let file = file.map_err(|error| about(error, "the records cannot be read:", &self.dir))?;
            let path = file.path();
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            if name.starts_with('.') {
                if aside.is_some() && is_left_over(name) {
                    let _gone_already = fs::remove_file(&path);
                }
                continue;
            }
            let Some(stem) = name.strip_suffix(".json") else { continue };
            let id = stem.parse::<ServiceId>().ok().filter(|id| !id.is_glob());
            let read = match &id {
                None => Err(Fault::Leave("its name is no service id".to_owned())),
                Some(_) if !file.file_type().is_ok_and(|t| t.is_file()) => {
                    Err(Fault::Leave("it is no file".to_owned()))
                }
                Some(id) => read(&path, id),
            };
            let useless = matches!(read, Err(Fault::Damaged(_)));
            let (reason, moved) = match read {
                Ok(record) => {
                    loaded.records.push(record);
                    continue;
                }
                Err(Fault::Gone) => continue,
                Err(Fault::Leave(reason)) => (reason, None),
                // What runs of it gets a record that can be read, of this version; that one is not lost.
                Err(Fault::Unread(error)) if says_nothing_of_the_file(&error) => {
                    return Err(about(error, "the records cannot be read:", &path));
                }
                Err(Fault::Unread(error)) => (error.to_string(), aside.map(|_| keep(&path, "unread"))),
                Err(Fault::Newer(reason)) => (reason, aside.map(|_| keep(&path, "newer"))),
                Err(Fault::Damaged(reason)) => (reason, aside.map(|now| set_aside(&path, now))),
            };
            let (reason, aside) = match moved {
                Some(Ok(to)) => (reason, Some(to)),
                Some(Err(error)) => (format!("{reason} (it cannot be set aside: {error})"), None),
                None => (reason, None),
            };
            loaded.damaged.push(Damaged { id, path, aside, reason, useless });
        }
        loaded.records.arrange_by(|a, b| a.id.cmp(&b.id));
        Ok(loaded)
    }
}

fn read(path: &Path, id: &ServiceId) -> Result<Record, Fault> {
    let mut text = Vec::new();
    let opened = File::open(path).and_then(|file| file.take(LIMIT + 1).read_to_end(&mut text));
    match opened {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Fault::Gone),
        Err(error) => return Err(Fault::Unread(error)),
        Ok(length) if length as u64 > LIMIT => return Err(Fault::Damaged("it is larger than 16 MiB".to_owned())),
        Ok(_) => {}
    }
    match upgrade::read(&text) {
        Ok(record) if record.id == *id && record.spec.id == *id => Ok(record),
        Ok(record) => Err(Fault::Damaged(format!("it says that it is the record of {}", record.id))),
        Err(newer @ Unreadable::Newer(_)) => Err(Fault::Newer(newer.to_string())),
        Err(damaged) => Err(Fault::Damaged(damaged.to_string())),
    }
}

/// Whether no other file could be read either, for now.
pub(super) fn says_nothing_of_the_file(error: &io::Error) -> bool {
    use rustix::io::Errno;
    [Errno::MFILE, Errno::NFILE, Errno::NOMEM].iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

/// Gives a file the name `ID.json.WHAT` as well, and never one that another has: a record of its service that is
/// written over it does not end it.
fn keep(path: &Path, what: &str) -> io::Result<PathBuf> {
    let file = |path: &Path| fs::symlink_metadata(path).map(|found| (found.dev(), found.ino()));
    for n in 0..100 {
        let more = if n == 0 { String::new() } else { format!("-{n}") };
        let to = path.with_extension(format!("json.{what}{more}"));
        match fs::hard_link(path, &to) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if file(&to)? == file(path)? {
                    return Ok(to);
                }
            }
            made => return made.map(|()| to),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// `.ID.PID`, written by a process that has ended.
fn is_left_over(name: &str) -> bool {
    let pid = name.rsplit_once('.').and_then(|(_, pid)| pid.parse().ok());
    pid.is_some_and(|pid| pid == std::process::id() || !crate::sys::exists(pid))
}

/// Renames a file to `NAME.damaged-TIME`, and never over another.
pub(super) fn set_aside(path: &Path, now: SystemTime) -> io::Result<PathBuf> {
    let time: String = humantime::format_rfc3339_seconds(now).to_string().replace([':', '-'], "");
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    for n in 0..100 {
        let more = if n == 0 { String::new() } else { format!("-{n}") };
        let to = path.with_file_name(format!("{name}.damaged-{time}{more}"));
        match rustix::fs::renameat_with(rustix::fs::CWD, path, rustix::fs::CWD, &to, rustix::fs::RenameFlags::NOREPLACE)
        {
            Ok(()) => return Ok(to),
            Err(rustix::io::Errno::EXIST) => {}
            // A filesystem that does not know the flag (NFS).
            Err(rustix::io::Errno::INVAL) if !to.exists() => return fs::rename(path, &to).map(|()| to),
            Err(rustix::io::Errno::INVAL) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}
