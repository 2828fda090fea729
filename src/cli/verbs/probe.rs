//! `probe`: whether it answers; exit 0 or 3.

use std::process::ExitCode;

use super::super::args::Probe;
use super::super::exit::Exit;
use super::super::progress;
use super::super::render::availability;
use super::super::say::error_json;
use super::{Context, candidates};
use crate::error::Error;
use crate::model::{Availability, AvailabilityState, Target};
use crate::probe::{self, Options, ProbeSpec, Subject};
use crate::text::{clip, clip_to};

pub(in crate::cli) async fn run(ctx: &Context<'_>, args: &Probe) -> ExitCode {
    if args.targets.is_empty() && args.command.is_empty() {
        return candidates(ctx, "probe").await;
    }
    let mut code = None;
    let mut documents = Vec::new();
    let words: Vec<Option<&String>> =
        if args.command.is_empty() { args.targets.iter().map(Some).collect() } else { vec![None] };
    if !args.command.is_empty() && !args.targets.is_empty() {
        let why = "a TARGET and a COMMAND were given: a probe asks one of them".to_owned();
        return ctx.say.error(&Error::Malformed(crate::model::Malformed::new(why)));
    }
    for word in words {
        let name = word.cloned().unwrap_or_else(|| args.command.join(" "));
        let progress_words = format!("probing {name}");
        let found = match progress::while_waiting(ctx.say.quiet, &progress_words, one(ctx, args, word)).await {
            Ok(found) => found,
            // The others are asked all the same; the first that failed gives the exit code.
            Err(error) => {
                let error = with_hint(error, &name);
                code.get_or_insert(error.exit_code());
                ctx.say.complain(&error);
                let mut document = error_json(&error);
                document["target"] = name.into();
                documents.push(document);
                continue;
            }
        };
        if found.state != AvailabilityState::Available {
            code.get_or_insert(Exit::Not as u8);
        }
        if ctx.say.json {
            let mut document = serde_json::to_value(&found).unwrap_or_default();
            document["target"] = name.into();
            documents.push(document);
        } else {
            ctx.say.text(&people(&name, &found));
        }
    }
    if ctx.say.json {
        match documents.as_slice() {
            [one] => ctx.say.json(one),
            all => ctx.say.json(&all),
        }
    }
    code.unwrap_or(Exit::Done as u8).into()
}

async fn one(ctx: &Context<'_>, args: &Probe, word: Option<&String>) -> Result<Availability, Error> {
    let spec = match word {
        None => Some(ProbeSpec::exec(args.command.clone())?),
        Some(word) if is_address(word) => Some(http_details(args, word.parse()?)?),
        Some(_) => None,
    };
    let Some(spec) = spec else {
        if args.status.is_some() || args.matches.is_some() {
            let why = "--status and --match go with an http address".to_owned();
            return Err(Error::Malformed(crate::model::Malformed::new(why)));
        }
        let target: Target = word.map(String::as_str).unwrap_or_default().parse()?;
        return ctx.client.probe(&target, args.timeout).await;
    };
    let options = Options { timeout: args.timeout, spec: Some(spec), models: false };
    let nobody = Subject::default();
    Ok(probe::probe(&nobody, ctx.client.observer().known()?, &options).await)
}

/// Whether the word is an address rather than a target.
pub(super) fn is_address(word: &str) -> bool {
    ["http://", "https://", "tcp:", "unix:"].iter().any(|p| word.starts_with(p))
}

/// Who writes HOST:PORT means an address, which here has a prefix.
fn with_hint(error: Error, word: &str) -> Error {
    match error {
        Error::NotFound { what, nearest } if looks_like_address(word) => {
            let what = format!("{what}; of an address write tcp:{} or http://{}", clip(word), clip(word));
            Error::NotFound { what, nearest }
        }
        error => error,
    }
}

fn looks_like_address(word: &str) -> bool {
    word.rsplit_once(':').is_some_and(|(host, _)| !host.is_empty()) && word.parse::<probe::Endpoint>().is_ok()
}

fn http_details(args: &Probe, spec: ProbeSpec) -> Result<ProbeSpec, Error> {
    match spec {
        ProbeSpec::Http(mut http) => {
            if let Some(status) = &args.status {
                http.expect = status.parse()?;
            }
            http.body_contains = args.matches.clone();
            Ok(ProbeSpec::Http(http))
        }
        _ if args.status.is_some() || args.matches.is_some() => Err(Error::Malformed(crate::model::Malformed::new(
            "--status and --match go with an http address".to_owned(),
        ))),
        other => Ok(other),
    }
}

fn people(name: &str, found: &Availability) -> String {
    let style = availability(found.state);
    let mut line = format!("{}: {style}{}{style:#}", clip(name), found.state);
    if let Some(url) = &found.url {
        line.push_str(&format!(" at {}", clip_to(url, 100)));
    }
    let answered = matches!(found.state, AvailabilityState::Available | AvailabilityState::Starting);
    let how = match (&found.by, found.latency_ms.filter(|_| answered)) {
        (Some(by), Some(ms)) => format!("{}: {} in {ms:.0} ms", clip_to(by, 100), clip_to(&found.detail, 200)),
        (Some(by), None) => format!("{}: {}", clip_to(by, 100), clip_to(&found.detail, 200)),
        _ => clip_to(&found.detail, 200),
    };
    line.push_str(&format!(" ({how})\n"));
    if !found.models.is_empty() {
        let names: Vec<String> = found.models.iter().take(8).map(|m| clip(m)).collect();
        let more = found.models.len().saturating_sub(8);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        line.push_str(&format!("  models: {}{more}\n", names.join(", ")));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::looks_like_address;

    #[test]
    fn addresses_without_a_prefix_are_noticed() {
        for (word, is) in [("127.0.0.1:1", true), ("[::1]:80", true), ("host:80", true), ("ollama", false)] {
            assert_eq!(looks_like_address(word), is, "{word}");
        }
        assert!(!looks_like_address(":80") && !looks_like_address("80") && !looks_like_address("name:x"));
    }
}
