//! The rules of a service's life, through the command line.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Backend, Body, Stage, sleeper};
use crate::rig::{Result, eventually, until};

pub(super) const BODIES: &[(&str, Body)] = &[
    ("taken_port", taken_port),
    ("failed_at_once", failed_at_once),
    ("tries_exhausted", tries_exhausted),
    ("already_so", already_so),
    ("stop_escalates", stop_escalates),
    ("stopped_together", stopped_together),
    ("several_keep_their_order", several_keep_their_order),
    ("overtaken_by_a_start", overtaken_by_a_start),
    ("slow_reload", slow_reload),
    ("whole_trees_end", whole_trees_end),
    ("stale_socket", stale_socket),
    ("variables_of_the_caller", variables_of_the_caller),
    ("instances_and_ports", instances_and_ports),
    ("scripts", scripts),
    ("registry_shape", registry_shape),
    ("stopped_without_a_daemon", stopped_without_a_daemon),
    ("removed_together", removed_together),
];

fn port_of(stage: &Stage<'_>, more: u32) -> Result<u32> {
    Ok(20_000 + 4 * stage.rig.uid(&stage.user)? + more)
}

/// It is waited for, and its holder is named; then it has failed, and is not tried again.
fn taken_port(stage: &Stage<'_>) -> Result<()> {
    let (held, freed) = (port_of(stage, 0)?, port_of(stage, 1)?);
    let serve = |port: u32| stage.who().spawn(["llama-server", "--port", &port.to_string()]);
    let (holder, other) = (serve(held)?, serve(freed)?);
    let service = |id: &str, port: u32| sleeper(id, &format!("port = {port}"));
    stage.config(&(service("web", held) + &service("api", freed)))?;
    let since = Instant::now();
    let late = stage.provost(&["up", "-d", "--timeout", "1s"])?;
    expect!(late.code() == 7, "{late:?}");
    let named = format!("{held} is held by pid {} ({}", holder.pid, stage.user);
    eventually("its holder is named", || {
        stage.provost(&["status", "web"]).is_ok_and(|said| said.stdout.contains(&named) && said.code() == 3)
    })?;
    drop(other);
    until("the other starts as soon as its port is free", Duration::from_secs(10), || stage.pid("api").is_ok())?;
    until("it has failed", Duration::from_secs(60), || stage.service("web").is_ok_and(|web| web["state"] == "failed"))?;
    let waited = since.elapsed();
    expect!(waited > Duration::from_secs(25), "only {waited:?}");
    let web = stage.service("web")?;
    let reason = web["reason"].as_str().unwrap_or_default();
    expect!(reason.contains(&named) && reason.contains(&format!("provost inspect :{held}")), "{web}");
    // Nothing is due any more.
    expect!(web["next_start_at"].is_null() && web["restarts"] == 0, "{web}");
    drop(holder);
    let again = stage.ok(&["start", "web"])?;
    expect!(again.contains("web: started"), "{again}");
    Ok(())
}

/// What would fail again is not tried again, and the reason is said.
fn failed_at_once(stage: &Stage<'_>) -> Result<()> {
    stage.rig.write_as(&stage.user, &format!("{}/plain", stage.home), "#!/bin/sh\n", 0o600)?;
    let one = |id: &str, keys: &str| format!("[service.{id}]\n{keys}\n");
    stage.config(
        &(one("missing", "command = [\"no-such-program\"]")
            + &one("absent", "command = [\"./nothing-here\"]")
            + &one("plain", "command = [\"./plain\"]")
            + &one("folder", "command = [\"true\"]\ncwd = \"nowhere\"")
            + &one("is-folder", "command = [\"/etc\"]")),
    )?;
    for (id, why) in [
        ("missing", "no-such-program: there is no such program in the PATH of the service"),
        ("absent", "nothing-here: there is no such file"),
        ("plain", "plain: it may not be executed"),
        ("folder", "nowhere is not there"),
        ("is-folder", "/etc: it is a folder"),
    ] {
        let since = Instant::now();
        let said = stage.provost(&["start", id])?;
        expect!(said.code() == 1 && said.stderr.contains(why), "{id}: no '{why}': {said:?}");
        expect!(since.elapsed() < Duration::from_secs(8), "{id}: {:?}", since.elapsed());
        let service = stage.service(id)?;
        expect!(service["state"] == "failed" && service["next_start_at"].is_null(), "{service}");
        expect!(service["reason"].as_str().is_some_and(|reason| reason.contains(why)), "{service}");
    }
    Ok(())
}

