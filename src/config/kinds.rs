//! Kinds of programs as data: what `kind = "filebeat"` stands for.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::check::{Rules, check};
use super::errors::{Errors, Problem, located};
use super::keys::KINDS;
use super::read::{Format, read};
use super::{LoadOptions, file};

const BUILT_IN: &str = include_str!("kinds.toml");

/// The keys of each kind.
#[derive(Debug, Default)]
pub(super) struct Kinds(Map<String, Value>);

impl Kinds {
    /// Those that there are, and the user's own, which come before them.
    ///
    /// # Errors
    /// The user's file cannot be read, or is wrong.
    pub(super) fn all(options: &LoadOptions) -> Result<Self, Errors> {
        let rules = Rules { system: options.system, home: options.home.as_deref() };
        let mut all = table(Path::new("kinds.toml"), BUILT_IN, rules)?;
        if let Some(path) = own(options.system).filter(|path| path.exists()) {
            all.extend(table(&path, &file::read(&path, options.system)?, rules)?);
        }
        Ok(Self(all))
    }

    /// The keys of one.
    pub(super) fn get(&self, name: &str) -> Option<&Map<String, Value>> {
        self.0.get(name)?.as_object()
    }

    /// `there are: custom, filebeat, …`.
    pub(super) fn names(&self) -> String {
        format!("there are: {}", self.0.keys().map(String::as_str).collect::<Vec<_>>().join(", "))
    }
}

/// The file of the user, or of the system.
fn own(system: bool) -> Option<PathBuf> {
    let folder = match system {
        true => Some(PathBuf::from("/etc/provost")),
        false => crate::paths::config_dir(rustix::process::geteuid().as_raw()),
    };
    Some(folder?.join("kinds.toml"))
}

fn table(path: &Path, text: &str, rules: Rules<'_>) -> Result<Map<String, Value>, Errors> {
    let (tree, mut faults) = read(Format::Toml, text);
    let checked = tree.map(|tree| check(&tree, KINDS, rules)).unwrap_or_default();
    faults.extend(checked.faults);
    if !faults.is_empty() {
        return Err(Errors(located(path, text, faults)));
    }
    let kinds = checked.value.get("kind").and_then(Value::as_object).cloned().unwrap_or_default();
    match kinds.iter().find(|(_, keys)| keys.get("kind").is_some()) {
        Some((name, _)) => Err(Problem::of_file(path, format!("kind.{name}: a kind is not of a kind")).into()),
        None => Ok(kinds),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;
    use serde_json::json;

    #[test]
    fn what_is_built_in_makes_services() {
        let path = Path::new("/p/provost.toml");
        let rules = Rules { system: false, home: None };
        for name in table(path, BUILT_IN, rules).unwrap().keys().filter(|name| *name != "custom") {
            let text = format!("[service.a]\nkind = '{name}'\nconfig_file = 'a.yml'\n");
            let project = parse(path, path, &text, &LoadOptions::default()).unwrap();
            assert!(project.services[0].reload.is_some() && project.warnings.is_empty(), "{name}");
        }
        let wrong = table(path, "[kind.x]\ncomand = ['x']", rules).unwrap_err().to_string();
        assert!(wrong.contains("provost.toml:2:1: kind.x.comand") && wrong.contains("\"command\""), "{wrong}");
        assert!(table(path, "[kind.x]\nkind = 'x'", rules).is_err());
    }

    #[test]
    fn a_kind_stands_between_the_defaults_and_the_service() {
        let text = "[defaults]\nport = 1\nreload = { signal = 'HUP' }\nenv = { A = '1' }\n[service.a]\n\
                    kind = 'ollama'\nport = 3\n[service.b]\nkind = 'llama'\n";
        let path = Path::new("/p/provost.toml");
        let wrong = parse(path, path, text, &LoadOptions::default()).unwrap_err().to_string();
        assert!(wrong.contains("provost.toml:9:") && wrong.contains("llama-server"), "{wrong}");
        let text = text.split("[service.b]").next().unwrap();
        let spec = &parse(path, path, text, &LoadOptions::default()).unwrap().services[0];
        let shown = crate::config::written(spec);
        assert_eq!(shown["command"], json!(["ollama", "serve"]));
        assert_eq!((&shown["port"], &shown["reload"]), (&json!(3), &json!({"restart": true})));
        assert_eq!(shown["env"], json!({"A": "1", "OLLAMA_HOST": "127.0.0.1:${PORT}"}));
    }
}
