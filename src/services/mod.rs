//! The services of a caller, as the verbs see them: through the daemon that supervises them, or,
//! where none runs, from their records and from the config.
//!
//! Supervises nothing itself: that is `supervise`, in the daemon.

mod client;
mod environment;
mod follow;
mod lines;
mod offline;
mod others;
mod output;
mod project;
mod remote;
mod reports;
mod seen;
mod unwanted;

pub(crate) use environment::{DEV, PID_DIR, sent_along};
pub(crate) use follow::{Ended, Follow};
pub(crate) use lines::{Lines, Merged, read_output};
pub(crate) use offline::{add_unrecorded, damaged_records, lost_records, measure, records, verified};
pub(crate) use others::belongs_elsewhere;
pub(crate) use output::{Output, Piece, Query, Source, written_since};
pub(crate) use project::{Choice, choose, load, selected};
pub(crate) use remote::MOST as MOST_OF_DAEMON;
pub(crate) use reports::{as_they_run, matches, means, of_spec, offline_reports};
pub(crate) use seen::{Goal, Seen, blocks};
pub(crate) use unwanted::unwanted;

use crate::control::Control;
use crate::error::Error;
use crate::model::Instance;
use crate::observe::Units;

/// Whose services `--user` and `--system` choose.
pub(crate) fn instance_of(units: Units, uid: u32) -> Instance {
    match units {
        Units::User => Instance::User,
        Units::System => Instance::System,
        Units::Both => Instance::usual(uid),
    }
}

/// The daemon, started where none runs; what the user should know of that is told.
pub(crate) async fn daemon(instance: Instance, linger: bool, mut tell: impl FnMut(&str)) -> Result<Control, Error> {
    if let Some(control) = Control::connect(instance).await? {
        if linger {
            crate::control::Linger::enable(rustix::process::geteuid().as_raw()).await?;
        }
        return Ok(control);
    }
    let started = crate::control::start_daemon(instance, linger).await?;
    started.warnings.iter().for_each(|warning| tell(warning));
    Ok(started.control)
}
