//! The methods of `org.provost.Provost1.Service`. There is no object for each service: a path is
//! looked up when it is called, so that thousands of services cost a connection nothing.

use std::collections::BTreeMap;

use zbus::message::Message;

use super::error::Fault;
use super::manager::{arguments, reply, signal, whom};
use super::restarts::restart;
use super::serve::Api;
use super::system::Permit;
use crate::model::ServiceId;
use crate::model::service::ServiceReport;
use crate::supervise::{Command, Selection};

/// Answers one call.
pub(super) async fn call(
    api: &Api,
    (arrived, permit): (u64, &Permit),
    id: &ServiceId,
    method: &str,
    call: &Message,
) -> Result<Message, Fault> {
    let handle = &api.handle;
    let which = Selection { ids: vec![id.clone()], project: None };
    let touched = match method {
        "Start" => {
            let start = |answer| Command::Start { which, environment: BTreeMap::new(), answer };
            handle.ask(|answer| permit.bound(start(answer))).await?
        }
        "Stop" => {
            let force: bool = arguments(call)?;
            handle.ask(|answer| permit.bound(Command::Stop { which, force, answer })).await?
        }
        "Restart" => restart(api, arrived, permit, which).await?,
        "Reload" => handle.ask(|answer| Command::Reload { which, answer }).await?,
        "Kill" => {
            let (word, number): (String, i32) = arguments(call)?;
            let (whom, signal) = (whom(&word)?, signal(number)?);
            handle.ask(|answer| Command::Kill { which, signal, whom, answer }).await?
        }
        other => {
            let other = crate::text::clip(other);
            return Err(Fault::standard("UnknownMethod", format!("a service has no method '{other}'")));
        }
    };
    // What it comes after may have been touched too.
    reply(call, &touched.iter().any(|(touched, did)| touched == id && *did))
}

/// What is known of one service; an error if there is none.
pub(super) async fn report(api: &Api, id: &ServiceId, resources: bool) -> Result<ServiceReport, Fault> {
    let unknown = || Fault::standard("UnknownObject", format!("there is no service {}", id.as_str()));
    let which = Selection { ids: vec![id.clone()], project: None };
    let all = api.handle.ask(|answer| Command::Report { which, resources, answer }).await.map_err(|_| unknown())?;
    all.into_iter().find(|report| report.id == *id).ok_or_else(unknown)
}
