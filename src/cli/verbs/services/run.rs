//! `run`: a command under supervision, without a config.

use std::process::ExitCode;

use super::super::super::args::Run;
use super::super::super::progress::Line;
use super::super::Context;
use super::{fail, hosted, up, watch};
use crate::control::Control;
use crate::error::Error;
use crate::model::ServiceId;
use crate::model::service::{Exit, RestartPolicy, ServiceReport, ServiceSpec, ServiceState};
use crate::services::{self, Ended, Follow, Goal, Output, Source};

pub(in crate::cli) async fn run(ctx: &Context<'_>, args: &Run) -> ExitCode {
    match start(ctx, args).await {
        Ok(code) => code,
        Err(error) => ctx.say.error(&error),
    }
}

async fn start(ctx: &Context<'_>, args: &Run) -> Result<ExitCode, Error> {
    let program = args.command.first().map(String::as_str).unwrap_or_default();
    // A relative path begins at the folder of the service.
    if args.cwd.is_none() || !program.contains('/') {
        crate::ensure::check_program(program)?;
    }
    let control = ctx.daemon(args.linger).await?;
    if !args.wait {
        hosted::warn(ctx, &control).await;
    }
    let id = id(&control, args).await?;
    let spec = spec(args, id.clone())?;
    let environment = services::sent_along(std::slice::from_ref(&spec));
    control.define(std::slice::from_ref(&spec), &environment).await?;
    let ids = [id];
    let mut follow = Follow::begin(&control).await?;
    let since = crate::clock::now();
    control.start(&ids, None, &environment).await?;
    if args.wait {
        let source = Source::Service(ids[0].clone(), None);
        let output = Output::follow(ctx.client.observer(), &[source], &services::written_since(since)).await?;
        let ended = attached(ctx, &control, follow, output, &ids).await?;
        if args.restart.is_none() {
            // It has done its work: nothing is left to list.
            control.remove(&ids).await?;
        }
        return exit_of(ctx, &ended);
    }
    let line = Line::new(ctx.quiet());
    match line.while_waiting(follow.until(&ids, Goal::Ready, None, |event| line.say(event.message.clone()))).await? {
        Ended::Reached(reports) => {
            up::said(ctx, &reports);
            Ok(ExitCode::SUCCESS)
        }
        Ended::Failed(report) | Ended::TimedOut(report) => fail::not_ready(ctx, &report, None, since).await,
    }
}

/// Its output is ours, and so is its end.
async fn attached(
    ctx: &Context<'_>,
    control: &Control,
    mut follow: Follow,
    mut output: Output,
    ids: &[ServiceId],
) -> Result<ServiceReport, Error> {
    let mut interrupt = watch::Interrupt::new()?;
    let mut force = false;
    let ended = {
        let mut all = std::pin::pin!(follow.until(ids, Goal::Ended, None, |_| ()));
        loop {
            tokio::select! {
                ended = &mut all => break ended?,
                piece = output.next() => raw(ctx, &piece),
                () = interrupt.next() => {
                    control.stop(ids, None, force).await?;
                    force = true;
                }
            }
        }
    };
    while let Some(piece) = output.rest().await {
        raw(ctx, &piece);
    }
    let (Ended::Reached(mut reports), false) = (ended, ids.is_empty()) else {
        return Err(Error::Unreachable("the service is gone".to_owned()));
    };
    reports.pop().ok_or_else(|| Error::Unreachable("somebody removed the service while it ran".to_owned()))
}

/// A line as it was written, to where it was written.
fn raw(ctx: &Context<'_>, piece: &services::Piece) {
    use std::io::Write as _;
    if ctx.say.json {
        ctx.say.json_line(&piece.document());
        return;
    }
    let mut text = piece.line.text.clone();
    text.push(b'\n');
    let _ = match piece.line.stream {
        crate::logs::Stream::Out => std::io::stdout().write_all(&text),
        _ => std::io::stderr().write_all(&text),
    };
}

/// The child's own exit code; a signal's number plus 128, as a shell has it.
fn exit_of(ctx: &Context<'_>, report: &ServiceReport) -> Result<ExitCode, Error> {
    if ctx.say.json {
        ctx.say.json_line(&serde_json::json!({ "service": report }));
    }
    let code = match report.last_exit {
        Some(Exit::Code(code)) => code,
        Some(Exit::Signal(number)) => 128 + number,
        Some(Exit::Unknown) => 1,
        None if report.state == ServiceState::Failed => {
            return Err(Error::Act(crate::act::ActError::Failed(crate::act::why_not(report))));
        }
        None => 0,
    };
    Ok(ExitCode::from(u8::try_from(code & 0xff).unwrap_or(1)))
}

/// The name that was given, or one after the program that nobody has.
async fn id(control: &Control, args: &Run) -> Result<ServiceId, Error> {
    if let Some(name) = &args.name {
        if name.is_glob() {
            return Err(
                crate::model::Malformed::new(format!("'{name}' is a pattern, not the name of a service")).into()
            );
        }
        return Ok(name.clone());
    }
    let known = control.list(&[], None, false).await?;
    let program = args.command.first().map_or("", |word| word.rsplit('/').next().unwrap_or(word));
    let first = crate::ensure::id_for(program, &args.command);
    let free =
        |id: &ServiceId| known.iter().all(|report| report.id != *id || (report.project.is_none() && !is_up(report)));
    let numbered = (2..).map_while(|n| format!("{first}-{n}").parse::<ServiceId>().ok());
    let mut all = std::iter::once(first.clone()).chain(numbered).take(10_000);
    all.find(free).ok_or_else(|| {
        crate::model::Malformed::new(format!("{first} and all names like it are taken: give one with --name")).into()
    })
}

fn is_up(report: &ServiceReport) -> bool {
    !matches!(report.state, ServiceState::Stopped | ServiceState::Failed)
}

fn spec(args: &Run, id: ServiceId) -> Result<ServiceSpec, Error> {
    let here = std::env::current_dir()
        .map_err(|source| Error::Io { what: "the current folder cannot be read".to_owned(), source })?;
    let cwd = args.cwd.as_ref().map_or(here.clone(), |dir| here.join(dir));
    let command = args.command.iter().map(|word| literal(word, args.port.is_some())).collect();
    let mut spec = ServiceSpec::new(id, command, cwd);
    spec.env = args.env.iter().map(|(name, value)| (name.clone(), literal(value, args.port.is_some()))).collect();
    spec.port = args.port;
    // Files lose no line of a program that writes fast; the journal limits the rate.
    spec.log.file = args.wait;
    spec.restart.policy = match (args.restart, args.wait) {
        (Some(policy), _) => policy,
        (None, true) => RestartPolicy::Never,
        (None, false) => RestartPolicy::OnFailure,
    };
    Ok(spec)
}

/// A word as it is: it comes from a shell, which has replaced what was to be replaced. Only
/// `${PORT}` is left, where a port was asked for.
pub(super) fn literal(word: &str, port: bool) -> String {
    let quoted = word.replace('$', "$$");
    if port { quoted.replace("$${PORT}", "${PORT}") } else { quoted }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::service::expand;

    #[test]
    fn words_from_a_shell_stay_as_they_are() {
        let lookup = |name: &str| (name == "PORT").then(|| "8080".to_owned());
        for word in ["$HOME", "${X}", "$$", "a$", "${", "${PORT}"] {
            assert_eq!(expand(&literal(word, false), &lookup).unwrap(), word);
        }
        assert_eq!(expand(&literal("--port=${PORT} ${X}", true), &lookup).unwrap(), "--port=8080 ${X}");
    }
}
