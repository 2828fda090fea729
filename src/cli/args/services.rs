//! The verbs for services: up, down, run, list, status, logs, events, enable, disable, remove.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use clap::{Args, ValueHint};

use crate::model::ServiceId;
use crate::model::service::{PortSpec, RestartPolicy};

/// `up`.
#[derive(Debug, Args)]
pub struct Up {
    /// Which services of the config; without any: all that are enabled
    #[arg(value_name = "ID")]
    pub ids: Vec<ServiceId>,
    /// The config; without it: provost.toml, .yaml or .json from here up, else your own
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    /// Restart services when what they are made of changes: all below their folders, but for what
    /// .gitignore leaves out
    #[arg(long)]
    pub dev: bool,
    /// First stop what runs of these services, and what was left behind of them
    #[arg(long)]
    pub replace: bool,
    /// Show what would be done, and do nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Return when all are ready, and let them run
    #[arg(short, long)]
    pub detach: bool,
    /// With --detach: the longest time until all are ready
    #[arg(long, value_parser = humantime::parse_duration, value_name = "TIME", requires = "detach")]
    pub timeout: Option<Duration>,
    /// The folder for pid files
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub pid_dir: Option<PathBuf>,
    /// Have your services go on when you log out (loginctl enable-linger)
    #[arg(long)]
    pub linger: bool,
}

/// `down`.
#[derive(Debug, Args)]
pub struct Down {
    /// Which services; without any: all of this config
    #[arg(value_name = "ID")]
    pub ids: Vec<ServiceId>,
    /// The config; without it: as for up
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    /// All services, those of other configs too
    #[arg(long, conflicts_with_all = ["ids", "config"])]
    pub all: bool,
    /// Show what would be done, and do nothing
    #[arg(long)]
    pub dry_run: bool,
    /// SIGKILL at once
    #[arg(long)]
    pub force: bool,
    /// The longest time to wait
    #[arg(long, value_parser = humantime::parse_duration, value_name = "TIME")]
    pub timeout: Option<Duration>,
}

