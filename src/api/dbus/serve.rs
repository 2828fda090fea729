//! One connection: its calls are answered, and it is sent the signals that it wants.
//!
//! All of it is bounded. A peer that reads nothing is not read from, and then dropped.

use std::sync::Arc;

use tokio::sync::{broadcast::error::RecvError, mpsc};
use tokio::task::JoinSet;
use zbus::MessageStream;
use zbus::message::{Message, Type};

use super::error::Fault;
use super::manager::{arguments, reply};
use super::peer::Ticket;
use super::recent::Recent;
use super::restarts::Restarts;
use super::signals::{Scope, Signals};
use super::{NAME, calls};
use crate::supervise::{Handle, Refusal, Stop};
use crate::systemd::next;

/// The name that the daemon has for a client that greets as on a bus.
const OWN: &str = ":1.0";

/// How many calls of one connection are answered at the same time.
const CALLS: usize = 32;

/// What the calls are answered from.
#[derive(Debug)]
pub(crate) struct Api {
    /// The supervisor.
    pub(crate) handle: Handle,
    /// The id of the instance.
    pub(crate) instance_id: String,
    /// The backend that services get unless they choose.
    pub(crate) backend: String,
    /// What the daemon itself is asked for.
    pub(crate) requests: mpsc::UnboundedSender<Request>,
    /// How many clients the control socket has.
    pub(crate) clients: tokio::sync::watch::Sender<usize>,
    /// How many calls over the system bus are under way.
    pub(crate) calls: tokio::sync::watch::Sender<usize>,
    /// Whether the system bus has the daemon under its name.
    pub(crate) named: tokio::sync::watch::Sender<bool>,
    /// Restarts that several asked for.
    pub(crate) restarts: Restarts,
    /// What happened last.
    pub(crate) recent: Recent,
    /// It is hosted by a verb, and cannot be executed anew by itself.
    pub(crate) foreground: bool,
}

/// What a client wants of the daemon itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Request {
    /// To execute its program anew.
    Reexecute,
    /// To end.
    Exit(Stop),
}

impl Api {
    /// Asks the daemon itself, which answers by doing it.
    pub(super) fn request(&self, request: Request) -> Result<(), Fault> {
        if self.foreground && request == Request::Reexecute {
            let why = "the daemon is part of a 'provost up' in the foreground, and cannot be restarted alone";
            return Err(Refusal::Failed(why.to_owned()).into());
        }
        self.requests.send(request).map_err(|_| Refusal::Ending.into())
    }
}

/// Who is at the other end.
#[derive(Debug)]
pub(super) enum Peers {
    /// One client, without a bus between: it is sent signals once it asks for them.
    One {
        /// The name that it is given if it greets as on a bus.
        name: String,
        /// What its messages count as.
        tickets: mpsc::UnboundedReceiver<Ticket>,
    },
    /// A bus with everybody on it.
    Bus,
}

