//! What the privileged helper makes possible for those who may not do it alone; the rights are in the truth table.

use std::time::Duration;

use super::{json, provost};
use crate::rig::{PASSWORD, Result, Rig, eventually};
use crate::trial::Trials;

pub fn register(trials: &mut Trials) {
    trials.exclusive("helped::ports_of_others", |rig| rig.with_helper(|| ports_of_others(rig)));
    trials.exclusive("helped::printed_rules", |rig| rig.with_helper(|| printed_rules(rig)));
    trials.exclusive("helped::restart_and_ensure", |rig| rig.with_helper(|| restart_and_ensure(rig)));
    trials.exclusive("helped::changed_meanwhile", |rig| rig.with_helper(|| changed_meanwhile(rig)));
    trials.exclusive("helped::ctrl_c_at_the_prompt", |rig| rig.with_helper(|| ctrl_c_at_the_prompt(rig)));
    trials.exclusive("helped::out_of_reach", |rig| rig.with_helper(|| out_of_reach(rig)));
}

/// The process behind a port, in no unit and in a unit of which it is a part; and its end, with a password.
fn ports_of_others(rig: &Rig) -> Result<()> {
    rig.make_cgroup("/helped-p")?;
    let mut server = rig.as_user("watson").env("OLLAMA_HOST", "127.0.0.1:24301").in_unit("/helped-p").spawn([
        "ollama",
        "serve",
        "--no-runner",
    ])?;
    let eve = rig.as_user("eve");
    eventually("somebody listens on 24301", || json(&eve, ["inspect", ":24301"]).is_ok_and(|(_, code)| code == 0))?;
    let (said, _) = json(&eve, ["inspect", ":24301"])?;
    let owner = &said["owners"][0];
    expect!(owner["kind"] == "bare" && owner["processes"][0]["pid"] == server.pid, "{said}");
    expect!(owner["user"] == "watson" && owner["availability"]["state"] == "available", "{said}");
    expect!(owner["processes"][0]["exe"] == "/usr/local/bin/ollama", "what eve cannot read herself: {said}");
    let refused = provost(&eve, ["stop", ":24301"])?;
    expect!(refused.code() == 4 && server.alive(), "{refused:?}");
    expect!(refused.stderr.contains("there is no terminal to ask on"), "{refused:?}");
    let mut terminal = eve.pty(["provost", "stop", ":24301"])?;
    terminal.expect("Password:", Duration::from_secs(20))?;
    terminal.type_password(PASSWORD)?;
    let (status, text) = terminal.wait()?;
    expect!(status.success() && text.contains("through provost's helper"), "{text}");
    expect!(text.contains("SIGTERM") && text.contains("'watson'"), "the prompt says what of whom: {text}");
    eventually("who started it sees its end", || !server.alive())?;

    rig.linger("watson")?;
    let both = "[Service]\nExecStart=/bin/sh -c 'llama-server --port 24302 & exec sleep infinity'\n\
                Environment=PATH=/usr/local/bin:/usr/bin:/bin\n";
    rig.user_unit("watson", "helped-p.service", both)?;
    rig.user_systemctl("watson", ["start", "helped-p.service"])?;
    eventually("somebody listens on 24302", || json(&eve, ["inspect", ":24302"]).is_ok_and(|(_, code)| code == 0))?;
    let (said, _) = json(&eve, ["inspect", ":24302"])?;
    let matched = said["owners"][0]["processes"].as_array().cloned().unwrap_or_default();
    let matched: Vec<_> = matched.iter().filter(|p| p["matched"] == true).map(|p| p["comm"].clone()).collect();
    expect!(matched == ["llama-server"], "{said}");
    let part = provost(&eve, ["stop", ":24302"])?;
    expect!(part.code() == 2, "a part: {part:?}");
    rig.user_systemctl("watson", ["stop", "helped-p.service"]).map(drop)
}

