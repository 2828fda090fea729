//! The verbs for any process: inspect, probe, ensure, wait, start, stop, restart, reload, kill.

use std::time::Duration;

use clap::{Args, ValueEnum, ValueHint};

use crate::model::{Ladder, Signal, Whom};

/// `inspect`.
#[derive(Debug, Args)]
pub struct Inspect {
    /// What to look at
    #[arg(value_name = "TARGET", value_hint = ValueHint::Other)]
    pub targets: Vec<String>,
    /// Print a polkit rule that allows exactly you, this unit, these verbs
    #[arg(long)]
    pub polkit_rule: bool,
    /// Also look at what sudo allows without a password (an unsuccessful look may be reported)
    #[arg(long)]
    pub sudo: bool,
    /// Do not connect to what it serves
    #[arg(long)]
    pub no_probe: bool,
}

/// `probe`.
#[derive(Debug, Args)]
pub struct Probe {
    /// A target, or an address: http://HOST:PORT/PATH, tcp:HOST:PORT, unix:PATH
    #[arg(value_name = "TARGET|ADDRESS")]
    pub targets: Vec<String>,
    /// The longest time for the answer
    #[arg(long, value_parser = humantime::parse_duration, default_value = "5s", value_name = "TIME")]
    pub timeout: Duration,
    /// Of an http address: the statuses that mean available, as 200 or 200-299
    #[arg(long, value_name = "STATUS")]
    pub status: Option<String>,
    /// Of an http address: text that the answer must contain
    #[arg(long = "match", value_name = "TEXT")]
    pub matches: Option<String>,
    /// A command whose exit code 0 means available
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// `ensure`.
#[derive(Debug, Args)]
pub struct Ensure {
    /// What must be available
    #[arg(value_name = "TARGET")]
    pub target: Option<String>,
    /// How long it may all take until it is available; a restart begins this time once more
    #[arg(long, value_parser = humantime::parse_duration, default_value = "60s", value_name = "TIME")]
    pub timeout: Duration,
    /// How long it may say that it is still loading
    #[arg(long, value_parser = humantime::parse_duration, default_value = "10min", value_name = "TIME")]
    pub load_timeout: Duration,
    /// Restart what runs and does not answer within the time
    #[arg(long)]
    pub restart: bool,
    /// Say what would be done, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Use systemctl through sudo where that asks for no password
    #[arg(long)]
    pub sudo: bool,
    /// Probe this address instead of the one found: http://…, tcp:HOST:PORT, unix:PATH
    #[arg(long, value_name = "ADDRESS")]
    pub probe: Option<String>,
    /// What to start if nothing by that name exists
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// `wait`.
#[derive(Debug, Args)]
pub struct Wait {
    /// What to wait for
    #[arg(value_name = "TARGET")]
    pub target: Option<String>,
    /// Which state to wait for
    #[arg(long = "for", value_enum, default_value_t = WaitFor::Available, value_name = "STATE")]
    pub state: WaitFor,
    /// The longest time to wait; without it: for ever
    #[arg(long, value_parser = humantime::parse_duration, value_name = "TIME")]
    pub timeout: Option<Duration>,
}

/// What can be waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum WaitFor {
    /// It answers
    Available,
    /// Nothing of it runs
    Gone,
    /// It runs, whether it answers or not
    Running,
}

/// Flags of everything that changes something.
#[derive(Debug, Clone, Args)]
pub struct Changing {
    /// What to act on
    #[arg(value_name = "TARGET")]
    pub targets: Vec<String>,
    /// Print the plan and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// The longest time for each target
    #[arg(long, value_parser = humantime::parse_duration, value_name = "TIME")]
    pub timeout: Option<Duration>,
    /// Where a word leads to several owners, act on all of them
    #[arg(long)]
    pub all: bool,
    /// Use systemctl through sudo where that asks for no password
    #[arg(long)]
    pub sudo: bool,
}

/// `start`, `restart`, `reload`.
#[derive(Debug, Args)]
pub struct Change {
    /// What and how
    #[command(flatten)]
    pub changing: Changing,
    /// Queue the job and do not wait for its end
    #[arg(long)]
    pub no_block: bool,
}

/// `stop`.
#[derive(Debug, Args)]
pub struct Stop {
    /// What and how
    #[command(flatten)]
    pub changing: Changing,
    /// Queue the job and do not wait for its end
    #[arg(long)]
    pub no_block: bool,
    /// SIGKILL at once
    #[arg(long, conflicts_with = "signals")]
    pub force: bool,
    /// Signals and waits for processes without a unit
    #[arg(long, value_name = "TERM:5s,KILL")]
    pub signals: Option<Ladder>,
    /// Signal the matched processes and their children in spite of their unit
    #[arg(long)]
    pub only_process: bool,
}

/// `kill`.
#[derive(Debug, Args)]
pub struct Kill {
    /// What and how
    #[command(flatten)]
    pub changing: Changing,
    /// The signal, by name or number
    #[arg(short, long, default_value = "TERM", value_name = "SIGNAL", allow_hyphen_values = true)]
    pub signal: Signal,
    /// The main process, or all
    #[arg(long, value_enum, default_value_t = Whom::Main)]
    pub whom: Whom,
    /// Signal the matched processes in spite of their unit
    #[arg(long)]
    pub only_process: bool,
}
