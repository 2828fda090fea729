//! What comes while a service stops, or while all of them do.

use super::*;
use crate::model::service::Exit;

const TEXT: &str = "[service.a]\ncommand = 'sh'\nenv_file = 'a.env'\nenv = { PROVOST_SIM = 'ignore TERM' }\n";

/// One that takes its time to stop, of a file, with a file of variables.
async fn stubborn(dir: &Path) -> Rig {
    let mut rig = Rig::new(dir);
    std::fs::write(dir.join("a.env"), "X=1\n").unwrap();
    std::fs::write(dir.join("provost.toml"), TEXT).unwrap();
    rig.load(&dir.join("provost.toml")).await.unwrap();
    rig.start("a").await.unwrap();
    rig.ready("a").await;
    rig
}

fn restart(word: &str, run: u64) -> Done {
    Done::Restart { id: id(word), run }
}

/// All that has a service started anew by itself.
const CAUSES: [fn(&Rig, &Path); 3] = [
    |_, dir| std::fs::write(dir.join("a.env"), "X=2\n").unwrap(),
    |_, dir| std::fs::write(dir.join("provost.toml"), TEXT.replace("'sh'", "'sh -x'")).unwrap(),
    |rig, _| rig.found.send(restart("a", 1)).unwrap(),
];

#[test]
fn files_that_change_start_nothing_while_the_daemon_ends() {
    for cause in CAUSES {
        simulated(async |dir| {
            let rig = stubborn(dir).await;
            let end = tokio::time::timeout(3600 * SECOND, rig.finish(Stop::All));
            let (end, ()) = tokio::join!(end, async {
                tokio::time::sleep(SECOND).await;
                cause(&rig, dir);
            });
            end.expect("it ends");
            assert_eq!(rig.world.starts(), [id("a")]);
        });
    }
}

#[test]
fn what_is_being_stopped_is_not_started_by_files_that_change() {
    for (n, cause) in CAUSES.into_iter().enumerate() {
        simulated(async |dir| {
            let mut rig = stubborn(dir).await;
            rig.stop("a").await.unwrap();
            tokio::time::sleep(SECOND).await;
            cause(&rig, dir);
            rig.becomes("a", ServiceState::Stopped).await;
            rig.found.send(restart("a", 1)).unwrap();
            tokio::time::sleep(60 * SECOND).await;
            assert_eq!((rig.state("a").await, rig.report("a").await.desired_up()), (ServiceState::Stopped, false));
            assert_eq!(rig.world.starts(), [id("a")]);
            // The next start is by the new description.
            rig.start("a").await.unwrap();
            rig.up("a").await;
            assert_eq!(rig.report("a").await.command_line.len(), if n == 1 { 2 } else { 1 });
        });
    }
}

#[test]
fn one_that_is_needed_before_its_stop_has_begun_runs_by_its_new_description() {
    simulated(async |dir| {
        let mut rig = Rig::new(dir);
        let path = dir.join("provost.toml");
        let [first, last] = ["[service.a]\ncommand = ", "[service.b]\nafter = ['a']\n"];
        let last =
            format!("{last}command = 'sh'\nenv = {{ PROVOST_SIM = 'ignore TERM' }}\n[service.c]\ncommand = 'sh'\n");
        std::fs::write(&path, format!("{first}'sh'\n{last}")).unwrap();
        rig.load(&path).await.unwrap();
        rig.start("").await.unwrap();
        rig.up("a b c").await;
        rig.stop("a").await.unwrap();
        std::fs::write(&path, format!("{first}'sh -x'\n{last}[service.d]\ncommand = 'sh'\nafter = ['a']\n")).unwrap();
        rig.handle.ask(|answer| Command::ReloadConfig { answer }).await.unwrap();
        rig.up("d").await;
        let report = rig.report("a").await;
        assert_eq!((report.command_line.len(), report.warnings.len(), report.desired_up()), (2, 0, true));
        rig.becomes("b", ServiceState::Stopped).await;
    });
}

#[test]
fn what_is_being_removed_is_not_started() {
    simulated(async |dir| {
        let mut rig = Rig::new(dir);
        rig.define([spec("a", "ignore TERM"), after(spec("b", ""), &["a"])]).await.unwrap();
        rig.start("b").await.unwrap();
        rig.ready("b").await;
        rig.remove("a").await.unwrap();
        rig.becomes("b", ServiceState::Stopped).await;
        for refused in [rig.start("a").await, rig.restart("a").await] {
            assert_eq!(refused.unwrap_err().to_string(), "a is being removed");
        }
        // Nor by what comes after it.
        rig.start("b").await.unwrap();
        rig.restart("b").await.unwrap();
        rig.event("a", |kind| *kind == EventKind::Removed).await;
        rig.up("b").await;
        assert_eq!(rig.world.starts()[..2], [id("a"), id("b")]);
        assert!(!rig.world.starts()[2..].contains(&id("a")));
        assert_eq!(Store::at(&rig.places).all().len(), 1);
    });
}

#[test]
fn a_removal_that_is_undone_while_it_stops_leaves_it_known() {
    simulated(async |dir| {
        let mut rig = Rig::new(dir);
        let path = dir.join("provost.toml");
        let other = "[daemon]\nwatch = false\n[service.b]\ncommand = 'sh'\n";
        let both = format!("{other}[service.a]\ncommand = 'sh'\nenv = {{ PROVOST_SIM = 'ignore TERM' }}\n");
        std::fs::write(&path, &both).unwrap();
        rig.load(&path).await.unwrap();
        rig.start("").await.unwrap();
        rig.up("a b").await;
        let reload = async |text: &str| {
            std::fs::write(&path, text).unwrap();
            rig.handle.ask(|answer| Command::ReloadConfig { answer }).await.unwrap()
        };
        assert_eq!(reload(other).await, [id("a")]);
        tokio::time::sleep(SECOND).await;
        assert_eq!(rig.state("a").await, ServiceState::Stopping);
        assert_eq!(reload(&both).await, [id("a")]);
        rig.becomes("a", ServiceState::Starting).await;
        rig.up("a").await;
        tokio::time::sleep(60 * SECOND).await;
        rig.stop("a").await.unwrap();
        rig.becomes("a", ServiceState::Stopped).await;
        assert_eq!(rig.start("a").await.unwrap(), [(id("a"), true)]);
    });
}

#[test]
fn one_that_was_started_anew_while_its_configuration_was_checked_has_read_it() {
    simulated(async |dir| {
        let mut rig = Rig::new(dir);
        rig.define([spec("a", "")]).await.unwrap();
        rig.start("a").await.unwrap();
        rig.ready("a").await;
        rig.world.kill(&id("a"), Exit::Code(1));
        rig.ready("a").await;
        rig.found.send(restart("a", 1)).unwrap();
        tokio::time::sleep(60 * SECOND).await;
        assert_eq!(rig.world.starts(), [id("a"), id("a")]);
        rig.found.send(restart("a", 2)).unwrap();
        rig.event("a", |kind| *kind == EventKind::Reloaded).await;
        rig.ready("a").await;
        assert_eq!(rig.world.starts().len(), 3);
    });
}
