//! What the privileged helper says: of processes that the caller may not signal, of units of other
//! users' managers, and of what the caller may not read.
//!
//! It is asked only where the caller's own rights do not suffice: a question can start the daemon.
//! What it does not answer stays as it is known without it.

use std::collections::BTreeMap;

use super::observer::{Observer, Want};
use crate::control::helper::{About, Helper, number, text};
use crate::join::join_all;
use crate::model::{
    Action, Answer, Explained, HelperFacts, Identity, Ladder, Manager, Owner, OwnerFacts, ProcState, Process, Reach,
    Request, Signal, SignalAnswer, UnitFacts, UnitKind, Verdict, Whom,
};
use crate::sys::pidfd::PidFd;
use crate::systemd::CallError;

/// At most so many questions are asked about one owner.
const MOST: usize = 32;

/// One question about a process: what is to be done with it, and by which signal.
type Question<'a> = (&'a Process, Action, Signal);

/// Asks what the decision for this owner can depend on; `None` where that is nothing, or where
/// there is no helper.
pub(super) async fn ask(observer: &Observer, owner: &OwnerFacts, want: &Want) -> Option<HelperFacts> {
    if observer.caller().is_root() || want.actions.is_empty() {
        return None;
    }
    let units = if asks_of_unit(observer, owner, want) { want.actions.as_slice() } else { &[] };
    let processes = of_processes(owner, want);
    if units.is_empty() && processes.is_empty() {
        return None;
    }
    let helper = observer.bus().helper().await.ok()?;
    let signal = want.like.as_ref().map_or(Signal::TERM, |request| request.signal);
    let ask = Ask { observer, helper: &helper, signal };
    // All at once: where nobody answers, that comes at once, too.
    let about_units = user_unit(owner).map(|(uid, unit)| units.iter().map(move |action| (uid, unit, *action)));
    let (of_unit, of_processes) = tokio::join!(
        join_all(about_units.into_iter().flatten().map(|(uid, unit, action)| ask.about_unit(uid, unit, action))),
        join_all(processes.into_iter().map(|question| ask.about_process(question)))
    );
    if observer.bus().helper_reach() != Reach::Yes {
        return None;
    }
    let mut facts = HelperFacts { unit: of_unit.into_iter().flatten().collect(), processes: Vec::new() };
    of_processes.into_iter().for_each(|answer| add(&mut facts, answer));
    Some(facts)
}

/// Keeps what the helper said with the owner, and what it told of the programs of others.
pub(super) fn keep(owner: &mut OwnerFacts, said: Option<HelperFacts>) {
    let Some(said) = said else { return };
    for (identity, answers) in &said.processes {
        let exe = answers.values().find_map(|answer| answer.details.get("exe")).filter(|exe| !exe.is_empty());
        let process = owner.processes.iter_mut().find(|process| process.identity == *identity);
        if let Some((process, exe)) = process.filter(|process| process.exe.is_none()).zip(exe) {
            process.exe = Some(exe.clone());
        }
    }
    owner.helper = Some(Box::new(said));
}

/// Of a unit of the system: the answers that its manager could not give without asking somebody
/// for a password.
pub(super) async fn complete(observer: &Observer, unit: &UnitFacts, answers: &mut BTreeMap<Action, Answer>) {
    let open: Vec<Action> = answers
        .iter()
        .filter(|(_, answer)| matches!(answer, Answer::Unknown(_) | Answer::WouldPrompt(_)))
        .map(|(action, _)| *action)
        .collect();
    if open.is_empty() || observer.caller().is_root() {
        return;
    }
    let Ok(helper) = observer.bus().helper().await else { return };
    let explained = join_all(open.iter().map(|action| {
        let signal = (*action == Action::Kill).then_some(Signal::TERM);
        helper.explain(About::Unit(&unit.id), *action, signal)
    }));
    for (action, explained) in open.iter().zip(explained.await) {
        observer.bus().heard_of_helper(&explained);
        let answer = match explained {
            Ok(Explained { verdict: Verdict::Allowed, .. }) => Answer::Allowed,
            Ok(Explained { verdict: Verdict::NeedsPassword, .. }) => Answer::NeedsPassword,
            Ok(Explained { verdict: Verdict::Denied, reason, .. }) => Answer::Denied(reason),
            _ => continue,
        };
        answers.insert(*action, answer);
    }
}

