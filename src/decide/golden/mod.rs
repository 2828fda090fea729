//! Golden plans: tests/plans/NAME.json has the facts of one owner, a request, and the plan.
//!
//! The facts come from the samples; the plans are what people read, so each change of one is seen
//! in review. `PROVOST_BLESS=1 cargo test golden` writes them anew.

mod helped;
mod others;
mod processes;
mod units;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::decide;
use crate::model::{Action, Facts, Plan, Request};

/// A name, what was read, and what was asked for.
type Case = (&'static str, Facts, Request);

#[derive(Serialize, Deserialize)]
struct Golden {
    facts: Facts,
    request: Request,
    plan: Plan,
}

fn ask(action: Action) -> Request {
    Request::new(action)
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plans")
}

fn cases() -> Vec<Case> {
    [units::cases(), units::obstacles(), processes::cases(), others::cases(), helped::cases()].concat()
}

fn golden(case: &Case) -> Golden {
    let (name, facts, request) = case;
    assert_eq!(facts.owners.len(), 1, "{name}");
    Golden { facts: facts.clone(), request: request.clone(), plan: decide(facts, &facts.owners[0], request) }
}

fn text(golden: &Golden) -> String {
    serde_json::to_string_pretty(golden).expect("JSON") + "\n"
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a switch for people who work on the tests")]
fn plans_are_as_they_were_read_by_people() {
    let wanted: BTreeMap<String, String> =
        cases().iter().map(|case| (format!("{}.json", case.0), text(&golden(case)))).collect();
    assert_eq!(wanted.len(), cases().len(), "each case has a name of its own");
    if std::env::var_os("PROVOST_BLESS").is_some() {
        for entry in fs::read_dir(folder()).expect("the folder") {
            let path = entry.expect("an entry").path();
            if path.extension().is_some_and(|e| e == "json") {
                fs::remove_file(path).expect("removed");
            }
        }
        for (name, text) in &wanted {
            fs::write(folder().join(name), text).expect("written");
        }
    }
    let mut wrong = Vec::new();
    for (name, wanted) in &wanted {
        let there = fs::read_to_string(folder().join(name)).unwrap_or_default();
        if there != *wanted {
            let plan = |text: &str| serde_json::from_str::<Golden>(text).map(|g| g.plan).ok();
            wrong.push(format!("{name}:\n  was {:?}\n  is  {:?}", plan(&there), plan(wanted)));
        }
    }
    assert!(wrong.is_empty(), "{}\nPROVOST_BLESS=1 writes them anew", wrong.join("\n"));
    the_files_give_their_plans();
}

/// The files alone, as they lie there, give their plans: facts once written stay readable.
fn the_files_give_their_plans() {
    let mut files = 0;
    for entry in fs::read_dir(folder()).expect("the folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_stem().and_then(|s| s.to_str()).unwrap_or_default().to_owned();
        assert!(cases().iter().any(|(case, ..)| *case == name), "{name} has no case any more");
        let text = fs::read_to_string(&path).expect("read");
        let golden: Golden = serde_json::from_str(&text).expect("a golden plan");
        let plan = decide(&golden.facts, &golden.facts.owners[0], &golden.request);
        assert_eq!(plan, golden.plan, "{name}");
        files += 1;
    }
    assert_eq!(files, cases().len());
}

/// No sentence of a plan may be one that people must read twice.
#[test]
fn sentences_are_plain() {
    for case in cases() {
        let plan = golden(&case).plan;
        for sentence in [Some(&plan.reason), plan.unlock.as_ref()].into_iter().flatten().chain(&plan.warnings) {
            let end = sentence.chars().last();
            assert!(end.is_some_and(|c| c != '.' && !c.is_whitespace()), "{}: {sentence}", case.0);
            assert!(sentence.chars().count() <= 200, "{}: {sentence}", case.0);
        }
    }
}
