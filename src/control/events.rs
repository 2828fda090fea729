//! The stream of events of a daemon.

use tokio::sync::mpsc;
use zbus::{MatchRule, MessageStream, message};

use super::again::soon;
use super::bus::Owner;
use crate::api::dbus::{Dict, ManagerProxy, from_call, from_dict};
use crate::error::Error;
use crate::model::service::Event;
use crate::systemd::next;

/// Events as they come. They are taken off the connection by a task of their own: a reader that
/// rests would block the answers to calls.
#[derive(Debug)]
pub(crate) struct Events {
    received: mpsc::UnboundedReceiver<Event>,
    reader: tokio::task::JoinHandle<()>,
    /// The number of the last one that was given out.
    last: Option<u64>,
    missed: u64,
}

impl Events {
    /// From now on.
    pub(super) async fn subscribe(proxy: &ManagerProxy<'static>, bus: bool) -> Result<Self, Error> {
        let failed = |e| from_call("subscribing to events", e);
        let connection = proxy.inner().connection();
        let rule = MatchRule::builder().msg_type(message::Type::Signal);
        let mut rule = rule.interface("org.provost.Provost1.Manager").member("Event");
        let mut owner = None;
        if bus {
            // It may have to be started first.
            soon(proxy.subscribe()).await.map_err(failed)?;
            let found = Owner::of(connection).await.map_err(failed)?;
            rule = rule.sender(found.name.clone());
            owner = Some(found);
        }
        let stream = MessageStream::for_match_rule(rule.build().map_err(failed)?, connection, None);
        let mut stream = stream.await.map_err(failed)?;
        let (send, received) = mpsc::unbounded_channel();
        let reader = crate::tasks::spawn(async move {
            let gone = async {
                match &mut owner {
                    Some(owner) => owner.gone().await,
                    None => std::future::pending().await,
                }
            };
            let mut gone = std::pin::pin!(gone);
            loop {
                let message = tokio::select! {
                    biased;
                    message = next(&mut stream) => message,
                    () = &mut gone => return,
                };
                let Some(Ok(message)) = message else { return };
                let body = message.body();
                let dict: Dict = match body.deserialize() {
                    Ok(dict) => dict,
                    Err(error) => {
                        tracing::debug!("an event is not understood: {error}");
                        continue;
                    }
                };
                match from_dict(&dict) {
                    Ok(event) => {
                        if send.send(event).is_err() {
                            return;
                        }
                    }
                    Err(error) => tracing::debug!("an event is not understood: {error}"),
                }
            }
        });
        let events = Self { received, reader, last: None, missed: 0 };
        soon(proxy.subscribe()).await.map_err(failed)?;
        Ok(events)
    }

    /// One that is there already.
    pub(crate) fn ready(&mut self) -> Option<Event> {
        let event = self.received.try_recv().ok();
        self.count(event)
    }

    /// The next one; `None` when the daemon has gone.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        let event = self.received.recv().await;
        self.count(event)
    }

    /// How many were missed since this was last asked: thousands at once are more than the daemon
    /// keeps for anybody. What is known of services is to be asked for anew then.
    pub(crate) fn missed(&mut self) -> u64 {
        std::mem::take(&mut self.missed)
    }

    fn count(&mut self, event: Option<Event>) -> Option<Event> {
        if let Some(event) = &event {
            // A daemon that executed its program anew begins anew.
            let gap = self.last.map_or(0, |last| event.seq.saturating_sub(last.saturating_add(1)));
            self.missed = self.missed.saturating_add(gap);
            self.last = Some(event.seq);
        }
        event
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.reader.abort();
    }
}
