//! The known servers that run on this host, and what provost started: for the overview.

use super::observer::{Observer, Want};
use super::{owners, records};
use crate::error::Error;
use crate::model::Facts;

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
        pids.extend(records::running(self).iter().map(|r| r.identity.pid));
        pids.sort_unstable();
        pids.dedup();
        let found = super::resolve::Found::Processes(pids);
        let owners = owners::describe(self, found, want).await;
        Ok(self.complete(String::new(), owners).await)
    }
}