fn tries_exhausted(stage: &Stage<'_>) -> Result<()> {
    let restart = "restart = { base = \"10ms\", max = \"20ms\", tries = 4 }";
    stage.config(&format!(
        "[service.bad]\ncommand = [\"sh\", \"-c\", \"echo x >> {}/ran; exit 9\"]\n{restart}\n",
        stage.home
    ))?;
    // Who is faster, its end or who looks whether it runs.
    stage.provost(&["up", "-d"])?;
    eventually("it has failed", || stage.service("bad").is_ok_and(|bad| bad["state"] == "failed"))?;
    let bad = stage.service("bad")?;
    let ran = stage.rig.read(&format!("{}/ran", stage.home))?.lines().count();
    expect!(ran == 4 && bad["failures"] == 4 && bad["restarts"] == 3, "{ran} times: {bad}");
    expect!(bad["last_error"].as_str().is_some_and(|error| error.contains("exit code 9")), "{bad}");
    // By hand it has all its tries again.
    stage.provost(&["start", "bad"])?;
    eventually("it has failed again", || {
        let ran = stage.rig.read(&format!("{}/ran", stage.home)).unwrap_or_default().lines().count();
        ran == 8 && stage.service("bad").is_ok_and(|bad| bad["state"] == "failed")
    })
}

fn already_so(stage: &Stage<'_>) -> Result<()> {
    stage.config(&sleeper("one", ""))?;
    let never = stage.provost(&["stop", "one"])?;
    expect!(never.code() == 0 && never.stdout.contains("nothing to do"), "{never:?}");
    stage.ok(&["up", "-d"])?;
    let pid = stage.pid("one")?;
    expect!(stage.ok(&["start", "one"])?.contains("nothing to do"), "start");
    expect!(stage.pid("one")? == pid, "it was started again");
    stage.ok(&["stop", "one"])?;
    for verb in [&["stop", "one"][..], &["stop", "--force", "one"]] {
        expect!(stage.ok(verb)?.contains("nothing to do"), "{verb:?}");
    }
    Ok(())
}

/// One signal after the other, each with its wait; by force none but the last.
fn stop_escalates(stage: &Stage<'_>) -> Result<()> {
    let heard = format!("{}/heard", stage.home);
    let script = format!(
        "trap 'echo TERM >> {heard}' TERM; trap 'echo INT >> {heard}' INT; echo up >> {heard}; while :; do sleep 0.05; done"
    );
    let stop = "stop = { signals = [\"TERM:600ms\", \"INT:600ms\", \"KILL\"] }";
    stage.config(&format!("[service.deaf]\ncommand = [\"sh\", \"-c\", \"{script}\"]\n{stop}\n"))?;
    stage.ok(&["up", "-d"])?;
    eventually("it listens", || stage.rig.exists(&heard))?;
    let since = Instant::now();
    let said = stage.ok(&["stop", "deaf"])?;
    let took = since.elapsed();
    expect!(said.contains("SIGKILL"), "{said}");
    expect!(stage.rig.read(&heard)? == "up\nTERM\nINT\n", "{:?}", stage.rig.read(&heard)?);
    expect!(took > Duration::from_millis(1150), "{took:?}");
    stage.ok(&["start", "deaf"])?;
    eventually("it listens", || stage.rig.read(&heard).is_ok_and(|said| said.ends_with("INT\nup\n")))?;
    let since = Instant::now();
    stage.ok(&["stop", "--force", "deaf"])?;
    expect!(stage.rig.read(&heard)?.ends_with("INT\nup\n"), "it was asked first");
    expect!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
    // One whose stop is under way is stopped, too.
    let slow = "command = [\"sh\", \"-c\", \"trap 'sleep 4; exit 0' TERM; touch up; while :; do sleep 0.05; done\"]\n";
    stage.config(&format!("[service.slow]\n{slow}"))?;
    stage.ok(&["up", "-d"])?;
    eventually("it listens", || stage.rig.exists(&format!("{}/up", stage.home)))?;
    stage.ok(&["stop", "--no-block", "slow"])?;
    let said = stage.ok(&["stop", "slow"])?;
    expect!(said.starts_with("slow: stopped, its main process ended"), "{said}");
    Ok(())
}

