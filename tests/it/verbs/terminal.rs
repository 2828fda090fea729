//! provost on a terminal: its prompts, and what runs beside it.

use std::time::Duration;

use super::provost;
use crate::rig::{PASSWORD, Result, Rig, eventually};
use crate::trial::Trials;

const SLEEP: &str = "[Service]\nExecStart=/usr/local/bin/sleeper\n";

pub fn register(trials: &mut Trials) {
    trials.rig("terminal::ctrl_c_at_the_prompt", ctrl_c_at_the_prompt);
    trials.rig("terminal::several_prompts", several_prompts);
    trials.exclusive("terminal::the_readme", the_readme);
    trials.rig("terminal::own_unit", own_unit);
    trials.rig("terminal::own_scope", own_scope);
}

/// Whoever changes their mind at the prompt has changed nothing, and has a terminal that shows what is typed.
fn ctrl_c_at_the_prompt(rig: &Rig) -> Result<()> {
    rig.started("rights-c.service", SLEEP)?;
    let script = "provost stop unit:rights-c.service; echo code $?; stty -a | grep -o '.echo ' ; echo over";
    let mut terminal = rig.as_user("eve").pty(["bash", "-c", &format!("trap : INT; {script}")])?;
    terminal.expect("Password:", Duration::from_secs(15))?;
    terminal.type_bytes(b"\x03")?;
    terminal.expect("over", Duration::from_secs(15))?;
    let (_, text) = terminal.wait()?;
    expect!(!text.contains("code 0") && text.contains(" echo "), "{text}");
    expect!(rig.active_state("rights-c.service")? == "active", "{text}");
    Ok(())
}

const README: &str = include_str!("../../../README.md");
const RULE: &str = include_str!("../../../polkit/ollama-operator.rules");

/// What the README shows: watson restarts ollama with an administrator's password, and with the example rule without.
fn the_readme(rig: &Rig) -> Result<()> {
    let unit = "[Service]\nUser=ollama\nExecStart=/usr/local/bin/ollama serve\n\
                Environment=OLLAMA_HOST=127.0.0.1:24401\n";
    rig.started("ollama.service", unit)?;
    let watson = rig.as_user("watson");
    let restart = |types: Option<&str>| -> Result<String> {
        let before = rig.main_pid("ollama.service")?;
        let mut terminal = watson.pty(["provost", "restart", "ollama"])?;
        if let Some(password) = types {
            terminal.expect("Password:", Duration::from_secs(20))?;
            terminal.type_password(password)?;
        }
        let (status, text) = terminal.wait()?;
        expect!(status.success() && rig.main_pid("ollama.service")? != before, "it was not restarted: {text}");
        Ok(without_colours(&text))
    };
    let typed = restart(Some(PASSWORD))?;
    expect!(!typed.contains(PASSWORD), "{typed}");
    let path = "/etc/polkit-1/rules.d/50-ollama-operator.rules";
    rig.write(path, RULE.replace("\"operator\"", "\"watson\""), 0o644)?;
    eventually("polkit has read the rule", || {
        let said = provost(&watson, ["-o", "json", "restart", "ollama", "--dry-run"]);
        said.is_ok_and(|said| said.stdout.contains("\"allowed\""))
    })?;
    let unasked = restart(None)?;
    let refused = provost(&watson, ["--no-ask-password", "stop", "ollama"])?;
    rig.remove(path)?;
    expect!(refused.code() == 4, "the rule is about restart: {refused:?}");
    rig.systemctl(["stop", "ollama.service"])?;
    rig.remove("/etc/systemd/system/ollama.service")?;
    rig.systemctl(["daemon-reload"])?;
    expect!(!unasked.contains("Password"), "{unasked}");
    // How pkttyagent words its own lines is up to its version.
    let own =
        |text: &str| text.lines().filter(|line| line.starts_with("unit:ollama")).map(str::to_owned).collect::<Vec<_>>();
    let prompt = "Authentication is required to restart 'ollama.service'.";
    expect!(typed.contains(prompt) && README.contains(prompt), "{typed}");
    for text in [&typed, &unasked] {
        let lines = own(text);
        expect!(lines.len() == 1 && README.contains(&lines[0]), "the README shows something else: {text}");
    }
    let printed = format!("$ provost restart ollama\n{typed}\n$ provost restart ollama\n{unasked}");
    println!("{printed}");
    Ok(())
}

