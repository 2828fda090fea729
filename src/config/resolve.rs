//! What is executed at a start: the variables of a service replaced. Pure: what it needs of the
//! host is in [`Surroundings`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::env_file;
use super::names::{Name, name};
use crate::gather::Gather as _;
use crate::model::service::{Check, HealthSpec, Program, Ready, Reload, ServiceSpec, expand};
use crate::model::{Malformed, ServiceId};

/// What a start is made of besides the description.
pub struct Surroundings<'a> {
    /// The port that was chosen.
    pub port: Option<u16>,
    /// The environment in which variables are looked up: that of who asked for the start.
    pub environment: &'a BTreeMap<String, String>,
    /// Whose environment that is, for messages, and what to do: "of the daemon was asked".
    pub whose: &'a str,
    /// What [`ServiceSpec::env_file`] holds.
    pub env_file: Option<&'a str>,
    /// Port and socket of another service, as far as they are known.
    pub others: &'a dyn Fn(&ServiceId) -> Option<Reached>,
    /// Whether there is anything at this path, a link to nowhere too: for `interpreter = "auto"`. One
    /// that cannot be executed is the one that was meant, and another is not taken in its place.
    pub is_there: &'a dyn Fn(&Path) -> bool,
}

/// How a service is reached: its port and its socket, as far as they are known.
pub type Reached = (Option<u16>, Option<String>);

/// A service as it is started.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolved {
    /// The program and its arguments; a program without '/' is looked for in PATH.
    pub argv: Vec<String>,
    /// Its own variables: of `env_file`, then of `env`, then what comes of port, socket, gpus and id.
    pub env: BTreeMap<String, String>,
    /// The folder it runs in, absolute.
    pub cwd: PathBuf,
    /// The path of its socket, absolute.
    pub socket: Option<String>,
    /// The path of its configuration, absolute.
    pub config_file: Option<String>,
    /// Where its pid is written too; relative: to the folder of pid files.
    pub pid_file: Option<PathBuf>,
    /// The folder in which the folder of its output is.
    pub log_path: Option<PathBuf>,
    /// When it counts as ready.
    pub ready: Option<Ready>,
    /// What that is in messages: variables of the environment stay as they are written.
    pub ready_shown: Option<Check>,
    /// Whether it does its work.
    pub health: Option<HealthSpec>,
    /// What that is in messages.
    pub health_shown: Option<HealthSpec>,
    /// How it reads its configuration again.
    pub reload: Option<Reload>,
    /// What that is in messages.
    pub reload_shown: Option<Reload>,
    /// What says whether its configuration is good, and what that is in messages.
    pub config_check: Option<(Vec<String>, Vec<String>)>,
    /// The files whose change has it read its configuration again, absolute.
    pub reload_on: Vec<PathBuf>,
    /// What is watched for development, absolute.
    pub watched: Vec<PathBuf>,
    /// The commands of events, and what they are in messages.
    pub on: BTreeMap<String, (Vec<String>, Vec<String>)>,
}

