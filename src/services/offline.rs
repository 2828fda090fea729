//! Reads and verifies the registry where no daemon runs.

use super::reports::{running, seen};
use crate::model::service::{Measured, ServiceReport};
use crate::observe::Observer;
use crate::paths::Places;
use crate::registry::{Record, Store};

/// What the caller's registry says of supervised services, each looked for on the host.
pub(crate) async fn offline_reports(observer: &Observer) -> Vec<ServiceReport> {
    let uid = observer.caller().uid;
    let places = Places::of(super::instance_of(observer.units(), uid), uid);
    let mut records = places.map(|places| Store::at(&places).all()).unwrap_or_default();
    records.retain(|record| record.instance.is_some());
    verified(observer, &records).await
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
    let uid = observer.caller().uid;
    let places = Places::of(super::instance_of(observer.units(), uid), uid);
    let loaded = places.and_then(|places| Store::at(&places).look().ok()).unwrap_or_default();
    loaded.damaged.iter().map(ToString::to_string).collect()
}

/// What these records say, each looked for on the host.
pub(crate) async fn verified(observer: &Observer, records: &[Record]) -> Vec<ServiceReport> {
    let reports = records.iter().map(|record| async move { seen(record, running(observer, record).await) });
    crate::join::join_all(reports).await
}
