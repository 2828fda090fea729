//! The system's own: installed by a copy in somebody's home, upgraded, taken back.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{PROGRAM, download, installed};
use crate::rig::{Result, Rig, eventually};
use crate::trial::Trials;

pub fn register(trials: &mut Trials) {
    trials.exclusive("install::system", system);
    trials.exclusive("install::sandbox", sandbox);
    trials.exclusive("install::read_only_usr", read_only_usr);
}

const CONFIG: &str = r#"
[service.web]
command = ["sleep", "1000"]
[service.theirs]
command = ["sleep", "1000"]
user = "watson"
[service.writes]
command = ["sh", "-c", "echo a word; exec sleep 1000"]
log = { file = true }
"#;

const UNIT: &str = "provost.service";

fn json(rig: &Rig, argv: &[&str]) -> Result<Value> {
    let words = argv.iter().chain(&["-o", "json"]);
    Ok(serde_json::from_str(&rig.as_root().run(words)?.ok()?)?)
}

/// (what, outcome) of the steps whose name has this in it.
fn outcomes(report: &Value, name: &str) -> Vec<String> {
    let steps = report["steps"].as_array().cloned().unwrap_or_default();
    let of = steps.iter().filter(|step| step["name"].as_str().is_some_and(|n| n.contains(name)));
    of.map(|step| step["outcome"].as_str().unwrap_or_default().to_owned()).collect()
}

/// Every file where an install could write, with its content.
fn files(rig: &Rig) -> Result<BTreeSet<String>> {
    let folders = "/etc/systemd /etc/dbus-1 /etc/sysusers.d /etc/tmpfiles.d /etc/polkit-1 /usr/local /usr/share/polkit-1 \
                   /usr/share/dbus-1 /etc/group";
    let script = format!(
        "find {folders} -type f -exec md5sum {{}} + ; find {folders} -type d -not -name '*.wants' -o -type l; true"
    );
    Ok(rig.as_root().run(["sh", "-c", &script])?.ok()?.lines().map(ToOwned::to_owned).collect())
}

fn pids(rig: &Rig) -> Result<Vec<u64>> {
    let listed = json(rig, &["provost", "list", "--system"])?;
    let mut pids: Vec<u64> =
        listed["services"].as_array().into_iter().flatten().filter_map(|service| service["pid"].as_u64()).collect();
    pids.sort_unstable();
    Ok(pids)
}

