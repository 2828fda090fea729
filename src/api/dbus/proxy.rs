//! The manager's interface as its clients read it. What changes something is called in
//! [`crate::control`], which may have to ask for a password; all of it is in
//! `xml/org.provost.Provost1.Manager.xml`: that is the contract.

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
    /// What services are doing; `resources` measures what they use.
    fn list(&self, ids: &[&str], project: &str, resources: bool) -> zbus::Result<Vec<Dict>>;
    /// Of services and verbs (`start`, `stop`, `restart`, `reload`, `kill`): id, verb, and whether
    /// whoever asks may: `allowed`, `needs-password`, `denied`.
    fn explain(&self, ids: &[&str], verbs: &[&str]) -> zbus::Result<Vec<(String, String, String)>>;
    /// Processes without a supervisor, and what looks like one; names to look for besides the mark.
    fn orphans(&self, names: &[&str]) -> zbus::Result<Vec<Dict>>;
    /// What happened last, the oldest first; how much of it is kept is the daemon's choice.
    fn recent_events(&self) -> zbus::Result<Vec<Dict>>;
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
    /// What is wrong with config files that are not applied.
    #[zbus(property(emits_changed_signal = "false"))]
    fn config_errors(&self) -> zbus::Result<Vec<String>>;
    /// Whether it is part of an `up` in the foreground, and ends with that.
    #[zbus(property(emits_changed_signal = "const"))]
    fn foreground(&self) -> zbus::Result<bool>;
    /// How many orphans run of those that the last search has found: the daemon looks when it starts.
    #[zbus(property(emits_changed_signal = "false"), name = "Orphans")]
    fn known_orphans(&self) -> zbus::Result<u32>;
    /// The run in which events have their numbers: a daemon that executes its program anew goes on with it.
    #[zbus(property(emits_changed_signal = "const"))]
    fn run(&self) -> zbus::Result<String>;
}
