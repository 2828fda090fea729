//! `config set` and `config unset`.

use std::path::Path;

use crate::config::LoadOptions;
use crate::config::edit::{EditError, change, key_path, value_of};
use crate::error::Error;
use crate::model::Malformed;

/// Whether anything changed.
pub(super) fn set(path: &Path, options: &LoadOptions, changes: &[String]) -> Result<bool, Error> {
    let parsed = changes.iter().map(|change| {
        let split = change.split_once('=');
        let (key, value) = split.ok_or_else(|| {
            Malformed::new(format!("'{}' is no KEY=VALUE, such as service.web.port=8080", crate::text::clip(change)))
        })?;
        let key = key_path(key)?;
        let value = value_of(&key, value);
        Ok((key, value))
    });
    let parsed = parsed.collect::<Result<Vec<_>, Malformed>>()?;
    changed(path, options, |document| {
        for (key, value) in &parsed {
            let key: Vec<&str> = key.iter().map(String::as_str).collect();
            if document.get(&key).as_ref() != Some(value) {
                document.set(&key, value.clone())?;
            }
        }
        Ok(())
    })
}

/// Whether anything changed.
pub(super) fn unset(path: &Path, options: &LoadOptions, keys: &[String]) -> Result<bool, Error> {
    let keys = keys.iter().map(|key| key_path(key)).collect::<Result<Vec<_>, Malformed>>()?;
    changed(path, options, |document| {
        for key in &keys {
            document.unset(&key.iter().map(String::as_str).collect::<Vec<_>>())?;
        }
        Ok(())
    })
}

fn changed(
    path: &Path,
    options: &LoadOptions,
    mut how: impl FnMut(&mut crate::config::edit::Document) -> Result<(), EditError>,
) -> Result<bool, Error> {
    let mut any = false;
    let done = change(path, options, None, |document| {
        let before = document.text().to_owned();
        how(document)?;
        any = before != document.text();
        Ok(())
    });
    done.map(|_| any).map_err(Error::from)
}
