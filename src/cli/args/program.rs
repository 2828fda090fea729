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
