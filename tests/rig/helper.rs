//! The system's daemon, and with it the privileged helper: there for a while, as an installation would leave it.

use super::{Result, Rig, eventually};

/// What is put where.
const FILES: &[(&str, &str)] = &[
    (UNIT, include_str!("../../units/system/provost.service")),
    ("/etc/systemd/system/provost.slice", include_str!("../../units/system/provost.slice")),
    ("/usr/share/dbus-1/system-services/org.provost.Provost1.service", include_str!("../../units/dbus/system.service")),
    (
        "/usr/share/dbus-1/system.d/org.provost.Provost1.conf",
        include_str!("../../units/dbus/org.provost.Provost1.conf"),
    ),
    ("/usr/share/polkit-1/actions/org.provost.policy", include_str!("../../polkit/org.provost.policy")),
];

const UNIT: &str = "/etc/systemd/system/provost.service";

impl Rig {
    /// Runs `body` while the helper can be had: nobody has started it yet. For exclusive trials.
    pub fn with_helper<T>(&self, body: impl FnOnce() -> Result<T>) -> Result<T> {
        let installed = Installed(self);
        for (path, text) in FILES {
            self.write(path, text.replace("/usr/bin/provost", "/usr/local/bin/provost"), 0o644)?;
        }
        self.read_again()?;
        eventually("polkit knows the actions of provost", || {
            let known = self.as_root().run(["pkaction", "--action-id", "org.provost.signal-process"]);
            known.is_ok_and(|said| said.status.success())
        })?;
        let done = body();
        drop(installed);
        done
    }

    fn read_again(&self) -> Result<()> {
        self.systemctl(["daemon-reload"])?;
        let bus = "org.freedesktop.DBus";
        self.as_root().run(["busctl", "call", bus, "/org/freedesktop/DBus", bus, "ReloadConfig"])?.ok().map(drop)
    }
}

/// Takes it away again.
struct Installed<'r>(&'r Rig);

impl Drop for Installed<'_> {
    fn drop(&mut self) {
        let _ = self.0.systemctl(["stop", "provost.service"]);
        for (path, _) in FILES {
            let _ = self.0.remove(path);
        }
        let _ = self.0.read_again();
    }
}
