//! What `config diff` says is what a reload does, and all that it does, whatever the two files say and
//! whatever runs.

use proptest::prelude::*;

use super::*;
use crate::supervise::changes::{Change, Known, changes};

const WORDS: [&str; 5] = ["a", "b", "c", "d", "e"];

/// How a file describes one of them.
#[derive(Debug, Clone)]
struct Described {
    argument: u8,
    meta: u8,
    enabled: bool,
    /// It runs once.
    once: bool,
    /// It takes its time to stop.
    slow: bool,
    /// Of those before it in the alphabet.
    after: [bool; 4],
}

type File = [Option<Described>; 5];

fn described() -> impl Strategy<Value = Option<Described>> {
    let flag = prop::bool::weighted;
    let some = (0..2_u8, 0..2_u8, flag(0.8), flag(0.2), flag(0.3), prop::array::uniform4(flag(0.3)));
    prop::option::weighted(
        0.8,
        some.prop_map(|(argument, meta, enabled, once, slow, after)| Described {
            argument,
            meta,
            enabled,
            once,
            slow,
            after,
        }),
    )
}

fn text(file: &File) -> String {
    let there = |at: &usize| file[*at].is_some();
    let one = |at: usize| {
        let Described { argument, meta, enabled, once, slow, after } = file[at].as_ref()?;
        let after: Vec<&str> = (0..at).filter(|n| after[*n]).filter(there).map(|n| WORDS[n]).collect();
        let id = WORDS[at];
        let ends = if *once { "exit 0 after 1s;" } else { "" };
        let stops = if *slow { "ignore TERM" } else { "" };
        Some(format!(
            "[service.{id}]\ncommand = ['sh', '{argument}']\nmeta = {{ x = {meta} }}\nenabled = {enabled}\n\
             oneshot = {once}\nenv = {{ {VARIABLE} = '{ends}{stops}' }}\n\
             stop = {{ signals = 'TERM:5s,KILL' }}\nafter = {after:?}\n"
        ))
    };
    std::iter::once("[daemon]\nwatch = false\n".to_owned()).chain((0..WORDS.len()).filter_map(one)).collect()
}

/// What is seen of a service: its process, or 0, and whether it is to run.
async fn seen(rig: &Rig) -> BTreeMap<String, (u32, bool)> {
    let which = Selection::default();
    let all = rig.handle.ask(|answer| Command::Report { which, resources: false, answer }).await.unwrap();
    all.iter().map(|report| (report.id.to_string(), (report.pid.unwrap_or(0), report.desired_up()))).collect()
}

/// As `config diff` finds it: by the records alone.
fn said(rig: &Rig, path: &Path) -> BTreeMap<ServiceId, Change> {
    let records = Store::at(&rig.places).all();
    let known = records.iter().map(|record| (record.id.clone(), Known::from(record))).collect();
    let project = crate::config::load(path, &crate::config::LoadOptions::default()).unwrap();
    changes(&known, &project.path, &project.services, Occasion::Changed)
}

/// What happens before the other file is read.
#[derive(Debug, Clone)]
struct Before {
    started: [bool; 5],
    stopped: [bool; 5],
    /// One of no file is started.
    other: bool,
    /// The other file comes while those that were stopped last may still be stopping.
    soon: bool,
    die: bool,
}

fn before() -> impl Strategy<Value = Before> {
    let (each, flag) = (prop::array::uniform5, any::<bool>);
    let all = (each(flag().boxed()), each(prop::bool::weighted(0.3).boxed()), flag(), flag(), flag());
    all.prop_map(|(started, stopped, other, soon, die)| Before { started, stopped, other, soon, die })
}

