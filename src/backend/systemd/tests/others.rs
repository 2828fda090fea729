//! What others do to our units, and to the manager.

use std::process::Command;
use std::time::Duration;

use super::*;
use crate::backend::{Happened, What};
use crate::model::Identity;
use crate::model::service::{Exit, ServiceSpec, ServiceState, Size};

/// A manager (252 and 257) that loses its bus while it has something to say can wait for itself for
/// 90 s: it connects to the socket of a bus that only it could start.
const LIMIT: Duration = Duration::from_secs(120);

/// `systemctl` of the manager that is tested. Does not block the runtime, which has signals to read.
pub(super) async fn systemctl(scope: Scope, args: &[&str]) {
    let mut command = Command::new("systemctl");
    if scope != Scope::System {
        command.arg("--user");
    }
    command.args(args);
    let done = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert!(done.status.success(), "{args:?}: {}", String::from_utf8_lossy(&done.stderr));
}

pub(super) async fn next(happened: &mut UnboundedReceiver<Happened>) -> What {
    tokio::time::timeout(LIMIT, happened.recv()).await.expect("something happens").unwrap().what
}

pub(super) async fn start(backend: &Systemd, launch: &Launch) -> Placed {
    backend.start(launch, 1, &|_| Ok(())).await.unwrap()
}

pub(super) async fn finish(backend: &Systemd, launch: &Launch) {
    backend.clear(&launch.id).await.unwrap();
    backend.release(&launch.id).await;
}

fn record(launch: &Launch, placed: &Placed) -> Record {
    let spec = ServiceSpec::new(launch.id.clone(), launch.argv.clone(), launch.cwd.clone());
    Record {
        state: ServiceState::Running,
        unit: placed.unit.clone(),
        invocation: placed.invocation.clone(),
        identity: placed.identity,
        started_at: Some(humantime::format_rfc3339(crate::clock::now()).to_string()),
        ..Record::new(spec, 0)
    }
}

pub(super) fn pid(placed: &Placed) -> u32 {
    placed.identity.map(|identity: Identity| identity.pid).unwrap()
}

#[test]
fn stops_and_starts_by_others_are_told() {
    with_manager(async |scope| {
        let (backend, mut happened) = make(scope).await;
        // Ends by TERM, with a code of its own, by SIGKILL: it is a stop all the same.
        for script in [
            "exec sleep 1000",
            "trap 'exit 3' TERM; while :; do sleep 0.01; done",
            "trap 'kill -9 $$' TERM; while :; do sleep 0.01; done",
        ] {
            let one = launch("others", script);
            start(&backend, &one).await;
            systemctl(scope, &["stop", "provost-others.service"]).await;
            assert_eq!(next(&mut happened).await, What::StoppedByOthers, "{script}");
            backend.clear(&one.id).await.unwrap();
        }
        let one = launch("others", "exec sleep 1000");
        let placed = start(&backend, &one).await;
        systemctl(scope, &["restart", "provost-others.service"]).await;
        let what = next(&mut happened).await;
        let What::StartedByOthers(again) = what else { panic!("no start: {what:?}") };
        assert_ne!((pid(&again), &again.invocation), (pid(&placed), &placed.invocation));
        // An end of that run is told as of any.
        backend.signal(&one.id, Signal::KILL, Whom::Main).await.unwrap();
        assert_eq!(next(&mut happened).await, What::Exited(Exit::Signal(9)));
        systemctl(scope, &["start", "provost-others.service"]).await;
        let What::StartedByOthers(third) = next(&mut happened).await else { panic!("no start") };
        assert_eq!(backend.processes(&one.id), [pid(&third)]);
        backend.stop(&one.id, Signal::TERM).await.unwrap();
        assert_eq!(next(&mut happened).await, What::Exited(Exit::Signal(15)));
        finish(&backend, &one).await;
    });
}

#[test]
fn a_manager_that_executes_itself_anew_loses_nothing() {
    with_manager(async |scope| {
        let (backend, mut happened) = make(scope).await;
        let all: Vec<Launch> = (0..5).map(|n| launch(&format!("reexec-{n}"), "exec sleep 1000")).collect();
        for one in &all {
            start(&backend, one).await;
        }
        systemctl(scope, &["daemon-reload"]).await;
        systemctl(scope, &["daemon-reexec"]).await;
        for one in &all {
            backend.signal(&one.id, Signal::KILL, Whom::Main).await.unwrap();
            assert_eq!(next(&mut happened).await, What::Exited(Exit::Signal(9)), "{}", one.id);
            start(&backend, one).await;
        }
        for one in &all {
            finish(&backend, one).await;
        }
        let listed = backend.shared.link.call(1, async |m| m.list(&[], &["provost-reexec-*"]).await).await.unwrap();
        assert!(listed.is_empty(), "no reference is left: {listed:?}");
    });
}

