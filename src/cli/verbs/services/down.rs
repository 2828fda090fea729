//! `down`: stops the services of a config, in reverse order.

use std::path::Path;
use std::process::ExitCode;

use serde_json::json;

use super::super::super::args::Down;
use super::super::super::exit::Exit;
use super::super::super::{progress, render};
use super::super::Context;
use crate::act::ActError;
use crate::control::{Control, Touched};
use crate::error::Error;
use crate::model::ServiceId;
use crate::model::service::{Desired, ServiceReport, ServiceState};
use crate::services::{self, Ended, Follow, Goal};

pub(in crate::cli) async fn run(ctx: &Context<'_>, args: &Down) -> ExitCode {
    let stopped = match progress::while_waiting(ctx.quiet(), "stopping services", down(ctx, args)).await {
        Ok(stopped) => stopped,
        Err(error) => return ctx.say.error(&ctx.whose(error, &args.ids).await),
    };
    let words = if args.dry_run { "would be stopped" } else { "stopped" };
    if ctx.say.json {
        let all: Vec<_> = stopped.iter().map(|(id, did)| json!({"id": id, "changed": did})).collect();
        ctx.say.json(&json!({ "action": "down", "dry_run": args.dry_run, "services": all }));
        return Exit::Done.into();
    }
    let good = render::GOOD;
    let mut did_any = false;
    for (id, _) in stopped.iter().filter(|(_, did)| *did) {
        did_any = true;
        ctx.say.text(&format!("{id}: {good}{words}{good:#}\n"));
    }
    if !did_any {
        ctx.say.text("nothing to do: none of the services runs\n");
    }
    Exit::Done.into()
}

async fn down(ctx: &Context<'_>, args: &Down) -> Result<Touched, Error> {
    // Ids alone are enough: what they name may be from anywhere.
    let project = match args.all || (!args.ids.is_empty() && args.config.is_none()) {
        true => None,
        false => Some(project(ctx, args)?),
    };
    if args.dry_run {
        let known = of_project(ctx, project.as_deref(), &args.ids).await?;
        expect_file(ctx, project.as_deref(), &known)?;
        let stops = |state: ServiceState| state.is_alive() || state == ServiceState::Restarting;
        return Ok(known.into_iter().map(|report| (report.id, stops(report.state))).collect());
    }
    let control = match daemon(ctx, project.as_deref(), &args.ids).await? {
        Ok(control) => control,
        // The next daemon would start what was to run.
        Err(idle) => {
            expect_file(ctx, project.as_deref(), &idle)?;
            let done = services::unwanted(ctx.instance(), &idle)?;
            return Ok(done.into_iter().map(|id| (id, true)).collect());
        }
    };
    let known = match control.list(&args.ids, project.as_deref(), false).await {
        // A config of which nothing was ever started.
        Err(Error::NotFound { .. }) if args.ids.is_empty() => {
            return expect_file(ctx, project.as_deref(), &[]).map(|()| Vec::new());
        }
        other => other?,
    };
    expect_file(ctx, project.as_deref(), &known)?;
    let mut follow = Follow::begin(&control).await?;
    let touched = control.stop(&args.ids, project.as_deref(), args.force).await?;
    let ids: Vec<ServiceId> = known.into_iter().map(|report| report.id).collect();
    match follow.until(&ids, Goal::Down, args.timeout, |_| ()).await {
        Ok(Ended::Reached(reports)) => {
            for why in reports.iter().filter_map(ServiceReport::unwritten) {
                ctx.say.note(&format!("the next daemon would not know of it: {}", crate::text::escape(why)));
            }
            Ok(touched)
        }
        Ok(Ended::Failed(report)) => Err(ActError::Failed(crate::act::why_not_down(&report)).into()),
        Ok(Ended::TimedOut(report)) => {
            let limit = humantime::format_duration(args.timeout.unwrap_or_default());
            let why = format!("{} is still {} after {limit}; it goes on, or --force kills it", report.id, report.state);
            Err(ActError::TimedOut(why).into())
        }
        // One that was started for this leaves with the last service; one that died says nothing of them.
        Err(Error::Unreachable(_)) if are_down(ctx, &ids).await => Ok(touched),
        Err(error) => Err(error),
    }
}

/// Whether the records say of all of these that they are stopped, and nothing of them runs.
async fn are_down(ctx: &Context<'_>, ids: &[ServiceId]) -> bool {
    let is_over = |report: &ServiceReport| {
        let is_wanted = report.desired == Desired::Up && report.state == ServiceState::Stopped;
        !is_wanted && !report.has_processes()
    };
    let known = services::offline_reports(ctx.client.observer()).await;
    known.is_ok_and(|known| known.iter().filter(|report| ids.contains(&report.id)).all(is_over))
}

fn project(ctx: &Context<'_>, args: &Down) -> Result<std::path::PathBuf, Error> {
    let found = services::choose(ctx.choice(args.config.as_deref()))?;
    let why = match ctx.choice(None).uid {
        0 => {
            "a provost.toml found from here upwards does not count for root: name it with -c FILE, or services, \
              or --all"
        }
        _ => "there is no provost.toml here: name services, or --all for all of them",
    };
    found.ok_or_else(|| Error::Malformed(crate::model::Malformed::new(why)))
}

/// A config of which nothing is known has to be there, lest a name that was mistyped looks like one that is down.
fn expect_file(ctx: &Context<'_>, project: Option<&Path>, known: &[ServiceReport]) -> Result<(), Error> {
    match project.filter(|path| known.is_empty() && !path.try_exists().unwrap_or(true)) {
        Some(path) => services::load(path, ctx.choice(None)).map(drop),
        None => Ok(()),
    }
}

/// The daemon; one is started if something runs that the last one left, because only it knows how
/// to stop that. Where nothing runs, what is known of the services instead.
async fn daemon(
    ctx: &Context<'_>,
    project: Option<&Path>,
    ids: &[ServiceId],
) -> Result<Result<Control, Vec<ServiceReport>>, Error> {
    if let Some(control) = ctx.connect().await? {
        return Ok(Ok(control));
    }
    let known = of_project(ctx, project, ids).await?;
    match known.iter().any(ServiceReport::has_processes) {
        true => ctx.daemon(false).await.map(Ok),
        false => Ok(Err(known)),
    }
}

/// What is known of these, or of all of a project.
async fn of_project(ctx: &Context<'_>, project: Option<&Path>, ids: &[ServiceId]) -> Result<Vec<ServiceReport>, Error> {
    let mut known = ctx.known(ids, false).await?;
    known.retain(|report| project.is_none_or(|path| report.project.as_deref() == Some(path)));
    Ok(known)
}
