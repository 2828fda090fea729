//! What provost says beforehand, and how it is told to act.

use std::time::Duration;

use serde_json::Value;

use crate::rig::{Result, Rig};

use super::cells::Cell;

/// How one call of provost ended.
pub struct Said {
    pub code: i32,
    pub text: String,
}

/// What it predicts for one action.
#[derive(Debug, Clone)]
pub struct Forecast {
    pub means: String,
    pub verdict: String,
    /// The wanted state is there already.
    pub already: bool,
    /// Why nothing would be tried; known from a dry run only.
    pub stopper: Option<String>,
    /// It says that the process alone could be signalled.
    pub names_only_process: bool,
}

impl PartialEq for Forecast {
    fn eq(&self, other: &Self) -> bool {
        let said = |f: &Self| (f.means.clone(), f.verdict.clone(), f.already, f.names_only_process);
        said(self) == said(other)
    }
}

/// The forecast, or the exit code where there is none at all.
pub type Plan = std::result::Result<Forecast, i32>;

/// Runs provost as the caller of a cell.
pub fn provost(rig: &Rig, cell: &Cell, args: &[&str], password: bool) -> Result<Said> {
    let user = cell.caller.start(rig, cell.owner.user);
    let argv = ["provost"].into_iter().chain(args.iter().copied());
    let Some(typed) = cell.caller.terminal else {
        let output = user.run(argv)?;
        let code = output.code();
        return Ok(Said { code, text: format!("{}{}", output.stdout, output.stderr) });
    };
    let mut terminal = user.pty(argv)?;
    if password {
        terminal.expect("Password:", Duration::from_secs(20))?;
        terminal.type_password(typed)?;
    }
    let (status, text) = terminal.wait()?;
    Ok(Said { code: status.code().unwrap_or(-1), text })
}

/// `inspect`: the kind of the owner and the forecast for the action, or the exit code.
pub fn inspect(
    rig: &Rig,
    cell: &Cell,
    target: &str,
    story: &mut String,
) -> Result<std::result::Result<(String, Forecast), i32>> {
    let mut args = vec!["-q", "inspect", target, "-o", "json", "--no-probe"];
    args.extend(cell.caller.flags);
    let said = provost(rig, cell, &args, false)?;
    story.push_str(&format!("$ provost {}   -> {}\n{}\n", args.join(" "), said.code, said.text));
    if said.code != 0 {
        return Ok(Err(said.code));
    }
    let report = document(&said.text)?;
    match report["owners"].as_array().map(Vec::as_slice) {
        Some([owner]) => {
            let kind = owner["kind"].as_str().unwrap_or_default().to_owned();
            Ok(Ok((kind, forecast(&owner["actions"][cell.action])?)))
        }
        _ => Ok(Err(2)),
    }
}

/// The same question as `VERB --dry-run`.
pub fn dry_run(rig: &Rig, cell: &Cell, target: &str, story: &mut String) -> Result<Plan> {
    let mut args = vec!["-q", cell.action, target, "-o", "json", "--dry-run"];
    args.extend(cell.flags());
    let said = provost(rig, cell, &args, false)?;
    story.push_str(&format!("$ provost {}   -> {}\n{}\n", args.join(" "), said.code, said.text));
    let answer = document(&said.text)?;
    let plan = &answer["plan"];
    if plan.is_null() {
        return Ok(Err(said.code));
    }
    if said.code != 0 {
        return Err(format!("a dry run with a plan ended with {}", said.code).into());
    }
    Ok(Ok(forecast(plan)?))
}

fn forecast(from: &Value) -> Result<Forecast> {
    let text = |name: &str| from[name].as_str().map(str::to_owned).ok_or_else(|| format!("no {name} in {from}"));
    let advice = format!("{}{}", from["unlock"], from["warnings"]);
    Ok(Forecast {
        means: text("means")?,
        verdict: text("verdict")?,
        already: !from["already"].is_null(),
        stopper: from["stopper"].as_str().map(str::to_owned),
        names_only_process: advice.contains("--only-process"),
    })
}

/// The JSON document in what a terminal showed.
fn document(text: &str) -> Result<Value> {
    let (from, to) = (text.find(['{', '[']).unwrap_or(0), text.rfind(['}', ']']).map_or(0, |at| at + 1));
    let json = text.get(from..to).unwrap_or_default();
    serde_json::from_str(json).map_err(|e| format!("no JSON ({e}): {text}").into())
}
