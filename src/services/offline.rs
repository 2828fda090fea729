//! Reads and verifies the registry where no daemon runs.

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;

use super::reports::{running, seen};
use crate::act::ActError;
use crate::error::Error;
use crate::model::service::{Measured, ServiceReport};
use crate::observe::Observer;
use crate::paths::Places;
use crate::registry::{Loaded, Record, Store};

/// All records of an instance, and what of them cannot be read.
///
/// # Errors
/// Their folder cannot be read: that is not to be without services.
pub(crate) fn records(places: &Places) -> Result<Loaded, Error> {
    let own =
        || std::fs::metadata(places.registry()).is_ok_and(|found| rustix::process::geteuid().as_raw() == found.uid());
    Store::at(places).look().map_err(|error| match error.kind() {
        ErrorKind::PermissionDenied if !own() => {
            let why = format!("{error}; they are {}'s", if places.uid == 0 { "root" } else { "another user" });
            Error::Act(ActError::NotPermitted(why))
        }
        _ => Error::Io { what: "the registry".to_owned(), source: error },
    })
}

/// Those of the caller's instance.
fn own_records(observer: &Observer) -> Result<Loaded, Error> {
    let uid = observer.caller().uid;
    let places = Places::of(super::instance_of(observer.units(), uid), uid);
    places.map_or_else(|| Ok(Loaded::default()), |places| records(&places))
}

/// What the caller's registry says of supervised services, each looked for on the host.
///
/// # Errors
/// It cannot be read.
pub(crate) async fn offline_reports(observer: &Observer) -> Result<Vec<ServiceReport>, Error> {
    let mut records = own_records(observer)?.records;
    records.retain(|record| record.instance.is_some());
    Ok(verified(observer, &records).await)
}

/// Adds what those use that run, as the sum over their processes.
pub(crate) fn measure(observer: &Observer, reports: &mut [ServiceReport]) {
    for report in reports.iter_mut().filter(|report| report.state.is_alive()) {
        let Some(main) = report.pid else { continue };
        let usage = crate::supervise::resources::measure(&crate::observe::tree::of(observer.proc(), &[main]));
        report.cpu_percent = Some(usage.cpu_percent);
        report.memory_bytes = Some(usage.memory_bytes);
        report.processes = Some(usage.processes);
        report.measured = Some(Measured::Processes);
    }
}

/// What is wrong with records of the caller's registry that cannot be read: of their services nothing
/// is known here.
pub(crate) fn damaged_records(observer: &Observer) -> Vec<String> {
    own_records(observer).unwrap_or_default().damaged.iter().map(ToString::to_string).collect()
}

/// What these records say, each looked for on the host.
pub(crate) async fn verified(observer: &Observer, records: &[Record]) -> Vec<ServiceReport> {
    let reports = records.iter().map(|record| async move { seen(record, running(observer, record).await) });
    crate::join::join_all(reports).await
}
