//! What becomes of files that are not written any more: they are compressed, and the oldest removed.
//!
//! All of it happens in a thread of low priority, so that what is written now never waits for it.
//! It touches only segments before the newest: those are nobody else's. It can be interrupted at any
//! moment: a file is there as it was until the whole of the compressed one is on the disk.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use super::layout::packed::pack;
use super::layout::{begun, named, numbers, path};
use super::settings;
use crate::clock;
use crate::model::ServiceId;
use crate::model::service::{Compression, LogSpec};
use crate::paths::Places;

/// The files of a segment.
const ENDS: [&str; 3] = ["out", "err", "index"];
/// Of 19, the least: others come first.
const NICE: i32 = 15;

/// Has the work done. What is not done when this ends is done by the next.
#[derive(Debug)]
pub(super) struct Tidier {
    places: Places,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    asked: Mutex<Asked>,
    over: AtomicBool,
}

#[derive(Debug, Default)]
struct Asked {
    queue: VecDeque<ServiceId>,
    /// Whether there is a thread; it ends when it has nothing to do.
    works: bool,
}

impl Tidier {
    pub(super) fn new(places: &Places) -> Self {
        Self { places: places.clone(), shared: Arc::default() }
    }

    /// Has the files of a service looked through, soon.
    pub(super) fn ask(&self, id: &ServiceId) {
        let mut asked = self.shared.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if !asked.queue.contains(id) {
            asked.queue.push_back(id.clone());
        }
        if asked.works {
            return;
        }
        let (places, shared) = (self.places.clone(), Arc::clone(&self.shared));
        let made = std::thread::Builder::new().name("provost-tidy".to_owned()).spawn(move || shared.work(&places));
        match made {
            Ok(_) => asked.works = true,
            Err(error) => tracing::warn!("older output is not tidied up: {error}"),
        }
    }

    /// The same for every service that ever wrote something.
    pub(super) fn ask_all(&self) {
        let entries = fs::read_dir(&self.places.logs).into_iter().flatten().flatten();
        let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<ServiceId>().ok());
        ids.for_each(|id| self.ask(&id));
    }
}

impl Drop for Tidier {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
    }
}

impl Shared {
    fn work(&self, places: &Places) {
        // Of Linux, each thread has its own.
        let _as_it_is = rustix::process::setpriority_process(None, NICE);
        let go_on = || !self.over.load(Ordering::Relaxed);
        while let Some(id) = self.next().filter(|_| go_on()) {
            let settings = settings::load(places, &id);
            // Also where it was before the user wanted it elsewhere.
            for dir in [places.logs.join(id.as_str())].iter().chain(&settings.path) {
                match tidy(dir, &settings, &go_on) {
                    Ok(()) => {}
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => return,
                    Err(error) => tracing::warn!("older output of {id} stays as it is: {error}"),
                }
            }
        }
    }

    fn next(&self) -> Option<ServiceId> {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let next = asked.queue.pop_front();
        asked.works = next.is_some();
        next
    }
}

