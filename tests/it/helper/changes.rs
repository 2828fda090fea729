//! What changes between the request and the approval: another program, root's rights, another unit, the end, and another
//! process that has the pid. The rule that approves waits until the trial lets it.

use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use zbus::Fd;

use super::attacker::{Line, attack, pidfd, shown};
use super::{process_of, well};
use crate::rig::{PolkitRule, Result, Rig, eventually};

/// Where the rule, the trial and the processes tell each other.
const PLACE: &str = "/run/attack";

fn waiting_rule(rig: &Rig) -> Result<PolkitRule<'_>> {
    let script = format!("mkdir -p {PLACE}; chmod 777 {PLACE}; rm -f {PLACE}/*; mkfifo -m 666 {PLACE}/go");
    rig.as_root().run(["sh", "-c", &script])?.ok()?;
    // `asked` is there when polkit decides, and a line through `go` lets it; where `open` is, it need not be let.
    let js = format!(
        "if (action.id.indexOf(\"org.provost.signal\") == 0 && subject.user == \"eve\") {{\n\
         polkit.spawn([\"/bin/sh\", \"-c\", \"test -e {PLACE}/open || {{ : >{PLACE}/asked; read x <{PLACE}/go; }}\"]);\n\
         return polkit.Result.YES; }}"
    );
    rig.polkit_rule("waiting", &js)
}

pub fn changed(rig: &Rig) -> Result<()> {
    rig.with_helper(|| {
        let _rule = waiting_rule(rig)?;
        let until = format!("while ! test -e {PLACE}/exec; do sleep 0.02; done");
        let is = |pid: u32, comm: &str| rig.read(&format!("/proc/{pid}/comm")).is_ok_and(|now| now.trim_end() == comm);
        let exec = |rig: &Rig, pid: u32, comm: &str| -> Result<()> {
            rig.write(&format!("{PLACE}/exec"), "", 0o644)?;
            eventually(comm, || is(pid, comm))
        };
        let setuid: &Change<'_> = &|rig, pid| exec(rig, pid, "setuid-sleeper");
        let other: &Change<'_> = &|rig, pid| exec(rig, pid, "sleep");
        let moved: &Change<'_> = &|rig, pid| {
            rig.make_cgroup("/elsewhere")?;
            let script = format!("echo {pid} > /sys/fs/cgroup/elsewhere/cgroup.procs");
            rig.as_root().run(["sh", "-c", &script])?.ok().map(drop)
        };
        let ended: &Change<'_> = &|rig, pid| rig.as_root().run(["kill", "-9", &pid.to_string()])?.ok().map(drop);
        let same: &Change<'_> = &|_, _| Ok(());
        let cases: [(&str, &str, &Change<'_>, &str, bool); 6] = [
            ("a setuid program", "exec setuid-sleeper", setuid, "Changed: ", true),
            ("another program", "exec sleep 1000", other, "Changed: ", true),
            ("another unit", "exec sleep 1000", moved, "Changed: ", true),
            ("its end", "exec sleep 1000", ended, "NoSuchProcess: ", false),
            ("nothing", "exec sleep 1000", same, "ok", false),
            ("a setuid program, for a tree", "exec setuid-sleeper", setuid, "Changed: ", true),
        ];
        for (name, then, change, expected, lives) in cases {
            let victim = process_of(rig, "watson", &format!("{until}; {then}"))?;
            let pid = victim.to_string();
            let tree = name.ends_with("tree");
            let args = if tree { ["StopProcessTree", &pid, "KILL"] } else { ["SignalProcess", &pid, "9"] };
            let said = std::thread::scope(|scope| -> Result<String> {
                let call = scope.spawn(|| attack(&rig.as_user("eve"), "call", &args));
                let changed = eventually("polkit is asked", || rig.exists(&format!("{PLACE}/asked")))
                    .and_then(|()| change(rig, victim));
                let go = format!("echo go >{PLACE}/go");
                rig.as_root().timeout(Duration::from_secs(5)).run(["sh", "-c", &go])?;
                let said = call.join().map_err(|_| "the call panicked")?;
                changed.and(said)
            })?;
            println!("{name}: {said}");
            expect!(said.starts_with(expected), "{name}: {said}");
            if lives {
                expect!(rig.is_running(victim), "{name}: it was ended");
            } else {
                // SIGKILL is sent when that is said, and has its effect a moment later.
                eventually(&format!("{name}: it has ended"), || !rig.is_running(victim))?;
            }
            let _ = rig.as_root().run(["kill", "-9", &pid])?;
            rig.as_root().run(["sh", "-c", &format!("rm -f {PLACE}/asked {PLACE}/exec")])?.ok()?;
        }
        well(rig)
    })
}

type Change<'a> = dyn Fn(&Rig, u32) -> Result<()> + Sync + 'a;

