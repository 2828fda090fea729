//! The buses, polkit and whoever asks for its passwords, and what is said in the journal.

use std::collections::HashMap;

use zbus::OwnedVariant;

use super::Check;
use super::mend::{as_root, package};
use crate::api::dbus::NAME;
use crate::model::{Instance, Manager, Polkit};
use crate::observe::Observer;
use crate::systemd;

const BUS: &str = "org.freedesktop.DBus";

const POLKIT: &str = "org.freedesktop.PolicyKit1";

pub(super) async fn checks(observer: &Observer, instance: Instance) -> Vec<Check> {
    let uid = observer.caller().uid;
    let mut all = Vec::new();
    let system = systemd::connect_system().await;
    match &system {
        Ok(_) => all.push(Check::ok("system bus", "answers")),
        Err(error) => {
            let mend = match std::path::Path::new("/usr/lib/systemd/system/dbus.socket").exists() {
                true => as_root(uid, "systemctl start dbus.socket"),
                false => package(uid, "dbus", "dbus-daemon", "dbus"),
            };
            all.push(Check::warning("system bus", format!("cannot be reached: {error}"), mend));
        }
    }
    if instance == Instance::User {
        let path = systemd::user_bus_path(uid, observer.caller().runtime_dir.as_deref());
        all.push(match systemd::connect_user(&path, uid, uid).await {
            Ok(_) => Check::ok("session bus", format!("{} answers", path.display())),
            Err(error) => Check::warning(
                "session bus",
                format!("{} cannot be reached ({error}): only the control socket is served", path.display()),
                match std::path::Path::new("/usr/lib/systemd/user/dbus.socket").exists() {
                    true => super::systemd::start_bus(uid),
                    false => package(uid, "dbus-user-session", "dbus-daemon", "dbus"),
                },
            ),
        });
    }
    if let Ok(bus) = &system {
        let version = polkit(bus).await;
        let can_start = names(bus, "ListActivatableNames").await.iter().any(|name| name == POLKIT);
        all.push(polkit_is(version.as_deref(), can_start, uid));
        if version.is_some() && uid != 0 {
            all.push(agent(observer));
        }
        if instance == Instance::System || uid != 0 {
            let helper = helper(bus).await;
            if version.is_some() && helper.state == super::State::Ok {
                all.push(actions(known_actions(bus).await.as_deref()));
            }
            all.push(helper);
        }
    }
    let whose = if instance == Instance::System { Manager::System } else { Manager::User(uid) };
    all.push(match crate::logs::journal::access(whose) {
        Ok(()) => Check::ok("journal", journal_is(std::path::Path::new("/var/log/journal").is_dir())),
        // Whoever is of that group reads all of it, wherever it is kept.
        Err(why) if why.contains("systemd-journal") => {
            let user = crate::observe::user_name(uid);
            Check::warning("journal", why, format!("sudo usermod -aG systemd-journal {user}"))
        }
        Err(why) => Check::without_cure("journal", why),
    });
    all
}

fn journal_is(on_disk: bool) -> &'static str {
    match on_disk {
        true => "what services write can be read",
        false => {
            "what services write can be read; it is in memory only, and gone after a boot (mkdir /var/log/journal keeps it)"
        }
    }
}

async fn polkit(bus: &zbus::Connection) -> Option<String> {
    let (name, path) = (POLKIT, "/org/freedesktop/PolicyKit1/Authority");
    let of = ("org.freedesktop.PolicyKit1.Authority", "BackendVersion");
    let reply = bus.call_method(Some(name), path, Some("org.freedesktop.DBus.Properties"), "Get", &of).await;
    let value: OwnedVariant = reply.ok()?.body().deserialize().ok()?;
    <&str>::try_from(&value).ok().map(ToOwned::to_owned)
}

fn polkit_is(version: Option<&str>, can_start: bool, uid: u32) -> Check {
    let Some(version) = version else {
        let found = "systemd and provost do for root alone what needs a permission";
        return match can_start {
            true => {
                let mend = as_root(uid, "systemctl unmask polkit.service && ");
                let mend = format!("{mend}{}", as_root(uid, "systemctl restart polkit.service"));
                Check::warning("polkit", format!("does not answer: {found}"), mend)
            }
            false => {
                let mend = package(uid, "polkitd pkexec", "polkit", "polkit");
                Check::warning("polkit", format!("not there: {found}"), mend)
            }
        };
    };
    match Polkit::Version(version.to_owned()).has_rules() {
        Some(true) => Check::ok("polkit", format!("version {version}")),
        _ => Check::without_cure("polkit", format!("version {version} knows no rules: only passwords are left")),
    }
}

