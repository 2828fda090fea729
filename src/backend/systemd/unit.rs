//! A launch as the properties of a transient unit.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use std::time::Duration;

use zbus::{Fd, Variant};

use super::{Scope, properties};
use crate::backend::stale_socket::WORD;
use crate::backend::{Launch, Placed, StartError};
use crate::model::service::Containment;
use crate::model::{Ladder, ServiceId, Signal, UnitName};
use crate::systemd::Property;

/// The variable that says to which instance of provost a process belongs.
pub(super) const INSTANCE: &str = "PROVOST_INSTANCE_ID";
/// The variable that says which service a process is.
pub(super) const SERVICE: &str = "PROVOST_SERVICE";

/// What the names of all units of services begin with.
pub(super) const PREFIX: &str = "provost-";

/// The unit of a service. An id is made of characters that unit names may have, and shorter.
pub(crate) fn name_of(id: &ServiceId) -> io::Result<UnitName> {
    format!("{PREFIX}{id}.service").parse().map_err(|error| io::Error::other(format!("{error}")))
}

/// Where a service will be, from before its start on.
pub(crate) fn place_of(id: &ServiceId) -> Placed {
    let unit = name_of(id).ok().map(|name| name.to_string());
    Placed { unit, containment: Some(Containment::Cgroup), ..Placed::default() }
}

/// Where standard output and standard error go; `None`: as systemd has it, to the journal.
#[derive(Debug, Default)]
pub(super) struct Streams {
    pub(super) out: Option<OwnedFd>,
    pub(super) err: Option<OwnedFd>,
}

/// Ten years: a manager remembers WATCHDOG=1 only of units that it watches itself (seen on 252), and
/// it is not to be the one who ends them.
const NEVER: u64 = 10 * 365 * 24 * 3600 * 1_000_000;

/// The properties of the unit. `folder`: its own, see [`super::folder`]. `env_file`: the variables are
/// there, and only the mark is a property, because everybody may read properties of system units.
/// `referenced`: its changes are told.
pub(super) fn properties<'l>(
    launch: &'l Launch,
    scope: Scope,
    folder: String,
    env_file: Option<&Path>,
    streams: &'l Streams,
    referenced: bool,
) -> Result<Vec<Property<'l>>, StartError> {
    // What is said here counts in each start: what a manager does anyway is not said.
    let mut all: Vec<Property<'l>> = vec![
        ("Description", launch.description.as_str().into()),
        ("Slice", scope.slice().into()),
        ("Type", if launch.notify { "notify" } else { "exec" }.into()),
        ("StartLimitIntervalUSec", 0_u64.into()),
        ("TimeoutStartUSec", u64::MAX.into()),
        ("RemainAfterExit", true.into()),
        ("TimeoutStopUSec", micros(stop_timeout(&launch.stop)).into()),
        ("WorkingDirectory", folder.into()),
        ("SyslogIdentifier", launch.id.as_str().into()),
        // What is written to standard output has the priority of standard output.
        ("SyslogLevelPrefix", false.into()),
        ("ExecStart", Variant::new(vec![(path("the program", &launch.program)?, words(launch)?, false)])),
    ];
    if kill_signal(&launch.stop) != Signal::TERM {
        all.push(("KillSignal", kill_signal(&launch.stop).number().into()));
    }
    if launch.notify || launch.beats {
        // Who says READY=1 is often a child: `uv run server.py`.
        all.push(("NotifyAccess", "all".into()));
    }
    if referenced {
        all.push(("AddRef", true.into()));
    }
    if launch.beats {
        all.push(("WatchdogUSec", NEVER.into()));
    }
    if let Some(user) = &launch.user {
        all.push(("User", user.as_str().into()));
    }
    // The daemon, root in a sandbox, may neither remove it nor use what is another user's. One that is in use the
    // service finds itself.
    let socket = launch.env.get("PROVOST_SOCKET").filter(|path| path.starts_with('/'));
    if let (Scope::System, Some(socket), Ok(own)) = (scope, socket, crate::control::own_program()) {
        let words = [own.as_str(), WORD, socket].map(|word| word.replace('$', "$$"));
        all.push(("ExecStartPre", Variant::new(vec![(own, words.to_vec(), true)])));
    }
    all.push(("Environment", environment(launch, env_file.is_some())?.into()));
    if let Some(file) = env_file {
        all.push(("EnvironmentFiles", Variant::new(vec![(path("the variables", file)?, false)])));
    }
    order(launch, scope, &mut all);
    for (name, fd) in [("StandardOutputFileDescriptor", &streams.out), ("StandardErrorFileDescriptor", &streams.err)] {
        if let Some(fd) = fd {
            all.push((name, Variant::from(Fd::from(fd.as_fd()))));
        }
    }
    limits(launch, &mut all);
    for (name, value) in &launch.systemd {
        all.extend(properties::convert(name, value).map_err(|error| StartError::Permanent(error.to_string()))?);
    }
    Ok(all)
}

