//! How fast it is, beside the least that the same manager takes: `--ignored --nocapture`.

use std::time::{Duration, Instant};

use zbus::Variant;

use super::*;
use crate::backend::systemd::unit::PREFIX;
use crate::backend::{Happened, What};
use crate::join::join_all;
use crate::model::service::{Exit, Limits, ServiceSpec};
use crate::model::{Signal, UnitName};

pub(super) fn launch(id: &str, script: &str) -> Launch {
    let env = [("PATH", "/usr/bin:/bin"), ("PROVOST_SERVICE", id), ("PROVOST_INSTANCE_ID", TEST_INSTANCE)];
    Launch {
        id: id.parse().unwrap(),
        description: format!("{id}, a test"),
        program: "/bin/sh".into(),
        argv: ["sh", "-c", script].map(str::to_owned).to_vec(),
        cwd: "/tmp".into(),
        env: env.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        limits: Limits::default(),
        user: None,
        stop: ServiceSpec::default_stop(),
        notify: false,
        log_file: false,
        systemd: std::collections::BTreeMap::new(),
        after: Vec::new(),
        needed: false,
    }
}

/// A bare loop: as many calls at once as the backend makes, and the jobs waited for.
async fn bare(backend: &Systemd, count: usize, round: usize) -> Duration {
    let names: Vec<UnitName> = (0..count).map(|n| format!("bare{round}-{n}.service").parse().unwrap()).collect();
    // On a connection of its own: the jobs of the bare loop make the manager tell everything.
    let manager = match backend.shared.options.scope {
        Scope::System => crate::systemd::connect_system().await,
        Scope::User(uid) => {
            let path = crate::systemd::user_bus_path(uid, std::env::var("XDG_RUNTIME_DIR").ok().as_deref());
            crate::systemd::connect_user(&path, uid, uid).await
        }
    };
    let manager = crate::systemd::Manager::new(manager.unwrap()).await.unwrap();
    let turns = tokio::sync::Semaphore::new(super::link::IN_FLIGHT);
    let jobs = crate::systemd::Jobs::listen(&manager).await.unwrap();
    let began = Instant::now();
    let one = |name: UnitName| {
        let (jobs, manager, turns) = (&jobs, &manager, &turns);
        async move {
            let words: Vec<String> = ["sleep", "1000"].map(str::to_owned).to_vec();
            let exec = Variant::new(vec![("/bin/sleep".to_owned(), words, false)]);
            let of = [("Type", "exec".into()), ("ExecStart", exec)];
            let turn = turns.acquire().await.unwrap();
            let job = manager.start_transient(&name, &of).await.unwrap();
            drop(turn);
            let path = zbus::OwnedObjectPath::try_from(format!("/org/freedesktop/systemd1/job/{job}")).unwrap();
            assert!(jobs.wait(&path).await.unwrap().is_success());
        }
    };
    join_all(names.iter().cloned().map(one)).await;
    let took = began.elapsed();
    for name in &names {
        manager.kill(name, Whom::All, Signal::KILL, false).await.unwrap();
    }
    until_gone(backend, &format!("bare{round}-*")).await;
    took
}

async fn until_gone(backend: &Systemd, pattern: &str) {
    loop {
        let left = backend.shared.link.call(1, async |manager| manager.list(&[], &[pattern]).await).await.unwrap();
        if left.is_empty() {
            return;
        }
        for unit in left {
            backend.shared.link.call(1, async |manager| manager.reset_failed(&unit.name).await).await.unwrap();
        }
    }
}

#[test]
#[ignore = "measures"]
fn many_starts_beside_a_bare_loop() {
    with_manager(async |scope| {
        let (backend, _happened) = make(scope).await;
        let mut figures = Vec::new();
        for round in 0..5 {
            let least = bare(&backend, 100, round).await;
            let all: Vec<Launch> = (0..100).map(|n| launch(&format!("s{n}"), "exec sleep 1000")).collect();
            let began = Instant::now();
            let sleepers = all.iter().map(|one| Launch {
                program: "/bin/sleep".into(),
                argv: vec!["sleep".into(), "1000".into()],
                ..one.clone()
            });
            let sleepers: Vec<Launch> = sleepers.collect();
            for placed in join_all(sleepers.iter().map(|one| backend.start(one, 1, &|_| Ok(())))).await {
                assert!(placed.unwrap().identity.is_some());
            }
            let ours = began.elapsed();
            join_all(all.iter().map(async |one| {
                backend.clear(&one.id).await.unwrap();
                backend.release(&one.id).await;
            }))
            .await;
            until_gone(&backend, &format!("{PREFIX}s*")).await;
            println!("bare {least:?}, ours {ours:?}, {:.2}", ours.as_secs_f64() / least.as_secs_f64());
            figures.push(ours.as_secs_f64() / least.as_secs_f64());
        }
        figures.sort_by(f64::total_cmp);
        println!("median {:.2}", figures[2]);
    });
}

#[test]
#[ignore = "measures"]
fn a_restart_beside_systemds_own() {
    with_manager(async |scope| {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let script = format!("date +%s%N >> {}; exec sleep 1000", log.display());
        // systemd's own.
        let (backend, mut happened) = make(scope).await;
        let link = &backend.shared.link;
        let name: UnitName = "bare-restart.service".parse().unwrap();
        let words: Vec<String> = ["sh", "-c", &script].map(|word| word.replace('$', "$$")).to_vec();
        let of = [
            ("Type", "exec".into()),
            ("Restart", "always".into()),
            ("RestartUSec", 0_u64.into()),
            ("StartLimitIntervalUSec", 0_u64.into()),
            ("ExecStart", Variant::new(vec![("/bin/sh".to_owned(), words, false)])),
        ];
        link.call(1, async |manager| manager.start_transient(&name, &of).await).await.unwrap();
        let mut own = Vec::new();
        for count in 1..=20 {
            lines(&log, count).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
            let killed = nanos();
            link.call(1, async |manager| manager.kill(&name, Whom::Main, Signal::KILL, false).await).await.unwrap();
            own.push(lines(&log, count + 1).await - killed);
        }
        link.call(1, async |manager| manager.stop_job(&name).await).await.unwrap();
        until_gone(&backend, name.as_str()).await;
        std::fs::remove_file(&log).unwrap();
        // Ours.
        let one = launch("restarted", &script);
        backend.start(&one, 1, &|_| Ok(())).await.unwrap();
        let mut ours = Vec::new();
        for count in 1..=20 {
            lines(&log, count).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
            let killed = nanos();
            backend.signal(&one.id, Signal::KILL, Whom::Main).await.unwrap();
            let Some(Happened { what: What::Exited(Exit::Signal(9)), .. }) = happened.recv().await else { panic!() };
            backend.clear(&one.id).await.unwrap();
            backend.start(&one, 1, &|_| Ok(())).await.unwrap();
            ours.push(lines(&log, count + 1).await - killed);
        }
        backend.clear(&one.id).await.unwrap();
        backend.release(&one.id).await;
        own.sort_unstable();
        ours.sort_unstable();
        let ms = |all: &[u64]| all[all.len() / 2] as f64 / 1e6;
        println!("systemd's own {:.1} ms, ours {:.1} ms, {:.2}", ms(&own), ms(&ours), ms(&ours) / ms(&own));
    });
}

fn nanos() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64
}

/// Waits for so many lines; the time in the last one.
async fn lines(log: &std::path::Path, count: usize) -> u64 {
    loop {
        let text = std::fs::read_to_string(log).unwrap_or_default();
        if text.lines().count() >= count && text.ends_with('\n') {
            return text.lines().last().unwrap().parse().unwrap();
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
