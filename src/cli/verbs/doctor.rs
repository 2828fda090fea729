//! `doctor`: what is missing here, and how it is mended.

use std::process::ExitCode;

use serde_json::json;

use super::Context;
use crate::cli::exit::Exit;
use crate::cli::render::{BAD, DIM, GOOD, WARN};
use crate::doctor::{self, State};
use crate::model::Instance;

/// Exit 0 if nothing is a problem, else 1.
pub(in crate::cli) async fn run(ctx: &Context<'_>, instance: Instance) -> ExitCode {
    let all = doctor::examine(ctx.client.observer(), instance).await;
    let worst = doctor::worst(&all);
    if ctx.say.json {
        ctx.say.json(&json!({"instance": instance, "state": worst, "checks": all}));
    } else {
        let mut text = String::new();
        for check in &all {
            let (colour, word) = match check.state {
                State::Ok => (GOOD, "ok"),
                State::Warning => (WARN, "warning"),
                State::Problem => (BAD, "problem"),
            };
            let found = crate::text::escape(&check.found);
            text.push_str(&format!("{colour}{word:7}{colour:#}  {:15}  {found}\n", check.name));
            if let Some(mend) = &check.mend {
                text.push_str(&format!("{:26}{DIM}{}{DIM:#}\n", "", crate::text::escape(mend)));
            }
        }
        ctx.say.text(&text);
    }
    if worst == State::Problem { Exit::Failed.into() } else { Exit::Done.into() }
}
