//! What the verbs do on a real system, one file an area; the rights that they need are in the truth table.

mod bad_input;
mod config;
mod ensure;
mod gpus;
mod helped;
mod hidden;
mod jobs;
mod orphans;
mod ports;
mod probes;
mod registry;
pub mod reuse;
mod rights;
mod stuck;
mod terminal;
mod trees;
mod waits;
mod words;

use std::ffi::OsStr;

use serde_json::Value;

use crate::rig::{As, Output, Result};
use crate::trial::Trials;

pub fn register(trials: &mut Trials) {
    bad_input::register(trials);
    config::register(trials);
    ensure::register(trials);
    gpus::register(trials);
    helped::register(trials);
    hidden::register(trials);
    jobs::register(trials);
    orphans::register(trials);
    ports::register(trials);
    probes::register(trials);
    registry::register(trials);
    reuse::register(trials);
    rights::register(trials);
    stuck::register(trials);
    terminal::register(trials);
    trees::register(trials);
    waits::register(trials);
    words::register(trials);
}

/// Runs provost as somebody.
fn provost<S: AsRef<OsStr>>(who: &As<'_>, args: impl IntoIterator<Item = S>) -> Result<Output> {
    let words = args.into_iter().map(|a| a.as_ref().to_owned());
    who.run(["provost".into()].into_iter().chain(words))
}

/// The same with `-o json`; the document and the exit code.
fn json<S: AsRef<OsStr>>(who: &As<'_>, args: impl IntoIterator<Item = S>) -> Result<(Value, i32)> {
    let words = args.into_iter().map(|a| a.as_ref().to_owned());
    let output = provost(who, ["-o".into(), "json".into()].into_iter().chain(words))?;
    let document = serde_json::from_str(&output.stdout).map_err(|e| format!("no JSON ({e}): {output:?}"))?;
    Ok((document, output.code()))
}
