//! What services say: lines of the journal, and of the files that the direct backend captures.
//!
//! Reads and stores; who wants to see which lines, and how they are printed, is the caller's.
//!
//! * [`capture`]: in the daemon, from named pipes into files; how a backend uses it stands there.
//! * [`keeper`]: the process that keeps what is in the pipes while no daemon runs.
//! * `form`: long lines, and colours; `spool`: how captured bytes get there.
//! * `layout`: how those files lie; `tidy`: what becomes of older ones; `settings`: how much is kept.
//! * [`read`]: lines from them, by any process: [`read::read`] what there is, [`read::Follow`] what
//!   comes.

pub(crate) mod capture;
mod form;
pub(crate) mod journal;
pub(crate) mod keeper;
mod layout;
mod line;
pub(crate) mod pattern;
pub(crate) mod read;
mod settings;
mod spool;
mod stream;
mod tidy;

use std::path::{Path, PathBuf};

pub(crate) use line::{Line, Stream};
pub(crate) use pattern::Pattern;
pub(crate) use settings::{resettle, settle};
pub(crate) use stream::{ERR, journal_stream};

use crate::model::ServiceId;
use crate::model::service::Ansi;
use crate::paths::Places;

/// The folder of a service's captured output.
pub(crate) fn folder(places: &Places, id: &ServiceId) -> PathBuf {
    settings::load(places, id).path.unwrap_or_else(|| places.logs.join(id.as_str()))
}

/// Why a `log.path` is none for the system's instance, whose sandbox lets it write output only below its own folder.
pub(crate) fn outside(path: &Path, logs: &Path) -> Option<String> {
    let below = path.starts_with(logs) && !path.components().any(|part| part == std::path::Component::ParentDir);
    let (path, logs) = (path.display(), logs.display());
    (!below).then(|| format!("{path} is not below {logs}: the system's instance keeps output only there"))
}

/// Whether files can be made in this folder, which `log.path` leads to, by what there is now.
///
/// # Errors
/// Why not, in words.
pub(crate) fn check_folder(folder: &Path, uid: u32) -> Result<(), String> {
    use rustix::fs::Access;
    capture::may_use(folder, uid).map_err(|error| error.to_string())?;
    let Some(there) = folder.ancestors().find(|part| part.exists()) else { return Ok(()) };
    let writable = rustix::fs::access(there, Access::WRITE_OK | Access::EXEC_OK).map_err(std::io::Error::from);
    match writable {
        Ok(()) if there.is_dir() => Ok(()),
        Ok(()) => Err(format!("log.path: {} is not a folder", there.display())),
        Err(error) => Err(format!("log.path: {}: {error}", there.display())),
    }
}

/// Bytes of the files with its output; `None`: there are none, it may be in the journal.
pub(crate) fn size(places: &Places, id: &ServiceId) -> Option<u64> {
    let files = std::fs::read_dir(folder(places, id)).ok()?.flatten();
    let of_output = files.filter(|file| file.file_name().to_str().and_then(layout::segment_of).is_some());
    of_output
        .filter_map(|file| file.metadata().ok())
        .filter(|file| file.is_file())
        .map(|file| file.len())
        .reduce(u64::saturating_add)
}

/// Whether colours are left out of what a service writes.
pub(crate) fn strips(places: &Places, id: &ServiceId) -> bool {
    settings::load(places, id).ansi == Ansi::Strip
}