/// Those that are named together are stopped at the same time: each ends only when all of them were asked.
fn stopped_together(stage: &Stage<'_>) -> Result<()> {
    let (heard, up) = (format!("{}/heard", stage.home), format!("{}/up", stage.home));
    let script = format!(
        "trap 'echo TERM >> {heard}; until test $$(wc -l < {heard}) = 3; do sleep 0.05; done; exit 0' TERM; \
         echo up >> {up}; while :; do sleep 0.05; done"
    );
    let deaf = |id: &str| {
        format!("[service.{id}]\ncommand = [\"sh\", \"-c\", \"{script}\"]\nstop.signals = [\"TERM:15s\", \"KILL\"]\n")
    };
    stage.config(&["d1", "d2", "d3"].map(deaf).concat())?;
    for (targets, before, code) in [(&["d1", "d2", "nothere", "d3"][..], "", 5), (&["d*"], "service:", 0)] {
        stage.who().run(["rm", "-f", &heard, &up])?.ok()?;
        stage.ok(&["up", "-d"])?;
        eventually("they listen", || stage.rig.read(&up).is_ok_and(|said| said.lines().count() == 3))?;
        let stopped = stage.provost(&[&["stop"], targets].concat())?;
        let wanted =
            ["d1", "d2", "d3"].map(|id| format!("{before}{id}: stopped, its main process ended with exit code 0\n"));
        expect!(stopped.code() == code && stopped.stdout == wanted.concat(), "{stopped:?}");
    }
    Ok(())
}

/// Of several that are restarted, what comes after another stops first and starts last; of several that are stopped
/// none had nothing to do.
fn several_keep_their_order(stage: &Stage<'_>) -> Result<()> {
    let order = format!("{}/order", stage.home);
    let one = |id: &str, more: &str| {
        let script =
            format!("trap 'echo -{id} >> {order}; exit 0' TERM; echo +{id} >> {order}; while :; do sleep 0.05; done");
        format!("[service.{id}]\ncommand = [\"sh\", \"-c\", \"{script}\"]\n{more}\n")
    };
    stage.config(&(one("z-base", "") + &one("a-dep", "after = [\"z-base\"]")))?;
    stage.ok(&["up", "-d"])?;
    stage.ok(&["restart", "*"])?;
    let said = stage.rig.read(&order)?;
    expect!(said == "+z-base\n+a-dep\n-a-dep\n-z-base\n+z-base\n+a-dep\n", "{said}");
    let (stopped, code) = stage.json(&["stop", "z-base", "a-dep"])?;
    expect!(code == 0 && stopped[0]["outcome"] == "stopped" && stopped[1]["outcome"] == "stopped", "{stopped}");
    Ok(())
}

/// Who stops what somebody else starts meanwhile is told that, and does not wait for ever.
fn overtaken_by_a_start(stage: &Stage<'_>) -> Result<()> {
    let script = "trap 'sleep 1; exit 0' TERM; while :; do sleep 0.05; done";
    stage.config(&format!("[service.slow]\ncommand = [\"sh\", \"-c\", \"{script}\"]\n"))?;
    stage.ok(&["up", "-d"])?;
    for (stop, start) in [("stop", "restart"), ("down", "start")] {
        let stopped: Result<_> = std::thread::scope(|scope| {
            let stop = || stage.provost(&[stop, "slow", "--timeout", "20s"]);
            let stopped = scope.spawn(move || stop().map_err(|error| crate::rig::words(&error).to_owned()));
            eventually("it is being stopped", || stage.service("slow").is_ok_and(|slow| slow["state"] == "stopping"))?;
            stage.ok(&[start, "slow"])?;
            stopped.join().map_err(|_| "it panicked".to_owned())?.map_err(Into::into)
        });
        let stopped = stopped?;
        expect!(stopped.code() == 1 && stopped.stderr.contains("slow was started again meanwhile"), "{stopped:?}");
    }
    Ok(())
}

