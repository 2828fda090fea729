//! `enable`, `disable`, `remove`: what is done to ids, and done at once.

use std::process::ExitCode;

use serde_json::json;

use super::super::super::args::Ids;
use super::super::super::exit::Exit;
use super::super::super::{progress, render};
use super::super::Context;
use crate::control::{Control, Touched};
use crate::error::Error;
use crate::model::ServiceId;
use crate::services::{self, Ended, Follow, Goal};

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum What {
    Enable,
    Disable,
    Remove,
}

impl What {
    /// Whether there is something to do for one that is enabled, or is not.
    fn would(self, enabled: bool) -> bool {
        self == Self::Remove || enabled == (self == Self::Disable)
    }
}

pub(in crate::cli) async fn run(ctx: &Context<'_>, args: &Ids, what: What) -> ExitCode {
    let words = if what == What::Remove { "stopping" } else { "asking the daemon" };
    let changed = async || match args.dry_run {
        true => planned(ctx, &args.ids, what).await,
        false => change(ctx, &args.ids, what).await,
    };
    let touched: Touched = match progress::while_waiting(ctx.quiet(), words, changed()).await {
        Ok(touched) => touched,
        Err(error) => return ctx.say.error(&ctx.whose(error, &args.ids).await),
    };
    let (verb, already) = match what {
        What::Enable => ("enable", "enabled"),
        What::Disable => ("disable", "disabled"),
        What::Remove => ("remove", "removed"),
    };
    if ctx.say.json {
        let all: Vec<_> = touched.iter().map(|(id, did)| json!({"id": id, "changed": did})).collect();
        ctx.say.json(&json!({ "action": verb, "dry_run": args.dry_run, "services": all }));
        return Exit::Done.into();
    }
    let good = render::GOOD;
    let done = if args.dry_run { &format!("would be {already}") } else { already };
    for (id, did) in touched {
        match did {
            true => ctx.say.text(&format!("{id}: {good}{done}{good:#}\n")),
            false => ctx.say.text(&format!("{id}: {good}nothing to do{good:#}, {already} already\n")),
        }
    }
    Exit::Done.into()
}

/// `--dry-run`. What is not known yet may be in the config.
async fn planned(ctx: &Context<'_>, ids: &[ServiceId], what: What) -> Result<Touched, Error> {
    let known = ctx.known(ids, false).await;
    let (choice, described) = (ctx.choice(None), what != What::Remove && matches!(known, Err(Error::NotFound { .. })));
    if described && let Some(path) = services::choose(choice)? {
        let mut project = services::load(&path, choice)?;
        let chosen = services::selected(&project, ids)?;
        project.services.retain(|spec| chosen.contains(&spec.id));
        return Ok(project.services.into_iter().map(|spec| (spec.id, what.would(spec.enabled))).collect());
    }
    Ok(known?.into_iter().map(|report| (report.id, what.would(report.enabled))).collect())
}

async fn change(ctx: &Context<'_>, ids: &[ServiceId], what: What) -> Result<Touched, Error> {
    let control = ctx.daemon(false).await?;
    if what != What::Remove {
        load_unknown(ctx, &control, ids).await?;
    }
    match what {
        What::Enable => control.enable(ids, true).await,
        What::Disable => control.enable(ids, false).await,
        What::Remove => {
            let known: Vec<ServiceId> = control.list(ids, None, false).await?.into_iter().map(|r| r.id).collect();
            let mut follow = Follow::begin(&control).await?;
            let touched = control.remove(ids).await?;
            match follow.until(&known, Goal::Down, None, |_| ()).await? {
                Ended::Reached(_) => Ok(touched),
                Ended::Failed(report) | Ended::TimedOut(report) => {
                    Err(Error::Act(crate::act::ActError::Failed(crate::act::why_not_down(&report))))
                }
            }
        }
    }
}

/// What the daemon does not know yet may be in the config.
async fn load_unknown(ctx: &Context<'_>, control: &Control, ids: &[ServiceId]) -> Result<(), Error> {
    if !matches!(control.list(ids, None, false).await, Err(Error::NotFound { .. })) {
        return Ok(());
    }
    let choice = ctx.choice(None);
    let Some(path) = services::choose(choice)? else { return Ok(()) };
    let project = services::load(&path, choice)?;
    control.load(&path, &services::sent_along(&project.services)).await.map(drop)
}
