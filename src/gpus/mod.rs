//! GPUs, and who holds them: what the driver's library says, and the owners of those processes.

mod nvml;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::client::Client;
use crate::decide::decide;
use crate::error::Error;
use crate::gather::Arrange as _;
use crate::model::{Action, Facts, Gpu, GpuHolder, GpuReport, OwnerFacts, Request, Target};
use crate::observe::Want;

/// What the driver says of one GPU.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Card {
    id: String,
    uuid: Option<String>,
    name: Option<String>,
    /// Total, used, free.
    memory: Option<(u64, u64, u64)>,
    /// Pids, each with its memory.
    holders: BTreeMap<u32, Option<u64>>,
    notes: Vec<String>,
}

/// The GPUs of this host with who holds each. `library` is the path of NVML; without one it is
/// looked for where drivers put it.
///
/// # Errors
/// The host cannot be read. That there is no GPU, or no driver, is said in the report.
pub async fn gpus(client: &Client, library: Option<&Path>) -> Result<GpuReport, Error> {
    let library = library.map(Path::to_owned);
    // The driver may take its time when nobody has woken it.
    let cards = tokio::task::spawn_blocking(move || nvml::cards(library.as_deref())).await;
    let cards = match cards {
        Ok(Ok(cards)) => cards,
        Ok(Err(missing)) => return Ok(GpuReport { gpus: Vec::new(), missing: Some(missing) }),
        Err(error) => {
            let source = std::io::Error::other(error);
            return Err(Error::Io { what: "the driver's library".to_owned(), source });
        }
    };
    let mut holders = Holders { client, owners: BTreeMap::new() };
    let mut gpus = Vec::new();
    for card in cards {
        let mut all = Vec::new();
        for (pid, memory) in card.holders {
            all.push(holders.holder(pid, memory).await);
        }
        all.arrange_by_key(|holder| (std::cmp::Reverse(holder.memory), holder.pid));
        gpus.push(Gpu {
            id: card.id,
            uuid: card.uuid,
            name: card.name,
            memory_total: card.memory.map(|(total, ..)| total),
            memory_used: card.memory.map(|(_, used, _)| used),
            memory_free: card.memory.map(|(.., free)| free),
            holders: all,
            notes: card.notes,
        });
    }
    let missing = gpus.is_empty().then(|| "the NVIDIA driver runs, and sees no GPU".to_owned());
    Ok(GpuReport { gpus, missing })
}

/// Where drivers put the library, besides where the loader looks: NixOS, and Linux on Windows.
fn places() -> Vec<PathBuf> {
    ["libnvidia-ml.so.1", "/run/opengl-driver/lib/libnvidia-ml.so.1", "/usr/lib/wsl/lib/libnvidia-ml.so.1"]
        .map(PathBuf::from)
        .to_vec()
}

/// Looks up processes; the owner of several is asked about once.
struct Holders<'a> {
    client: &'a Client,
    owners: BTreeMap<String, GpuHolder>,
}

impl Holders<'_> {
    async fn holder(&mut self, pid: u32, memory: Option<u64>) -> GpuHolder {
        let unknown = GpuHolder {
            pid,
            memory,
            command: None,
            user: None,
            kind: None,
            owner: None,
            service: None,
            means: None,
            verdict: None,
            reason: None,
        };
        // A process that went away meanwhile, or is out of sight, is said as it is.
        let want = Want::action(Action::Stop);
        let Ok(facts) = self.client.facts(&Target::Pid(pid), &want).await else { return unknown };
        let Some(owner) = facts.owners.first() else { return unknown };
        let process = owner.processes.iter().find(|process| process.pid() == pid);
        let known = match self.owners.get(&owner.exact) {
            Some(known) => known.clone(),
            None => {
                let known = self.stopped(&facts, owner, &unknown).await;
                self.owners.insert(owner.exact.clone(), known.clone());
                known
            }
        };
        GpuHolder { pid, memory, command: process.map(|process| process.comm.clone()), ..known }
    }

    /// How the owner as a whole would be stopped.
    async fn stopped(&self, facts: &Facts, owner: &OwnerFacts, unknown: &GpuHolder) -> GpuHolder {
        let request = Request::new(Action::Stop);
        // Named itself: of a part it would be asked first what is meant.
        let whole = match owner.exact.parse::<Target>() {
            Ok(target) => self.client.facts(&target, &Want::action(Action::Stop)).await.ok(),
            Err(_) => None,
        };
        let plan = match whole.as_ref().and_then(|facts| Some((facts, facts.owners.first()?))) {
            Some((facts, owner)) => decide(facts, owner, &request),
            None => decide(facts, owner, &request),
        };
        GpuHolder {
            user: owner.user.clone(),
            kind: Some(owner.owner.kind()),
            owner: Some(owner.exact.clone()),
            service: owner.service.as_ref().map(|service| service.report.id.to_string()),
            means: Some(plan.means),
            verdict: Some(plan.verdict),
            reason: Some(plan.reason),
            ..unknown.clone()
        }
    }
}
