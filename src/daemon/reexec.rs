//! The daemon executes its program anew, after an upgrade say: same process, same children, same
//! control socket.

use std::ffi::{CString, OsString};
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

use rustix::io::{FdFlags, fcntl_setfd};

use crate::error::Error;

/// The word that tells the next program which descriptor the control socket is.
pub(crate) const FLAG: &str = "--control-fd";

/// Executes the file that has this program's path now, with the same words. Returns only if that
/// fails. All other descriptors are closed by it, and with them the lock is given up.
pub(super) fn now(listening: &OwnedFd) -> Error {
    let failed = |source| Error::Io { what: "the daemon cannot execute its program anew".to_owned(), source };
    let path = match crate::control::own_program() {
        Ok(path) => path,
        Err(error) => return error,
    };
    if let Err(error) = fcntl_setfd(listening.as_fd(), FdFlags::empty()) {
        return failed(error.into());
    }
    let words = words(std::env::args_os().collect(), listening.as_raw_fd());
    let words: Option<Vec<CString>> = words.into_iter().map(|word| CString::new(word.into_vec()).ok()).collect();
    let (Ok(program), Some(words)) = (CString::new(path), words) else {
        return failed(std::io::ErrorKind::InvalidInput.into());
    };
    super::nofile::restore();
    match nix::unistd::execv(&program, &words) {
        Ok(never) => match never {},
        Err(error) => failed(error.into()),
    }
}

/// The words of this program, with the descriptor in place of an earlier one.
fn words(mut words: Vec<OsString>, descriptor: i32) -> Vec<OsString> {
    let earlier = format!("{FLAG}=");
    words.retain(|word| !word.as_bytes().starts_with(earlier.as_bytes()));
    words.push(format!("{earlier}{descriptor}").into());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_descriptor_at_the_end() {
        let say = |line: &str, n| {
            let said = words(line.split(' ').map(OsString::from).collect(), n);
            said.join(" ".as_ref()).into_string().unwrap()
        };
        assert_eq!(say("provost daemon --user", 9), "provost daemon --user --control-fd=9");
        assert_eq!(say("provost daemon --control-fd=9 --user", 12), "provost daemon --user --control-fd=12");
    }
}