fn system(rig: &Rig) -> Result<()> {
    rig.as_root().run(["rm", "-rf", "/var/lib/provost", "/var/log/provost"])?.ok()?;
    // Folders of links, which are systemd's own, come and go.
    rig.systemctl(["daemon-reload"])?;
    let before = files(rig)?;
    let one = "/home/watson/new/provost";
    download(rig, "watson", one, 'a')?;

    // Anybody may see what would be done.
    let dry = rig.as_user("watson").run([one, "install", "--system", "--now", "--dry-run"])?.ok()?;
    for words in
        ["would update   /usr/local/bin/provost", "would create   /etc/systemd/system/provost.service", "would start"]
    {
        expect!(dry.contains(words), "{words}: {dry}");
    }
    expect!(files(rig)? == before, "a dry run has changed something");

    rig.write("/etc/provost/provost.toml", CONFIG, 0o644)?;
    let done = json(rig, &[one, "install", "--system", "--now"])?;
    expect!(outcomes(&done, "/usr/local/bin/provost") == ["updated"], "{done}");
    expect!(outcomes(&done, "polkit-1/actions") == ["created"], "{done}");
    let version = done["daemon"]["version"].as_str().unwrap_or_default();
    expect!(version == env!("CARGO_PKG_VERSION"), "{done}");
    expect!(rig.active_state(UNIT)? == "active", "{done}");
    unit_is_as_it_should_be(rig)?;
    eventually("the services of the config run", || pids(rig).is_ok_and(|pids| pids.len() == 3))?;
    let running = pids(rig)?;

    // Once more: nothing is to be done.
    let again = json(rig, &[one, "install", "--system", "--now"])?;
    let steps = again["steps"].as_array().cloned().unwrap_or_default();
    let idle = steps.iter().all(|step| matches!(step["outcome"].as_str(), Some("unchanged" | "answers")));
    expect!(idle && steps.len() > 30, "{again}");

    // A new version: the daemon is another one, the services are the same.
    let two = "/home/watson/newer/provost";
    download(rig, "watson", two, 'b')?;
    let upgraded = json(rig, &[two, "install", "--system"])?;
    expect!(outcomes(&upgraded, "/usr/local/bin/provost") == ["updated"], "{upgraded}");
    expect!(outcomes(&upgraded, UNIT).contains(&"restarted".to_owned()), "{upgraded}");
    expect!(pids(rig)? == running, "{running:?} before, {:?} now", pids(rig));
    let daemon = rig.main_pid(UNIT)?;
    for program in [PROGRAM, &format!("/proc/{daemon}/exe")] {
        let same = rig.as_root().run(["cmp", two, program])?;
        expect!(same.status.success(), "{same:?}");
    }
    // It keeps the name all the while, which systemd takes for its life.
    let restarted = rig.as_root().run(["provost", "daemon", "restart", "--system"])?.ok()?;
    expect!(rig.main_pid(UNIT)? == daemon && rig.active_state(UNIT)? == "active", "{restarted}");
    expect!(pids(rig)? == running, "{running:?} before, {:?} now", pids(rig));
    let path = "/org/provost/Provost1";
    let name = "org.provost.Provost1";
    let asked = ["busctl", "get-property", name, path, "org.provost.Provost1.Manager", "Pid"];
    let answer = rig.as_user("eve").run(asked)?.ok()?;
    expect!(answer.trim() == format!("u {daemon}"), "{answer}");
    expect!(rig.systemctl(["show", "-P", "NRestarts", UNIT])? == "0", "systemd has started it again");

    // Away with it, and the services stay; back, and they are known.
    let away = json(rig, &[PROGRAM, "uninstall", "--system", "--keep-services"])?;
    expect!(outcomes(&away, "/usr/local/bin/provost") == ["restored"], "{away}");
    expect!(rig.active_state(UNIT)? == "inactive" && rig.active_state("provost-web.service")? == "active", "{away}");
    let left: Vec<String> = files(rig)?.symmetric_difference(&before).cloned().collect();
    expect!(left.is_empty(), "{left:?}");
    json(rig, &[one, "install", "--system", "--now"])?;
    expect!(pids(rig)? == running, "{running:?} before, {:?} now", pids(rig));

    let over = json(rig, &[PROGRAM, "uninstall", "--system"])?;
    expect!(outcomes(&over, "all").contains(&"stopped".to_owned()), "{over}");
    for unit in [UNIT, "provost-web.service", "provost-theirs.service"] {
        expect!(rig.active_state(unit)? == "inactive", "{unit}: {over}");
    }
    let left: Vec<String> = files(rig)?.symmetric_difference(&before).cloned().collect();
    expect!(left.is_empty(), "{left:?}");
    expect!(rig.active_state("provost.slice")? == "inactive", "{over}");
    let nothing = json(rig, &[PROGRAM, "uninstall", "--system"])?;
    expect!(nothing["installed"] == false, "{nothing}");
    // What was kept of the services is named, and goes when that is wanted; the config stays.
    expect!(over["left"].to_string().contains("/var/lib/provost") && rig.exists("/var/lib/provost/registry"), "{over}");
    let purged = json(rig, &[PROGRAM, "uninstall", "--system", "--purge"])?;
    for path in ["/var/lib/provost", "/var/log/provost", "/run/provost"] {
        expect!(outcomes(&purged, path) == ["removed"] && !rig.exists(path), "{path}: {purged}");
    }
    expect!(purged["left"] == serde_json::json!(["/etc/provost"]), "{purged}");
    rig.as_root().run(["rm", "-rf", "/etc/provost/provost.toml"])?.ok().map(drop)
}

fn unit_is_as_it_should_be(rig: &Rig) -> Result<()> {
    let root = rig.as_root();
    let path = "/etc/systemd/system/provost.service";
    let verified =
        root.run(["systemd-analyze", super::man(rig), "verify", path, "/etc/systemd/system/provost.slice"])?;
    expect!(verified.status.success() && verified.stderr.trim().is_empty(), "{verified:?}");
    let security = root.run(["systemd-analyze", "security", "--no-pager", UNIT])?.ok()?;
    let line = security.lines().find(|line| line.contains("Overall exposure")).unwrap_or_default();
    println!("{line}");
    let exposure: Option<f64> = line.split_whitespace().find_map(|word| word.parse().ok());
    expect!(exposure.is_some_and(|exposure| exposure <= 2.6), "{security}");
    let actions = root.run(["pkaction"])?.ok()?;
    let ours = actions.lines().filter(|line| line.starts_with("org.provost.")).count();
    expect!(ours == 7, "{actions}");
    let path = "/org/provost/Provost1";
    let seen = rig.as_user("eve").run(["busctl", "introspect", "org.provost.Provost1", path])?.ok()?;
    for interface in ["org.provost.Provost1.Manager", "org.provost.Provost1.Helper"] {
        expect!(seen.contains(interface), "{seen}");
    }
    let group = root.run(["getent", "group", "provost"])?;
    expect!(group.status.success(), "the group was not made");
    let pages = root.run(["sh", "-c", "ls /usr/local/share/man/man1/provost*.1 | wc -l"])?.ok()?;
    expect!(pages.trim().parse::<u32>()? > 20, "{pages} pages");
    Ok(())
}

