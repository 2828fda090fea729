//! Whose the objects are: each makes a fresh one for a cell.

use crate::rig::{Container, Process, Result, Rig};

use super::cells::Cell;
use super::look::Watched;
use super::processes::{container, of_process, session, seteuid, spawned};
use super::units;

/// One kind of owner.
pub struct Owner {
    pub name: &'static str,
    /// As whom it runs.
    pub user: &'static str,
    /// What `inspect` must call it.
    pub kind: &'static str,
    /// The means by which it is controlled where anything is allowed.
    pub means: &'static str,
    /// The same for kill, where it is another one.
    pub kill: Option<&'static str>,
    /// Its units; `NAME` stands for the cell's name.
    pub units: &'static [&'static str],
    /// provost never touches it, whoever asks.
    pub protected: bool,
    pub make: for<'r> fn(&'r Rig, &Cell) -> Result<Subject<'r>>,
}

/// An object that was made for a cell.
pub struct Subject<'r> {
    /// What provost is told.
    pub target: String,
    pub watched: Watched<'r>,
    pub(super) keep: Keep<'r>,
}

/// What lives as long as the subject.
pub enum Keep<'r> {
    Nothing,
    Process { _process: Process },
    Container { _container: Container<'r> },
}

const SYSTEM: Owner = Owner {
    name: "",
    user: "root",
    kind: "system-unit",
    means: "system-unit",
    kill: None,
    units: &["NAME.service"],
    protected: false,
    make: |rig, cell| units::running(rig, cell, ""),
};
const BARE: Owner = Owner { kind: "bare", means: "signal", units: &[], ..SYSTEM };

