//! `inspect` for people.

use std::time::{Duration, SystemTime};

use super::{ACCENT, Block, DIM, STRONG, WARN, availability, verdict};
use crate::model::{AvailabilityState, Facts, Manager, Owner, OwnerFacts, Plan, ProcState, Stopper, Verdict};
use crate::text::{clip, escape};

/// At most this many processes are listed; the JSON has all.
const SHOWN: usize = 12;

/// The answer as text. `plans` has the plans of each owner; `now` is for "up 3 h".
pub(in crate::cli) fn inspect(facts: &Facts, plans: &[Vec<Plan>], now: SystemTime) -> String {
    let mut out = title(facts);
    for (i, (owner, plans)) in facts.owners.iter().zip(plans).enumerate() {
        if facts.owners.len() > 1 {
            let gap = if i == 0 { "" } else { "\n" };
            out.push_str(&format!("{gap}{ACCENT}{}{ACCENT:#}\n", escape(&owner.exact)));
        }
        let mut block = Block::new(2, 10);
        block.line("owner", anstyle::Style::new(), &owner_line(owner, now));
        processes(&mut block, owner);
        serving(&mut block, owner);
        if i + 1 == facts.owners.len() {
            block.line("you", anstyle::Style::new(), &you(facts));
        }
        for note in &owner.notes {
            block.line("note", DIM, &escape(note));
        }
        block.gap();
        out.push_str(&block.finish());
        out.push_str(&actions(plans));
    }
    out
}

fn title(facts: &Facts) -> String {
    let count: usize = facts.owners.iter().map(|o| o.processes.len()).sum();
    let processes = match count {
        0 => "no process".to_owned(),
        1 => "1 process".to_owned(),
        n => format!("{n} processes"),
    };
    let owners = match facts.owners.len() {
        1 => "one owner".to_owned(),
        n => format!("{n} owners"),
    };
    format!("{STRONG}{}{STRONG:#}: {processes}, {owners}\n", clip(&facts.target))
}

/// Who the owner is, in one sentence.
pub(in crate::cli) fn owner_line(owner: &OwnerFacts, now: SystemTime) -> String {
    let user = owner.user.as_deref().map(escape);
    let user_or = |word: &str| user.clone().unwrap_or_else(|| word.to_owned());
    let what = match &owner.owner {
        Owner::OwnService { id } => match &owner.service {
            Some(_) => format!("{id}, a service of provost"),
            None => format!("{id}, started by provost"),
        },
        Owner::SystemUnit { unit } => format!("{unit}, a system unit"),
        Owner::UserUnit { unit, uid } => {
            format!("{unit}, a unit of the user manager of {}", crate::observe::user_name(*uid))
        }
        Owner::Session { id, .. } => format!("login session {id} of {}", user_or("somebody")),
        Owner::Container { container, manager, unit } => {
            let short: String = container.id.chars().take(12).collect();
            let around = unit.as_ref().map(|unit| match manager {
                Manager::System => format!(", in {unit}"),
                Manager::User(uid) => format!(", in {unit} of {}", crate::observe::user_name(*uid)),
            });
            let pod = container.pod.as_ref().map(|pod| format!(", pod {}", escape(pod)));
            format!(
                "container {} of {}{}{}",
                escape(&short),
                container.runtime.name(),
                pod.unwrap_or_default(),
                around.unwrap_or_default()
            )
        }
        Owner::Bare { .. } => format!("nobody: a process of {} in no unit of its own", user_or("an unknown user")),
        Owner::Kernel => "the kernel".to_owned(),
    };
    let mut details = Vec::new();
    if let Some(service) = &owner.service {
        let report = &service.report;
        details.push(report.state.to_string());
        details.extend(report.reason.as_deref().map(escape));
        details.extend((report.restarts > 0).then(|| format!("restarts {}", report.restarts)));
    }
    if let Some(unit) = &owner.unit {
        if owner.owner.unit().is_some() {
            details.extend(user.map(|user| format!("user {user}")));
            let up = unit.active_since.filter(|_| unit.is_active()).and_then(|t| now.duration_since(t).ok());
            match up {
                Some(up) if unit.active_state == "active" => details.push(format!("up {}", age(up))),
                _ => details.push(format!("{} ({})", escape(&unit.active_state), escape(&unit.sub_state))),
            }
            if !matches!(unit.load_state.as_str(), "loaded") {
                details.push(escape(&unit.load_state));
            }
            if !unit.restart.is_empty() {
                details.push(format!("Restart={}", escape(&unit.restart)));
            }
        }
    } else if let Some(since) = owner.processes.first().and_then(|p| p.started_at) {
        details.extend(now.duration_since(since).ok().map(|up| format!("up {}", age(up))));
    }
    if details.is_empty() { what } else { format!("{what} ({})", details.join(", ")) }
}

