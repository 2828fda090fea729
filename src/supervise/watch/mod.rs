//! What of the file system is watched, and when it is known that it changed.
//!
//! Folders are watched and not files: who replaces a file makes another one. What comes together
//! counts once: a subject is told when it has been quiet for a moment. Nothing is decided here
//! about services. `chain` finds the folders of a file with all its links, `tree` those below a
//! folder with what is to be ignored.

mod chain;
mod tree;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode, EventKind, ModifyKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::model::ServiceId;
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
    inner: Option<RecommendedWatcher>,
    send: mpsc::UnboundedSender<notify::Result<notify::Event>>,
    heard: mpsc::UnboundedReceiver<notify::Result<notify::Event>>,
    subjects: BTreeMap<Subject, Watched>,
    folders: HashMap<PathBuf, BTreeSet<Subject>>,
    pending: BTreeMap<Subject, Pending>,
    /// Why something cannot be watched; said once.
    trouble: Option<String>,
    said: bool,
}

impl Watcher {
    pub(crate) fn new() -> Self {
        let (send, heard) = mpsc::unbounded_channel();
        Self {
            inner: None,
            send,
            heard,
            subjects: BTreeMap::new(),
            folders: HashMap::new(),
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
    pub(crate) async fn heard(&mut self) -> Vec<notify::Result<notify::Event>> {
        let mut all = Vec::new();
        self.heard.recv_many(&mut all, 1024).await;
        all
    }

    /// When the next subject has been quiet for long enough.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.pending.values().map(|pending| pending.at).min()
    }

    /// Takes notice of what was heard.
    pub(crate) fn notice(&mut self, all: Vec<notify::Result<notify::Event>>, now: Instant) {
        for event in all {
            match event {
                Ok(event) if event.need_rescan() => {
                    let all: Vec<Subject> = self.subjects.keys().cloned().collect();
                    all.into_iter().for_each(|subject| self.stir(subject, now));
                }
                Ok(event) if matters(&event.kind) => {
                    let replaced = !matches!(event.kind, EventKind::Modify(ModifyKind::Data(_)) | EventKind::Access(_));
                    event.paths.iter().for_each(|path| self.changed(path, replaced, now));
                }
                Ok(_) => {}
                Err(error) => {
                    self.trouble.get_or_insert_with(|| error.to_string());
                }
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
                let _ = inner.unwatch(path);
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
                *names = paths.iter().flat_map(|path| chain::names(path)).collect();
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
        for folder in folders {
            if let Some(others) = self.folders.get_mut(&folder) {
                others.insert(subject.clone());
                continue;
            }
            match self.watch(&folder) {
                Ok(()) => {
                    self.folders.insert(folder, BTreeSet::from([subject.clone()]));
                }
                Err(error) if matches!(error.kind, notify::ErrorKind::PathNotFound) => {}
                Err(error) => {
                    self.trouble
                        .get_or_insert_with(|| format!("{} cannot be watched: {}", folder.display(), said(&error)));
                }
            }
        }
    }

    fn watch(&mut self, folder: &Path) -> notify::Result<()> {
        if self.inner.is_none() {
            let send = self.send.clone();
            let config = notify::Config::default().with_follow_symlinks(false);
            let listen = move |event: notify::Result<notify::Event>| {
                // What was only read is most of what is heard.
                let of_no_matter = event.as_ref().is_ok_and(|event| !event.need_rescan() && !matters(&event.kind));
                if !of_no_matter {
                    let _ = send.send(event);
                }
            };
            self.inner = Some(RecommendedWatcher::new(listen, config)?);
        }
        match &mut self.inner {
            Some(inner) => inner.watch(folder, RecursiveMode::NonRecursive),
            None => Ok(()),
        }
    }

    /// Lets go of all folders but these.
    fn detach(&mut self, subject: &Subject, but: &BTreeSet<PathBuf>) {
        let mut unused = Vec::new();
        for (folder, subjects) in &mut self.folders {
            if !but.contains(folder) && subjects.remove(subject) && subjects.is_empty() {
                unused.push(folder.clone());
            }
        }
        for folder in unused {
            self.folders.remove(&folder);
            if let Some(inner) = &mut self.inner {
                let _ = inner.unwatch(&folder);
            }
        }
    }
}

/// Whether it may change what a file holds, or where a name leads.
fn matters(kind: &EventKind) -> bool {
    match kind {
        EventKind::Access(kind) => matches!(kind, AccessKind::Close(AccessMode::Write)),
        EventKind::Modify(ModifyKind::Metadata(_)) => false,
        _ => true,
    }
}

/// With what can be done about it.
fn said(error: &notify::Error) -> String {
    match error.kind {
        notify::ErrorKind::MaxFilesWatch => {
            "the kernel allows you no more watches: raise fs.inotify.max_user_watches, or watch less".to_owned()
        }
        _ => error.to_string(),
    }
}

/// Larger files are known by their size and time.
const LARGE: u64 = 4 << 20;

/// What files hold, in short.
fn fingerprint(paths: &[PathBuf]) -> u64 {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    use std::io::Read as _;
    use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
    let mut hasher = DefaultHasher::new();
    for path in paths {
        // A FIFO without a writer would be waited for.
        let nonblock = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
        let file = std::fs::OpenOptions::new().read(true).custom_flags(nonblock).open(path);
        let Ok((file, found)) = file.and_then(|file| file.metadata().map(|found| (file, found))) else {
            0_u8.hash(&mut hasher);
            continue;
        };
        if !found.is_file() || found.len() > LARGE {
            (1_u8, found.len(), found.mtime(), found.mtime_nsec(), found.ino()).hash(&mut hasher);
            continue;
        }
        let mut text = Vec::new();
        let read = file.take(LARGE).read_to_end(&mut text).is_ok();
        (2_u8, read, text).hash(&mut hasher);
    }
    hasher.finish()
}