/// The time given is all that there is.
fn slow_reload(stage: &Stage<'_>) -> Result<()> {
    stage.config(&sleeper("slow", "reload = { exec = [\"sleep\", \"30\"] }"))?;
    stage.ok(&["up", "-d"])?;
    let since = Instant::now();
    let late = stage.provost(&["reload", "slow", "--timeout", "200ms"])?;
    expect!(late.code() == 7 && since.elapsed() < Duration::from_secs(4), "{:?}: {late:?}", since.elapsed());
    Ok(())
}

/// A grandchild in a session of its own that lost its parent ends with its service; where a control group holds it, also
/// one that forgot its environment.
fn whole_trees_end(stage: &Stage<'_>) -> Result<()> {
    let held = whole_tree(stage, "")?;
    if stage.backend == Backend::Systemd {
        expect!(held == "cgroup", "{held}");
        // A child of a daemon that is a unit of the user's manager, in a group of its own below that.
        let held = whole_tree(stage, "backend = \"direct\"")?;
        expect!(held == "cgroup", "{held}");
    }
    Ok(())
}

/// What it was held together by.
fn whole_tree(stage: &Stage<'_>, more: &str) -> Result<Value> {
    let lost = |file: &str, before: &str| {
        format!("(setsid {before} sleep 777 & echo \\$! > {0}/{file}) </dev/null &", stage.home)
    };
    let script = format!("{} {} exec sleep 1000", lost("kept", ""), lost("cleared", "env -i"));
    stage.config(&format!(
        "[service.tree]\ncommand = [\"sh\", \"-c\", \"{}\"]\n{more}\n",
        script.replace("\\$", "$$")
    ))?;
    stage.ok(&["up", "-d"])?;
    let pid = |file: &str| stage.rig.read(&format!("{}/{file}", stage.home)).ok()?.trim().parse::<u32>().ok();
    eventually("both are there", || pid("kept").is_some() && pid("cleared").is_some())?;
    let (kept, cleared) = (pid("kept").ok_or("none")?, pid("cleared").ok_or("none")?);
    eventually("both sleep", || {
        let name = |pid: u32| stage.rig.read(&format!("/proc/{pid}/comm")).unwrap_or_default();
        name(kept) == "sleep\n" && name(cleared) == "sleep\n"
    })?;
    let held = stage.service("tree")?["containment"].clone();
    stage.ok(&["down"])?;
    expect!(!stage.rig.is_running(kept), "it is left, held by {held}");
    expect!(held == "mark" || !stage.rig.is_running(cleared), "it is left, held by {held}");
    stage.who().run(["kill", "-KILL", &cleared.to_string()])?;
    for file in ["kept", "cleared"] {
        stage.rig.remove(&format!("{}/{file}", stage.home))?;
    }
    Ok(held)
}

