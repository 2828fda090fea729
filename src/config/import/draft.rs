//! What is made: services with keys as in a config of ours, each with the place that it came from.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use serde_json::{Map, Value, json};

use super::input::{Field, Notes, Spot};
use super::words;

/// A config in the making.
#[derive(Default)]
pub(super) struct Draft {
    /// `[defaults]`.
    pub(super) defaults: Map<String, Value>,
    pub(super) services: Vec<Service>,
    ids: BTreeSet<String>,
    /// What each name of the input has become.
    names: BTreeMap<String, Vec<String>>,
}

/// One `[service.ID]`.
pub(super) struct Service {
    pub(super) id: String,
    pub(super) keys: Map<String, Value>,
    /// What describes it.
    pub(super) spot: Spot,
    /// Where each of its keys came from.
    pub(super) spots: BTreeMap<String, Spot>,
}

impl Draft {
    /// A service of this name: its id is the name as far as ids allow, and no other's.
    pub(super) fn service(&mut self, name: &str, spot: &Spot, notes: &mut Notes) -> Service {
        let mut id: String =
            name.chars().map(|c| if c.is_ascii_alphanumeric() || "_.-".contains(c) { c } else { '-' }).collect();
        id = id.trim_start_matches(['-', '_', '.']).chars().take(60).collect();
        if id.is_empty() {
            id.push_str("service");
        }
        let base = id.clone();
        let mut n = 1;
        while !self.ids.insert(id.clone()) {
            n += 1;
            id = format!("{base}-{n}");
        }
        self.names.entry(name.to_owned()).or_default().push(id.clone());
        let mut service = Service { id, keys: Map::new(), spot: spot.clone(), spots: BTreeMap::new() };
        if service.id != name {
            notes.say(
                spot,
                format!(
                    "'{}' is called {} here: ids have letters, digits, '_', '.' and '-', each once",
                    crate::text::clip(name),
                    service.id
                ),
            );
            if !name.is_empty() && !name.chars().any(char::is_control) {
                service.put("name", name);
            }
        }
        service
    }

    /// The ids that a name of the input has become.
    pub(super) fn ids(&self, name: &str) -> &[String] {
        self.names.get(name).map_or(&[], Vec::as_slice)
    }

    /// Puts right what ours asks of several keys together: the longest delay is no shorter than the
    /// first.
    pub(super) fn finish(&mut self, notes: &mut Notes) {
        self.ports(notes);
        use crate::model::service::{Restart, Span};
        let span = |table: &Map<String, Value>, key: &str| table.get(key)?.as_str()?.parse::<Span>().ok();
        for service in &mut self.services {
            let Some(Value::Object(restart)) = service.keys.get_mut("restart") else { continue };
            let usual = Restart::default();
            let base = span(restart, "base").unwrap_or(usual.base);
            if base > span(restart, "max").unwrap_or(usual.max)
                && let Some(base) = restart.get("base").cloned()
            {
                restart.insert("max".to_owned(), base);
            } else if let (Some(max), false) = (span(restart, "max"), restart.contains_key("base"))
                && max < usual.base
            {
                restart.insert("base".to_owned(), json!(max.to_string()));
            }
        }
    }

    /// `${PORT}` is the service's own port in our config, and a variable of the environment elsewhere.
    fn ports(&mut self, notes: &mut Notes) {
        fn uses(value: &Value) -> bool {
            match value {
                Value::String(text) => {
                    crate::model::service::variables(text).is_ok_and(|names| names.contains(&"PORT"))
                }
                Value::Array(items) => items.iter().any(uses),
                Value::Object(entries) => entries.values().any(uses),
                _ => false,
            }
        }
        let common = self.defaults.values().any(uses);
        for (number, service) in (0_u64..).zip(&mut self.services) {
            if service.keys.contains_key("port") || !(common || service.keys.values().any(uses)) {
                continue;
            }
            let own = service.keys.get("env").and_then(|env| env.get("PORT")).and_then(Value::as_str);
            match own.and_then(|own| own.parse::<u16>().ok()) {
                Some(port) => service.put("port", port),
                None => {
                    let port = 8000 + number % 1000;
                    service.put("port", port);
                    let why = format!(
                        "${{PORT}} is the service's own port here, not a variable of the environment: port = {port} \
                         is written; put yours there"
                    );
                    notes.say(&service.spot, why);
                    // What is taken from elsewhere comes by the port now.
                    if let Some(env) = service.keys.get_mut("env").and_then(Value::as_object_mut) {
                        env.remove("PORT");
                    }
                }
            }
        }
    }

    /// The services of a name as what another comes after; what is no service is reported.
    pub(super) fn after(&self, name: &str, spot: &Spot, notes: &mut Notes) -> Vec<String> {
        let ids = self.ids(name);
        if ids.is_empty() {
            notes.say(
                spot,
                format!("not carried over: nothing that is carried over is called '{}'", crate::text::clip(name)),
            );
        }
        ids.to_vec()
    }
}

impl Service {
    /// Sets a key, given as a path; a table is made where there is none.
    pub(super) fn put(&mut self, key: &str, value: impl Into<Value>) {
        fn put(table: &mut Map<String, Value>, path: &str, value: Value) {
            match path.split_once('/') {
                None => {
                    table.insert(path.to_owned(), value);
                }
                Some((first, rest)) => {
                    let inner = table.entry(first.to_owned()).or_insert_with(|| Value::Object(Map::new()));
                    if let Value::Object(inner) = inner {
                        put(inner, rest, value);
                    }
                }
            }
        }
        put(&mut self.keys, &key.replace('.', "/"), value.into());
    }

