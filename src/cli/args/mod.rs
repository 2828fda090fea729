//! The command line: one definition for parsing, help, completions and the man pages.

mod any_process;
mod daemon;
mod install;
mod orphans;
mod program;
mod services;
mod token;

pub(super) use any_process::{Change, Changing, Ensure, Inspect, Kill, Probe, Stop, Wait, WaitFor};
pub(super) use daemon::{AskDaemon, BackendFlag, Daemon, ServicesFlag};
pub(super) use install::{Install, Uninstall};
pub(super) use orphans::Orphans;
pub(super) use program::{Completions, Config, Gpus, Import, Man};
pub(super) use services::{Down, Events, Ids, List, Logs, Run, Status, Up};
pub(super) use token::{CreateToken, RevokeToken, TokenVerb};

use clap::{Args, Parser, Subcommand, ValueEnum};

const AFTER_HELP: &str = "\
Targets:
  WORD              a service id, a unit, or a process name, whichever it is
  unit:NAME         a unit of the system manager (globs: unit:'ollama*')
  user-unit:NAME    a unit of your user manager
  service:ID        a service of provost
  pid:N  name:COMM  a process by its number, processes by their name
  exe:PATH cmd:TEXT processes by executable, or by text in the command line
  :PORT             whoever listens on this TCP port

Exit codes:
  0 done, or already so        1 failed             2 usage, or ambiguous
  3 not running or available   4 not permitted      5 no such target
  6 config invalid             7 timed out          8 bus or daemon unreachable";

/// Find out who owns a process, and control it by the right means
///
/// provost asks systemd where systemd owns the process, signals directly where you may, goes
/// through polkit where an administrator may allow it, and says why.
#[derive(Debug, Parser)]
#[command(name = "provost", version, after_help = AFTER_HELP, max_term_width = 100)]
pub struct Cli {
    /// What to do; without a verb: an overview of known servers and own services
    #[command(subcommand)]
    pub verb: Option<Verb>,
    /// How everything is said
    #[command(flatten)]
    pub global: Global,
}

/// Flags of all verbs.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Common options")]
pub struct Global {
    /// For people or for programs
    #[arg(short, long, global = true, value_enum, default_value_t = Output::Human, value_name = "FORM")]
    pub output: Output,
    /// The same as -o json
    #[arg(long, global = true)]
    pub json: bool,
    /// Say nothing but errors
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Say more on standard error: what is asked of whom (twice: all of it)
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Never ask for a password
    #[arg(long, global = true)]
    pub no_ask_password: bool,
    /// Colours: auto looks at the terminal and at NO_COLOR
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto, value_name = "WHEN")]
    pub color: Color,
    /// Your own services; bare words are looked up among the units of your user manager only
    #[arg(long, global = true, conflicts_with = "system")]
    pub user: bool,
    /// The system's services; bare words are looked up among the units of the system only
    #[arg(long, global = true)]
    pub system: bool,
}

/// The form of what is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// Text for people
    Human,
    /// One JSON document
    Json,
    /// Of `logs`: each line with its time and whose it is
    Short,
    /// Of `logs`: the lines alone, as they were written
    Cat,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Who owns it, what it serves, and what you may do with it
    Inspect(Inspect),
    /// Whether it answers: exit 0 or 3
    Probe(Probe),
    /// Make sure that it is available, by starting what is needed and allowed
    Ensure(Ensure),
    /// Wait until it is available, running or gone
    Wait(Wait),
    /// Start a unit or a service
    Start(Change),
    /// Stop a unit or a service, or end processes with all their children
    Stop(Stop),
    /// Stop and start again
    Restart(Change),
    /// Have it read its configuration again
    Reload(Change),
    /// Send a signal
    Kill(Kill),
    /// Start the services of a config, and show what they do
    Up(Up),
    /// Stop the services of a config, in reverse order
    Down(Down),
    /// Start a command under supervision
    Run(Run),
    /// The services that provost supervises, as a table
    #[command(visible_aliases = ["ls", "ps"])]
    List(List),
    /// Whether services are as they should be: exit 0 or 3; of any target: its state
    Status(Status),
    /// What services, or units, have written
    Logs(Logs),
    /// What happens to services
    Events(Events),
    /// Have services start with their config or the daemon
    Enable(Ids),
    /// Have services start only when they are asked to
    Disable(Ids),
    /// Stop services and forget them
    #[command(visible_alias = "rm")]
    Remove(Ids),
    /// The processes of services, with what is said of each
    Registry,
    /// What services left behind and nobody tracks: list it, or end it
    Orphans(Orphans),
    /// Each GPU's memory, and who holds it
    Gpus(Gpus),
    /// Check, show and import config files
    #[command(subcommand)]
    Config(Config),
    /// Make, list and revoke tokens of the HTTP API
    #[command(subcommand)]
    Token(TokenVerb),
    /// Run the daemon that supervises services, or ask something of it
    Daemon(Daemon),
    /// Install this program with its units and all, for you or for the system
    Install(Install),
    /// Take back what install did
    Uninstall(Uninstall),
    /// Look for what is missing here, and say how it is mended
    Doctor,
    /// Print a completion script for a shell
    Completions(Completions),
    /// Write the man pages into a folder, or print the main one
    Man(Man),
}
