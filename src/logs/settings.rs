//! How the output of a service is kept and given, as it stands beside it: whoever captures, tidies up
//! or reads finds it there, with or without a daemon.
//!
//! `LOGS/ID/settings.json` is a [`LogSpec`] whose path is that of the service's own folder. It is not
//! there where everything is as it is by default.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::layout::{named, write_new};
use crate::model::ServiceId;
use crate::model::service::LogSpec;
use crate::paths::{Places, make_own};

pub(super) const NAME: &str = "settings.json";
/// Nothing of ours is longer.
const MOST: u64 = 1 << 16;

/// Where it is.
pub(super) fn path(places: &Places, id: &ServiceId) -> PathBuf {
    places.logs.join(id.as_str()).join(NAME)
}

/// When it was written.
pub(super) fn changed(places: &Places, id: &ServiceId) -> Option<SystemTime> {
    fs::symlink_metadata(path(places, id)).ok()?.modified().ok()
}

/// What stands there; the defaults where nothing does, or rubbish.
pub(super) fn load(places: &Places, id: &ServiceId) -> LogSpec {
    let path = path(places, id);
    let short = fs::symlink_metadata(&path).is_ok_and(|found| found.is_file() && found.len() <= MOST);
    let text = short.then(|| fs::read(&path).ok()).flatten();
    text.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
}

/// Writes down how it is kept from now on; `folder` is its `log.path`, the variables replaced.
///
/// # Errors
/// It cannot be written.
pub(crate) fn settle(places: &Places, id: &ServiceId, spec: &LogSpec, folder: Option<&Path>) -> io::Result<()> {
    let path = folder.map(|folder| folder.join(id.as_str()));
    write(places, id, &LogSpec { path, file: false, ..spec.clone() })
}

/// The same for one that runs: its files stay where they are.
///
/// # Errors
/// It cannot be written.
pub(crate) fn resettle(places: &Places, id: &ServiceId, spec: &LogSpec) -> io::Result<()> {
    write(places, id, &LogSpec { path: load(places, id).path, file: false, ..spec.clone() })
}

fn write(places: &Places, id: &ServiceId, wanted: &LogSpec) -> io::Result<()> {
    if load(places, id) == *wanted {
        return Ok(());
    }
    let path = path(places, id);
    let new = path.with_extension("new");
    let text = serde_json::to_vec(wanted)?;
    make_own(&places.logs.join(id.as_str()), places.uid)?;
    let written = write_new(&new, &text).and_then(|()| fs::rename(&new, &path));
    written.map_err(|error| crate::disk::explained(named(path.display(), &error), &path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::service::Size;

    #[test]
    fn they_are_there_where_they_are_not_the_usual_ones() {
        let dir = tempfile::tempdir().unwrap();
        let places = Places::below(dir.path());
        let id: ServiceId = "llm".parse().unwrap();
        let usual = LogSpec::default();
        settle(&places, &id, &usual, None).unwrap();
        assert!(!path(&places, &id).exists());
        let other = LogSpec { max_size: Size(1000), file: true, ..usual.clone() };
        settle(&places, &id, &other, Some(Path::new("/data"))).unwrap();
        assert_eq!(load(&places, &id), LogSpec { file: false, path: Some("/data/llm".into()), ..other.clone() });
        assert_eq!(crate::logs::folder(&places, &id), Path::new("/data/llm"));
        resettle(&places, &id, &usual).unwrap();
        assert_eq!(load(&places, &id), LogSpec { path: Some("/data/llm".into()), ..usual.clone() });
        settle(&places, &id, &usual, None).unwrap();
        assert_eq!(load(&places, &id), usual);
        fs::write(path(&places, &id), "rubbish").unwrap();
        assert_eq!(load(&places, &id), usual);
    }
}