#[test]
fn a_bus_that_is_restarted_loses_nothing() {
    with_manager(async |scope| {
        if scope == Scope::System {
            return; // Others in the container would not live through that.
        }
        let (backend, mut happened) = make(scope).await;
        let runs = launch("bus-runs", "exec sleep 1000");
        let ends = launch("bus-ends", "while [ ! -e /tmp/bus-ends ]; do sleep 0.01; done; exit 6");
        let _old = std::fs::remove_file("/tmp/bus-ends");
        start(&backend, &runs).await;
        let placed = start(&backend, &ends).await;
        systemctl(scope, &["kill", "-s", "KILL", "dbus.service"]).await;
        // While there is no connection, or a new one.
        std::fs::write("/tmp/bus-ends", "").unwrap();
        while std::path::Path::new(&format!("/proc/{}", pid(&placed))).exists() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let told = next(&mut happened).await;
        assert_eq!(told, What::Exited(Exit::Code(6)));
        start(&backend, &ends).await;
        assert_eq!(next(&mut happened).await, What::Exited(Exit::Code(6)));
        backend.signal(&runs.id, Signal::KILL, Whom::Main).await.unwrap();
        assert_eq!(next(&mut happened).await, What::Exited(Exit::Signal(9)));
        finish(&backend, &runs).await;
        finish(&backend, &ends).await;
        std::fs::remove_file("/tmp/bus-ends").unwrap();
    });
}

#[test]
fn what_happened_without_a_daemon_is_found() {
    with_manager(async |scope| {
        let ends = [
            ("exit 0", Exit::Code(0)),
            ("exit 9", Exit::Code(9)),
            ("kill -TERM $$", Exit::Signal(15)),
            ("kill -KILL $$", Exit::Signal(9)),
        ];
        for (how, expected) in ends {
            let go = tempfile::NamedTempFile::new().unwrap().into_temp_path();
            std::fs::remove_file(&go).unwrap();
            let one = launch("alone", &format!("while [ ! -e {} ]; do sleep 0.01; done; {how}", go.display()));
            let (backend, happened) = make(scope).await;
            let placed = start(&backend, &one).await;
            let record = record(&one, &placed);
            drop((backend, happened));
            std::fs::write(&go, "").unwrap();
            while std::path::Path::new(&format!("/proc/{}", pid(&placed))).exists() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            let (backend, mut happened) = make(scope).await;
            assert_eq!(backend.adopt(&record, 2).await.unwrap(), Adoption::Ended(expected), "{how}");
            // It is a service like any other.
            backend.clear(&one.id).await.unwrap();
            let recorded = std::cell::RefCell::default();
            let write = |placed: &Placed| {
                recorded.replace(placed.invocation.clone());
                Ok(())
            };
            backend.start(&launch("alone", "exec sleep 1000"), 3, &write).await.unwrap();
            assert_eq!(recorded.into_inner(), record.invocation, "that of the run before");
            backend.signal(&one.id, Signal::KILL, Whom::Main).await.unwrap();
            assert_eq!(next(&mut happened).await, What::Exited(Exit::Signal(9)));
            finish(&backend, &one).await;
        }
        // Our own stop, and then no daemon: nobody else's wish.
        let (backend, happened) = make(scope).await;
        let one = launch("alone", "exec sleep 1000");
        let placed = start(&backend, &one).await;
        let stopped = record(&one, &placed);
        backend.stop(&one.id, Signal::TERM).await.unwrap();
        drop((backend, happened));
        while std::path::Path::new(&format!("/proc/{}", pid(&placed))).exists() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let (backend, happened) = make(scope).await;
        assert_eq!(backend.adopt(&stopped, 2).await.unwrap(), Adoption::Ended(Exit::Signal(15)));
        // A start that was recorded and not made: the unit is that of the run before.
        let begun = Record { state: ServiceState::Starting, ..stopped.clone() };
        drop((backend, happened));
        let (backend, happened) = make(scope).await;
        assert_eq!(backend.adopt(&begun, 2).await.unwrap(), Adoption::NeverStarted);
        finish(&backend, &one).await;
        assert_eq!(backend.adopt(&begun, 2).await.unwrap(), Adoption::NeverStarted);
        drop((backend, happened));
        // Stopped by somebody meanwhile; and after that it is not there.
        let (backend, happened) = make(scope).await;
        let one = launch("alone", "exec sleep 1000");
        let placed = start(&backend, &one).await;
        let record = record(&one, &placed);
        drop((backend, happened));
        systemctl(scope, &["stop", "provost-alone.service"]).await;
        let (backend, _happened) = make(scope).await;
        assert_eq!(backend.adopt(&record, 2).await.unwrap(), Adoption::StoppedByOthers);
        let before = Record { started_at: Some("2001-01-01T00:00:00Z".to_owned()), ..record };
        assert_eq!(backend.adopt(&before, 2).await.unwrap(), Adoption::Ended(Exit::Unknown), "of an earlier manager");
    });
}

