//! Strings: paths, commands, names, addresses.

use serde_json::Value;

use super::Rules;
use crate::config::keys::Shape;
use crate::model::service::{expand, variables};
use crate::model::{Malformed, ServiceId};
use crate::probe::{HttpUrl, ProbeSpec};
use crate::text::clip;

/// What provost itself sets in the environment of every service.
const OURS: [&str; 5] =
    ["PROVOST_SERVICE", "PROVOST_INSTANCE_ID", "PROVOST_STATE_DIR", "PROVOST_RUNTIME_DIR", "PROVOST_SOCKET"];

fn said<T>(result: Result<T, Malformed>) -> Result<T, String> {
    result.map_err(|error| error.to_string())
}

/// No program can be given a NUL, and no name may hold one.
fn plain(text: &str) -> Result<(), String> {
    if text.contains('\0') { Err(format!("'{}' holds a NUL byte", clip(text))) } else { Ok(()) }
}

/// A string that may be empty and hold variables.
pub(super) fn word(text: &str) -> Result<Value, String> {
    plain(text)?;
    said(variables(text))?;
    Ok(Value::from(text))
}

pub(super) fn text(shape: Shape, text: &str, rules: Rules<'_>) -> Result<Value, String> {
    plain(text)?;
    if text.is_empty() {
        return Err(format!("it is empty: expected {}", shape.expected()));
    }
    match shape {
        Shape::Line if text.chars().any(char::is_control) => Err("it is more than one line of text".to_owned()),
        Shape::Line | Shape::Free => Ok(Value::from(text)),
        Shape::Path | Shape::Program | Shape::Socket => path(shape, text, rules),
        Shape::Url => {
            let url = said(tried(text))?;
            // What a variable begins may be anything.
            if !text.starts_with("${") {
                said(url.parse::<HttpUrl>())?;
            }
            Ok(Value::from(text))
        }
        Shape::Address => {
            let address = said(tried(text))?;
            if !text.starts_with("${") {
                said(format!("tcp:{address}").parse::<ProbeSpec>())?;
            }
            Ok(Value::from(text))
        }
        Shape::Listen => match text.parse::<std::net::SocketAddr>() {
            Ok(address) if address.port() != 0 => Ok(Value::from(text)),
            _ => Err(format!("'{}' is no address: expected {}", clip(text), shape.expected())),
        },
        Shape::Pattern => {
            let pattern = said(tried(text))?;
            let compiled = regex_lite::Regex::new(&pattern);
            compiled.map_err(|error| format!("'{}' is no regular expression: {error}", clip(text)))?;
            Ok(Value::from(text))
        }
        Shape::User if !rules.system => {
            Err("only the system instance runs services as another user: leave it out, or use --system".to_owned())
        }
        Shape::User => {
            let fits = |c: char| !c.is_control() && !c.is_whitespace() && !":/,".contains(c);
            if text.chars().all(fits) && !text.starts_with('-') && text.len() <= 255 {
                Ok(Value::from(text))
            } else {
                Err(format!("'{}' is no name of a user", clip(text)))
            }
        }
        Shape::Id | Shape::Variable => name(shape, text).map(|()| Value::from(text)),
    }
}

/// The text with a number for each variable, or a path: whether its form can be right.
fn tried(text: &str) -> Result<String, Malformed> {
    let path = |name: &str| name.ends_with("socket") || name == "config_file";
    expand(text, &|name| Some(if path(name) { "/s" } else { "1" }.to_owned()))
}

/// A key that the user chose.
pub(super) fn name(shape: Shape, name: &str) -> Result<(), String> {
    plain(name)?;
    match shape {
        Shape::Id => {
            let id: ServiceId = said(name.parse())?;
            if id.is_glob() { Err(format!("'{}' is a pattern: an id has none of * ? [ ]", clip(name))) } else { Ok(()) }
        }
        Shape::Variable => {
            let head = |b: u8| b.is_ascii_alphabetic() || b == b'_';
            let tail = |b: u8| head(b) || b.is_ascii_digit();
            if !name.bytes().next().is_some_and(head) || !name.bytes().all(tail) {
                return Err("the name of a variable has letters, digits and '_', and no digit at first".to_owned());
            }
            if OURS.contains(&name) { Err("provost itself sets this variable".to_owned()) } else { Ok(()) }
        }
        _ => Ok(()),
    }
}

/// A path with the home in place of `~`.
fn path(shape: Shape, text: &str, rules: Rules<'_>) -> Result<Value, String> {
    said(variables(text))?;
    let text = at_home(text, rules)?;
    if shape == Shape::Socket {
        let known = said(variables(&text))?.is_empty();
        // sun_path holds 108 bytes, the last of which is a NUL.
        if known && text.len() > 107 {
            return Err("it is longer than the 107 bytes of a socket's address".to_owned());
        }
    }
    Ok(Value::from(text))
}

fn at_home(text: &str, rules: Rules<'_>) -> Result<String, String> {
    let Some(rest) = text.strip_prefix('~') else { return Ok(text.to_owned()) };
    let home = rules.home.and_then(|home| home.to_str());
    match (rest.is_empty() || rest.starts_with('/'), home) {
        (true, Some(home)) => Ok(format!("{home}{rest}")),
        (true, None) => Err(format!("'{}': there is no home folder here; write the whole path", clip(text))),
        (false, _) => Err(format!("'{}': ~ stands for your own home only; write the whole path", clip(text))),
    }
}

/// A list of words as a command.
pub(super) fn command(mut words: Vec<Value>, rules: Rules<'_>) -> Result<Value, String> {
    match words.first_mut() {
        None => Err("it has no words: name at least the program".to_owned()),
        Some(Value::String(program)) if !program.is_empty() => {
            *program = at_home(program, rules)?;
            Ok(Value::Array(words))
        }
        Some(_) => Err("the name of the program is empty".to_owned()),
    }
}

/// A string as a command.
pub(super) fn split(text: &str, rules: Rules<'_>) -> Result<Value, String> {
    plain(text)?;
    let words = shlex::split(text).ok_or_else(|| format!("'{}' has a quote without its end", clip(text)))?;
    command(words.iter().map(|word| self::word(word)).collect::<Result<_, _>>()?, rules)
}
