//! The daemon executes its program anew, after an upgrade say: same process, same children, same
//! control socket.

use std::ffi::{CStr, CString, OsString};
use std::os::fd::{AsFd, AsRawFd as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::time::Duration;

use nix::errno::Errno;
use rustix::io::{FdFlags, fcntl_setfd};

use super::host::Legacy;
use crate::error::Error;
use crate::supervise::Refusal;

/// The words that tell the next program which descriptors the control socket, the connection to the
/// system bus, the lock, the folder of records and what was told last are.
pub(crate) const FLAGS: [&str; 5] = ["--control-fd", "--bus-fd", "--lock-fd", "--state-fd", "--events-fd"];

/// The program that runs, whatever became of its file.
const RUNNING: &CStr = c"/proc/self/exe";
/// How often a file that is being written is tried, and how long it is waited each time.
const TRIES: u32 = 200;
const PAUSE: Duration = Duration::from_millis(10);
/// How long a program may take to say its version.
const TRIAL: Duration = Duration::from_secs(5);

/// Tries the file that has this program's path now: one that ends at once would leave nobody. One that cannot be
/// executed at all does not, as [`now`] says.
///
/// # Errors
/// It is not to be executed: it does not say that it is provost.
pub(crate) async fn try_out() -> Result<(), Refusal> {
    let Ok(path) = crate::control::own_program() else { return Ok(()) };
    is_provost(&path).await.map_err(|why| {
        let words = "the daemon and its services run on as they were; put provost there, and restart it again";
        Refusal::Failed(format!("the daemon is not restarted: {path} --version: {why}: {words}"))
    })
}

async fn is_provost(path: &str) -> Result<(), String> {
    match crate::probe::try_out(&[path.to_owned(), "--version".to_owned()], TRIAL).await {
        Some((true, said)) if !said.contains(": provost ") => Err("it is not provost".to_owned()),
        None | Some((true, _)) => Ok(()),
        Some((false, why)) => Err(why),
    }
}

/// Executes the file that has this program's path now, with the same words; where that cannot be
/// executed, what runs is: services are not to be without a daemon because of an upgrade that went
/// wrong. Returns only if both fail. All other descriptors are closed by it; the lock is not given up: a daemon
/// that waits for its moment, one of another verb say, would take it.
pub(super) fn now(legacy: &Legacy) -> Error {
    let failed = |source| Error::Io { what: "the daemon cannot execute its program anew".to_owned(), source };
    let path = match crate::control::own_program() {
        Ok(path) => path,
        Err(error) => return error,
    };
    let [lock, state] = legacy.lock.as_ref().map_or([None; 2], |lock| lock.files());
    let [bus, events] = [&legacy.bus, &legacy.events].map(|fd| fd.as_ref().map(AsFd::as_fd));
    let left = [Some(legacy.listening.as_fd()), bus, lock, state, events];
    for fd in left.iter().flatten() {
        if let Err(error) = fcntl_setfd(fd, FdFlags::empty()) {
            return failed(error.into());
        }
    }
    let words = words(std::env::args_os().collect(), left.map(|fd| fd.map(|fd| fd.as_raw_fd())));
    let words: Option<Vec<CString>> = words.into_iter().map(|word| CString::new(word.into_vec()).ok()).collect();
    let (Ok(program), Some(words)) = (CString::new(path), words) else {
        return failed(std::io::ErrorKind::InvalidInput.into());
    };
    super::nofile::restore();
    let mut left = TRIES;
    let error = loop {
        match nix::unistd::execv(&program, &words) {
            Ok(never) => match never {},
            // Whoever wrote the file has it open still, or a child of theirs has.
            Err(Errno::ETXTBSY) if left > 0 => left -= 1,
            Err(error) => break error,
        }
        std::thread::sleep(PAUSE);
    };
    tracing::warn!("{} cannot be executed ({error}): the program that runs is, once more", program.to_string_lossy());
    match nix::unistd::execv(RUNNING, &words) {
        Ok(never) => match never {},
        Err(_) => failed(error.into()),
    }
}

/// The words of this program, with the descriptors in place of earlier ones.
fn words(mut words: Vec<OsString>, left: [Option<i32>; 5]) -> Vec<OsString> {
    let earlier = |word: &OsString| FLAGS.iter().any(|flag| word.as_bytes().starts_with(format!("{flag}=").as_bytes()));
    words.retain(|word| !earlier(word));
    let now = FLAGS.iter().zip(left).filter_map(|(flag, number)| Some(format!("{flag}={}", number?).into()));
    words.extend(now);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_program_that_fails_is_not_executed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("provost");
        let tried = async |script: &str| {
            crate::sys::program::write(script, &path, 0o755).unwrap();
            is_provost(path.to_str().unwrap()).await
        };
        assert_eq!(tried("#!/bin/sh\nexit 3\n").await, Err("exit code 3".to_owned()));
        assert_eq!(tried("#!/bin/sh\nexit 0\n").await, Err("it is not provost".to_owned()));
        assert_eq!(tried("#!/bin/sh\necho provost 9.9.9\n").await, Ok(()));
        // The kernel says so, and what runs is executed once more.
        assert_eq!(tried("not a program").await, Ok(()));
        std::fs::remove_file(&path).unwrap();
        assert_eq!(is_provost(path.to_str().unwrap()).await, Ok(()));
    }

    #[test]
    fn there_is_one_descriptor_at_the_end() {
        let say = |line: &str, n| {
            let said = words(line.split(' ').map(OsString::from).collect(), [Some(n), None, None, None, None]);
            said.join(" ".as_ref()).into_string().unwrap()
        };
        assert_eq!(say("provost daemon --user", 9), "provost daemon --user --control-fd=9");
        assert_eq!(say("provost daemon --control-fd=9 --user", 12), "provost daemon --user --control-fd=12");
        let all = words(vec!["x".into(), "--bus-fd=3".into()], [Some(4), Some(5), Some(6), Some(7), Some(8)]);
        assert_eq!(all, ["x", "--control-fd=4", "--bus-fd=5", "--lock-fd=6", "--state-fd=7", "--events-fd=8"]);
    }
}
