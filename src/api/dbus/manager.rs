//! The methods of `org.provost.Provost1.Manager`: arguments in, commands to the supervisor, answers
//! out. Holds no policy.

use std::collections::BTreeMap;
use std::path::PathBuf;

use zbus::Variant;
use zbus::message::Message;

use super::Dict;
use super::dict::{from_dict, to_dict};
use super::error::Fault;
use super::restarts::restart;
use super::serve::{Api, Request};
use super::system::{Asking, Permit, explain, logs, shown, shown_orphans};
use crate::model::service::ServiceSpec;
use crate::model::{ServiceId, Signal, Whom};
use crate::supervise::changes::Occasion;
use crate::supervise::{Command, OrphanQuery, Selection, Stop};

/// Names of processes in one search for orphans, and the longest of them, in bytes.
const NAMES: usize = 16;
const NAME: usize = 255;

type Environment = BTreeMap<String, String>;
type Answer = Result<Message, Fault>;

/// Answers one call.
///
/// `arrived`: its number among all calls; `asking`: who calls over the system bus; what polkit was
/// asked about already is the `permit`.
pub(super) async fn call(
    api: &Api,
    (arrived, asking): (u64, Option<&Asking>),
    permit: &Permit,
    method: &str,
    call: &Message,
) -> Answer {
    let handle = &api.handle;
    let which = |ids: &[String], project: &str| permit.narrow(selection(ids, project)?);
    // What somebody else has set must not steer what runs as root.
    let sent = |environment: Environment| match asking {
        Some(asking) if !asking.caller.is_root() => Environment::new(),
        _ => environment,
    };
    match method {
        "Load" => {
            let (config, environment): (String, Environment) = arguments(call)?;
            let (config, environment) = (absolute(&config)?, sent(environment));
            ids(
                call,
                handle.ask(|answer| Command::Load { config, environment, occasion: Occasion::Asked, answer }).await?,
            )
        }
        "Define" => {
            let (services, environment): (Vec<Dict>, Environment) = arguments(call)?;
            let specs = services.iter().map(spec).collect::<Result<Vec<_>, _>>()?;
            let environment = sent(environment);
            ids(call, handle.ask(|answer| Command::Define { specs, environment, answer }).await?)
        }
        "Start" => {
            let (ids, project, environment): (Vec<String>, String, Environment) = arguments(call)?;
            let (which, environment) = (which(&ids, &project)?, sent(environment));
            touched(call, handle.ask(|answer| permit.bound(Command::Start { which, environment, answer })).await?)
        }
        "Stop" => {
            let (ids, project, force): (Vec<String>, String, bool) = arguments(call)?;
            let which = which(&ids, &project)?;
            touched(call, handle.ask(|answer| permit.bound(Command::Stop { which, force, answer })).await?)
        }
        "Restart" => {
            let (ids, project): (Vec<String>, String) = arguments(call)?;
            let which = which(&ids, &project)?;
            touched(call, restart(api, arrived, permit, which).await?)
        }
        "Reload" => {
            let which = which(&arguments::<Vec<String>>(call)?, "")?;
            touched(call, handle.ask(|answer| Command::Reload { which, answer }).await?)
        }
        "Kill" => {
            let (ids, whom, number): (Vec<String>, String, i32) = arguments(call)?;
            let (which, whom, signal) = (which(&ids, "")?, self::whom(&whom)?, self::signal(number)?);
            touched(call, handle.ask(|answer| Command::Kill { which, signal, whom, answer }).await?)
        }
        "Enable" => {
            let (ids, enabled): (Vec<String>, bool) = arguments(call)?;
            let which = selection(&ids, "")?;
            touched(call, handle.ask(|answer| Command::Enable { which, enabled, answer }).await?)
        }
        "Remove" => {
            let which = selection(&arguments::<Vec<String>>(call)?, "")?;
            touched(call, handle.ask(|answer| Command::Remove { which, answer }).await?)
        }
        "List" => {
            let (ids, project, resources): (Vec<String>, String, bool) = arguments(call)?;
            let which = selection(&ids, &project)?;
            let all = handle.ask(|answer| Command::Report { which, resources, answer }).await?;
            let all = all.into_iter().map(|report| to_dict(&shown(asking, report)));
            reply(call, &all.collect::<Vec<Dict>>())
        }
        "Explain" => {
            let (ids, verbs): (Vec<String>, Vec<String>) = arguments(call)?;
            reply(call, &explain(api, asking, selection(&ids, "")?, &verbs).await?)
        }
        "Logs" => logs(api, asking, permit, call).await,
        "Orphans" => {
            let query = OrphanQuery { names: names(arguments(call)?)? };
            let all = handle.ask(|answer| Command::Orphans { query, answer }).await?;
            reply(call, &shown_orphans(asking, all).iter().map(to_dict).collect::<Vec<Dict>>())
        }
        "CleanOrphans" => {
            let (names, force): (Vec<String>, bool) = arguments(call)?;
            let query = OrphanQuery { names: self::names(names)? };
            let cleaned = handle.ask(|answer| Command::CleanOrphans { query, force, answer }).await?;
            reply(call, &to_dict(&cleaned))
        }
        "ReloadConfig" => ids(call, handle.ask(|answer| Command::ReloadConfig { answer }).await?),
        "RecentEvents" => reply(call, &api.recent.all().iter().map(to_dict).collect::<Vec<Dict>>()),
        "Reexecute" => {
            crate::daemon::try_out().await?;
            api.request(Request::Reexecute)?;
            reply(call, &())
        }
        "Exit" => {
            let word: String = arguments(call)?;
            let stop = Stop::from_word(&word);
            let stop = stop.ok_or_else(|| Fault::arguments("the services: keep, direct, all or force"))?;
            api.request(Request::Exit(stop))?;
            reply(call, &())
        }
        // On a bus everybody who wants signals has them.
        "Subscribe" => reply(call, &()),
        other => {
            Err(Fault::standard("UnknownMethod", format!("the manager has no method '{}'", crate::text::clip(other))))
        }
    }
}