#[test]
fn what_an_earlier_daemon_left_is_in_nobodys_way() {
    with_manager(async |scope| {
        let one = launch("left", "exec sleep 1000");
        let (backend, happened) = make(scope).await;
        let first = start(&backend, &one).await;
        drop((backend, happened));
        let (backend, _happened) = make(scope).await;
        // Another instance leaves it alone, and says so.
        let (other, _other_happened) = make_with(scope, "another-instance").await;
        let mut of_other = one.clone();
        of_other.env.insert("PROVOST_INSTANCE_ID".to_owned(), "another-instance".to_owned());
        let refused = other.start(&of_other, 1, &|_| Ok(())).await.unwrap_err();
        assert!(refused.to_string().contains("another instance"), "{refused}");
        assert!(other.marked().await.unwrap().is_empty());
        assert_eq!(backend.processes(&one.id), [pid(&first)]);
        // A start without a record takes its place: it never runs twice.
        let second = start(&backend, &one).await;
        assert_eq!(backend.processes(&one.id), [pid(&second)]);
        assert_ne!(pid(&first), pid(&second));
        // What is left is cleared without having been adopted.
        drop(backend);
        let (backend, _happened) = make(scope).await;
        finish(&backend, &one).await;
        assert!(backend.processes(&one.id).is_empty());
    });
}

/// A daemon that ends between the end of a service and its release leaves the unit to the next one.
#[test]
fn what_an_earlier_daemon_has_not_released_is_released() {
    with_manager(async |scope| {
        let ends = launch("unreleased", "exit 0");
        let fails = Launch { notify: true, ..launch("unreleased-2", "systemd-notify --ready; exit 3") };
        let runs = launch("unreleased-3", "exec sleep 1000");
        let (backend, mut happened) = make(scope).await;
        for one in [&ends, &fails] {
            start(&backend, one).await;
            while !matches!(next(&mut happened).await, What::Exited(_)) {}
        }
        let placed = start(&backend, &runs).await;
        drop((backend, happened));
        let (backend, _happened) = make(scope).await;
        let (other, _other_happened) = make_with(scope, "another-instance").await;
        let pattern = "provost-unreleased*.service";
        let list = async || backend.shared.link.call(1, async |m| m.list(&[], &[pattern]).await).await.unwrap();
        assert_eq!(list().await.len(), 3, "{:?}", list().await);
        for one in [&ends, &fails, &runs] {
            other.release(&one.id).await;
        }
        assert_eq!(list().await.len(), 3, "they are not another's to release");
        for one in [&ends, &fails, &runs] {
            backend.release(&one.id).await;
        }
        let gone = async {
            while list().await.len() > 1 {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), gone).await.expect("what has ended is released");
        assert_eq!(backend.processes(&runs.id), [pid(&placed)], "what runs is not released");
        let env = std::path::Path::new("/run/provost-test-env");
        assert!(!env.join("unreleased").exists() && env.join("unreleased-3").exists() == (scope == Scope::System));
        finish(&backend, &runs).await;
    });
}

