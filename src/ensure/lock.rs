//! One lock a user and target: two callers at once, one acts and the other waits for the result.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::time::Duration;

use rustix::fs::FlockOperation;

/// Held until dropped; it dies with its holder.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
    /// Somebody else held it first.
    pub(super) waited: bool,
}

/// Takes the lock of a target, waiting at most `timeout`; `None` if that did not suffice.
pub(super) async fn take(uid: u32, target: &str, timeout: Duration) -> io::Result<Option<Lock>> {
    let path = crate::paths::runtime_dir(uid)?.join(format!("ensure-{}.lock", file_name(target)));
    let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => return Ok(Some(Lock { _file: file, waited: false })),
        Err(rustix::io::Errno::WOULDBLOCK) => {}
        Err(error) => return Err(error.into()),
    }
    // The kernel wakes a thread that waits for the lock; there is no other event for it.
    let wait = tokio::task::spawn_blocking(move || {
        rustix::fs::flock(&file, FlockOperation::LockExclusive).map(|()| Lock { _file: file, waited: true })
    });
    match tokio::time::timeout(timeout, wait).await {
        Ok(Ok(lock)) => Ok(Some(lock?)),
        Ok(Err(error)) => Err(io::Error::other(error)),
        Err(_) => Ok(None),
    }
}

/// A name without slashes that is different for different targets.
fn file_name(target: &str) -> String {
    let mut name = String::new();
    for b in target.bytes().take(60) {
        if b.is_ascii_alphanumeric() || b"-.".contains(&b) {
            name.push(b as char);
        } else {
            name.push_str(&format!("_{b:02x}"));
        }
    }
    if target.len() > 60 {
        // FNV-1a: tells long targets apart, and need not withstand anybody but the user.
        let hash =
            target.bytes().fold(0xcbf2_9ce4_8422_2325u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
        name.push_str(&format!("-{hash:016x}"));
    }
    name
}

#[cfg(test)]
mod tests {
    use super::file_name;

    #[test]
    fn names_have_no_slash_and_differ() {
        assert_eq!(file_name("../a:b"), ".._2fa_3ab");
        assert_ne!(file_name(&"x".repeat(100)), file_name(&"x".repeat(101)));
        assert!(file_name(&"/".repeat(4096)).len() < 255);
    }
}
