//! Events of the supervisor as signals.
//!
//! `Event` and `StateChanged` are sent one for one. `PropertiesChanged` tells how a service is once
//! the events that had come were sent, so that many of one service cost one look at it. A bus is told
//! a moment later: whoever manages units there has work to do while services change, and the less is
//! on the bus the sooner it is done.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::sync::broadcast::{self, error::TryRecvError};
use tokio::time::Instant;
use zbus::message::Message;

use super::dict::to_dict;
use super::path::of_service;
use super::properties::{self, Told};
use super::serve::Api;
use super::system::shown_to_all;
use super::{Dict, PATH};
use crate::gather::Gather as _;
use crate::model::ServiceId;
use crate::model::service::{Event, EventKind, ServiceReport};
use crate::supervise::{Command, Selection};

/// Most events that are sent in one go.
const BATCH: usize = 64;
/// How long what a bus is told waits for more.
const LATER: Duration = Duration::from_millis(100);

/// What a client is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// `Event` only: all that the command line needs.
    Events,
    /// The signals of the services too.
    All,
}

/// What is to be sent to one connection.
#[derive(Debug)]
pub(super) struct Signals {
    events: broadcast::Receiver<Event>,
    pub(super) scope: Scope,
    /// Everybody on the host gets them.
    public: bool,
    /// How long the first of many waits for the others.
    later: Option<Duration>,
    /// It, and until when.
    held: Option<(Event, Option<Instant>)>,
    /// The last batch was full: what it left has waited with it.
    full: bool,
}

impl Signals {
    pub(super) fn new(api: &Api, scope: Scope) -> Self {
        Self { events: api.handle.events(), scope, public: false, later: None, held: None, full: false }
    }

    /// All of them, for a bus; `public` if that is everybody's on the host.
    pub(super) fn of_bus(api: &Api, public: bool) -> Self {
        Self { public, later: Some(LATER), ..Self::new(api, Scope::All) }
    }

    /// Waits for something to send. The error: the reader is too slow, or the supervisor has ended.
    /// Nothing is lost if it is no longer waited for.
    pub(super) async fn next(&mut self) -> Result<Batch, broadcast::error::RecvError> {
        if self.held.is_none() {
            let later = self.later.filter(|_| !self.full);
            let first = self.events.recv().await?;
            self.held = Some((first, later.map(|later| Instant::now() + later)));
        }
        if let Some((_, Some(due))) = self.held {
            tokio::time::sleep_until(due).await;
        }
        let mut events: Vec<Event> = self.held.take().map(|held| held.0).into_iter().gather();
        while events.len() < BATCH {
            match self.events.try_recv() {
                Ok(event) => events.push(event),
                // After the last of these. Nothing is missed meanwhile: who sends them is on this thread, too.
                Err(TryRecvError::Empty | TryRecvError::Lagged(_) | TryRecvError::Closed) => break,
            }
        }
        self.full = events.len() == BATCH;
        Ok(Batch(events))
    }

    /// The signals of a batch.
    pub(super) async fn messages(&self, api: &Api, batch: &Batch) -> Vec<Message> {
        let mut messages = Vec::new();
        for event in &batch.0 {
            messages.extend(signal(PATH, "Manager", "Event", &to_dict(event)));
            if let (Scope::All, EventKind::State { from, to, .. }) = (self.scope, &event.kind) {
                let body = (from.as_str(), to.as_str());
                messages.extend(signal(&of_service(&event.id), "Service", "StateChanged", &body));
            }
        }
        if self.scope == Scope::All {
            let changed: BTreeSet<&ServiceId> =
                batch.0.iter().filter(|e| e.kind != EventKind::Removed).map(|e| &e.id).gather();
            for report in reports(api, changed).await {
                let report = if self.public { shown_to_all(report) } else { report };
                messages.extend(changed_properties(&report));
            }
        }
        messages
    }
}

/// Events that are sent together.
#[derive(Debug)]
pub(super) struct Batch(Vec<Event>);

async fn reports(api: &Api, ids: BTreeSet<&ServiceId>) -> Vec<ServiceReport> {
    let ask = async |ids: Vec<ServiceId>| {
        let which = Selection { ids, project: None };
        api.handle.ask(|answer| Command::Report { which, resources: false, answer }).await
    };
    if ids.is_empty() {
        return Vec::new();
    }
    if let Ok(all) = ask(ids.iter().map(|id| (*id).clone()).collect()).await {
        return all;
    }
    // One of them has been removed meanwhile.
    let mut all = Vec::new();
    for id in ids {
        all.extend(ask(vec![id.clone()]).await.unwrap_or_default());
    }
    all
}

fn changed_properties(report: &ServiceReport) -> Option<Message> {
    let changed: Dict = properties::of(report, |_, told| told == Told::Yes);
    let body = ("org.provost.Provost1.Service", changed, Vec::<&str>::new());
    let path = of_service(&report.id);
    built(Message::signal(path, "org.freedesktop.DBus.Properties", "PropertiesChanged").build(&body))
}

fn signal<B: serde::Serialize + zbus::DynamicType>(path: &str, of: &str, name: &str, body: &B) -> Option<Message> {
    built(Message::signal(path, format!("org.provost.Provost1.{of}"), name).build(body))
}

fn built(message: zbus::Result<Message>) -> Option<Message> {
    message.map_err(|error| tracing::warn!("a signal cannot be sent: {error}")).ok()
}