#[test]
fn what_failed_with_an_earlier_daemon_does_not_stay_loaded() {
    with_manager(async |scope| {
        let one = launch("failed-before", "sleep 0.3; exit 3");
        let (backend, mut happened) = make(scope).await;
        start(&backend, &one).await;
        assert_eq!(next(&mut happened).await, What::Exited(Exit::Code(3)));
        drop((backend, happened));
        let failed = || systemctl(scope, &["is-failed", "--quiet", "provost-failed-before.service"]);
        failed().await;
        // One of another instance lets it be.
        let (other, _other_happened) = make_with(scope, "another-instance").await;
        other.release(&one.id).await;
        failed().await;
        let (backend, _happened) = make(scope).await;
        backend.release(&one.id).await;
        let unit = "provost-failed-before.service".parse().unwrap();
        let gone = async {
            while backend.shared.mark_of(&unit).await.unwrap().is_some() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(LIMIT, gone).await.expect("it is not loaded any more");
    });
}

/// A start that had no answer may be carried out later: who gives it up does not leave it behind.
#[test]
fn a_start_that_comes_to_be_after_all_is_released() {
    with_manager(async |scope| {
        if scope == Scope::System {
            return; // PID 1 cannot be held up.
        }
        let (backend, _happened) = make(scope).await;
        let of_manager = backend.shared.cgroups.pids_in(&format!("{}/init.scope", backend.shared.root));
        let manager = of_manager.into_iter().min().expect("the manager has a control group");
        let manager = crate::sys::pidfd::PidFd::open(manager).unwrap();
        let one = launch("late", "exec sleep 1000");
        manager.signal(Signal::STOP.number()).unwrap();
        let refused = backend.start(&one, 1, &|_| Ok(())).await;
        manager.signal(Signal::CONT.number()).unwrap();
        assert!(matches!(&refused, Err(StartError::Transient(why)) if why.contains("no answer")), "{refused:?}");
        backend.release(&one.id).await;
        let list = async || backend.shared.link.call(1, async |m| m.list(&[], &["provost-late*"]).await).await.unwrap();
        let gone = async {
            while !list().await.is_empty() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), gone).await.expect("nothing of it is left");
        assert!(backend.processes(&one.id).is_empty());
    });
}

#[test]
fn a_frozen_unit_is_cleared() {
    with_manager(async |scope| {
        let (backend, mut happened) = make(scope).await;
        let one = launch("frozen", "exec sleep 1000");
        start(&backend, &one).await;
        systemctl(scope, &["freeze", "provost-frozen.service"]).await;
        backend.clear(&one.id).await.unwrap();
        assert!(matches!(next(&mut happened).await, What::Exited(Exit::Signal(_))));
        start(&backend, &one).await;
        assert!(!backend.processes(&one.id).is_empty());
        finish(&backend, &one).await;
    });
}

#[test]
fn limits_and_properties_reach_the_unit() {
    with_manager(async |scope| {
        let (backend, mut happened) = make(scope).await;
        let mut one = launch("limits", "ulimit -n; exec sleep 1000");
        one.limits.memory = Some(Size(1 << 30));
        one.limits.cpu = Some("150%".parse().unwrap());
        one.limits.nofile = Some(512);
        one.limits.nice = Some(5);
        one.limits.oom_score_adjust = Some(300);
        one.systemd.insert("UMask".to_owned(), "0077".into());
        one.after = vec!["something".parse().unwrap()];
        let placed = start(&backend, &one).await;
        let read = |file: &str| std::fs::read_to_string(format!("/proc/{}/{file}", pid(&placed))).unwrap();
        assert!(read("limits").lines().any(|line| line.starts_with("Max open files") && line.contains("512")));
        assert_eq!(read("oom_score_adj").trim(), "300");
        assert!(read("status").contains("Umask:\t0077"));
        let name: crate::model::UnitName = "provost-limits.service".parse().unwrap();
        let property = async |name_of: &str| {
            let (name, name_of) = (&name, name_of.to_owned());
            backend.shared.link.call(1, async |m| m.service_property(name, &name_of).await).await.unwrap()
        };
        assert_eq!(u64::try_from(&property("MemoryMax").await).unwrap(), 1 << 30);
        assert_eq!(u64::try_from(&property("CPUQuotaPerSecUSec").await).unwrap(), 1_500_000);
        // Whether the kernel can hold it to them depends on the machine; that is said.
        let enforced =
            std::path::Path::new("/sys/fs/cgroup").join(&backend.shared.cgroup(&name)[1..]).join("memory.max");
        assert_eq!(placed.warnings.iter().any(|warning| warning.contains("limits.memory")), !enforced.exists());
        finish(&backend, &one).await;
        let mut wrong = launch("limits", "true");
        wrong.systemd.insert("ProtectSystem".to_owned(), "sideways".into());
        let refused = backend.start(&wrong, 1, &|_| Ok(())).await.unwrap_err();
        assert!(matches!(&refused, StartError::Permanent(why) if why.contains("ProtectSystem")), "{refused}");
        if scope != Scope::System {
            let mut nice = launch("limits", "exec sleep 1000");
            nice.limits.nice = Some(-10);
            let placed = start(&backend, &nice).await;
            assert!(
                placed.warnings.iter().any(|warning| warning.contains("limits.nice is 0 instead of -10")),
                "{placed:?}"
            );
            finish(&backend, &nice).await;
            let mut shut = launch("limits", "exec sleep 1000");
            shut.systemd.insert("ProtectHome".to_owned(), "read-only".into());
            shut.systemd.insert("PrivateTmp".to_owned(), false.into());
            shut.systemd.insert("IPAddressDeny".to_owned(), "any".into());
            for users in [false, true] {
                shut.systemd.insert("PrivateUsers".to_owned(), users.into());
                let placed = start(&backend, &shut).await;
                let mounts = |process: &str| std::fs::read_link(format!("/proc/{process}/ns/mnt")).unwrap();
                let open = mounts(&pid(&placed).to_string()) == mounts("self");
                let said = |name: &str| placed.warnings.iter().any(|warning| warning.contains(name));
                let expected = (open, true, false);
                let is = (said("systemd.ProtectHome is not"), said("systemd.IPAddressDeny is not"), said("PrivateTmp"));
                assert_eq!(is, expected, "{placed:?}");
                finish(&backend, &shut).await;
            }
        }
        backend.release(&wrong.id).await;
        while let Ok(Happened { what, .. }) = happened.try_recv() {
            assert!(matches!(what, What::Exited(_)), "{what:?}");
        }
    });
}

