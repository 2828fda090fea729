//! The buses, polkit and whoever asks for its passwords, and what is said in the journal.

use zbus::OwnedVariant;

use super::Check;
use crate::api::dbus::NAME;
use crate::model::{Instance, Manager, Polkit};
use crate::observe::Observer;
use crate::systemd;

const BUS: &str = "org.freedesktop.DBus";

pub(super) async fn checks(observer: &Observer, instance: Instance) -> Vec<Check> {
    let uid = observer.caller().uid;
    let mut all = Vec::new();
    let system = systemd::connect_system().await;
    match &system {
        Ok(_) => all.push(Check::ok("system bus", "answers")),
        Err(error) => {
            let mend = "systemctl start dbus.socket";
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
                "install dbus-user-session, and log in again",
            ),
        });
    }
    if let Ok(bus) = &system {
        let version = polkit(bus).await;
        all.push(polkit_is(version.as_deref()));
        if version.is_some() && uid != 0 {
            all.push(agent(observer));
        }
        if instance == Instance::System || uid != 0 {
            all.push(helper(bus).await);
        }
    }
    let whose = if instance == Instance::System { Manager::System } else { Manager::User(uid) };
    all.push(match crate::logs::journal::access(whose) {
        Ok(()) => Check::ok("journal", "what services write can be read"),
        Err(why) => Check::without_cure("journal", why),
    });
    all
}

async fn polkit(bus: &zbus::Connection) -> Option<String> {
    let (name, path) = ("org.freedesktop.PolicyKit1", "/org/freedesktop/PolicyKit1/Authority");
    let of = ("org.freedesktop.PolicyKit1.Authority", "BackendVersion");
    let reply = bus.call_method(Some(name), path, Some("org.freedesktop.DBus.Properties"), "Get", &of).await;
    let value: OwnedVariant = reply.ok()?.body().deserialize().ok()?;
    <&str>::try_from(&value).ok().map(ToOwned::to_owned)
}

fn polkit_is(version: Option<&str>) -> Check {
    let Some(version) = version else {
        let found = "not there: systemd and provost do for root alone what needs a permission";
        return Check::warning("polkit", found, "install polkit (Debian: polkitd pkexec)");
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
            "install polkit's own tools (Debian: polkitd)",
        ),
    }
}

/// Whether the system's daemon runs, or would be started when it is needed.
async fn helper(bus: &zbus::Connection) -> Check {
    let names = async |method: &str| -> Vec<String> {
        let reply = bus.call_method(Some(BUS), "/org/freedesktop/DBus", Some(BUS), method, &()).await;
        reply.ok().and_then(|reply| reply.body().deserialize().ok()).unwrap_or_default()
    };
    let has = |names: Vec<String>| names.iter().any(|name| name == NAME);
    if has(names("ListNames").await) {
        return Check::ok("helper", "the system's provost runs: what you may not do alone, polkit may allow");
    }
    if has(names("ListActivatableNames").await) {
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
        assert_eq!(polkit_is(Some("122")).state, State::Ok);
        assert_eq!(polkit_is(Some("0.105")).state, State::Warning);
        assert!(polkit_is(None).mend.is_some());
    }
}
