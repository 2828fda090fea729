//! What the host has: systemd, its buses, polkit.

use serde::{Deserialize, Serialize};

/// Whether something can be reached, and if not, why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reach {
    /// It answered.
    Yes,
    /// It was not needed and not asked.
    NotAsked,
    /// It cannot be reached: the reason, ready for a person.
    No(String),
}

impl Reach {
    pub(crate) fn not_asked() -> Self {
        Self::NotAsked
    }

    fn was_not_asked(&self) -> bool {
        *self == Self::NotAsked
    }
}

/// What is known of polkit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Polkit {
    /// Its version, as "122" or "0.105".
    Version(String),
    /// It answered through systemd, and nothing points to a version so old that it knows no rules.
    WithRules,
    /// It is not there: systemd then allows root only.
    Absent,
    /// It was not asked.
    NotAsked,
}

impl Polkit {
    /// Whether it reads JavaScript rules, which came with 0.106. `None` if the version is unknown.
    pub fn has_rules(&self) -> Option<bool> {
        let Self::Version(version) = self else { return (*self == Self::WithRules).then_some(true) };
        let mut parts = version.split('.').map(|p| p.parse::<u32>().ok());
        match (parts.next()??, parts.next().flatten()) {
            (0, Some(minor)) => Some(minor >= 106),
            (0, None) => None,
            _ => Some(true),
        }
    }
}

/// The host, as far as decisions depend on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// /proc/sys/kernel/random/boot_id, as PID 1 sees it.
    pub boot_id: String,
    /// The comm of PID 1.
    pub init: String,
    /// The version of systemd where it is PID 1 and answers, as "252.39-1".
    pub systemd: Option<String>,
    /// The system bus.
    pub system_bus: Reach,
    /// The caller's user manager.
    pub user_manager: Reach,
    /// polkit.
    pub polkit: Polkit,
    /// The group whose members are administrators by the distribution's default rule
    /// (`sudo`, `wheel`), where /etc/group has it.
    pub admin_group: Option<String>,
    /// `pkttyagent` is in the PATH.
    pub pkttyagent: bool,
    /// The privileged helper, on the system bus: it is asked only where the caller's own rights do
    /// not suffice.
    #[serde(default = "Reach::not_asked", skip_serializing_if = "Reach::was_not_asked")]
    pub helper: Reach,
}

impl Host {
    /// Whether PID 1 is systemd.
    pub fn has_systemd(&self) -> bool {
        self.init == "systemd"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_came_with_0_106() {
        let has = |v: &str| Polkit::Version(v.to_owned()).has_rules();
        assert_eq!(has("0.105"), Some(false));
        assert_eq!(has("0.106"), Some(true));
        assert_eq!(has("122"), Some(true));
        assert_eq!(Polkit::Absent.has_rules(), None);
    }
}