fn suffixed(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// A segment that is whole.
#[derive(Debug)]
struct Old {
    number: u64,
    size: u64,
    changed: SystemTime,
}

/// Removes what is not to be kept, and compresses the rest, one file after the other: before each it is
/// looked again what has become too much meanwhile.
fn tidy(dir: &Path, settings: &LogSpec, go_on: &dyn Fn() -> bool) -> io::Result<()> {
    loop {
        let mut old = look(dir)?;
        for number in surplus(&old, settings, clock::now()) {
            remove(dir, number)?;
            old.retain(|one| one.number != number);
        }
        let plain = old.iter().flat_map(|one| ENDS.map(|end| (one.number, end)));
        let next = plain
            .map(|(number, end)| path(dir, number, end))
            .find(|plain| fs::symlink_metadata(plain).is_ok_and(|found| found.is_file() && found.len() > 0));
        let Some(plain) = next.filter(|_| settings.compress == Compression::Gzip) else { return Ok(()) };
        compress(&plain, go_on)?;
    }
}

/// The segments before the one that is written.
fn look(dir: &Path) -> io::Result<Vec<Old>> {
    let mut all = numbers(dir)?;
    // Those after it are about to begin.
    let newest = all.iter().rposition(|number| begun(dir, *number)).unwrap_or(0);
    all.truncate(newest);
    let mut old = Vec::new();
    for number in all {
        let _not_there = fs::remove_file(path(dir, number, "index.new"));
        let mut one = Old { number, size: 0, changed: SystemTime::UNIX_EPOCH };
        for end in ENDS {
            // What was interrupted.
            let _not_there = fs::remove_file(path(dir, number, &format!("{end}.gz.new")));
            for name in [end.to_owned(), format!("{end}.gz")] {
                let Ok(found) = fs::symlink_metadata(path(dir, number, &name)) else { continue };
                one.size += found.len();
                one.changed = one.changed.max(found.modified().unwrap_or(SystemTime::UNIX_EPOCH));
            }
        }
        old.push(one);
    }
    Ok(old)
}

/// Those that are too many, too old, or too much, from the oldest on.
fn surplus(old: &[Old], settings: &LogSpec, now: SystemTime) -> Vec<u64> {
    let keep_for = settings.keep_for.0;
    let (mut count, mut size) = (0, settings.max_size.0);
    let kept = old.iter().rev().take_while(|one| {
        count += 1;
        size = size.saturating_add(one.size);
        let age = now.duration_since(one.changed).unwrap_or_default();
        count <= u64::from(settings.keep) && size <= settings.keep_size.0 && (keep_for.is_zero() || age <= keep_for)
    });
    let kept = kept.count();
    old[..old.len() - kept].iter().map(|one| one.number).collect()
}

fn remove(dir: &Path, number: u64) -> io::Result<()> {
    // The index last: bytes without it would be there still, but not when they came.
    for end in ENDS.iter().flat_map(|end| [(*end).to_owned(), format!("{end}.gz")]) {
        let path = path(dir, number, &end);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(named(path.display(), &error)),
            _ => {}
        }
    }
    Ok(())
}

fn compress(plain: &Path, go_on: &dyn Fn() -> bool) -> io::Result<()> {
    let packed = suffixed(plain, ".gz");
    if packed.exists() {
        // It was about to be removed.
        return fs::remove_file(plain).map_err(|error| named(plain.display(), &error));
    }
    let new = suffixed(&packed, ".new");
    let done = (|| {
        let flags = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
        let changed = fs::symlink_metadata(plain)?.modified()?;
        let mut from = File::options().read(true).custom_flags(flags).open(plain)?;
        let to = File::options().write(true).create_new(true).mode(0o600).open(&new)?;
        let mut to = BufWriter::new(to);
        pack(&mut from, &mut to, go_on)?;
        to.flush()?;
        let to = to.into_inner().map_err(io::IntoInnerError::into_error)?;
        // Its age is that of what is in it.
        to.set_modified(changed)?;
        to.sync_all()?;
        fs::rename(&new, &packed)?;
        fs::remove_file(plain)
    })();
    done.map_err(|error: io::Error| {
        let _not_there = fs::remove_file(&new);
        match error.kind() {
            io::ErrorKind::Interrupted => error,
            _ => named(format_args!("{} cannot be compressed", plain.display()), &error),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::service::{Size, Span};
    use std::time::Duration;

    #[test]
    fn what_is_too_much_too_many_or_too_old_goes_from_the_oldest_on() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        // Of 10, 20, … 60 bytes, written 600, 500, … 100 seconds ago.
        let old: Vec<Old> = (1..=6)
            .map(|n| Old { number: n, size: n * 10, changed: now - Duration::from_secs(100 * (7 - n)) })
            .collect();
        let settings = |keep, keep_for, keep_size| LogSpec {
            max_size: Size(50),
            keep,
            keep_for: Span::secs(keep_for),
            keep_size: Size(keep_size),
            ..LogSpec::default()
        };
        let goes = |settings: LogSpec| surplus(&old, &settings, now).len();
        assert_eq!(goes(settings(100, 0, 1000)), 0);
        assert_eq!(surplus(&old, &settings(4, 0, 1000), now), [1, 2]);
        assert_eq!(goes(settings(0, 0, 1000)), 6);
        assert_eq!(goes(settings(100, 350, 1000)), 3);
        // The one that is written has room, too: 50 + 60 + 50 + 40.
        assert_eq!(goes(settings(100, 0, 200)), 3);
        assert_eq!(goes(settings(100, 0, 199)), 4);
        // A clock that was set back.
        assert_eq!(surplus(&old, &settings(100, 350, 1000), now - Duration::from_secs(5000)).len(), 0);
    }
}
