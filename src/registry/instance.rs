//! The id of an instance: random, made once, in every service's environment as its mark.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::SystemTime;

use super::load::set_aside;
use super::store::about;
use super::{Record, Store};

impl Store {
    /// The id of this instance. If its file is lost or damaged, the records still know it; without
    /// any, a new one is made.
    ///
    /// # Errors
    /// The system's, with the operation and the path.
    pub(crate) fn instance_id(&self, records: &[Record], now: SystemTime) -> io::Result<String> {
        let path = self.dir.with_file_name("instance-id");
        let failed = |error| about(error, "the id of this instance cannot be kept in", &path);
        match fs::read(&path) {
            Ok(text) => match std::str::from_utf8(&text).map(str::trim_end).ok().filter(|id| is_valid(id)) {
                Some(id) => return Ok(id.to_owned()),
                None => drop(set_aside(&path, now).map_err(failed)?),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
        let id = match of_records(records) {
            Some(id) => id,
            None => fs::read_to_string("/proc/sys/kernel/random/uuid").map_err(failed)?.trim().replace('-', ""),
        };
        self.make(&path, &id).map_err(failed)
    }

    /// The id, where there is one already.
    pub(crate) fn known_instance_id(&self) -> Option<String> {
        let id = fs::read_to_string(self.dir.with_file_name("instance-id")).ok()?;
        Some(id.trim_end().to_owned()).filter(|id| is_valid(id))
    }

    /// Writes it; if somebody else was quicker, theirs counts.
    fn make(&self, path: &Path, id: &str) -> io::Result<String> {
        let Some(dir) = path.parent() else { return Err(io::ErrorKind::InvalidInput.into()) };
        crate::paths::make_own(dir, self.uid)?;
        let temporary = path.with_file_name(format!(".instance-id.{}", std::process::id()));
        let _left_over = fs::remove_file(&temporary);
        let written = (|| {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
            writeln!(file, "{id}")?;
            file.sync_all()?;
            match fs::hard_link(&temporary, path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    fs::read_to_string(path).map(|theirs| theirs.trim_end().to_owned())
                }
                Ok(()) => fs::File::open(dir)?.sync_all().map(|()| id.to_owned()),
                // A filesystem without links.
                Err(_) => fs::rename(&temporary, path).map(|()| id.to_owned()),
            }
        })();
        let _renamed = fs::remove_file(&temporary);
        written
    }
}

fn is_valid(id: &str) -> bool {
    (16..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// What most records say.
fn of_records(records: &[Record]) -> Option<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for id in records.iter().filter_map(|record| record.instance.as_deref()).filter(|id| is_valid(id)) {
        *counts.entry(id).or_default() += 1;
    }
    counts.into_iter().max_by_key(|(_, n)| *n).map(|(id, _)| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::service::ServiceSpec;
    use crate::paths::Places;

    #[test]
    fn the_id_is_made_once_and_recovered_from_the_records() {
        let home = tempfile::tempdir().unwrap();
        let places = Places::below(home.path());
        let store = Store::at(&places);
        let now = SystemTime::UNIX_EPOCH;
        assert_eq!(store.known_instance_id(), None);
        let id = store.instance_id(&[], now).unwrap();
        assert!(is_valid(&id) && id.len() == 32, "{id}");
        assert_eq!(store.instance_id(&[], now).unwrap(), id);
        assert_eq!(store.known_instance_id(), Some(id.clone()));
        let spec = ServiceSpec::new("a".parse().unwrap(), vec!["x".to_owned()], "/".into());
        let record = Record { instance: Some(id.clone()), ..Record::new(spec, places.uid) };
        fs::write(places.state.join("instance-id"), b"\xff\xfe").unwrap();
        assert_eq!(store.instance_id(std::slice::from_ref(&record), now).unwrap(), id);
        fs::remove_file(places.state.join("instance-id")).unwrap();
        assert_eq!(store.instance_id(std::slice::from_ref(&record), now).unwrap(), id);
        fs::remove_file(places.state.join("instance-id")).unwrap();
        assert_ne!(store.instance_id(&[], now).unwrap(), id);
        let mut left: Vec<_> = fs::read_dir(&places.state).unwrap().map(|f| f.unwrap().file_name()).collect();
        left.sort_unstable();
        assert_eq!(left, ["instance-id", "instance-id.damaged-19700101T000000Z"]);
    }
}
