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
    /// Print the JSON Schema of config files, for editors
    Schema,
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
