//! Starts a command that outlives provost: in a session of its own, output to a file, recorded.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::model::{Malformed, ServiceId};
use crate::observe::Observer;
use crate::registry::{Record, Store};

/// Starts the command and records it under `id`.
pub(super) fn launch(observer: &Observer, id: &ServiceId, command: &[String]) -> Result<Record, Error> {
    let uid = observer.caller().uid;
    let (program, _) = command.split_first().ok_or_else(|| Malformed::new("an empty command"))?;
    if crate::sys::find_program(program).is_none() {
        return Err(Error::Io {
            what: format!("{} cannot be started", crate::text::clip(program)),
            source: std::io::Error::new(std::io::ErrorKind::NotFound, "no such program in the PATH"),
        });
    }
    let state = crate::paths::state_dir(uid).ok_or_else(|| Malformed::new("there is no home folder for the log"))?;
    let log = state.join("logs").join(format!("{id}.log"));
    let file = open_log(&log)?;
    let cwd = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
    let what = || format!("{} cannot be started", crate::text::clip(program));
    let pid = crate::sys::spawn::detached(command, file).map_err(|source| Error::Io { what: what(), source })?;
    let (identity, _) = observer.proc().identify(pid).map_err(|e| Error::Io {
        what: format!("{} ended at once; its output: {}", crate::text::clip(program), log.display()),
        source: std::io::Error::other(e.to_string()),
    })?;
    let record = Record {
        version: Record::VERSION,
        id: id.to_string(),
        boot_id: observer.host().boot_id.clone(),
        identity,
        uid,
        command_line: command.to_vec(),
        cwd,
        log,
        started_at: humantime::format_rfc3339_seconds(crate::clock::now()).to_string(),
    };
    let store = Store::of(uid).ok_or_else(|| Malformed::new("there is no home folder for the record"))?;
    store.save(&record).map_err(|source| Error::Io { what: format!("the record of {id}"), source })?;
    Ok(record)
}

fn open_log(log: &Path) -> Result<fs::File, Error> {
    let open = || {
        if let Some(dir) = log.parent() {
            fs::create_dir_all(dir)?;
        }
        fs::OpenOptions::new().create(true).append(true).open(log)
    };
    open().map_err(|source| Error::Io { what: log.display().to_string(), source })
}

/// The id under which a command is recorded: the word of the target if it can be one, else the
/// program's name.
pub(super) fn id_for(word: &str, command: &[String]) -> ServiceId {
    let program = command.first().map_or("service", |p| p.rsplit('/').next().unwrap_or(p));
    let clean = |s: &str| -> String {
        let kept = s.chars().map(|c| if c.is_ascii_alphanumeric() || "_.-".contains(c) { c } else { '-' });
        kept.collect::<String>().trim_start_matches(['-', '.', '_']).chars().take(63).collect()
    };
    let plain = word.parse::<ServiceId>().ok().filter(|id| !id.is_glob());
    plain
        .or_else(|| format!("{}-{}", clean(program), clean(word)).parse().ok())
        .or_else(|| clean(program).parse().ok())
        .unwrap_or_else(ServiceId::fallback)
}

#[cfg(test)]
mod tests {
    use super::id_for;

    #[test]
    fn ids_are_valid_whatever_the_words() {
        assert_eq!(id_for("llm", &["x".to_owned()]).as_str(), "llm");
        assert_eq!(id_for(":8080", &["/usr/bin/llama-server".to_owned()]).as_str(), "llama-server-8080");
        assert_eq!(id_for("::::", &["…".to_owned()]).as_str(), "service");
    }
}
