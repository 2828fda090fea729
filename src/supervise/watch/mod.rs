//! What of the file system is watched, and when it is known that it changed.
//!
//! Folders are watched and not files: who replaces a file makes another one. What comes together
//! counts once: a subject is told when it has been quiet for a moment. Nothing is decided here
//! about services. `chain` finds the folders of a file with all its links, `tree` those below a
//! folder with what is to be ignored, `folders` has the kernel watch them.

mod chain;
mod folders;
#[cfg(test)]
mod tests;
mod tree;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsString;
use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::Instant;

use crate::gather::Gather as _;
use crate::model::ServiceId;
use folders::Folders;
pub(crate) use folders::Heard;
pub(crate) use tree::Sources;

/// How long a file must be quiet: an editor writes it in several steps.
const QUIET: Duration = Duration::from_millis(150);
/// What is never quiet is told after so many times its quiet.
const MOST: u32 = 10;

/// What is watched.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Subject {
    /// A config file that is known.
    Config(PathBuf),
    /// The files that may be the config of the instance.
    Own,
    /// The variables of services.
    EnvFile(PathBuf),
    /// What a service reads: its own configuration.
    Reads(ServiceId),
    /// What a service is made of, for development.
    Sources(ServiceId),
}

/// What is known of a subject.
enum Watched {
    Files { paths: Vec<PathBuf>, names: BTreeSet<(PathBuf, OsString)>, content: u64 },
    Sources(Box<Sources>),
}

/// A subject that is not quiet yet.
struct Pending {
    first: Instant,
    at: Instant,
}

/// The watches of one supervisor.
pub(crate) struct Watcher {
    /// Made with the first watch.
    inner: Option<Folders>,
    subjects: BTreeMap<Subject, Watched>,
    folders: HashMap<PathBuf, BTreeSet<Subject>>,
    /// Of which folders each is told: there are thousands of them, and few are of one subject.
    of: HashMap<Subject, BTreeSet<PathBuf>>,
    pending: BTreeMap<Subject, Pending>,
    /// Why something cannot be watched; said once.
    trouble: Option<String>,
    said: bool,
}

impl Watcher {
    pub(crate) fn new() -> Self {
        Self {
            inner: None,
            subjects: BTreeMap::new(),
            folders: HashMap::new(),
            of: HashMap::new(),
            pending: BTreeMap::new(),
            trouble: None,
            said: false,
        }
    }

    /// Watches files, there or not; what they hold now is known. The same once more changes nothing.
    pub(crate) fn files(&mut self, subject: Subject, paths: Vec<PathBuf>) {
        if let Some(Watched::Files { paths: known, .. }) = self.subjects.get(&subject)
            && *known == paths
        {
            return;
        }
        self.forget(&subject);
        let content = fingerprint(&paths);
        self.subjects.insert(subject.clone(), Watched::Files { paths, names: BTreeSet::new(), content });
        self.attach(&subject);
    }

    /// Watches what a service is made of.
    pub(crate) fn sources(&mut self, subject: Subject, sources: Sources) {
        if let Some(Watched::Sources(known)) = self.subjects.get(&subject)
            && known.is_as(&sources)
        {
            return;
        }
        self.forget(&subject);
        self.subjects.insert(subject.clone(), Watched::Sources(Box::new(sources)));
        self.attach(&subject);
    }

    /// Watches it no more.
    pub(crate) fn forget(&mut self, subject: &Subject) {
        if self.subjects.remove(subject).is_some() {
            self.pending.remove(subject);
            self.detach(subject, &BTreeSet::new());
        }
    }

    /// Whether anything is watched under this name.
    pub(crate) fn has(&self, subject: &Subject) -> bool {
        self.subjects.contains_key(subject)
    }

    /// What the files hold now is known: whoever read them says so.
    pub(crate) fn is_known(&mut self, subject: &Subject) {
        if let Some(Watched::Files { paths, content, .. }) = self.subjects.get_mut(subject) {
            *content = fingerprint(paths);
        }
    }

    /// Why something cannot be watched, the first time that this is asked.
    pub(crate) fn trouble(&mut self) -> Option<String> {
        if self.said {
            return None;
        }
        let trouble = self.trouble.clone();
        self.said = trouble.is_some();
        trouble
    }

    /// Waits for something to happen to anything that is watched.
    pub(crate) async fn heard(&self) -> io::Result<Vec<Heard>> {
        match &self.inner {
            Some(folders) => folders.heard().await,
            None => std::future::pending().await,
        }
    }

