//! Makes a root folder ready to boot: ours is started, the host's own services are not.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::{Result, fakes, program, users};

/// Services of the distribution that a container has no use for, wherever they are wanted from.
const MASKED: &[&str] = &[
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "console-getty.service",
    "container-getty@.service",
    "e2scrub_reap.service",
    "fstrim.timer",
    "getty@.service",
    "ldconfig.service",
    "man-db.timer",
    "systemd-firstboot.service",
    "systemd-networkd.service",
    "systemd-networkd-wait-online.service",
    "systemd-resolved.service",
    "systemd-timesyncd.service",
];

const STORAGE: &str = "[storage]\ndriver = \"vfs\"\nrunroot = \"/run/containers/storage\"\n\
    graphroot = \"/var/lib/containers/storage\"\n";

/// Prepares `root`, a writable overlay. `exe` becomes the fake servers, `provost` the program under test.
pub fn prepare(root: &Path, exe: &Path, provost: &Path) -> Result<()> {
    let etc = root.join("etc");
    for (folder, keep) in [("systemd/system", None), ("systemd/user", Some("dbus"))] {
        forget_wants(&etc.join(folder), keep)?;
    }
    for level in 0..=6 {
        empty(&etc.join(format!("rc{level}.d")))?;
    }
    empty(&etc.join("rcS.d"))?;
    for folder in ["etc/polkit-1/rules.d", "etc/sudoers.d", "var/lib/systemd/linger"] {
        empty(&root.join(folder))?;
    }
    // What somebody tries on the host is nothing to the rig; and podman's own overlay does not work on ours.
    for folder in ["etc/provost", "var/lib/provost", "root/.local/state/provost", "var/lib/containers"] {
        let _ = fs::remove_dir_all(root.join(folder));
    }
    fs::create_dir_all(etc.join("containers"))?;
    fs::write(etc.join("containers/storage.conf"), STORAGE)?;
    let units = etc.join("systemd/system");
    fs::create_dir_all(&units)?;
    for unit in MASKED {
        put_link("/dev/null", &units.join(unit))?;
    }
    let _ = fs::remove_file(units.join("default.target"));
    put_link("/usr/lib/systemd/system/multi-user.target", &units.join("default.target"))?;
    fs::write(etc.join("machine-id"), fs::read_to_string("/proc/sys/kernel/random/uuid")?.replace('-', ""))?;
    fs::write(etc.join("hosts"), "127.0.0.1 localhost rig\n::1 localhost\n")?;
    // As the distribution's, but a wrong password costs no two seconds.
    fs::write(etc.join("pam.d/polkit-1"), "auth required pam_unix.so nodelay\naccount required pam_unix.so\n")?;
    let bin = root.join("usr/local/bin");
    fs::create_dir_all(&bin)?;
    // Copies: they may be changed in the rig, and the originals are build products.
    program::copy(provost, &bin.join("provost"))?;
    fakes::install(exe, &bin)?;
    users::first().iter().try_for_each(|user| users::add(root, user))
}

/// Removes what is wanted by targets through links of the administrator, and thereby what the host enabled.
fn forget_wants(folder: &Path, keep: Option<&str>) -> Result<()> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.extension().is_none_or(|e| e != "wants" && e != "requires") {
            continue;
        }
        for link in fs::read_dir(&path)?.flatten() {
            if !keep.is_some_and(|k| link.file_name().to_string_lossy().starts_with(k)) {
                fs::remove_file(link.path())?;
            }
        }
    }
    Ok(())
}

/// Removes the files in `folder`, if it exists.
fn empty(folder: &Path) -> Result<()> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for entry in entries.flatten().filter(|e| !e.path().is_dir() || e.path().is_symlink()) {
        fs::remove_file(entry.path())?;
    }
    Ok(())
}

fn put_link(target: &str, link: &Path) -> Result<()> {
    let _ = fs::remove_file(link);
    Ok(symlink(target, link)?)
}
