//! A keeper in a thread, and the real one in the trials.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{CWD, Mode, OFlags};

use super::{Link, path, process};
use crate::paths::Places;
use crate::sys::spawn::Child;

/// A keeper as [`super::Make`] has it, but in this process.
pub(in crate::logs) fn in_a_thread(listener: OwnedFd, places: &Places) -> std::io::Result<Option<Child>> {
    let path = path(&places.runtime);
    std::thread::spawn(move || process::serve(listener.as_fd(), &path));
    Ok(None)
}

fn local<T>(what: impl AsyncFnOnce() -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let deadline = Duration::from_secs(60);
    runtime.block_on(async { tokio::time::timeout(deadline, what()).await.expect("it never came") })
}

fn open(path: &Path) -> OwnedFd {
    rustix::fs::open(path, OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty()).unwrap()
}

struct Pipes {
    paths: [PathBuf; 2],
    fds: [OwnedFd; 2],
}

impl Pipes {
    fn new(dir: &Path, name: &str) -> Self {
        let paths = ["out", "err"].map(|end| dir.join(format!("{name}.{end}")));
        for path in &paths {
            rustix::fs::mkfifoat(CWD, path, Mode::RUSR | Mode::WUSR).unwrap();
        }
        Self { fds: [open(&paths[0]), open(&paths[1])], paths }
    }

    fn say(&self, words: &str) {
        for fd in &self.fds {
            File::from(fd.try_clone().unwrap()).write_all(words.as_bytes()).unwrap();
        }
    }

    /// What is in them for whoever opens them now, once nobody here has them open.
    fn left(self) -> [String; 2] {
        drop(self.fds);
        self.paths.map(|path| {
            let mut bytes = [0; 100];
            let got = File::from(open(&path)).read(&mut bytes).unwrap_or(0);
            String::from_utf8_lossy(&bytes[..got]).into_owned()
        })
    }
}

/// Past this the keeper has read all that was sent to it.
fn ends(places: &Places) {
    let begin = std::time::Instant::now();
    while path(&places.runtime).exists() {
        assert!(begin.elapsed() < Duration::from_secs(60), "the keeper stays");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn what_is_in_a_pipe_outlives_both_of_its_ends() {
    let dir = tempfile::tempdir().unwrap();
    let places = Places::below(dir.path());
    let [one, two, three] = ["one", "two", "three"].map(|name| Pipes::new(dir.path(), name));
    local(async || {
        assert!(Link::find(&places).unwrap().is_none());
        let link = Link::make(&places, in_a_thread).unwrap();
        for pipes in [&one, &two, &three] {
            link.hold(&pipes.fds).unwrap();
        }
        two.say("gone");
        link.let_go(&two.fds).unwrap();
        // The daemon dies here.
    });
    one.say("last words\n");
    three.say("three");
    local(async || {
        // The next one finds it, and holds what is held.
        let link = Link::find(&places).unwrap().expect("the keeper is gone");
        link.hold(&three.fds).unwrap();
        // Everything is read, when this has come back over another connection that ends.
        assert_eq!(one.left(), ["last words\n", "last words\n"]);
        // Removed, which is as good as let go.
        three.paths.iter().for_each(|path| std::fs::remove_file(path).unwrap());
    });
    // `one` is still held, and there.
    assert!(path(&places.runtime).exists());
    local(async || {
        let link = Link::find(&places).unwrap().expect("the keeper is gone");
        let fds = ["one.out", "one.err"].map(|name| open(&dir.path().join(name)));
        link.let_go(&fds).unwrap();
        // It goes when its daemon has: until then there may be more to hold.
    });
    ends(&places);
    assert_eq!(two.left(), ["", ""]);
    // What a keeper that was killed has left is in nobody's way.
    std::fs::write(path(&places.runtime), "").unwrap();
    local(async || {
        assert!(Link::find(&places).is_ok_and(|found| found.is_none()));
        drop(Link::make(&places, in_a_thread).unwrap());
    });
    ends(&places);
}

#[test]
fn a_daemon_hears_of_the_end_of_its_keeper() {
    let dir = tempfile::tempdir().unwrap();
    let places = Places::below(dir.path());
    local(async || {
        // One that takes nothing, and goes.
        let link = Link::make(&places, |listener, _| {
            drop(listener);
            Ok(None)
        });
        let link = link.unwrap();
        link.ended().await;
        assert!(link.hold(&Pipes::new(dir.path(), "one").fds).is_err());
        let failed = Link::make(&places, |_, _| Err(std::io::ErrorKind::NotFound.into()));
        assert!(failed.is_err() && !path(&places.runtime).exists());
    });
}

#[test]
fn thousands_are_held_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let places = Places::below(dir.path());
    let pipes = Pipes::new(dir.path(), "one");
    local(async || {
        let link = Link::make(&places, in_a_thread).unwrap();
        for _ in 0..5000 {
            link.hold(&pipes.fds).unwrap();
        }
    });
    pipes.say("x");
    let paths = pipes.paths.clone();
    assert_eq!(pipes.left(), ["x", "x"]);
    paths.iter().for_each(|path| std::fs::remove_file(path).unwrap());
    local(async || drop(Link::find(&places).unwrap()));
    ends(&places);
}