/// `run`.
#[derive(Debug, Args)]
pub struct Run {
    /// What it is called; without it: as the program
    #[arg(long, value_name = "ID")]
    pub name: Option<ServiceId>,
    /// When it is started again; without it: on-failure, and never with --wait
    #[arg(long, value_enum, value_name = "WHEN")]
    pub restart: Option<RestartPolicy>,
    /// Show its output, wait for its end, and exit as it does
    #[arg(short, long)]
    pub wait: bool,
    /// A variable of its environment
    #[arg(short, long, value_name = "NAME=VALUE", value_parser = variable)]
    pub env: Vec<(String, String)>,
    /// The port it is to listen on, or a range of which it gets a free one; given as PORT
    #[arg(long, value_name = "PORT|FROM-TO", value_parser = port)]
    pub port: Option<PortSpec>,
    /// The folder it runs in; without it: this one
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub cwd: Option<PathBuf>,
    /// Have your services go on when you log out (loginctl enable-linger)
    #[arg(long)]
    pub linger: bool,
    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// `list`.
#[derive(Debug, Args)]
pub struct List {
    /// Which services; without any: all
    #[arg(value_name = "ID")]
    pub ids: Vec<ServiceId>,
}

/// `status`.
#[derive(Debug, Args)]
pub struct Status {
    /// Services, or any other targets; without any: all services
    #[arg(value_name = "ID|TARGET")]
    pub targets: Vec<String>,
}

/// `logs`.
#[derive(Debug, Args)]
pub struct Logs {
    /// Services, or units; without any: all services
    #[arg(value_name = "ID|TARGET")]
    pub targets: Vec<String>,
    /// Go on with what comes
    #[arg(short, long)]
    pub follow: bool,
    /// This many lines from the end, or `all`; without it: 20 of each, and all with --since, --until or --grep
    #[arg(short = 'n', long, value_name = "N", value_parser = lines)]
    pub lines: Option<usize>,
    /// From then on: 10min, 2h (ago), or 2026-01-31 12:00:00
    #[arg(long, value_name = "TIME", value_parser = since)]
    pub since: Option<SystemTime>,
    /// Up to then
    #[arg(long, value_name = "TIME", value_parser = since, conflicts_with = "follow")]
    pub until: Option<SystemTime>,
    /// Only lines with this regular expression
    #[arg(long, value_name = "REGEX")]
    pub grep: Option<String>,
    /// --grep finds capital and small letters alike
    #[arg(short, long, requires = "grep")]
    pub ignore_case: bool,
    /// Only what was written to standard error
    #[arg(long)]
    pub stderr: bool,
}

/// `events`.
#[derive(Debug, Args)]
pub struct Events {
    /// Of these services; without any: of all
    #[arg(value_name = "ID")]
    pub ids: Vec<ServiceId>,
    /// Go on with what comes
    #[arg(short, long)]
    pub follow: bool,
}

/// `enable`, `disable`, `remove`.
#[derive(Debug, Args)]
pub struct Ids {
    /// Which services
    #[arg(value_name = "ID", required = true)]
    pub ids: Vec<ServiceId>,
    /// Show what would be done, and do nothing
    #[arg(long)]
    pub dry_run: bool,
}

fn variable(word: &str) -> Result<(String, String), String> {
    let (name, value) = word.split_once('=').ok_or("a variable is NAME=VALUE")?;
    let head = |b: u8| b.is_ascii_alphabetic() || b == b'_';
    let fits = name.bytes().next().is_some_and(head) && name.bytes().all(|b| head(b) || b.is_ascii_digit());
    if fits { Ok((name.to_owned(), value.to_owned())) } else { Err(format!("'{name}' is no name of a variable")) }
}

fn port(word: &str) -> Result<PortSpec, String> {
    let number = |word: &str| match word.parse::<u16>() {
        Ok(port) if port > 0 => Ok(port),
        _ => Err(format!("'{word}' is no port: a whole number from 1 to 65535")),
    };
    match word.split_once('-') {
        None => number(word).map(PortSpec::Fixed),
        Some((from, to)) => match (number(from)?, number(to)?) {
            (from, to) if from <= to => Ok(PortSpec::Range(from, to)),
            _ => Err(format!("'{word}': the range ends before it begins")),
        },
    }
}

/// A number of lines, or all of them.
fn lines(word: &str) -> Result<usize, String> {
    match word {
        "all" => Ok(usize::MAX),
        _ => word.parse().map_err(|_| "a number, or all".to_owned()),
    }
}

/// A time, or how long ago.
fn since(word: &str) -> Result<SystemTime, String> {
    let now = crate::clock::now();
    if let Ok(ago) = humantime::parse_duration(word) {
        return now.checked_sub(ago).ok_or_else(|| "that is before all time".to_owned());
    }
    let time = humantime::parse_rfc3339_weak(&word.replace(' ', "T").replace('T', " "));
    time.or_else(|_| humantime::parse_rfc3339(word))
        .map_err(|_| "write how long ago (10min, 2h) or a time in UTC (2026-01-31 12:00:00)".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_services_are_checked() {
        assert_eq!(variable("A_1=b=c").unwrap(), ("A_1".to_owned(), "b=c".to_owned()));
        assert!(variable("1A=x").is_err() && variable("A").is_err() && variable("=x").is_err());
        assert_eq!(port("80").unwrap(), PortSpec::Fixed(80));
        assert_eq!(port("80-90").unwrap(), PortSpec::Range(80, 90));
        assert!(port("0").is_err() && port("90-80").is_err() && port("x").is_err() && port("99999").is_err());
        let ago = crate::clock::now().duration_since(since("10min").unwrap()).unwrap();
        assert!((599..610).contains(&ago.as_secs()));
        assert_eq!(since("2026-01-31 12:00:00").unwrap(), since("2026-01-31T12:00:00Z").unwrap());
        assert!(since("yesterday").is_err());
    }
}
