//! What is shown while services run: what happens to them, and what they write.

use std::process::ExitCode;
use std::time::SystemTime;

use tokio::signal::unix::{SignalKind, signal};

use super::super::super::exit::Exit;
use super::super::super::render::{self, BAD, DIM};
use super::super::Context;
use super::{hosted, look::Look};
use crate::control::Control;
use crate::error::Error;
use crate::model::ServiceId;
use crate::model::service::{ServiceReport, ServiceState};
use crate::services::{self, Ended, Follow, Goal, Output, Source};

/// Who runs the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hosted {
    /// This process: services end with it.
    Here,
    /// Another one: services go on.
    Elsewhere,
}

/// Shows what happens from the beginning of `follow`, and is written since that time, until all have
/// ended or somebody says that it is enough.
pub(super) async fn watch(
    ctx: &Context<'_>,
    control: &Control,
    (mut follow, since): (Follow, SystemTime),
    ids: &[ServiceId],
    (hosted, interrupt): (Hosted, &mut Interrupt),
) -> Result<ExitCode, Error> {
    // With whose it is in front, also of one alone: it stands among what happens.
    let look = Look::of_all(ctx, ids.iter().map(|id| id.as_str()));
    let reports = control.list(ids, None, false).await?;
    let sources: Vec<Source> = reports.iter().map(|report| ctx.source(report, ctx.is_guest())).collect();
    // What ran before does nothing that could be seen.
    let ran = |report: &&ServiceReport| {
        let started = report.started_at.as_deref().and_then(|at| humantime::parse_rfc3339(at).ok());
        report.state == ServiceState::Running && started.is_none_or(|at| at < since)
    };
    for report in reports.iter().filter(ran).filter(|_| !ctx.say.json) {
        ctx.say.text(&format!("{}\n", render::services::status_line(report)));
    }
    let mut output = Output::follow(ctx.client.observer(), &sources, &services::written_since(since)).await?;
    let mut force = false;
    let ended = {
        let show = |event: &crate::model::service::Event| {
            if ids.contains(&event.id) {
                match ctx.say.json {
                    true => drop(ctx.say.json_line(event)),
                    false => ctx.say.text(&render::services::event(event, false)),
                }
            }
        };
        let mut all = std::pin::pin!(follow.until(ids, Goal::Ended, None, show));
        loop {
            tokio::select! {
                // That it was started comes before what it writes.
                biased;
                ended = &mut all => break Some(ended),
                () = interrupt.next() => match hosted {
                    Hosted::Elsewhere => break None,
                    Hosted::Here => {
                        if !force {
                            say_others(ctx, control, ids).await;
                        }
                        control.stop(&[], None, force).await?;
                        if !force {
                            ctx.say.note(&format!("{DIM}stopping; once more kills{DIM:#}"));
                        }
                        force = true;
                    }
                },
                piece = output.next() => drop(look.show(&piece)),
            }
        }
    };
    // What was written last.
    while let Some(piece) = output.rest().await {
        look.show(&piece);
    }
    let Some(ended) = ended else {
        ctx.say.note("\nservices keep running; provost down stops them");
        return Ok(Exit::Done.into());
    };
    match ended {
        Ok(Ended::Reached(reports)) => {
            let failed = reports.iter().filter(|report| report.state == ServiceState::Failed);
            let mut code = Exit::Done.into();
            for report in failed {
                let why = report.reason.as_ref().or(report.last_error.as_ref());
                let why = why.map(|why| format!(": {}", crate::text::escape(why))).unwrap_or_default();
                ctx.say.note_always(&format!("{BAD}provost:{BAD:#} failed: {}{why}", report.id));
                code = ExitCode::from(1);
            }
            Ok(code)
        }
        Ok(Ended::Failed(_) | Ended::TimedOut(_)) => Ok(ExitCode::from(1)),
        Err(error) => Err(error),
    }
}

/// Whose services end besides those that are shown.
async fn say_others(ctx: &Context<'_>, control: &Control, shown: &[ServiceId]) {
    match hosted::running(control).await {
        Ok(mut others) => {
            others.retain(|id| !shown.contains(id));
            if !others.is_empty() {
                let names = hosted::named(&others);
                ctx.say.note_always(&format!("\nprovost: what this 'up' did not start is stopped, too: {names}"));
            }
        }
        Err(error) => tracing::info!("what else runs here: {error}"),
    }
}

/// Ctrl-C and what means the same.
pub(super) struct Interrupt {
    signals: [tokio::signal::unix::Signal; 3],
    heard: bool,
}

impl Interrupt {
    pub(super) fn new() -> Result<Self, Error> {
        let of = |kind| signal(kind).map_err(|source| Error::Io { what: "signals".to_owned(), source });
        let signals = [of(SignalKind::interrupt())?, of(SignalKind::terminate())?, of(SignalKind::hangup())?];
        Ok(Self { signals, heard: false })
    }

    pub(super) async fn next(&mut self) {
        let [int, term, hup] = &mut self.signals;
        tokio::select! {
            _ = int.recv() => {}
            _ = term.recv() => {}
            _ = hup.recv() => {}
        }
        self.heard = true;
    }

    /// Whether it came at all.
    pub(super) fn was_heard(&self) -> bool {
        self.heard
    }
}
