//! Descriptions come, change and go.

use super::*;

struct Files<'a>(&'a Path);

impl Files<'_> {
    fn write(&self, name: &str, text: &str) -> std::path::PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

#[test]
fn a_file_is_a_project() {
    simulated(async |dir| {
        let mut rig = Rig::new(dir);
        let files = Files(dir);
        let path = files.write("one.toml", "[service.a]\ncommand = 'sh'\n[service.b]\ncommand = 'sh'\nenabled = false");
        assert_eq!(rig.load(&path).await.unwrap(), [id("a"), id("b")]);
        let project = Selection { ids: Vec::new(), project: Some(path.canonicalize().unwrap()) };
        let start = |answer| Command::Start { which: project.clone(), environment: BTreeMap::new(), answer };
        assert_eq!(rig.handle.ask(start).await.unwrap(), [(id("a"), true)], "b is not enabled");
        rig.ready("a").await;

        // The same again changes nothing; a new description holds from the next start on.
        rig.load(&path).await.unwrap();
        assert_eq!(rig.handle.ask(start).await.unwrap(), [(id("a"), false)]);
        files.write("one.toml", "[service.a]\ncommand = 'sh -x'\nmeta = { x = 1 }\n[service.c]\ncommand = 'sh'");
        assert_eq!(rig.load(&path).await.unwrap(), [id("a"), id("c")]);
        rig.event("b", |kind| *kind == EventKind::Removed).await;
        let report = rig.report("a").await;
        assert_eq!(report.command_line, ["sh"]);
        assert_eq!(report.warnings, ["its description changed since it was started: restart it"]);
        assert_eq!(rig.handle.ask(start).await.unwrap(), [(id("a"), true), (id("c"), true)]);
        rig.ready("a").await;
        assert_eq!(rig.report("a").await.command_line, ["sh", "-x"]);

        // What only the supervisor reads needs no restart.
        files.write("one.toml", "[service.a]\ncommand = 'sh -x'\nmeta = { x = 2 }\nrestart = { tries = 3 }");
        rig.load(&path).await.unwrap();
        assert_eq!(rig.handle.ask(start).await.unwrap(), [(id("a"), false)]);
        assert_eq!(rig.report("a").await.meta["x"], 2);

        // A name that stands for instances is nobody's id.
        for (here, there) in [("", "instances = 1"), ("instances = 1", "")] {
            let (one, two) = (dir.join("here.toml"), dir.join("there.toml"));
            files.write("here.toml", &format!("[service.n]\ncommand = 'sh'\n{here}"));
            files.write("there.toml", &format!("[service.n]\ncommand = 'sh'\n{there}"));
            rig.load(&one).await.unwrap();
            let refused = rig.load(&two).await.unwrap_err().to_string();
            assert!(refused.starts_with("n is in /") && refused.contains("here.toml: rename one"), "{refused}");
            rig.remove("n").await.unwrap();
        }
        let other = files.write("two.toml", "[service.a]\ncommand = 'sh'");
        let refused = rig.load(&other).await.unwrap_err().to_string();
        assert!(refused.contains("one.toml") && refused.contains("two.toml"), "{refused}");
        std::fs::remove_file(&path).unwrap();
        assert_eq!(rig.load(&other).await.unwrap(), [id("a")], "it was moved");
        let wrong = files.write("three.toml", "[service.x]\ncommand = ''");
        assert!(matches!(rig.load(&wrong).await, Err(Refusal::Config(_))));
    });
}

