//! Starts a command that outlives provost: in a session of its own, output to a file, recorded.

use std::fs;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::model::service::{Exit, ServiceSpec, ServiceState};
use crate::model::{Malformed, ServiceId};
use crate::observe::Observer;
use crate::registry::{Record, Store};
use crate::sys::spawn::Child;

/// What was started.
#[derive(Debug)]
pub(super) struct Launched {
    pub(super) log: PathBuf,
    /// For its exit code; dropping it leaves it running.
    pub(super) child: Child,
}

/// Records the command under `id` and starts it, in this order: nothing runs that has no record.
pub(super) fn launch(observer: &Observer, id: &ServiceId, command: &[String]) -> Result<Launched, Error> {
    let uid = observer.caller().uid;
    let (program, _) = command.split_first().ok_or_else(|| Malformed::new("an empty command"))?;
    check_program(program)?;
    let cannot = |source| Error::Io { what: format!("{} cannot be started", crate::text::clip(program)), source };
    let path = crate::sys::find_program(program).ok_or_else(|| cannot(missing(program)))?;
    let state = crate::paths::state_dir(uid).ok_or_else(|| Malformed::new("there is no home folder for the log"))?;
    let store = Store::of(uid).ok_or_else(|| Malformed::new("there is no home folder for the record"))?;
    let log = state.join("logs").join(format!("{id}.log"));
    let file = open_log(&log, uid)?;
    let cwd = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
    let held = crate::sys::spawn::detached(&path, command, &file).map_err(cannot)?;
    let (identity, _) =
        observer.proc().identify(held.pid()).map_err(|e| cannot(std::io::Error::other(e.to_string())))?;
    let spec = ServiceSpec::new(id.clone(), command.to_vec(), cwd);
    let record = Record {
        state: ServiceState::Running,
        boot_id: observer.host().boot_id.clone(),
        identity: Some(identity),
        command_line: command.to_vec(),
        log: Some(log.clone()),
        started_at: Some(humantime::format_rfc3339_seconds(crate::clock::now()).to_string()),
        ..Record::new(spec, uid)
    };
    store
        .save(&record, true)
        .map_err(|source| Error::Io { what: format!("{} was not started", crate::text::clip(program)), source })?;
    let child = held.run().map_err(|source| {
        if let Err(error) = store.remove(&record.id) {
            tracing::warn!("the record of {id}, which did not start, stays: {error}");
        }
        cannot(source)
    })?;
    Ok(Launched { log, child })
}

/// Says beforehand what is wrong with a program that cannot be executed.
pub(crate) fn check_program(program: &str) -> Result<(), Error> {
    match crate::sys::find_program(program) {
        Some(_) => Ok(()),
        None => Err(Error::Io {
            what: format!("{} cannot be started", crate::text::clip(program)),
            source: missing(program),
        }),
    }
}

/// Why there is no such program.
fn missing(program: &str) -> std::io::Error {
    use std::io::ErrorKind;
    let (kind, why) = match (program.contains('/'), Path::new(program).metadata()) {
        (false, _) => (ErrorKind::NotFound, "there is no such program in the PATH"),
        (true, Ok(found)) if found.is_dir() => (ErrorKind::IsADirectory, "it is a folder"),
        (true, Ok(_)) => (ErrorKind::PermissionDenied, "you may not execute this file"),
        (true, Err(error)) if error.kind() == ErrorKind::NotFound => (ErrorKind::NotFound, "there is no such file"),
        (true, Err(error)) => return error,
    };
    std::io::Error::new(kind, why)
}

/// How it ended: `ended with exit code 1`.
pub(super) fn ended(exit: Exit) -> String {
    match exit {
        Exit::Code(code) => format!("ended with exit code {code}"),
        Exit::Signal(_) => format!("ended by signal {}", exit.to_string().trim_start_matches("signal ")),
        Exit::Unknown => "ended".to_owned(),
    }
}

/// Output may hold keys: only the user may read it.
fn open_log(log: &Path, uid: u32) -> Result<fs::File, Error> {
    let open = || {
        if let Some(dir) = log.parent() {
            crate::paths::make_own(dir, uid)?;
        }
        let file = fs::OpenOptions::new().create(true).append(true).mode(0o600).open(log)?;
        crate::paths::close(log, uid, 0o600)?;
        Ok(file)
    };
    open().map_err(|source: std::io::Error| Error::Io { what: log.display().to_string(), source })
}

/// The id under which a command is recorded: the word of the target if it can be one, else the
/// program's name.
pub(crate) fn id_for(word: &str, command: &[String]) -> ServiceId {
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
    use super::{ended, id_for, missing};
    use crate::model::service::Exit;

    #[test]
    fn what_cannot_be_started_says_why() {
        for (program, why) in [
            ("./no-such-file", "there is no such file"),
            ("no-such-program", "there is no such program in the PATH"),
            ("/etc", "it is a folder"),
            ("/etc/passwd", "you may not execute this file"),
        ] {
            assert_eq!(missing(program).to_string(), why);
        }
    }

    #[test]
    fn ends_are_told() {
        assert_eq!(ended(Exit::Code(1)), "ended with exit code 1");
        assert_eq!(ended(Exit::Signal(9)), "ended by signal SIGKILL");
    }

    #[test]
    fn ids_are_valid_whatever_the_words() {
        assert_eq!(id_for("llm", &["x".to_owned()]).as_str(), "llm");
        assert_eq!(id_for(":8080", &["/usr/bin/llama-server".to_owned()]).as_str(), "llama-server-8080");
        assert_eq!(id_for("::::", &["…".to_owned()]).as_str(), "service");
    }
}
