//! start, stop, restart, reload, kill: plan each target, then carry out or print.

use std::process::ExitCode;
use std::time::Duration;

use serde_json::json;

use super::super::args::{Change, Changing, Kill, Stop};
use super::super::exit::Exit;
use super::super::say::error_json;
use super::super::{progress, render};
use super::{Context, candidates, targets};
use crate::act::{ActError, Done, Options, Outcome};
use crate::error::Error;
use crate::model::{Action, Plan, Request, ServiceId, Step, Target};

pub(in crate::cli) async fn start(ctx: &Context<'_>, args: &Change) -> ExitCode {
    run(ctx, &args.changing, args.no_block, Request::new(Action::Start)).await
}

pub(in crate::cli) async fn restart(ctx: &Context<'_>, args: &Change) -> ExitCode {
    run(ctx, &args.changing, args.no_block, Request::new(Action::Restart)).await
}

pub(in crate::cli) async fn reload(ctx: &Context<'_>, args: &Change) -> ExitCode {
    run(ctx, &args.changing, args.no_block, Request::new(Action::Reload)).await
}

pub(in crate::cli) async fn stop(ctx: &Context<'_>, args: &Stop) -> ExitCode {
    let mut request = Request::new(Action::Stop);
    request.force = args.force;
    request.only_process = args.only_process;
    if let Some(ladder) = &args.signals {
        request.ladder = ladder.clone();
    }
    run(ctx, &args.changing, args.no_block, request).await
}

pub(in crate::cli) async fn kill(ctx: &Context<'_>, args: &Kill) -> ExitCode {
    let mut request = Request::new(Action::Kill);
    request.signal = args.signal;
    request.whom = args.whom;
    request.only_process = args.only_process;
    run(ctx, &args.changing, false, request).await
}

/// What came of one target.
struct Result1 {
    target: String,
    plan: Option<Plan>,
    done: Result<Option<Done>, Error>,
}

async fn run(ctx: &Context<'_>, args: &Changing, no_block: bool, mut request: Request) -> ExitCode {
    if args.targets.is_empty() {
        return candidates(ctx, request.action.verb()).await;
    }
    let targets = match targets(&args.targets) {
        Ok(targets) => targets,
        Err(error) => return ctx.say.error(&error.into()),
    };
    request.sudo = args.sudo;
    request.ask_password = ctx.ask_password;
    let options = Options { no_block, timeout: args.timeout };
    let (mut results, mut together, mut of_daemon) = (Vec::new(), Vec::new(), None);
    for target in &targets {
        match planned(ctx, args, target, &request).await {
            Err(error) => {
                let error = elsewhere(ctx, target, error).await;
                results.push(Result1 { target: target.to_string(), plan: None, done: Err(error) });
            }
            Ok(plans) => {
                for (exact, plan) in plans {
                    let target = shown(args, target, exact);
                    let daemon = daemon_beside_others(&plan).filter(|_| !args.dry_run);
                    // What was named before it is done before it.
                    if !plan.steps.is_empty() && daemon != of_daemon {
                        do_together(ctx, options, &mut results, &mut together).await;
                        of_daemon = daemon;
                    }
                    if daemon.is_some() {
                        together.push(results.len());
                        results.push(Result1 { target, plan: Some(plan), done: Ok(None) });
                    } else {
                        results.push(one(ctx, args, options, target, plan).await);
                    }
                }
            }
        }
    }
    do_together(ctx, options, &mut results, &mut together).await;
    let several = args.all || targets.len() > 1 || targets.iter().any(Target::is_pattern);
    report(ctx, args, request.action, &results, several)
}

/// How long it may take to find out what a target is, however short the time for what is done to it.
const LOOK: Duration = Duration::from_secs(1);

/// The plans for a target, as long as the time that is given suffices to make them.
async fn planned(
    ctx: &Context<'_>,
    args: &Changing,
    target: &Target,
    request: &Request,
) -> Result<Vec<(String, Plan)>, Error> {
    let plans = ctx.client.plan(target, request, args.all);
    let Some(limit) = args.timeout.map(|limit| limit.max(LOOK)) else { return plans.await };
    tokio::time::timeout(limit, plans).await.unwrap_or_else(|_| {
        let limit = humantime::format_duration(limit);
        let why = format!(
            "{} was not done: who has {target} could not be found out in {limit}; the daemon, or a manager, does not \
             answer",
            request.action
        );
        Err(ActError::TimedOut(why).into())
    })
}

/// Nothing here is called so: perhaps somebody else's service is, or the config is invalid.
pub(super) async fn elsewhere(ctx: &Context<'_>, target: &Target, error: Error) -> Error {
    let id: Option<ServiceId> = match target {
        Target::Service(id) => Some(id.clone()),
        Target::Word(word) => word.parse().ok(),
        _ => None,
    };
    ctx.whose(error, id.as_slice()).await
}

/// What the user wrote is what the answer speaks of, unless it leads to several things.
fn shown(args: &Changing, target: &Target, exact: String) -> String {
    let plain = !args.all && !target.is_pattern() && !matches!(target, Target::Word(_));
    let id = matches!(target, Target::Word(word) if exact == format!("service:{word}"));
    if plain || id { target.to_string() } else { exact }
}

