//! The disk of the state folder is full, or cannot be written to: services go on, errors say which file system it is, and
//! all goes on when there is room again.

use std::time::Duration;

use serde_json::Value;

use super::{Backend, Body, Stage, sleeper};
use crate::rig::{Result, eventually, until};

pub(super) const BODIES: &[(&str, Body)] = &[
    ("full", full),
    ("full_before", full_before),
    ("read_only", read_only),
    ("read_only_before", read_only_before),
    ("not_writable", not_writable),
    ("damaged_record", damaged_record),
];

/// What a service prints until the disk is long full, and the bytes of that.
const LINES: usize = 9000;
const LINE: &str = "a line of some length to fill the disk with";

/// A small file system where the state of a user is kept; it goes with this.
struct Small<'s> {
    stage: &'s Stage<'s>,
    dir: String,
}

impl<'s> Small<'s> {
    fn mount(stage: &'s Stage<'s>) -> Result<Self> {
        let dir = format!("{}/.local/state", stage.home);
        stage.who().run(["mkdir", "-p", &dir])?.ok()?;
        let options = format!("size=320k,mode=700,uid={}", stage.rig.uid(&stage.user)?);
        stage.rig.as_root().run(["mount", "-t", "tmpfs", "-o", &options, "tmpfs", &dir])?.ok()?;
        Ok(Self { stage, dir })
    }

    /// Takes all the room that is left.
    fn fill(&self) -> Result<()> {
        let script = format!("cat /dev/zero >>{0}/fill 2>/dev/null; true", self.dir);
        self.stage.who().run(["sh", "-c", &script])?.ok().map(drop)
    }

    fn empty(&self) -> Result<()> {
        self.stage.who().run(["rm", &format!("{}/fill", self.dir)])?.ok()?;
        self.remount("size=4m")
    }

    /// Also where the daemon is, if one runs: its mounts are its own.
    fn remount(&self, how: &str) -> Result<()> {
        let root = self.stage.rig.as_root();
        let remount = ["mount", "-o", &format!("remount,{how}"), &self.dir];
        if let Ok(daemon) = daemon_pid(self.stage) {
            root.run(["nsenter", "-t", &daemon.to_string(), "-m", "--"].iter().chain(&remount))?.ok()?;
        }
        root.run(remount)?.ok().map(drop)
    }

    fn is(&self, what: &str) -> String {
        format!("the file system {} (tmpfs) is {what}", self.dir)
    }
}

impl Drop for Small<'_> {
    fn drop(&mut self) {
        let _ = self.stage.rig.as_root().run(["umount", "-l", &self.dir]);
    }
}

/// The folder of the instance.
fn state(stage: &Stage<'_>) -> Result<String> {
    Ok(format!("{}/.local/state/provost/{}", stage.home, stage.rig.read("/etc/machine-id")?.trim()))
}

fn record(stage: &Stage<'_>, id: &str) -> Result<Value> {
    Ok(serde_json::from_str(&stage.rig.read(&format!("{}/registry/{id}.json", state(stage)?))?)?)
}

/// Every record is whole, and nothing else is left there.
fn records_are_whole(stage: &Stage<'_>) -> Result<()> {
    let listed = stage.who().run(["ls", "-A", &format!("{}/registry", state(stage)?)])?.ok()?;
    for name in listed.lines() {
        let id = name.strip_suffix(".json").ok_or_else(|| format!("{name} is left: {listed}"))?;
        let record = record(stage, id).map_err(|e| format!("{name}: {}", crate::rig::words(&e)))?;
        expect!(record["id"] == id, "{record}");
    }
    Ok(())
}

fn daemon_pid(stage: &Stage<'_>) -> Result<u64> {
    let (daemon, _) = stage.json(&["daemon", "status"])?;
    daemon["daemon"]["pid"].as_u64().ok_or_else(|| format!("no daemon: {daemon}").into())
}

