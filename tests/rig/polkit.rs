//! polkit rules of the rig, and a rig without polkit.

use super::{Result, Rig, eventually};

/// Where polkitd is told from which program it is started on demand.
const ACTIVATION: &str = "/usr/share/dbus-1/system-services/org.freedesktop.PolicyKit1.service";

/// A rule that is in force until this is dropped.
pub struct PolkitRule<'r> {
    rig: &'r Rig,
    path: String,
}

impl Rig {
    /// Puts a rules file in force: `js` is the body of `polkit.addRule(function(action, subject) { … })`.
    ///
    /// Returns once polkitd has loaded it.
    pub fn polkit_rule(&self, name: &str, js: &str) -> Result<PolkitRule<'_>> {
        // A second rule answers for a program of that name, so that it can be seen when the file is loaded.
        let text = format!(
            "polkit.addRule(function(action, subject) {{ {js} }});\n\
             polkit.addRule(function(action, subject) {{\n\
             if (action.id == \"org.freedesktop.policykit.exec\" && action.lookup(\"program\") == \"/rig/{name}\")\n\
             return polkit.Result.YES; }});\n"
        );
        let path = format!("/etc/polkit-1/rules.d/10-{name}.rules");
        self.write(&path, text, 0o644)?;
        let rule = PolkitRule { rig: self, path };
        eventually(&format!("polkitd loads the rule {name}"), || self.rule_is_loaded(name).unwrap_or(false))?;
        Ok(rule)
    }

    /// A rule YES for this user, these verbs of this unit.
    pub fn allow(&self, user: &str, unit: &str, verbs: &[&str]) -> Result<PolkitRule<'_>> {
        self.answer("YES", user, unit, verbs)
    }

    /// A rule NO for this user, these verbs of this unit.
    pub fn deny(&self, user: &str, unit: &str, verbs: &[&str]) -> Result<PolkitRule<'_>> {
        self.answer("NO", user, unit, verbs)
    }

    fn answer(&self, answer: &str, user: &str, unit: &str, verbs: &[&str]) -> Result<PolkitRule<'_>> {
        let name = format!("{answer}-{user}-{}-{}", unit.replace(['@', ':', '\\', '.'], "-"), verbs.join("-"));
        let js = format!(
            "if (action.id == \"org.freedesktop.systemd1.manage-units\" && subject.user == {user:?} && \
             action.lookup(\"unit\") == {unit:?} && {verbs:?}.indexOf(action.lookup(\"verb\")) >= 0) \
             return polkit.Result.{answer};"
        );
        self.polkit_rule(&name, &js)
    }

    /// Runs `body` while polkit is not installed: neither running nor startable. For exclusive trials.
    pub fn without_polkit<T>(&self, body: impl FnOnce() -> Result<T>) -> Result<T> {
        let away = format!("{ACTIVATION}.away");
        let _restore = Restore(|| {
            let _ = self.rename(&away, ACTIVATION);
            let _ = self.reload_bus();
            let _ = self.systemctl(["start", "polkit"]);
        });
        self.systemctl(["stop", "polkit"])?;
        self.rename(ACTIVATION, &away)?;
        self.reload_bus()?;
        body()
    }

    /// Runs `body` while polkit is stopped and masked. For exclusive trials.
    pub fn with_polkit_masked<T>(&self, body: impl FnOnce() -> Result<T>) -> Result<T> {
        let _restore = Restore(|| {
            let _ = self.systemctl(["unmask", "--runtime", "polkit"]);
            let _ = self.systemctl(["start", "polkit"]);
        });
        self.systemctl(["mask", "--runtime", "--now", "polkit"])?;
        body()
    }

    fn reload_bus(&self) -> Result<()> {
        let bus = "org.freedesktop.DBus";
        self.as_root().run(["busctl", "call", bus, "/org/freedesktop/DBus", bus, "ReloadConfig"])?.ok().map(drop)
    }

    /// Asks about a process that is not root's (root may do everything): the bus itself.
    fn rule_is_loaded(&self, name: &str) -> Result<bool> {
        let subject = self.main_pid("dbus.service")?.to_string();
        let program = format!("/rig/{name}");
        let action = "org.freedesktop.policykit.exec";
        let asked = ["pkcheck", "--action-id", action, "--process", &subject, "--detail", "program", &program];
        Ok(self.as_root().run(asked)?.status.success())
    }
}

impl Drop for PolkitRule<'_> {
    fn drop(&mut self) {
        let _ = self.rig.remove(&self.path);
    }
}

/// Does something at the end, however the end comes.
struct Restore<F: FnMut()>(F);

impl<F: FnMut()> Drop for Restore<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}
