//! `inspect`: who owns it, what it serves, what you may do.

use std::process::ExitCode;

use super::super::args::Inspect;
use super::super::exit::Exit;
use super::super::{progress, render};
use super::change::elsewhere;
use super::{Context, candidates, targets};
use crate::decide::{decide_all, helper_rule, is_protected, polkit_rule, sudoers_line};
use crate::error::Error;
use crate::model::{Action, Explained, Facts, InspectReport, Manager, OwnerFacts, Plan, Polkit, Request, Target};
use crate::observe::Want;

pub(in crate::cli) async fn run(ctx: &Context<'_>, args: &Inspect) -> ExitCode {
    if args.targets.is_empty() {
        return candidates(ctx, "inspect").await;
    }
    let targets = match targets(&args.targets) {
        Ok(targets) => targets,
        Err(error) => return ctx.say.error(&error.into()),
    };
    let mut code = Exit::Done as u8;
    let mut documents = Vec::new();
    for (i, target) in targets.iter().enumerate() {
        match one(ctx, args, target).await {
            Ok((facts, plans)) if args.polkit_rule => {
                if let Err(error) = rule(ctx, &facts) {
                    return ctx.say.error(&error);
                }
                drop(plans);
            }
            Ok((facts, plans)) if ctx.say.json => {
                documents.push(Document::Report(Box::new(InspectReport::new(&facts, &plans))));
            }
            Ok((facts, plans)) => {
                let gap = if i == 0 { "" } else { "\n" };
                let now = crate::clock::now();
                ctx.say.text(&format!("{gap}{}", render::inspect(&facts, &plans, now)));
            }
            Err(error) => {
                let error = elsewhere(ctx, target, error).await;
                ctx.say.complain(&error);
                documents.push(Document::Error(super::super::say::error_json(&error)));
                // The first that failed.
                code = if code == 0 { error.exit_code() } else { code };
            }
        }
    }
    if ctx.say.json && !args.polkit_rule {
        match documents.as_slice() {
            [one] => ctx.say.json(one),
            all => ctx.say.json(&all),
        }
    }
    ExitCode::from(code)
}

/// What `-o json` prints for one target.
#[derive(serde::Serialize)]
#[serde(untagged)]
enum Document {
    Report(Box<InspectReport>),
    Error(serde_json::Value),
}

async fn one(ctx: &Context<'_>, args: &Inspect, target: &Target) -> Result<(Facts, Vec<Vec<Plan>>), Error> {
    let want = Want {
        actions: Action::ALL.to_vec(),
        probe: !args.no_probe && !args.polkit_rule,
        sudo: args.sudo,
        suggest: true,
        like: None,
    };
    let words = format!("looking at {target}");
    let facts = progress::while_waiting(ctx.say.quiet, &words, ctx.client.facts(target, &want)).await?;
    let like = Request { sudo: args.sudo, ask_password: ctx.ask_password, ..Request::new(Action::Stop) };
    let plans = facts.owners.iter().map(|owner| decide_all(&facts, owner, &like)).collect();
    Ok((facts, plans))
}

/// `--polkit-rule`: for each owner that is a unit of the system, or that provost's helper acts on.
fn rule(ctx: &Context<'_>, facts: &Facts) -> Result<(), Error> {
    let malformed = |words: String| Err(Error::Malformed(crate::model::Malformed::new(words)));
    if facts.caller.is_root() {
        return malformed("root needs no rule; run this as the user who is to be allowed".to_owned());
    }
    let units = facts.owners.iter().filter_map(|owner| match owner.owner.unit() {
        Some((Manager::System, _)) => owner.unit.as_ref(),
        _ => None,
    });
    let mut rules = Vec::new();
    for unit in units {
        if is_protected(&unit.id) {
            return malformed(format!("{} is protected: provost acts on it for nobody, rule or not", unit.id));
        }
        let (kind, text) = match facts.host.polkit {
            Polkit::Absent => ("sudoers", sudoers_line(&facts.caller, unit, systemctl())),
            ref polkit if polkit.has_rules() == Some(false) => {
                ctx.say.note("polkit here is older than 0.106 and knows no rules; this is a sudoers line instead");
                ("sudoers", sudoers_line(&facts.caller, unit, systemctl()))
            }
            _ => ("polkit", polkit_rule(&facts.caller, unit)),
        };
        rules.push(serde_json::json!({"unit": unit.id, "kind": kind, "text": text}));
    }
    for explained in facts.owners.iter().filter_map(by_helper) {
        if let Some(text) = helper_rule(&facts.caller, explained) {
            rules.push(serde_json::json!({"unit": explained.details.get("unit"), "kind": "polkit", "text": text}));
        }
    }
    if rules.is_empty() {
        let target = crate::text::clip(&facts.target);
        let why = "polkit decides about units of the system, and with provost installed for it about the units and \
                   programs of other users";
        return malformed(format!("there is no rule for {target}: {why}"));
    }
    if ctx.say.json {
        ctx.say.json(&serde_json::json!({ "rules": rules }));
        return Ok(());
    }
    // Asked for: quiet does not silence it.
    use std::io::Write as _;
    for rule in &rules {
        let _ = std::io::stdout().write_all(rule["text"].as_str().unwrap_or_default().as_bytes());
    }
    Ok(())
}

/// What the helper says of an owner that is no unit of the system: of its unit, else of the process
/// that was meant.
fn by_helper(owner: &OwnerFacts) -> Option<&Explained> {
    let helper = owner.helper.as_ref()?;
    match owner.owner.unit() {
        Some((Manager::System, _)) => None,
        Some((Manager::User(_), _)) => helper.unit.values().next(),
        None => helper.processes.iter().flat_map(|(_, all)| all.values()).next(),
    }
}

fn systemctl() -> &'static str {
    if std::path::Path::new("/usr/bin/systemctl").exists() { "/usr/bin/systemctl" } else { "/bin/systemctl" }
}
