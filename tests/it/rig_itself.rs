//! The rig's own promises, one trial each: when these fail, look here first.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::rig::{self, PASSWORD, program};
use crate::trial::Trials;

const SLEEP: &str = "[Service]\nExecStart=/usr/local/bin/sleeper\n";
const LONG: Duration = Duration::from_secs(15);

pub fn register(trials: &mut Trials) {
    trials.plain("rig::programs_just_written", programs_just_written);
    trials.rig("rig::boots", |rig| {
        let state = rig.as_root().run(["systemctl", "is-system-running"])?.stdout;
        expect!(state == "running\n", "{state} {:?}", rig.systemctl(["--failed"]));
        Ok(())
    });
    trials.rig("rig::users", |rig| {
        let id = rig.as_user("watson").run(["id"])?.ok()?;
        expect!(id == "uid=1000(watson) gid=1000(watson) groups=1000(watson),27(sudo)", "{id}");
        let group = rig.as_user("eve").run(["cat", "/proc/self/cgroup"])?.ok()?;
        expect!(group.contains("0::/init.scope"), "{group}");
        let caps = rig.as_user("eve").cap_kill().run(["grep", "CapEff", "/proc/self/status"])?.ok()?;
        expect!(caps.ends_with("0000000000000020"), "{caps}");
        Ok(())
    });
    trials.rig("rig::installs_provost", |rig| {
        expect!(rig.exists("/usr/local/bin/provost"), "not there");
        Ok(())
    });
    trials.rig("rig::timeout", |rig| {
        let outcome = rig.as_user("eve").timeout(Duration::from_millis(100)).run(["sleep", "60"]);
        expect!(outcome.is_err(), "{outcome:?}");
        Ok(())
    });
    trials.rig("rig::units", |rig| {
        rig.started("rig-a.service", SLEEP)?;
        let pids = rig.pids_of("rig-a.service")?;
        expect!(pids == [rig.main_pid("rig-a.service")?], "{pids:?}");
        let refused = rig.as_user("eve").run(["systemctl", "stop", "rig-a.service"])?;
        expect!(refused.stderr.contains("nteractive authentication required"), "{refused:?}");
        let inside = rig.as_root().in_unit("rig-a.service").run(["cat", "/proc/self/cgroup"])?.ok()?;
        expect!(inside.contains("0::/system.slice/rig-a.service"), "{inside}");
        rig.systemctl(["stop", "rig-a.service"])?;
        expect!(rig.active_state("rig-a.service")? == "inactive", "not stopped");
        Ok(())
    });
    trials.rig("rig::user_units", |rig| {
        rig.linger("watson")?;
        rig.user_unit("watson", "rig-u.service", SLEEP)?;
        rig.user_systemctl("watson", ["start", "rig-u.service"])?;
        let state = rig.user_systemctl("watson", ["is-active", "rig-u.service"])?;
        expect!(state == "active", "{state}");
        let hidden = rig.as_user("watson").no_user_manager().run(["systemctl", "--user", "is-active", "rig-u"])?;
        expect!(!hidden.status.success(), "{hidden:?}");
        Ok(())
    });
    trials.rig("rig::background", |rig| {
        let mut process = rig.as_user("eve").spawn(["sleeper", "--child"])?;
        expect!(rig.is_running(process.pid), "{}", process.pid);
        let uid = rig.as_root().run(["stat", "-c", "%u", &format!("/proc/{}", process.pid)])?.ok()?;
        expect!(uid == "1001", "{uid}");
        rig.as_root().run(["kill", &process.pid.to_string()])?.ok()?;
        process.wait()?;
        Ok(())
    });
    trials.rig("rig::sessions", |rig| {
        let process = rig.as_user("eve").in_session().spawn(["sleeper"])?;
        let group = rig.read(&format!("/proc/{}/cgroup", process.pid))?;
        expect!(group.contains("/user.slice/user-1001.slice/session-"), "{group}");
        Ok(())
    });
    trials.rig("rig::password", |rig| {
        rig.started("rig-p.service", SLEEP)?;
        for (password, code, state) in [("wrong", 1, "active"), (PASSWORD, 0, "inactive")] {
            // Outside a session of logind's, systemctl's agent stays silent.
            let mut terminal = rig.as_user("watson").in_session().pty(["systemctl", "stop", "rig-p.service"])?;
            terminal.expect("Password:", LONG)?;
            terminal.type_password(password)?;
            let (status, transcript) = terminal.wait()?;
            expect!((status.code() == Some(0)) == (code == 0), "{status}: {transcript}");
            expect!(rig.active_state("rig-p.service")? == state, "{transcript}");
        }
        Ok(())
    });
    trials.rig("rig::terminal", |rig| {
        let terminal = rig.as_user("watson").pty(["sh", "-c", "tty; ps -o tty=,tpgid=,pgid= -p $$; stty size"])?;
        let (status, transcript) = terminal.wait()?;
        expect!(status.success() && transcript.contains("/dev/pts/") && transcript.contains("40 120"), "{transcript}");
        let without = rig.as_user("watson").run(["sh", "-c", "tty; exec 3</dev/tty"])?;
        expect!(without.stdout == "not a tty\n" && !without.status.success(), "{without:?}");
        Ok(())
    });
    trials.rig("rig::polkit_rules", |rig| {
        rig.started("rig-r.service", SLEEP)?;
        let stop = || rig.as_user("eve").run(["systemctl", "--no-ask-password", "stop", "rig-r.service"]);
        {
            let _rule = rig.deny("eve", "rig-r.service", &["stop"])?;
            let refused = stop()?;
            expect!(refused.stderr.contains("denied"), "{refused:?}");
        }
        let _rule = rig.allow("eve", "rig-r.service", &["stop"])?;
        rig::eventually("the NO rule is gone", || stop().is_ok_and(|done| done.status.success()))?;
        Ok(())
    });
    trials.exclusive("rig::without_polkit", |rig| {
        rig.started("rig-n.service", SLEEP)?;
        let stop = || rig.as_user("watson").run(["systemctl", "--no-ask-password", "stop", "rig-n.service"]);
        let refused = rig.without_polkit(stop)?;
        expect!(refused.stderr.contains("denied"), "{refused:?}");
        let refused = rig.with_polkit_masked(stop)?;
        expect!(refused.stderr.contains("polkit.service is masked"), "{refused:?}");
        let refused = stop()?;
        expect!(refused.stderr.contains("nteractive authentication required"), "{refused:?}");
        Ok(())
    });
    trials.rig("rig::hiding", |rig| {
        let bus = rig.as_user("watson").no_bus().run(["busctl", "list"])?;
        expect!(!bus.status.success(), "{bus:?}");
        let hidden = rig.as_user("eve").hidepid().run(["sh", "-c", "ls -d /proc/1 || ls /proc/self/status"])?;
        expect!(hidden.ok()? == "/proc/self/status", "PID 1 is seen");
        let seen = rig.as_user("eve").run(["ls", "-d", "/proc/1"])?.ok()?;
        expect!(seen == "/proc/1", "{seen}");
        Ok(())
    });
    for user in ["root", "watson"] {
        trials.rig(&format!("rig::containers_of_{user}"), move |rig| {
            let container = match rig.container(user, &format!("of-{user}"))? {
                Ok(container) => container,
                Err(reason) => {
                    println!("no container of {user}'s: {reason}");
                    return Ok(());
                }
            };
            let group = rig.read(&format!("/proc/{}/cgroup", container.pid))?;
            expect!(group.contains(&container.id) && group.contains("libpod-"), "{group}");
            Ok(())
        });
    }
    trials.plain("rig::keeper_says_why", || {
        let mut told = rig::keeper::Told::default();
        expect!(!told.take("leader 7") && told.take("error no disk"), "it waits for more");
        let words = told.ready().map_err(|e| rig::words(&e).to_owned());
        expect!(words == Err("the rig did not boot: no disk".into()), "{words:?}");
        Ok(())
    });
    trials.rig("rig::fake_servers", fake_servers);
    trials.rig("rig::sleepers", sleepers);
}