#[test]
fn a_reload_applies_what_changed() {
    simulated(async |dir| {
        let mut rig = Rig::new(dir);
        let files = Files(dir);
        let path = files.write("one.toml", "[service.a]\ncommand = 'sh'\n[service.b]\ncommand = 'sh'");
        rig.load(&path).await.unwrap();
        rig.start("").await.unwrap();
        rig.ready("b").await;
        files.write("one.toml", "[service.a]\ncommand = 'sh -x'\n[service.c]\ncommand = 'sh'");
        let reload = async || rig.handle.ask(|answer| Command::ReloadConfig { answer }).await;
        assert_eq!(reload().await.unwrap(), [id("a"), id("b"), id("c")]);
        rig.event("b", |kind| *kind == EventKind::Removed).await;
        rig.up("a c").await;
        assert_eq!(rig.report("a").await.command_line, ["sh", "-x"]);
        files.write("one.toml", "nonsense");
        let reload = async || rig.handle.ask(|answer| Command::ReloadConfig { answer }).await;
        assert!(matches!(reload().await, Err(Refusal::Config(_))));
        assert_eq!(rig.world.alive(), 2, "nothing is touched by a file that is wrong");
        let wrong = rig.handle.config_errors();
        assert!(wrong.first().is_some_and(|why| why.contains("one.toml:1:")), "it stays to be seen: {wrong:?}");
        rig.event("a", |kind| *kind == EventKind::Warning).await;
    });
}

#[test]
fn what_could_not_be_started_again_goes_on() {
    simulated(async |dir| {
        let mut rig = Rig::new(dir);
        let files = Files(dir);
        let write = |two: &str| {
            let rest = "[daemon]\nwatch = false\n[service.one]\ncommand = 'sh'\n";
            files.write("one.toml", &format!("{rest}[service.two]\nafter = ['one']\n{two}\n"))
        };
        let path = write("command = 'sh'");
        rig.load(&path).await.unwrap();
        rig.start("").await.unwrap();
        rig.up("one two").await;
        let pid = rig.report("two").await.pid;
        assert!(pid.is_some());
        files.write("file", "");
        for (wrong, why) in [
            ("command = 'slep 1111'", "slep: there is no such program"),
            ("command = 'sh'\nenv = { A = '${NEEDED}' }", "NEEDED"),
            ("command = 'sh'\nenv_file = 'none.env'", "none.env"),
            ("command = 'sh'\ncwd = '/nowhere'", "/nowhere"),
            ("command = 'sh'\nlog = { path = 'file', file = true }", "log.path: "),
        ] {
            write(wrong);
            reload(&rig).await;
            let said = rig.event("two", |kind| *kind == EventKind::Warning).await.message;
            assert!(said.contains("it goes on as it is, for it could not be started again: "), "{said}");
            assert!(said.contains(why), "{said}");
            tokio::time::sleep(60 * SECOND).await;
            let report = rig.report("two").await;
            assert_eq!((report.state, report.pid), (ServiceState::Running, pid), "{wrong}");
            assert!(report.warnings.iter().any(|warning| warning.contains(why)), "{:?}", report.warnings);
            let refused = rig.start("two").await.unwrap_err().to_string();
            assert!(refused.starts_with("two goes on as it is") && refused.contains(why), "{refused}");
        }
        write("command = 'sh -x'");
        reload(&rig).await;
        let report = rig.until("two", |report| report.ready && report.command_line == ["sh", "-x"]).await;
        assert_eq!(report.warnings, [""; 0]);
    });
}

#[test]
fn a_port_that_is_not_given_out_yet_stops_no_takeover() {
    real(async |dir| {
        let rig = Rig::new(dir);
        let files = Files(dir);
        let path = files.write("one.toml", "[service.a]\ncommand = 'sh'\n[service.b]\ncommand = 'sh'\n");
        rig.load(&path).await.unwrap();
        rig.start("").await.unwrap();
        rig.up("a b").await;
        files.write(
            "one.toml",
            "[service.a]\ncommand = 'sh ${PORT}'\nport = '42100-42199'\n[service.c]\ncommand = 'sh'\n\
             port = '42200-42299'\n[service.b]\ncommand = 'sh ${service.a.port} ${service.c.port}'\nafter = ['a', 'c']\n",
        );
        reload(&rig).await;
        rig.until("b", |report| report.ready && report.command_line.len() == 3).await;
    });
}