/// A duration as people say it: 3 h 12 min.
pub(in crate::cli) fn age(duration: Duration) -> String {
    let s = duration.as_secs();
    match s {
        0..60 => format!("{s} s"),
        60..3600 => format!("{} min", s / 60),
        3600..86400 => format!("{} h {} min", s / 3600, s % 3600 / 60),
        _ => format!("{} d {} h", s / 86400, s % 86400 / 3600),
    }
}

fn processes(block: &mut Block, owner: &OwnerFacts) {
    let width = owner.processes.iter().map(|p| p.pid().to_string().len()).max().unwrap_or(0);
    for (i, process) in owner.processes.iter().take(SHOWN).enumerate() {
        let label = if i == 0 { "pids" } else { "" };
        let state = match process.state {
            ProcState::Zombie => "  (zombie)",
            ProcState::Uninterruptible => "  (D: uninterruptible)",
            ProcState::Alive => "",
        };
        // The command first reads as text: control characters are made visible there.
        let command = crate::text::clip_to(&process.command(), 400);
        block.cut(label, anstyle::Style::new(), &format!("{:>width$}  {command}{state}", process.pid()));
    }
    if owner.processes.len() > SHOWN {
        block.line("", DIM, &format!("… and {} more", owner.processes.len() - SHOWN));
    }
}

fn serving(block: &mut Block, owner: &OwnerFacts) {
    let addresses = owner.listening.clone().unwrap_or_default();
    let list = |all: &[std::net::SocketAddr]| all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    match &owner.availability {
        Some(found) => {
            let address = found.url.clone().unwrap_or_else(|| list(&addresses));
            let answered = matches!(found.state, AvailabilityState::Available | AvailabilityState::Starting);
            let how = match (&found.by, found.latency_ms.filter(|_| answered)) {
                (Some(by), Some(ms)) => format!(" ({}: {} in {ms:.0} ms)", escape(by), clip(&found.detail)),
                (Some(by), None) => format!(" ({}: {})", escape(by), clip(&found.detail)),
                _ => format!(" ({})", clip(&found.detail)),
            };
            block.line("serving", availability(found.state), &format!("{}  {}{how}", escape(&address), found.state));
        }
        None if !addresses.is_empty() => block.line("serving", anstyle::Style::new(), &list(&addresses)),
        None => {}
    }
}

fn you(facts: &Facts) -> String {
    let caller = &facts.caller;
    let capabilities = match caller.capabilities.len() {
        0 => "no capabilities".to_owned(),
        n if n > 6 => "all capabilities".to_owned(),
        _ => caller.capabilities.join(", "),
    };
    let terminal = if caller.interactive { "on a terminal" } else { "without a terminal" };
    format!("{} ({}), {capabilities}, {terminal}", escape(&caller.user), caller.uid)
}

/// The verbs with what would happen; verbs with the same answer share a line.
fn actions(plans: &[Plan]) -> String {
    let mut groups: Vec<(Vec<&str>, &Plan)> = Vec::new();
    for plan in plans {
        match groups
            .iter_mut()
            .find(|(_, p)| p.reason == plan.reason && p.verdict == plan.verdict && p.warnings == plan.warnings)
        {
            Some((verbs, _)) => verbs.push(plan.action.verb()),
            None => groups.push((vec![plan.action.verb()], plan)),
        }
    }
    let labels: Vec<String> = groups.iter().map(|(verbs, _)| verbs.join(", ")).collect();
    let width = labels.iter().map(String::len).max().unwrap_or(0).max(8) + 2;
    let mut block = Block::new(2, width);
    for (label, (_, plan)) in labels.iter().zip(&groups) {
        block.line(label, verdict(plan.verdict), &sentence(plan));
        for warning in &plan.warnings {
            block.line("", WARN, &escape(warning));
        }
    }
    let mut seen: Vec<&str> = Vec::new();
    for plan in plans {
        // What nobody can do here needs no key; the verb itself says what to do instead.
        let impossible = matches!(plan.stopper, Some(Stopper::Impossible | Stopper::NotFound));
        let Some(unlock) = plan.unlock.as_deref().filter(|u| !impossible && !seen.contains(u)) else { continue };
        seen.push(unlock);
        block.with_command("unlock", &escape(unlock));
    }
    block.finish()
}

/// The reason with the verdict in front, where the reason does not say it itself.
pub(in crate::cli) fn sentence(plan: &Plan) -> String {
    let reason = escape(&plan.reason);
    match plan.verdict {
        _ if plan.already.is_some() => format!("nothing to do: {reason}"),
        Verdict::Allowed => format!("allowed: {reason}"),
        Verdict::Denied => format!("no: {reason}"),
        Verdict::NeedsPassword | Verdict::UnknownUntilAsked => reason,
    }
}