fn fake_servers(rig: &rig::Rig) -> rig::Result<()> {
    rig.started(
        "ollama.service",
        "[Service]\nUser=ollama\nRestart=always\nExecStart=/usr/local/bin/ollama serve\nEnvironment=OLLAMA_HOST=127.0.0.1:11434\n",
    )?;
    let get = |url: &str| {
        let (address, path) = url.split_once('/').unwrap_or((url, ""));
        let (host, port) = address.split_once(':').unwrap_or((address, "80"));
        let script = format!(
            "exec 3<>/dev/tcp/{host}/{port} && printf 'GET /{path} HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n' >&3 && cat <&3"
        );
        rig.as_user("eve").run(["bash", "-c", &format!("{script}; true")])
    };
    rig::eventually("ollama answers", || {
        get("127.0.0.1:11434/api/version").is_ok_and(|o| o.stdout.starts_with("HTTP/1.1 200"))
    })?;
    let pids = rig.pids_of("ollama.service")?;
    let lines: Vec<String> =
        pids.iter().map(|p| rig.read(&format!("/proc/{p}/cmdline")).unwrap_or_default().replace('\0', " ")).collect();
    expect!(lines.len() == 2 && lines[0] == "/usr/local/bin/ollama serve ", "{lines:?}");
    expect!(lines[1].starts_with("/usr/local/bin/ollama runner --model "), "{lines:?}");
    rig.systemctl(["stop", "ollama.service"])?;
    let _server = rig.as_user("eve").spawn(["llama-server", "--port", "8199", "--loading-for", "0.5"])?;
    for status in ["503", "200"] {
        rig::eventually(&format!("llama-server says {status}"), || {
            get("127.0.0.1:8199/health").is_ok_and(|o| o.stdout.starts_with(&format!("HTTP/1.1 {status}")))
        })?;
    }
    Ok(())
}