#[test]
fn a_changed_port_reaches_those_who_run_by_it() {
    real(async |dir| {
        let mut rig = Rig::new(dir);
        let files = Files(dir);
        let write = |port: &str| {
            let text = "[daemon]\nwatch = false\n[service.dep]\ncommand = 'sh ${service.web.port}'\nafter = ['web']\n\
                        [service.free]\ncommand = 'sh ${service.web.port}'\n[service.web]\n";
            files.write("one.toml", &format!("{text}{port}\n"))
        };
        let path = write("command = 'sh'\nport = 42311");
        rig.load(&path).await.unwrap();
        rig.start("").await.unwrap();
        rig.up("dep free web").await;
        let runs_by = async |rig: &Rig, port: &str| {
            for id in ["dep", "free"] {
                rig.until(id, |report| report.ready && report.command_line == ["sh", port]).await;
            }
            let warnings = [rig.report("dep").await.warnings, rig.report("web").await.warnings].concat();
            assert_eq!(warnings, [""; 0]);
        };
        write("command = 'sh'\nport = 42312");
        assert_eq!(reload(&rig).await, [id("dep"), id("free"), id("web")]);
        let said = rig.event("web", |kind| matches!(kind, EventKind::Port { .. })).await.message;
        assert_eq!(said, "its port is 42312 now (it was 42311)");
        runs_by(&rig, "42312").await;
        // By up as well.
        write("command = 'sh'\nport = 42313");
        rig.load(&path).await.unwrap();
        rig.start("").await.unwrap();
        rig.until("web", |report| report.port == Some(42313)).await;
        rig.until("dep", |report| report.ready && report.command_line == ["sh", "42313"]).await;
        // What keeps its port for now is followed when it has another.
        let pid = rig.report("dep").await.pid;
        write("command = 'slep'\nport = 42314");
        reload(&rig).await;
        rig.event("web", |kind| *kind == EventKind::Warning).await;
        rig.soon().await;
        let dep = rig.report("dep").await;
        assert_eq!((dep.pid, dep.warnings), (pid, Vec::new()));
        write("command = 'sh'\nport = 42314");
        reload(&rig).await;
        runs_by(&rig, "42314").await;
        assert_eq!(reload(&rig).await, []);
    });
}

#[test]
fn a_new_range_is_given_out_in_the_order_of_instances() {
    real(async |dir| {
        let rig = Rig::new(dir);
        let files = Files(dir);
        let write = |range: &str| {
            let text = "[daemon]\nwatch = false\n[service.pool]\ncommand = 'sh'\ninstances = 12\n";
            files.write("one.toml", &format!("{text}port = '{range}'\n[service.one]\ncommand = 'sh'\nport = 42401\n"))
        };
        let path = write("42321-42399");
        rig.load(&path).await.unwrap();
        rig.start("").await.unwrap();
        for (first, range) in [(42321, ""), (42400, "42400-42499")] {
            if !range.is_empty() {
                write(range);
                reload(&rig).await;
            }
            for number in 1..=12_u16 {
                let port = first + number - 1 + u16::from(first == 42400 && number > 1);
                rig.until(&format!("pool-{number}"), |report| report.ready && report.port == Some(port)).await;
            }
        }
    });
}

#[test]
fn enabled_is_what_was_said_last() {
    simulated(async |dir| {
        let rig = Rig::new(dir);
        let files = Files(dir);
        let path = files.write("one.toml", "[service.a]\ncommand = 'sh'");
        rig.load(&path).await.unwrap();
        let enable = |enabled| move |answer| Command::Enable { which: which("a"), enabled, answer };
        assert_eq!(rig.handle.ask(enable(false)).await.unwrap(), [(id("a"), true)]);
        assert_eq!(rig.handle.ask(enable(false)).await.unwrap(), [(id("a"), false)]);
        rig.define([spec("command", "")]).await.unwrap();
        let which = which("command");
        let refused = rig.handle.ask(|answer| Command::Enable { which, enabled: true, answer }).await.unwrap_err();
        assert!(refused.to_string().contains("in no config"), "{refused}");
        rig.load(&path).await.unwrap();
        let rig = rig.again(dir).await;
        assert!(!rig.report("a").await.enabled, "the same config says nothing new");
        files.write("one.toml", "[service.a]\ncommand = 'sh'\nenabled = false");
        rig.load(&path).await.unwrap();
        files.write("one.toml", "[service.a]\ncommand = 'sh'\nenabled = true");
        rig.load(&path).await.unwrap();
        assert!(rig.report("a").await.enabled);
    });
}

