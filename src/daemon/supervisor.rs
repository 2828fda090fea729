//! Makes the supervisor with its backends.

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::backends;
use crate::error::Error;
use crate::model::service::BackendChoice;
use crate::paths::Places;
use crate::registry::Store;
use crate::supervise::run::{self, Supervisor, clean_environment};
use crate::supervise::{Command, Handle, Selection};

/// A supervisor that runs, after its recovery.
pub(crate) struct Running {
    pub(crate) handle: Handle,
    pub(crate) task: JoinHandle<()>,
    pub(crate) instance_id: String,
    pub(crate) backend: String,
    /// All events, those of the recovery too.
    pub(crate) heard: tokio::sync::broadcast::Receiver<crate::model::service::Event>,
}

/// Starts it: what earlier daemons have left is taken over before this returns. Its events have numbers
/// after `seq`.
///
/// # Errors
/// The state folder cannot be used, its records cannot be read, or there is not the one backend that
/// was asked for.
pub(crate) async fn start(
    places: &Places,
    choice: BackendChoice,
    http_port: Option<u16>,
    seq: u64,
) -> Result<Running, Error> {
    let state = |source| {
        let what = format!("the state folder {} cannot be used", places.state.display());
        Error::Io { what, source: crate::disk::explained(source, &places.state) }
    };
    crate::paths::make_own(&places.state, places.uid).map_err(state)?;
    let may_write = rustix::fs::access(&places.state, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK);
    if let Err(error) = may_write {
        // What runs is to be supervised in any case.
        let error = crate::disk::explained(error.into(), &places.state);
        tracing::warn!("the state folder {} cannot be written to: {error}; what runs goes on", places.state.display());
    }
    let store = Store::at(places);
    // Without any records all that runs would be nobody's, and be started anew beside itself.
    let unknown = |source| Error::Io { what: "what runs is not known, and nothing is started".to_owned(), source };
    // Those that are damaged are dealt with by the recovery.
    let known = store.look().map_err(unknown)?.records;
    let instance_id = store.instance_id(&known, crate::clock::now()).map_err(state)?;

    let (reports, happened) = mpsc::unbounded_channel();
    let backends::Made { backends, log_match } = backends::make(places, choice, &instance_id, &reports).await?;
    let backend = choice.kind();
    // Once there is a way to find what runs of those that are damaged: they are set aside now.
    let left = store.load_all(crate::clock::now()).map_err(unknown)?;
    let usual = backend.or(backends.usual()).map_or("none", |kind| kind.as_str()).to_owned();
    let (supervisor, handle) = Supervisor::new(run::Options {
        places: places.clone(),
        instance_id: instance_id.clone(),
        store,
        backends,
        happened,
        backend,
        environment: clean_environment(),
        log_match,
        http_port,
        seq,
    });
    let heard = handle.events();
    let task = crate::tasks::spawn_local(supervisor.run(left));
    // Commands wait for the recovery.
    let which = Selection::default();
    let recovered = handle.ask(|answer| Command::Report { which, resources: false, answer }).await?;
    tracing::info!("instance {instance_id}, services known: {}, backend {usual}", recovered.len());
    Ok(Running { handle, task, instance_id, backend: usual, heard })
}

#[cfg(test)]
mod tests {
    use tokio::task::LocalSet;

    use super::*;
    use crate::model::service::ServiceSpec;
    use crate::registry::Record;

    #[tokio::test]
    async fn records_that_cannot_be_read_are_not_none() {
        let home = tempfile::tempdir().unwrap();
        let places = Places::below(home.path());
        let spec = ServiceSpec::new("a".parse().unwrap(), vec!["x".to_owned()], "/".into());
        let record = Record { instance: Some("0123456789abcdef".to_owned()), ..Record::new(spec, places.uid) };
        Store::at(&places).save(&record, false).unwrap();
        let (records, away) = (places.registry(), home.path().join("away"));
        std::fs::rename(&records, &away).unwrap();
        std::fs::write(&records, "").unwrap();
        let start = async || LocalSet::new().run_until(super::start(&places, BackendChoice::Sim, None, 0)).await;
        let error = start().await.map(|_| ()).unwrap_err().to_string();
        let begin = "what runs is not known, and nothing is started: the records cannot be read: ";
        assert!(error.starts_with(begin), "{error}");
        std::fs::remove_file(&records).unwrap();
        std::fs::rename(&away, &records).unwrap();
        assert_eq!(start().await.unwrap().instance_id, "0123456789abcdef");
    }
}