async fn run(dir: &Path, [old, new]: [File; 2], Before { started, stopped, other, soon, die }: Before) {
    let mut rig = Rig::new(dir);
    let path = dir.join("provost.toml");
    std::fs::write(&path, text(&old)).unwrap();
    rig.load(&path).await.unwrap();
    // One of no file, which comes after one of it.
    rig.define([after(spec("other", ""), &["b"])]).await.unwrap();
    let chosen = |of: [bool; 5]| (0..5).filter(move |n| of[*n]).map(|n| WORDS[n]);
    if other {
        rig.start("other").await.unwrap();
    }
    for id in chosen(started).filter(|word| old[WORDS.iter().position(|w| w == word).unwrap()].is_some()) {
        rig.start(id).await.unwrap();
    }
    tokio::time::sleep(60 * SECOND).await;
    for id in chosen(stopped).filter(|word| old[WORDS.iter().position(|w| w == word).unwrap()].is_some()) {
        rig.stop(id).await.unwrap();
    }
    tokio::time::sleep(if soon { SECOND } else { 60 * SECOND }).await;
    // Of a file without services no daemon knows that did not read it.
    if die && old.iter().any(Option::is_some) {
        rig = rig.again(dir).await;
        tokio::time::sleep(60 * SECOND).await;
    }

    let (before, starts) = (seen(&rig).await, rig.world.starts().len());
    std::fs::write(&path, text(&new)).unwrap();
    let said = said(&rig, &path);
    let reload = rig.handle.ask(|answer| Command::ReloadConfig { answer }).await;
    assert_eq!(reload.unwrap(), said.keys().cloned().collect::<Vec<_>>());
    tokio::time::sleep(60 * SECOND).await;
    let now = seen(&rig).await;
    let starts = rig.world.starts().split_off(starts);
    let all: std::collections::BTreeSet<&String> = before.keys().chain(now.keys()).collect();
    for word in all {
        let (was, is) = (before.get(word).copied(), now.get(word).copied());
        let begun = starts.contains(&id(word));
        let fits = match said.get(&id(word)) {
            None | Some(Change::Changed { .. }) => !begun && is == was.map(|was| if was.1 { was } else { (0, false) }),
            Some(Change::Added { starts }) => was.is_none() && begun == *starts && is.is_some_and(|is| is.1 == *starts),
            Some(Change::Removed) => is.is_none(),
            Some(Change::Stopped) => is == Some((0, false)),
            Some(Change::Started { keys }) => {
                // Where its stop waited for that of others it has not ended, and need not.
                let same = was.zip(is).is_some_and(|(was, is)| was.0 == is.0);
                let runs_on = same && keys.iter().all(|key| ["meta", "enabled", "after"].contains(&key.as_str()));
                was.is_some_and(|was| was.0 == 0 || !was.1) && (begun || runs_on) && is.is_some_and(|is| is.1)
            }
            Some(Change::Restarted { .. }) => {
                begun && was.zip(is).is_some_and(|(was, is)| was.0 != 0 && is.0 != was.0 && is.1)
            }
        };
        assert!(fits, "{word} was {was:?} and is {is:?}, where this was to come:\n{said:#?}\n{}", text(&new));
    }
    let after = self::said(&rig, &path);
    assert!(after.is_empty(), "and once more: {after:?}");
}

/// More of them by `PROPTEST_CASES`.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(96)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn nothing_is_touched_that_the_plan_does_not_name(
        files in prop::array::uniform2(prop::array::uniform5(described())),
        before in before(),
    ) {
        simulated(async |dir| run(dir, files, before).await);
    }
}

/// What waits for the end of one that is removed by the same change goes on.
#[test]
fn one_is_restarted_while_what_came_after_it_is_removed() {
    simulated(async |dir| {
        let rig = Rig::new(dir);
        let path = dir.join("provost.toml");
        let write = |text: &str| std::fs::write(&path, format!("[daemon]\nwatch = false\n{text}")).unwrap();
        write(
            "[service.b]\ncommand = ['sh', '1']\n[service.c]\ncommand = ['sh', '0']\n[service.d]\ncommand = ['sh', '0']\nafter = ['b']\n",
        );
        rig.load(&path).await.unwrap();
        rig.start("b c d").await.unwrap();
        rig.up("b c d").await;
        write("[service.b]\ncommand = ['sh', '0']\n[service.c]\ncommand = ['sh', '1']\nafter = ['b']\n");
        let before = seen(&rig).await;
        rig.handle.ask(|answer| Command::ReloadConfig { answer }).await.unwrap();
        tokio::time::sleep(60 * SECOND).await;
        let now = seen(&rig).await;
        assert!(["b", "c"].iter().all(|id| now[*id].0 != 0 && now[*id].0 != before[*id].0), "{before:?} {now:?}");
    });
}

#[test]
fn another_backend_is_said_until_it_is_stopped() {
    simulated(async |dir| {
        let mut rig = Rig::new(dir);
        let path = dir.join("one.toml");
        let write = |more: &str| std::fs::write(&path, format!("[service.a]\ncommand = 'sh'\n{more}")).unwrap();
        write("");
        rig.load(&path).await.unwrap();
        rig.start("a").await.unwrap();
        rig.ready("a").await;
        write("backend = 'direct'");
        rig.load(&path).await.unwrap();
        let said = ["backend: direct from its next stop and start on"];
        assert_eq!(rig.report("a").await.warnings, said);
        rig.restart("a").await.unwrap();
        rig.ready("a").await;
        assert_eq!(rig.report("a").await.warnings, said, "a restart keeps it");
        rig.stop("a").await.unwrap();
        rig.becomes("a", ServiceState::Stopped).await;
        assert!(rig.report("a").await.warnings.is_empty());
    });
}
