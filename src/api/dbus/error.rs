//! The names of errors over D-Bus, and what they mean on both sides.

use std::borrow::Cow;

use zbus::message::Message;

use crate::act::ActError;
use crate::error::Error;
use crate::supervise::Refusal;

/// What all names begin with.
const PREFIX: &str = "org.provost.Provost1.Error.";

/// What is said where a daemon went before it had answered, or done what it was told.
pub(crate) const ENDED: &str = "the daemon ended while it was waited for";

/// The name of a refusal.
fn name_of(refusal: &Refusal) -> String {
    let short = match refusal {
        Refusal::NoSuchService { .. } => "NoSuchService",
        Refusal::Config(_) => "Config",
        Refusal::Failed(_) => "Failed",
        Refusal::Ending => "Ending",
    };
    format!("{PREFIX}{short}")
}

/// An error that is sent in answer to a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    name: Cow<'static, str>,
    message: String,
    /// Names that are near the one that there is not.
    nearest: Option<Vec<String>>,
}

impl Fault {
    /// One of the bus's own: `InvalidArgs`, `UnknownMethod`.
    pub(super) fn standard(short: &str, message: impl Into<String>) -> Self {
        Self { name: format!("org.freedesktop.DBus.Error.{short}").into(), message: message.into(), nearest: None }
    }

    /// One of ours: `NotAuthorized`, `LimitsExceeded`.
    pub(super) fn ours(short: &str, message: impl Into<String>) -> Self {
        Self { name: format!("{PREFIX}{short}").into(), message: message.into(), nearest: None }
    }

    /// The arguments are not what they must be.
    pub(super) fn arguments(why: impl std::fmt::Display) -> Self {
        Self::standard("InvalidArgs", why.to_string())
    }

    /// As the answer to this call.
    pub(super) fn reply(&self, call: &Message) -> Option<Message> {
        let header = call.header();
        let builder = Message::error(&header, self.name.as_ref());
        let built = match &self.nearest {
            Some(nearest) => builder.build(&(&self.message, nearest)),
            None => builder.build(&(&self.message,)),
        };
        built.map_err(|error| tracing::warn!("an error cannot be sent: {error}")).ok()
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        let (name, message) = (name_of(&refusal).into(), refusal.to_string());
        let nearest = if let Refusal::NoSuchService { nearest, .. } = refusal { Some(nearest) } else { None };
        Self { name, message, nearest }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        let what = refusal.to_string();
        match refusal {
            Refusal::NoSuchService { nearest, .. } => Self::NotFound { what, nearest },
            Refusal::Config(_) => Self::Config(what),
            Refusal::Failed(_) => Self::Act(ActError::Failed(what)),
            Refusal::Ending => Self::Unreachable(what),
        }
    }
}

/// Whether the daemon did not do what it was asked to because it was ending.
pub(crate) fn is_ending(error: &zbus::Error) -> bool {
    matches!(error, zbus::Error::MethodError(name, ..) if name.as_str().strip_prefix(PREFIX) == Some("Ending"))
}

/// Whether the daemon went before it answered.
fn is_gone(error: &zbus::Error) -> bool {
    match error {
        zbus::Error::InputOutput(error) => error.kind() != std::io::ErrorKind::TimedOut,
        // What a bus says of one that has left it.
        zbus::Error::MethodError(name, Some(message), _) => {
            name.ends_with(".NoReply") && message.contains("disconnected")
        }
        _ => false,
    }
}

/// What a failed call means for the caller. `doing` is the call in words: "the daemon's list".
pub(crate) fn from_call(doing: &str, error: zbus::Error) -> Error {
    if let zbus::Error::MethodError(name, message, reply) = &error
        && let Some(short) = name.as_str().strip_prefix(PREFIX)
    {
        let what = message.clone().unwrap_or_else(|| short.to_owned());
        return match short {
            "NoSuchService" => {
                let nearest = reply.body().deserialize::<(String, Vec<String>)>().map(|b| b.1).unwrap_or_default();
                Error::NotFound { what, nearest }
            }
            "Config" => Error::Config(what),
            "Ending" => Error::Unreachable(what),
            "NotAuthorized" | "NotPermitted" | "AuthCancelled" => Error::Act(ActError::NotPermitted(what)),
            _ => Error::Act(ActError::Failed(what)),
        };
    }
    if is_gone(&error) {
        return Error::Unreachable(ENDED.to_owned());
    }
    let error = crate::systemd::CallError::from(error);
    if error.is_denied() {
        return Error::Act(ActError::NotPermitted(format!("{doing}: {error}")));
    }
    if error.needs_interaction() {
        return Error::Act(ActError::NotPermitted(error.to_string()));
    }
    match error.short_name() {
        "UnknownMethod" | "UnknownInterface" | "UnknownObject" => Error::Act(ActError::Failed(format!(
            "{doing}: the daemon is of another version ({error}); 'provost daemon restart' makes it this one"
        ))),
        _ if error.is_unreachable() => Error::Unreachable(format!("{doing}: {error}")),
        _ => Error::Act(ActError::Failed(format!("{doing}: {error}"))),
    }
}
