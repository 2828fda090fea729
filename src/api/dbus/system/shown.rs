//! What is shown to everybody on the system bus: states, and what `/proc` shows them anyway.

use super::super::error::Fault;
use super::super::serve::Api;
use super::Asking;
use super::gate::{MANAGE, others};
use crate::model::service::ServiceReport;
use crate::model::{Action, ServiceId};
use crate::polkit::Answer;
use crate::supervise::{Command, Orphan, Selection, Touch};

/// A report as this caller may see it. A command line may hold a key: others than root see that of
/// a service only while it runs, as `/proc` shows it to them, and not where this host hides it.
pub(crate) fn shown(asking: Option<&Asking>, report: ServiceReport) -> ServiceReport {
    match asking {
        Some(asking) if !asking.caller.is_root() => shown_to_all(report),
        _ => report,
    }
}

/// A report as everybody may see it.
pub(crate) fn shown_to_all(report: ServiceReport) -> ServiceReport {
    match !report.state.is_alive() || hides_processes() {
        true => ServiceReport { command_line: Vec::new(), ..report },
        false => report,
    }
}

/// Orphans as this caller may see them: of what services left behind, everybody may know; of other
/// processes, whoever sees them anyway.
pub(crate) fn shown_orphans(asking: Option<&Asking>, mut all: Vec<Orphan>) -> Vec<Orphan> {
    if asking.is_some_and(|asking| !asking.caller.is_root()) && hides_processes() {
        all.retain(|orphan| orphan.marked);
        all.iter_mut().for_each(|orphan| orphan.command_line = Vec::new());
    }
    all
}

/// Whether `/proc` shows users no processes of others (`hidepid=`).
fn hides_processes() -> bool {
    is_hidden(
        &std::fs::read_to_string("/proc/1/mountinfo")
            .or_else(|_| std::fs::read_to_string("/proc/self/mountinfo"))
            .unwrap_or_default(),
    )
}

fn is_hidden(mountinfo: &str) -> bool {
    mountinfo.lines().any(|line| {
        let Some((before, after)) = line.split_once(" - ") else { return false };
        let is_proc = before.split(' ').nth(4) == Some("/proc") && after.starts_with("proc ");
        let options = after.rsplit(' ').next().unwrap_or_default();
        is_proc
            && options
                .split(',')
                .any(|option| option.starts_with("hidepid=") && !matches!(option, "hidepid=0" | "hidepid=off"))
    })
}

/// Of each service and verb: `allowed`, `needs-password` or `denied`, for whoever asks.
pub(crate) async fn explain(
    api: &Api,
    asking: Option<&Asking>,
    which: Selection,
    verbs: &[String],
) -> Result<Vec<(String, String, String)>, Fault> {
    let known = |verb: &String| Action::ALL.iter().any(|action| action.verb() == *verb);
    if verbs.len() > Action::ALL.len() || !verbs.iter().all(known) {
        return Err(Fault::arguments("the verbs: start, stop, restart, reload, kill"));
    }
    let all = api.handle.ask(|answer| Command::Report { which, resources: false, answer }).await?;
    let mut verdicts = Vec::new();
    for report in all {
        for verb in verbs {
            let verdict = match asking {
                None => "allowed",
                Some(asking) => verdict(api, asking, &report.id, verb).await?,
            };
            verdicts.push((report.id.to_string(), verb.clone(), verdict.to_owned()));
        }
    }
    Ok(verdicts)
}

/// The worst of what polkit says of a service and of the others that are touched on its account.
async fn verdict(api: &Api, asking: &Asking, id: &ServiceId, verb: &str) -> Result<&'static str, Fault> {
    let mut asked = vec![(id.clone(), verb.to_owned())];
    if let Some(touch) = Touch::of(verb) {
        let others = others(api, std::slice::from_ref(id), touch).await?;
        asked.extend(others.into_iter().map(|(id, touch)| (id, touch.verb().to_owned())));
    }
    let mut worst = "allowed";
    for (id, verb) in asked {
        match asking.verdict(MANAGE, &[("id", id.to_string()), ("verb", verb)]).await {
            Ok(Answer::Allowed) => {}
            Ok(Answer::NeedsPassword) => worst = "needs-password",
            Ok(Answer::Denied) | Err(_) => return Ok("denied"),
        }
    }
    Ok(worst)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hidden_proc_is_seen() {
        let line = |options: &str| format!("23 28 0:21 / /proc rw,nosuid - proc proc {options}\n");
        assert!(is_hidden(&line("rw,hidepid=2,gid=4")) && is_hidden(&line("rw,hidepid=invisible")));
        assert!(!is_hidden(&line("rw")) && !is_hidden(&line("rw,hidepid=0")) && !is_hidden(""));
        assert!(!is_hidden("23 28 0:21 / /mnt rw - proc proc rw,hidepid=2\n"));
    }
}
