//! Makes sure that something is available: does nothing if it is, starts what is there and not
//! running, waits for what is loading, and restarts only when told to.

mod launch;
mod lock;

use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use crate::act::{self, ActError};
use crate::client::{Client, what};
use crate::decide::decide;
use crate::error::Error;
use crate::model::{Action, Availability, AvailabilityState, Facts, Means, OwnerFacts, Plan, Request, Target};
use crate::observe::{Want, sockets};
use crate::probe::{self, ProbeSpec, Subject};
use crate::wait::runs;

/// What is wanted of [`ensure`].
#[derive(Debug, Clone)]
pub struct Options {
    /// How long to wait until it is available.
    pub timeout: Duration,
    /// How long it may say that it is still loading.
    pub load_timeout: Duration,
    /// Restart what runs and does not answer within the time.
    pub restart: bool,
    /// Say what would be done, and change nothing.
    pub dry_run: bool,
    /// sudo may be used where it asks for no password.
    pub sudo: bool,
    /// A password may be asked for.
    pub ask_password: bool,
    /// What to ask in place of what is found.
    pub probe: Option<ProbeSpec>,
    /// What to start if nothing exists.
    pub command: Vec<String>,
}

/// How it ended: the JSON of `ensure`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ensured {
    /// Whether it is available now.
    pub state: AvailabilityState,
    /// Where.
    pub url: Option<String>,
    /// This call started or restarted it.
    pub started: bool,
    /// By what means; `probe` where nothing was done.
    pub means: Means,
    /// How long it took.
    pub waited_ms: u64,
    /// In words.
    pub reason: String,
    /// What would unlock more.
    pub unlock: Option<String>,
    /// The exit code that goes with it.
    #[serde(skip)]
    pub exit_code: u8,
}

/// What was seen at one look.
enum Seen {
    /// It answers, or runs and has nothing to ask.
    Good(Availability),
    /// It runs and does not answer (yet).
    Running(Box<(Facts, usize)>, Availability),
    /// It exists and does not run.
    Idle(Box<(Facts, usize)>),
    /// Nothing like that exists.
    Nothing(Error),
}

/// One call: its clock and what it was asked.
struct Run<'a> {
    client: &'a Client,
    target: &'a Target,
    options: &'a Options,
    since: Instant,
}

/// Makes sure that the target is available.
pub async fn ensure(client: &Client, target: &Target, options: &Options) -> Result<Ensured, Error> {
    let run = Run { client, target, options, since: Instant::now() };
    if let Seen::Good(found) = run.look(true).await? {
        return Ok(run.good(found, false, Means::Probe, "it was available already"));
    }
    if options.dry_run {
        return run.act(run.look(true).await?).await;
    }
    let uid = client.observer().caller().uid;
    let lock = lock::take(uid, &target.to_string(), options.timeout)
        .await
        .map_err(|source| Error::Io { what: "the lock of this target".to_owned(), source })?;
    let Some(lock) = lock else {
        return Ok(run.bad(Availability::unknown(""), 7, "another provost still works on it", None));
    };
    match run.look(true).await? {
        Seen::Good(found) if lock.waited => {
            Ok(run.good(found, false, Means::Probe, "another provost made it available meanwhile"))
        }
        seen => run.act(seen).await,
    }
}