/// Whether all that is left to do is that a daemon which runs stops or restarts a service, with no password asked
/// for: it knows itself which of them comes first. Which daemon: whether it is the system's.
fn daemon_beside_others(plan: &Plan) -> Option<bool> {
    match plan.steps.as_slice() {
        [Step::Service { action, system, start_daemon: false, interactive: false, .. }] => {
            matches!(action, Action::Stop | Action::Restart).then_some(*system)
        }
        _ => None,
    }
}

/// Does these of the results, so that the most stubborn one is waited for and not the sum of them.
async fn do_together(ctx: &Context<'_>, options: Options, results: &mut [Result1], which: &mut Vec<usize>) {
    let which = std::mem::take(which);
    let plans: Vec<&Plan> = which.iter().filter_map(|at| results[*at].plan.as_ref()).collect();
    let words = match (which.as_slice(), plans.first()) {
        (_, None) => return,
        ([one], Some(plan)) => format!("{} {}", plan.action, results[*one].target),
        (some, Some(plan)) => format!("{} {} services", plan.action, some.len()),
    };
    let done = progress::while_waiting(ctx.say.quiet, &words, ctx.client.act_together(&plans, options)).await;
    for (at, done) in which.iter().zip(done) {
        results[*at].done = done.map(Some).map_err(Error::from);
    }
}

async fn one(ctx: &Context<'_>, args: &Changing, options: Options, target: String, plan: Plan) -> Result1 {
    if args.dry_run {
        return Result1 { target, plan: Some(plan), done: Ok(None) };
    }
    let starts = |step: &Step| matches!(step, Step::Service { start_daemon: true, .. });
    if plan.steps.iter().any(starts)
        && let Err(error) = ctx.daemon(false).await
    {
        return Result1 { target, plan: Some(plan), done: Err(error) };
    }
    let words = format!("{} {target}", plan.action);
    // Nothing may be written over a password prompt.
    let silent = ctx.say.quiet || plan.asks_password();
    let done = progress::while_waiting(silent, &words, ctx.client.act(&plan, options)).await;
    Result1 { target, plan: Some(plan), done: done.map(Some).map_err(Error::from) }
}

fn report(ctx: &Context<'_>, args: &Changing, action: Action, results: &[Result1], several: bool) -> ExitCode {
    let mut code = Exit::Done as u8;
    for result in results {
        if let Err(error) = &result.done
            && code == 0
        {
            code = error.exit_code();
        }
        if !ctx.say.json {
            people(ctx, action, result);
        }
    }
    if ctx.say.json {
        let all: Vec<_> = results.iter().map(|r| document(action, args.dry_run, r)).collect();
        match all.as_slice() {
            // What may lead to several is always a list, however many there are just now.
            [one] if !several => ctx.say.json(one),
            all => ctx.say.json(&all),
        }
    }
    ExitCode::from(code)
}

fn people(ctx: &Context<'_>, action: Action, result: &Result1) {
    let target = crate::text::clip(&result.target);
    match (&result.done, &result.plan) {
        (Ok(None), Some(plan)) => ctx.say.text(&render::plan(&result.target, plan)),
        (Ok(None), None) => {}
        (Ok(Some(done)), plan) => {
            let good = render::GOOD;
            let word = match done.outcome {
                Outcome::Unchanged => "nothing to do",
                Outcome::Started => "started",
                Outcome::Stopped => "stopped",
                Outcome::Restarted => "restarted",
                Outcome::Reloaded => "reloaded",
                Outcome::Signalled => "signalled",
                Outcome::Queued => "queued",
            };
            ctx.say.text(&format!("{target}: {good}{word}{good:#}, {}\n", crate::text::escape(&done.state)));
            for warning in plan.iter().flat_map(|p| &p.warnings) {
                ctx.say.note(&format!("  {}", crate::text::escape(warning)));
            }
        }
        (Err(error), plan) => {
            let unlock = plan.as_ref().and_then(|p| p.unlock.as_deref());
            // What begins with its name says it all.
            let whole = error.to_string().strip_prefix(&target.to_string()).is_some_and(|rest| rest.starts_with(' '));
            let before = match plan {
                Some(_) if !whole => format!("{target} was not {}: ", past(action)),
                _ => String::new(),
            };
            ctx.say.complain_about(&before, error, unlock);
        }
    }
}

fn past(action: Action) -> &'static str {
    match action {
        Action::Start => "started",
        Action::Stop => "stopped",
        Action::Restart => "restarted",
        Action::Reload => "reloaded",
        Action::Kill => "signalled",
    }
}

/// `{"target", "action", "dry_run", "plan", "outcome", "state", "error"}`.
fn document(action: Action, dry_run: bool, result: &Result1) -> serde_json::Value {
    let done = result.done.as_ref().ok().and_then(Option::as_ref);
    let error = result.done.as_ref().err().map(|e| error_json(e)["error"].take());
    json!({
        "target": result.target,
        "action": action,
        "dry_run": dry_run,
        "plan": result.plan,
        "outcome": done.map(|d| d.outcome),
        "state": done.map(|d| &d.state),
        "error": error,
    })
}