/// All of them.
pub const OWNERS: &[Owner] = &[
    Owner { name: "unit of ollama", user: "ollama", make: |r, c| units::running(r, c, OLLAMA), ..SYSTEM },
    Owner {
        name: "unit of ollama, by pid",
        user: "ollama",
        make: |rig, cell| units::running(rig, cell, OLLAMA)?.by_pid(),
        ..SYSTEM
    },
    Owner {
        name: "unit of ollama, by word",
        user: "ollama",
        make: |rig, cell| Ok(Subject { target: cell.name(), ..units::running(rig, cell, OLLAMA)? }),
        ..SYSTEM
    },
    Owner { name: "unit of watson", user: "watson", make: |r, c| units::running(r, c, WATSON), ..SYSTEM },
    Owner {
        name: "user unit of watson",
        user: "watson",
        kind: "user-unit",
        means: "user-unit",
        make: units::of_user,
        ..SYSTEM
    },
    Owner {
        name: "user unit of watson, by pid",
        user: "watson",
        kind: "user-unit",
        means: "user-unit",
        make: |rig, cell| units::of_user(rig, cell)?.by_pid(),
        ..SYSTEM
    },
    Owner { name: "bare of watson", user: "watson", make: |r, c| spawned(r, c, "/NAME", &["sleeper"]), ..BARE },
    Owner { name: "bare of ollama", user: "ollama", make: |r, c| spawned(r, c, "/NAME", &["sleeper"]), ..BARE },
    Owner { name: "bare of root", make: |r, c| spawned(r, c, "/NAME", &["sleeper"]), ..BARE },
    Owner { name: "in the root cgroup", user: "watson", make: |r, c| spawned(r, c, "/", &["sleeper"]), ..BARE },
    Owner {
        name: "below a slice",
        user: "watson",
        make: |r, c| spawned(r, c, "/system.slice/NAME", &["sleeper"]),
        ..BARE
    },
    Owner {
        name: "in init.scope",
        user: "watson",
        kind: "system-unit",
        make: |r, c| spawned(r, c, "/init.scope", &["sleeper"]),
        ..BARE
    },
    Owner { name: "session of watson", user: "watson", kind: "session", make: session, ..BARE },
    Owner {
        name: "container of watson",
        user: "watson",
        kind: "container",
        means: "container",
        make: container,
        ..BARE
    },
    Owner {
        name: "child in an editor's scope",
        user: "watson",
        kind: "user-unit",
        make: |rig, cell| units::editor(rig, cell)?.the_child(rig, cell),
        ..BARE
    },
    Owner {
        name: "an editor's scope",
        user: "watson",
        kind: "user-unit",
        means: "user-unit",
        // A scope has no main process.
        kill: Some("signal"),
        make: units::editor,
        ..BARE
    },
    Owner { name: "part of a unit", user: "watson", make: |rig, cell| units::with_parts(rig, cell), ..SYSTEM },
    Owner { name: "idle socket's port", units: &["NAME.socket"], make: |r, c| units::socket(r, c, false), ..SYSTEM },
    Owner {
        name: "busy socket's port",
        units: &["NAME.service", "NAME.socket"],
        make: |r, c| units::socket(r, c, true),
        ..SYSTEM
    },
    Owner {
        name: "setuid program of watson",
        user: "watson",
        make: |r, c| spawned(r, c, "/NAME", &["setuid-sleeper"]),
        ..BARE
    },
    Owner { name: "seteuid daemon", user: "watson", make: seteuid, ..BARE },
    Owner { name: "masked unit", make: units::masked, ..SYSTEM },
    Owner { name: "masked while it runs", make: units::masked_while_running, ..SYSTEM },
    Owner { name: "RefuseManualStop", make: |r, c| units::running_with(r, c, "RefuseManualStop=yes", ""), ..SYSTEM },
    Owner { name: "RefuseManualStart", make: units::refuses_start, ..SYSTEM },
    Owner { name: "inactive unit", make: units::inactive, ..SYSTEM },
    Owner { name: "failed unit", make: units::failed, ..SYSTEM },
    Owner { name: "unit that waits to restart", make: units::waiting, ..SYSTEM },
    Owner { name: "unit that starts", make: units::activating, ..SYSTEM },
    Owner { name: "delegated subgroup", user: "ollama", make: units::delegated, ..SYSTEM },
    Owner { name: "timer", units: &["NAME.timer"], make: |r, c| units::other(r, c, TIMER), ..SYSTEM },
    Owner { name: "target", units: &["NAME.target"], make: |r, c| units::other(r, c, "[Unit]\n"), ..SYSTEM },
    Owner { name: "missing unit", make: |r, c| Ok(units::subject(r, c, &c.units()[0])), ..SYSTEM },
    Owner { name: "broken unit", make: units::broken, ..SYSTEM },
    Owner { name: "template instance", units: &["NAME@a\\x2db.service"], make: units::instance, ..SYSTEM },
    Owner {
        name: "unit in a nested slice",
        make: |r, c| units::running(r, c, "Slice=truth-outer-inner.slice\n"),
        ..SYSTEM
    },
    Owner { name: "transient unit", make: units::transient, ..SYSTEM },
    Owner { name: "oneshot that remains", make: units::oneshot, ..SYSTEM },
    Owner {
        name: "the bus",
        units: &["dbus.service"],
        protected: true,
        make: |r, c| Ok(units::subject(r, c, "dbus.service")),
        ..SYSTEM
    },
    Owner {
        name: "a slice",
        units: &["system.slice"],
        protected: true,
        make: |r, c| Ok(units::subject(r, c, "system.slice")),
        ..SYSTEM
    },
    Owner {
        name: "PID 1",
        kind: "system-unit",
        protected: true,
        make: |rig, _| of_process(rig, 1, None, Keep::Nothing),
        ..BARE
    },
];

const TIMER: &str = "[Timer]\nOnActiveSec=1h\nUnit=sysinit.target\n";
const OLLAMA: &str = "User=ollama\nRestart=always\n";
const WATSON: &str = "User=watson\nRestart=on-failure\n";

/// Removes the files of a cell's units: with hundreds of them systemd takes seconds to list its unit files.
pub(super) fn remove_files(rig: &Rig, cell: &Cell) {
    for suffix in [".service", ".socket", ".timer", ".target", "@.service"] {
        let file = format!("{}{suffix}", cell.name());
        for folder in ["/etc/systemd/system", "/run/systemd/system", "/home/watson/.config/systemd/user"] {
            let _ = rig.remove(&format!("{folder}/{file}"));
        }
    }
}

/// Ends the units of these cells.
pub(super) fn remove_all(rig: &Rig, cells: &[Cell]) -> Result<()> {
    let Some(tag) = cells.first().map(|c| c.tag) else { return Ok(()) };
    // Their files are gone: after this nothing of them refuses to be stopped.
    rig.systemctl(["daemon-reload"])?;
    let globs = ["service", "socket", "timer", "target"].map(|kind| format!("{tag}-*.{kind}"));
    for verb in ["stop", "reset-failed"] {
        rig.systemctl([verb].into_iter().chain(globs.iter().map(String::as_str)))?;
    }
    rig.user_systemctl("watson", ["stop", &globs[0]]).map(drop)
}