impl Run<'_> {
    fn waited_ms(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn good(&self, found: Availability, started: bool, means: Means, reason: &str) -> Ensured {
        let reason = match found.state {
            AvailabilityState::Available => reason.to_owned(),
            _ => format!("{reason}; it runs, and there is no address to ask"),
        };
        Ensured {
            state: found.state,
            url: found.url,
            started,
            means,
            waited_ms: self.waited_ms(),
            reason,
            unlock: None,
            exit_code: 0,
        }
    }

    fn bad(&self, found: Availability, code: u8, reason: impl Into<String>, unlock: Option<String>) -> Ensured {
        Ensured {
            state: found.state,
            url: found.url,
            started: false,
            means: Means::Probe,
            waited_ms: self.waited_ms(),
            reason: reason.into(),
            unlock,
            exit_code: code,
        }
    }

    /// `ask`: also ask the manager what the caller may do.
    async fn look(&self, ask: bool) -> Result<Seen, Error> {
        let actions = if ask { vec![Action::Start, Action::Restart] } else { Vec::new() };
        let want = Want { actions, probe: false, sudo: self.options.sudo && ask };
        let facts = match self.client.facts(self.target, &want).await {
            Ok(facts) => facts,
            Err(error @ Error::NotFound { .. }) => return self.look_at_nothing(error).await,
            Err(error) => return Err(error),
        };
        let Some(index) = facts.owners.iter().position(runs) else {
            if facts.owners.len() > 1 {
                let choices = facts.owners.iter().map(|o| (o.exact.clone(), what(o))).collect();
                return Err(Error::Ambiguous { target: crate::text::clip(&facts.target), choices });
            }
            return Ok(Seen::Idle(Box::new((facts, 0))));
        };
        let found = self.probe(&facts.owners[index]).await?;
        Ok(match found.state {
            AvailabilityState::Available => Seen::Good(found),
            AvailabilityState::Unknown => Seen::Good(found),
            _ => Seen::Running(Box::new((facts, index)), found),
        })
    }

    async fn probe(&self, owner: &OwnerFacts) -> Result<Availability, Error> {
        let options = self.probe_options();
        self.client.observer().probe_owner(owner, self.target, &options).await
    }

    fn probe_options(&self) -> probe::Options {
        let timeout = self.options.timeout.clamp(Duration::from_millis(100), Duration::from_secs(5));
        probe::Options { timeout, spec: self.options.probe.clone(), models: false }
    }

    /// No process of that name can be seen; a known server may answer all the same, from a
    /// container or another host's forwarding.
    async fn look_at_nothing(&self, error: Error) -> Result<Seen, Error> {
        let word = match self.target {
            Target::Word(word) => Some(word.as_str()),
            _ => None,
        };
        if word.is_none() && self.options.probe.is_none() {
            return Ok(Seen::Nothing(error));
        }
        let subject = Subject { processes: &[], listening: None, environ: None, word };
        let known = self.client.observer().known()?;
        let found = probe::probe(&subject, known, &self.probe_options()).await;
        Ok(match found.state {
            AvailabilityState::Available => Seen::Good(found),
            _ => Seen::Nothing(error),
        })
    }

    async fn act(&self, seen: Seen) -> Result<Ensured, Error> {
        match seen {
            Seen::Good(found) => Ok(self.good(found, false, Means::Probe, "it is available")),
            Seen::Nothing(error) if self.options.command.is_empty() => Err(error),
            Seen::Nothing(_) => self.launch().await,
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
        let options = act::Options { no_block: false, timeout: Some(self.options.timeout) };
        match self.client.act(&plan, options).await {
            Ok(_) => {
                let verb = if action == Action::Start { "started" } else { "restarted" };
                self.wait_started(plan.means, &format!("it was {verb}: {}", plan.reason)).await
            }
            // Where nothing is allowed, somebody else may still bring it up.
            Err(ActError::NotPermitted(why)) => self.wait_for_others(&plan, &why).await,
            Err(ActError::Stopped { reason, stopper: crate::model::Stopper::NotPermitted }) => {
                self.wait_for_others(&plan, &reason).await
            }
            Err(error) => Err(error.into()),
        }
    }

    fn would(&self, plan: &Plan) -> Ensured {
        let reason = format!("would {} it by {}, {}: {}", plan.action, plan.means, plan.verdict, plan.reason);
        Ensured { means: plan.means, ..self.bad(Availability::unknown(""), 0, reason, plan.unlock.clone()) }
    }

    async fn wait_started(&self, means: Means, reason: &str) -> Result<Ensured, Error> {
        let found = self.wait(self.options.timeout).await?;
        if matches!(found.state, AvailabilityState::Available | AvailabilityState::Unknown) {
            return Ok(self.good(found, true, means, reason));
        }
        let late = format!("{reason}; it is {} after {} ({})", found.state, self.limit(), found.detail);
        Ok(Ensured { started: true, means, ..self.bad(found, 7, late, None) })
    }

    async fn wait_for_others(&self, plan: &Plan, why: &str) -> Result<Ensured, Error> {
        let found = self.wait(self.options.timeout).await?;
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
        let found = self.wait(self.options.timeout).await?;
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

    /// Looks until it is available, or the time for its state is over.
    async fn wait(&self, timeout: Duration) -> Result<Availability, Error> {
        let started = Instant::now();
        let mut pause = Duration::from_millis(50);
        let mut gone = 0;
        loop {
            let found = match self.look(false).await? {
                // A unit that was only just started may have no socket yet.
                Seen::Good(found) if found.state == AvailabilityState::Unknown && self.may_serve(started) => found,
                Seen::Good(found) => return Ok(found),
                Seen::Running(_, found) => found,
                Seen::Idle(_) | Seen::Nothing(_) => {
                    gone += 1;
                    Availability { state: AvailabilityState::Unavailable, ..Availability::unknown("it does not run") }
                }
            };
            let limit = if found.state == AvailabilityState::Starting { self.options.load_timeout } else { timeout };
            if started.elapsed() >= limit {
                return Ok(found);
            }
            // What we started ourselves and what then ended will not come back.
            if gone > 3 && !self.options.command.is_empty() {
                return Ok(found);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(1));
        }
    }

    /// For a moment after its start, something without an address may still get one.
    fn may_serve(&self, started: Instant) -> bool {
        started.elapsed() < Duration::from_millis(500)
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
        if self.options.dry_run {
            let reason = format!("nothing by that name runs: would start {}", shown.join(" "));
            return Ok(Ensured { means: Means::OwnService, ..self.bad(Availability::unknown(""), 0, reason, None) });
        }
        let word = match self.target {
            Target::Word(word) => word.clone(),
            Target::Service(id) => id.to_string(),
            other => other.to_string().rsplit(':').next().unwrap_or_default().to_owned(),
        };
        let id = launch::id_for(&word, command);
        let record = launch::launch(self.client.observer(), &id, command)?;
        let reason = format!(
            "started {} as {id}, pid {}; its output: {}",
            shown.join(" "),
            record.identity.pid,
            record.log.display()
        );
        self.wait_started(Means::OwnService, &reason).await
    }

    /// The port that the command will want: the target's, or what a known server's command line says.
    fn port(&self) -> Option<u16> {
        match self.target {
            Target::Port(port) => Some(*port),
            _ => self.client.observer().known().ok()?.port_of(&self.options.command),
        }
    }
}