/// What provost prints allows this user, this program or unit, and nothing else.
fn printed_rules(rig: &Rig) -> Result<()> {
    let eve = rig.as_user("eve");
    rig.make_cgroup("/helped-r")?;
    let spawn = |user: &str, program: &str| rig.as_user(user).in_unit("/helped-r").spawn([program]);
    let (first, second) = (spawn("watson", "sleeper")?, spawn("watson", "sleeper")?);
    let (other_user, other_program) = (spawn("ollama", "sleeper")?, spawn("watson", "hang")?);
    let verdict = |target: &str, verb: &str| -> Result<String> {
        let (said, _) = json(&eve, [verb, target, "--dry-run"])?;
        Ok(said["plan"]["verdict"].as_str().unwrap_or_default().to_owned())
    };
    let pid = |process: &crate::rig::Process| format!("pid:{}", process.pid);
    let _rule = Rule::install(rig, &pid(&first), "helped-1")?;
    eventually("polkit has read the rule", || verdict(&pid(&first), "stop").is_ok_and(|said| said == "allowed"))?;
    for verb in ["stop", "kill"] {
        expect!(verdict(&pid(&second), verb)? == "allowed", "{verb}: the same program of the same user");
        expect!(verdict(&pid(&other_user), verb)? == "needs-password", "{verb}: another user");
        expect!(verdict(&pid(&other_program), verb)? == "needs-password", "{verb}: another program");
    }
    let done = provost(&eve, ["stop", &pid(&first)])?;
    expect!(done.code() == 0 && !rig.is_running(first.pid), "{done:?}");

    rig.linger("watson")?;
    let text = "[Service]\nExecStart=/usr/local/bin/sleeper --log /tmp/NAME.log\n";
    for name in ["helped-a", "helped-b"] {
        rig.user_unit("watson", &format!("{name}.service"), &text.replace("NAME", name))?;
        rig.user_systemctl("watson", ["start", &format!("{name}.service")])?;
    }
    let main = |name: &str| -> Result<String> {
        let shown = rig.user_systemctl("watson", ["show", "-p", "MainPID", "--value", &format!("{name}.service")])?;
        Ok(format!("pid:{}", shown.trim()))
    };
    let _rule = Rule::install(rig, &main("helped-a")?, "helped-2")?;
    eventually("polkit has read the rule", || {
        verdict(&main("helped-a").unwrap_or_default(), "stop").is_ok_and(|said| said == "allowed")
    })?;
    let before = main("helped-a")?;
    let done = provost(&eve, ["restart", &before])?;
    expect!(done.code() == 0 && main("helped-a")? != before, "{done:?}");
    expect!(verdict(&main("helped-b")?, "stop")? == "needs-password", "another unit");
    rig.user_systemctl("watson", ["stop", "helped-a.service", "helped-b.service"]).map(drop)
}

/// A rule that provost prints for eve, in force until this is dropped.
struct Rule<'r>(&'r Rig, String);

impl<'r> Rule<'r> {
    fn install(rig: &'r Rig, target: &str, name: &str) -> Result<Self> {
        let text = provost(&rig.as_user("eve"), ["inspect", target, "--polkit-rule"])?.ok()?;
        let path = format!("/etc/polkit-1/rules.d/50-{name}.rules");
        rig.write(&path, text, 0o644)?;
        Ok(Self(rig, path))
    }
}

impl Drop for Rule<'_> {
    fn drop(&mut self) {
        let _ = self.0.remove(&self.1);
    }
}

/// `restart` and `ensure --restart` of a unit of another user's manager, by a rule.
fn restart_and_ensure(rig: &Rig) -> Result<()> {
    rig.linger("watson")?;
    let _rule = rig.polkit_rule(
        "helped-e",
        "if (action.id == \"org.provost.manage-user-units\" && subject.user == \"eve\" && \
         action.lookup(\"user\") == \"watson\" && action.lookup(\"unit\") == \"helped-e.service\" && \
         action.lookup(\"verb\") == \"restart\") return polkit.Result.YES;",
    )?;
    // It says nothing at first, and serves when it is started anew.
    let script = "test -e /tmp/helped-e && exec llama-server --port 24303; touch /tmp/helped-e; exec hang --port 24303";
    let unit = format!("[Service]\nExecStart=/bin/sh -c '{script}'\nEnvironment=PATH=/usr/local/bin:/usr/bin:/bin\n");
    rig.user_unit("watson", "helped-e.service", &unit)?;
    rig.user_systemctl("watson", ["start", "helped-e.service"])?;
    let eve = rig.as_user("eve");
    eventually("somebody listens on 24303", || json(&eve, ["inspect", ":24303"]).is_ok_and(|(_, code)| code == 0))?;
    let (said, code) =
        json(&eve, ["ensure", ":24303", "--restart", "--timeout", "3s", "--probe", "http://127.0.0.1:24303/health"])?;
    expect!(code == 0 && said["means"] == "helper" && said["started"] == true, "{code}: {said}");
    expect!(said["state"] == "available", "{said}");
    let (said, code) = json(&eve, ["restart", ":24303"])?;
    expect!(code == 0 && said["outcome"] == "restarted" && said["plan"]["means"] == "helper", "{code}: {said}");
    expect!(said["state"].as_str().is_some_and(|state| state.contains("asked by provost's helper")), "{said}");
    let (said, code) = json(&eve, ["stop", ":24303"])?;
    expect!(code == 4, "the rule is on restart: {said}");
    rig.user_systemctl("watson", ["stop", "helped-e.service"]).map(drop)
}

