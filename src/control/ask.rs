//! Calls that polkit may have a say in: first without a question, and where a password would help,
//! and somebody is there who may be asked for it, once more with the agent on the terminal.

use serde::Serialize;
use zbus::DynamicType;
use zbus::proxy::MethodFlags;
use zbus::wire::DynamicDeserialize;

use super::Control;
use super::again::{Proxy, TRIES, soon};
use super::connect::TIMEOUT;
use crate::act::ActError;
use crate::api::dbus::from_call;
use crate::error::Error;
use crate::polkit::Agent;
use crate::systemd::CallError;

/// Who may be asked for a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Asks {
    /// There is a terminal to ask on.
    pub(crate) terminal: bool,
    /// The caller is in a login session, whose desktop may have an agent of its own.
    pub(crate) session: bool,
}

impl Control {
    /// The same; from now on a password may be asked for.
    pub(crate) fn asking(self, asks: Option<Asks>) -> Self {
        Self { asks: asks.filter(|asks| asks.terminal || asks.session), ..self }
    }

    /// Makes a call that changes something. `twice`: it may be carried out twice. `doing`: the call
    /// in words.
    pub(super) async fn change<B, R>(&self, doing: &str, method: &str, twice: bool, body: &B) -> Result<R, Error>
    where
        B: Serialize + DynamicType,
        R: for<'d> DynamicDeserialize<'d>,
    {
        let mut left = if twice { TRIES } else { 0 };
        let error = loop {
            let proxy = self.line.proxy();
            let call = flagged(proxy.clone(), method, MethodFlags::empty(), body);
            match soon(call).await {
                Ok(answer) => return Ok(answer),
                Err(error) if !self.line.is_again(&proxy, &error, &mut left).await => break error,
                Err(_) => {}
            }
        };
        let wants_password = CallError::from(error.clone()).needs_interaction();
        let Some(asks) = self.asks.filter(|_| wants_password) else {
            // The daemon is there, and waits for a command.
            if method == "Reload" && matches!(CallError::from(error.clone()), CallError::Timeout) {
                let limit = humantime::format_duration(TIMEOUT);
                let why = format!("{doing} was not done after {limit}; the daemon ends a command that takes longer");
                return Err(ActError::TimedOut(why).into());
            }
            let error = from_call(doing, error);
            return Err(if wants_password { nobody_to_ask(error) } else { error });
        };
        let agent = match asks.terminal {
            true => Some(Agent::start(asks.session).await.map_err(|e| ActError::NotPermitted(e.to_string()))?),
            false => None,
        };
        let answer = flagged(self.line.proxy(), method, MethodFlags::ALLOW_INTERACTIVE_AUTH, body).await;
        if let Some(agent) = agent {
            agent.end().await;
        }
        answer.map_err(|error| from_call(doing, error))
    }
}

/// A password would help, and here nobody can be asked for it.
fn nobody_to_ask(error: Error) -> Error {
    match error {
        Error::Act(ActError::NotPermitted(why)) => {
            ActError::NotPermitted(format!("{why}; do it on a terminal, where it can be asked for, or with sudo"))
                .into()
        }
        other => other,
    }
}

async fn flagged<B, R>(proxy: Proxy, method: &str, flags: MethodFlags, body: &B) -> zbus::Result<R>
where
    B: Serialize + DynamicType,
    R: for<'d> DynamicDeserialize<'d>,
{
    let answer = proxy.inner().call_with_flags(method, flags, body).await?;
    answer.ok_or(zbus::Error::InvalidReply)
}
