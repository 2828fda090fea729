//! Waiting for what happens in the rig, with a deadline.

use std::time::{Duration, Instant};

use super::Result;

/// Waits until `done` is true, looking every 10 ms; an error after `limit`, naming `what`.
pub fn until(what: &str, limit: Duration, mut done: impl FnMut() -> bool) -> Result<()> {
    let deadline = Instant::now() + limit;
    while !done() {
        if Instant::now() > deadline {
            return Err(format!("waited {limit:?} in vain: {what}").into());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// [`until`] with ten seconds: for what takes milliseconds unless the machine is busy.
pub fn eventually(what: &str, done: impl FnMut() -> bool) -> Result<()> {
    until(what, Duration::from_secs(10), done)
}
