//! Durations, sizes, ports, signals.

use serde::Serialize;
use serde_json::Value;

use crate::config::keys::Kind;
use crate::config::tree::Data;
use crate::model::service::{Percent, PortSpec, Size, Span};
use crate::model::{Ladder, Malformed, Rung};
use crate::text::clip;

/// Nothing waits for longer: ten years. What adds it to a clock does not overflow.
const LONGEST: Span = Span::secs(10 * 366 * 24 * 3600);

fn json(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

fn said<T: Serialize>(result: Result<T, Malformed>) -> Result<Value, String> {
    result.map(|value| json(&value)).map_err(|error| error.to_string())
}

/// A duration; a number is seconds. `None`: it is of another type.
pub(super) fn span(positive: bool, data: &Data) -> Option<Result<Value, String>> {
    let (Data::Text(text) | Data::Whole(_, text) | Data::Float(_, text)) = data else { return None };
    Some(limited(text, positive).map(|span| json(&span)))
}

fn limited(text: &str, positive: bool) -> Result<Span, String> {
    if text.trim_start().starts_with('-') {
        return Err(format!("'{}' is negative: a duration is not", clip(text)));
    }
    let span: Span = text.parse().map_err(|error: Malformed| error.to_string())?;
    if positive && span.0.is_zero() {
        return Err("it must be longer than 0s".to_owned());
    }
    if span > LONGEST { Err(format!("'{}' is longer than ten years", clip(text))) } else { Ok(span) }
}

/// Sizes, shares, ports and signals. `None`: it is of another type.
pub(super) fn units(kind: &Kind, data: &Data) -> Option<Result<Value, String>> {
    Some(match (kind, data) {
        (Kind::Size, Data::Text(text) | Data::Whole(_, text)) => match text.parse::<Size>() {
            Ok(Size(0)) => Err("it must be more than 0".to_owned()),
            size => said(size),
        },
        (Kind::Percent, Data::Text(text)) => said(text.parse::<Percent>()),
        (Kind::Signal, Data::Text(text) | Data::Whole(_, text)) => said(text.parse::<crate::model::Signal>()),
        (Kind::Port, Data::Text(text) | Data::Whole(_, text)) => port(text).map(|port| json(&port)),
        _ => return None,
    })
}

fn port(text: &str) -> Result<PortSpec, String> {
    let one = |word: &str| match word.trim().parse::<u16>() {
        Ok(port) if port > 0 => Ok(port),
        _ => Err(format!("'{}' is no port: a whole number from 1 to 65535, or a range \"50000-60000\"", clip(word))),
    };
    match text.trim().split_once('-').filter(|(first, _)| !first.is_empty()) {
        None => one(text).map(PortSpec::Fixed),
        Some((first, last)) => {
            let (first, last) = (one(first)?, one(last)?);
            if first > last {
                return Err(format!("the range {first}-{last} is empty: write the lower port first"));
            }
            Ok(PortSpec::Range(first, last))
        }
    }
}

/// One signal with its wait: `TERM:30s`.
pub(super) fn rung(data: &Data) -> Result<Value, String> {
    let (Data::Text(text) | Data::Whole(_, text)) = data else {
        return Err(format!("expected a signal with a wait such as \"TERM:30s\", found {}", data.what()));
    };
    let (signal, wait) = match text.split_once(':') {
        Some((signal, wait)) => (signal, limited(wait.trim(), false)?.0),
        None => (text.as_str(), Ladder::WAIT),
    };
    let signal = signal.trim().parse().map_err(|error: Malformed| error.to_string())?;
    Ok(json(&Rung { signal, wait }))
}

pub(super) fn ladder(rungs: Vec<Value>) -> Result<Value, String> {
    if rungs.is_empty() {
        return Err("it is empty: name at least one signal, such as \"TERM:30s\"".to_owned());
    }
    Ok(Value::Array(rungs))
}