async fn reload(rig: &Rig) -> Vec<ServiceId> {
    rig.handle.ask(|answer| Command::ReloadConfig { answer }).await.unwrap()
}

async fn found(rig: &Rig, config: &Path) -> Vec<ServiceId> {
    let (config, environment, occasion) = (config.to_owned(), BTreeMap::new(), Occasion::Found);
    rig.handle.ask(|answer| Command::Load { config, environment, occasion, answer }).await.unwrap()
}

#[test]
fn what_was_removed_stays_removed() {
    simulated(async |dir| {
        let mut rig = Rig::new(dir);
        let files = Files(dir);
        let (a, b) = ("[service.a]\ncommand = 'sh'\n", "[service.b]\ncommand = 'sh'\n");
        let path = files.write("one.toml", &format!("{a}{b}"));
        rig.load(&path).await.unwrap();
        rig.start("").await.unwrap();
        rig.up("a b").await;
        rig.remove("a").await.unwrap();
        rig.event("a", |kind| *kind == EventKind::Removed).await;
        assert_eq!(reload(&rig).await, []);
        let rig = rig.again(dir).await;
        files.write("one.toml", &format!("{a}meta = {{ x = 1 }}\n{b}meta = {{ x = 1 }}\n"));
        assert_eq!((reload(&rig).await, found(&rig, &path).await), (vec![id("b")], vec![id("b")]));
        assert_eq!(rig.load(&path).await.unwrap(), [id("a"), id("b")], "somebody asks for it");
        assert_eq!(rig.state("a").await, ServiceState::Stopped);
        // Taken out of its file and written anew it is another one.
        rig.remove("a").await.unwrap();
        files.write("one.toml", b);
        reload(&rig).await;
        files.write("one.toml", &format!("{a}{b}"));
        assert_eq!(reload(&rig).await, [id("a")]);
        rig.up("a").await;
    });
}

#[test]
fn a_removal_outlives_the_daemon() {
    simulated(async |dir| {
        let mut rig = Rig::new(dir);
        let stubborn = "[service.a]\ncommand = 'sh'\nenv = { PROVOST_SIM = 'ignore TERM' }\nstop = { signals = ['TERM:30s', 'KILL'] }\n";
        let path = Files(dir).write("one.toml", &format!("{stubborn}[service.b]\ncommand = 'sh'\nafter = ['a']\n"));
        rig.load(&path).await.unwrap();
        rig.start("").await.unwrap();
        rig.up("a b").await;
        rig.remove("a").await.unwrap();
        rig.becomes("a", ServiceState::Stopping).await;
        let mut rig = rig.again(dir).await;
        rig.event("a", |kind| *kind == EventKind::Removed).await;
        assert_eq!((rig.world.alive(), Store::at(&rig.places).all().len()), (0, 1));
        assert_eq!(rig.state("b").await, ServiceState::Stopped);
    });
}

#[test]
fn a_project_of_which_all_was_removed_is_nobodys() {
    simulated(async |dir| {
        let rig = Rig::new(dir);
        let files = Files(dir);
        let (path, own) = (
            files.write("one.toml", "[service.a]\ncommand = 'sh'\n"),
            files.write("own.toml", "[service.o]\ncommand = 'sh'\n"),
        );
        rig.load(&path).await.unwrap();
        found(&rig, &own).await;
        rig.up("o").await;
        rig.remove("a").await.unwrap();
        rig.remove("o").await.unwrap();
        rig.soon().await;
        files.write("one.toml", "[service.a]\ncommand = 'sh'\n[service.c]\ncommand = 'sh'\n");
        assert_eq!(reload(&rig).await, []);
        // The daemon takes its own over each time.
        let rig = rig.again(dir).await;
        assert_eq!(found(&rig, &own).await, []);
        files.write("own.toml", "[service.o]\ncommand = 'sh'\n[service.p]\ncommand = 'sh'\n");
        assert_eq!(found(&rig, &own).await, [id("p")]);
        rig.up("p").await;
        assert_eq!(rig.world.alive(), 1);
    });
}

