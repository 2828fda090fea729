//! The stream of events of a daemon.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::sync::mpsc;
use zbus::{MatchRule, MessageStream, message};

use super::again::{Line, Proxy, soon};
use super::bus::Owner;
use crate::api::dbus::{Dict, from_call, from_dict};
use crate::error::Error;
use crate::model::service::Event;
use crate::systemd::next;

/// How long whoever follows a daemon that went without a word may take, and how often it is looked for.
pub(super) const NEXT: Duration = Duration::from_secs(5);
pub(super) const LOOK: Duration = Duration::from_millis(50);

/// How soon after a call that failed it is known that the connection is cut.
const CUT: Duration = Duration::from_secs(1);

/// Events as they come. A daemon that executes its program anew, or is started anew after it died, is
/// followed further.
#[derive(Debug)]
pub(crate) struct Events {
    line: Line,
    heard: Heard,
    /// Those that came while nobody listened.
    between: VecDeque<Event>,
    /// The number of the last one that was given out.
    last: Option<u64>,
    missed: u64,
    /// How long the daemon after one that went is waited for.
    limit: Duration,
}

/// What comes next.
#[derive(Debug)]
pub(crate) enum Next {
    Event(Event),
    /// Another daemon runs: what happened between the two nobody can tell.
    Another,
}

#[cfg(test)]
impl Next {
    pub(crate) fn event(self) -> Event {
        let Self::Event(event) = self else { panic!("another daemon") };
        event
    }
}

/// What one connection hears. It is taken off that by a task of its own: a reader that rests would
/// block the answers to calls.
#[derive(Debug)]
struct Heard {
    proxy: Proxy,
    /// In which run of the daemon events have their numbers; `None`: an older one, which does not tell.
    run: Option<String>,
    received: mpsc::UnboundedReceiver<Event>,
    reader: tokio::task::JoinHandle<()>,
}

impl Events {
    /// From now on.
    pub(super) async fn subscribe(line: &Line) -> Result<Self, Error> {
        let heard = Heard::over(line.proxy(), line.is_bus()).await?;
        let between = VecDeque::new();
        Ok(Self { line: line.clone(), heard, between, last: None, missed: 0, limit: NEXT })
    }

    /// For whoever only looks on: where a bus tells when there is a daemon again, that is waited for, since
    /// the system's leaves when it has nothing to do.
    pub(crate) fn patiently(mut self) -> Self {
        if self.line.is_bus() {
            self.limit = Duration::MAX;
        }
        self
    }

    /// One that is there already.
    pub(crate) fn ready(&mut self) -> Option<Event> {
        loop {
            let event = self.between.pop_front().or_else(|| self.heard.received.try_recv().ok())?;
            if let Some(event) = self.count(event) {
                return Some(event);
            }
        }
    }

    /// The next one, or that another daemon is followed from now on, which may have nothing to tell;
    /// `None` when the daemon has gone.
    pub(crate) async fn next(&mut self) -> Option<Next> {
        loop {
            if let Some(event) = self.ready() {
                return Some(Next::Event(event));
            }
            match self.heard.received.recv().await {
                Some(event) => self.between.push_back(event),
                None if self.again().await? => return Some(Next::Another),
                None => {}
            }
        }
    }

    /// Whether the daemon has gone, where it did not answer a call: its events end a moment later.
    pub(crate) async fn is_cut(&mut self) -> bool {
        let reader = &mut self.heard.reader;
        reader.is_finished() || tokio::time::timeout(CUT, reader).await.is_ok()
    }

    /// How many were missed since this was last asked: thousands at once are more than the daemon
    /// keeps for anybody. What is known of services is to be asked for anew then.
    pub(crate) fn missed(&mut self) -> u64 {
        std::mem::take(&mut self.missed)
    }

    /// That all up to this one are known already.
    pub(crate) fn skip_to(&mut self, seq: u64) {
        self.last = self.last.max(Some(seq));
    }

    /// Follows the daemon that comes after the one that has gone, and whether that is another, and not
    /// the same one that executed its program anew; `None`: there is none.
    async fn again(&mut self) -> Option<bool> {
        let proxy = self.line.next_daemon(&self.heard.proxy, self.limit, LOOK).await?;
        let heard = Heard::over(proxy.clone(), self.line.is_bus()).await.ok()?;
        let is_another = heard.run.is_none() || heard.run != self.heard.run;
        if is_another {
            self.last = None;
        }
        self.heard = heard;
        // What it kept, and what comes from now on: those in both are given out once.
        let kept = soon(proxy.recent_events()).await.unwrap_or_default();
        self.between = kept.iter().filter_map(|dict| from_dict(dict).ok()).collect();
        Some(is_another)
    }

    /// Counts one that is to be given out; `None`: it was.
    fn count(&mut self, event: Event) -> Option<Event> {
        if self.last.is_some_and(|last| event.seq <= last) {
            return None;
        }
        let gap = self.last.map_or(0, |last| event.seq.saturating_sub(last.saturating_add(1)));
        self.missed = self.missed.saturating_add(gap);
        self.last = Some(event.seq);
        Some(event)
    }
}

impl Heard {
    async fn over(proxy: Proxy, bus: bool) -> Result<Self, Error> {
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
        let mut heard = Self { proxy, run: None, received, reader };
        soon(heard.proxy.subscribe()).await.map_err(failed)?;
        heard.run = soon(heard.proxy.run()).await.ok();
        Ok(heard)
    }
}

impl Drop for Heard {
    fn drop(&mut self) {
        self.reader.abort();
    }
}
