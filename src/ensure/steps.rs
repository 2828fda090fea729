//! What is done about what was seen.

use tokio::time::Instant;

use super::look::Seen;
use super::{Ensured, Run, launch};
use crate::act::{self, ActError};
use crate::client::what;
use crate::decide::decide;
use crate::error::Error;
use crate::model::{Action, Availability, AvailabilityState, Facts, Means, OwnerFacts, Plan, Request, Stopper, Target};
use crate::observe::{Want, sockets};
use crate::wait::runs;

impl Run<'_> {
    pub(super) async fn act(&self, seen: Seen) -> Result<Ensured, Error> {
        match seen {
            Seen::Good(found) => Ok(self.good(found, false, Means::Probe, "it is available")),
            Seen::Nothing(error) if self.options.command.is_empty() => Err(error),
            Seen::Nothing(_) => self.launch().await,
            // What was started by hand and does not run says nothing against another command.
            Seen::Idle(at) if !self.options.command.is_empty() && is_ad_hoc(&at.0.owners[at.1]) => self.launch().await,
            Seen::Idle(at) => self.through_plan(&at.0, &at.0.owners[at.1], Action::Start).await,
            Seen::Running(at, found) => self.wait_or_restart(*at, found).await,
        }
    }

    /// Starts or restarts by the means that the decision names, then waits.
    async fn through_plan(&self, facts: &Facts, owner: &OwnerFacts, action: Action) -> Result<Ensured, Error> {
        let request =
            Request { sudo: self.options.sudo, ask_password: self.options.ask_password, ..Request::new(action) };
        let plan = decide(facts, owner, &request);
        if self.options.dry_run {
            return Ok(self.would(&plan));
        }
        let run = match action {
            Action::Restart => Run { since: Instant::now(), ..self.clone() },
            _ => self.clone(),
        };
        let options = act::Options { no_block: false, timeout: Some(run.left()) };
        match self.client.act(&plan, options).await {
            Ok(_) => {
                let verb = if action == Action::Start { "started" } else { "restarted" };
                run.wait_started(plan.means, &format!("it was {verb}: {}", plan.reason)).await
            }
            // Where nothing is allowed, somebody else may still bring it up.
            Err(ActError::NotPermitted(why)) => run.wait_for_others(&plan, &why).await,
            Err(ActError::Stopped { reason, stopper: Stopper::NotPermitted }) => {
                run.wait_for_others(&plan, &reason).await
            }
            Err(error) => Err(error.into()),
        }
    }

    fn would(&self, plan: &Plan) -> Ensured {
        let reason = format!("would {} it by {}, {}: {}", plan.action, plan.means, plan.verdict, plan.reason);
        Ensured { means: plan.means, ..self.bad(Availability::unknown(""), 0, reason, plan.unlock.clone()) }
    }

    async fn wait_started(&self, means: Means, reason: &str) -> Result<Ensured, Error> {
        let found = self.wait(None).await?;
        if matches!(found.state, AvailabilityState::Available | AvailabilityState::Unknown) {
            return Ok(self.good(found, true, means, reason));
        }
        let late = format!("{reason}; it is {} after {} ({})", found.state, self.limit(), found.detail);
        Ok(Ensured { started: true, means, ..self.bad(found, 7, late, None) })
    }

    async fn wait_for_others(&self, plan: &Plan, why: &str) -> Result<Ensured, Error> {
        let found = self.wait(None).await?;
        if found.state == AvailabilityState::Available {
            let reason = format!("you may not {} it ({why}), but it became available", plan.action);
            return Ok(self.good(found, false, Means::Probe, &reason));
        }
        let reason = format!(
            "it does not run, you may not {} it ({why}), and nobody else did within {}",
            plan.action,
            self.limit()
        );
        Ok(self.bad(found, 4, reason, plan.unlock.clone()))
    }

    fn limit(&self) -> String {
        humantime::format_duration(self.options.timeout).to_string()
    }

    /// It runs and does not answer: loading has the load timeout, everything else the timeout.
    async fn wait_or_restart(&self, at: (Facts, usize), found: Availability) -> Result<Ensured, Error> {
        if self.options.dry_run {
            let reason = format!("it runs and is {} ({}): would wait {}", found.state, found.detail, self.limit());
            return Ok(self.bad(found, 0, reason, None));
        }
        let found = self.wait(None).await?;
        match found.state {
            AvailabilityState::Available | AvailabilityState::Unknown => {
                Ok(self.good(found, false, Means::Probe, "it ran already and became available"))
            }
            AvailabilityState::Starting => {
                let limit = humantime::format_duration(self.options.load_timeout);
                let reason = format!("it is still loading after {limit} ({})", found.detail);
                if self.options.restart {
                    return self.through_plan(&at.0, &at.0.owners[at.1], Action::Restart).await;
                }
                Ok(self.bad(
                    found,
                    7,
                    reason,
                    Some("--restart restarts it then; --load-timeout waits longer".to_owned()),
                ))
            }
            AvailabilityState::Unavailable if self.options.restart => {
                self.through_plan(&at.0, &at.0.owners[at.1], Action::Restart).await
            }
            AvailabilityState::Unavailable => {
                let reason = format!("it runs and does not answer within {} ({})", self.limit(), found.detail);
                Ok(self.bad(found, 7, reason, Some("--restart restarts it then, by the right means".to_owned())))
            }
        }
    }

    async fn launch(&self) -> Result<Ensured, Error> {
        let command = &self.options.command;
        if let Some(port) = self.port()
            && sockets::listeners(Some(port)).is_ok_and(|all| !all.is_empty())
        {
            let target = Target::Port(port);
            let holder = match self.client.facts(&target, &Want::default()).await {
                Ok(facts) => {
                    facts.owners.iter().map(|o| format!("{} ({})", o.exact, what(o))).collect::<Vec<_>>().join(", ")
                }
                Err(error) => error.to_string(),
            };
            let reason = format!("nothing was started: port {port} is held by {holder}");
            return Ok(self.bad(Availability::unknown(""), 1, reason, Some(format!("provost inspect :{port}"))));
        }
        let shown: Vec<String> = command.iter().map(|w| crate::text::shell_quote(w)).collect();
        let word = match self.target {
            Target::Word(word) => word.clone(),
            Target::Service(id) => id.to_string(),
            other => other.to_string().rsplit(':').next().unwrap_or_default().to_owned(),
        };
        let id = launch::id_for(&word, command);
        let service = Target::Service(id.clone());
        // Two targets can lead to one id: the second waits for what the first does.
        let _lock = match *self.target == service || self.options.dry_run {
            true => None,
            false => match self.lock(&service).await? {
                Some(lock) => Some(lock),
                None => return Ok(self.busy()),
            },
        };
        let run = Run { follow: Some(service.clone()), ..self.clone() };
        if let Some(ended) = run.runs_already(&service).await? {
            return Ok(ended);
        }
        if self.options.dry_run {
            let reason = format!(
                "nothing by that name runs: would start {} as {service}, supervised by provost",
                shown.join(" ")
            );
            return Ok(Ensured { means: Means::OwnService, ..self.bad(Availability::unknown(""), 0, reason, None) });
        }
        launch::check_program(command.first().map(String::as_str).unwrap_or_default())?;
        let why = match run.supervised(&id, &shown.join(" ")).await? {
            Ok(ended) => return Ok(ended),
            Err(why) => why,
        };
        let mut launched = launch::launch(self.client.observer(), &id, command)?;
        let (pid, output) = (launched.child.id(), launched.log.display());
        let found = run.wait(Some(&mut launched.child)).await?;
        let started =
            format!("started {} as {id}, pid {pid}, not supervised ({why}); its output: {output}", shown.join(" "));
        if matches!(found.state, AvailabilityState::Available | AvailabilityState::Unknown) {
            return Ok(self.good(found, true, Means::OwnService, &started));
        }
        let (code, reason) = match launched.child.try_wait() {
            Ok(Some(status)) => {
                (1, format!("{}, pid {pid}, {}; its output: {output}", shown.join(" "), launch::ended(status)))
            }
            _ => (7, format!("{started}; it is {} after {} ({})", found.state, self.limit(), found.detail)),
        };
        Ok(Ensured { started: true, means: Means::OwnService, ..self.bad(found, code, reason, None) })
    }

    /// What is recorded under the id that the command would get, and runs: it is not started twice.
    async fn runs_already(&self, service: &Target) -> Result<Option<Ensured>, Error> {
        let facts = match self.client.facts(service, &Want::default()).await {
            Ok(facts) => facts,
            Err(Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let Some(process) = facts.owners.iter().find(|o| runs(o)).and_then(|o| o.processes.first()) else {
            return Ok(None);
        };
        let ended = match self.look(true).await? {
            Seen::Good(found) => self.good(found, false, Means::Probe, "it is available"),
            Seen::Running(at, found) => self.wait_or_restart(*at, found).await?,
            Seen::Idle(_) | Seen::Nothing(_) => return Ok(None),
        };
        let reason = format!("it runs already as {service}, pid {}: {}", process.pid(), ended.reason);
        Ok(Some(Ensured { reason, ..ended }))
    }

    /// The port that the command will want: the target's, or what a known server's command line says.
    fn port(&self) -> Option<u16> {
        match self.target {
            Target::Port(port) => Some(*port),
            _ => self.client.observer().known().ok()?.port_of(&self.options.command),
        }
    }
}

/// A service that is in no config.
fn is_ad_hoc(owner: &OwnerFacts) -> bool {
    owner.service.as_ref().is_some_and(|service| service.report.project.is_none())
}
