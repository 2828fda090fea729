//! `orphans`.

use clap::Args;

/// `orphans`.
#[derive(Debug, Args)]
pub struct Orphans {
    /// Also look for processes of this name: comm, executable, script
    #[arg(long = "match", value_name = "NAME")]
    pub names: Vec<String>,
    /// End them: what carries the mark of this instance, and what --match found
    #[arg(long)]
    pub clean: bool,
    /// SIGKILL at once, without SIGTERM and 5 s before it
    #[arg(long, requires = "clean")]
    pub force: bool,
    /// Say what would be ended, and end nothing
    #[arg(long, requires = "clean")]
    pub dry_run: bool,
    /// Do not ask
    #[arg(short, long, requires = "clean")]
    pub yes: bool,
}
