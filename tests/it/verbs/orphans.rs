//! What nobody tracks any more, told from what looks like it, and ended.

use serde_json::Value;

use super::{json, provost};
use crate::rig::{Result, Rig, User, eventually};
use crate::trial::Trials;

const LIKE: &str = "/usr/local/bin/orphan-like";
const MARK: &str = "0123456789abcdef0123456789abcdef";

pub fn register(trials: &mut Trials) {
    trials.rig("orphans::look_alikes", look_alikes);
    trials.rig("orphans::by_mark", by_mark);
}

/// The entry for this pid in one of the lists.
fn entry<'a>(found: &'a Value, list: &str, pid: u32) -> Option<&'a Value> {
    found[list].as_array()?.iter().find(|one| one["identity"]["pid"] == pid)
}

/// The reason for this pid in one of the lists.
fn reason<'a>(found: &'a Value, list: &str, pid: u32) -> &'a str {
    entry(found, list, pid).and_then(|one| one["reason"].as_str()).unwrap_or("it is not there")
}

/// The pid that a shell says: of what it leaves behind.
fn left(said: &str) -> Result<u32> {
    said.trim().parse().map_err(|_| format!("no pid: {said:?}").into())
}

/// One program everywhere: a system unit's, a user unit's, another user's, a child of a living
/// process, and two that a session left behind.
fn look_alikes(rig: &Rig) -> Result<()> {
    rig.as_root().run(["cp", "/bin/sleep", LIKE])?.ok()?;
    rig.started("orphan-s.service", &format!("[Service]\nUser=watson\nExecStart={LIKE} 1000\n"))?;
    let system = rig.main_pid("orphan-s.service")?;
    rig.linger("watson")?;
    rig.user_unit("watson", "orphan-u.service", &format!("[Service]\nExecStart={LIKE} 1000\n"))?;
    rig.user_systemctl("watson", ["start", "orphan-u.service"])?;
    let user = left(&rig.user_systemctl("watson", ["show", "-P", "MainPID", "orphan-u.service"])?)?;
    let eves = rig.as_user("eve").in_session().spawn([LIKE, "1000"])?;
    let child = rig.as_user("watson").in_session().spawn([LIKE, "1000"])?;
    let nohup = format!("nohup {LIKE} 1000 >/dev/null 2>&1 & echo $!");
    let watson = rig.as_user("watson").in_session();
    let behind = left(&watson.run(["sh", "-c", &nohup])?.ok()?)?;
    let bare = left(&rig.as_user("watson").run(["sh", "-c", &nohup])?.ok()?)?;

    // Whoever forked them knows their pids before they have executed the program.
    let all = [system, user, eves.pid, child.pid, behind, bare];
    eventually("all execute the program", || {
        json(&watson, ["orphans", "--match", "orphan-like"]).is_ok_and(|(found, _)| {
            all.iter().all(|pid| entry(&found, "orphans", *pid).or(entry(&found, "others", *pid)).is_some())
        })
    })?;
    let (found, code) = json(&watson, ["orphans", "--match", "orphan-like"])?;
    expect!(code == 0, "{found}");
    for pid in [behind, bare] {
        expect!(reason(&found, "orphans", pid).starts_with("nobody owns it: its parent has ended"), "{pid}: {found}");
        expect!(entry(&found, "orphans", pid).is_some_and(|one| one["marked"] == false), "{found}");
    }
    for (pid, why) in [
        (system, "it belongs to the system unit orphan-s.service"),
        (user, "it belongs to the user unit orphan-u.service"),
        (eves.pid, "it is another user's (eve)"),
    ] {
        expect!(reason(&found, "others", pid) == why, "{pid}, {why}: {found}");
    }
    expect!(reason(&found, "others", child.pid).contains("which lives"), "{} {found}", child.pid);

    let (nothing, _) = json(&watson, ["orphans", "--clean", "--yes"])?;
    expect!(nothing["killed_count"] == 0 && rig.is_running(behind), "only what carries the mark: {nothing}");
    let (would, _) = json(&watson, ["orphans", "--clean", "--match", "orphan-like", "--dry-run"])?;
    expect!(would["orphaned_pids"].as_array().map(Vec::len) == Some(2) && would["killed_count"] == 0, "{would}");
    let (cleaned, code) = json(&watson, ["orphans", "--clean", "--match", "orphan-like", "--yes"])?;
    expect!(code == 0 && cleaned["success"] == true && cleaned["killed_count"] == 2, "{cleaned}");
    expect!(cleaned["message"] == "Cleaned up 2 orphaned processes", "{cleaned}");
    expect!(cleaned.as_object().map(serde_json::Map::len) == Some(4), "{cleaned}");
    expect!(!rig.is_running(behind) && !rig.is_running(bare), "{cleaned}");
    for pid in [system, user, eves.pid, child.pid] {
        expect!(rig.is_running(pid), "{pid} was not to be ended");
    }
    Ok(())
}

/// What carries the mark of this user's instance; of another instance it is left alone.
fn by_mark(rig: &Rig) -> Result<()> {
    // Nobody else's daemon runs as this user.
    rig.add_user(&User::person("mara", 1092, &[]))?;
    let machine = rig.read("/etc/machine-id")?;
    let state = format!("/home/mara/.local/state/provost/{}", machine.trim());
    let mara = rig.as_user("mara").in_session();
    mara.run(["mkdir", "-p", &state])?.ok()?;
    rig.write_as("mara", &format!("{state}/instance-id"), format!("{MARK}\n"), 0o600)?;
    let start = |instance: &str, more: &str| -> Result<u32> {
        let script = format!(
            "PROVOST_INSTANCE_ID={instance} PROVOST_SERVICE=llm setsid sh -c '{more}exec sleeper' >/dev/null & echo $!"
        );
        left(&mara.run(["sh", "-c", &script])?.ok()?)
    };
    let ours = start(MARK, "")?;
    let stubborn = start(MARK, "trap \"\" TERM; ")?;
    let theirs = start("another0123456789", "")?;
    let mut last = None;
    let marked = eventually("both have their mark", || {
        let found = json(&mara, ["orphans"]);
        let both = |found: &Value| [ours, stubborn].iter().all(|pid| entry(found, "orphans", *pid).is_some());
        let so = found.as_ref().is_ok_and(|(found, _)| both(found));
        last = Some(found);
        so
    });
    expect!(marked.is_ok(), "{ours} and {stubborn} have no mark: {last:?}");
    let (found, _) = json(&mara, ["orphans"])?;
    for pid in [ours, stubborn] {
        let one = entry(&found, "orphans", pid).ok_or_else(|| format!("{pid}: {found}"))?;
        expect!(one["marked"] == true && one["service"] == "llm", "{found}");
        expect!(one["reason"] == "it carries the mark of service llm, which is in no record", "{found}");
    }
    expect!(!found.to_string().contains(&format!("\"pid\":{theirs},")), "{found}");
    // Watson sees none of it.
    let (watsons, _) = json(&rig.as_user("watson"), ["orphans"])?;
    expect!(entry(&watsons, "orphans", ours).is_none(), "{watsons}");
    let cleaned = provost(&mara, ["orphans", "--clean", "--force"])?;
    expect!(cleaned.code() == 0 && cleaned.stdout.contains("Cleaned up 2 orphaned processes"), "{cleaned:?}");
    expect!(cleaned.stderr.contains("no daemon runs"), "{cleaned:?}");
    expect!(!rig.is_running(ours) && !rig.is_running(stubborn) && rig.is_running(theirs), "{cleaned:?}");
    rig.as_root().run(["kill", &theirs.to_string()])?.ok()?;
    Ok(())
}