/// The socket that an earlier run left is removed; one on which somebody listens is not, and neither is a file.
fn stale_socket(stage: &Stage<'_>) -> Result<()> {
    let socket = format!("{}/agent.sock", stage.home);
    let bind = "import os,socket,time\ns=socket.socket(socket.AF_UNIX)\ns.bind(os.environ['PROVOST_SOCKET'])\ns.listen()\ntime.sleep(1000)\n";
    stage.rig.write_as(&stage.user, &format!("{}/bind.py", stage.home), bind, 0o600)?;
    let ready = "ready = { unix = \"${socket}\", timeout = \"10s\" }\nstop = { signals = [\"KILL\"] }";
    stage.config(&format!("[service.agent]\nscript = \"bind.py\"\nsocket = \"agent.sock\"\n{ready}\n"))?;
    stage.ok(&["up", "-d"])?;
    expect!(stage.service("agent")?["socket"] == socket.as_str(), "{}", stage.service("agent")?);
    stage.ok(&["stop", "agent"])?;
    expect!(stage.rig.exists(&socket), "somebody removed it: this shows nothing");
    // bind(2) would fail with it there.
    stage.ok(&["start", "agent"])?;
    stage.ok(&["stop", "agent"])?;
    let listen = format!(
        "import socket,time\nimport os\nos.unlink('{socket}')\ns=socket.socket(socket.AF_UNIX)\ns.bind('{socket}')\ns.listen()\nopen('{socket}.there', 'w')\ntime.sleep(1000)\n"
    );
    stage.rig.write_as(&stage.user, &format!("{}/listen.py", stage.home), listen, 0o600)?;
    let listener = stage.who().spawn_as("python3", ["python3", &format!("{}/listen.py", stage.home)])?;
    eventually("it listens", || stage.rig.exists(&format!("{socket}.there")))?;
    let busy = stage.provost(&["start", "agent"])?;
    expect!(busy.code() == 1 && busy.stderr.contains(") listens on it already"), "{busy:?}");
    drop(listener);
    stage.who().run(["rm", &socket])?.ok()?;
    stage.rig.write_as(&stage.user, &socket, "precious", 0o600)?;
    let file = stage.provost(&["start", "agent"])?;
    expect!(file.code() == 1 && file.stderr.contains("there is something else of that name"), "{file:?}");
    expect!(stage.rig.read(&socket)? == "precious", "it was removed");
    Ok(())
}

/// Just what the config names of the caller's variables is sent along; what is missing is said, and in whose environment.
fn variables_of_the_caller(stage: &Stage<'_>) -> Result<()> {
    stage.config(&sleeper("keyed", "env = { KEY = \"${MY_KEY}\", OTHER = \"${NOT_SET:-fallback}\" }"))?;
    let missing = stage.provost(&["up", "-d"])?;
    expect!(missing.code() != 0 && missing.stderr.contains("MY_KEY"), "{missing:?}");
    expect!(missing.stderr.contains("environment"), "whose? {missing:?}");
    println!("a missing variable, {:?}: {} {}", stage.backend, missing.code(), missing.stderr.trim());
    let who = stage.who().env("MY_KEY", "s3cret").env("STRANGE", "1");
    who.run(["provost", "up", "-d"])?.ok()?;
    let environ = stage.rig.read(&format!("/proc/{}/environ", stage.pid("keyed")?))?;
    let has = |line: &str| environ.split('\0').any(|found| found == line);
    expect!(has("KEY=s3cret") && has("OTHER=fallback") && has("PROVOST_SERVICE=keyed"), "{environ}");
    for name in ["PROVOST_INSTANCE_ID=", "PROVOST_STATE_DIR=", "PROVOST_RUNTIME_DIR="] {
        expect!(environ.contains(name), "no {name}: {environ}");
    }
    expect!(!environ.contains("STRANGE="), "{environ}");
    // The daemon keeps it, for nobody else to read, and needs nobody to start it again.
    let machine = stage.rig.read("/etc/machine-id")?;
    let record = format!("{}/.local/state/provost/{}/registry/keyed.json", stage.home, machine.trim());
    let mode = stage.rig.as_root().run(["stat", "-c", "%a", &record])?.ok()?;
    expect!(mode == "600" && stage.rig.read(&record)?.contains("s3cret"), "{mode}");
    let before = stage.pid("keyed")?;
    stage.who().run(["kill", "-KILL", &before.to_string()])?.ok()?;
    eventually("it comes again", || stage.pid("keyed").is_ok_and(|pid| pid != before))?;
    let environ = stage.rig.read(&format!("/proc/{}/environ", stage.pid("keyed")?))?;
    expect!(environ.contains("KEY=s3cret\0"), "{environ}");
    Ok(())
}

