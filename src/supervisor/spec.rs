//! A service as code describes it: the keys of the config file, and checked as they are.

use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::config::{self, Errors, LoadOptions, Problem};
use crate::error::Error;
use crate::model::ServiceId;
use crate::model::service::{RestartPolicy, ServiceSpec as Checked, Span};

/// A service that code describes, in the words of the config file; what is not said is as there.
///
/// Texts may hold variables, as there: `${HOME}`, `${PORT}`, `${service.db.port}`. Whether all of
/// it is right is checked when it is registered with something that runs.
///
/// ```
/// use provost::ServiceSpec;
/// let agent = ServiceSpec::new("agent")
///     .script("agent.py")
///     .args(["--model", "small"])
///     .cwd("./agents")
///     .env("API_KEY", "${API_KEY:-none}")
///     .tries(-1)
///     .set("ready.http", "http://127.0.0.1:8080/health");
/// ```
#[derive(Debug, Clone, PartialEq)]
#[must_use = "it is only described: register it"]
pub struct ServiceSpec {
    id: String,
    keys: Map<String, Value>,
}

impl ServiceSpec {
    /// With this id, and nothing to run yet: [`Self::command`] or [`Self::script`] is needed.
    pub fn new(id: impl Into<String>) -> Self {
        Self { id: id.into(), keys: Map::new() }
    }

    /// The program and its arguments; run by no shell.
    pub fn command<W: Into<String>>(self, words: impl IntoIterator<Item = W>) -> Self {
        self.words("command", words)
    }

    /// A script, run by its virtual environment's Python, else `python3`; see [`Self::interpreter`].
    pub fn script(self, path: impl AsRef<Path>) -> Self {
        self.path("script", path)
    }

    /// What runs the script.
    pub fn interpreter(self, program: impl AsRef<Path>) -> Self {
        self.path("interpreter", program)
    }

    /// Arguments behind the command or the script.
    pub fn args<W: Into<String>>(self, words: impl IntoIterator<Item = W>) -> Self {
        self.words("args", words)
    }

    /// The folder it runs in; relative to that of this program.
    pub fn cwd(self, folder: impl AsRef<Path>) -> Self {
        self.path("cwd", folder)
    }

    /// A variable of its environment.
    pub fn env(self, name: impl AsRef<str>, value: impl Into<String>) -> Self {
        self.put(&["env", name.as_ref()], Value::String(value.into()))
    }

    /// The port that it listens on: exported as PORT, and `${PORT}` in its texts.
    pub fn port(self, port: u16) -> Self {
        self.put(&["port"], json!(port))
    }

    /// A port from the first to the last: the lowest free one.
    pub fn ports(self, first: u16, last: u16) -> Self {
        self.put(&["port"], json!(format!("{first}-{last}")))
    }

    /// It starts when these are ready, and stops before them.
    pub fn after<W: Into<String>>(self, ids: impl IntoIterator<Item = W>) -> Self {
        self.words("after", ids)
    }

    /// It runs once: what comes after it starts when it has ended with 0.
    pub fn oneshot(self) -> Self {
        self.put(&["oneshot"], json!(true))
    }

    /// Which ends are followed by a new start.
    pub fn restart(self, policy: RestartPolicy) -> Self {
        self.put(&["restart", "policy"], json!(policy))
    }

    /// How many failures in a row end in `failed`; −1: no limit.
    pub fn tries(self, tries: i32) -> Self {
        self.put(&["restart", "tries"], json!(tries))
    }

    /// The first delay before a start anew, each further one twice as long, and the longest.
    pub fn backoff(self, base: Duration, max: Duration) -> Self {
        let base = self.put(&["restart", "base"], json!(Span(base)));
        base.put(&["restart", "max"], json!(Span(max)))
    }

    /// Signals that stop it, each with how long to wait: `["TERM:10s", "KILL"]`.
    pub fn stop<W: Into<String>>(self, signals: impl IntoIterator<Item = W>) -> Self {
        let signals: Vec<String> = signals.into_iter().map(Into::into).collect();
        self.put(&["stop", "signals"], json!(signals))
    }

    /// Any key of a service by its path, as in the config file: `set("health.http", "…")`.
    pub fn set(self, key: &str, value: impl Into<Value>) -> Self {
        let steps: Vec<&str> = key.split('.').collect();
        self.put(&steps, value.into())
    }

    fn words<W: Into<String>>(self, key: &str, words: impl IntoIterator<Item = W>) -> Self {
        let words: Vec<String> = words.into_iter().map(Into::into).collect();
        self.put(&[key], json!(words))
    }

