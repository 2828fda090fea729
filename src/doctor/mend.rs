//! Commands that mend, as the caller can type them.

use std::path::Path;

/// With `sudo` for whoever is not root.
pub(super) fn as_root(uid: u32, command: &str) -> String {
    if uid == 0 { command.to_owned() } else { format!("sudo {command}") }
}

/// The command that installs what is missing: the names of the packages in Debian, Fedora and Arch.
pub(super) fn package(uid: u32, debian: &str, fedora: &str, arch: &str) -> String {
    let managers = [
        ("/usr/bin/apt-get", "apt-get install", debian),
        ("/usr/bin/dnf", "dnf install", fedora),
        ("/usr/bin/pacman", "pacman -S", arch),
    ];
    let there = managers.iter().find(|(path, ..)| Path::new(path).exists());
    match there {
        Some((_, command, names)) => as_root(uid, &format!("{command} {names}")),
        None => format!("install {fedora}"),
    }
}
