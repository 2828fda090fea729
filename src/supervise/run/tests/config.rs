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
fn enabled_is_what_was_said_last() {
    simulated(async |dir| {
        let rig = Rig::new(dir);
        let files = Files(dir);
        let path = files.write("one.toml", "[service.a]\ncommand = 'sh'");
        rig.load(&path).await.unwrap();
        let enable = |enabled| move |answer| Command::Enable { which: which("a"), enabled, answer };
        assert_eq!(rig.handle.ask(enable(false)).await.unwrap(), [(id("a"), true)]);
        assert_eq!(rig.handle.ask(enable(false)).await.unwrap(), [(id("a"), false)]);
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