    fn path(self, key: &str, path: impl AsRef<Path>) -> Self {
        // What is no text is refused with all else that is wrong.
        let text = path.as_ref().to_str().map_or(Value::Null, Value::from);
        self.put(&[key], text)
    }

    fn put(mut self, steps: &[&str], value: Value) -> Self {
        let Some((last, tables)) = steps.split_last() else { return self };
        let mut table = &mut self.keys;
        for step in tables {
            let inner = table.entry(*step).or_insert_with(|| Value::Object(Map::new()));
            if !inner.is_object() {
                *inner = Value::Object(Map::new());
            }
            let Value::Object(inner) = inner else { return self };
            table = inner;
        }
        table.insert((*last).to_owned(), value);
        self
    }
}

/// What stands in a config for services that were checked already, or are another's to check.
pub(super) type Others = Map<String, Value>;

/// What stands for these: they may be named.
pub(super) fn others(of: &[Checked]) -> Others {
    let mut all = Map::new();
    for spec in of {
        let id = spec.group().unwrap_or(&spec.id);
        let mut keys = json!({ "command": ["x"] });
        if spec.group().is_some() {
            keys["instances"] = json!(of.iter().filter(|other| other.group() == Some(id)).count());
        }
        if spec.port.is_some() {
            keys["port"] = json!("1-65535");
        }
        if spec.socket.is_some() {
            keys["socket"] = json!(format!("/{}{}", id, spec.group().map_or("", |_| "-${INSTANCE}")));
        }
        all.insert(id.to_string(), keys);
    }
    all
}

/// What stands for all that this one names: which there are is known to the supervisor.
fn named_by(spec: &ServiceSpec) -> Others {
    let mut ids: Vec<&str> =
        spec.keys.get("after").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    let text = Value::Object(spec.keys.clone()).to_string();
    let variables = text.split("${service.").skip(1).filter_map(|rest| rest.split(['}', ':']).next());
    ids.extend(variables.filter_map(|word| word.strip_suffix(".port").or(word.strip_suffix(".socket"))));
    let stands = |id: &str| json!({ "command": ["x"], "port": "1-65535", "socket": format!("/{id}") });
    let ids = ids.into_iter().filter(|id| *id != spec.id && id.parse::<ServiceId>().is_ok());
    ids.map(|id| (id.to_owned(), stands(id))).collect()
}

/// Services as one config would have them; relative paths begin in this folder.
pub(super) fn checked(specs: &[ServiceSpec], others: Others, folder: &Path) -> Result<Vec<Checked>, Error> {
    let mut all = others;
    for spec in specs {
        if all.insert(spec.id.clone(), Value::Object(spec.keys.clone())).is_some() {
            return Err(Error::Config(format!("service {} is registered twice", crate::text::clip(&spec.id))));
        }
    }
    let uid = rustix::process::geteuid().as_raw();
    let options = LoadOptions { system: false, home: crate::paths::home(uid) };
    let (shown, absolute) = (Path::new("services.json"), folder.join("services.json"));
    let text = json!({ "service": all }).to_string();
    let project = config::parse(shown, &absolute, &text, &options);
    // Nobody has written that text: its lines are no places.
    let unplaced = |problem: Problem| Problem { line: None, column: None, path: "the program".into(), ..problem };
    let project = project.map_err(|errors| Errors(errors.0.into_iter().map(unplaced).collect()))?;
    let mut services = project.services;
    services.retain(|one| specs.iter().any(|spec| spec.id == one.group().unwrap_or(&one.id).as_str()));
    Ok(services.into_iter().map(|spec| Checked { project: None, ..spec }).collect())
}

/// For [`crate::Supervisor::register`]: one service alone, with what it comes after.
impl TryFrom<ServiceSpec> for Checked {
    type Error = Error;

    fn try_from(spec: ServiceSpec) -> Result<Self, Error> {
        let (here, others) = (current()?, named_by(&spec));
        let id = spec.id.clone();
        let mut specs = checked(&[spec], others, &here)?;
        match (specs.pop(), specs.is_empty()) {
            (Some(one), true) => Ok(one),
            _ => Err(Error::Config(format!("{id} has instances: register it with the builder"))),
        }
    }
}

/// The folder of this program.
pub(super) fn current() -> Result<std::path::PathBuf, Error> {
    std::env::current_dir().map_err(|source| Error::Io { what: "the current folder".to_owned(), source })
}
