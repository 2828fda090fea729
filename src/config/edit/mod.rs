//! Changing a config file by program: read, change, validate whole, replace at once.
//!
//! What is not changed stays as it was written: comments and order of a TOML file, lines of a YAML
//! file, the order of a JSON file. Two who change one file do not undo each other: what was read
//! must still be there when it is replaced, and the file that was there stays as a numbered backup.
//!
//! * `ops`: what a change comes to; pure
//! * `toml`, `json`, `yaml`: how that is written
//! * `replace`: the file
//! * `words`: keys and values as a command line has them
//! * `etag`, `error`: which content was meant, and what can go wrong

mod error;
mod etag;
mod json;
mod ops;
mod replace;
mod toml;
mod words;
mod yaml;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use serde_json::Value;

pub(crate) use error::EditError;
pub(crate) use etag::ETag;
pub(crate) use replace::Staged;
pub(crate) use words::{key_path, value_of};

use super::read::{self, Format};
use super::tree::Node;
use super::{Errors, LoadOptions, errors, file};
use ops::Op;

/// One file, read and perhaps changed; nothing is written before [`Self::write`].
#[derive(Debug)]
pub(crate) struct Document {
    path: PathBuf,
    format: Format,
    text: String,
    etag: ETag,
    /// What the text says.
    value: Value,
    /// The file must be root's alone.
    system: bool,
    home: Option<PathBuf>,
    /// There is no file yet.
    new: bool,
}

impl Document {
    /// Reads a file in one of the three formats.
    ///
    /// # Errors
    /// It cannot be read, or is wrong in its form; of the system's instance: it is not root's alone.
    pub(crate) fn read(path: &Path, options: &LoadOptions) -> Result<Self, EditError> {
        let bytes = file::bytes(path, options.system).map_err(|why| wrong(path, why))?;
        Self::of(path, bytes, options)
    }

    /// The same, or an empty one where there is no file: that will be made.
    ///
    /// # Errors
    /// As of [`Self::read`], or there is no folder for it.
    pub(crate) fn read_or_begin(path: &Path, options: &LoadOptions) -> Result<Self, EditError> {
        let there = std::fs::symlink_metadata(path);
        if !there.is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound) {
            return Self::read(path, options);
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if !folder.is_dir() {
            let folder = folder.display();
            let why = format!("there is no folder {folder}: make it (mkdir -p {folder}), or name another file");
            return Err(EditError::Refused(format!("{}: {why}", path.display())));
        }
        let empty: &[u8] = if Format::of(path) == Some(Format::Json) { b"{}\n" } else { b"" };
        Ok(Self { new: true, ..Self::of(path, empty.to_vec(), options)? })
    }

    fn of(path: &Path, bytes: Vec<u8>, options: &LoadOptions) -> Result<Self, EditError> {
        let Some(format) = Format::of(path) else {
            return Err(wrong(path, "its format is told by its name: .toml, .yaml, .yml or .json".to_owned()));
        };
        let etag = ETag::of(&bytes);
        let text = file::text(path, bytes).map_err(EditError::Invalid)?;
        let value = parsed(path, format, &text)?;
        Ok(Self {
            path: path.to_owned(),
            format,
            text,
            etag,
            value,
            system: options.system,
            home: options.home.clone(),
            new: false,
        })
    }

    /// Whether there is no file yet.
    pub(crate) fn is_new(&self) -> bool {
        self.new
    }

    /// The file, as it was named.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The mark of the content that was read.
    pub(crate) fn etag(&self) -> &ETag {
        &self.etag
    }

    /// The file as it would be written.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// What a path of keys leads to; an empty path: all of it.
    pub(crate) fn get(&self, path: &[&str]) -> Option<Value> {
        path.iter().try_fold(&self.value, |value, key| value.as_object()?.get(*key)).cloned()
    }

    /// Sets a key to a value, with the tables that lead there.
    ///
    /// # Errors
    /// The format has no such value, or something that is no table is in the way.
    pub(crate) fn set(&mut self, path: &[&str], value: Value) -> Result<(), EditError> {
        self.apply(vec![Op::put(path, value)])
    }

    /// Takes a key away; whether it was there.
    ///
    /// # Errors
    /// It cannot be taken out of this text.
    pub(crate) fn unset(&mut self, path: &[&str]) -> Result<bool, EditError> {
        let there = self.get(path).is_some() && !path.is_empty();
        if there {
            self.apply(vec![Op::remove(path)])?;
        }
        Ok(there)
    }

    /// Merges as RFC 7396 says: tables deeply, null takes a key away, all else is replaced.
    ///
    /// # Errors
    /// As [`Self::set`].
    pub(crate) fn merge(&mut self, path: &[&str], patch: &Value) -> Result<(), EditError> {
        self.apply(ops::merge(&self.value, path, patch))
    }