/// Kills the daemon, for good: its manager would start it again.
fn kill_daemon(stage: &Stage<'_>) -> Result<()> {
    let pid = daemon_pid(stage)?.to_string();
    if stage.backend == Backend::Systemd {
        stage.rig.user_systemctl(&stage.user, ["kill", "-s", "KILL", "provost.service"])?;
        stage.rig.user_systemctl(&stage.user, ["stop", "provost.service"])?;
    } else {
        stage.who().run(["kill", "-KILL", &pid])?.ok()?;
    }
    eventually("no daemon runs", || stage.provost(&["daemon", "status"]).is_ok_and(|said| said.code() == 3))
}

/// A failed verb says which file system it is, and of which file or folder.
fn refused(stage: &Stage<'_>, args: &[&str], why: &str) -> Result<()> {
    let said = stage.provost(args)?;
    expect!(said.code() == 1 && said.stderr.contains(why), "{args:?}: no '{why}': {said:?}");
    expect!(said.stderr.contains(&state(stage)?), "{args:?} names no file: {said:?}");
    Ok(())
}

fn three(stage: &Stage<'_>) -> Result<()> {
    let done = format!("{}/done", stage.home);
    let talk = format!(
        "i=0; while [ $$i -lt {LINES} ]; do i=$$((i+1)); echo {LINE}; done; echo > {done}; trap 'echo again' USR1; \
         while :; do sleep 0.1; done"
    );
    let loud =
        format!("[service.loud]\ncommand = [\"sh\", \"-c\", \"{talk}\"]\nlog = {{ file = true }}\nenabled = false\n");
    // It has one try, and no start that the disk kept from it is one.
    let later = sleeper("later", "enabled = false\nlog = { file = true }\nrestart = { policy = \"never\", tries = 1 }");
    stage.config(&(sleeper("quiet", "log = { file = true }") + &sleeper("calm", "") + &later + &loud))
}

/// Bytes that were kept, and those that are said to be dropped.
fn told(stage: &Stage<'_>) -> Result<(usize, usize)> {
    let output = stage.provost(&["-o", "json", "logs", "loud", "-n", "all"])?;
    let (mut kept, mut lost) = (0, 0);
    for line in output.stdout.lines() {
        let line: Value = serde_json::from_str(line)?;
        let text = line["text"].as_str().unwrap_or_default();
        match (line["stream"].as_str(), text) {
            (Some("note"), text) => {
                lost += text.split(' ').next().and_then(|n| n.parse::<usize>().ok()).ok_or("no number")?
            }
            (_, "again") => {}
            (_, text) => kept += text.len() + usize::from(text == LINE),
        }
    }
    Ok((kept, lost))
}

/// Output fills the disk: it is dropped and counted, and everything else is kept or refused.
fn full(stage: &Stage<'_>) -> Result<()> {
    let small = Small::mount(stage)?;
    three(stage)?;
    stage.ok(&["up", "-d"])?;
    stage.ok(&["start", "loud"])?;
    let done = format!("{}/done", stage.home);
    until("it is not held up", Duration::from_secs(60), || stage.rig.exists(&done))?;
    // What its output left is not enough for a record.
    small.fill()?;
    let (loud, calm) = (stage.pid("loud")?, stage.pid("calm")?);
    let why = small.is("full");
    refused(stage, &["start", "later"], &why)?;
    refused(stage, &["restart", "calm"], &why)?;
    refused(stage, &["disable", "calm"], &why)?;
    refused(stage, &["run", "--name", "more", "--", "sleep", "1000"], &why)?;
    let status = stage.provost(&["status", "later"])?;
    expect!(status.stdout.contains(&why), "{status:?}");
    let held = stage.service("later")?;
    expect!(held["failures"] == 0 && held["state"] != "failed", "the disk is no failure of it: {held}");
    let stopped = stage.ok(&["stop", "quiet"])?;
    expect!(stopped.contains("would not know of it") && stopped.contains(&why), "{stopped}");
    expect!(stage.pid("loud")? == loud && stage.pid("calm")? == calm, "something was started again");
    records_are_whole(stage)?;
    expect!(record(stage, "quiet")?["desired"] == "up", "there was room for it");

    small.empty()?;
    eventually("what was stopped is written down", || record(stage, "quiet").is_ok_and(|r| r["desired"] == "down"))?;
    until("what could not start starts", Duration::from_secs(30), || stage.pid("later").is_ok())?;
    expect!(stage.ok(&["disable", "calm"])? == "calm: disabled", "it is not");
    stage.ok(&["kill", "-USR1", "loud"])?;
    eventually("it is heard again", || stage.ok(&["logs", "loud", "-n", "1"]).is_ok_and(|said| said == "again"))?;
    let (kept, lost) = told(stage)?;
    let all = LINES * (LINE.len() + 1);
    expect!(kept > 1000 && lost > 1000 && kept + lost == all, "{kept} kept, {lost} lost of {all}");
    records_are_whole(stage)?;
    kill_daemon(stage)?;
    stage.ok(&["up", "-d"])?;
    expect!(stage.pid("loud")? == loud && stage.pid("calm")? == calm, "the next daemon started something again");
    expect!(stage.service("calm")?["enabled"] == false, "that it is disabled was lost");
    Ok(())
}