#[test]
fn the_variables_of_system_units_are_secret() {
    with_manager(async |scope| {
        if scope != Scope::System {
            return;
        }
        let (backend, _happened) = make(scope).await;
        let mut one = launch("secret", "exec sleep 1000");
        let odd = "a \"q\" $HOME ${X} `x` \\ 'y' %h\nz";
        one.env.insert("TOKEN".to_owned(), odd.to_owned());
        one.user = Some("nobody".to_owned());
        let placed = start(&backend, &one).await;
        // The shell executes another program: in between there are no variables to read.
        let read = async || loop {
            let env = std::fs::read(format!("/proc/{}/environ", pid(&placed))).unwrap();
            if !env.is_empty() {
                return env;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        };
        let env = tokio::time::timeout(LIMIT, read()).await.expect("it has variables");
        let token = format!("TOKEN={odd}");
        assert!(env.split(|b| *b == 0).any(|v| v == token.as_bytes()), "{}", String::from_utf8_lossy(&env));
        let shown = Command::new("systemctl").args(["show", "provost-secret.service"]).output().unwrap();
        assert!(!String::from_utf8_lossy(&shown.stdout).contains("TOKEN"));
        finish(&backend, &one).await;
        assert!(!std::path::Path::new("/run/provost-test-env/secret").exists());
        one.user = Some("nobody-at-all".to_owned());
        let refused = backend.start(&one, 1, &|_| Ok(())).await.unwrap_err();
        assert!(matches!(&refused, StartError::Permanent(why) if why.contains("nobody-at-all")), "{refused}");
        backend.release(&one.id).await;
    });
}

/// Every property of the table is taken by the manager as the type that it is sent with.
#[test]
fn the_manager_takes_every_property() {
    with_manager(async |scope| {
        let (backend, _happened) = make(scope).await;
        let mut unknown = Vec::new();
        for (name, value) in super::properties::samples() {
            let mut one = launch("property", "true");
            one.systemd.insert(name.to_owned(), value);
            match backend.start(&one, 1, &|_| Ok(())).await {
                Ok(_) => {}
                Err(error) => {
                    let why = error.to_string();
                    // Older managers lack some; what cannot be had here fails later than that.
                    assert!(!why.contains("refused provost") || why.contains("unknown property"), "{name}: {why}");
                    if why.contains("unknown property") {
                        unknown.push(name);
                    }
                }
            }
            finish(&backend, &one).await;
        }
        println!("not known to this manager: {unknown:?}");
        assert!(unknown.len() < 5, "{unknown:?}");
    });
}

/// At a logout or a shutdown everything is stopped, and nothing of it by somebody's wish.
#[test]
fn a_manager_that_ends_is_nobodys_wish() {
    // No other test has a manager afterwards: this one has a run of its own.
    with("user-to-end", async |scope| {
        let (backend, mut happened) = make(scope).await;
        let placed = start(&backend, &launch("ending", "exec sleep 1000")).await;
        start(&backend, &launch("ending-2", "trap 'exit 3' TERM; while :; do sleep 0.01; done")).await;
        systemctl(scope, &["exit"]).await;
        while std::path::Path::new(&format!("/proc/{}", pid(&placed))).exists() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        // As long as a call waits for a bus that is away, and some more.
        let told = tokio::time::timeout(Duration::from_secs(12), happened.recv()).await;
        assert!(told.is_err(), "{told:?}");
    });
}
