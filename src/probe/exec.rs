//! A command that says by its exit code whether the service is available.

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use tokio::time::{Instant, timeout_at};

use super::fault::Fault;
use crate::sys::pidfd::PidFd;
use crate::text::clip_to;

/// As much of each stream as is kept; the rest is read and thrown away.
const OUTPUT_MAX: usize = 16 * 1024;

/// The whole environment of a command, and its folder.
pub(crate) type Surroundings<'a> = (&'a BTreeMap<String, String>, &'a Path);

/// Runs a command without a shell, with an empty standard input and in a process group of its own,
/// which is killed when the command has ended, the time is over or the caller stops waiting.
///
/// Returns whether it exited with 0, and one line: the first of its output, or how it ended.
pub(super) async fn run(
    argv: &[String],
    within: Option<Surroundings<'_>>,
    deadline: Instant,
    limit: Duration,
) -> Result<(bool, String), Fault> {
    run_reading(argv, &[], within, deadline, limit).await
}

/// The same with what this process has; `None`: it cannot be started. One that takes too long did not exit with 0.
pub(crate) async fn try_out(argv: &[String], limit: Duration) -> Option<(bool, String)> {
    match run_reading(argv, &[], None, Instant::now() + limit, limit).await {
        Ok(done) => Some(done),
        Err(Fault::Io { .. }) => None,
        Err(fault) => Some((false, fault.to_string())),
    }
}

/// The same with something on its standard input. The error is one line as well.
pub(crate) async fn run_with(
    argv: &[String],
    input: &[u8],
    limit: Duration,
    within: Surroundings<'_>,
) -> Result<(), String> {
    match run_reading(argv, input, Some(within), Instant::now() + limit, limit).await {
        Ok((true, _)) => Ok(()),
        Ok((false, line)) => Err(line),
        Err(fault) => Err(fault.to_string()),
    }
}

async fn run_reading(
    argv: &[String],
    input: &[u8],
    within: Option<Surroundings<'_>>,
    deadline: Instant,
    limit: Duration,
) -> Result<(bool, String), Fault> {
    let [program, args @ ..] = argv else {
        return Err(Fault::Io { doing: "starting the command", why: "there is none".to_owned() });
    };
    #[allow(clippy::disallowed_methods, reason = "a command that the user gave as the probe")]
    let mut command = Command::new(program);
    if let Some((env, cwd)) = within {
        command.env_clear().envs(env).current_dir(cwd);
    }
    let child = command
        .args(args)
        .stdin(if input.is_empty() { Stdio::null() } else { Stdio::piped() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn();
    let mut group = match child {
        Ok(child) => Group::of(child),
        Err(error) => {
            return Err(Fault::Io { doing: "starting the command", why: clip_to(&error.to_string(), 120) });
        }
    };
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let stdin = group.0.stdin.take();
    let give = async {
        if let Some(mut stdin) = stdin {
            // One that does not read it need not.
            let _ = stdin.write_all(input).await;
        }
        std::future::pending::<std::convert::Infallible>().await
    };
    let watched = async {
        tokio::select! {
            done = watch(&mut group, &mut out, &mut err) => done,
            never = give => match never {},
        }
    };
    match timeout_at(deadline, watched).await {
        Ok(Ok(status)) => Ok((status.success(), evidence(status, &out, &err))),
        Ok(Err(error)) => Err(Fault::of_io("waiting for the command", &error)),
        Err(_) => Err(Fault::TimedOut { doing: "the command did not end", after: limit }),
    }
}

/// A child that leads a group of its own. What is left of the group is killed when the child has ended, or this
/// goes away before that; always before it was waited for: until then the number cannot belong to anybody else.
struct Group(Child, Option<PidFd>);

impl Group {
    fn of(child: Child) -> Self {
        // Without it the child is waited for at once, and the rest of the group left alone.
        let pidfd = child.id().and_then(|pid| PidFd::open(pid).ok());
        Self(child, pidfd)
    }

    async fn wait(&mut self) -> std::io::Result<ExitStatus> {
        if let Some(pidfd) = &self.1
            && pidfd.ended().await.is_ok()
        {
            self.kill();
        }
        self.0.wait().await
    }

    fn kill(&self) {
        let pid = self.0.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(pid) = pid {
            let _gone_already = kill_process_group(pid, Signal::KILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Waits for the child and not for the end of its output: who left the group may hold the pipes open.
async fn watch(group: &mut Group, out: &mut Vec<u8>, err: &mut Vec<u8>) -> std::io::Result<ExitStatus> {
    let (mut stdout, mut stderr) = (group.0.stdout.take(), group.0.stderr.take());
    let status = tokio::select! {
        status = group.wait() => status?,
        _ = async { tokio::join!(drain(stdout.as_mut(), out), drain(stderr.as_mut(), err)) } => group.wait().await?,
    };
    // What the child wrote is in the pipes now, whether or not the reactor has noticed.
    rest(stdout.as_ref(), out);
    rest(stderr.as_ref(), err);
    Ok(status)
}

async fn drain(stream: Option<&mut (impl AsyncRead + Unpin)>, kept: &mut Vec<u8>) {
    let Some(stream) = stream else { return };
    let mut chunk = [0; 4096];
    while let Ok(n @ 1..) = stream.read(&mut chunk).await {
        keep(kept, &chunk[..n]);
    }
}

/// The pipe does not block: this ends at its end or where it is empty.
fn rest(pipe: Option<&impl AsFd>, kept: &mut Vec<u8>) {
    let Some(pipe) = pipe else { return };
    let mut chunk = [0; 4096];
    while kept.len() < OUTPUT_MAX {
        match rustix::io::read(pipe, &mut chunk) {
            Ok(n @ 1..) => keep(kept, &chunk[..n]),
            _ => return,
        }
    }
}

fn keep(kept: &mut Vec<u8>, chunk: &[u8]) {
    let room = OUTPUT_MAX.saturating_sub(kept.len());
    kept.extend_from_slice(&chunk[..chunk.len().min(room)]);
}

fn evidence(status: ExitStatus, out: &[u8], err: &[u8]) -> String {
    let ending = match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => "ended".to_owned(),
    };
    match super::outcome::first_line(out).or_else(|| super::outcome::first_line(err)) {
        Some(line) => format!("{ending}: {line}"),
        None => ending,
    }
}
