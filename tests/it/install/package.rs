//! The Debian package: installed, upgraded, removed and purged, with services that run on as long as they may.

use std::path::PathBuf;
use std::process::Command;

use crate::rig::{Result, Rig, eventually};
use crate::trial::Trials;

pub fn register(trials: &mut Trials) {
    trials.exclusive("install::package", package);
    trials.plain("install::packages_of_others", packages_of_others);
}

const CONFIG: &str =
    "[service.web]\ncommand = [\"sleep\", \"1000\"]\n[service.other]\ncommand = [\"sleep\", \"1000\"]\n";

const UNIT: &str = "provost.service";

fn source(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn run(program: impl AsRef<std::ffi::OsStr>, words: &[&str]) -> Result<String> {
    let output = Command::new(program).args(words).current_dir(source("")).output()?;
    expect!(output.status.success(), "{words:?}: {output:?}");
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Two packages of the same program, the second one of a later version. `None`: nothing here makes packages.
fn built(folder: &std::path::Path) -> Result<Option<[Vec<u8>; 2]>> {
    if !Command::new("cargo").args(["deb", "--version"]).output().is_ok_and(|output| output.status.success()) {
        return Ok(None);
    }
    run(source("packaging/deb"), &["dev", env!("CARGO_BIN_EXE_provost")])?;
    let name = format!("target/debian/provost_{}-1_amd64.deb", env!("CARGO_PKG_VERSION"));
    let first = std::fs::read(source(&name))?;
    let (tree, second) = (folder.join("tree"), folder.join("second.deb"));
    let (tree, second) = (tree.display().to_string(), second.display().to_string());
    run("dpkg-deb", &["-R", &name, &tree])?;
    let control = format!("{tree}/DEBIAN/control");
    let text = std::fs::read_to_string(&control)?;
    std::fs::write(&control, text.replacen("-1\n", "-2\n", 1))?;
    run("dpkg-deb", &["--root-owner-group", "-Zgzip", "-z1", "-b", &tree, &second])?;
    Ok(Some([first, std::fs::read(second)?]))
}

fn pids(rig: &Rig) -> Result<Vec<u64>> {
    let listed: serde_json::Value =
        serde_json::from_str(&rig.as_root().run(["/usr/bin/provost", "list", "--system", "-o", "json"])?.ok()?)?;
    Ok(listed["services"].as_array().into_iter().flatten().filter_map(|service| service["pid"].as_u64()).collect())
}

/// Whatever becomes of the trial, the package goes.
struct Purge<'r>(&'r Rig);

impl Drop for Purge<'_> {
    fn drop(&mut self) {
        let _ = self.0.as_root().run(["dpkg", "-P", "provost"]);
    }
}

fn package(rig: &Rig) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let Some(packages) = built(folder.path())? else {
        println!("no package was made: 'cargo install cargo-deb' first");
        return Ok(());
    };
    for (number, package) in packages.iter().enumerate() {
        rig.write(&format!("/root/{number}.deb"), package, 0o644)?;
    }
    let root = rig.as_root().env("DEBIAN_FRONTEND", "noninteractive");
    let _purge = Purge(rig);
    let dpkg = |words: &[&str]| root.run(["dpkg"].iter().chain(words))?.ok();
    rig.write("/etc/provost/provost.toml", CONFIG, 0o644)?;
    dpkg(&["-i", "/root/0.deb"])?;
    expect!(rig.active_state(UNIT)? == "active", "not started");
    expect!(rig.systemctl(["is-enabled", UNIT])? == "enabled", "not enabled");
    eventually("the services run", || pids(rig).is_ok_and(|pids| pids.len() == 2))?;
    let running = pids(rig)?;
    for (path, mode) in [("/var/lib/provost", "700"), ("/usr/bin/provost", "755")] {
        let is = root.run(["stat", "-c", "%a %U:%G", path])?.ok()?;
        expect!(is.trim() == format!("{mode} root:root"), "{path}: {is}");
    }
    root.run(["getent", "group", "provost"])?.ok()?;
    let path = "/usr/lib/systemd/system/provost.service";
    let verified = root.run(["systemd-analyze", super::man(rig), "verify", path])?;
    expect!(verified.status.success(), "{verified:?}");

    let daemon = rig.main_pid(UNIT)?;
    dpkg(&["-i", "/root/1.deb"])?;
    expect!(rig.active_state(UNIT)? == "active" && rig.main_pid(UNIT)? != daemon, "the daemon is the old one");
    expect!(pids(rig)? == running, "{running:?} before, {:?} now", pids(rig));

    dpkg(&["-r", "provost"])?;
    for unit in [UNIT, "provost-web.service", "provost-other.service"] {
        expect!(rig.active_state(unit)? == "inactive", "{unit} is not stopped");
    }
    expect!(rig.exists("/var/lib/provost/registry") && !rig.exists("/usr/bin/provost"), "removed is not purged");
    // And back: what was stopped by the removal is known.
    dpkg(&["-i", "/root/1.deb"])?;
    expect!(rig.active_state(UNIT)? == "active", "not started again");
    dpkg(&["-r", "provost"])?;
    dpkg(&["-P", "provost"])?;
    for path in
        ["/var/lib/provost", "/var/log/provost", "/etc/systemd/system/multi-user.target.wants/provost.service", path]
    {
        expect!(!rig.exists(path), "{path} is left");
    }
    let masked = rig.systemctl(["show", "-P", "LoadState", UNIT])?;
    expect!(masked == "not-found", "{masked}");
    root.run(["rm", "-rf", "/etc/provost", "/root/0.deb", "/root/1.deb"])?.ok().map(drop)
}

/// All packages hold the same files: those that `packaging/stage` puts together.
fn packages_of_others() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let to = folder.path().display().to_string();
    run(source("packaging/stage"), &[&to, env!("CARGO_BIN_EXE_provost")])?;
    let staged = run("find", &[&to, "-type", "f"])?;
    let staged: Vec<&str> = staged.lines().filter_map(|line| line.strip_prefix(&to)).collect();
    expect!(staged.len() > 40 && !staged.iter().any(|path| path.starts_with("/etc")), "{staged:?}");
    run("bash", &["-n", "packaging/arch/PKGBUILD"])?;
    // Every file is in the list of the RPM, by its folder or its name.
    let spec = std::fs::read_to_string(source("packaging/rpm/provost.spec"))?;
    let files = spec.split("\n%files").nth(1).ok_or("no %files")?;
    let macros = [
        ("%{_bindir}", "/usr/bin"),
        ("%{_unitdir}", "/usr/lib/systemd/system"),
        ("%{_userunitdir}", "/usr/lib/systemd/user"),
        ("%{_sysusersdir}", "/usr/lib/sysusers.d"),
        ("%{_tmpfilesdir}", "/usr/lib/tmpfiles.d"),
        ("%{_datadir}", "/usr/share"),
        ("%{_mandir}", "/usr/share/man"),
        ("%{_docdir}", "/usr/share/doc"),
        ("%{name}", "provost"),
    ];
    let expand = |line: &str| macros.iter().fold(line.to_owned(), |text, (name, to)| text.replace(name, to));
    let listed: Vec<String> = files.lines().map(str::trim).filter(|line| line.starts_with("%{")).map(expand).collect();
    for path in &staged {
        let covered = |entry: &String| match entry.split_once('*') {
            Some((before, _)) => path.starts_with(before),
            None => path.starts_with(entry.trim_end_matches('/')),
        };
        expect!(listed.iter().any(covered), "{path} is in no line of the spec: {listed:?}");
    }
    Ok(())
}