/// Each instance has its number and a port of its own, which others can name.
fn instances_and_ports(stage: &Stage<'_>) -> Result<()> {
    let from = port_of(stage, 0)?;
    let range = format!("port = \"{from}-{}\"", from + 3);
    let worker = sleeper("worker", &format!("instances = 3\nenv = {{ N = \"${{INSTANCE}}\" }}\n{range}"));
    let user = sleeper("user", "after = [\"worker\"]\nenv = { WHERE = \"127.0.0.1:${service.worker-2.port}\" }");
    stage.config(&(worker + &user))?;
    stage.ok(&["up", "-d"])?;
    let mut ports = Vec::new();
    for n in 1..=3 {
        let service = stage.service(&format!("worker-{n}"))?;
        let port = service["port"].as_u64().ok_or_else(|| format!("no port: {service}"))?;
        let environ = stage.rig.read(&format!("/proc/{}/environ", stage.pid(&format!("worker-{n}"))?))?;
        expect!(environ.contains(&format!("N={n}\0")) && environ.contains(&format!("PORT={port}\0")), "{environ}");
        ports.push(port);
    }
    ports.sort_unstable();
    expect!(ports == (0..3).map(|n| u64::from(from) + n).collect::<Vec<_>>(), "{ports:?}");
    let second = stage.service("worker-2")?["port"].clone();
    let environ = stage.rig.read(&format!("/proc/{}/environ", stage.pid("user")?))?;
    expect!(environ.contains(&format!("WHERE=127.0.0.1:{second}\0")), "{second}: {environ}");
    // The name of all of them means all of them.
    let stopped = stage.ok(&["stop", "worker"])?;
    expect!((1..=3).all(|n| stopped.contains(&format!("worker-{n}"))), "{stopped}");
    stage.ok(&["start", "worker-2"])?;
    expect!(stage.service("worker-2")?["port"] == second, "it has another port now");
    Ok(())
}

/// Its own interpreter first, and then the system's.
fn scripts(stage: &Stage<'_>) -> Result<()> {
    let text = "import os,sys,time\nopen('said-' + os.environ['PROVOST_SERVICE'], 'w').write(' '.join(sys.argv[1:]))\ntime.sleep(1000)\n";
    let one = |id: &str, cwd: &str| {
        format!("[service.{id}]\nscript = \"job.py\"\nargs = [\"--model\", \"m\"]\ncwd = \"{cwd}\"\n")
    };
    stage.config(&(one("plain", "a") + &one("own", "b") + &one("second", "c")))?;
    for (folder, place) in [("a", None), ("b", Some(".venv")), ("c", Some("venv"))] {
        stage.rig.write_as(&stage.user, &format!("{}/{folder}/job.py", stage.home), text, 0o600)?;
        if let Some(place) = place {
            let python = format!("{}/{folder}/{place}/bin/python", stage.home);
            stage.rig.write_as(&stage.user, &python, "#!/bin/sh\necho own > own\nexec python3 \"$@\"\n", 0o700)?;
        }
    }
    stage.ok(&["up", "-d"])?;
    for (id, folder, own) in [("plain", "a", false), ("own", "b", true), ("second", "c", true)] {
        let said = format!("{}/{folder}/said-{id}", stage.home);
        eventually("the script runs", || stage.rig.read(&said).is_ok_and(|said| said == "--model m"))?;
        expect!(stage.rig.exists(&format!("{}/{folder}/own", stage.home)) == own, "{id}");
    }
    let line = stage.service("own")?["command_line"].to_string();
    expect!(line.contains("b/.venv/bin/python\",") && line.contains("job.py"), "{line}");
    // A venv that cannot be used is not passed over: another interpreter has not what the script needs.
    let who = stage.who();
    who.run(["sh", "-c", "chmod -x b/.venv/bin/python; ln -sf /nowhere/python3 c/venv/bin/python"])?.ok()?;
    for (id, why) in [
        ("own", "b/.venv/bin/python: it may not be executed"),
        ("second", "c/venv/bin/python: it is a link to /nowhere/python3, which is not there"),
    ] {
        let said = stage.provost(&["restart", id])?;
        expect!(said.code() == 1 && said.stderr.contains(why), "{id}: {said:?}");
    }
    Ok(())
}

