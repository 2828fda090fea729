//! The agent that asks for a password on a terminal: polkit's own pkttyagent, as systemctl uses it.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::io::{FdFlags, fcntl_setfd};
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

use crate::sys::pidfd::PidFd;

/// How long the agent may take to register itself with polkit.
const REGISTER: Duration = Duration::from_secs(5);

/// Why there is no agent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AgentError {
    /// It could not be started.
    #[error("pkttyagent, which asks for the password, cannot be started: {0}")]
    Start(#[source] io::Error),
    /// It ended, or did not register in time.
    #[error("pkttyagent, which asks for the password, did not get ready")]
    NotReady,
}

/// A running agent. It serves the process that started it, so whoever starts it makes the call;
/// it is ended when this value is dropped.
#[derive(Debug)]
pub(crate) struct Agent {
    child: Child,
}

impl Agent {
    /// Starts the agent and waits until it has registered.
    ///
    /// `in_session`: the caller is in a login session. There `--fallback` leaves a desktop's own
    /// agent the precedence; outside of one polkit ignores a fallback agent.
    pub(crate) async fn start(in_session: bool) -> Result<Self, AgentError> {
        let program = crate::sys::find_program("pkttyagent").unwrap_or_else(|| "pkttyagent".into());
        #[expect(clippy::disallowed_methods, reason = "the agent is a program of its own")]
        let mut command = Command::new(program);
        if in_session {
            command.arg("--fallback");
        }
        Self::run(command).await
    }

    /// The same of this very program, with these variables and no others.
    pub(crate) async fn start_alone(program: &Path, variables: &[(&str, String)]) -> Result<Self, AgentError> {
        #[expect(clippy::disallowed_methods, reason = "the agent is a program of its own")]
        let mut command = Command::new(program);
        command.env_clear().envs(variables.iter().map(|(name, value)| (name, value)));
        Self::run(command).await
    }

    async fn run(mut command: Command) -> Result<Self, AgentError> {
        let (reader, writer) =
            rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).map_err(|e| AgentError::Start(e.into()))?;
        // The agent inherits its end and closes it once it is registered.
        fcntl_setfd(&writer, FdFlags::empty()).map_err(|e| AgentError::Start(e.into()))?;
        command.arg("--notify-fd").arg(writer.as_raw_fd().to_string());
        // It reads and writes the controlling terminal itself.
        command.stdin(Stdio::null()).kill_on_drop(true);
        let child = command.spawn().map_err(AgentError::Start)?;
        drop(writer);
        let mut agent = Self { child };
        match tokio::time::timeout(REGISTER, closed(reader)).await {
            Ok(Ok(())) if matches!(agent.child.try_wait(), Ok(None)) => {
                agent.outlive_on_interrupt();
                Ok(agent)
            }
            _ => Err(AgentError::NotReady),
        }
    }

    /// On Ctrl-C the agent gives the terminal back as it was before it ends; ending before it, we
    /// would leave the shell a terminal without echo.
    fn outlive_on_interrupt(&self) {
        let Some(pidfd) = self.child.id().and_then(|pid| PidFd::open(pid).ok()) else { return };
        let Ok(mut interrupts) = signal(SignalKind::interrupt()) else { return };
        crate::tasks::spawn(async move {
            // For as long as we run: the signal has no other effect from now on.
            interrupts.recv().await;
            let _ = tokio::time::timeout(Duration::from_secs(1), pidfd.ended()).await;
            std::process::exit(130);
        });
    }

    /// Ends the agent, so that it gives the terminal back as it was.
    pub(crate) async fn end(mut self) {
        if let Some(pid) = self.child.id().and_then(|pid| i32::try_from(pid).ok()) {
            // The child has not been waited for, so the pid is still its own.
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGTERM);
        }
        let _ = tokio::time::timeout(Duration::from_secs(1), self.child.wait()).await;
    }
}

/// Waits until the other end of the pipe is closed.
async fn closed(reader: OwnedFd) -> io::Result<()> {
    let mut reader = tokio::net::unix::pipe::Receiver::from_owned_fd(reader)?;
    let mut rest = Vec::new();
    reader.read_to_end(&mut rest).await.map(drop)
}