/// Nothing starts before there is room, and then it does.
fn full_before(stage: &Stage<'_>) -> Result<()> {
    let small = Small::mount(stage)?;
    small.fill()?;
    three(stage)?;
    refused(stage, &["up", "-d"], &small.is("full"))?;
    let left = stage.who().run(["pgrep", "-u", &stage.user, "sleep"])?;
    expect!(left.code() == 1, "something was started: {left:?}");
    small.empty()?;
    stage.ok(&["up", "-d"])?;
    stage.pid("quiet").map(drop)
}

/// Where the daemon is, its state cannot be written to any more.
fn read_only(stage: &Stage<'_>) -> Result<()> {
    let small = Small::mount(stage)?;
    three(stage)?;
    stage.ok(&["up", "-d"])?;
    let (quiet, calm) = (stage.pid("quiet")?, stage.pid("calm")?);
    let daemon = daemon_pid(stage)?.to_string();
    let root = stage.rig.as_root();
    let there = |script: &str| root.run(["nsenter", "-t", &daemon, "-m", "--", "sh", "-c", script])?.ok();
    there(&format!("mount --bind {0} {0} && mount -o remount,bind,ro {0}", small.dir))?;
    let why = small.is("read-only");
    let work = || -> Result<()> {
        for args in [&["start", "later"][..], &["restart", "calm"], &["disable", "calm"], &["rm", "calm"]] {
            refused(stage, args, &why)?;
        }
        refused(stage, &["run", "--name", "more", "--", "sleep", "1000"], &why)?;
        let stopped = stage.ok(&["stop", "quiet"])?;
        expect!(stopped.contains("would not know of it") && stopped.contains(&why), "{stopped}");
        expect!(stage.pid("calm")? == calm && !stage.rig.is_running(quiet), "not as it was asked to be");
        records_are_whole(stage)
    };
    let worked = work();
    there(&format!("umount {}", small.dir))?;
    worked?;
    eventually("what was stopped is written down", || record(stage, "quiet").is_ok_and(|r| r["desired"] == "down"))?;
    until("what could not start starts", Duration::from_secs(30), || stage.pid("later").is_ok())?;
    kill_daemon(stage)?;
    stage.ok(&["start", "quiet"])?;
    expect!(stage.pid("calm")? == calm, "the next daemon started it again");
    Ok(())
}