/// The shape that registries of model servers have.
fn registry_shape(stage: &Stage<'_>) -> Result<()> {
    let port = port_of(stage, 0)?;
    let meta = "meta = { model_id = \"llama-7b\", model_name = \"Llama 2 7B\", gpu_id = \"0\", pid = 1 }";
    stage.config(&(sleeper("llm", &format!("port = {port}\n{meta}")) + &sleeper("off", "enabled = false")))?;
    stage.ok(&["up", "-d"])?;
    let (registry, code) = stage.json(&["registry"])?;
    let llm = &registry["processes"]["llm"];
    expect!(code == 0 && llm["pid"] == stage.pid("llm")? && llm["port"] == port, "{registry}");
    expect!(llm["status"] == "running" && llm["command_line"] == serde_json::json!(["sleep", "1000"]), "{registry}");
    expect!(llm["model_id"] == "llama-7b" && llm["model_name"] == "Llama 2 7B" && llm["gpu_id"] == "0", "{registry}");
    let started = llm["started_at"].as_str().ok_or("no time")?;
    expect!(humantime::parse_rfc3339(started).is_ok(), "{started}");
    let off = &registry["processes"]["off"];
    expect!(off["status"] == "stopped" && off["pid"].is_null() && off["port"].is_null(), "{registry}");
    Ok(())
}

/// A stop holds, also of what does not run because its daemon has ended; and nothing else is started for it.
fn stopped_without_a_daemon(stage: &Stage<'_>) -> Result<()> {
    stage.config(&(sleeper("one", "") + &sleeper("two", "") + &sleeper("three", "")))?;
    stage.ok(&["up", "-d"])?;
    stage.ok(&["daemon", "stop", "--services", "keep"])?;
    for id in ["one", "two", "three"] {
        let (seen, _) = stage.json(&["list", id])?;
        let pid = seen["services"][0]["pid"].as_u64().ok_or_else(|| format!("{id} was stopped: {seen}"))?;
        stage.who().run(["kill", "-KILL", &pid.to_string()])?.ok()?;
    }
    eventually("nothing runs", || {
        stage.json(&["list"]).is_ok_and(|(list, _)| !list.to_string().contains("\"running\""))
    })?;
    let stopped = stage.ok(&["stop", "one"])?;
    expect!(stopped.contains("one: stopped") && stopped.contains("the next daemon does not start it"), "{stopped}");
    expect!(stage.provost(&["daemon", "status"])?.code() == 3, "a daemon was started to stop nothing");
    expect!(stage.ok(&["stop", "one"])?.contains("nothing to do"), "twice");
    stage.ok(&["start", "two"])?;
    let state = |id: &str| stage.service(id).map(|service| service["state"].clone());
    expect!(state("two")? == "running" && state("one")? == "stopped", "{} {}", state("two")?, state("one")?);
    // What nobody stopped is meant to run.
    eventually("three runs", || state("three").is_ok_and(|now| now == "running"))?;
    Ok(())
}

/// The first to end says nothing of the others, nor does a daemon that is executed anew meanwhile.
fn removed_together(stage: &Stage<'_>) -> Result<()> {
    let stubborn = |id: &str| {
        format!(
            "[service.{id}]\ncommand = [\"sh\", \"-c\", \"trap '' TERM; while :; do sleep 0.1; done\"]\n\
             stop = {{ signals = [\"TERM:3s\", \"KILL\"] }}\n"
        )
    };
    stage.config(&(sleeper("quick", "") + &stubborn("slow") + &stubborn("slower")))?;
    for restarts in [false, true] {
        stage.ok(&["up", "-d"])?;
        let pids = [stage.pid("slow")?, stage.pid("slower")?];
        let removed: Result<String> = std::thread::scope(|scope| {
            let remove = || stage.ok(&["remove", "*"]).map_err(|error| crate::rig::words(&error).to_owned());
            let removing = scope.spawn(remove);
            if restarts {
                eventually("the first is removed", || stage.service("quick").is_ok_and(|quick| quick.is_null()))?;
                stage.ok(&["daemon", "restart"])?;
            }
            removing.join().map_err(|_| "it panicked".to_owned())?.map_err(Into::into)
        });
        let removed = removed?;
        expect!(removed.lines().count() == 3, "{removed}");
        for pid in pids {
            expect!(!stage.rig.exists(&format!("/proc/{pid}")), "{pid} runs: {removed}");
        }
        eventually("they are forgotten", || {
            stage.json(&["list"]).is_ok_and(|(list, _)| list["services"].as_array().is_some_and(Vec::is_empty))
        })?;
    }
    Ok(())
}
