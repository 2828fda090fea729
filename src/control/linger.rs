//! Whether a user's services outlive their login, and how to have them do so.

use std::path::Path;

use crate::error::Error;

/// What logind does with the user manager when its user logs out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Linger {
    /// It keeps running.
    On,
    /// It ends, and with it every service.
    Off,
    /// There is no logind, or there is no need for it: root.
    Unneeded,
}

impl Linger {
    /// As it is for this user.
    pub(crate) fn of(uid: u32) -> Self {
        if uid == 0 || !Path::new("/run/systemd/users").exists() {
            return Self::Unneeded;
        }
        let enabled = Path::new("/var/lib/systemd/linger").join(crate::observe::user_name(uid)).exists();
        if enabled { Self::On } else { Self::Off }
    }

    /// What the user should know.
    pub(crate) fn warning(self) -> Option<&'static str> {
        let text = "services stop when you log out: 'loginctl enable-linger' (or --linger) has them go on";
        (self == Self::Off).then_some(text)
    }

    /// Has logind keep the user manager running. polkit may refuse.
    pub(crate) async fn enable(uid: u32) -> Result<(), Error> {
        if Self::of(uid) != Self::Off {
            return Ok(());
        }
        let unreachable = |e: &dyn std::fmt::Display| Error::Unreachable(format!("logind: {e}"));
        let bus = crate::systemd::connect_system().await.map_err(|e| unreachable(&e))?;
        let reply = bus
            .call_method(
                Some("org.freedesktop.login1"),
                "/org/freedesktop/login1",
                Some("org.freedesktop.login1.Manager"),
                "SetUserLinger",
                &(uid, true, false),
            )
            .await;
        match reply.map_err(crate::systemd::CallError::from) {
            Ok(_) => Ok(()),
            Err(error) if error.is_denied() || error.needs_interaction() => {
                let why = format!(
                    "lingering needs a permission that you lack ({error}); root may 'loginctl enable-linger {}'",
                    crate::observe::user_name(uid)
                );
                Err(Error::Act(crate::act::ActError::NotPermitted(why)))
            }
            Err(error) => Err(unreachable(&error)),
        }
    }
}
