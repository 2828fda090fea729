//! One file a verb.

pub(super) mod change;
pub(super) mod config;
pub(super) mod daemon;
pub(super) mod doctor;
pub(super) mod ensure;
pub(super) mod generate;
pub(super) mod gpus;
pub(super) mod import;
pub(super) mod inspect;
pub(super) mod install;
pub(super) mod orphans;
pub(super) mod overview;
pub(super) mod probe;
pub(super) mod registry;
pub(super) mod services;
pub(super) mod token;
pub(super) mod uninstall;
pub(super) mod wait;

use std::process::ExitCode;

use super::exit::Exit;
use super::say::Say;
use crate::client::Client;
use crate::model::{Malformed, Target};

/// What every verb has.
pub(super) struct Context<'a> {
    pub(super) client: &'a Client,
    pub(super) say: Say,
    pub(super) ask_password: bool,
}

/// Reads the targets; the first malformed one is the error.
pub(super) fn targets(words: &[String]) -> Result<Vec<Target>, Malformed> {
    words.iter().map(|w| w.parse()).collect()
}

/// A verb without a target: what there is to choose from.
pub(super) async fn candidates(ctx: &Context<'_>, verb: &str) -> ExitCode {
    ctx.say.note(&format!("provost {verb} needs a TARGET: a unit, a process name, :PORT, pid:N …"));
    let rows = match overview::rows(ctx).await {
        Ok(rows) => rows,
        Err(error) => return ctx.say.error(&error),
    };
    if ctx.say.json {
        ctx.say.json(&serde_json::json!({
            "error": {"message": "no target", "code": 2, "choices": null, "nearest": []},
            "candidates": rows,
        }));
    } else if !rows.is_empty() {
        ctx.say.note("candidates on this host:");
        for row in rows {
            ctx.say.note(&format!(
                "  {:24}  {}",
                crate::text::clip_to(&row.target, 40),
                crate::text::clip_to(&row.owner, 40)
            ));
        }
    } else {
        ctx.say.note("no known server runs here; provost inspect WORD looks for anything else");
    }
    Exit::Usage.into()
}
