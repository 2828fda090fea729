//! The clients of the system bus, what is under way for each, and what waits for its turn.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use zbus::message::{Flags, Message};

use super::super::calls;
use super::super::error::Fault;
use super::super::serve::Api;
use super::caller::Who;
use super::logs::Streams;
use super::quota::{Quota, Turn};
use super::{Asking, Caller, in_time};
use crate::polkit::Authority;

/// A call that is longer is not looked at.
const LONGEST: usize = 256 << 10;
/// Calls of a client whose user the bus has not told yet.
const UNKNOWN: usize = 32;

/// Everybody who has called and has not left.
pub(super) struct Clients {
    bus: zbus::Connection,
    who: Who,
    authority: Authority,
    api: Arc<Api>,
    known: HashMap<String, Client>,
    quota: Quota<Call>,
    streams: Streams,
    running: JoinSet<Done>,
    /// Who each of those that run belongs to.
    whose: HashMap<Id, Caller>,
}

#[derive(Default)]
struct Client {
    uid: Option<u32>,
    /// Until its user is known.
    early: Vec<Message>,
    /// Its calls that are being answered.
    calls: HashMap<Id, AbortHandle>,
    /// Dropped when it leaves.
    there: watch::Sender<()>,
}

struct Call {
    caller: Caller,
    message: Message,
}

/// What has come to its end.
enum Done {
    /// Whose connection it is.
    Known(String, Option<u32>),
    /// What is sent in answer.
    Answered(Option<Message>),
}

/// A task of it that has ended.
pub(super) struct Ended(Result<(Id, Done), JoinError>);

impl Clients {
    pub(super) fn new(bus: zbus::Connection, who: Who, authority: Authority, api: Arc<Api>) -> Self {
        let (known, quota) = (HashMap::new(), Quota::default());
        Self {
            bus,
            who,
            authority,
            api,
            known,
            quota,
            streams: Streams::default(),
            running: JoinSet::new(),
            whose: HashMap::new(),
        }
    }

    /// Whether nothing is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.running.is_empty()
    }

    /// A call has come. The error: the connection has ended.
    pub(super) async fn call(&mut self, message: Message) -> zbus::Result<()> {
        let header = message.header();
        let Some(name) = header.sender().map(|name| name.as_str().to_owned()) else { return Ok(()) };
        if message.data().len() > LONGEST {
            return self.refuse(&message, "the call is too long").await;
        }
        let client = self.known.entry(name.clone()).or_default();
        let Some(uid) = client.uid else {
            if client.early.len() == UNKNOWN {
                return self.refuse(&message, "there are too many calls of yours").await;
            }
            client.early.push(message.clone());
            if client.early.len() == 1 {
                let who = self.who.clone();
                self.running.spawn(async move {
                    let uid = who.uid_of(&name).await;
                    Done::Known(name, uid)
                });
                self.count();
            }
            return Ok(());
        };
        self.admit(Call { caller: Caller { name, uid }, message: message.clone() }).await
    }

    async fn admit(&mut self, call: Call) -> zbus::Result<()> {
        match self.quota.take(call.caller.uid, call) {
            Turn::Now(call) => self.answer(call),
            Turn::Later => {}
            Turn::Refused(call) => return self.refuse(&call.message, "there are too many calls of yours").await,
        }
        Ok(())
    }

    fn answer(&mut self, call: Call) {
        let api = Arc::clone(&self.api);
        let client = self.known.entry(call.caller.name.clone()).or_default();
        let asking = Asking {
            caller: call.caller.clone(),
            authority: self.authority.clone(),
            interactive: call.message.primary_header().flags().contains(Flags::ALLOW_INTERACTIVE_AUTH),
            streams: self.streams.clone(),
            client: client.there.subscribe(),
        };
        // It may be ended at any time, so that it sends nothing itself: half a message would end all.
        let task =
            self.running.spawn(async move { Done::Answered(calls::answer(&api, Some(&asking), &call.message).await) });
        client.calls.insert(task.id(), task.clone());
        self.whose.insert(task.id(), call.caller);
        self.count();
    }

    /// A client has left the bus: what was under way for it ends.
    pub(super) fn gone(&mut self, name: &str) {
        let Some(client) = self.known.remove(name) else { return };
        if let Some(uid) = client.uid {
            self.quota.forget(uid, |call| call.caller.name == name);
        }
        client.calls.into_values().for_each(|call| call.abort());
    }

    /// Waits until something has come to its end. It can be dropped and called again.
    pub(super) async fn next(&mut self) -> Ended {
        match self.running.join_next_with_id().await {
            Some(done) => Ended(done),
            None => std::future::pending().await,
        }
    }

    /// Answers it, and goes on with what waited for its end. The error: the connection has ended.
    pub(super) async fn ended(&mut self, Ended(done): Ended) -> zbus::Result<()> {
        let id = match &done {
            Ok((id, _)) => *id,
            Err(error) => error.id(),
        };
        if let Some(caller) = self.whose.remove(&id) {
            if let Some(client) = self.known.get_mut(&caller.name) {
                client.calls.remove(&id);
            }
            if let Some(next) = self.quota.over(caller.uid) {
                self.answer(next);
            }
        }
        self.count();
        match done {
            Ok((_, Done::Known(name, uid))) => self.is_known(&name, uid).await,
            Ok((_, Done::Answered(Some(answer)))) => in_time(self.bus.send(&answer)).await,
            Ok((_, Done::Answered(None))) => Ok(()),
            Err(error) => {
                if !error.is_cancelled() {
                    tracing::warn!("a call was not answered: {error}");
                }
                Ok(())
            }
        }
    }

    async fn is_known(&mut self, name: &str, uid: Option<u32>) -> zbus::Result<()> {
        let Some(client) = self.known.get_mut(name) else { return Ok(()) };
        let early = std::mem::take(&mut client.early);
        client.uid = uid;
        for message in early {
            match uid {
                Some(uid) => self.admit(Call { caller: Caller { name: name.to_owned(), uid }, message }).await?,
                // Nobody: neither root nor anybody else.
                None => self.refuse(&message, "the bus does not say who you are").await?,
            }
        }
        Ok(())
    }

    async fn refuse(&self, call: &Message, why: &str) -> zbus::Result<()> {
        if call.primary_header().flags().contains(Flags::NO_REPLY_EXPECTED) {
            return Ok(());
        }
        match Fault::ours("LimitsExceeded", why).reply(call) {
            Some(answer) => in_time(self.bus.send(&answer)).await,
            None => Ok(()),
        }
    }

    /// Tells how much is under way.
    fn count(&self) {
        let now = self.running.len();
        self.api.calls.send_if_modified(|calls| std::mem::replace(calls, now) != now);
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        self.api.calls.send_replace(0);
        self.api.named.send_replace(false);
    }
}
