//! Why a unit did not start, in words of people.

use std::fs::Metadata;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use super::Scope;
use super::life::Status;
use crate::backend::{Launch, NO_PROGRAM, StartError};
use crate::model::UnitName;
use crate::systemd::CallError;

/// Exit codes of systemd's own, before the program is executed (systemd.exec(5), "Process Exit
/// Codes"): what failed, and whether it would fail again.
const BEFORE_EXEC: &[(i32, &str, bool)] = &[
    (200, "the folder", true),
    (201, "its nice level was refused", true),
    (202, "its file descriptors", false),
    (203, "the program", true),
    (204, "there is no memory", false),
    (205, "its limits were refused", true),
    (206, "its OOM score was refused", true),
    (208, "its standard input", false),
    (209, "its standard output", false),
    (210, "the change of its root folder failed", true),
    (211, "its I/O priority was refused", true),
    (214, "its scheduling was refused", true),
    (215, "its CPU affinity was refused", true),
    (216, "there is no such group", true),
    (217, "there is no such user", true),
    (218, "its capabilities were refused", true),
    (219, "its control group could not be made", false),
    (222, "its standard error", false),
    (224, "PAM refused its session", true),
    (225, "its network namespace could not be made", true),
    (226, "the file system that its unit properties ask for could not be set up", true),
    (227, "NoNewPrivileges was refused", true),
    (228, "its system call filter was refused", true),
    (229, "its SELinux context was refused", true),
    (231, "its AppArmor profile was refused", true),
    (232, "its address families were refused", true),
    (233, "its runtime folder could not be made", true),
    (235, "its owner could not be changed", true),
    (238, "its state folder could not be made", true),
    (239, "its cache folder could not be made", true),
    (240, "its log folder could not be made", true),
    (241, "its configuration folder could not be made", true),
    (242, "its NUMA policy was refused", true),
    (243, "its credentials could not be set up", true),
];

/// A program that was written as shortly before may not have been whole when it was to be executed.
const JUST_NOW: Duration = Duration::from_secs(2);

/// Why the job of the start failed, if the program was not executed.
pub(super) fn not_executed(launch: &Launch, unit: &UnitName, status: &Status) -> Option<StartError> {
    if status.code == 0 {
        let why = format!("systemd could not start {unit} (result: {})", status.result);
        return Some(StartError::Transient(why));
    }
    let (code, what, again) = BEFORE_EXEC.iter().find(|(code, ..)| status.code == 1 && *code == status.status)?;
    if *code == 203 && is_being_written(launch) {
        let why = format!("{} is being written: it cannot be executed before that is done", launch.program.display());
        return Some(StartError::Transient(why));
    }
    let why = match code {
        200 => folder(launch),
        203 => program(launch),
        201 => format!("nice level {}: refused; a user may only ask for less", launch.limits.nice.unwrap_or_default()),
        217 => format!("there is no user '{}'", launch.user.as_deref().unwrap_or_default()),
        _ => format!("{what} (systemd gave up on {unit} with status {code})"),
    };
    Some(if *again { StartError::Permanent(why) } else { StartError::Transient(why) })
}

/// Whether the program is open for writing, and is not executed for that; or was just now, and nothing else is
/// wrong with it.
fn is_being_written(launch: &Launch) -> bool {
    let Some((file, found)) = crate::files::open_regular(&launch.program) else { return false };
    let changed = UNIX_EPOCH + Duration::from_secs(found.ctime().unsigned_abs());
    let just_now = crate::clock::now().duration_since(changed).is_ok_and(|age| age <= JUST_NOW);
    crate::sys::is_written_to(&file) || just_now && wrong_with(launch).is_none()
}

/// What is wrong with the program, as far as can be seen from here.
fn program(launch: &Launch) -> String {
    let shown = launch.program.display();
    wrong_with(launch)
        .unwrap_or_else(|| format!("{shown} cannot be executed: it may be for another machine, or its user may not"))
}

fn wrong_with(launch: &Launch) -> Option<String> {
    let (path, shown) = (&launch.program, launch.program.display());
    Some(match std::fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => format!("{shown} is not there"),
        Err(error) if is_theirs(launch, &error) => {
            format!("{shown} is not there, or its user may not execute it: provost may not look there")
        }
        Err(error) => format!("{shown}: {error}"),
        Ok(found) if found.is_dir() => format!("{shown} is a folder"),
        Ok(found) if !found.is_file() => format!("{shown} is no regular file"),
        Ok(found) if found.permissions().mode() & 0o111 == 0 => format!("{shown} is not executable"),
        Ok(found) if is_of_others(launch, &found) => format!("{shown} may not be executed by its user"),
        Ok(_) => format!("{shown}{}", wrong_in(path)?),
    })
}

/// Whether only its owner may execute it, who is not the user of the service.
fn is_of_others(launch: &Launch, found: &Metadata) -> bool {
    let Some(user) = &launch.user else {
        return rustix::fs::access(&launch.program, rustix::fs::Access::EXEC_OK).is_err();
    };
    let uid = crate::sys::spawn::user(user).ok().map(|user| user.uid);
    found.permissions().mode() & 0o11 == 0 && uid.is_some_and(|uid| uid != 0 && uid != found.uid())
}

/// What is wrong with what is in it: a script whose interpreter is missing, or is not named.
fn wrong_in(path: &Path) -> Option<String> {
    use std::io::Read as _;
    let mut head = [0; 256];
    let (mut file, _) = crate::files::open_regular(path)?;
    let n = file.read(&mut head).ok()?;
    if !head[..n].starts_with(b"#!") {
        return (!head.starts_with(b"\x7fELF")).then(|| format!(": {NO_PROGRAM}"));
    }
    let line = head[2..n].split(|b| *b == b'\n').next()?;
    // A carriage return before the end of the line is a part of the name.
    let named = line.split(|b| b" \t".contains(b)).find(|word| !word.is_empty())?;
    let named = String::from_utf8_lossy(named).into_owned();
    (!Path::new(&named).exists()).then(|| format!(" is run by {}, which is not there", crate::text::escape(&named)))
}