    /// The same, with the place that it came from.
    pub(super) fn set(&mut self, key: &str, value: impl Into<Value>, from: &Field) {
        self.put(key, value);
        self.spots.insert(key.to_owned(), from.spot.clone());
    }

    /// A variable of its environment, as our config writes it.
    pub(super) fn env(&mut self, name: &str, value: impl Into<String>, from: &Spot) {
        let table = self.keys.entry("env").or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(table) = table {
            table.insert(name.to_owned(), Value::String(value.into()));
        }
        self.spots.insert(format!("env.{}", crate::config::tree::step(name)), from.clone());
    }

    /// What it is: a program with its arguments.
    pub(super) fn command(&mut self, words: Vec<String>, from: &Field) {
        self.set("command", words, from);
    }

    /// Comes after these too.
    pub(super) fn after(&mut self, ids: Vec<String>, from: &Field) {
        let mut all: Vec<Value> = self.keys.get("after").and_then(Value::as_array).cloned().unwrap_or_default();
        for id in ids.into_iter().filter(|id| *id != self.id) {
            if !all.contains(&json!(id)) {
                all.push(json!(id));
            }
        }
        if !all.is_empty() {
            self.set("after", all, from);
        }
    }

    /// SIGNAL, then SIGKILL.
    pub(super) fn stop(&mut self, signal: &str, wait: &str, from: Option<&Field>) {
        let named = signal.trim().parse::<crate::model::Signal>().map(|signal| signal.to_string());
        // What is no signal is refused, and reported, when all of it is read.
        let signal = named.unwrap_or_else(|_| signal.trim().to_owned());
        let signal = signal.strip_prefix("SIG").unwrap_or(&signal);
        let ladder = if signal == "KILL" { json!(["KILL"]) } else { json!([format!("{signal}:{wait}"), "KILL"]) };
        self.put("stop.signals", ladder);
        if let Some(from) = from {
            self.spots.insert("stop.signals".to_owned(), from.spot.clone());
        }
    }

    /// The user, which only the system's instance takes.
    pub(super) fn user(&mut self, field: &Field, system: bool, notes: &mut Notes) {
        let Some(user) = field.text(notes) else { return };
        if system {
            self.set("user", user, field);
        } else {
            notes
                .say(&field.spot, "not carried over: your own services run as you; import it with --system to keep it");
        }
    }

    /// A property of its unit, given as the words of a unit file.
    pub(super) fn property(&mut self, name: &str, text: &str, from: &Field, notes: &mut Notes) {
        let text = text.trim();
        let flag = match text.to_ascii_lowercase().as_str() {
            "yes" | "true" | "on" | "1" => Some(json!(true)),
            "no" | "false" | "off" | "0" => Some(json!(false)),
            _ => None,
        };
        let words: Vec<&str> = text.split_whitespace().collect();
        let number = text.parse::<i64>().ok().map(Value::from);
        // A number comes late: 0027 is a mode.
        let tries = [flag, Some(json!(text)), number, Some(json!(words))];
        let fits = |value: &Value| crate::config::check_property(name, value).is_ok();
        match tries.into_iter().flatten().find(fits) {
            Some(value) => self.set(&format!("systemd.{name}"), value, from),
            None => {
                let why = crate::config::check_property(name, &json!(text)).err().map(|error| error.to_string());
                notes.say(&from.spot, format!("not carried over: {}", why.unwrap_or_default()));
            }
        }
    }

    /// The file of its output: ours come into a folder, which must be one that it may write to.
    pub(super) fn log_path(&mut self, file: &str, from: &Field, around: &super::Around<'_>, notes: &mut Notes) {
        let folder = Path::new(file).parent().unwrap_or(Path::new("/"));
        let home = around.home.as_ref().is_some_and(|home| folder.starts_with(home));
        let own = match around.system {
            true => crate::logs::outside(folder, Path::new(crate::paths::SYSTEM_LOGS)).is_none(),
            false => folder.is_relative() || home || folder.starts_with(around.folder),
        };
        if !own || file.starts_with("/dev/") {
            return notes.lost(&from.spot, LOGS);
        }
        let folder = path(&folder.to_string_lossy(), around.folder, around.beside);
        notes.say(&from.spot, format!("its output comes into files in {folder}/{}/", self.id));
        self.set("log.path", folder, from);
        self.put("log.file", true);
    }

    /// How its output is kept, where our config can say so.
    pub(super) fn log(&mut self, key: &str, value: Option<Value>, from: &Field, notes: &mut Notes) {
        match value {
            Some(value) => self.set(&format!("log.{key}"), value, from),
            None => notes.lost(&from.spot, LOGS),
        }
    }
}

/// Why a key for logs is not carried over.
pub(super) const LOGS: &str = "provost keeps the output itself (provost logs ID)";

/// Seconds as our config writes them.
pub(super) fn seconds(number: f64) -> String {
    let millis = (number * 1000.0).round();
    if millis % 1000.0 == 0.0 { format!("{}s", millis / 1000.0) } else { format!("{millis}ms") }
}

/// A path as our config has it: relative to the folder of the input where the new file stands
/// there, too; else absolute.
pub(super) fn path(text: &str, folder: &Path, beside: bool) -> String {
    let plain = |path: PathBuf| words::literal_path(&path.to_string_lossy());
    if text.starts_with("${") || text.starts_with('~') || Path::new(text).is_absolute() {
        return text.to_owned();
    }
    if beside {
        let short: PathBuf = Path::new(text).components().filter(|c| *c != Component::CurDir).collect();
        return if short.as_os_str().is_empty() { ".".to_owned() } else { short.to_string_lossy().into_owned() };
    }
    plain(folder.join(text).components().collect())
}
