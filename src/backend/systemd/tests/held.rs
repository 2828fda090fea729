//! Units that others name: made anew all the same, or started as they are.

use super::others::{finish, next, pid, start, systemctl};
use super::*;
use crate::backend::What;
use crate::model::service::Exit;

/// Another unit that comes after this one, and runs.
async fn pin(scope: Scope, name: &str, after: &str) {
    let mut command = std::process::Command::new("systemd-run");
    if scope != Scope::System {
        command.arg("--user");
    }
    command.args(["--quiet", "--unit", name, "-p", &format!("After={after}"), "sleep", "1000"]);
    let done = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

#[test]
fn what_others_come_after_is_made_anew() {
    with_manager(async |scope| {
        let (backend, mut happened) = make(scope).await;
        let one = Launch { needed: true, ..launch("need-ed", "exec sleep 1000") };
        let two = Launch { after: vec![one.id.clone()], ..launch("need-ing", "exec sleep 1000") };
        let first = start(&backend, &one).await;
        start(&backend, &two).await;
        backend.signal(&one.id, Signal::KILL, Whom::Main).await.unwrap();
        assert_eq!(next(&mut happened).await, What::Exited(Exit::Signal(9)));
        let changed = Launch { argv: vec!["sleep".into(), "1001".into()], program: "/bin/sleep".into(), ..one.clone() };
        let second = start(&backend, &changed).await;
        assert!(second.warnings.is_empty() && pid(&first) != pid(&second), "{second:?}");
        let gate = scope.gate(&one.id);
        let list = async || backend.shared.link.call(1, async |m| m.list(&["active"], &[&gate]).await).await.unwrap();
        assert_eq!(list().await.len(), 1, "{gate} is there");
        finish(&backend, &two).await;
        assert_eq!(list().await.len(), 1, "{gate} is there");
        finish(&backend, &one).await;
        let gone = async {
            while !list().await.is_empty() {
                tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(10), gone).await.expect("the gate goes with the service");
    });
}

#[test]
fn what_a_unit_of_others_keeps_loaded_is_started_as_it_is() {
    with_manager(async |scope| {
        let (backend, mut happened) = make(scope).await;
        let mut one = launch("kept", "exec sleep 1000");
        let odd = "two  words, \"\\ 'quotes' \\x41 \\n $HOME ${HOME} $$ %n %% ; # \t\n\u{e4} \u{1f600}";
        // A manager (252) that reads its own files again has a backslash before these: what it would run is another
        // command then, and is taken for one.
        one.argv.push(odd.replace(['$', ';'], ""));
        one.env.insert("ODD".to_owned(), odd.to_owned());
        let first = start(&backend, &one).await;
        pin(scope, "test-keeper", "provost-kept.service").await;
        for reload in [false, true, true] {
            if reload {
                // What the manager then knows of the unit it has read from a file that it wrote itself.
                systemctl(scope, &["daemon-reload"]).await;
            }
            backend.signal(&one.id, Signal::KILL, Whom::Main).await.unwrap();
            assert_eq!(next(&mut happened).await, What::Exited(Exit::Signal(9)));
            backend.clear(&one.id).await.unwrap();
            let again = start(&backend, &one).await;
            assert_ne!(pid(&first), pid(&again));
            assert_eq!(backend.processes(&one.id), [pid(&again)]);
            assert!(again.warnings.iter().any(|said| said.contains("test-keeper.service")), "{again:?}");
        }
        // What changed cannot come to be, and that is said; until the other one is gone.
        let mut changed = one.clone();
        match scope {
            // Those of the system are in a file, which is read at each start.
            Scope::System => changed.argv.push("more".to_owned()),
            _ => drop(changed.env.insert("ODD".to_owned(), format!("{odd} "))),
        }
        backend.clear(&one.id).await.unwrap();
        assert!(matches!(next(&mut happened).await, What::Exited(_)));
        let refused = backend.start(&changed, 2, &|_| Ok(())).await.unwrap_err();
        assert!(matches!(&refused, StartError::Transient(why) if why.contains("test-keeper.service")), "{refused}");
        systemctl(scope, &["stop", "test-keeper.service"]).await;
        let made = start(&backend, &changed).await;
        assert!(made.warnings.iter().all(|said| !said.contains("test-keeper")), "{made:?}");
        finish(&backend, &changed).await;
    });
}
