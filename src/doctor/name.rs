//! Who has provost's name on the bus: whoever calls it there trusts that one.

use super::Check;
use super::mend::as_root;
use crate::api::dbus::NAME as BUS_NAME;
use crate::control::Control;
use crate::install::UNIT;
use crate::model::{Instance, UnitName};
use crate::observe::Observer;
use crate::systemd;

const NAME: &str = "bus name";

/// The owner of the name: uid and pid.
type Owner = (u32, u32);

pub(super) async fn checks(observer: &Observer, instance: Instance) -> Option<Check> {
    let uid = observer.caller().uid;
    let bus = match instance {
        Instance::System => systemd::connect_system().await.ok()?,
        Instance::User => {
            let path = systemd::user_bus_path(uid, observer.caller().runtime_dir.as_deref());
            systemd::connect_user(&path, uid, uid).await.ok()?
        }
    };
    let owner = owner(&bus).await?;
    let daemon = match instance {
        Instance::System => main_pid(observer).await,
        Instance::User => daemon().await,
    };
    Some(name_is(instance, owner, daemon, if instance == Instance::System { 0 } else { uid }, uid))
}

async fn owner(bus: &zbus::Connection) -> Option<Owner> {
    let ask = async |method: &str| -> Option<u32> {
        let of = "org.freedesktop.DBus";
        let reply = bus.call_method(Some(of), "/org/freedesktop/DBus", Some(of), method, &(BUS_NAME,)).await;
        reply.ok()?.body().deserialize().ok()
    };
    Some((ask("GetConnectionUnixUser").await?, ask("GetConnectionUnixProcessID").await?))
}

async fn main_pid(observer: &Observer) -> Option<u32> {
    let name: UnitName = UNIT.parse().ok()?;
    observer.bus().system().await.ok()?.unit_properties(&name, &["MainPID"]).await.ok()?.pid("MainPID")
}

/// The caller's own, by its socket, which nobody else can serve.
async fn daemon() -> Option<u32> {
    Some(Control::connect(Instance::User).await.ok()??.facts().await.ok()?.pid)
}

fn name_is(instance: Instance, owner: Owner, daemon: Option<u32>, whose: u32, uid: u32) -> Check {
    let (owner_uid, pid) = owner;
    if owner_uid == whose && daemon == Some(pid) {
        return Check::ok(NAME, format!("{BUS_NAME} is the daemon's, pid {pid}"));
    }
    let user = crate::observe::user_name(owner_uid);
    let found = format!("{BUS_NAME} belongs to pid {pid} of {user}, which is not the daemon of {UNIT}");
    let kill = if owner_uid == uid { format!("kill {pid}") } else { as_root(uid, &format!("kill {pid}")) };
    let start = match instance {
        Instance::System => as_root(uid, &format!("systemctl restart {UNIT}")),
        Instance::User => format!("systemctl --user restart {UNIT}"),
    };
    let mend = format!("{kill}; {start}");
    // By the policy of the bus that cannot be, unless the policy was lost or root did it.
    match owner_uid == whose {
        true => Check::warning(NAME, found, mend),
        false => Check::problem(NAME, found, mend),
    }
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn the_name_is_the_daemons() {
        let is = |owner, daemon| name_is(Instance::System, owner, daemon, 0, 1000);
        assert_eq!(is((0, 7), Some(7)).state, State::Ok);
        let by_hand = is((0, 8), Some(7));
        assert_eq!(by_hand.state, State::Warning);
        assert_eq!(by_hand.mend.unwrap(), "sudo kill 8; sudo systemctl restart provost.service");
        assert_eq!(is((1000, 7), Some(7)).state, State::Problem);
        assert_eq!(name_is(Instance::User, (1000, 7), None, 1000, 1000).state, State::Warning);
    }
}
