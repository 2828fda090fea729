//! Whether a caller may do what it asks for: the table of [`access`](super::super::access) and
//! polkit. Everything that a call may touch is known before polkit is asked, and nothing else is
//! touched afterwards.

use zbus::message::Message;
use zbus::names::UniqueName;
use zbus::wire::Structure;

use super::super::access::{self, Access, SERVICE};
use super::super::error::Fault;
use super::super::path::Object;
use super::super::serve::Api;
use super::Caller;
use super::logs::Streams;
use crate::model::ServiceId;
use crate::polkit::{Answer, Authority};
use crate::supervise::{Command, Selection, Touch};
use crate::systemd::CallError;

/// For starting, stopping and the like of a service.
pub(super) const MANAGE: &str = "org.provost.manage-services";

/// Who calls, and who says what they may do.
#[derive(Debug, Clone)]
pub(crate) struct Asking {
    /// The client.
    pub(crate) caller: Caller,
    /// polkit.
    pub(crate) authority: Authority,
    /// Whether it may be asked for a password.
    pub(crate) interactive: bool,
    /// The logs that are being read.
    pub(crate) streams: Streams,
    /// Closed when the client leaves the bus.
    pub(crate) client: tokio::sync::watch::Receiver<()>,
}

/// What a call may touch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Permit {
    /// All that it names: the owner calls, or the method touches no services by their names.
    Everything,
    /// These services, however they were named, and on their account some others.
    Only(Ids, Vec<ServiceId>),
    /// None: it names what is not there, and polkit was asked nothing.
    Nothing,
}

/// Ids, at least one: a selection that names none would mean all services.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ids(Vec<ServiceId>);

impl Permit {
    fn only(ids: Vec<ServiceId>, others: Vec<ServiceId>) -> Self {
        if ids.is_empty() { Self::Nothing } else { Self::Only(Ids(ids), others) }
    }

    /// What is meant, as far as it may be touched.
    ///
    /// # Errors
    /// That is nothing.
    pub(crate) fn narrow(&self, which: Selection) -> Result<Selection, Fault> {
        match self {
            Self::Everything => Ok(which),
            Self::Only(ids, _) => Ok(ids.selection()),
            Self::Nothing => Err(none()),
        }
    }

    /// The command, which touches nothing that polkit was not asked about.
    pub(crate) fn bound(&self, command: Command) -> Command {
        let allowed = match self {
            Self::Everything => return command,
            Self::Only(ids, others) => ids.0.iter().chain(others).cloned().collect(),
            Self::Nothing => Vec::new(),
        };
        Command::Bounded { allowed, command: Box::new(command) }
    }
}

impl Ids {
    /// Just these.
    pub(crate) fn selection(&self) -> Selection {
        Selection { ids: self.0.clone(), project: None }
    }
}

fn none() -> Fault {
    Fault::ours("NoSuchService", "there is no such service")
}

impl Asking {
    /// Whether this call may be made, and what it may touch then.
    pub(crate) async fn permit(
        &self,
        api: &Api,
        object: &Object,
        interface: &str,
        method: &str,
        call: &Message,
    ) -> Result<Permit, Fault> {
        let Some(access) = access::of(interface, method) else {
            let method = crate::text::clip(method);
            return Err(Fault::standard("UnknownMethod", format!("there is no method '{method}'")));
        };
        let by_name = matches!(access, Access::Services(_) | Access::Logs);
        if matches!(access, Access::Open | Access::Itself) || self.caller.is_root() && access != Access::Logs {
            return Ok(Permit::Everything);
        }
        match access {
            Access::Configure(verb) => {
                let what = named(object, call).unwrap_or_default();
                self.may("org.provost.configure", &[("id", what), ("verb", verb.to_owned())], configures(verb)).await?;
            }
            Access::CleanOrphans => {
                let what = shown_whole(call)?;
                self.may("org.provost.clean-orphans", &[("id", what)], "end processes").await?;
            }
            _ => {}
        }
        if !by_name {
            return Ok(Permit::Everything);
        }
        let ids = meant(api, object, interface, call, access == Access::Services("start")).await?;
        if ids.is_empty() && access != Access::Logs {
            return Err(none());
        }
        let sent = match access {
            Access::Services("kill") => sent(interface, call)?,
            _ => Vec::new(),
        };
        for id in &ids {
            let of = || ("id", id.to_string());
            match access {
                Access::Services(verb) => {
                    let mut details = vec![of(), ("verb", verb.to_owned())];
                    details.extend_from_slice(&sent);
                    self.may(MANAGE, &details, &format!("{verb} {id}")).await?;
                }
                _ => self.may("org.provost.read-logs", &[of()], &format!("read the log of {id}")).await?,
            }
        }
        let touch = match access {
            Access::Services(verb) => Touch::of(verb),
            _ => None,
        };
        let others = match touch {
            Some(what) => self.may_others(api, &ids, what).await?,
            None => Vec::new(),
        };
        Ok(Permit::only(ids, others))
    }