/// With so few pids that each comes again at once.
pub fn few_pids(rig: &Rig) -> Result<()> {
    let proc = "mount -t proc proc /mnt";
    let set = |max: &str| -> Result<bool> {
        let script = format!("{proc} && echo {max} > /mnt/sys/kernel/pid_max");
        Ok(rig.as_root().run(["unshare", "--mount", "sh", "-c", &script])?.status.success())
    };
    let before = rig.read("/proc/sys/kernel/pid_max")?;
    rig.with_helper(|| {
        let _rule = waiting_rule(rig)?;
        attack(&rig.as_user("eve"), "call", &["ProcessDetails", "1"])?;
        if !set("400")? {
            println!("helper::pid_reuse: this kernel has no pid_max of its own for a pid namespace, so that nothing was shown");
            return Ok(());
        }
        let said = attack(&rig.as_user("eve").timeout(Duration::from_secs(180)), "reuse", &[]);
        set(before.trim())?;
        let said = said?;
        println!("{said}");
        expect!(said.contains(" 0 hit"), "{said}");
        well(rig)
    })
}

/// Runs in the rig: first with the approval held back until somebody else has the pid, then as fast as can be.
pub async fn reuse(_args: &[String]) -> Result<String> {
    let file = |name: &str| format!("{PLACE}/{name}");
    let mut line = Line::new().await?;
    let (mut held, mut hit) = (0, 0);
    // Those below 300 are given out once.
    while passing()? < 300 {}
    for _ in 0..12 {
        let _ = std::fs::remove_file(file("asked"));
        let (mut victim, fd) = victim()?;
        let serial = line.send("SignalProcess", false, &(Fd::from(&fd), 15i32)).await?;
        until(|| std::path::Path::new(&file("asked")).exists())?;
        victim.kill()?;
        victim.wait()?;
        let mut heir = heir(victim.id())?;
        held += u32::from(heir.is_some());
        std::fs::OpenOptions::new().write(true).open(file("go"))?.write_all(b"go\n")?;
        let (of, answer) = line.answer().await?;
        let said = shown(&answer);
        if of != serial || !said.starts_with("NoSuchProcess: ") {
            return Err(format!("of the dead it said: {said}").into());
        }
        hit += end(heir.as_mut())?;
    }
    if held < 10 {
        return Err(format!("only {held} pids were used again").into());
    }
    // At once: it is killed while it is looked at, or before, or after.
    std::fs::write(file("open"), "")?;
    let (mut reused, mut sent) = (0, 0);
    for n in 0..200u32 {
        let (mut victim, fd) = victim()?;
        line.send("SignalProcess", false, &(Fd::from(&fd), 15i32)).await?;
        drop(fd);
        let pause = Instant::now();
        while pause.elapsed() < Duration::from_micros(u64::from(n % 20) * 1500) {
            tokio::task::yield_now().await;
        }
        victim.kill()?;
        victim.wait()?;
        let mut heir = if n % 4 == 0 { heir(victim.id())? } else { None };
        reused += u32::from(heir.is_some());
        let said = shown(&line.answer().await?.1);
        sent += u32::from(said == "ok");
        hit += end(heir.as_mut())?;
    }
    Ok(format!(
        "{held} approvals after the pid had another process, {reused} of 200 at once ({sent} sent in time): {hit} hit"
    ))
}

/// A process of root's rights that we may kill ourselves, as its real user.
fn setuid_sleeper() -> Result<Child> {
    let mut command = Command::new("/usr/local/bin/setuid-sleeper");
    Ok(command.env_remove(super::attacker::ROLE).stdin(Stdio::null()).stdout(Stdio::null()).spawn()?)
}

fn victim() -> Result<(Child, std::os::fd::OwnedFd)> {
    let victim = setuid_sleeper()?;
    let fd = pidfd(victim.id())?;
    Ok((victim, fd))
}

/// A process that ends at once: its pid.
fn passing() -> Result<u32> {
    let mut passing = Command::new("/bin/true").stdin(Stdio::null()).spawn()?;
    passing.wait()?;
    Ok(passing.id())
}

/// Somebody else with the pid of one who has gone, like it in every way.
fn heir(pid: u32) -> Result<Option<Child>> {
    let since = Instant::now();
    while since.elapsed() < Duration::from_secs(6) {
        // Quickly to the pids before it, which may be in use.
        let at = passing()?;
        let mut near = at < pid && pid - at <= 3;
        while near {
            let mut heir = setuid_sleeper()?;
            if heir.id() == pid {
                return Ok(Some(heir));
            }
            near = heir.id() < pid;
            heir.kill()?;
            heir.wait()?;
        }
    }
    Ok(None)
}

/// Ends an heir: 1 if somebody else had done it.
fn end(heir: Option<&mut Child>) -> Result<u32> {
    let Some(heir) = heir else { return Ok(0) };
    heir.kill()?;
    Ok(u32::from(heir.wait()?.signal() != Some(9)))
}

fn until(done: impl FnMut() -> bool) -> Result<()> {
    eventually("polkit is asked", done)
}
