//! What is shown while services run: what happens to them, and what they write.

use std::process::ExitCode;
use std::time::SystemTime;

use tokio::signal::unix::{SignalKind, signal};

use super::super::super::exit::Exit;
use super::super::super::render::{self, ACCENT, BAD, DIM};
use super::super::Context;
use crate::control::Control;
use crate::error::Error;
use crate::model::ServiceId;
use crate::model::service::ServiceState;
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
    (hosted, mut interrupt): (Hosted, Interrupt),
) -> Result<ExitCode, Error> {
    let width = ids.iter().map(|id| id.as_str().len()).max().unwrap_or(0);
    let reports = control.list(ids, None, false).await?;
    let sources: Vec<Source> = reports.iter().map(|report| ctx.source(report, ctx.is_guest())).collect();
    // What runs already does nothing that could be seen.
    for report in reports.iter().filter(|report| report.state == ServiceState::Running && !ctx.say.json) {
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
                ended = &mut all => break Some(ended),
                piece = output.next() => drop(line(ctx, &piece, width)),
                () = interrupt.next() => match hosted {
                    Hosted::Elsewhere => break None,
                    Hosted::Here => {
                        control.stop(&[], None, force).await?;
                        if !force {
                            ctx.say.note(&format!("{DIM}stopping; once more kills{DIM:#}"));
                        }
                        force = true;
                    }
                },
            }
        }
    };
    // What was written last.
    while let Some(piece) = output.rest().await {
        line(ctx, &piece, width);
    }
    let Some(ended) = ended else {
        ctx.say.note("\nservices keep running; provost down stops them");
        return Ok(Exit::Done.into());
    };
    match ended {
        Ok(Ended::Reached(reports)) => {
            let failed = reports.iter().filter(|report| report.state == ServiceState::Failed);
            let names: Vec<&str> = failed.map(|report| report.id.as_str()).collect();
            if names.is_empty() {
                return Ok(Exit::Done.into());
            }
            ctx.say.note_always(&format!("{BAD}provost:{BAD:#} failed: {}", names.join(", ")));
            Ok(ExitCode::from(1))
        }
        Ok(Ended::Failed(_) | Ended::TimedOut(_)) => Ok(ExitCode::from(1)),
        Err(error) => Err(error),
    }
}

/// One line of output, with whose it is where `width` leaves room for that. False where nobody
/// reads any more.
pub(super) fn line(ctx: &Context<'_>, piece: &crate::services::Piece, width: usize) -> bool {
    if ctx.say.json {
        return ctx.say.json_line(&piece.document());
    }
    let style = if piece.line.stream == crate::logs::Stream::Out { anstyle::Style::new() } else { render::WARN };
    let text = crate::text::escape_but_tabs(&String::from_utf8_lossy(&piece.line.text));
    let whose = piece.whose.as_str();
    let before = if width == 0 { String::new() } else { format!("{ACCENT}{whose:width$}{ACCENT:#} {DIM}|{DIM:#} ") };
    ctx.say.line(&format!("{before}{style}{text}{style:#}\n"))
}

/// Ctrl-C and what means the same.
pub(super) struct Interrupt {
    signals: [tokio::signal::unix::Signal; 3],
}

impl Interrupt {
    pub(super) fn new() -> Result<Self, Error> {
        let of = |kind| signal(kind).map_err(|source| Error::Io { what: "signals".to_owned(), source });
        let signals = [of(SignalKind::interrupt())?, of(SignalKind::terminate())?, of(SignalKind::hangup())?];
        Ok(Self { signals })
    }

    pub(super) async fn next(&mut self) {
        let [int, term, hup] = &mut self.signals;
        tokio::select! {
            _ = int.recv() => {}
            _ = term.recv() => {}
            _ = hup.recv() => {}
        }
    }
}
