//! Commands that follow events: `on = { failed = […] }`. Bounded in number and time; what becomes of
//! them is only logged, or an event would follow an event.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::Supervisor;
use crate::backend::Use;
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
    waiting: Rc<Cell<usize>>,
    /// Of those that were left out since one was not.
    left_out: usize,
}

impl Default for Hooks {
    fn default() -> Self {
        Self { turns: Rc::new(Semaphore::new(AT_ONCE)), waiting: Rc::default(), left_out: 0 }
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
        if self.hooks.waiting.get() >= WAITING {
            self.hooks.left_out += 1;
            if self.hooks.left_out == 1 {
                tracing::warn!("{}: {WAITING} commands of events wait already: this one is left out", event.id);
            }
            return;
        }
        self.hooks.left_out = 0;
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
            let (turns, waiting) = (Rc::clone(&self.hooks.turns), Rc::clone(&self.hooks.waiting));
            let (id, text) = (event.id.clone(), text.clone());
            waiting.set(waiting.get() + 1);
            let name = name.to_owned();
            crate::tasks::spawn_local(async move {
                let turn = turns.acquire().await;
                waiting.set(waiting.get() - 1);
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
