//! `config set` and `config unset`.

use std::path::Path;

use crate::config::LoadOptions;
use crate::config::edit::{change, change_or_make, key_path, value_of};
use crate::error::Error;
use crate::model::Malformed;

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Became {
    /// It was not there.
    Made,
    Changed,
    /// It says so already.
    Same,
}

/// Makes the file if it is not there.
pub(super) fn set(path: &Path, options: &LoadOptions, changes: &[String]) -> Result<Became, Error> {
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
    let mut became = Became::Same;
    let done = change_or_make(path, options, |document| {
        let before = document.text().to_owned();
        for (key, value) in &parsed {
            let key: Vec<&str> = key.iter().map(String::as_str).collect();
            if document.get(&key).as_ref() != Some(value) {
                document.set(&key, value.clone())?;
            }
        }
        became = match before == document.text() {
            _ if document.is_new() => Became::Made,
            true => Became::Same,
            false => Became::Changed,
        };
        Ok(())
    });
    done.map(|_| became).map_err(Error::from)
}

pub(super) fn unset(path: &Path, options: &LoadOptions, keys: &[String]) -> Result<Became, Error> {
    let keys = keys.iter().map(|key| key_path(key)).collect::<Result<Vec<_>, Malformed>>()?;
    let mut any = false;
    let done = change(path, options, None, |document| {
        any = false;
        for key in &keys {
            any |= document.unset(&key.iter().map(String::as_str).collect::<Vec<_>>())?;
        }
        Ok(())
    });
    done.map(|_| if any { Became::Changed } else { Became::Same }).map_err(Error::from)
}
