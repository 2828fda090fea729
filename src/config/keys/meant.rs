//! What an unknown key was meant to be.

use super::{Key, Kind};

/// Words of other supervisors and slips that no likeness of letters finds.
const OTHERS: [(&str, &str); 40] = [
    ("cmd", "command"),
    ("exec", "command"),
    ("execstart", "command"),
    ("program", "command"),
    ("binary_path", "command"),
    ("entrypoint", "command"),
    ("arguments", "args"),
    ("environment", "env"),
    ("environment_file", "env_file"),
    ("envfile", "env_file"),
    ("directory", "cwd"),
    ("dir", "cwd"),
    ("workdir", "cwd"),
    ("work_dir", "cwd"),
    ("working_dir", "cwd"),
    ("working_directory", "cwd"),
    ("workingdirectory", "cwd"),
    ("depends_on", "after"),
    ("depends", "after"),
    ("requires", "after"),
    ("needs", "after"),
    ("autostart", "enabled"),
    ("disabled", "enabled"),
    ("numprocs", "instances"),
    ("replicas", "instances"),
    ("health_check", "health"),
    ("healthcheck", "health"),
    ("liveness", "health"),
    ("readiness", "ready"),
    ("socket_path", "socket"),
    ("metadata", "meta"),
    ("labels", "meta"),
    ("display_name", "name"),
    ("description", "name"),
    ("pidfile", "pid_file"),
    ("resources", "limits"),
    ("services", "service"),
    ("programs", "service"),
    ("default", "defaults"),
    ("backoff", "restart"),
];

/// The key that was meant, as a path from here: the same in other letters, another supervisor's
/// word for it, one of a table below, one that is spelled much alike.
pub(in crate::config) fn meant(word: &str, keys: &[Key]) -> Option<String> {
    let word: String = word.chars().take(64).collect::<String>().to_lowercase().replace('-', "_");
    let has = |name: &str| keys.iter().any(|key| key.name == name);
    if has(&word) {
        return Some(word);
    }
    if let Some((_, name)) = OTHERS.iter().find(|(other, name)| *other == word && has(name)) {
        return Some((*name).to_owned());
    }
    let below = keys.iter().find_map(|key| match key.kind {
        Kind::Table(inner) => inner.iter().find(|k| k.name == word).map(|k| format!("{}.{}", key.name, k.name)),
        _ => None,
    });
    below.or_else(|| {
        let likeness = |key: &Key| (strsim::jaro_winkler(&word, key.name), key.name);
        let best = keys.iter().map(likeness).max_by(|a, b| a.0.total_cmp(&b.0));
        best.filter(|(score, _)| *score > 0.8).map(|(_, name)| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::super::{FILE, SERVICE};
    use super::*;

    #[test]
    fn what_was_meant_is_found() {
        for (word, key) in [
            ("prot", "port"),
            ("Env", "env"),
            ("env-file", "env_file"),
            ("WorkingDirectory", "cwd"),
            ("depends_on", "after"),
            ("memory", "limits.memory"),
            ("signals", "stop.signals"),
            ("comand", "command"),
            ("instnaces", "instances"),
        ] {
            assert_eq!(meant(word, SERVICE).as_deref(), Some(key), "{word}");
        }
        assert_eq!(meant("services", FILE).as_deref(), Some("service"));
        assert_eq!(meant("zzz", SERVICE), None);
        assert!(OTHERS.iter().all(|(_, name)| FILE.iter().chain(SERVICE).any(|key| key.name == *name)));
    }
}