/// Who asks for a password: the desktop's own agent, or pkttyagent on a terminal.
fn agent(observer: &Observer) -> Check {
    let graphical = observer.caller().session.as_ref().is_some_and(|session| session.graphical);
    match (graphical, observer.host().pkttyagent) {
        (true, _) => Check::ok("password", "the desktop's own agent asks for it"),
        (_, true) => Check::ok("password", "pkttyagent asks for it on a terminal"),
        _ => Check::warning(
            "password",
            "nobody would ask for it: pkttyagent is not installed",
            package(observer.caller().uid, "polkitd", "polkit", "polkit"),
        ),
    }
}

/// The actions of provost that polkit knows; `None` if it does not say.
async fn known_actions(bus: &zbus::Connection) -> Option<Vec<String>> {
    type Action = (String, String, String, String, String, String, u32, u32, u32, HashMap<String, String>);
    let (path, of) = ("/org/freedesktop/PolicyKit1/Authority", "org.freedesktop.PolicyKit1.Authority");
    let reply = bus.call_method(Some(POLKIT), path, Some(of), "EnumerateActions", &("",)).await;
    let all: Vec<Action> = reply.ok()?.body().deserialize().ok()?;
    Some(all.into_iter().map(|action| action.0).filter(|id| id.starts_with("org.provost.")).collect())
}

/// What polkit does not know it refuses to all but root.
fn actions(known: Option<&[String]>) -> Check {
    const NAME: &str = "polkit actions";
    let Some(known) = known else { return Check::without_cure(NAME, "polkit does not tell which it knows") };
    let wanted = crate::install::actions();
    let lacks: Vec<&str> = wanted.iter().copied().filter(|id| !known.iter().any(|has| has == id)).collect();
    if lacks.is_empty() {
        return Check::ok(NAME, format!("all {} are known", wanted.len()));
    }
    let found = format!("polkit does not know {}: the system's provost refuses that to all but root", lacks.join(", "));
    Check::problem(NAME, found, "provost install --system")
}

async fn names(bus: &zbus::Connection, method: &str) -> Vec<String> {
    let reply = bus.call_method(Some(BUS), "/org/freedesktop/DBus", Some(BUS), method, &()).await;
    reply.ok().and_then(|reply| reply.body().deserialize().ok()).unwrap_or_default()
}

/// Whether the system's daemon runs, or would be started when it is needed.
async fn helper(bus: &zbus::Connection) -> Check {
    let has = |names: Vec<String>| names.iter().any(|name| name == NAME);
    if has(names(bus, "ListNames").await) {
        return Check::ok("helper", "the system's provost runs: what you may not do alone, polkit may allow");
    }
    if has(names(bus, "ListActivatableNames").await) {
        return Check::ok("helper", "the system's provost is started when it is needed");
    }
    let found = "the system's provost is not installed: processes of others cannot be ended, and some verdicts stay unknown until asked";
    Check::warning("helper", found, "provost install --system")
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn polkit_may_be_absent_or_old() {
        assert_eq!(polkit_is(Some("122"), true, 0).state, State::Ok);
        assert_eq!(polkit_is(Some("0.105"), true, 0).state, State::Warning);
        assert!(polkit_is(None, false, 0).mend.is_some());
        let mend = polkit_is(None, true, 1000).mend.unwrap();
        assert_eq!(mend, "sudo systemctl unmask polkit.service && sudo systemctl restart polkit.service");
    }

    #[test]
    fn every_action_of_the_policy_is_looked_for() {
        let all: Vec<String> = crate::install::actions().iter().map(ToString::to_string).collect();
        assert!(all.len() == 7 && actions(Some(&all)).state == State::Ok, "{all:?}");
        let lacks = actions(Some(&all[1..]));
        assert!(lacks.state == State::Problem && lacks.found.contains(&all[0]), "{lacks:?}");
    }
}