    /// The others that are touched on account of these, each of which polkit is asked about as well:
    /// those that they come after are started, those that come after them are stopped.
    async fn may_others(&self, api: &Api, ids: &[ServiceId], what: Touch) -> Result<Vec<ServiceId>, Fault> {
        let mut allowed: Vec<ServiceId> = Vec::new();
        for (id, what) in others(api, ids, what).await? {
            let names: Vec<&str> = ids.iter().map(ServiceId::as_str).collect();
            let on = crate::text::clip(&names.join(" "));
            let because = match what {
                Touch::Stop => format!("{} {id}, which comes after {on} and would stop with it", what.verb()),
                _ => format!("{} {id}, after which {on} comes", what.verb()),
            };
            let details = [("id", id.to_string()), ("verb", what.verb().to_owned())];
            self.may(MANAGE, &details, &because).await?;
            allowed.push(id);
        }
        Ok(allowed)
    }

    /// What polkit says of a verb for a service, without a prompt.
    pub(crate) async fn verdict(&self, action: &str, details: &[(&str, String)]) -> Result<Answer, CallError> {
        let name = UniqueName::try_from(self.caller.name.as_str()).map_err(CallError::from)?;
        match self.caller.is_root() {
            true => Ok(Answer::Allowed),
            false => self.authority.check(&name, action, details, false).await,
        }
    }

    /// Whether polkit lets the caller do this, with a password if one may be asked for. `what`: in
    /// words, after "you may not".
    ///
    /// # Errors
    /// It does not, or nobody says so, which is the same.
    pub(crate) async fn may(&self, action: &str, details: &[(&str, String)], what: &str) -> Result<(), Fault> {
        if self.caller.is_root() {
            return Ok(());
        }
        let name = UniqueName::try_from(self.caller.name.as_str()).map_err(Fault::arguments)?;
        let answer = self.authority.check(&name, action, details, self.interactive).await;
        match answer {
            Ok(Answer::Allowed) => {
                tracing::info!("uid {} may {what} ({action})", self.caller.uid);
                Ok(())
            }
            Ok(Answer::NeedsPassword) => {
                let asked = match self.interactive {
                    true => "nobody was there who could have been asked for it",
                    false => "nobody may be asked for it here",
                };
                let why = format!("a password is needed to {what} ({action}), and {asked}");
                Err(Fault::standard("InteractiveAuthorizationRequired", why))
            }
            Ok(Answer::Denied) => {
                tracing::info!("uid {} may not {what} ({action})", self.caller.uid);
                Err(Fault::ours("NotAuthorized", format!("you may not {what}: polkit denies it ({action})")))
            }
            Err(error) if error.short_name() == "LimitsExceeded" => {
                Err(Fault::ours("LimitsExceeded", error.to_string()))
            }
            Err(error) => {
                tracing::warn!("uid {} asked to {what}, and polkit did not answer: {error}", self.caller.uid);
                let why =
                    format!("you may not {what}: polkit, which would have to allow it, does not answer ({error})");
                Err(Fault::ours("NotAuthorized", why))
            }
        }
    }
}

/// What is done, in words after "you may not".
fn configures(verb: &'static str) -> &'static str {
    match verb {
        "load" => "load a config",
        "define" => "define a service",
        "enable" => "enable or disable a service",
        "remove" => "remove a service",
        "reload" => "have the configs read again",
        "reexecute" => "restart the daemon",
        "exit" => "end the daemon",
        verb => verb,
    }
}

/// What would be touched besides these.
pub(super) async fn others(api: &Api, ids: &[ServiceId], what: Touch) -> Result<Vec<(ServiceId, Touch)>, Fault> {
    let Some(which) = Some(ids.to_vec()).filter(|ids| !ids.is_empty()) else { return Ok(Vec::new()) };
    let which = Selection { ids: which, project: None };
    let mut reached = api.handle.ask(|answer| Command::Reach { which, what, answer }).await?;
    reached.retain(|(id, _)| !ids.contains(id));
    Ok(reached)
}

/// What a call names, in words for a person.
fn named(object: &Object, call: &Message) -> Option<String> {
    if let Object::Service(id) = object {
        return Some(id.to_string());
    }
    let first = first(call)?;
    let words = match &first {
        zbus::Variant::Str(text) => text.as_str().to_owned(),
        zbus::Variant::Array(_) => texts(&first)?.join(" "),
        _ => return None,
    };
    Some(crate::text::clip(&words))
}

/// The names of a call that ends processes; all of them can be seen in a prompt.
fn shown_whole(call: &Message) -> Result<String, Fault> {
    let names = first(call).as_ref().and_then(texts).ok_or_else(|| Fault::arguments("the names come first"))?;
    let words = super::super::manager::names(names)?.join(" ");
    match words.as_str() {
        "" => Ok("*".to_owned()),
        _ if crate::text::clip(&words) == words => Ok(words),
        _ => Err(Fault::arguments("these names are too long for a prompt: name fewer at once")),
    }
}

/// What a call sends to services, and to which of their processes.
///
/// # Errors
/// It is a signal that nobody but root sends to services of the system.
fn sent(interface: &str, call: &Message) -> Result<Vec<(&'static str, String)>, Fault> {
    let at = if interface == SERVICE { 0 } else { 1 };
    match (argument(call, at), argument(call, at + 1)) {
        (Some(zbus::Variant::Str(whom)), Some(zbus::Variant::I32(number))) => {
            let signal = crate::helper::allowed_signal(number).map_err(Fault::from)?;
            let whom = super::super::manager::whom(whom.as_str())?;
            Ok(vec![("signal", signal.to_string()), ("whom", whom.as_str().to_owned())])
        }
        _ => Err(Fault::arguments("whom, and a signal")),
    }
}

/// The services that a call is about, each by its own id.
async fn meant(
    api: &Api,
    object: &Object,
    interface: &str,
    call: &Message,
    start: bool,
) -> Result<Vec<ServiceId>, Fault> {
    if let (Object::Service(id), true) = (object, interface == SERVICE) {
        return Ok(vec![id.clone()]);
    }
    let wrong = || Fault::arguments("the ids come first");
    let names = first(call).as_ref().and_then(texts).ok_or_else(wrong)?;
    let ids = names.iter().map(|id| id.parse().map_err(Fault::arguments)).collect::<Result<Vec<ServiceId>, Fault>>()?;
    let project = second(call).filter(|text| text.starts_with('/')).map(Into::into);
    let all = ids.is_empty();
    let which = Selection { ids, project };
    let mut found = api.handle.ask(|answer| Command::Report { which, resources: false, answer }).await?;
    // Of a whole project those that are enabled are started.
    found.retain(|report| !(all && start) || report.enabled);
    Ok(found.into_iter().map(|report| report.id).collect())
}

fn argument(call: &Message, at: usize) -> Option<zbus::Variant<'static>> {
    let body = call.body();
    let all: Structure<'_> = body.deserialize().ok()?;
    let field = all.fields().get(at)?.try_clone().ok()?;
    field.try_into_owned().ok().map(Into::into)
}

