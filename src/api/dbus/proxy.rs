//! The manager's interface as its clients see it: this is the contract.

use std::collections::HashMap;

use zbus::OwnedVariant;

/// A service, an event, an orphan: the fields of its JSON as D-Bus values, `null` left out.
pub(crate) type Dict = HashMap<String, OwnedVariant>;

/// `org.provost.Provost1.Manager`. Ids are ids of services, ids of `instances`, or globs; none
/// means all. What takes time is told by `Event`, and ends in a state that `List` shows.
#[zbus::proxy(
    interface = "org.provost.Provost1.Manager",
    default_service = "org.provost.Provost1",
    default_path = "/org/provost/Provost1"
)]
pub(crate) trait Manager {
    /// Reads a config file and makes its services known; starts none. Answers with their ids.
    fn load(&self, config: &str, environment: HashMap<&str, &str>) -> zbus::Result<Vec<String>>;
    /// Makes services known that are in no file (`run`, `ensure`).
    fn define(&self, services: Vec<Dict>, environment: HashMap<&str, &str>) -> zbus::Result<Vec<String>>;
    /// Starts services and what they come after. Of each: whether there was anything to do.
    fn start(&self, ids: &[&str], project: &str, environment: HashMap<&str, &str>)
    -> zbus::Result<Vec<(String, bool)>>;
    /// Stops services and what comes after them.
    fn stop(&self, ids: &[&str], project: &str, force: bool) -> zbus::Result<Vec<(String, bool)>>;
    /// Stops what runs and starts it.
    fn restart(&self, ids: &[&str], project: &str) -> zbus::Result<Vec<(String, bool)>>;
    /// Has services read their configuration again.
    fn reload(&self, ids: &[&str]) -> zbus::Result<Vec<(String, bool)>>;
    /// Sends a signal to the main process (`main`) or to all.
    fn kill(&self, ids: &[&str], whom: &str, signal: i32) -> zbus::Result<Vec<(String, bool)>>;
    /// Whether services start with their project or the daemon.
    fn enable(&self, ids: &[&str], enabled: bool) -> zbus::Result<Vec<(String, bool)>>;
    /// Stops services and forgets them.
    fn remove(&self, ids: &[&str]) -> zbus::Result<Vec<(String, bool)>>;
    /// What services are doing; `resources` measures what they use.
    fn list(&self, ids: &[&str], project: &str, resources: bool) -> zbus::Result<Vec<Dict>>;
    /// Processes without a supervisor, and what looks like one; names to look for besides the mark.
    fn orphans(&self, names: &[&str]) -> zbus::Result<Vec<Dict>>;
    /// Ends orphans.
    fn clean_orphans(&self, names: &[&str], force: bool) -> zbus::Result<Dict>;
    /// Reads all config files again and applies what changed; the ids that it touched.
    fn reload_config(&self) -> zbus::Result<Vec<String>>;
    /// What happened last, the oldest first; how much of it is kept is the daemon's choice.
    fn recent_events(&self) -> zbus::Result<Vec<Dict>>;
    /// Executes the daemon's program anew; every service keeps running.
    fn reexecute(&self) -> zbus::Result<()>;
    /// Ends the daemon: services keep running (`keep`), those of the direct backend are stopped
    /// (`direct`), all are stopped (`all`), all are killed (`force`).
    fn exit(&self, services: &str) -> zbus::Result<()>;

    /// Has the control socket send `Event` to this client; a bus always carries it.
    fn subscribe(&self) -> zbus::Result<()>;

    /// Something happened to a service.
    #[zbus(signal)]
    fn event(&self, event: Dict) -> zbus::Result<()>;

    /// The version of the daemon.
    #[zbus(property(emits_changed_signal = "const"))]
    fn version(&self) -> zbus::Result<String>;
    /// The id of this instance: random, made once.
    #[zbus(property(emits_changed_signal = "const"))]
    fn instance_id(&self) -> zbus::Result<String>;
    /// The daemon's process.
    #[zbus(property(emits_changed_signal = "const"))]
    fn pid(&self) -> zbus::Result<u32>;
    /// The backend that services get unless they choose.
    #[zbus(property(emits_changed_signal = "const"))]
    fn backend(&self) -> zbus::Result<String>;
}