/// The processes that listen on a port, as the helper sees them; empty where it does not answer.
pub(super) async fn on_port(observer: &Observer, port: u16) -> Vec<u32> {
    if observer.caller().is_root() {
        return Vec::new();
    }
    let Ok(helper) = observer.bus().helper().await else { return Vec::new() };
    let answer = helper.port_owner(port).await;
    observer.bus().heard_of_helper(&answer);
    let mut pids = Vec::new();
    for one in answer.unwrap_or_default() {
        let Some(pid) = number(&one, "pid") else { continue };
        pids.push(pid);
        if let Some(address) = text(&one, "address").and_then(|text| text.parse().ok()) {
            observer.was_told(pid, address);
        }
    }
    pids
}

/// Whether the owner is a unit of another user's manager, which that user and root may ask only.
fn asks_of_unit(observer: &Observer, owner: &OwnerFacts, want: &Want) -> bool {
    let foreign = user_unit(owner).is_some_and(|(uid, _)| uid != observer.caller().uid);
    foreign && !only_process(want)
}

fn user_unit(owner: &OwnerFacts) -> Option<(u32, &crate::model::UnitName)> {
    match owner.owner.unit() {
        Some((Manager::User(uid), unit)) => Some((uid, unit)),
        _ => None,
    }
}

fn only_process(want: &Want) -> bool {
    want.like.as_ref().is_some_and(|request| request.only_process)
}

/// Whether signals to its processes are a means for this owner at all.
fn by_signal(owner: &OwnerFacts, want: &Want) -> bool {
    let scope = owner.owner.unit().is_some_and(|(_, unit)| unit.kind() == UnitKind::Scope);
    let left_over = owner.unit.as_ref().is_some_and(|unit| !unit.is_active());
    let bare = matches!(owner.owner, Owner::Bare { .. } | Owner::Session { .. });
    // Of a part of a unit it is offered.
    let part = owner.owner.unit().is_some() && !owner.named && !owner.includes_main;
    only_process(want) || bare || (scope && !owner.named) || left_over || part
}

/// The questions about processes: to end a tree in which one may not be signalled, and to signal
/// one that may not.
fn of_processes<'a>(owner: &'a OwnerFacts, want: &Want) -> Vec<Question<'a>> {
    if !by_signal(owner, want) {
        return Vec::new();
    }
    let alive = |pid: u32| {
        let gone = owner.signal_answer(pid).is_none_or(|answer| answer == SignalAnswer::Gone);
        owner.process(pid).filter(|process| !gone && process.state != ProcState::Zombie)
    };
    let denied = |pid: u32| owner.signal_answer(pid) == Some(SignalAnswer::Denied);
    let like = want.like.as_ref();
    let mut questions = Vec::new();
    if want.actions.contains(&Action::Stop) && owner.tree.iter().any(|pid| denied(*pid)) {
        let signals = like.map_or_else(|| vec![Signal::TERM], ending);
        let meant = owner.matched.iter().filter_map(|pid| alive(*pid));
        questions.extend(meant.flat_map(|process| signals.iter().map(move |s| (process, Action::Stop, *s))));
    }
    if want.actions.contains(&Action::Kill) {
        let all = like.is_some_and(|request| request.whom == Whom::All);
        let signal = like.map_or(Signal::TERM, |request| request.signal);
        let meant = if all { &owner.tree } else { &owner.matched };
        let meant = meant.iter().filter(|pid| denied(**pid));
        questions.extend(meant.filter_map(|pid| Some((alive(*pid)?, Action::Kill, signal))));
    }
    questions.truncate(MOST);
    questions
}

/// The signals by which a request would end processes. SIGTERM stands for the usual ladder.
fn ending(request: &Request) -> Vec<Signal> {
    if request.force {
        return vec![Signal::KILL];
    }
    if request.ladder == Ladder::default() {
        return vec![Signal::TERM];
    }
    let mut signals: Vec<Signal> = request.ladder.0.iter().map(|rung| rung.signal).collect();
    signals.sort_unstable();
    signals.dedup();
    signals
}

fn add(facts: &mut HelperFacts, answer: Option<(Identity, Action, Explained)>) {
    let Some((identity, action, explained)) = answer else { return };
    match facts.processes.iter_mut().find(|(known, _)| *known == identity) {
        // Of several signals the worst answer counts.
        Some((_, answers)) => match answers.get(&action) {
            Some(known) if known.verdict == Verdict::Denied || explained.verdict == Verdict::Allowed => {}
            _ => drop(answers.insert(action, explained)),
        },
        None => facts.processes.push((identity, BTreeMap::from([(action, explained)]))),
    }
}