#[test]
fn ad_hoc_services_are_replaced_only_when_they_do_not_run() {
    simulated(async |dir| {
        let mut rig = Rig::new(dir);
        rig.define([spec("a", "")]).await.unwrap();
        rig.start("a").await.unwrap();
        rig.ready("a").await;
        let refused = rig.define([spec("a", "exit 1")]).await.unwrap_err().to_string();
        assert_eq!(refused, "a is running already; stop it first");
        let path = Files(dir).write("one.toml", "[service.a]\ncommand = 'sh'\n[service.b]\ncommand = 'sh'");
        let refused = rig.load(&path).await.unwrap_err().to_string();
        assert!(refused.starts_with("a runs already, started by a command"), "{refused}");
        rig.stop("a").await.unwrap();
        rig.becomes("a", ServiceState::Stopped).await;
        rig.load(&path).await.unwrap();
        let refused = rig.define([spec("b", "")]).await.unwrap_err().to_string();
        assert!(refused.starts_with("b is described in /") && refused.ends_with("take another name"), "{refused}");
        // Removed while it runs: first it stops.
        rig.start("a b").await.unwrap();
        rig.ready("b").await;
        rig.remove("a b").await.unwrap();
        rig.event("b", |kind| *kind == EventKind::Removed).await;
        assert!(matches!(rig.start("a").await, Err(Refusal::NoSuchService { .. })));
        assert_eq!((rig.world.alive(), Store::at(&rig.places).all()), (0, vec![]));
    });
}

#[test]
fn what_is_refused_leaves_nothing() {
    simulated(async |dir| {
        let mut rig = Rig::new(dir);
        rig.define([spec("a", ""), spec("b", "")]).await.unwrap();
        let (registry, away) = (rig.places.registry(), dir.join("away"));
        std::fs::rename(&registry, &away).unwrap();
        std::fs::write(&registry, "").unwrap();
        let refused = rig.define([after(spec("a", ""), &["b"])]).await.unwrap_err().to_string();
        assert!(refused.contains("the record of a cannot be written"), "{refused}");
        let path = Files(dir).write("one.toml", "[service.c]\ncommand = 'sh'");
        let refused = rig.load(&path).await.unwrap_err().to_string();
        assert!(refused.contains("the record of c cannot be written"), "{refused}");
        std::fs::remove_file(&registry).unwrap();
        std::fs::rename(&away, &registry).unwrap();
        // No order, and no file that is followed.
        Files(dir).write("one.toml", "[service.c]\ncommand = 'sh -x'");
        tokio::time::sleep(60 * SECOND).await;
        assert_eq!(Store::at(&rig.places).all().len(), 2);
        rig.define([after(spec("b", ""), &["a"])]).await.unwrap();
        rig.start("b").await.unwrap();
        rig.ready("b").await;
        rig.load(&path).await.unwrap();
    });
}

#[test]
fn one_that_is_made_anew_waits_until_the_backend_has_forgotten_the_first() {
    simulated(async |dir| {
        let mut rig = Rig::new(dir);
        let removed = async |rig: &mut Rig| {
            rig.start("a").await.unwrap();
            rig.ready("a").await;
            rig.remove("a").await.unwrap();
            rig.event("a", |kind| *kind == EventKind::Removed).await;
        };
        rig.define([spec("a", "release 5s")]).await.unwrap();
        removed(&mut rig).await;
        let gone = Instant::now();
        rig.define([spec("a", "release 1s")]).await.unwrap();
        removed(&mut rig).await;
        assert_eq!(gone.elapsed(), 5 * SECOND);
        // The end of the daemon waits for that, too.
        rig.finish(Stop::None).await;
        assert_eq!(gone.elapsed(), 6 * SECOND);
    });
}

