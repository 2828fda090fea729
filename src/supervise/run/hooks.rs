//! Commands that follow events: `on = { failed = […] }`. Bounded in number and time; what becomes of
//! them is only logged, or an event would follow an event.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::Supervisor;
use crate::backend::Use;
use crate::model::ServiceId;
use crate::model::service::Event;
use crate::supervise::readiness::{self, Commands};

/// How long one may take.
const LONGEST: Duration = Duration::from_secs(30);
/// So many run at the same time.
const AT_ONCE: usize = 8;
/// So many wait for that; more are left out.
const WAITING: usize = 256;

/// Those of all services.
pub(super) struct Hooks {
    turns: Rc<Semaphore>,
    queue: Rc<Queue>,
}

impl Default for Hooks {
    fn default() -> Self {
        Self { turns: Rc::new(Semaphore::new(AT_ONCE)), queue: Rc::default() }
    }
}

/// Those that wait for their turn.
#[derive(Default)]
struct Queue {
    waiting: Cell<usize>,
    /// How many were left out since it was empty.
    left_out: Cell<usize>,
}

impl Queue {
    /// Whether one more may wait. One that may not is counted, and the first of them said.
    fn enter(&self, id: &ServiceId) -> bool {
        if self.waiting.get() < WAITING {
            self.waiting.set(self.waiting.get() + 1);
            return true;
        }
        if self.left_out.get() == 0 {
            tracing::warn!("{id}: {WAITING} commands of events wait already: this one is left out, and more may be");
        }
        self.left_out.set(self.left_out.get() + 1);
        false
    }

    /// One has its turn.
    fn leave(&self) {
        self.waiting.set(self.waiting.get() - 1);
        if self.waiting.get() == 0
            && let number @ 1.. = self.left_out.take()
        {
            tracing::warn!("commands of events that were left out: {number}; their events were told all the same");
        }
    }
}

/// The place of one in the queue.
struct Place(Rc<Queue>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.leave();
    }
}

impl Supervisor {
    /// What this event is followed by.
    pub(super) fn call_hooks(&mut self, event: &Event) {
        let Some(service) = self.services.get(&event.id) else { return };
        let record = service.record();
        if record.spec.on.is_empty() {
            return;
        }
        let names: Vec<&str> =
            ["any", event.kind.name()].into_iter().filter(|name| record.spec.on.contains_key(*name)).collect();
        if names.is_empty() {
            return;
        }
        let queue = Rc::clone(&self.hooks.queue);
        // What is left out costs nothing more.
        let names: Vec<&str> = names.into_iter().filter(|_| queue.enter(&event.id)).collect();
        let mut places: Vec<Place> = names.iter().map(|_| Place(Rc::clone(&queue))).collect();
        if names.is_empty() {
            return;
        }
        let mut resolved = match self.resolve(&record) {
            Ok(resolved) => resolved,
            Err(why) => return tracing::warn!("{}: on.{}: {why}", event.id, names[0]),
        };
        let env = self.environment(&record, resolved.env);
        let mut text = serde_json::to_vec(event).unwrap_or_default();
        text.push(b'\n');
        for name in names {
            let Some((argv, shown)) = resolved.on.remove(name) else { continue };
            let within = (env.clone(), resolved.cwd.clone());
            let commands = match self.commands_with(&record, Use::Hook, within, text.clone()) {
                Ok(commands) => commands,
                Err(why) => return tracing::warn!("{}: on.{name}: {why}", event.id),
            };
            let (turns, place) = (Rc::clone(&self.hooks.turns), places.pop());
            let (id, text, name) = (event.id.clone(), text.clone(), name.to_owned());
            crate::tasks::spawn_local(async move {
                let turn = turns.acquire().await;
                drop(place);
                let done = match &commands {
                    Commands::Children(env, cwd) => {
                        readiness::run_with(&argv, &shown, &text, LONGEST, (env, cwd.as_path())).await
                    }
                    Commands::Bounded(_) => readiness::run(argv, shown, LONGEST, &commands).await,
                };
                drop(turn);
                if let Err(why) = done {
                    tracing::warn!("{id}: on.{name}: {why}");
                }
            });
        }
    }
}