/// Who is asked, by whom, for what signal.
struct Ask<'a> {
    observer: &'a Observer,
    helper: &'a Helper,
    signal: Signal,
}

impl Ask<'_> {
    async fn about_unit(&self, uid: u32, unit: &crate::model::UnitName, action: Action) -> Option<(Action, Explained)> {
        let signal = (action == Action::Kill).then_some(self.signal);
        let answer = self.helper.explain(About::UserUnit(uid, unit), action, signal).await;
        Some((action, self.heard(answer)?))
    }

    async fn about_process(&self, (process, action, signal): Question<'_>) -> Option<(Identity, Action, Explained)> {
        let identity = process.identity;
        let pidfd = self.open(&identity)?;
        let answer = self.helper.explain(About::Process(&pidfd), action, Some(signal)).await;
        Some((identity, action, self.heard(answer)?))
    }

    /// The process that was looked at, and no later one by its pid.
    fn open(&self, identity: &Identity) -> Option<PidFd> {
        let pidfd = PidFd::open(identity.pid).ok()?;
        let started = self.observer.proc().stat(identity.pid).ok()?.start_ticks;
        let now = Identity { pid: identity.pid, start_ticks: started, pidfd_inode: pidfd.inode() };
        (identity.is(&now) && pidfd.is_alive()).then_some(pidfd)
    }

    /// A refusal to answer for what the target is (a protected process, a thread) is an answer.
    fn heard(&self, answer: Result<Explained, CallError>) -> Option<Explained> {
        self.observer.bus().heard_of_helper(&answer);
        match answer {
            Ok(explained) => Some(explained),
            Err(error) if error.short_name() == "NotPermitted" => Some(Explained {
                verdict: Verdict::Denied,
                polkit_action: String::new(),
                details: BTreeMap::new(),
                reason: error.to_string(),
            }),
            Err(error) => {
                tracing::debug!(%error, "the helper does not say");
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Uids;

    fn process(pid: u32, uid: u32) -> Process {
        let identity = Identity { pid, start_ticks: 1, pidfd_inode: None };
        let uids = Some(Uids { real: uid, effective: uid, saved: uid });
        Process { identity, uids, ..Process::of_command(&["agent".to_owned()]) }
    }

    /// A tree of two, the first of which may be signalled.
    fn tree(owner: Owner) -> OwnerFacts {
        let processes = vec![process(10, 1000), process(11, 0)];
        let answers = [SignalAnswer::Allowed, SignalAnswer::Denied];
        OwnerFacts {
            signals: processes.iter().map(|p| p.identity).zip(answers).collect(),
            matched: vec![10],
            tree: vec![10, 11],
            processes,
            ..OwnerFacts::new(owner, "pid:10".to_owned())
        }
    }

    fn asked(owner: &OwnerFacts, want: &Want) -> Vec<(u32, Action)> {
        of_processes(owner, want).iter().map(|(process, action, _)| (process.pid(), *action)).collect()
    }

    #[test]
    fn only_what_the_kernel_denies_is_asked_about() {
        let bare = tree(Owner::Bare { root: process(10, 1000).identity });
        let all = Want { actions: Action::ALL.to_vec(), ..Want::default() };
        assert_eq!(asked(&bare, &all), [(10, Action::Stop)], "the tree is stopped, the first one signalled");
        let every = Request { whom: Whom::All, ..Request::new(Action::Kill) };
        assert_eq!(asked(&bare, &Want::request(&every)), [(11, Action::Kill)]);
        let ladder: Ladder = "TERM:1s,INT:1s,TERM:1s,KILL".parse().unwrap();
        let stop = Request { ladder, ..Request::new(Action::Stop) };
        assert_eq!(of_processes(&bare, &Want::request(&stop)).len(), 3, "each signal once");
        let mut own = bare.clone();
        own.signals[1].1 = SignalAnswer::Allowed;
        assert!(asked(&own, &all).is_empty());
    }

    #[test]
    fn where_a_unit_is_the_means_its_processes_are_not_asked_about() {
        let unit = tree(Owner::SystemUnit { unit: "a.service".parse().unwrap() });
        assert!(asked(&unit, &Want::action(Action::Stop)).is_empty());
        let part = OwnerFacts { includes_main: false, ..unit.clone() };
        assert_eq!(asked(&part, &Want::action(Action::Stop)), [(10, Action::Stop)]);
        let only = Request { only_process: true, ..Request::new(Action::Stop) };
        assert_eq!(asked(&unit, &Want::request(&only)), [(10, Action::Stop)]);
    }
}