/// One property; `None` if there is none of that name.
pub(super) fn property(api: &Api, name: &str) -> Option<Variant<'static>> {
    Some(match name {
        "Version" => Variant::from(env!("CARGO_PKG_VERSION")),
        "InstanceId" => Variant::from(api.instance_id.clone()),
        "Pid" => Variant::from(std::process::id()),
        "Backend" => Variant::from(api.backend.clone()),
        "ConfigErrors" => Variant::from(api.handle.config_errors()),
        "Foreground" => Variant::from(api.foreground),
        "Orphans" => {
            let running = crate::registry::orphans::running(&api.handle.shared().orphans());
            Variant::from(u32::try_from(running).unwrap_or(u32::MAX))
        }
        "Run" => Variant::from(api.recent.run().to_owned()),
        _ => return None,
    })
}

/// The names of all properties.
pub(super) const PROPERTIES: [&str; 8] =
    ["Version", "InstanceId", "Pid", "Backend", "ConfigErrors", "Foreground", "Orphans", "Run"];

/// The arguments of a call.
pub(super) fn arguments<T>(call: &Message) -> Result<T, Fault>
where
    T: for<'d> zbus::wire::DynamicDeserialize<'d>,
{
    call.body().deserialize().map_err(Fault::arguments)
}

/// The answer to a call.
pub(super) fn reply<B: serde::Serialize + zbus::DynamicType>(call: &Message, body: &B) -> Answer {
    let built = Message::method_return(&call.header()).build(body);
    built.map_err(|error| Fault::standard("Failed", format!("the answer cannot be sent: {error}")))
}

fn ids(call: &Message, ids: Vec<ServiceId>) -> Answer {
    reply(call, &ids.into_iter().map(String::from).collect::<Vec<String>>())
}

fn touched(call: &Message, touched: Vec<(ServiceId, bool)>) -> Answer {
    reply(call, &touched.into_iter().map(|(id, did)| (String::from(id), did)).collect::<Vec<(String, bool)>>())
}

fn selection(ids: &[String], project: &str) -> Result<Selection, Fault> {
    let ids = ids.iter().map(|id| id.parse().map_err(Fault::arguments)).collect::<Result<Vec<ServiceId>, Fault>>()?;
    let project = if project.is_empty() { None } else { Some(absolute(project)?) };
    Ok(Selection { ids, project })
}

/// Names of processes: what is looked for, and what a prompt can show.
pub(super) fn names(names: Vec<String>) -> Result<Vec<String>, Fault> {
    let fits = |name: &String| !name.is_empty() && name.len() <= NAME && !name.contains(|c: char| c.is_control());
    match names.len() <= NAMES && names.iter().all(fits) {
        true => Ok(names),
        false => Err(Fault::arguments(format!("at most {NAMES} names, each of 1 to {NAME} bytes and of one line"))),
    }
}

fn absolute(path: &str) -> Result<PathBuf, Fault> {
    let wrong = || Fault::arguments(format!("'{}' is no absolute path", crate::text::clip(path)));
    Some(PathBuf::from(path)).filter(|p| p.is_absolute()).ok_or_else(wrong)
}

fn spec(dict: &Dict) -> Result<ServiceSpec, Fault> {
    let spec: ServiceSpec = from_dict(dict).map_err(Fault::arguments)?;
    if spec.id.is_glob() {
        return Err(Fault::arguments(format!("'{}' is a pattern, and no id", spec.id.as_str())));
    }
    if !spec.cwd.is_absolute() {
        return Err(Fault::arguments(format!("the folder of {} is not absolute", spec.id.as_str())));
    }
    Ok(spec)
}

/// Whom a signal is for.
pub(super) fn whom(word: &str) -> Result<Whom, Fault> {
    let found = [Whom::Main, Whom::All].into_iter().find(|whom| whom.as_str() == word);
    found.ok_or_else(|| Fault::arguments("whom: main or all"))
}

/// A signal by its number.
pub(super) fn signal(number: i32) -> Result<Signal, Fault> {
    Signal::from_number(number).ok_or_else(|| Fault::arguments(format!("there is no signal {number}")))
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_search_has_few_names_and_short_ones() {
        let names = |count: usize, length: usize| super::names(vec!["x".repeat(length); count]);
        assert!(names(0, 1).is_ok() && names(16, 255).is_ok());
        assert!(names(17, 1).is_err() && names(1, 0).is_err() && names(1, 256).is_err());
        assert!(super::names(vec!["a\nb".to_owned()]).is_err());
    }
}
