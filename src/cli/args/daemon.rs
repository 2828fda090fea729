//! `daemon`: the one that runs, and what is asked of it.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum, ValueHint};

/// `daemon`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Daemon {
    /// What to ask of the daemon that runs; without it: run one here
    #[command(subcommand)]
    pub ask: Option<AskDaemon>,
    /// How services are run that do not choose
    #[arg(long, value_enum, default_value_t = BackendFlag::Auto, value_name = "BACKEND")]
    pub backend: BackendFlag,
    /// The same as --backend sim: services in memory only, to try things on
    #[arg(long, conflicts_with = "backend")]
    pub sim: bool,
    /// The config whose services it starts, instead of your own
    #[arg(short, long, value_hint = ValueHint::FilePath, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// End after the last service has ended; the system's, where the bus starts it: when nothing
    /// runs and nothing was asked of it for half a minute
    #[arg(long)]
    pub exit_when_idle: bool,
    /// How long that is instead
    #[arg(long, hide = true, value_parser = humantime::parse_duration, value_name = "TIME")]
    pub unused: Option<std::time::Duration>,
    /// Where to say that it is ready, as by sd_notify(3)
    #[arg(long, hide = true, value_name = "SOCKET")]
    pub notify: Option<PathBuf>,
    /// The control socket of the program before this one
    #[arg(long, hide = true, value_name = "FD")]
    pub control_fd: Option<i32>,
    /// Its connection to the system bus
    #[arg(long, hide = true, value_name = "FD")]
    pub bus_fd: Option<i32>,
    /// Its lock
    #[arg(long, hide = true, value_name = "FD")]
    pub lock_fd: Option<i32>,
    /// The folder of records, which it had locked too
    #[arg(long, hide = true, value_name = "FD")]
    pub state_fd: Option<i32>,
    /// What it told last
    #[arg(long, hide = true, value_name = "FD")]
    pub events_fd: Option<i32>,
}

/// How services are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BackendFlag {
    /// As transient units where there is a manager, else as children
    Auto,
    /// As transient units
    Systemd,
    /// As children of the daemon
    Direct,
    /// In memory
    Sim,
}

/// What can be asked of a daemon.
#[derive(Debug, Subcommand)]
pub enum AskDaemon {
    /// Whether one runs, and which: exit 0 or 3
    Status,
    /// Execute its program anew, after an upgrade say; every service keeps running
    Restart,
    /// Read all config files again and apply what changed
    Reload,
    /// End it
    Stop(StopDaemon),
}

/// `daemon stop`.
#[derive(Debug, Args)]
pub struct StopDaemon {
    /// What becomes of the services
    #[arg(long, value_enum, default_value_t = ServicesFlag::Auto, value_name = "WHAT")]
    pub services: ServicesFlag,
}

/// What becomes of services when the daemon ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ServicesFlag {
    /// Those that are units run on, children of the daemon are stopped (on_stop is for SIGTERM)
    Auto,
    /// All run on, and the next daemon takes them over
    Keep,
    /// All are stopped, in reverse order
    Stop,
    /// All are killed
    Kill,
}
