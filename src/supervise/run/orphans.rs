//! Orphans: asked for here, found and ended by [`crate::registry::orphans`].

use std::rc::Rc;

use super::commands::reply;
use super::{Done, Supervisor};
use crate::backend::Marked;
use crate::observe::{Observer, Units};
use crate::registry::Record;
use crate::registry::orphans::{self, Look, Search};
use crate::supervise::{Answer, Orphan, OrphanQuery, OrphansCleaned, Refusal};

/// Who asked, and for what.
#[derive(Debug)]
pub(super) enum Wanted {
    Find(OrphanQuery, Answer<Vec<Orphan>>),
    Clean(OrphanQuery, bool, Answer<OrphansCleaned>),
}

/// What was seen for somebody.
pub(super) struct Looked {
    seen: Seen,
    wanted: Wanted,
}

struct Seen {
    observer: Observer,
    marked: Vec<Marked>,
    names: Vec<String>,
    look: Look,
}

impl Wanted {
    fn is_over(&self) -> bool {
        match self {
            Self::Find(_, answer) => answer.is_closed(),
            Self::Clean(_, _, answer) => answer.is_closed(),
        }
    }
}

impl Supervisor {
    /// Asks the managers and backends, and reads all of /proc on a thread of its own, one search
    /// after another; [`Supervisor::found`] does the rest.
    pub(super) fn orphans(&self, wanted: Wanted) {
        let (backends, tell, searches) = (self.backends.clone(), self.tell.clone(), Rc::clone(&self.searches));
        let (names, instance) = (self.names(&wanted), self.instance_id.clone());
        crate::tasks::spawn_local(async move {
            let _turn = searches.acquire().await;
            if wanted.is_over() {
                return;
            }
            let failed = |error: String| Refusal::Failed(format!("orphans cannot be looked for: {error}"));
            let look = async || {
                let observer = Observer::new(Units::Both).await.map_err(|error| failed(error.to_string()))?;
                let mut marked = Vec::new();
                for backend in backends.all() {
                    marked.extend(backend.marked().await.map_err(|error| failed(error.to_string()))?);
                }
                let see = tokio::task::spawn_blocking(move || {
                    let look = search(&observer, &instance, &[], &[], &marked, &names).look();
                    Seen { observer, marked, names, look }
                });
                see.await.map_err(|error| failed(error.to_string()))
            };
            match (look().await, wanted) {
                (Ok(seen), wanted) => {
                    let _ = tell.send(Done::Looked(Box::new(Looked { seen, wanted })));
                }
                (Err(refusal), Wanted::Find(_, answer)) => reply(answer, Err(refusal)),
                (Err(refusal), Wanted::Clean(_, _, answer)) => reply(answer, Err(refusal)),
            }
        });
    }

    /// The names that are looked for. What is ended is only what carries the mark, or was named by
    /// whoever asks.
    fn names(&self, wanted: &Wanted) -> Vec<String> {
        let query = match wanted {
            Wanted::Clean(query, ..) => return query.names.clone(),
            Wanted::Find(query, _) => query,
        };
        let configured = self.projects.values().flat_map(|project| &project.orphans);
        let names: Vec<String> = query.names.iter().chain(configured).cloned().collect();
        if !names.is_empty() {
            return names;
        }
        let records: Vec<Record> = self.services.values().map(|service| service.record().clone()).collect();
        orphans::programs(records.iter().map(|record| &record.spec))
    }

    /// With the records as they are at this moment: what was started while the processes were
    /// looked at is no orphan.
    pub(super) fn found(&self, Looked { seen, wanted }: Looked) {
        let Seen { observer, marked, names, look } = seen;
        let records: Vec<Record> = self.services.values().map(|service| service.record().clone()).collect();
        let elsewhere = orphans::elsewhere(&self.places);
        let found = search(&observer, &self.instance_id, &records, &elsewhere, &marked, &names).judge(look);
        match wanted {
            Wanted::Find(query, answer) => {
                // What somebody looks for by a name of their own is nobody else's news.
                if query.names.is_empty() {
                    let orphans = found.iter().filter(|one| one.orphan).map(|one| one.identity);
                    self.shared.note_orphans(orphans.collect());
                }
                reply(answer, Ok(found));
            }
            Wanted::Clean(query, force, answer) => {
                let ends = orphans::to_clean(found, !query.names.is_empty());
                crate::tasks::spawn_local(async move {
                    reply(answer, Ok(orphans::clean(observer.proc(), &ends, force).await));
                });
            }
        }
    }
}

fn search<'a>(
    observer: &'a Observer,
    instance: &'a str,
    records: &'a [Record],
    elsewhere: &'a [Record],
    marked: &'a [Marked],
    names: &'a [String],
) -> Search<'a> {
    let daemon = Some(std::process::id());
    Search { observer, instance: Some(instance), records, unread: &[], elsewhere, daemon, marked, names }
}
