//! A daemon in this very process: `up` in the foreground where none runs.

use std::path::Path;
use std::process::ExitCode;

use super::super::Context;
use super::watch::Interrupt;
use crate::config::HttpOptions;
use crate::control::Control;
use crate::daemon::{Daemon, Options};
use crate::error::Error;
use crate::model::ServiceId;
use crate::model::service::{ServiceReport, ServiceState};
use crate::services::{Follow, Goal};

/// So many services are named.
const NAMED: usize = 8;

/// Runs `work` beside a daemon that is hosted here, goes on for what others have started in that,
/// and stops all of its services at the end.
pub(super) async fn run(
    ctx: &Context<'_>,
    (path, http): (&Path, &HttpOptions),
    own: &[ServiceId],
    work: impl AsyncFnOnce(&Control, &mut Interrupt) -> Result<ExitCode, Error>,
) -> Result<ExitCode, Error> {
    let mut options = Options::new(ctx.instance())?;
    options.foreground = true;
    // Its [http] counts, also when that changes.
    (options.config, options.http) = (Some(path.to_owned()), http.clone());
    tokio::task::LocalSet::new()
        .run_until(async {
            let socket = options.places.socket();
            let mut interrupt = Interrupt::new()?;
            let daemon = Daemon::start(options).await?;
            let mut daemon = tokio::task::spawn_local(daemon.run());
            let gone = || Error::Unreachable("the supervisor in this process ended at once".to_owned());
            let control = Control::connect_to(&socket).await?.ok_or_else(gone)?;
            let code = work(&control, &mut interrupt).await;
            if let Err(error) = serve_others(ctx, &control, own, &mut interrupt).await {
                tracing::warn!("what others have started is not waited for: {error}");
            }
            let _ = control.exit(crate::supervise::Stop::All).await;
            match (&mut daemon).await {
                Ok(Ok(_)) => code,
                Ok(Err(error)) => code.and(Err(error)),
                Err(error) => code.and(Err(Error::Unreachable(error.to_string()))),
            }
        })
        .await
}

/// To whoever started services here meanwhile this is the daemon: it goes on until the last one has
/// ended, or somebody has seen enough. What is left of its own (it waits in vain, say) is stopped.
async fn serve_others(
    ctx: &Context<'_>,
    control: &Control,
    own: &[ServiceId],
    interrupt: &mut Interrupt,
) -> Result<(), Error> {
    let mut left = running(control).await?;
    if !interrupt.was_heard() {
        left.retain(|id| own.contains(id));
    }
    if !left.is_empty() {
        control.stop(&left, None, false).await?;
    }
    let mut said = Vec::new();
    loop {
        let mut follow = Follow::begin(control).await?;
        let running = running(control).await?;
        if running.is_empty() {
            return Ok(());
        }
        let others: Vec<ServiceId> = running.iter().filter(|id| !left.contains(id)).cloned().collect();
        if !interrupt.was_heard() && !others.is_empty() && said != others {
            let (run, them) = if others.len() == 1 { ("runs", "it") } else { ("run", "them") };
            let names = named(&others);
            ctx.say.note_always(&format!(
                "provost: {names} {run} on here, and this 'up' did not start {them}; Ctrl-C stops {them}"
            ));
            said = others;
        }
        tokio::select! {
            ended = follow.until(&running, Goal::Ended, None, |_| ()) => drop(ended?),
            stopped = stop_at_interrupt(control, interrupt) => stopped?,
        }
    }
}

/// Waits for Ctrl-C, and stops everything; once more kills.
async fn stop_at_interrupt(control: &Control, interrupt: &mut Interrupt) -> Result<(), Error> {
    let force = interrupt.was_heard();
    interrupt.next().await;
    control.stop(&[], None, force).await.map(drop)
}

/// What runs here, or will by itself.
pub(super) async fn running(control: &Control) -> Result<Vec<ServiceId>, Error> {
    let runs = |report: &ServiceReport| report.state.is_alive() || report.state == ServiceState::Restarting;
    Ok(control.list(&[], None, false).await?.into_iter().filter(runs).map(|report| report.id).collect())
}

/// Says so where services would hang on somebody's terminal.
pub(super) async fn warn(ctx: &Context<'_>, control: &Control) {
    if let Some(pid) = control.foreground().await {
        ctx.say.note(&format!(
            "provost: the daemon is the 'provost up' of pid {pid}: services hang on its terminal, and Ctrl-C there \
             stops them"
        ));
    }
}

/// The first of them.
pub(super) fn named(ids: &[ServiceId]) -> String {
    let names: Vec<&str> = ids.iter().take(NAMED).map(ServiceId::as_str).collect();
    let more = ids.len().saturating_sub(NAMED);
    if more == 0 { names.join(", ") } else { format!("{} and {more} more", names.join(", ")) }
}