/// What is wrong with the folder.
fn folder(launch: &Launch) -> String {
    let shown = launch.cwd.display();
    match std::fs::metadata(&launch.cwd) {
        Err(error) if error.kind() == ErrorKind::NotFound => format!("the folder {shown} is not there"),
        Err(error) if is_theirs(launch, &error) => {
            format!("the folder {shown} is not there, or its user may not enter it: provost may not look there")
        }
        Err(error) => format!("the folder {shown}: {error}"),
        Ok(found) if !found.is_dir() => format!("{shown} is not a folder"),
        Ok(_) => format!("the folder {shown} cannot be entered by its user"),
    }
}

/// Whether what was denied to this process may be allowed to the user of the service.
fn is_theirs(launch: &Launch, error: &io::Error) -> bool {
    error.kind() == ErrorKind::PermissionDenied && launch.user.is_some()
}

/// What is wrong before anything is asked of systemd. A type notify tells nothing of an exec that failed.
pub(super) fn beforehand(launch: &Launch, scope: Scope) -> Result<(), StartError> {
    let elsewhere = ["BindPaths", "BindReadOnlyPaths", "TemporaryFileSystem"];
    if elsewhere.iter().any(|name| launch.systemd.contains_key(*name)) {
        return Ok(());
    }
    // Root in its sandbox may enter nobody's folder; the unit may, and tells what it finds there.
    let passes = |found: io::Result<Metadata>, is_right: fn(&Metadata) -> bool| match found {
        Ok(found) => is_right(&found),
        Err(error) => scope == Scope::System && error.kind() == ErrorKind::PermissionDenied,
    };
    if !passes(std::fs::metadata(&launch.cwd), Metadata::is_dir) {
        return Err(StartError::Permanent(folder(launch)));
    }
    let runs = |found: &Metadata| found.is_file() && found.permissions().mode() & 0o111 != 0;
    if passes(std::fs::metadata(&launch.program), runs) {
        return Ok(());
    }
    Err(StartError::Permanent(program(launch)))
}

/// Why the manager refused the unit.
pub(super) fn refused(unit: &UnitName, error: &CallError) -> StartError {
    let why = format!("systemd refused {unit}: {error}");
    let again = matches!(
        error.short_name(),
        "PropertyReadOnly"
            | "InvalidArgs"
            | "BadUnitSetting"
            | "InvalidName"
            | "AccessDenied"
            | "InteractiveAuthorizationRequired"
            | "NotSupported"
            | "InvalidSignature"
            | "UnitMasked"
    );
    if again { StartError::Permanent(why) } else { StartError::Transient(why) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::conformance::of_instance;

    #[test]
    fn what_cannot_be_executed_is_told_by_what_is_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("program");
        let launch = of_instance("test", "program", path.to_str().unwrap(), &["program"]);
        for (text, said) in [
            ("echo hello\n", ": this is no program; a script needs a first line that names its interpreter"),
            ("", ": this is no program; a script needs a first line that names its interpreter"),
            ("#!/none/such -x\n", " is run by /none/such, which is not there"),
            ("#! /bin/sh\r\necho\r\n", " is run by /bin/sh\\r, which is not there"),
            ("#!/bin/sh\n", " cannot be executed: it may be for another machine, or its user may not"),
            ("\x7fELF", " cannot be executed: it may be for another machine, or its user may not"),
        ] {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
            assert_eq!(program(&launch), format!("{}{said}", path.display()));
        }
    }

    #[test]
    fn what_explains_itself_is_not_taken_for_being_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("program");
        let mut launch = of_instance("test", "program", path.to_str().unwrap(), &["program"]);
        let unit: UnitName = "provost-program.service".parse().unwrap();
        let status = Status { code: 1, status: 203, ..Status::default() };
        let mut said = |text: &str, mode, user: Option<&str>| {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            launch.user = user.map(str::to_owned);
            not_executed(&launch, &unit, &status)
        };
        for (text, mode, user) in [
            ("#!/none/such\n", 0o755, None),
            ("#!/bin/sh\r\n", 0o755, None),
            ("echo\n", 0o755, None),
            ("#!/bin/sh\n", 0o744, Some("nobody")),
        ] {
            let why = said(text, mode, user);
            assert!(matches!(why, Some(StartError::Permanent(_))), "{text:?}: {why:?}");
        }
        for user in [None, Some("nobody")] {
            let why = said("#!/bin/sh\n", 0o755, user);
            assert!(matches!(why, Some(StartError::Transient(_))), "nothing else is wrong with it: {why:?}");
        }
        let _writer = std::fs::File::options().append(true).open(&path).unwrap();
        let why = not_executed(&launch, &unit, &status);
        assert!(matches!(why, Some(StartError::Transient(_))), "{why:?}");
    }

    /// Whoever may change the program must not have the daemon wait.
    #[test]
    fn a_program_that_has_become_a_fifo_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("fifo");
        rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, 0o755.into()).unwrap();
        let launch = of_instance("test", "fifo", fifo.to_str().unwrap(), &["fifo"]);
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let status = Status { code: 1, status: 203, ..Status::default() };
            tell.send(not_executed(&launch, &"provost-fifo.service".parse().unwrap(), &status))
        });
        let told = told.recv_timeout(Duration::from_secs(20)).expect("it is not waited for");
        let expected = StartError::Permanent(format!("{} is no regular file", fifo.display()));
        assert_eq!(told, Some(expected));
    }
}