    /// When the next subject has been quiet for long enough.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.pending.values().map(|pending| pending.at).min()
    }

    /// Takes notice of what was heard.
    pub(crate) fn notice(&mut self, heard: io::Result<Vec<Heard>>, now: Instant) {
        let all = heard.unwrap_or_else(|error| {
            // It can be heard no more; what was watched is looked at once, and watched anew with that.
            self.trouble.get_or_insert_with(|| error.to_string());
            (self.inner, self.folders, self.of) = (None, HashMap::new(), HashMap::new());
            vec![Heard::TooMuch]
        });
        for heard in all {
            match heard {
                Heard::TooMuch => {
                    let all: Vec<Subject> = self.subjects.keys().cloned().collect();
                    all.into_iter().for_each(|subject| self.stir(subject, now));
                }
                Heard::Replaced(path) => self.changed(&path, true, now),
                Heard::Written(path) => self.changed(&path, false, now),
            }
        }
    }

    fn changed(&mut self, path: &Path, replaced: bool, now: Instant) {
        let around = path.parent().and_then(|folder| self.folders.get(folder));
        let itself = self.folders.get(path);
        let concerned: Vec<Subject> = around.into_iter().chain(itself).flatten().cloned().collect();
        for subject in concerned {
            let concerns = match self.subjects.get_mut(&subject) {
                Some(Watched::Files { names, .. }) => names.iter().any(|(folder, name)| {
                    folder == path || (path.parent() == Some(folder) && path.file_name() == Some(name))
                }),
                Some(Watched::Sources(sources)) => sources.concerns(path),
                None => false,
            };
            if concerns {
                self.stir(subject, now);
            }
        }
        // One that was replaced is to be watched anew.
        if replaced && self.folders.contains_key(path) {
            if let Some(inner) = &mut self.inner {
                inner.unwatch(path);
            }
            self.folders.remove(path);
        }
    }

    fn stir(&mut self, subject: Subject, now: Instant) {
        let quiet = match self.subjects.get(&subject) {
            Some(Watched::Sources(sources)) => sources.debounce,
            _ => QUIET,
        };
        let pending = self.pending.entry(subject).or_insert(Pending { first: now, at: now });
        pending.at = (now + quiet).min(pending.first + quiet * MOST);
    }

    /// The subjects that have been quiet for long enough, and are not as they were.
    pub(crate) fn take(&mut self, now: Instant) -> Vec<Subject> {
        let quiet: Vec<Subject> =
            self.pending.iter().filter(|(_, pending)| pending.at <= now).map(|(subject, _)| subject.clone()).collect();
        quiet
            .into_iter()
            .filter(|subject| {
                self.pending.remove(subject);
                // Links may lead elsewhere now, and folders may have come.
                self.attach(subject);
                match self.subjects.get_mut(subject) {
                    Some(Watched::Files { paths, content, .. }) => {
                        let now = fingerprint(paths);
                        std::mem::replace(content, now) != now
                    }
                    Some(Watched::Sources(sources)) => sources.has_changed(),
                    None => false,
                }
            })
            .collect()
    }

    fn attach(&mut self, subject: &Subject) {
        let folders: BTreeSet<PathBuf> = match self.subjects.get_mut(subject) {
            Some(Watched::Files { paths, names, .. }) => {
                *names = paths.iter().flat_map(|path| chain::names(path)).gather();
                names.iter().map(|(folder, _)| folder.clone()).collect()
            }
            Some(Watched::Sources(sources)) => match sources.look() {
                Ok(folders) => folders,
                Err(why) => {
                    self.trouble.get_or_insert(why);
                    return;
                }
            },
            None => return,
        };
        self.detach(subject, &folders);
        for folder in folders.clone() {
            if let Some(others) = self.folders.get_mut(&folder) {
                others.insert(subject.clone());
                continue;
            }
            match self.watch(&folder) {
                Ok(()) => {
                    self.folders.insert(folder, BTreeSet::from([subject.clone()]));
                }
                Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
                Err(error) => {
                    self.trouble.get_or_insert_with(|| format!("{} cannot be watched: {error}", folder.display()));
                }
            }
        }
        self.of.insert(subject.clone(), folders);
    }

    fn watch(&mut self, folder: &Path) -> io::Result<()> {
        let folders = match &mut self.inner {
            Some(folders) => folders,
            None => self.inner.insert(Folders::new()?),
        };
        folders.watch(folder)
    }

    /// Lets go of all its folders but these.
    fn detach(&mut self, subject: &Subject, but: &BTreeSet<PathBuf>) {
        let Some(had) = self.of.remove(subject) else { return };
        for folder in had.difference(but) {
            let Some(subjects) = self.folders.get_mut(folder) else { continue };
            if subjects.remove(subject) && subjects.is_empty() {
                self.folders.remove(folder);
                if let Some(inner) = &mut self.inner {
                    inner.unwatch(folder);
                }
            }
        }
    }
}

/// Larger files are known by their size and time.
const LARGE: u64 = 4 << 20;

/// What files hold, in short.
fn fingerprint(paths: &[PathBuf]) -> u64 {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    use std::os::unix::fs::MetadataExt as _;
    let mut hasher = DefaultHasher::new();
    for path in paths {
        let Some((file, found)) = crate::files::open_regular(path) else {
            0_u8.hash(&mut hasher);
            continue;
        };
        match all_of(file, &found) {
            Some(text) => (1_u8, text).hash(&mut hasher),
            None => (2_u8, found.len(), found.mtime(), found.mtime_nsec(), found.ino()).hash(&mut hasher),
        }
    }
    hasher.finish()
}

/// What it holds, unless that is much.
fn all_of(file: File, found: &Metadata) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    let small = found.len() <= LARGE && file.take(LARGE).read_to_end(&mut text).is_ok();
    small.then_some(text)
}