fn sleepers(rig: &rig::Rig) -> rig::Result<()> {
    let field = |pid: u32, name: &str| -> rig::Result<String> {
        let status = rig.read(&format!("/proc/{pid}/status"))?;
        let line = status.lines().find_map(|l| l.strip_prefix(name)).unwrap_or_default();
        Ok(line.split_whitespace().collect::<Vec<_>>().join(" "))
    };
    let setuid = rig.as_user("eve").spawn(["setuid-sleeper"])?;
    expect!(field(setuid.pid, "Uid:")? == "1001 0 0 0", "{}", field(setuid.pid, "Uid:")?);
    let seteuid = rig.as_root().spawn(["sleeper", "--seteuid", "1001"])?;
    rig::eventually("it has changed its uid", || field(seteuid.pid, "Uid:").is_ok_and(|u| u == "0 1001 0 1001"))?;
    let mut stubborn = rig.as_user("eve").spawn(["sleeper", "--ignore", "TERM", "--pid-file", "/tmp/stubborn"])?;
    rig::eventually("it is ready", || rig.exists("/tmp/stubborn"))?;
    rig.as_root().run(["kill", &stubborn.pid.to_string()])?.ok()?;
    std::thread::sleep(Duration::from_millis(50));
    expect!(stubborn.alive(), "SIGTERM killed it");
    let parent = rig.as_user("eve").spawn(["sleeper", "--daemon-child", "--", "--pid-file", "/tmp/daemon"])?;
    rig::eventually("the daemon is there", || rig.read("/tmp/daemon").is_ok_and(|t| !t.is_empty()))?;
    let daemon: u32 = rig.read("/tmp/daemon")?.parse()?;
    expect!(daemon != parent.pid, "{daemon}");
    rig::eventually("its parent is gone", || field(daemon, "PPid:").is_ok_and(|p| p == "1"))?;
    rig.as_root().run(["kill", &daemon.to_string()])?.ok().map(drop)
}

/// What was just put somewhere can be executed, whatever other threads start meanwhile.
fn programs_just_written() -> rig::Result<()> {
    let (folder, over) = (tempfile::tempdir()?, AtomicBool::new(false));
    let runs = |path: &Path| {
        let done = Command::new(path).status().map_err(|e| format!("{}: {e}", path.display()))?;
        expect!(done.success(), "{done}");
        Ok(())
    };
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let _done = Command::new("true").status();
                }
            });
        }
        let mut both = (0..100).map(|n| {
            let [copy, script] = ["copy", "script"].map(|name| folder.path().join(format!("{name}{n}")));
            program::copy("/bin/true".as_ref(), &copy)?;
            program::write("#!/bin/sh\n", &script, 0o755)?;
            runs(&copy).and_then(|()| runs(&script))
        });
        let done = both.try_for_each(|done| done);
        over.store(true, Ordering::Relaxed);
        done
    })
}
