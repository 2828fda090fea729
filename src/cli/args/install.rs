//! `install`, `uninstall`, `doctor`.

use clap::Args;

/// `install`.
#[derive(Debug, Args)]
pub struct Install {
    /// Start the daemon now, and see that it answers
    #[arg(long)]
    pub now: bool,
    /// Have your services go on when you log out
    #[arg(long, conflicts_with = "system")]
    pub linger: bool,
    /// Say what would be done, and do nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// `uninstall`.
#[derive(Debug, Args)]
pub struct Uninstall {
    /// Leave services running that would be stopped first
    #[arg(long)]
    pub keep_services: bool,
    /// Remove what provost keeps of services, too: records, captured output, sockets; the config stays
    #[arg(long, conflicts_with = "keep_services")]
    pub purge: bool,
    /// Say what would be done, and do nothing
    #[arg(long)]
    pub dry_run: bool,
}
