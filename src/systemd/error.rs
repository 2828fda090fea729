//! What can go wrong with a call over D-Bus, sorted by what it means for the caller.

use zbus::DBusError as _;

/// A call that did not succeed.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum CallError {
    /// The other side answered with an error.
    #[error("{message}")]
    Remote {
        /// The D-Bus error name.
        name: String,
        /// Its message, as sent.
        message: String,
    },
    /// No answer within the time.
    #[error("no answer in time")]
    Timeout,
    /// The connection could not be made or broke.
    #[error("{0}")]
    Lost(String),
}

impl CallError {
    /// The last part of the D-Bus error name (`AccessDenied`), or nothing for other errors.
    pub(crate) fn short_name(&self) -> &str {
        match self {
            Self::Remote { name, .. } => name.rsplit('.').next().unwrap_or(name),
            _ => "",
        }
    }

    /// polkit or the bus said no.
    pub(crate) fn is_denied(&self) -> bool {
        matches!(self.short_name(), "AccessDenied" | "NotAuthorized")
    }

    /// A password would have been asked for.
    pub(crate) fn needs_interaction(&self) -> bool {
        self.short_name() == "InteractiveAuthorizationRequired"
    }

    /// Nobody answered: the service or its bus is away, or too slow.
    pub(crate) fn is_unreachable(&self) -> bool {
        matches!(self, Self::Timeout | Self::Lost(_))
            || matches!(self.short_name(), "ServiceUnknown" | "NameHasNoOwner" | "NoReply" | "Timeout" | "Disconnected")
    }
}

impl From<zbus::Error> for CallError {
    fn from(error: zbus::Error) -> Self {
        match error {
            zbus::Error::MethodError(name, message, _) => {
                Self::Remote { name: name.to_string(), message: message.unwrap_or_else(|| name.to_string()) }
            }
            zbus::Error::FDO(error) => Self::from(*error),
            zbus::Error::InputOutput(error) if error.kind() == std::io::ErrorKind::TimedOut => Self::Timeout,
            other => Self::Lost(other.to_string()),
        }
    }
}

impl From<zbus::fdo::Error> for CallError {
    fn from(error: zbus::fdo::Error) -> Self {
        match error {
            zbus::fdo::Error::ZBus(error) => Self::from(error),
            error => {
                let name = error.name().to_string();
                let message = error.description().map_or_else(|| name.clone(), ToOwned::to_owned);
                Self::Remote { name, message }
            }
        }
    }
}