/// The properties of a command that runs beside a service: its job is done when it has ended, it is
/// killed whole, and the manager keeps nothing of it and says nothing of it in the journal: `output` is
/// read.
pub(super) fn command<'l>(
    launch: &'l Launch,
    scope: Scope,
    env_file: &Path,
    output: &'l OwnedFd,
) -> Result<Vec<Property<'l>>, StartError> {
    let mut all: Vec<Property<'l>> = vec![
        ("Description", launch.description.as_str().into()),
        ("Slice", scope.slice().into()),
        ("Type", "oneshot".into()),
        ("Restart", "no".into()),
        ("StartLimitIntervalUSec", 0_u64.into()),
        ("CollectMode", "inactive-or-failed".into()),
        ("AddRef", true.into()),
        ("KillMode", "control-group".into()),
        ("KillSignal", Signal::KILL.number().into()),
        ("WorkingDirectory", path("the folder", &launch.cwd)?.into()),
        ("SyslogIdentifier", launch.id.as_str().into()),
        ("LogLevelMax", CRITICAL.into()),
        ("ExecStart", Variant::new(vec![(path("the program", &launch.program)?, words(launch)?, false)])),
        ("Environment", environment(launch, true)?.into()),
        ("EnvironmentFiles", Variant::new(vec![(path("the variables", env_file)?, false)])),
        ("StandardOutputFileDescriptor", Variant::from(Fd::from(output.as_fd()))),
        ("StandardErrorFileDescriptor", Variant::from(Fd::from(output.as_fd()))),
    ];
    if let Some(user) = &launch.user {
        all.push(("User", user.as_str().into()));
    }
    limits(launch, &mut all);
    Ok(all)
}

/// The priority of syslog(3).
const CRITICAL: i32 = 2;

/// The order in which a shutdown stops units. A service does not name the services that it comes
/// after: a unit that a loaded one names cannot be forgotten, and so not be made anew. Between the
/// two is a gate, which is named by both and names none of them.
fn order(launch: &Launch, scope: Scope, all: &mut Vec<Property<'_>>) {
    if !launch.after.is_empty() {
        let gates: Vec<String> = launch.after.iter().map(|id| scope.gate(id)).collect();
        all.push(("After", gates.into()));
    }
    if launch.needed {
        let gate = vec![scope.gate(&launch.id)];
        all.extend([("Wants", gate.clone().into()), ("Before", gate.into())]);
    }
}

fn limits(launch: &Launch, all: &mut Vec<Property<'_>>) {
    let limits = &launch.limits;
    if let Some(size) = limits.memory {
        all.push(("MemoryMax", size.0.into()));
    }
    if let Some(percent) = limits.cpu {
        // Of each second of time, in microseconds of work.
        all.push(("CPUQuotaPerSecUSec", (u64::from(percent.0) * 10_000).into()));
    }
    if let Some(tasks) = limits.tasks {
        all.push(("TasksMax", tasks.into()));
    }
    if let Some(files) = limits.nofile {
        all.extend([("LimitNOFILE", files.into()), ("LimitNOFILESoft", files.into())]);
    }
    if let Some(nice) = limits.nice {
        all.push(("Nice", nice.into()));
    }
    if let Some(adjust) = limits.oom_score_adjust {
        all.push(("OOMScoreAdjust", adjust.into()));
    }
}

/// What a stop of the unit, by whomever, sends first.
fn kill_signal(ladder: &Ladder) -> Signal {
    ladder.0.first().map_or(Signal::TERM, |rung| rung.signal)
}

/// How long a stop of the unit waits before SIGKILL: as long as the ladder does. 0 would be for ever.
fn stop_timeout(ladder: &Ladder) -> Duration {
    let polite = ladder.0.iter().take_while(|rung| rung.signal != Signal::KILL).map(|rung| rung.wait);
    polite.fold(Duration::ZERO, Duration::saturating_add).max(Duration::from_secs(1))
}

pub(super) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

pub(super) fn path(what: &str, path: &Path) -> Result<String, StartError> {
    let text = path.to_str().ok_or_else(|| {
        let why = format!("{what} {} has a name that is not UTF-8, which D-Bus cannot carry", path.display());
        StartError::Permanent(why)
    })?;
    without_nul(what, text)
}

fn without_nul(what: &str, text: &str) -> Result<String, StartError> {
    match text.contains('\0') {
        true => Err(StartError::Permanent(format!("{what} {} holds a zero byte", crate::text::clip(text)))),
        false => Ok(text.to_owned()),
    }
}

/// As much as Linux takes in one argument or variable (MAX_ARG_STRLEN of execve(2), its end included).
const LONGEST: usize = 128 * 1024 - 1;

fn fits(what: &str, text: &str) -> Result<String, StartError> {
    match text.len() > LONGEST {
        true => Err(StartError::Permanent(format!("{what} {} is longer than 128 KiB", crate::text::clip(text)))),
        false => without_nul(what, text),
    }
}

/// The words of the command. systemd replaces `$NAME` in them, and `$$` by a dollar.
fn words(launch: &Launch) -> Result<Vec<String>, StartError> {
    launch.argv.iter().map(|word| Ok(fits("the argument", word)?.replace('$', "$$"))).collect()
}

fn environment(launch: &Launch, mark_only: bool) -> Result<Vec<String>, StartError> {
    let mut all = Vec::new();
    for (name, value) in &launch.env {
        // systemd takes no other ones, and does not say which variable it was.
        if value.contains(|c: char| c.is_ascii_control() && c != '\t' && c != '\n') {
            let why =
                format!("the variable {} holds a control character, which systemd refuses", crate::text::clip(name));
            return Err(StartError::Permanent(why));
        }
        let assignment = fits("the variable", &format!("{name}={value}"))?;
        if !mark_only || matches!(name.as_str(), INSTANCE | SERVICE) {
            all.push(assignment);
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ladder(text: &str) -> Ladder {
        text.parse().unwrap()
    }

    #[test]
    fn a_stop_by_others_is_as_patient_as_ours() {
        let of = |text: &str| (kill_signal(&ladder(text)).number(), stop_timeout(&ladder(text)).as_secs());
        assert_eq!(of("TERM:3s,INT:4s,KILL"), (15, 7));
        assert_eq!(of("INT:10s"), (2, 10));
        assert_eq!(of("KILL"), (9, 1));
    }
}
