//! `SignalProcess`: one signal to one process.

use std::os::fd::OwnedFd;

use super::{Helper, HelperError, signals};

impl Helper {
    /// Sends a signal to the process behind a pidfd, once polkit has allowed it.
    pub(crate) async fn signal(&self, fd: OwnedFd, number: i32) -> Result<(), HelperError> {
        let signal = signals::allowed(number)?;
        let target = self.hold(fd).await?;
        self.protect(&target).await?;
        let question = self.question(&target, &signal.to_string());
        self.authorise(&question).await?;
        // Minutes may have gone by.
        target.is_unchanged(&self.proc)?;
        if !target.send(signal)? {
            return Err(HelperError::NoSuchProcess(format!("process {} has ended", target.seen.pid)));
        }
        tracing::info!("{}: {signal} sent to {} ({:?})", self.who(), target.seen.pid, target.seen.exe);
        Ok(())
    }
}