/// Without the sequences by which a terminal shows colours.
fn without_colours(text: &str) -> String {
    let mut parts = text.split("\u{1b}[");
    let first = parts.next().unwrap_or_default().to_owned();
    first + &parts.map(|part| part.split_once('m').map_or(part, |(_, rest)| rest)).collect::<String>()
}

/// One password for each unit; what needs none is done without.
fn several_prompts(rig: &Rig) -> Result<()> {
    let units = ["rights-p1.service", "rights-p2.service", "rights-p3.service"];
    for unit in &units[..2] {
        rig.started(unit, SLEEP)?;
    }
    rig.unit(units[2], SLEEP)?;
    let targets: Vec<String> = units.iter().map(|u| format!("unit:{u}")).collect();
    let argv = ["provost", "stop"].into_iter().chain(targets.iter().map(String::as_str));
    let mut terminal = rig.as_user("eve").pty(argv)?;
    for _ in 0..2 {
        terminal.expect("Password:", Duration::from_secs(15))?;
        terminal.type_password(PASSWORD)?;
    }
    let (status, text) = terminal.wait()?;
    expect!(status.success() && text.matches("Password:").count() == 2, "{text}");
    expect!(!text.contains(PASSWORD), "{text}");
    for unit in units {
        expect!(rig.active_state(unit)? == "inactive", "{unit}: {text}");
    }
    Ok(())
}

/// provost does not stop the unit that it runs in, whatever it is called.
fn own_unit(rig: &Rig) -> Result<()> {
    rig.started("rights-o.service", SLEEP)?;
    let pid = rig.main_pid("rights-o.service")?;
    let inside = rig.as_root().in_unit("rights-o.service");
    for target in ["unit:rights-o.service", "rights-o", &format!("pid:{pid}")] {
        for verb in ["stop", "restart", "kill"] {
            let said = provost(&inside, [verb, target])?;
            expect!(said.code() == 4 && rig.main_pid("rights-o.service")? == pid, "{verb} {target}: {said:?}");
        }
    }
    let outside = provost(&rig.as_root(), ["stop", &format!("pid:{pid}")])?;
    expect!(outside.code() == 0, "{outside:?}");
    Ok(())
}

/// From a terminal: what runs beside provost in its session, scope or user unit can be ended, and they stay.
fn own_scope(rig: &Rig) -> Result<()> {
    rig.linger("watson")?;
    let script = "sleep 1000 & echo child $!; provost stop pid:$!; echo code $?; echo still here";
    let shell = ["bash", "-c", script];
    let watson = rig.as_user("watson");
    let scope = ["systemd-run", "--user", "--scope", "--quiet"];
    let service = ["systemd-run", "--user", "--pipe", "--wait", "--quiet"];
    for (kind, output) in [
        ("session", watson.clone().in_session().run(shell)?),
        ("scope", watson.run(scope.iter().chain(&shell))?),
        ("system scope", rig.as_root().run(["systemd-run", "--scope", "--quiet"].iter().chain(&shell))?),
    ] {
        let done = output.stdout.contains("code 0") && output.stdout.ends_with("still here\n");
        expect!(done, "{kind}: {output:?}");
        let pid = output.stdout.split_once("child ").and_then(|(_, rest)| rest.lines().next()?.parse().ok());
        expect!(pid.is_some_and(|pid| !rig.is_running(pid)), "{kind}: {output:?}");
    }
    // In a service it is a part, which only --only-process ends.
    let output = watson.run(service.iter().chain(&shell))?;
    expect!(output.stdout.contains("code 2") || output.stdout.contains("code 4"), "{output:?}");
    expect!(output.stdout.ends_with("still here\n"), "{output:?}");
    let script = script.replace("stop", "stop --only-process");
    let output = watson.run(service.iter().chain(&["bash", "-c", &script]))?;
    expect!(output.stdout.contains("code 0") && output.stdout.ends_with("still here\n"), "{output:?}");
    Ok(())
}
