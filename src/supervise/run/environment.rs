//! The environment of a service: a clean one of the daemon's, then what the caller sent along, then
//! its own, then the mark.

use std::collections::BTreeMap;

use super::Supervisor;
use crate::gather::{Arrange as _, Gather as _};
use crate::model::{Instance, ServiceId};
use crate::registry::Record;

/// What a service gets of the daemon's own environment: who and where it is, its language.
const KEPT: [&str; 29] = [
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "PATH",
    "TMPDIR",
    "TZ",
    "LANG",
    "LANGUAGE",
    "LC_ALL",
    "LC_ADDRESS",
    "LC_COLLATE",
    "LC_CTYPE",
    "LC_IDENTIFICATION",
    "LC_MEASUREMENT",
    "LC_MESSAGES",
    "LC_MONETARY",
    "LC_NAME",
    "LC_NUMERIC",
    "LC_PAPER",
    "LC_TELEPHONE",
    "LC_TIME",
    "XDG_RUNTIME_DIR",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_STATE_HOME",
    "XDG_CACHE_HOME",
    "XDG_DATA_DIRS",
    "DBUS_SESSION_BUS_ADDRESS",
];
/// What it gets of what the caller of `up`, `run` or `ensure` sent along; the rest of that is only
/// for the variables of its config.
const SENT: [&str; 2] = ["PATH", "VIRTUAL_ENV"];
/// Where the daemon has none.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// What the config of a service may ask for: the port on which this daemon answers HTTP.
const HTTP_PORT: &str = "PROVOST_HTTP_PORT";

/// The clean environment of the daemon.
pub(crate) fn clean() -> BTreeMap<String, String> {
    let mut all: BTreeMap<String, String> =
        KEPT.iter().filter_map(|name| Some(((*name).to_owned(), crate::observe::env(name)?))).gather();
    all.entry("PATH".to_owned()).or_insert_with(|| PATH.to_owned());
    all
}

impl Supervisor {
    /// In what the variables of a service's config are looked up, and whose that is.
    pub(super) fn lookup(&self, record: &Record) -> (BTreeMap<String, String>, &'static str) {
        let mut all = self.environment.clone();
        all.extend(record.environment.clone());
        // Whoever sent the rest may have run by another daemon.
        all.remove(HTTP_PORT);
        all.extend(self.shared.http_port().map(|port| (HTTP_PORT.to_owned(), port.to_string())));
        let whose = match (record.environment.is_empty(), &record.spec.project) {
            (true, _) => "of the daemon was asked",
            // That of a 'start' is not: it would change with whoever starts it.
            (false, Some(_)) => "of the last 'provost up' was asked: set it, and 'provost up' again",
            (false, None) => "of the command that made it was asked",
        };
        (all, whose)
    }

    /// The variables that its config asks for, with what they are now.
    pub(super) fn asked_for(&self, record: &Record) -> BTreeMap<String, Option<String>> {
        let names = crate::config::environment_names(std::slice::from_ref(&record.spec)).into_iter();
        let names = names.filter(|name| name != HTTP_PORT);
        names.map(|name| (name.clone(), self.variable(record, &name).cloned())).gather()
    }

    /// Those of them that are no longer what it was started with.
    pub(super) fn outdated<'a>(&self, record: &Record, with: &'a BTreeMap<String, Option<String>>) -> Vec<&'a str> {
        let differs = |(name, value): &(&String, &Option<String>)| self.variable(record, name) != value.as_ref();
        with.iter().filter(differs).map(|(name, _)| name.as_str()).collect()
    }

    fn variable<'a>(&'a self, record: &'a Record, name: &str) -> Option<&'a String> {
        record.environment.get(name).or_else(|| self.environment.get(name))
    }

    /// The whole environment; `own` is what its config says.
    pub(super) fn environment(&self, record: &Record, own: BTreeMap<String, String>) -> BTreeMap<String, String> {
        let mut all = self.environment.clone();
        if let Some(user) = &record.spec.user {
            become_user(&mut all, user);
        }
        for name in SENT {
            if let Some(value) = record.environment.get(name) {
                all.insert(name.to_owned(), value.clone());
            }
        }
        all.extend(own);
        let path = |path: &std::path::Path| path.display().to_string();
        let mark = [
            ("PROVOST_SERVICE", record.id.to_string()),
            ("PROVOST_INSTANCE_ID", self.instance_id.clone()),
            ("PROVOST_STATE_DIR", path(&self.places.state)),
            ("PROVOST_RUNTIME_DIR", path(&self.places.runtime)),
        ];
        all.extend(mark.map(|(name, value)| (name.to_owned(), value)));
        all
    }
}

/// A value that is shorter tells nothing, and stands in words by chance.
const SECRET: usize = 6;

impl Supervisor {
    /// What is told of a service of the system, which everybody may read: with its variables as they
    /// are written, and not what they stand for.
    pub(super) fn unexpanded(&self, id: &ServiceId, mut text: String) -> String {
        let Some(service) = self.services.get(id).filter(|_| self.places.instance == Instance::System) else {
            return text;
        };
        let record = service.record();
        let mut values: Vec<(String, String)> = self.own_values(&record);
        // What holds another one is looked for first.
        values.arrange_by_key(|(_, value)| std::cmp::Reverse(value.len()));
        for (name, value) in values.iter().filter(|(_, value)| value.len() >= SECRET) {
            if text.contains(value.as_str()) {
                text = text.replace(value.as_str(), &format!("${{{name}}}"));
            }
        }
        text
    }

    /// The variables of its config and its env_file, and those of the environment that it names.
    fn own_values(&self, record: &Record) -> Vec<(String, String)> {
        let (environment, _) = self.lookup(record);
        let named = crate::config::environment_names(std::slice::from_ref(&record.spec));
        let named = named.into_iter().filter_map(|name| Some((name.clone(), environment.get(&name)?.clone())));
        let own = self.resolve(record).map(|resolved| resolved.env).unwrap_or_default();
        let told = |name: &str| name == "PORT" || name.starts_with("PROVOST_") || name.ends_with("_DEVICES");
        named.chain(own.into_iter().filter(|(name, _)| !told(name))).collect()
    }
}

/// Whoever a service of the system instance runs as: not the daemon's home and bus, but theirs.
fn become_user(all: &mut BTreeMap<String, String>, user: &str) {
    for name in ["XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"] {
        all.remove(name);
    }
    all.remove("DBUS_SESSION_BUS_ADDRESS");
    let found = match user.parse::<u32>() {
        Ok(uid) => nix::unistd::User::from_uid(uid.into()),
        Err(_) => nix::unistd::User::from_name(user),
    };
    // One that is not there is the backend's to refuse.
    let Ok(Some(found)) = found else { return };
    let own = [
        ("HOME", found.dir.display().to_string()),
        ("SHELL", found.shell.display().to_string()),
        ("USER", found.name.clone()),
        ("LOGNAME", found.name),
    ];
    all.extend(own.map(|(name, value)| (name.to_owned(), value)));
}
