use super::*;
use crate::model::{Container, Identity, ProcState, Process, Runtime, Uids};
use crate::observe::{Observer, Units};
use crate::registry::orphans::look::Parent;

const PID: u32 = 4_000_000_000;

fn seen(place: Place, parent: Parent) -> Seen {
    let own = rustix::process::geteuid().as_raw();
    let uids = Some(Uids { real: own, effective: own, saved: own });
    let identity = Identity { pid: PID, start_ticks: 1, pidfd_inode: None };
    let process =
        Process { identity, uids, sid: PID, state: ProcState::Alive, ..Process::of_command(&["x".to_owned()]) };
    Seen { process, mark: None, place, parent, ancestors: Vec::new(), named: true }
}

fn unit(name: &str) -> Place {
    Place::SystemUnit { unit: name.parse().unwrap(), subgroup: None }
}

fn user_unit(name: &str) -> Place {
    Place::UserUnit { uid: 1000, unit: name.parse().unwrap(), subgroup: None }
}

fn session() -> Place {
    Place::Session { id: "3".to_owned(), uid: Some(1000), scope: "session-3.scope".parse().unwrap() }
}

fn container() -> Place {
    let container = Container { runtime: Runtime::Docker, id: "ab".repeat(32), pod: None };
    Place::Container { container, manager: crate::model::Manager::System, unit: None }
}

/// Judges what was seen, with this instance's id and no record.
fn judged(seen: &Seen) -> (bool, String) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let observer = runtime.block_on(Observer::new(Units::Both)).unwrap();
    let (records, marked, names) = (&[][..], &[][..], &[][..]);
    let unread = &["unread".parse().unwrap()];
    let (observer, instance, elsewhere, daemon) = (&observer, Some("own"), &[][..], None);
    let search = Search { observer, instance, records, unread, elsewhere, daemon, marked, names };
    let known = Known::new(&search, &Look { seen: Vec::new(), rows: Default::default() });
    let verdict = judge(&known, seen);
    (verdict.orphan, verdict.reason)
}

#[test]
fn by_place_and_parent() {
    let living = || Parent::Living { pid: 7, comm: "sh".to_owned() };
    let reaper = || Parent::Reaper { pid: 8, comm: "tini".to_owned() };
    for (place, parent, orphan, reason) in [
        (session(), Parent::Init, true, "nobody owns it: its parent has ended, and init has it"),
        (session(), Parent::UserManager, true, "nobody owns it: its parent has ended, and the user manager has it"),
        (Place::Root, reaper(), true, "nobody owns it: its parent has ended, and tini (8) has taken it in"),
        (
            user_unit("vte-spawn-1.scope"),
            Parent::UserManager,
            true,
            "nobody owns it: its parent has ended, and the user manager has it",
        ),
        (unit("run-u1.scope"), Parent::Init, true, "nobody owns it: its parent has ended, and init has it"),
        (session(), living(), false, "it is a child of sh (7), which lives"),
        (session(), Parent::Outside, false, "its parent cannot be seen"),
        (unit("ollama.service"), Parent::Init, false, "it belongs to the system unit ollama.service"),
        (unit("init.scope"), Parent::Init, true, "nobody owns it: its parent has ended, and init has it"),
        (user_unit("llm.service"), Parent::UserManager, false, "it belongs to the user unit llm.service"),
        (container(), Parent::Init, false, "it is in the docker container abababababa…"),
        (Place::Foreign, Parent::Init, false, "it is in another cgroup namespace: whose it is cannot be told"),
    ] {
        assert_eq!(judged(&seen(place.clone(), parent)), (orphan, reason.to_owned()), "{place:?}");
    }
}

#[test]
fn by_user_and_mark() {
    let mut others = seen(session(), Parent::Init);
    for uids in [
        Uids { real: 54_321, effective: 54_321, saved: 54_321 },
        // A setuid program that this user started, and one of ours that became somebody else.
        Uids { effective: 54_321, ..others.process.uids.unwrap() },
        Uids { real: 54_321, ..others.process.uids.unwrap() },
    ] {
        others.process.uids = Some(uids);
        assert_eq!(judged(&others), (false, "it is another user's (54321)".to_owned()));
    }
    let mut unread = seen(session(), Parent::Init);
    unread.process.uids = None;
    assert!(!judged(&unread).0);
    let marked = |instance: &str, place| {
        let mark = Some((instance.to_owned(), "llm".parse().unwrap()));
        // It was started by somebody who lives: what a daemon without systemd starts is its child.
        judged(&Seen { mark, ..seen(place, Parent::Living { pid: 7, comm: "provost".to_owned() }) })
    };
    let ours = "it carries the mark of service llm, which is in no record";
    for place in [session(), Place::Root, user_unit("provost-llm.service"), user_unit("provost.service")] {
        assert_eq!(marked("own", place), (true, ours.to_owned()));
    }
    let mark = Some(("own".to_owned(), "unread".parse().unwrap()));
    let why = "it belongs to service unread, whose record cannot be read: the next daemon takes it over";
    assert_eq!(judged(&Seen { mark, ..seen(session(), Parent::Init) }), (false, why.to_owned()));
    assert!(!marked("own", container()).0, "what runs in a container is its runtime's");
    let theirs = "it belongs to service llm of another instance of provost";
    assert_eq!(marked("another", session()), (false, theirs.to_owned()));
}

#[test]
fn the_keeper_of_output_is_none() {
    let mut keeper = seen(session(), Parent::Init);
    let words = ["provost", crate::logs::keeper::WORD, "/run/user/1000/provost"].map(str::to_owned);
    keeper.process.cmdline = words.to_vec();
    assert_eq!(judged(&keeper), (false, "it keeps the output of services for provost, and ends by itself".to_owned()));
}

#[test]
fn root_believes_the_mark_of_nobody_who_runs_no_service() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let observer = runtime.block_on(Observer::new(Units::Both)).unwrap();
    if observer.caller().uid != 0 {
        return;
    }
    let mut spec = crate::model::service::ServiceSpec::new("a".parse().unwrap(), vec!["x".to_owned()], "/".into());
    spec.user = Some("4711".to_owned());
    let records = [Record::new(spec, 0)];
    let search = Search {
        observer: &observer,
        instance: Some("own"),
        records: &records,
        unread: &[],
        elsewhere: &[],
        daemon: None,
        marked: &[],
        names: &[],
    };
    let found = |place: Place, real: u32, effective: u32| {
        let mut seen = seen(place, Parent::Init);
        seen.named = false;
        seen.mark = Some(("own".to_owned(), "gone".parse().unwrap()));
        seen.process.uids = Some(Uids { real, effective, saved: effective });
        all(&search, Look { seen: vec![seen], rows: Default::default() })
    };
    for (place, real, effective, counts) in [
        (session(), 1001, 1001, false),
        (user_unit("provost-a.service"), 1001, 1001, false),
        // A program of root's that a user has started keeps the user's environment.
        (session(), 1001, 0, false),
        (session(), 0, 0, true),
        (session(), 4711, 4711, true),
        (unit("provost-gone.service"), 1001, 1001, true),
        (unit("cron.service"), 1001, 1001, false),
    ] {
        let found = found(place.clone(), real, effective);
        assert_eq!(found.iter().any(|one| one.orphan), counts, "{place:?} {real} {effective}: {found:?}");
        assert_eq!(found.is_empty(), !counts, "{found:?}");
    }
}