#[test]
fn the_system_instance_starts_nothing_that_would_have_it_run_commands() {
    use crate::model::service::{Check, Ready, Reload};
    simulated(async |dir| {
        let places = Places { instance: crate::model::Instance::System, ..Places::below(dir) };
        let mut rig = Rig::at(World::default(), places);
        let mut asked = spec("a", "");
        asked.ready = Some(Ready::new(Check::Exec(vec!["true".to_owned()])));
        let mut told = spec("b", "");
        told.reload = Some(Reload::Exec(vec!["true".to_owned()]));
        // As a record of a daemon before this one may have it.
        rig.define([asked, told]).await.unwrap();
        rig.start("a b").await.unwrap();
        for id in ["a", "b"] {
            rig.becomes(id, ServiceState::Failed).await;
            let report = rig.report(id).await;
            assert!(format!("{report:?}").contains("runs commands only as units"), "{report:?}");
        }
    });
}

#[test]
fn the_system_instance_reads_no_env_file_of_others() {
    use std::os::unix::fs::PermissionsExt as _;
    simulated(async |dir| {
        let places = Places { instance: crate::model::Instance::System, ..Places::below(dir) };
        let mut rig = Rig::at(World::default(), places);
        let path = Files(dir).write("a.env", "A=hush\n");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
        let mut spec = spec("a", "");
        spec.env_file = Some(path);
        rig.define([spec]).await.unwrap();
        rig.start("a").await.unwrap();
        rig.becomes("a", ServiceState::Failed).await;
        let report = format!("{:?}", rig.report("a").await);
        assert!(report.contains("env_file /") && !report.contains("hush"), "{report}");
    });
}

#[test]
fn errors_of_the_system_show_variables_as_they_are_written() {
    simulated(async |dir| {
        let places = Places { instance: crate::model::Instance::System, ..Places::below(dir) };
        let mut rig = Rig::at(World::default(), places);
        let file = Files(dir).write("a.env", "KEY=swordfish\n");
        let with = |id: &str, change: fn(&mut ServiceSpec)| {
            let mut spec = spec(id, "");
            spec.env_file = Some(file.clone());
            change(&mut spec);
            spec
        };
        let specs = [
            with("a", |spec| spec.cwd = "/none${PATH}".into()),
            with("b", |spec| spec.program = crate::model::service::Program::Command(vec!["/none/${KEY}".to_owned()])),
        ];
        rig.define(specs).await.unwrap();
        rig.start("a b").await.unwrap();
        for (id, written) in [("a", "/none${PATH}"), ("b", "/none/${KEY}")] {
            rig.becomes(id, ServiceState::Failed).await;
            let said = rig.report(id).await.last_error.unwrap_or_default();
            assert!(said.contains(written) && !said.contains("swordfish") && !said.contains("/usr/bin"), "{said}");
        }
    });
}

#[test]
fn a_reload_says_why_the_own_config_is_still_refused() {
    simulated(async |dir| {
        let mut rig = Rig::new(dir);
        rig.define([spec("k", "")]).await.unwrap();
        rig.start("k").await.unwrap();
        rig.up("k").await;
        let path = dir.join("provost.toml");
        std::fs::write(&path, "[service.own]\ncommand = 'sh'\n[service.k]\ncommand = 'sh'").unwrap();
        rig.handle.shared().note_trouble(&path, "it is not applied", false);
        let reload = async || rig.handle.ask(|answer| Command::ReloadConfig { answer }).await;
        for _ in 0..2 {
            let Err(Refusal::Config(why)) = reload().await else { panic!("it was applied") };
            assert!(why.starts_with("k runs already, started by a command"), "{why}");
        }
        rig.stop("k").await.unwrap();
        rig.becomes("k", ServiceState::Stopped).await;
        let reload = async || rig.handle.ask(|answer| Command::ReloadConfig { answer }).await;
        assert!(reload().await.unwrap().contains(&id("own")));
        assert_eq!(reload().await.unwrap(), []);
        // One that is gone is wrong no more.
        let gone = dir.join("gone.toml");
        rig.handle.shared().note_trouble(&gone, "it is not applied", false);
        reload().await.unwrap();
        assert!(!rig.handle.shared().troubled().contains(&gone));
    });
}
