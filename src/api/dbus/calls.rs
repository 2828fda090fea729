//! Which object and which interface a call is for.

use zbus::message::{Flags, Message};

use super::Dict;
use super::access::{HELPER, MANAGER, SERVICE};
use super::error::Fault;
use super::helper;
use super::introspect;
use super::manager::{self, arguments, reply};
use super::path::{self, Object};
use super::properties;
use super::serve::Api;
use super::service;
use super::system::{Asking, Permit, shown};
use crate::supervise::{Command, Selection};

/// The answer to a call; `None` if none is wanted. `asking`: over the system bus, who calls; the
/// owner's own ways in have nobody to ask.
pub(super) async fn answer(api: &Api, asking: Option<&Asking>, call: &Message) -> Option<Message> {
    let answer = match dispatch(api, asking, call).await {
        Ok(answer) => Some(answer),
        Err(fault) => fault.reply(call),
    };
    let wanted = !call.primary_header().flags().contains(Flags::NO_REPLY_EXPECTED);
    answer.filter(|_| wanted)
}

async fn dispatch(api: &Api, asking: Option<&Asking>, call: &Message) -> Result<Message, Fault> {
    let arrived = api.restarts.arrived();
    let header = call.header();
    let (path, member) = match (header.path(), header.member()) {
        (Some(path), Some(member)) => (path.as_str(), member.as_str()),
        _ => return Err(Fault::standard("UnknownMethod", "a call names an object and a method")),
    };
    let interface = header.interface().map(|name| name.as_str().to_owned());
    // A peer answers on every path.
    if interface.as_deref() == Some("org.freedesktop.DBus.Peer") {
        return peer(call, member);
    }
    let unknown = || Fault::standard("UnknownObject", format!("there is no object '{}'", crate::text::clip(path)));
    let object = Object::of(path).ok_or_else(unknown)?;
    // Without an interface, those of the object itself are meant.
    let interface = match (interface, &object) {
        (Some(interface), _) => interface,
        (None, Object::Manager) => MANAGER.to_owned(),
        (None, Object::Service(_)) => SERVICE.to_owned(),
        (None, _) => return Err(no_interface("", path)),
    };
    match (interface.as_str(), &object) {
        ("org.freedesktop.DBus.Introspectable", _) if member == "Introspect" => {
            reply(call, &introspect(api, asking, &object).await?)
        }
        ("org.freedesktop.DBus.Properties", _) => properties(api, asking, &object, member, call).await,
        (MANAGER, Object::Manager) => {
            let permit = permit(api, asking, &object, MANAGER, call).await?;
            manager::call(api, (arrived, asking), &permit, member, call).await
        }
        (SERVICE, Object::Service(id)) => {
            // What `instances` makes has one path each, and the id of all has none.
            service::report(api, id, false).await?;
            let permit = permit(api, asking, &object, SERVICE, call).await?;
            service::call(api, (arrived, &permit), id, member, call).await
        }
        (HELPER, Object::Manager) => {
            let Some(asking) = asking else { return Err(no_interface(HELPER, path)) };
            permit(api, Some(asking), &object, HELPER, call).await?;
            helper::call(asking, member, call).await
        }
        (other, _) => Err(no_interface(other, path)),
    }
}

/// What the call may touch: all that it names, if the owner makes it.
async fn permit(
    api: &Api,
    asking: Option<&Asking>,
    object: &Object,
    interface: &str,
    call: &Message,
) -> Result<Permit, Fault> {
    let header = call.header();
    match (asking, header.member()) {
        (Some(asking), Some(member)) => asking.permit(api, object, interface, member.as_str(), call).await,
        _ => Ok(Permit::Everything),
    }
}

fn no_interface(interface: &str, path: &str) -> Fault {
    let (interface, path) = (crate::text::clip(interface), crate::text::clip(path));
    Fault::standard("UnknownInterface", format!("the object '{path}' has no interface '{interface}'"))
}

fn peer(call: &Message, member: &str) -> Result<Message, Fault> {
    match member {
        "Ping" => reply(call, &()),
        "GetMachineId" => {
            let id = std::fs::read_to_string("/etc/machine-id");
            let id = id.map_err(|error| Fault::standard("Failed", format!("/etc/machine-id: {error}")))?;
            reply(call, &id.trim())
        }
        _ => Err(Fault::standard("UnknownMethod", "a peer has Ping and GetMachineId")),
    }
}

async fn introspect(api: &Api, asking: Option<&Asking>, object: &Object) -> Result<String, Fault> {
    Ok(match object {
        Object::Above(child) => introspect::object("", &[(*child).to_owned()]),
        Object::Manager => {
            let helper = if asking.is_some() { introspect::HELPER } else { "" };
            introspect::object(&format!("{}{helper}", introspect::MANAGER), &["service".to_owned()])
        }
        Object::Services => {
            let which = Selection::default();
            let all = api.handle.ask(|answer| Command::Report { which, resources: false, answer }).await?;
            introspect::object("", &all.iter().map(|report| path::escape(&report.id)).collect::<Vec<_>>())
        }
        Object::Service(id) => {
            service::report(api, id, false).await?;
            introspect::object(&introspect::service(), &[])
        }
    })
}

async fn properties(
    api: &Api,
    asking: Option<&Asking>,
    object: &Object,
    member: &str,
    call: &Message,
) -> Result<Message, Fault> {
    let unknown =
        |name: &str| Fault::standard("UnknownProperty", format!("there is no property '{}'", crate::text::clip(name)));
    match member {
        "Get" => {
            let (interface, name): (String, String) = arguments(call)?;
            match object {
                Object::Manager if interface == MANAGER || interface.is_empty() => {
                    reply(call, &manager::property(api, &name).ok_or_else(|| unknown(&name))?)
                }
                Object::Service(id) if interface == SERVICE || interface.is_empty() => {
                    let report = service::report(api, id, properties::is_measured(&name)).await?;
                    let report = shown(asking, report);
                    let found = properties::of(&report, |property, _| property == name);
                    reply(call, found.get(&name).ok_or_else(|| unknown(&name))?)
                }
                _ => Err(no_interface(&interface, "")),
            }
        }
        "GetAll" => {
            let interface: String = arguments(call)?;
            let all: Dict = match object {
                Object::Manager if interface == MANAGER || interface.is_empty() => {
                    let values = manager::PROPERTIES.iter().filter_map(|name| {
                        Some(((*name).to_owned(), manager::property(api, name)?.try_into_owned().ok()?))
                    });
                    values.collect()
                }
                Object::Service(id) if interface == SERVICE || interface.is_empty() => {
                    properties::of(&shown(asking, service::report(api, id, true).await?), |_, _| true)
                }
                // The standard interfaces have none.
                _ => Dict::new(),
            };
            reply(call, &all)
        }
        "Set" => Err(Fault::standard("PropertyReadOnly", "properties are read only: methods change things")),
        _ => Err(Fault::standard("UnknownMethod", "properties have Get, GetAll and Set")),
    }
}