/// In its sandbox the daemon does all of its work: it runs services, writes its folders, reads programs of others,
/// signals them, and reaches the manager of another user.
fn sandbox(rig: &Rig) -> Result<()> {
    rig.write("/etc/provost/provost.toml", CONFIG, 0o644)?;
    installed(rig, || {
        eventually("the services run", || pids(rig).is_ok_and(|pids| pids.len() == 3))?;
        let caps = rig.read(&format!("/proc/{}/status", rig.main_pid(UNIT)?))?;
        expect!(caps.contains("NoNewPrivs:\t1") && caps.contains("Seccomp:\t2"), "{caps}");
        let said = rig.as_root().run(["provost", "logs", "writes", "-n", "1"])?.ok()?;
        expect!(said.contains("a word"), "{said}");
        for path in ["/var/lib/provost/registry/web.json", "/run/provost/control.sock", "/var/log/provost/writes"] {
            expect!(rig.exists(path), "{path}");
        }
        let theirs = rig.as_root().run(["ps", "-o", "user=", "-C", "sleep"])?.ok()?;
        expect!(theirs.contains("watson"), "{theirs}");

        // watson may, by a rule, what only root could.
        rig.linger("eve")?;
        rig.user_unit("eve", "sandbox.service", "[Service]\nExecStart=sleep 1000\n")?;
        rig.user_systemctl("eve", ["start", "sandbox"])?;
        let rule = "if (subject.user == \"watson\" && action.lookup(\"user\") == \"eve\" && \
            (action.id == \"org.provost.manage-user-units\" || action.id == \"org.provost.signal-process\" && \
            action.lookup(\"exe\").indexOf(\"sleep\") > 0)) return polkit.Result.YES;";
        let _rule = rig.polkit_rule("sandbox", rule)?;
        let alone = rig.as_user("eve").spawn(["sleep", "4711"])?;
        let pid = alone.pid;
        let watson = rig.as_user("watson");
        let killed = watson.run(["provost", "kill", "-s", "TERM", &format!("pid:{pid}")])?;
        expect!(killed.status.success(), "{killed:?}");
        eventually("it is gone", || !rig.is_running(pid))?;
        // Its own verbs name only the caller's own units: the process of it names this one.
        let main = rig.user_systemctl("eve", ["show", "-P", "MainPID", "sandbox"])?;
        let stopped = watson.run(["provost", "stop", &format!("pid:{}", main.trim())])?;
        expect!(stopped.status.success(), "{stopped:?}");
        let state = rig.user_systemctl("eve", ["show", "-P", "ActiveState", "sandbox"])?;
        expect!(state.trim() == "inactive", "{state}");
        let log = rig.as_root().run(["journalctl", "-u", UNIT, "--no-pager", "-o", "cat"])?.ok()?;
        expect!(!log.contains("Operation not permitted") && !log.contains("Read-only"), "{log}");
        Ok(())
    })
}

/// Where /usr cannot be written to, what has to be is put elsewhere, and what cannot be is said.
fn read_only_usr(rig: &Rig) -> Result<()> {
    let root = rig.as_root();
    // For this command alone: a namespace of its own in which /usr is read-only, and /usr/local is not.
    let script = "mount --bind /usr /usr && mount -o remount,ro,bind /usr && mount --bind /run/rw-local /usr/local && exec \"$@\"";
    root.run(["sh", "-c", "rm -rf /run/rw-local && cp -a /usr/local /run/rw-local"])?.ok()?;
    let within = |argv: &[&str]| {
        let before = ["unshare", "--mount", "sh", "-c", script, "sh"];
        root.run(before.iter().chain(argv))
    };
    let polkit = rig.as_root().run(["pkaction", "--version"])?.ok()?;
    let version: u32 = polkit.split_whitespace().filter_map(|word| word.parse().ok()).next().unwrap_or(0);
    let done = within(&[PROGRAM, "install", "--system", "-o", "json"])?.ok()?;
    let done: Value = serde_json::from_str(&done)?;
    let policy = outcomes(&done, "polkit-1/actions");
    if version >= 126 {
        expect!(policy == ["created"] && rig.exists("/etc/polkit-1/actions/org.provost.policy"), "{done}");
    } else {
        expect!(policy == ["skipped"], "{done}");
    }
    expect!(rig.exists("/etc/systemd/system/provost.service"), "{done}");
    within(&[PROGRAM, "uninstall", "--system"])?.ok()?;
    expect!(!rig.exists("/etc/systemd/system/provost.service"), "{done}");
    root.run(["rm", "-rf", "/run/rw-local", "/var/lib/provost"])?.ok().map(drop)
}