/// Replaces the variables of a service.
///
/// # Errors
/// A variable that is not set and has no default, by its name and with whose environment was
/// asked; a path or an address that is none once its variables are replaced.
pub fn resolve(spec: &ServiceSpec, around: &Surroundings<'_>) -> Result<Resolved, Malformed> {
    let file = around.env_file.map(env_file::parse).transpose();
    let file = file.map_err(|error| {
        let path = spec.env_file.as_deref().unwrap_or(Path::new(""));
        at("env_file", Malformed::new(format!("{}: {error}", path.display())))
    })?;
    let mut words = Words { spec, around, own: BTreeMap::new(), socket: None, config_file: None, shown: false };
    let cwd = words.path("cwd", &spec.cwd)?;
    if !cwd.is_absolute() {
        return Err(Malformed::new(format!(
            "cwd: '{}' with its variables replaced is no absolute path",
            spec.cwd.display()
        )));
    }
    let absolute = |text: String| if text.starts_with('@') { text } else { cwd.join(&text).display().to_string() };
    words.socket = words.some("socket", spec.socket.as_deref())?.map(absolute);
    words.config_file = words.some("config_file", spec.config_file.as_deref())?.map(absolute);
    // What `env` names is the environment's: A = "${A}" is no circle.
    let mut own: BTreeMap<String, String> = file.unwrap_or_default().into_iter().gather();
    words.own.clone_from(&own);
    for (name, text) in &spec.env {
        own.insert(name.clone(), words.text(&format!("env.{name}"), text)?);
    }
    words.own = own;
    let argv = argv(spec, &words, &cwd)?;
    let gpus = words.list("gpus", &spec.gpus)?;
    let ready = spec.ready.as_ref().map(|ready| words.ready(ready, &cwd)).transpose()?;
    let reload = spec.reload.as_ref().map(|reload| words.reload(reload)).transpose()?;
    let health = spec.health.as_ref().map(|health| words.health(health, &cwd)).transpose()?;
    let check = spec.config_check.as_ref().map(|command| words.both("config_check", command)).transpose()?;
    let hook =
        |(event, command): (&String, &Vec<String>)| Ok((event.clone(), words.both(&format!("on.{event}"), command)?));
    let on = spec.on.iter().map(hook).collect::<Result<_, Malformed>>()?;
    let inside = |paths: Vec<String>| paths.into_iter().map(|path| cwd.join(path)).collect::<Vec<PathBuf>>();
    let reload_on = inside(words.list("reload_on", &spec.reload_on)?);
    let watched = spec.watch.as_ref().map(|watch| words.list("watch.paths", &watch.paths)).transpose()?;
    let watched = watched.map(inside).unwrap_or_default();
    words.shown = true;
    let health_shown = spec.health.as_ref().map(|health| words.health(health, &cwd)).transpose()?;
    let ready_shown = spec.ready.as_ref().map(|ready| words.check("ready", &ready.check, &cwd)).transpose()?;
    let reload_shown = spec.reload.as_ref().map(|reload| words.reload(reload)).transpose()?;
    words.shown = false;
    let pid_file = spec.pid_file.as_deref().map(|path| words.path("pid_file", path)).transpose()?;
    let log_path = spec.log.path.as_deref().map(|path| words.path("log.path", path)).transpose()?;
    let Words { socket, config_file, own: mut env, .. } = words;
    for (name, value) in exported(spec, around.port, socket.as_deref(), &gpus) {
        // What the user says of the port or the cards counts.
        if name.starts_with("PROVOST_") || !env.contains_key(name) {
            env.insert(name.to_owned(), value);
        }
    }
    Ok(Resolved {
        argv,
        env,
        cwd,
        socket,
        config_file,
        pid_file,
        log_path,
        ready,
        ready_shown,
        health,
        health_shown,
        reload,
        reload_shown,
        config_check: check,
        reload_on,
        watched,
        on,
    })
}

fn at(key: &str, error: impl std::fmt::Display) -> Malformed {
    Malformed::new(format!("{key}: {error}"))
}

/// Variables of the service's own making.
fn exported(
    spec: &ServiceSpec,
    port: Option<u16>,
    socket: Option<&str>,
    gpus: &[String],
) -> Vec<(&'static str, String)> {
    let mut all = vec![("PROVOST_SERVICE", spec.id.to_string())];
    all.extend(port.map(|port| ("PORT", port.to_string())));
    all.extend(socket.map(|path| ("PROVOST_SOCKET", path.to_owned())));
    if !gpus.is_empty() {
        all.push(("CUDA_DEVICE_ORDER", "PCI_BUS_ID".to_owned()));
        all.push(("CUDA_VISIBLE_DEVICES", gpus.join(",")));
        all.push(("ROCR_VISIBLE_DEVICES", gpus.join(",")));
        // HIP counts among those that ROCR leaves (ROCm, "GPU isolation techniques"): the same
        // numbers again would hide a second card from a service that has only that one.
        let left: Vec<String> = (0..gpus.len()).map(|n| n.to_string()).collect();
        all.push(("HIP_VISIBLE_DEVICES", left.join(",")));
    }
    all
}

