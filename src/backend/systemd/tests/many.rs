//! More units than a manager may be asked about at the same time.

use std::collections::BTreeSet;

use super::others::{finish, next, pid};
use super::*;
use crate::backend::What;
use crate::join::join_all;
use crate::model::service::Exit;

/// All at once, as a daemon starts them.
async fn start_all(backend: &Systemd, all: &[Launch]) -> Vec<Placed> {
    let started = join_all(all.iter().map(|one| backend.start(one, 1, &|_| Ok(())))).await;
    started.into_iter().map(Result::unwrap).collect()
}

/// The manager's own name on its bus: another one if it lost its connection.
async fn owner(backend: &Systemd) -> String {
    let ask = async |manager: crate::systemd::Manager| {
        let bus = Some("org.freedesktop.DBus");
        let name = &("org.freedesktop.systemd1",);
        let answer = manager.connection().call_method(bus, "/org/freedesktop/DBus", bus, "GetNameOwner", name).await?;
        answer.body().deserialize::<String>().map_err(CallError::from)
    };
    backend.shared.link.call(1, ask).await.unwrap()
}

/// A system bus lets PID 1 have 512 match rules, and takes its connection away after that: a
/// reference costs one.
#[test]
fn more_units_than_match_rules() {
    with_manager(async |scope| {
        let (backend, mut happened) = make(scope).await;
        let before = owner(&backend).await;
        let all: Vec<Launch> = (0..600).map(|n| launch(&format!("many-{n}"), "exec sleep 1000")).collect();
        let placed = start_all(&backend, &all).await;
        assert!(placed.iter().all(|placed| placed.identity.is_some()));
        for at in [0, 300, 599] {
            let process = crate::sys::pidfd::PidFd::open(pid(&placed[at])).unwrap();
            process.signal(Signal::KILL.number()).unwrap();
            assert_eq!(next(&mut happened).await, What::Exited(Exit::Signal(9)), "{}", all[at].id);
        }
        start_all(&backend, &all[300..=300]).await;
        // By signals, which leave units that have a clean end to be stopped.
        let polite = all[..550].iter().filter(|one| ![0, 300].iter().any(|at| all[*at].id == one.id));
        join_all(polite.map(|one| async { backend.stop(&one.id, Signal::TERM).await.unwrap() })).await;
        for _ in 0..548 {
            assert_eq!(next(&mut happened).await, What::Exited(Exit::Signal(15)));
        }
        join_all(all.iter().map(|one| finish(&backend, one))).await;
        assert_eq!(before, owner(&backend).await, "the manager kept its connection");
    });
}

#[test]
fn more_that_say_they_are_ready_than_references() {
    with_manager(async |scope| {
        let (backend, mut happened) = make(scope).await;
        let script = "systemd-notify --ready; exec sleep 1000";
        let say = |n| Launch { notify: true, ..launch(&format!("ready-{n}"), script) };
        let all: Vec<Launch> = (0..references::LIMIT + 10).map(say).collect();
        let placed = start_all(&backend, &all).await;
        assert!(placed.iter().all(|placed| placed.identity.is_some()));
        assert_eq!(backend.shared.references.get(), references::LIMIT);
        let mut ready = BTreeSet::new();
        while ready.len() < all.len() {
            let happened = happened.recv().await.unwrap();
            assert_eq!(happened.what, What::Ready, "{}", happened.id);
            ready.insert(happened.id);
        }
        join_all(all.iter().map(|one| finish(&backend, one))).await;
        assert_eq!(backend.shared.references.get(), 0, "all were given back");
    });
}