/// Serves until the connection ends.
pub(super) async fn serve(mut messages: MessageStream, api: Arc<Api>, mut peers: Peers) -> zbus::Result<()> {
    let connection = zbus::Connection::from(&messages);
    let mut signals = matches!(peers, Peers::Bus).then(|| Signals::of_bus(&api, false));
    let mut calls = JoinSet::new();
    // Such a client believes only in senders with a name.
    let mut sender = None;
    let result = loop {
        let signal = async {
            match &mut signals {
                Some(signals) => signals.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            message = next(&mut messages), if calls.len() < CALLS => {
                let message = match message {
                    Some(Ok(message)) => message,
                    Some(Err(error)) => break Err(error),
                    None => break Ok(()),
                };
                let ticket = if let Peers::One { tickets, .. } = &mut peers { tickets.try_recv().ok() } else { None };
                if message.message_type() != Type::MethodCall {
                    continue;
                }
                let own = if let Peers::One { name, .. } = &peers { greeting(name, &message) } else { None };
                if let Some((answer, scope)) = own {
                    if message.header().member().is_some_and(|member| member == "Hello") {
                        sender = zbus::names::UniqueName::try_from(OWN).ok();
                    }
                    match (scope, &mut signals) {
                        (Some(scope), None) => signals = Some(Signals::new(&api, scope)),
                        (Some(Scope::All), Some(signals)) => signals.scope = Scope::All,
                        _ => {}
                    }
                    if let Some(answer) = answer
                        && let Err(error) = connection.send(&from(sender.as_ref(), answer)).await
                    {
                        break Err(error);
                    }
                    continue;
                }
                let (api, connection, sender) = (Arc::clone(&api), connection.clone(), sender.clone());
                calls.spawn(async move {
                    let sent = match calls::answer(&api, None, &message).await {
                        Some(answer) => connection.send(&from(sender.as_ref(), answer)).await,
                        None => Ok(()),
                    };
                    drop(ticket);
                    sent
                });
            }
            Some(done) = calls.join_next(), if !calls.is_empty() => match done {
                Ok(Ok(())) => {}
                Ok(Err(error)) => break Err(error),
                Err(error) => tracing::warn!("a call was not answered: {error}"),
            },
            batch = signal => match (batch, &signals) {
                (Ok(batch), Some(signals)) => {
                    let messages = signals.messages(&api, &batch).await.into_iter();
                    let messages: Vec<Message> = messages.map(|message| from(sender.as_ref(), message)).collect();
                    if let Err(error) = connection.send_all(&messages).await {
                        break Err(error);
                    }
                }
                // Thousands at once are more than is kept for anybody. Whoever counts sees the gap,
                // and whoever does not read at all is dropped for that.
                (Err(RecvError::Lagged(missed)), _) => tracing::debug!("a client missed {missed} events"),
                (Err(RecvError::Closed), _) | (_, None) => break Ok(()),
            },
        }
    };
    calls.shutdown().await;
    let closed = connection.close().await;
    result.and(closed)
}

/// The message with the name of its sender, where that is needed.
fn from(sender: Option<&zbus::names::UniqueName<'_>>, message: Message) -> Message {
    sender.and_then(|sender| message.with_sender(sender).ok()).unwrap_or(message)
}

/// Calls that only a peer without a bus makes: those for the bus, where there is none, and the one
/// that turns signals on. The answer, and the signals that are wanted from now on.
fn greeting(name: &str, call: &Message) -> Option<(Option<Message>, Option<Scope>)> {
    let header = call.header();
    let (interface, member) = (header.interface().map(|i| i.as_str().to_owned()), header.member()?.as_str().to_owned());
    let bus = interface.as_deref() == Some("org.freedesktop.DBus");
    if !bus && member != "Subscribe" {
        return None;
    }
    let mut scope = None;
    let answer = match (bus, member.as_str()) {
        (false, _) => {
            scope = Some(Scope::Events);
            reply(call, &())
        }
        (true, "Hello") => reply(call, &name),
        (true, "AddMatch") => {
            scope = Some(Scope::All);
            reply(call, &())
        }
        (true, "RemoveMatch") => reply(call, &()),
        (true, "ListNames") => reply(call, &[NAME].as_slice()),
        (true, "ListActivatableNames") => reply(call, &Vec::<String>::new()),
        (true, "NameHasOwner") => arguments::<String>(call).and_then(|name| reply(call, &(name == NAME))),
        (true, "GetNameOwner") => arguments::<String>(call).and_then(|name| match name.as_str() {
            NAME => reply(call, &OWN),
            _ => Err(Fault::standard("NameHasNoOwner", "there is no bus here, only the daemon")),
        }),
        _ => Err(Fault::standard("UnknownMethod", "there is no bus here, only the daemon")),
    };
    let wanted = !call.primary_header().flags().contains(zbus::message::Flags::NO_REPLY_EXPECTED);
    Some((answer.map_or_else(|fault| fault.reply(call), Some).filter(|_| wanted), scope))
}
