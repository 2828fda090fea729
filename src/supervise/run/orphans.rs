//! Orphans: asked for here, found and ended by [`crate::registry::orphans`].

use super::commands::reply;
use super::{Done, Supervisor};
use crate::backend::Marked;
use crate::observe::{Observer, Units};
use crate::registry::Record;
use crate::registry::orphans::{self, Search};
use crate::supervise::{Answer, Orphan, OrphanQuery, OrphansCleaned, Refusal};

/// Who asked, and for what.
#[derive(Debug)]
pub(super) enum Wanted {
    Find(OrphanQuery, Answer<Vec<Orphan>>),
    Clean(OrphanQuery, bool, Answer<OrphansCleaned>),
}

impl Supervisor {
    /// Asks the managers and backends, which takes a while; [`Supervisor::found`] does the rest.
    pub(super) fn orphans(&self, wanted: Wanted) {
        let (backends, tell) = (self.backends.clone(), self.tell.clone());
        tokio::task::spawn_local(async move {
            let failed = |error: String| Refusal::Failed(format!("orphans cannot be looked for: {error}"));
            let look = async || {
                let observer = Observer::new(Units::Both).await.map_err(|error| failed(error.to_string()))?;
                let mut marked = Vec::new();
                for backend in backends.all() {
                    marked.extend(backend.marked().await.map_err(|error| failed(error.to_string()))?);
                }
                Ok((observer, marked))
            };
            match (look().await, wanted) {
                (Ok((observer, marked)), wanted) => {
                    let _ = tell.send(Done::Looked(Box::new((observer, marked, wanted))));
                }
                (Err(refusal), Wanted::Find(_, answer)) => reply(answer, Err(refusal)),
                (Err(refusal), Wanted::Clean(_, _, answer)) => reply(answer, Err(refusal)),
            }
        });
    }

    /// With the records as they are at this moment: what was started while the backends were
    /// asked is no orphan.
    pub(super) fn found(&self, observer: Observer, marked: &[Marked], wanted: Wanted) {
        let records: Vec<Record> = self.services.values().map(|service| service.record().clone()).collect();
        let elsewhere = orphans::elsewhere(&self.places);
        let find = |names: &[String]| {
            let search = Search {
                observer: &observer,
                instance: Some(&self.instance_id),
                records: &records,
                elsewhere: &elsewhere,
                daemon: Some(std::process::id()),
                marked,
                names,
            };
            search.find()
        };
        match wanted {
            Wanted::Find(query, answer) => {
                let configured = self.projects.values().flat_map(|project| project.orphans.iter().cloned());
                let mut names: Vec<String> = query.names.into_iter().chain(configured).collect();
                if names.is_empty() {
                    names = orphans::programs(records.iter().map(|record| &record.spec));
                }
                reply(answer, Ok(find(&names)));
            }
            // Ended is only what carries the mark, or was named by whoever asks.
            Wanted::Clean(query, force, answer) => {
                let ends = orphans::to_clean(find(&query.names), !query.names.is_empty());
                tokio::task::spawn_local(async move {
                    reply(answer, Ok(orphans::clean(observer.proc(), &ends, force).await));
                });
            }
        }
    }
}
