//! What does not run while no daemon runs, and was to run: that it is to stay so is written into
//! its record, so that the next daemon does not start it again.

use crate::act::ActError;
use crate::error::Error;
use crate::model::service::{Desired, ServiceReport, ServiceState};
use crate::model::{Instance, ServiceId};
use crate::paths::Places;
use crate::registry::{Lock, Store};

/// Writes it down for these, of which nothing runs; those of which it was news.
///
/// # Errors
/// A daemon was started meanwhile, or a record cannot be written.
pub(crate) fn unwanted(instance: Instance, reports: &[ServiceReport]) -> Result<Vec<ServiceId>, Error> {
    let wanted: Vec<&ServiceReport> =
        reports.iter().filter(|report| report.desired == Desired::Up && !report.has_processes()).collect();
    let failed = |why: String| Error::Act(ActError::Failed(why));
    let places = Places::of(instance, rustix::process::geteuid().as_raw());
    let Some(places) = places.filter(|_| !wanted.is_empty()) else { return Ok(Vec::new()) };
    let _lock = Lock::take(&places).map_err(|held| failed(held.to_string()))?;
    let store = Store::at(&places);
    let (mut done, boot_id) = (Vec::new(), crate::observe::boot_id());
    for report in wanted {
        let Some(mut record) = store.one(&report.id).filter(|record| record.instance.is_some()) else { continue };
        record.desired = Desired::Down;
        if record.boot_id != boot_id {
            // This boot's word on it is given: being enabled in it starts it with the next one.
            record.boot_id.clone_from(&boot_id);
            (record.state, record.identity) = (ServiceState::Stopped, None);
        }
        store.save(&record, true).map_err(|error| failed(error.to_string()))?;
        done.push(report.id.clone());
    }
    Ok(done)
}
