//! The service managers: their version, what of it is used, and whether a user's outlives the login.

use super::Check;
use super::mend::as_root;
use crate::control::Linger;
use crate::model::Instance;
use crate::observe::Observer;

/// The oldest that is tried.
const OLDEST: u32 = 252;

/// What later versions have that provost makes use of.
const SINCE: [(u32, &str); 2] = [
    (257, "a question opens no password prompt, so that verdicts are known on a desktop, too"),
    (257, "polkit rules see the names of transient units"),
];

pub(super) async fn checks(observer: &Observer, instance: Instance) -> Vec<Check> {
    let uid = observer.caller().uid;
    let mut all = Vec::new();
    match observer.bus().system().await {
        Ok(manager) => match manager.version().await {
            Ok(version) => all.push(version_is(&version)),
            Err(error) => {
                all.push(Check::problem("systemd", format!("PID 1 does not answer: {error}"), "systemctl status"))
            }
        },
        Err(why) if observer.host().has_systemd() => {
            let mend = as_root(uid, "systemctl start dbus.socket");
            all.push(Check::problem("systemd", format!("it is PID 1, and cannot be asked: {why}"), mend));
        }
        Err(why) => all.push(Check::without_cure(
            "systemd",
            format!("{why}: processes are signalled directly, and services are children of the daemon"),
        )),
    }
    if instance == Instance::User && observer.host().has_systemd() {
        match observer.bus().user(uid).await {
            Ok(manager) if manager.version().await.is_ok() => {
                all.push(Check::ok("user manager", "runs, and services are its units"));
            }
            Ok(_) => all.push(no_manager("its bus is there, and no manager answers on it", uid)),
            Err(why) => all.push(no_manager(&why, uid)),
        }
        all.push(match Linger::of(uid) {
            Linger::On => Check::ok("lingering", "services go on when you log out"),
            Linger::Unneeded => Check::ok("lingering", "not needed here"),
            Linger::Off => {
                let mend = format!("sudo loginctl enable-linger {}", crate::observe::user_name(uid));
                Check::warning("lingering", "services stop when you log out", mend)
            }
        });
    }
    all
}

fn no_manager(why: &str, uid: u32) -> Check {
    Check::warning("user manager", format!("{why}: services are children of the daemon"), start_bus(uid))
}

/// What brings a user's bus, and the manager that serves it.
pub(super) fn start_bus(uid: u32) -> String {
    let (folder, user) = (format!("/run/user/{uid}"), crate::observe::user_name(uid));
    match std::path::Path::new(&folder).join("systemd/private").exists() {
        // It runs, and its bus does not.
        true => format!("XDG_RUNTIME_DIR={folder} systemctl --user start dbus.socket"),
        false => format!("sudo loginctl enable-linger {user}; export XDG_RUNTIME_DIR={folder}"),
    }
}

fn version_is(version: &str) -> Check {
    let digits: String = version.chars().take_while(char::is_ascii_digit).collect();
    let Ok(number) = digits.parse::<u32>() else {
        return Check::without_cure("systemd", format!("version {version}, whatever that is"));
    };
    if number < OLDEST {
        let found = format!("version {version}; provost is tried with {OLDEST} and later");
        return Check::without_cure("systemd", found);
    }
    let (has, lacks): (Vec<_>, Vec<_>) = SINCE.iter().partition(|since| since.0 <= number);
    let words = |of: &[&(u32, &str)]| of.iter().map(|(since, what)| format!("{what} ({since})")).collect::<Vec<_>>();
    let mut found = format!("version {version}; in use: transient units, references, jobs");
    for word in words(&has) {
        found.push_str(&format!(", {word}"));
    }
    if !lacks.is_empty() {
        found.push_str(&format!("; not in this version: {}", words(&lacks).join(", ")));
    }
    Check::ok("systemd", found)
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn what_a_version_has() {
        let old = version_is("252.39-1~deb12u2");
        assert!(old.state == State::Ok && old.found.contains("not in this version: a question"), "{old:?}");
        let new = version_is("262.1");
        assert!(new.state == State::Ok && !new.found.contains("not in this version"), "{new:?}");
        assert_eq!(version_is("249 (249.11)").state, State::Warning);
        assert_eq!(version_is("").state, State::Warning);
    }
}
