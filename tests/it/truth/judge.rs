//! One cell: the question, the act, and whether the answer was true.

use crate::rig::{Result, Rig, eventually, words};

use super::Outcome;
use super::ask::{self, Plan};
use super::cells::{self, Cell};
use super::look::{Look, Object, Watched};
use super::{oracle, owners};

/// Runs one cell.
pub fn cell(rig: &Rig, cell: &Cell) -> Outcome {
    let mut story = String::new();
    let (words, unknown, mismatch) = match check(rig, cell, &mut story) {
        Ok((words, unknown)) => (words, unknown, None),
        Err(e) => {
            let Cell { owner, caller, action, .. } = cell;
            let title = format!("{} × {} × {action} ({})", owner.name, caller.name, cell.name());
            ("FALSE".to_owned(), false, Some(format!("{title}: {}\n{story}", words(&e))))
        }
    };
    owners::remove_files(rig, cell);
    Outcome { cell: *cell, words, unknown, mismatch }
}

fn check(rig: &Rig, cell: &Cell, story: &mut String) -> Result<(String, bool)> {
    let made = (cell.owner.make)(rig, cell)?;
    let subject = if cell.only_process { made.only_process()? } else { made };
    let (target, watched) = (subject.target.as_str(), &subject.watched);
    let before = watched.look()?;
    story.push_str(&format!("before: {before:?}\n"));
    let plan = forecast(rig, cell, target, story)?;
    if let Ok(forecast) = &plan {
        oracle::agrees(rig, cell, watched, forecast, story)?;
        if forecast.stopper.is_none() && !forecast.already {
            let now = watched.look()?;
            expect!(now == before, "the questions changed something: {now:?}");
        }
    }
    let asks = matches!(&plan, Ok(forecast) if forecast.verdict == "needs-password")
        && cell.caller.terminal.is_some()
        && cell.caller.flags.is_empty();
    let args: Vec<&str> = [cell.action, target].into_iter().chain(cell.flags()).collect();
    let said = ask::provost(rig, cell, &args, asks)?;
    story.push_str(&format!("$ provost {}   -> {}\n{}\n", args.join(" "), said.code, said.text));
    let result = judge(cell, watched, &before, &plan, said.code);
    let words = match &plan {
        Err(5) => format!("no such thing → {}", said.code),
        Err(_) => format!("unreachable → {}", said.code),
        Ok(forecast) if forecast.already => format!("already so → {}", said.code),
        Ok(forecast) => format!("{} {} → {}", forecast.means, forecast.verdict, said.code),
    };
    drop(subject);
    result.map(|unknown| (words, unknown))
}

/// Both ways to ask, which must agree with each other and with what kind of owner it is.
fn forecast(rig: &Rig, cell: &Cell, target: &str, story: &mut String) -> Result<Plan> {
    let plan = ask::dry_run(rig, cell, target, story)?;
    if cell.only_process {
        return Ok(plan);
    }
    match (ask::inspect(rig, cell, target, story)?, &plan) {
        (Err(code), Err(same)) => expect!(code == *same, "inspect ends with {code}, a dry run with {same}"),
        (Ok((kind, shown)), Ok(forecast)) => {
            expect!(shown == *forecast, "inspect says {shown:?}, a dry run {forecast:?}");
            expect!(kind == cell.owner.kind, "the owner is said to be a {kind}");
        }
        (inspect, plan) => return Err(format!("inspect says {inspect:?}, a dry run {plan:?}").into()),
    }
    Ok(plan)
}

/// Whether it happened as it was said; `true` if nobody could say beforehand.
fn judge(cell: &Cell, watched: &Watched<'_>, before: &Look, plan: &Plan, code: i32) -> Result<bool> {
    let nothing = |expected: i32| -> Result<bool> {
        expect!(code == expected, "exit {code} in place of {expected}");
        let now = watched.look()?;
        expect!(now == *before, "something changed: {now:?}");
        Ok(false)
    };
    let forecast = match plan {
        Err(code) => return nothing(*code),
        Ok(forecast) => forecast,
    };
    if forecast.already {
        return nothing(0);
    }
    let policy = forecast.means == "refused" && forecast.stopper.as_deref() == Some("not-permitted");
    expect!(policy == cell.owner.protected, "{} is refused as a matter of policy: {policy}", cell.owner.name);
    match (forecast.verdict.as_str(), forecast.stopper.as_deref()) {
        ("denied", Some(stopper)) => return nothing(code_of(stopper)),
        // Where no password can be typed.
        ("needs-password", Some("not-permitted")) if !cell.caller.knows_password() => return nothing(4),
        ("needs-password", None) if !cell.caller.knows_password() => return nothing(4),
        ("allowed" | "needs-password", None) => {}
        ("unknown-until-asked", _) if cell.helper || cell.caller.name != cells::MAY_BE_UNKNOWN => {
            return Err("nothing is known, and it should be".into());
        }
        ("unknown-until-asked", None) if code != 0 => return nothing(4).map(|_| true),
        ("unknown-until-asked", None) => {}
        other => return Err(format!("a plan that makes no sense: {other:?}").into()),
    }
    let means = cell.means();
    expect!(forecast.means == means, "by means of {} in place of {means}", forecast.means);
    expect!(code == 0, "exit {code} in place of 0");
    done(cell, watched, before)?;
    Ok(forecast.verdict == "unknown-until-asked")
}

/// The exit code of a plan that ends before its first step.
fn code_of(stopper: &str) -> i32 {
    match stopper {
        "impossible" => 1,
        "choose" => 2,
        "not-permitted" => 4,
        "not-found" => 5,
        _ => 8,
    }
}

/// The effect is there, and nothing else.
fn done(cell: &Cell, watched: &Watched<'_>, before: &Look) -> Result<()> {
    let now = watched.look()?;
    let value = |look: &Look, name: &str| look.object.get(name).cloned().unwrap_or_default();
    let same = |name: &str| value(before, name) == value(&now, name);
    let written = |word: &'static str| {
        let wanted = before.log.iter().filter(|line| line.starts_with(word)).count() + 1;
        eventually(&format!("{word} is written once more"), || watched.count(word) == wanted)
    };
    expect!(now.others == before.others, "others were touched: {:?}", now.others);
    let unit = matches!(watched.object, Object::Unit(..));
    let state = if unit { value(&now, "ActiveState") } else { now.object.values().cloned().collect() };
    let has_process = watched.log.is_some() && !cell.owner.name.starts_with("idle");
    match cell.action {
        "stop" => expect!(matches!(state.as_str(), "inactive" | "failed" | "gone"), "it is {state}"),
        "start" | "restart" => {
            expect!(if unit { state == "active" } else { state == "gone" }, "it is {state}");
            expect!(!unit || !same("InvocationID"), "it was not started anew");
            if has_process {
                written("START")?;
            }
        }
        "reload" | "kill" => {
            written(if cell.action == "kill" { "USR1" } else { "HUP" })?;
            expect!(now.object == before.object, "it is no longer the same: {:?}", now.object);
        }
        other => return Err(format!("no such action: {other}").into()),
    }
    Ok(())
}
