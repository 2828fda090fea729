//! The known servers that run on this host, and what provost started: for the overview.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::observer::{Observer, Want};
use super::{owners, records, supervised};
use crate::error::Error;
use crate::join::join_all;
use crate::model::{Availability, Facts, OwnerFacts};

/// As many owners as are asked for an answer; so many connections are open at once.
const ASKED: usize = 64;
/// The time for all of them together.
const TIME: Duration = Duration::from_secs(2);

impl Observer {
    /// The owners of every process that is a known server, and of every own service.
    pub async fn servers(&self, want: &Want) -> Result<Facts, Error> {
        let known = self.known()?;
        let mut pids = Vec::new();
        for pid in self.proc().pids().unwrap_or_default() {
            // The command line alone tells most processes apart from servers, at one small file each.
            let Ok(cmdline) = self.proc().cmdline(pid) else { continue };
            if known.recognises(&cmdline) && pid != std::process::id() {
                pids.push(pid);
            }
        }
        pids.extend(records::running(self).iter().filter_map(|r| Some(r.identity?.pid)));
        pids.sort_unstable();
        pids.dedup();
        let found = super::resolve::Found::Processes(pids);
        // One owner after the other is described: a server that hangs would hold up all behind it.
        let mut owners = owners::describe(self, found, &Want { probe: false, ..want.clone() }).await;
        for service in supervised::all(self).await {
            let id = &service.report.id;
            if !owners.iter().any(|owner| owner.service.as_ref().is_some_and(|known| known.report.id == *id)) {
                let found = super::resolve::Found::Service(Box::new(service));
                owners.extend(owners::describe(self, found, &Want { probe: false, ..want.clone() }).await);
            }
        }
        self.ask_all(&mut owners, want).await;
        Ok(self.complete(String::new(), owners).await)
    }

    /// Asks all owners at once whether they answer.
    async fn ask_all(&self, owners: &mut [OwnerFacts], want: &Want) {
        if !want.probe {
            return;
        }
        let deadline = Instant::now() + TIME;
        let answers = join_all(owners.iter().take(ASKED).map(|owner| async move {
            let late = || Some(Availability::unknown(format!("it did not answer within {} s", TIME.as_secs())));
            timeout_at(deadline, self.availability(owner, want)).await.unwrap_or_else(|_| late())
        }))
        .await;
        for (owner, answer) in owners.iter_mut().zip(answers) {
            owner.availability = answer;
        }
        for owner in owners.iter_mut().skip(ASKED) {
            owner.availability = Some(Availability::unknown(format!("only the first {ASKED} are asked")));
        }
    }
}
