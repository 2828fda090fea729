//! The library's front: one value that reads the host, decides and acts, as the verbs do.

use std::time::Duration;

use crate::act::{self, ActError, Done};
use crate::decide::{decide, decide_all};
use crate::error::Error;
use crate::model::{Action, Availability, Facts, InspectReport, OwnerFacts, Plan, Request, Target};
use crate::observe::{Observer, Units, Want};
use crate::probe;

/// A view of this host. Connections to the bus are made when first needed and kept, so use one
/// for several requests.
///
/// Needs a tokio runtime with its drivers enabled.
#[derive(Debug)]
pub struct Client {
    observer: Observer,
}

impl Client {
    /// Looks at the host and at the caller; asks nobody yet.
    pub async fn new() -> Result<Self, Error> {
        Self::with_units(Units::Both).await
    }

    /// The same; bare words are looked up among these units only.
    pub async fn with_units(units: Units) -> Result<Self, Error> {
        Ok(Self { observer: Observer::new(units).await? })
    }

    /// What reads the host.
    pub fn observer(&self) -> &Observer {
        &self.observer
    }

    /// Everything about a target.
    pub async fn facts(&self, target: &Target, want: &Want) -> Result<Facts, Error> {
        self.observer.facts(target, want).await
    }

    /// Who owns the target, what it serves, and what the caller may do with it.
    pub async fn inspect(&self, target: &Target) -> Result<InspectReport, Error> {
        let want = Want { actions: Action::ALL.to_vec(), probe: true, suggest: true, ..Want::default() };
        let facts = self.facts(target, &want).await?;
        let like = Request::new(Action::Stop);
        let plans: Vec<Vec<Plan>> = facts.owners.iter().map(|o| decide_all(&facts, o, &like)).collect();
        Ok(InspectReport::new(&facts, &plans))
    }

    /// How a request would be carried out: one plan an owner, with the exact target of each. A
    /// bare word that leads to several owners is [`Error::Ambiguous`], unless `all` is set.
    pub async fn plan(&self, target: &Target, request: &Request, all: bool) -> Result<Vec<(String, Plan)>, Error> {
        let mut facts = self.facts(target, &Want { suggest: true, ..Want::request(request) }).await?;
        if !all {
            service_first(&mut facts);
        }
        let globbed = matches!(target, Target::Word(word) if word.contains(['*', '?', '[']))
            && facts.owners.iter().all(|owner| owner.service.is_some());
        if facts.owners.len() > 1 && !all && !target.is_pattern() && !globbed && !are_instances(&facts, target) {
            let choices = facts.owners.iter().map(|o| (o.exact.clone(), what(o))).collect();
            return Err(Error::Ambiguous { target: crate::text::clip(&facts.target), choices });
        }
        let plans = facts.owners.iter().map(|owner| (owner.exact.clone(), decide(&facts, owner, request)));
        Ok(plans.collect())
    }

    /// Carries a plan out.
    pub async fn act(&self, plan: &Plan, options: act::Options) -> Result<Done, ActError> {
        act::carry_out(&self.observer, plan, options).await
    }

    /// Carries plans out of which each is one step of the same action, for the same daemon.
    pub(crate) async fn act_together(&self, plans: &[&Plan], options: act::Options) -> Vec<Result<Done, ActError>> {
        act::carry_out_together(&self.observer, plans, options).await
    }

    /// Plans and carries out, for each owner of the target; the first error ends it.
    pub async fn change(&self, target: &Target, request: &Request) -> Result<Vec<Done>, Error> {
        let mut done = Vec::new();
        for (_, plan) in self.plan(target, request, false).await? {
            done.push(self.act(&plan, act::Options::default()).await?);
        }
        Ok(done)
    }

    /// Whether the target answers. The first owner counts, or the first that is available.
    pub async fn probe(&self, target: &Target, timeout: Duration) -> Result<Availability, Error> {
        let facts = self.facts(target, &Want { suggest: true, ..Want::default() }).await?;
        let options = probe::Options { timeout, ..probe::Options::default() };
        let mut first = None;
        for owner in &facts.owners {
            let found = self.observer.probe_owner(owner, target, &options).await?;
            if found.state == crate::model::AvailabilityState::Available {
                return Ok(found);
            }
            first.get_or_insert(found);
        }
        Ok(first.unwrap_or_else(|| Availability::unknown("nothing runs")))
    }
}

/// The first meaning of a bare word is the id of a service: where it is one, it is meant.
fn service_first(facts: &mut Facts) {
    let named = |owner: &OwnerFacts| owner.service.is_some() && owner.named;
    if facts.owners.iter().any(named) {
        facts.owners.retain(named);
    }
}

/// Whether all of them are instances of the one service that was named.
fn are_instances(facts: &Facts, target: &Target) -> bool {
    let word = match target {
        Target::Word(word) => word.as_str(),
        Target::Service(id) => id.as_str(),
        _ => return false,
    };
    let group = |owner: &OwnerFacts| owner.service.as_ref()?.report.instance_of.clone();
    facts.owners.iter().all(|owner| group(owner).is_some_and(|group| group.as_str() == word))
}

/// An owner in a few words, for lists to choose from.
pub(crate) fn what(owner: &OwnerFacts) -> String {
    let command = owner.processes.first().map(|p| crate::text::clip(&p.command()));
    let user = owner.user.as_deref().unwrap_or("?");
    let kind = match owner.owner.kind() {
        "system-unit" => "a system unit".to_owned(),
        "user-unit" => format!("a user unit of {user}"),
        "session" => format!("a process in a session of {user}"),
        "bare" => format!("a process of {user}"),
        "own-service" if owner.service.is_some() => "a service of provost".to_owned(),
        "own-service" => "started by provost".to_owned(),
        other => format!("a {other}"),
    };
    match command {
        Some(command) => format!("{kind}: {command}"),
        None => format!("{kind}, not running"),
    }
}
