//! What stands behind the `?`: read by the table of the endpoint, and nothing else is taken.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

#[cfg(test)]
use serde_json::{Value, json};

use super::problem::Problem;
use crate::model::Signal;

/// One parameter.
#[derive(Debug, Clone, Copy)]
pub(super) struct Param {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) required: bool,
    pub(super) about: &'static str,
}

/// What a parameter takes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// true, false, 1 or 0, in any case.
    Flag,
    /// From the first to the last.
    Whole(u64, u64),
    /// One of these.
    Choice(&'static [&'static str]),
    /// A signal, by its name or number.
    Signal,
    /// A text of 1 to so many bytes.
    Text(usize),
    /// A span before now, or a time.
    Time,
}

/// A parameter that may be left out.
pub(super) const fn param(name: &'static str, kind: Kind, about: &'static str) -> Param {
    Param { name, kind, required: false, about }
}

/// One that may not.
pub(super) const fn required(name: &'static str, kind: Kind, about: &'static str) -> Param {
    Param { name, kind, required: true, about }
}

impl Kind {
    fn check(self, text: &str) -> Result<(), String> {
        let (fits, expected) = match self {
            Self::Flag => (flag(text).is_some(), "true or false".to_owned()),
            Self::Whole(least, most) => {
                let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
                let fits = digits && text.parse().is_ok_and(|number: u64| (least..=most).contains(&number));
                (fits, format!("a number from {least} to {most}"))
            }
            Self::Choice(words) => (words.contains(&text), words.join(" or ")),
            Self::Signal => {
                (text.parse::<Signal>().is_ok(), "the name of a signal such as TERM, or its number".to_owned())
            }
            Self::Text(most) => {
                let fits = !text.is_empty() && text.len() <= most && !text.contains(char::is_control);
                (fits, format!("1 to {most} bytes of one line"))
            }
            Self::Time => {
                (time(text).is_some(), "a span such as 10m, or a time such as 2026-01-30T10:00:00Z".to_owned())
            }
        };
        if fits { Ok(()) } else { Err(expected) }
    }

    /// As JSON Schema.
    #[cfg(test)]
    pub(super) fn schema(self) -> Value {
        match self {
            // What is meant; 1, 0 and any case are taken too.
            Self::Flag => json!({"type": "boolean"}),
            Self::Whole(least, most) => json!({"type": "integer", "minimum": least, "maximum": most}),
            Self::Choice(words) => json!({"type": "string", "enum": words}),
            Self::Signal => json!({"type": "string", "pattern": Signal::pattern()}),
            Self::Text(most) => {
                json!({"type": "string", "minLength": 1, "maxLength": most, "pattern": "^[^\\u0000-\\u001f\\u007f-\\u009f]+$"})
            }
            Self::Time => json!({
                "type": "string",
                "pattern": "^([1-9][0-9]{0,4}[smhd]|[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z)$",
                "examples": ["10m", "2026-01-30T10:00:00Z"],
            }),
        }
    }
}

fn flag(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}

fn time(text: &str) -> Option<SystemTime> {
    let before = |span: Duration| crate::clock::now().checked_sub(span);
    humantime::parse_rfc3339_weak(text).ok().or_else(|| before(humantime::parse_duration(text).ok()?))
}

/// The parameters of a request, checked.
#[derive(Debug, Clone, Default)]
pub(super) struct Query(BTreeMap<&'static str, String>);

impl Query {
    /// Reads them; what the table does not have is an error that lists what it has.
    pub(super) fn read(text: &str, params: &'static [Param]) -> Result<Self, Problem> {
        let mut found = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(text.as_bytes()) {
            let Some(param) = params.iter().find(|param| param.name == name) else {
                let names: Vec<&str> = params.iter().map(|param| param.name).collect();
                let known = if names.is_empty() { "it takes none".to_owned() } else { names.join(", ") };
                return Err(Problem::wrong(format!("there is no parameter '{}': {known}", crate::text::clip(&name))));
            };
            if let Err(expected) = param.kind.check(&value) {
                let value = crate::text::clip(&value);
                return Err(Problem::wrong(format!("{}: '{value}' is not {expected}", param.name)));
            }
            if found.insert(param.name, value.into_owned()).is_some() {
                return Err(Problem::wrong(format!("{} is there twice", param.name)));
            }
        }
        match params.iter().find(|param| param.required && !found.contains_key(param.name)) {
            Some(param) => Err(Problem::wrong(format!("{} is missing: {}", param.name, param.about))),
            None => Ok(Self(found)),
        }
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        self.text(name).and_then(flag).unwrap_or(false)
    }

    pub(super) fn whole(&self, name: &str) -> Option<u64> {
        self.text(name)?.parse().ok()
    }

    pub(super) fn time(&self, name: &str) -> Option<SystemTime> {
        self.text(name).and_then(time)
    }

    pub(super) fn seconds(&self, name: &str, usual: u64) -> Duration {
        Duration::from_secs(self.whole(name).unwrap_or(usual))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static PARAMS: [Param; 5] = [
        param("force", Kind::Flag, "x"),
        param("lines", Kind::Whole(1, 10), "x"),
        param("whom", Kind::Choice(&["main", "all"]), "x"),
        param("grep", Kind::Text(4), "x"),
        param("since", Kind::Time, "x"),
    ];

    #[test]
    fn booleans_are_those_that_python_and_shells_write() {
        for (text, value) in
            [("True", true), ("1", true), ("TRUE", true), ("False", false), ("0", false), ("false", false)]
        {
            assert_eq!(Query::read(&format!("force={text}"), &PARAMS).unwrap().flag("force"), value, "{text}");
        }
        assert!(!Query::read("", &PARAMS).unwrap().flag("force"));
    }

    #[test]
    fn what_does_not_fit_is_said() {
        for wrong in [
            "force=yes",
            "force=",
            "force",
            "lines=0",
            "lines=11",
            "lines=+1",
            "lines=%2b1",
            "whom=x",
            "grep=",
            "grep=12345",
            "grep=%00",
            "since=soon",
            "since=",
            "force=1&force=0",
            "other=1",
            "=",
            "since=99999999999999999999y",
        ] {
            assert!(Query::read(wrong, &PARAMS).is_err(), "{wrong}");
        }
        let query = Query::read("lines=007&grep=a%20b&since=2026-01-30T10:00:00Z", &PARAMS).unwrap();
        assert_eq!((query.whole("lines"), query.text("grep")), (Some(7), Some("a b")));
        assert!(query.time("since").is_some());
        static NEEDED: [Param; 1] = [required("target", Kind::Text(9), "x")];
        assert!(Query::read("", &NEEDED).is_err());
    }
}
