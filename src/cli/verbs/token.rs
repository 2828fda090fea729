//! `token`: makes, lists and revokes the tokens of the HTTP API. They are in a file, so that no
//! daemon needs to run; one that runs sees the change with the next request.

use std::io;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use serde_json::json;

use super::super::args::{CreateToken, RevokeToken, TokenVerb};
use super::super::exit::Exit;
use super::super::render::{self, DIM};
use super::Context;
use super::registry::places;
use crate::error::Error;
use crate::model::Malformed;
use crate::tokens::{Token, Tokens};

/// The longest name.
const NAME: usize = 64;

pub(in crate::cli) fn run(ctx: &Context<'_>, verb: &TokenVerb) -> ExitCode {
    let done = match verb {
        TokenVerb::Create(args) => create(ctx, args),
        TokenVerb::List => list(ctx),
        TokenVerb::Revoke(args) => revoke(ctx, args),
    };
    done.map_or_else(|error| ctx.say.error(&error), ExitCode::from)
}

fn create(ctx: &Context<'_>, args: &CreateToken) -> Result<Exit, Error> {
    let fits = |name: &str| !name.is_empty() && name.len() <= NAME && !name.chars().any(char::is_control);
    if !fits(&args.name) {
        return Err(Malformed::new(format!("--name: 1 to {NAME} bytes, on one line")).into());
    }
    let now = crate::clock::now();
    let expires = args.expires.as_deref().map(|text| end(text, now)).transpose()?;
    let mut tokens = Tokens::at(&places(ctx)?);
    let (token, text) = Token::new(&args.name, args.scope, now, expires).map_err(failed)?;
    let taken = tokens.change(|all| {
        // One that has ended need not be revoked first.
        all.retain(|old| old.name != args.name || old.is_good(now));
        let taken = all.iter().any(|old| old.name == args.name);
        if !taken {
            all.push(token.clone());
        }
        Ok(taken)
    });
    if taken.map_err(failed)? {
        let name = crate::text::clip(&args.name);
        return Err(Malformed::new(format!("there is a token '{name}': revoke it, or choose another name")).into());
    }
    if ctx.say.json {
        ctx.say.json(&json!({
            "name": token.name, "id": token.id, "scope": token.scope, "expires_at": token.expires_at, "token": text,
        }));
    } else {
        ctx.say.line(&format!("{text}\n"));
        ctx.say.note("provost: keep it: it is not shown again");
    }
    Ok(Exit::Done)
}

fn list(ctx: &Context<'_>) -> Result<Exit, Error> {
    let mut tokens = Tokens::at(&places(ctx)?);
    let now = crate::clock::now();
    let all = tokens.all().map_err(failed)?;
    if ctx.say.json {
        let one = |token: &Token| {
            json!({
                "name": token.name, "id": token.id, "scope": token.scope, "created_at": token.created_at,
                "expires_at": token.expires_at, "expired": !token.is_good(now),
            })
        };
        ctx.say.json(&json!({"tokens": all.iter().map(one).collect::<Vec<_>>()}));
    } else if all.is_empty() {
        ctx.say.text("There is no token: provost token create --name NAME --scope read\n");
    } else {
        let mut rows = vec![["NAME", "ID", "SCOPE", "CREATED", "EXPIRES"].map(str::to_owned)];
        for token in all {
            let expires = match &token.expires_at {
                None => "never".to_owned(),
                Some(at) if token.is_good(now) => at.clone(),
                Some(at) => format!("{at} (ended)"),
            };
            let name = crate::text::clip_to(&token.name, 40);
            rows.push([name, token.id.clone(), token.scope.as_str().to_owned(), token.created_at.clone(), expires]);
        }
        ctx.say.text(&render::rows(&rows, DIM));
    }
    Ok(Exit::Done)
}

fn revoke(ctx: &Context<'_>, args: &RevokeToken) -> Result<Exit, Error> {
    let mut tokens = Tokens::at(&places(ctx)?);
    let means = |token: &Token, name: &String| token.name == *name || token.id == *name;
    let unknown = tokens.change(|all| {
        let unknown = args.names.iter().find(|name| !all.iter().any(|token| means(token, name))).cloned();
        if unknown.is_none() {
            all.retain(|token| !args.names.iter().any(|name| means(token, name)));
        }
        Ok(unknown)
    });
    if let Some(name) = unknown.map_err(failed)? {
        let what = format!("there is no token '{}': provost token list names them", crate::text::clip(&name));
        return Err(Error::NotFound { what, nearest: Vec::new() });
    }
    if ctx.say.json {
        ctx.say.json(&json!({"revoked": args.names}));
    } else {
        let names: Vec<String> = args.names.iter().map(|name| crate::text::clip(name)).collect();
        ctx.say.text(&format!("revoked: {}\n", names.join(", ")));
    }
    Ok(Exit::Done)
}

/// A span from now, or a time.
fn end(text: &str, now: SystemTime) -> Result<SystemTime, Malformed> {
    let span = || humantime::parse_duration(text).ok().and_then(|span: Duration| now.checked_add(span));
    let end = humantime::parse_rfc3339_weak(text).ok().or_else(span);
    let wrong =
        || Malformed::new(format!("--expires '{}': 30d, 12h, or 2027-01-31T12:00:00Z", crate::text::clip(text)));
    // Later than this there are no times in RFC 3339.
    let end = end
        .filter(|end| end.duration_since(SystemTime::UNIX_EPOCH).is_ok_and(|since| since.as_secs() < 253_402_300_800));
    match end {
        None => Err(wrong()),
        Some(end) if end <= now => Err(Malformed::new("--expires: that time has passed".to_owned())),
        Some(end) => Ok(end),
    }
}

fn failed(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::PermissionDenied => Error::Act(crate::act::ActError::NotPermitted(error.to_string())),
        _ => Error::Act(crate::act::ActError::Failed(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_a_span_or_a_time_to_come() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        assert_eq!(end("30d", now).unwrap(), now + Duration::from_secs(30 * 86400));
        assert!(end("2099-01-01T00:00:00Z", now).is_ok());
        for wrong in ["", "soon", "0s", "2001-01-01T00:00:00Z", "99999999999years", "9000y"] {
            assert!(end(wrong, now).is_err(), "{wrong}");
        }
    }
}
