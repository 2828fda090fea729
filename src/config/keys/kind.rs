//! The kinds of values.

use super::Key;

/// What a key takes.
pub(in crate::config) enum Kind {
    /// true or false.
    Flag,
    /// Only true.
    Yes,
    /// From the first to the last.
    Whole(i64, i64),
    /// From 0 to 1.
    Share,
    /// A string of this shape.
    Text(Shape),
    /// A string, or a number or boolean that is taken as it is written.
    Word,
    /// One of these strings.
    Choice(&'static [&'static str]),
    /// A duration, longer than nothing if so said.
    Span {
        positive: bool,
    },
    Size,
    Percent,
    Port,
    Signal,
    /// Signals with waits.
    Ladder,
    /// A program and its arguments: a list, or a string that is split as a shell splits words.
    Command,
    List(&'static Self),
    /// With these keys.
    Table(&'static [Key]),
    /// With keys that the user chooses, of this shape.
    Names(Shape, &'static Self),
    /// Properties of a unit.
    Properties,
    /// Whatever JSON can say.
    Any,
}

/// What a string must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::config) enum Shape {
    /// One line.
    Line,
    /// A path; `~/` is the home; may hold variables.
    Path,
    /// The path of a program, or its name.
    Program,
    /// An http URL; may hold variables.
    Url,
    /// HOST:PORT; may hold variables.
    Address,
    /// The path of a Unix socket; may hold variables.
    Socket,
    /// A regular expression.
    Pattern,
    /// The id of a service.
    Id,
    /// The name of an environment variable.
    Variable,
    /// The name or number of a user.
    User,
    /// IP:PORT.
    Listen,
    /// Any key of `meta`.
    Free,
}

impl Kind {
    /// What is expected, for messages: "expected …".
    pub(in crate::config) fn expected(&self) -> String {
        match self {
            Self::Flag => "true or false".to_owned(),
            Self::Yes => "true".to_owned(),
            Self::Whole(min, i64::MAX) => format!("a whole number from {min} on"),
            Self::Whole(min, max) => format!("a whole number from {min} to {max}"),
            Self::Share => "a number from 0 to 1".to_owned(),
            Self::Text(shape) => shape.expected().to_owned(),
            Self::Word => "a string".to_owned(),
            Self::Choice(words) => {
                let words: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
                words.join(" or ")
            }
            Self::Span { .. } => "a duration such as \"1s\" or \"500ms\"".to_owned(),
            Self::Size => "a size such as \"512M\" or \"2G\"".to_owned(),
            Self::Percent => "a share of one processor such as \"150%\"".to_owned(),
            Self::Port => "a port such as 8080, or a range such as \"50000-60000\"".to_owned(),
            Self::Signal => "a signal such as \"HUP\"".to_owned(),
            Self::Ladder => "signals with waits such as [\"TERM:30s\", \"KILL\"]".to_owned(),
            Self::Command => "a command such as [\"program\", \"argument\"] or \"program argument\"".to_owned(),
            Self::List(_) => "a list such as [\"…\"]".to_owned(),
            Self::Table(keys) => {
                let names: Vec<&str> = keys.iter().take(4).map(|key| key.name).collect();
                format!("a table with keys such as {}", names.join(", "))
            }
            Self::Names(shape, _) => format!("a table whose keys are {}", shape.names()),
            Self::Properties => "a table of unit properties such as { PrivateTmp = true }".to_owned(),
            Self::Any => "a value".to_owned(),
        }
    }
}

impl Shape {
    pub(in crate::config) fn expected(self) -> &'static str {
        match self {
            Self::Path => "a path",
            Self::Program => "the path or name of a program",
            Self::Url => "a URL such as \"http://127.0.0.1:${PORT}/health\"",
            Self::Address => "an address such as \"127.0.0.1:${PORT}\"",
            Self::Socket => "the path of a socket such as \"/run/x.sock\"",
            Self::Listen => "an IP address and a port such as \"127.0.0.1:8420\"",
            Self::Pattern => "a regular expression",
            Self::Id => "the id of a service",
            Self::User => "the name of a user",
            Self::Line | Self::Variable | Self::Free => "a string",
        }
    }

    fn names(self) -> &'static str {
        match self {
            Self::Id => "ids of services: [service.ID]",
            Self::Variable => "names of environment variables",
            _ => "names",
        }
    }
}