fn argv(spec: &ServiceSpec, words: &Words<'_>, cwd: &Path) -> Result<Vec<String>, Malformed> {
    let mut argv = match &spec.program {
        Program::Command(command) => words.list("command", command)?,
        Program::Script { path, interpreter } => {
            let interpreter = match interpreter {
                Some(text) => words.text("interpreter", text)?,
                None => {
                    let inside = [".venv/bin/python", "venv/bin/python"].map(|path| cwd.join(path));
                    let found = inside.into_iter().find(|path| (words.around.is_there)(path));
                    found.map_or_else(|| "python3".to_owned(), |path| path.display().to_string())
                }
            };
            vec![interpreter, words.text("script", path)?]
        }
    };
    argv.extend(words.list("args", &spec.args)?);
    match argv.first() {
        Some(program) if !program.is_empty() => Ok(argv),
        _ => Err(Malformed::new("command: the name of the program is empty")),
    }
}

struct Words<'a> {
    spec: &'a ServiceSpec,
    around: &'a Surroundings<'a>,
    own: BTreeMap<String, String>,
    socket: Option<String>,
    config_file: Option<String>,
    /// For messages, which everybody may read: what the environment holds may be secret.
    shown: bool,
}

impl Words<'_> {
    fn lookup(&self, word: &str) -> Option<String> {
        let other = |id: &str| (self.around.others)(&id.parse().ok()?);
        match name(word) {
            Name::Port => self.around.port.map(|port| port.to_string()),
            Name::Instance => self.spec.instance_of.as_ref().map(|(_, number)| number.to_string()),
            Name::Socket => self.socket.clone(),
            Name::ConfigFile => self.config_file.clone(),
            Name::OtherPort(id) => Some(other(id)?.0?.to_string()),
            Name::OtherSocket(id) => other(id)?.1,
            Name::Environment if self.shown => Some(format!("${{{word}}}")),
            Name::Environment => self.own.get(word).or_else(|| self.around.environment.get(word)).cloned(),
            Name::Wrong => None,
        }
    }

    fn text(&self, key: &str, text: &str) -> Result<String, Malformed> {
        let missing = std::cell::Cell::new(None);
        let lookup = |word: &str| {
            let value = self.lookup(word);
            if value.is_none() {
                missing.set(Some(name_of(word)));
            }
            value
        };
        expand(text, &lookup).map_err(|error| {
            // The last that was looked up and is not there is the one that `expand` stopped at.
            let why = match missing.take() {
                Some(Missing::Environment) => format!(" (the environment {})", self.around.whose),
                Some(Missing::Other) => ": that service was not started yet; start after it".to_owned(),
                Some(Missing::Own) | None => String::new(),
            };
            at(key, format!("{error}{why}"))
        })
    }

    fn some(&self, key: &str, text: Option<&str>) -> Result<Option<String>, Malformed> {
        text.map(|text| self.text(key, text)).transpose()
    }

    fn list(&self, key: &str, words: &[String]) -> Result<Vec<String>, Malformed> {
        words.iter().enumerate().map(|(i, word)| self.text(&format!("{key}[{i}]"), word)).collect()
    }

    /// A command, and the same as messages name it.
    fn both(&self, key: &str, words: &[String]) -> Result<(Vec<String>, Vec<String>), Malformed> {
        let (own, socket, config_file) = (self.own.clone(), self.socket.clone(), self.config_file.clone());
        let shown = Words { spec: self.spec, around: self.around, own, socket, config_file, shown: true };
        Ok((self.list(key, words)?, shown.list(key, words)?))
    }

    /// A path without variables may hold dollars: of a folder's name nobody meant them as such.
    fn path(&self, key: &str, path: &Path) -> Result<PathBuf, Malformed> {
        match path.to_str().filter(|text| text.contains("${")) {
            Some(text) => self.text(key, text).map(PathBuf::from),
            None => Ok(path.to_owned()),
        }
    }

    fn ready(&self, ready: &Ready, cwd: &Path) -> Result<Ready, Malformed> {
        Ok(Ready { check: self.formed("ready", &ready.check, cwd)?, ..ready.clone() })
    }

    fn health(&self, health: &HealthSpec, cwd: &Path) -> Result<HealthSpec, Malformed> {
        let mut own = HealthSpec { http: None, tcp: None, unix: None, exec: None, ..health.clone() };
        for check in health.checks() {
            match self.formed("health", &check, cwd)? {
                Check::Http(text) => own.http = Some(text),
                Check::Tcp(text) => own.tcp = Some(text),
                Check::Unix(text) => own.unix = Some(text),
                Check::Exec(command) => own.exec = Some(command),
                Check::Log(_) | Check::Notify(_) => {}
            }
        }
        if let Some(file) = own.heartbeat.as_mut().and_then(|beat| beat.file.as_mut()) {
            *file = self.text("health.heartbeat.file", file)?;
        }
        Ok(own)
    }

    /// A check with its variables replaced, if it is of its form then.
    fn formed(&self, table: &str, check: &Check, cwd: &Path) -> Result<Check, Malformed> {
        use crate::probe::{HttpUrl, ProbeSpec};
        let replaced = self.check(table, check, cwd)?;
        if self.shown {
            return Ok(replaced);
        }
        // Said of the text as it is written: what it became may hold a secret.
        let wrong = |key, written: &str, what| {
            let written = crate::text::clip(written);
            Err(at(&format!("{table}.{key}"), format!("'{written}' with its variables replaced is no {what}")))
        };
        match (&replaced, check) {
            (Check::Http(url), Check::Http(written)) if url.parse::<HttpUrl>().is_err() => {
                wrong("http", written, "URL of http")
            }
            (Check::Tcp(address), Check::Tcp(written)) if format!("tcp:{address}").parse::<ProbeSpec>().is_err() => {
                wrong("tcp", written, "HOST:PORT")
            }
            (Check::Unix(path), Check::Unix(written)) if format!("unix:{path}").parse::<ProbeSpec>().is_err() => {
                wrong("unix", written, "address of a socket, of at most 107 bytes")
            }
            (Check::Log(pattern), Check::Log(written)) if regex_lite::Regex::new(pattern).is_err() => {
                wrong("log", written, "regular expression")
            }
            _ => Ok(replaced),
        }
    }

    fn check(&self, table: &str, check: &Check, cwd: &Path) -> Result<Check, Malformed> {
        let text = |key: &str, text: &str| self.text(&format!("{table}.{key}"), text);
        Ok(match check {
            Check::Http(url) => Check::Http(text("http", url)?),
            Check::Tcp(address) => Check::Tcp(text("tcp", address)?),
            Check::Unix(path) => {
                let path = text("unix", path)?;
                let whole = path.starts_with('@') || self.shown && path.starts_with("${");
                Check::Unix(if whole { path } else { cwd.join(path).display().to_string() })
            }
            Check::Log(pattern) => Check::Log(text("log", pattern)?),
            Check::Exec(command) => Check::Exec(self.list(&format!("{table}.exec"), command)?),
            Check::Notify(yes) => Check::Notify(*yes),
        })
    }

    fn reload(&self, reload: &Reload) -> Result<Reload, Malformed> {
        Ok(match reload {
            Reload::Exec(command) => Reload::Exec(self.list("reload.exec", command)?),
            Reload::Signal(signal) => Reload::Signal(*signal),
            Reload::Restart(yes) => Reload::Restart(*yes),
        })
    }
}

/// Where a variable was looked for in vain.
#[derive(Clone, Copy)]
enum Missing {
    Environment,
    Other,
    Own,
}

fn name_of(word: &str) -> Missing {
    match name(word) {
        Name::Environment => Missing::Environment,
        Name::OtherPort(_) | Name::OtherSocket(_) => Missing::Other,
        _ => Missing::Own,
    }
}

#[cfg(test)]
mod tests;
