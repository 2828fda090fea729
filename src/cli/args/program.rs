//! The verbs of the program itself.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};

/// `config`.
#[derive(Debug, Subcommand)]
pub enum Config {
    /// Say all that is wrong in it: exit 0 or 6
    Check(ConfigFile),
    /// Print its services with what the defaults give them
    Show(ConfigFile),
    /// Say what a reload would do: a line for each service that is not as the file has it
    Diff(ConfigFile),
    /// Change keys: service.web.env.LEVEL=debug; comments stay, the old file is kept as a backup
    Set(SetConfig),
    /// Take keys away: service.web.env.LEVEL
    Unset(UnsetConfig),
    /// Make a provost.toml of another supervisor's config, and say what is not carried over
    Import(Import),
    /// Print the JSON Schema of config files, for editors
    Schema,
}

/// `config import`.
#[derive(Debug, Args)]
pub struct Import {
    /// pb_processes.json, daemon.yaml, supervisord.conf, Procfile, ecosystem.config.json (or .yaml),
    /// process-compose.yaml, circus.ini, or a .service file
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    /// What it is, where that is not seen by its name or by what is in it
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub from: Option<crate::config::import::Format>,
    /// The new file, - for standard output (-o FILE is the same)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, default_value = "provost.toml")]
    pub to: PathBuf,
    /// Replace the new file if there is one
    #[arg(long)]
    pub force: bool,
}

/// The file of `config check` and `config show`.
#[derive(Debug, Args)]
pub struct ConfigFile {
    /// The file; without it: provost.toml, .yaml or .json from here up, else your own
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: Option<PathBuf>,
    /// The same, as for up
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "file")]
    pub config: Option<PathBuf>,
}

/// `config set`.
#[derive(Debug, Args)]
pub struct SetConfig {
    /// Keys with their values; a value as TOML has it (8080, true, ["a", "b"]), else a text
    #[arg(value_name = "KEY=VALUE", required = true)]
    pub changes: Vec<String>,
    /// The file; without it: as for check
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
}

/// `config unset`.
#[derive(Debug, Args)]
pub struct UnsetConfig {
    /// Keys
    #[arg(value_name = "KEY", required = true)]
    pub keys: Vec<String>,
    /// The file; without it: as for check
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
}

/// `gpus`.
#[derive(Debug, Args)]
pub struct Gpus {
    /// The driver's library, where it is not found: libnvidia-ml.so.1
    #[arg(long = "library", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub nvml: Option<PathBuf>,
}

/// `completions`.
#[derive(Debug, Args)]
pub struct Completions {
    /// bash, zsh, fish, elvish or powershell
    pub shell: clap_complete::Shell,
}

/// `man`.
#[derive(Debug, Args)]
pub struct Man {
    /// Where the pages go: provost.1, provost-stop.1, …
    #[arg(value_hint = ValueHint::DirPath)]
    pub folder: Option<PathBuf>,
}