/// A daemon finds a state folder that cannot be written to: it takes over what runs, stops it if asked to, and starts nothing.
fn read_only_before(stage: &Stage<'_>) -> Result<()> {
    let small = Small::mount(stage)?;
    three(stage)?;
    small.remount("ro")?;
    let why = small.is("read-only");
    refused(stage, &["up", "-d"], &why)?;
    small.remount("rw")?;
    stage.ok(&["up", "-d"])?;
    let (quiet, calm) = (stage.pid("quiet")?, stage.pid("calm")?);
    kill_daemon(stage)?;
    small.remount("ro")?;
    let stopped = stage.ok(&["stop", "quiet"])?;
    expect!(stopped.contains("would not know of it") && !stage.rig.is_running(quiet), "{stopped}");
    expect!(stage.pid("calm")? == calm, "it was started again");
    refused(stage, &["start", "later"], &why)?;
    small.remount("rw")?;
    until("what could not start starts", Duration::from_secs(30), || stage.pid("later").is_ok())?;
    expect!(stage.pid("calm")? == calm, "it was started again");
    Ok(())
}

/// The folder is the user's own, and they may not write in it.
fn not_writable(stage: &Stage<'_>) -> Result<()> {
    three(stage)?;
    let dir = state(stage)?;
    let chmod = |mode: &str, dir: &str| stage.who().run(["chmod", mode, dir])?.ok();
    let home = format!("{}/.local/state", stage.home);
    stage.who().run(["mkdir", "-p", &home])?.ok()?;
    chmod("0500", &home)?;
    let said = stage.provost(&["up", "-d"])?;
    let named = format!("{dir}/registry cannot be used: Permission denied");
    expect!(said.code() == 1 && said.stderr.contains(&named), "{said:?}");
    chmod("0700", &home)?;
    stage.ok(&["up", "-d"])?;
    let calm = stage.pid("calm")?;
    for part in ["registry", "logs", "fifo"] {
        chmod("0500", &format!("{dir}/{part}"))?;
    }
    for args in [&["start", "later"][..], &["restart", "calm"], &["disable", "calm"], &["rm", "calm"]] {
        refused(stage, args, "Permission denied")?;
    }
    let stopped = stage.ok(&["stop", "quiet"])?;
    expect!(stopped.contains("would not know of it") && stopped.contains("Permission denied"), "{stopped}");
    expect!(stage.pid("calm")? == calm, "it was started again");
    for part in ["registry", "logs", "fifo"] {
        chmod("0700", &format!("{dir}/{part}"))?;
    }
    eventually("what was stopped is written down", || record(stage, "quiet").is_ok_and(|r| r["desired"] == "down"))?;
    until("what could not start starts", Duration::from_secs(30), || stage.pid("later").is_ok())
}

/// A record that was cut: its service is found by its unit or its mark, and nothing else is touched.
fn damaged_record(stage: &Stage<'_>) -> Result<()> {
    three(stage)?;
    stage.ok(&["up", "-d"])?;
    let (quiet, calm) = (stage.pid("quiet")?, stage.pid("calm")?);
    let path = format!("{}/registry/quiet.json", state(stage)?);
    let mut seen = 0;
    for part in [0, 1, 2, 3] {
        kill_daemon(stage)?;
        let whole = stage.rig.read(&path)?;
        stage.rig.write_as(&stage.user, &path, &whole.as_bytes()[..whole.len() * part / 4], 0o600)?;
        // Who only reads says so, and changes nothing.
        for verb in ["registry", "status"] {
            let read = stage.provost(&[verb])?;
            expect!(read.stderr.contains("quiet.json is no record"), "{verb}: {read:?}");
        }
        stage.ok(&["up", "-d"])?;
        expect!(stage.pid("quiet")? == quiet && stage.pid("calm")? == calm, "{part}/4: not taken over");
        let listed = stage.who().run(["ls", &format!("{}/registry", state(stage)?)])?.ok()?;
        seen += 1;
        expect!(listed.matches("quiet.json.damaged-").count() == seen, "{part}/4: {listed}");
        expect!(listed.matches("damaged").count() == seen, "{part}/4: another was set aside: {listed}");
    }
    // It is what its config says.
    stage.who().run(["kill", "-KILL", &quiet.to_string()])?.ok()?;
    eventually("it comes again", || stage.pid("quiet").is_ok_and(|now| now != quiet))?;
    stage.ok(&["down"])?;
    expect!(!stage.rig.is_running(calm), "it runs");
    Ok(())
}