    fn apply(&mut self, all: Vec<Op>) -> Result<(), EditError> {
        let refused = |why: String| EditError::Refused(format!("{}: {why}", self.path.display()));
        let mut value = self.value.clone();
        let mut text = self.text.clone();
        for op in &all {
            ops::apply(&mut value, op).map_err(refused)?;
            text = match self.format {
                Format::Toml => toml::apply(&text, op),
                Format::Json => json::apply(&text, op),
                Format::Yaml => yaml::apply(&text, op),
            }
            .map_err(refused)?;
        }
        // Whatever wrote it: the text says what was asked for, or it is not taken.
        let said = parsed(&self.path, self.format, &text);
        if said.ok().as_ref() != Some(&value) {
            let why = "it is written in a way that cannot be changed by program: change it with an editor";
            return Err(refused(why.to_owned()));
        }
        (self.text, self.value) = (text, value);
        Ok(())
    }

    /// Validates it as a config of services and replaces the file. `expected`: only if that is what
    /// was read. What the file has become meanwhile is never overwritten.
    ///
    /// # Errors
    /// Somebody else has changed the file, it would be invalid, or it cannot be written.
    pub(crate) fn write(self, expected: Option<&ETag>) -> Result<ETag, EditError> {
        self.validate().map_err(EditError::Invalid)?;
        self.stage(expected)?.commit()
    }

    /// What a reader of the config would say of it.
    ///
    /// # Errors
    /// All that is wrong.
    pub(crate) fn validate(&self) -> Result<super::Project, Errors> {
        let options = LoadOptions { system: self.system, home: self.home.clone() };
        let absolute = file::absolute(&self.path)?;
        super::parse(&self.path, &absolute, &self.text, &options)
    }

    /// Puts it beside the file, for a check by another program, and keeps others from changing it.
    ///
    /// # Errors
    /// Somebody else has changed the file or is doing so, or it cannot be written.
    pub(crate) fn stage(self, expected: Option<&ETag>) -> Result<Staged, EditError> {
        if self.new {
            return Staged::begin(&self.path, self.text.as_bytes());
        }
        if let Some(expected) = expected.filter(|expected| **expected != self.etag) {
            let (path, expected) = (self.path.clone(), expected.clone());
            return Err(EditError::Conflict { path, expected, now: Some(self.etag) });
        }
        Staged::make(&self.path, &self.etag, self.text.as_bytes(), self.system)
    }
}

/// Reads, changes and writes; where somebody else was faster, once more, for a while.
///
/// # Errors
/// As of [`Document::write`].
pub(crate) fn change(
    path: &Path,
    options: &LoadOptions,
    expected: Option<&ETag>,
    how: impl FnMut(&mut Document) -> Result<(), EditError>,
) -> Result<ETag, EditError> {
    tried(|| Document::read(path, options), expected, how)
}

/// The same; a file that is not there is made.
///
/// # Errors
/// As of [`Document::write`], or there is no folder for it.
pub(crate) fn change_or_make(
    path: &Path,
    options: &LoadOptions,
    how: impl FnMut(&mut Document) -> Result<(), EditError>,
) -> Result<ETag, EditError> {
    tried(|| Document::read_or_begin(path, options), None, how)
}

fn tried(
    read: impl Fn() -> Result<Document, EditError>,
    expected: Option<&ETag>,
    mut how: impl FnMut(&mut Document) -> Result<(), EditError>,
) -> Result<ETag, EditError> {
    /// Each waits as long as a slow disk takes.
    const TRIES: u32 = 100;
    let mut tries = 0;
    loop {
        let mut document = read()?;
        how(&mut document)?;
        match document.write(expected) {
            Err(EditError::Conflict { .. } | EditError::Busy(_)) if expected.is_none() && tries < TRIES => {
                tries += 1;
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
            done => return done,
        }
    }
}

fn wrong(path: &Path, message: String) -> EditError {
    EditError::Invalid(errors::Problem::of_file(path, message).into())
}

/// The path by which a config file is known: no link in its folder. `None`: that is not there.
pub(crate) fn place_of(path: &Path) -> Option<PathBuf> {
    file::absolute(path).ok()
}

/// What a text says; an empty one is an empty table.
fn parsed(path: &Path, format: Format, text: &str) -> Result<Value, EditError> {
    let (tree, faults) = read::read(format, text);
    let wrong = |faults| EditError::Invalid(Errors(errors::located(path, text, faults)));
    let tree: Option<Node> = tree.filter(|_| faults.is_empty());
    let Some(tree) = tree else {
        return Err(wrong(faults));
    };
    match tree.data.to_json() {
        Some(Value::Null) => Ok(Value::Object(serde_json::Map::new())),
        Some(value @ Value::Object(_)) => Ok(value),
        Some(_) => Err(wrong(vec![errors::Fault::new(0, "", "it is no table of keys")])),
        None => Err(wrong(vec![errors::Fault::new(0, "", "a number in it is none that JSON has (inf, nan)")])),
    }
}
