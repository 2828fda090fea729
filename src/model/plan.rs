//! How an action would be carried out, and by what right.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Action, Aim, Ladder, Manager, ServiceId, Signal, UnitName, Whom};

/// The means of control.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Means {
    /// Our own service.
    OwnService,
    /// A job or KillUnit of the system manager over D-Bus.
    SystemUnit,
    /// The same of a user manager.
    UserUnit,
    /// A direct signal through a pidfd.
    Signal,
    /// The privileged helper.
    Helper,
    /// The container's runtime.
    Container,
    /// systemctl through sudo, without a password (`--sudo`).
    Sudo,
    /// Nothing is allowed but to see whether it answers.
    Probe,
    /// Nothing: provost will not do it.
    Refused,
}

impl fmt::Display for Means {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OwnService => "own-service",
            Self::SystemUnit => "system-unit",
            Self::UserUnit => "user-unit",
            Self::Signal => "signal",
            Self::Helper => "helper",
            Self::Container => "container",
            Self::Sudo => "sudo",
            Self::Probe => "probe",
            Self::Refused => "refused",
        })
    }
}

/// What is known of a means before it is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It will work.
    Allowed,
    /// It will work with a password.
    NeedsPassword,
    /// It will not work.
    Denied,
    /// Nobody can say before it is tried.
    UnknownUntilAsked,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Allowed => "allowed",
            Self::NeedsPassword => "needs-password",
            Self::Denied => "denied",
            Self::UnknownUntilAsked => "unknown-until-asked",
        })
    }
}

/// Why a plan ends without a step: each has its own exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Stopper {
    /// Authorisation is missing (4).
    NotPermitted,
    /// The user must choose: a part of a unit, an ambiguity (2).
    Choose,
    /// There is nothing like that for this target (1): no reload command, a bare process to start.
    Impossible,
    /// The target does not exist (5).
    NotFound,
    /// The bus or the manager cannot be reached (8).
    Unreachable,
}

/// One effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "step", rename_all = "kebab-case")]
pub enum Step {
    /// A job of a unit.
    Job {
        /// Whose unit.
        manager: Manager,
        /// The unit.
        unit: UnitName,
        /// start, stop, restart or reload.
        action: Action,
        /// Once the job is queued, every process of the unit gets SIGKILL.
        force: bool,
        /// A password may be asked for.
        interactive: bool,
    },
    /// KillUnit.
    KillUnit {
        /// Whose unit.
        manager: Manager,
        /// The unit.
        unit: UnitName,
        /// Which processes.
        whom: Whom,
        /// What is sent.
        signal: Signal,
        /// A password may be asked for.
        interactive: bool,
    },
    /// One signal to some processes, through their pidfds.
    Signal {
        /// To whom.
        processes: Vec<Aim>,
        /// What is sent.
        signal: Signal,
    },
    /// Signals with waits until all of the processes, and what they started meanwhile, have ended.
    End {
        /// The roots of the trees.
        processes: Vec<Aim>,
        /// The signals and waits.
        ladder: Ladder,
    },
    /// One signal to some processes, through the privileged helper.
    HelperSignal {
        /// To whom.
        processes: Vec<Aim>,
        /// What is sent.
        signal: Signal,
        /// A password may be asked for.
        interactive: bool,
    },
    /// [`Self::End`], by the privileged helper.
    HelperEnd {
        /// The roots of the trees.
        processes: Vec<Aim>,
        /// The signals and waits.
        ladder: Ladder,
        /// A password may be asked for.
        interactive: bool,
    },
    /// A job of a unit of another user's manager, or a signal to its main process, through the
    /// privileged helper.
    HelperUnit {
        /// Whose manager.
        uid: u32,
        /// The unit.
        unit: UnitName,
        /// What the manager is asked for.
        action: Action,
        /// The signal of kill.
        signal: Signal,
        /// A password may be asked for.
        interactive: bool,
    },
    /// A request to the supervisor of our own services.
    Service {
        /// The service.
        id: ServiceId,
        /// What it is asked for.
        action: Action,
        /// Of stop: SIGKILL at once.
        force: bool,
        /// The signal of kill.
        signal: Signal,
        /// Whom kill signals.
        whom: Whom,
        /// The daemon of the system's instance is asked, not the caller's own.
        system: bool,
        /// Whether a password may be asked for.
        #[serde(default)]
        interactive: bool,
        /// No daemon runs: one is started, and takes over what the registry knows.
        start_daemon: bool,
        /// It has never been started: this config, which describes it, is loaded first.
        load: Option<PathBuf>,
    },
    /// A command: the container's runtime or sudo.
    Command {
        /// The program and its arguments; run by no shell.
        argv: Vec<String>,
    },
}

/// The steps that carry out an action, with the means, the verdict and the reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[must_use = "a plan does nothing by itself"]
pub struct Plan {
    /// What was asked for.
    pub action: Action,
    /// By what means.
    pub means: Means,
    /// What is known beforehand.
    pub verdict: Verdict,
    /// Why this means and this verdict, in plain words.
    pub reason: String,
    /// What would unlock what is denied, or make it easier.
    pub unlock: Option<String>,
    /// What else the person should know: systemd starts it again, a socket does.
    pub warnings: Vec<String>,
    /// The steps; empty where nothing is to be done or nothing may be.
    pub steps: Vec<Step>,
    /// Where there are no steps because the wanted state is there already: the state in words.
    pub already: Option<String>,
    /// Where there are no steps because it cannot be done: why, as a class.
    pub stopper: Option<Stopper>,
}

impl Plan {
    /// Whether carrying it out may ask for a password on the terminal.
    pub fn asks_password(&self) -> bool {
        let interactive = |step: &Step| {
            matches!(
                step,
                Step::Job { interactive: true, .. }
                    | Step::KillUnit { interactive: true, .. }
                    | Step::Service { interactive: true, .. }
                    | Step::HelperSignal { interactive: true, .. }
                    | Step::HelperEnd { interactive: true, .. }
                    | Step::HelperUnit { interactive: true, .. }
            )
        };
        self.steps.iter().any(interactive)
    }
}
