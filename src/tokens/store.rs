//! The file of the tokens, in the state folder: its owner's alone, replaced whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::Token;
use crate::paths::Places;

/// How many there may be.
const MOST: usize = 1000;

#[derive(Default, Serialize, Deserialize)]
struct Written {
    version: u32,
    tokens: Vec<Token>,
}

/// The tokens of an instance, as the file had them when it was last looked at.
#[derive(Debug)]
pub(crate) struct Tokens {
    path: PathBuf,
    uid: u32,
    all: Vec<Token>,
    /// Which file that was.
    seen: Option<(u64, SystemTime, u64)>,
}

impl Tokens {
    /// Reads nothing yet.
    pub(crate) fn at(places: &Places) -> Self {
        Self { path: places.state.join("tokens.json"), uid: places.uid, all: Vec::new(), seen: None }
    }

    /// All of them as they are now: the file is read again where it changed.
    ///
    /// # Errors
    /// It cannot be read, or is not what it must be: then no token is good.
    pub(crate) fn all(&mut self) -> io::Result<&[Token]> {
        let found = match fs::metadata(&self.path) {
            Ok(found) => Some((found.ino(), found.modified()?, found.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(about(error, &self.path)),
        };
        if found != self.seen {
            self.all.clear();
            self.seen = None;
            if found.is_some() {
                self.all = read(&self.path)?;
            }
            self.seen = found;
        }
        Ok(&self.all)
    }

    /// Changes them, one writer after the other.
    ///
    /// # Errors
    /// As [`Self::all`]; the file cannot be written; what `change` says.
    pub(crate) fn change<T>(&mut self, change: impl FnOnce(&mut Vec<Token>) -> io::Result<T>) -> io::Result<T> {
        let Some(dir) = self.path.parent() else { return Err(io::ErrorKind::InvalidInput.into()) };
        crate::paths::make_own(dir, self.uid)?;
        let lock = self.path.with_extension("lock");
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&lock);
        let file = file.map_err(|error| about(error, &lock))?;
        rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive)?;
        self.seen = None;
        let mut all = if self.path.exists() { read(&self.path)? } else { Vec::new() };
        let changed = change(&mut all)?;
        if all.len() > MOST {
            return Err(io::Error::other(format!("there are {MOST} tokens already: revoke some")));
        }
        let text = serde_json::to_vec_pretty(&Written { version: 1, tokens: all })?;
        write(&self.path, &text).map_err(|error| about(error, &self.path))?;
        Ok(changed)
    }
}

fn read(path: &Path) -> io::Result<Vec<Token>> {
    let text = fs::read(path).map_err(|error| about(error, path))?;
    // What serde says may hold a part of the file.
    let wrong = || io::Error::other(format!("{} is damaged: remove it, and make new tokens", path.display()));
    let written: Written = serde_json::from_slice(&text).map_err(|_| wrong())?;
    if written.version == 1 { Ok(written.tokens) } else { Err(wrong()) }
}

fn write(path: &Path, text: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    let _left_over = fs::remove_file(&new);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    file.write_all(text)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
}

fn about(error: io::Error, path: &Path) -> io::Error {
    io::Error::new(error.kind(), format!("the tokens in {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::super::Scope;
    use super::*;

    #[test]
    fn what_one_writes_the_other_reads_and_nobody_else() {
        let home = tempfile::tempdir().unwrap();
        let places = Places::below(home.path());
        let (mut reader, mut writer) = (Tokens::at(&places), Tokens::at(&places));
        assert!(reader.all().unwrap().is_empty());
        let token = |name| Token::new(name, Scope::Read, SystemTime::UNIX_EPOCH, None).unwrap().0;
        for name in ["a", "b"] {
            writer
                .change(|all| {
                    all.push(token(name));
                    Ok(())
                })
                .unwrap();
            assert_eq!(reader.all().unwrap().last().unwrap().name, name);
        }
        let mode = fs::metadata(&reader.path).unwrap().mode() & 0o777;
        assert_eq!(mode, 0o600);
        let only_b = |all: &mut Vec<Token>| {
            all.retain(|token| token.name == "b");
            Ok(())
        };
        writer.change(only_b).unwrap();
        assert_eq!(reader.all().unwrap().len(), 1);
        fs::write(&reader.path, "{\"tokens\": \"my secret\"").unwrap();
        let error = reader.all().unwrap_err().to_string();
        assert!(error.contains("damaged") && !error.contains("secret"), "{error}");
        assert!(reader.all.is_empty() && writer.change(|_| Ok(())).is_err());
    }
}
