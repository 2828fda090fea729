//! A plan for people: what `--dry-run` prints.

use super::inspect::sentence;
use super::{Block, STRONG, WARN, verdict};
use crate::model::{Action, Aim, Manager, Plan, Step};
use crate::text::{clip_to, escape};

/// The plan as text.
pub(in crate::cli) fn plan(target: &str, plan: &Plan) -> String {
    let mut block = Block::new(2, 8);
    block.line("means", anstyle::Style::new(), &plan.means.to_string());
    block.line("verdict", verdict(plan.verdict), &plan.verdict.to_string());
    block.line("reason", anstyle::Style::new(), &sentence(plan));
    for (i, step) in plan.steps.iter().enumerate() {
        block.line(if i == 0 { "would" } else { "" }, anstyle::Style::new(), &describe(step));
    }
    for warning in &plan.warnings {
        block.line("note", WARN, &escape(warning));
    }
    if let Some(unlock) = &plan.unlock {
        block.with_command("unlock", &escape(unlock));
    }
    format!("{STRONG}{} {}{STRONG:#}\n{}", plan.action, clip_to(target, 60), block.finish())
}

fn pids(processes: &[Aim]) -> String {
    processes.iter().map(|aim| aim.identity.pid.to_string()).collect::<Vec<_>>().join(", ")
}

/// One step in words.
pub(in crate::cli) fn describe(step: &Step) -> String {
    let whose = |manager: &Manager| match manager {
        Manager::System => "systemd".to_owned(),
        Manager::User(uid) => format!("the user manager of {}", crate::observe::user_name(*uid)),
    };
    match step {
        Step::Job { manager, unit, action, force, .. } => {
            let force = if *force { ", and send SIGKILL to all of it" } else { "" };
            format!("ask {} to {action} {unit}{force}", whose(manager))
        }
        Step::KillUnit { manager, unit, whom, signal, .. } => {
            format!("ask {} to send {signal} to {} of {unit}", whose(manager), whom.as_str())
        }
        Step::Signal { processes, signal } => {
            format!("send {signal} to {}", pids(processes))
        }
        Step::End { processes, ladder } => {
            format!("end {} and all that it started: {ladder}", pids(processes))
        }
        Step::HelperSignal { processes, signal, .. } => {
            format!("have provost's helper send {signal} to {}", pids(processes))
        }
        Step::HelperEnd { processes, ladder, .. } => {
            format!("have provost's helper end {} and all that it started: {ladder}", pids(processes))
        }
        Step::HelperUnit { uid, unit, action, signal, .. } => {
            let manager = whose(&Manager::User(*uid));
            match action {
                Action::Kill => format!("have provost's helper ask {manager} to send {signal} to main of {unit}"),
                action => format!("have provost's helper ask {manager} to {action} {unit}"),
            }
        }
        Step::Service { id, action, force, signal, start_daemon, load, .. } => {
            let load = load.as_ref().map(|path| format!(" load {},", escape(&path.to_string_lossy())));
            let first =
                if *start_daemon { "start a daemon of provost, and have it" } else { "ask provost's daemon to" };
            let what = match action {
                Action::Kill => format!("send {signal} to {id}"),
                Action::Stop if *force => format!("kill {id}"),
                _ => format!("{action} {id}"),
            };
            format!("{first}{} {what}", load.unwrap_or_default())
        }
        Step::Command { argv } => {
            let words: Vec<String> = argv.iter().map(|w| crate::text::shell_quote(w)).collect();
            format!("run {}", words.join(" "))
        }
    }
}