/// Somebody types a password for a process that has ended meanwhile: that is said, and nobody else is hit.
fn changed_meanwhile(rig: &Rig) -> Result<()> {
    rig.make_cgroup("/helped-c")?;
    let mut process = rig.as_user("watson").in_unit("/helped-c").spawn(["sleeper"])?;
    let target = format!("pid:{}", process.pid);
    let mut terminal = rig.as_user("eve").pty(["provost", "kill", &target])?;
    terminal.expect("Password:", Duration::from_secs(20))?;
    rig.as_root().run(["kill", "-KILL", &process.pid.to_string()])?.ok()?;
    process.wait()?;
    terminal.type_password(PASSWORD)?;
    let (status, text) = terminal.wait()?;
    expect!(status.code() == Some(5), "{text}");
    Ok(())
}

/// Whoever changes their mind at the prompt has signalled nobody.
fn ctrl_c_at_the_prompt(rig: &Rig) -> Result<()> {
    rig.make_cgroup("/helped-i")?;
    let mut process = rig.as_user("watson").in_unit("/helped-i").spawn(["sleeper"])?;
    let script = format!("provost stop pid:{}; echo code $?; stty -a | grep -o '.echo ' ; echo over", process.pid);
    let mut terminal = rig.as_user("eve").pty(["bash", "-c", &format!("trap : INT; {script}")])?;
    terminal.expect("Password:", Duration::from_secs(20))?;
    terminal.type_bytes(b"\x03")?;
    terminal.expect("over", Duration::from_secs(20))?;
    let (_, text) = terminal.wait()?;
    expect!(!text.contains("code 0") && text.contains(" echo "), "{text}");
    expect!(process.alive(), "{text}");
    Ok(())
}

/// A daemon that cannot be started is none: what is said is what holds without it.
fn out_of_reach(rig: &Rig) -> Result<()> {
    rig.make_cgroup("/helped-o")?;
    let process = rig.as_user("watson").in_unit("/helped-o").spawn(["sleeper"])?;
    let target = format!("pid:{}", process.pid);
    let eve = rig.as_user("eve");
    let (said, _) = json(&eve, ["stop", &target, "--dry-run"])?;
    expect!(said["plan"]["means"] == "helper" && said["plan"]["verdict"] == "needs-password", "{said}");
    rig.systemctl(["stop", "provost.service"])?;
    // Not started by that: it is as systemd has it loaded.
    let dropin = "/run/systemd/system/provost.service.d/refuse.conf";
    rig.write(dropin, "[Unit]\nRefuseManualStart=yes\nAssertPathExists=/nowhere\n", 0o644)?;
    rig.systemctl(["daemon-reload"])?;
    let refused = json(&eve, ["stop", &target]);
    let seen = json(&eve, ["inspect", &target]);
    rig.remove(dropin)?;
    rig.systemctl(["daemon-reload"])?;
    let ((said, code), (seen, _)) = (refused?, seen?);
    expect!(code == 4 && said["plan"]["verdict"] == "denied", "{code}: {said}");
    expect!(seen["owners"][0]["actions"]["kill"]["verdict"] == "denied", "{seen}");
    Ok(())
}