fn first(call: &Message) -> Option<zbus::Variant<'static>> {
    argument(call, 0)
}

fn second(call: &Message) -> Option<String> {
    match argument(call, 1)? {
        zbus::Variant::Str(text) => Some(text.as_str().to_owned()),
        _ => None,
    }
}

fn texts(value: &zbus::Variant<'_>) -> Option<Vec<String>> {
    let zbus::Variant::Array(all) = value else { return None };
    let text = |one: &zbus::Variant<'_>| match one {
        zbus::Variant::Str(text) => Some(text.as_str().to_owned()),
        _ => None,
    };
    all.inner().iter().map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn built<B: serde::Serialize + zbus::DynamicType>(body: &B) -> Message {
        Message::method_call("/x", "M").build(body).unwrap()
    }

    #[test]
    fn nothing_is_never_everything() {
        let all = Selection::default;
        assert!(Permit::only(Vec::new(), Vec::new()).narrow(all()).is_err());
        let one: ServiceId = "a".parse().unwrap();
        assert_eq!(Permit::only(vec![one.clone()], Vec::new()).narrow(all()).unwrap().ids, [one]);
    }

    #[test]
    fn polkit_is_told_what_is_sent_and_ended() {
        let ids = ["a"].as_slice();
        let told = [("signal", "SIGTERM".to_owned()), ("whom", "all".to_owned())];
        assert_eq!(sent(super::super::super::access::MANAGER, &built(&(ids, "all", 15))).unwrap(), told);
        assert_eq!(sent(SERVICE, &built(&("all", 15))).unwrap(), told);
        for wrong in [built(&("all", 11)), built(&("all", 64)), built(&("some", 15)), built(&("all",))] {
            assert!(sent(SERVICE, &wrong).is_err());
        }
        assert_eq!(shown_whole(&built(&(["b", "c"].as_slice(), true))).unwrap(), "b c");
        assert!(shown_whole(&built(&(["long".repeat(20).as_str()].as_slice(), true))).is_err());
    }

    #[test]
    fn the_first_arguments_are_read_whatever_follows() {
        let ids = ["a", "b"].as_slice();
        let environment: BTreeMap<String, String> = BTreeMap::from([("A".to_owned(), "b".to_owned())]);
        for call in [
            built(&(ids,)),
            built(&ids),
            built(&(ids, "/p")),
            built(&(ids, "/p", false)),
            built(&(ids, "main", 9)),
            built(&(ids, "", &environment)),
        ] {
            assert_eq!(first(&call).as_ref().and_then(texts).unwrap(), ["a", "b"]);
        }
        assert_eq!(second(&built(&(ids, "/p", false))).as_deref(), Some("/p"));
        assert_eq!(second(&built(&ids)), None);
        let load = built(&("/etc/x.toml", &environment));
        assert_eq!(named(&Object::Manager, &load).as_deref(), Some("/etc/x.toml"));
        for call in [built(&()), built(&7u32), built(&(7u32, ids))] {
            assert!(first(&call).as_ref().and_then(texts).is_none());
        }
    }
}
