//! `:PORT`: whoever listens there, of any user, without privilege.

use serde_json::Value;

use super::json;
use crate::rig::{Result, Rig, eventually};
use crate::trial::Trials;

pub fn register(trials: &mut Trials) {
    trials.rig("ports::system_unit", system_unit);
    trials.rig("ports::user_unit_of_others", user_unit_of_others);
    trials.rig("ports::bare", bare);
    trials.rig("ports::socket_unit", socket_unit);
    trials.rig("ports::container", container);
    trials.rig("ports::several", several);
}

/// The only owner of a port, once somebody listens.
fn owner(rig: &Rig, user: &str, port: u16) -> Result<Value> {
    let who = rig.as_user(user);
    let mut last = None;
    eventually(&format!("somebody listens on {port}"), || {
        last = json(&who, ["inspect", &format!(":{port}")]).ok();
        last.as_ref().is_some_and(|(_, code)| *code != 5)
    })?;
    let (answer, code) = last.ok_or("no answer")?;
    let owners = answer["owners"].as_array().cloned().unwrap_or_default();
    match <[Value; 1]>::try_from(owners) {
        Ok([owner]) if code == 0 => Ok(owner),
        _ => Err(format!("{user} on {port}: {code} {answer}").into()),
    }
}

fn system_unit(rig: &Rig) -> Result<()> {
    for (name, host, port) in [
        ("ports-v4", "127.0.0.1", 24_001),
        ("ports-v6", "::1", 24_002),
        ("ports-any", "0.0.0.0", 24_003),
        ("ports-any6", "::", 24_004),
    ] {
        let at = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        let service = "[Service]\nUser=ollama\nExecStart=/usr/local/bin/ollama serve\n";
        let _unit =
            rig.started_for_now(&format!("{name}.service"), &format!("{service}Environment=OLLAMA_HOST={at}\n"))?;
        for user in ["eve", "root"] {
            let found = owner(rig, user, port)?;
            expect!(found["kind"] == "system-unit" && found["unit"] == format!("{name}.service"), "{user}: {found}");
            expect!(found["user"] == "ollama", "{user}: {found}");
            let listening = found["listening"].as_array().cloned().unwrap_or_default();
            expect!(listening.contains(&Value::from(at.clone())), "{user}: {found}");
            expect!(found["availability"]["state"] == "available", "{user}: {found}");
        }
    }
    Ok(())
}

fn user_unit_of_others(rig: &Rig) -> Result<()> {
    rig.linger("watson")?;
    let text = "[Service]\nExecStart=/usr/local/bin/llama-server --port 24005\n";
    rig.user_unit("watson", "ports-user.service", text)?;
    rig.user_systemctl("watson", ["start", "ports-user.service"])?;
    for user in ["eve", "watson", "root"] {
        let found = owner(rig, user, 24_005)?;
        expect!(found["kind"] == "user-unit" && found["unit"] == "ports-user.service", "{user}: {found}");
        expect!(found["manager_uid"] == 1000 && found["user"] == "watson", "{user}: {found}");
    }
    Ok(())
}

/// In no unit: its owner and root see which process it is; others are told whose.
fn bare(rig: &Rig) -> Result<()> {
    rig.make_cgroup("/ports-bare")?;
    let server = rig.as_user("watson").in_unit("/ports-bare").spawn(["llama-server", "--port", "24006"])?;
    for user in ["watson", "root"] {
        let found = owner(rig, user, 24_006)?;
        expect!(found["kind"] == "bare" && found["processes"][0]["pid"] == server.pid, "{user}: {found}");
    }
    let (answer, code) = json(&rig.as_user("eve"), ["inspect", ":24006"])?;
    let owner = &answer["owners"][0];
    let told = code == 4 && answer["error"]["message"].as_str().is_some_and(|m| m.contains("watson"));
    // Its cgroup is its own, so that it may be found there.
    let found = code == 0 && owner["user"] == "watson";
    expect!(told || found, "{code} {answer}");
    Ok(())
}

/// A port that PID 1 holds leads to the socket unit, and to the service behind it when that runs.
fn socket_unit(rig: &Rig) -> Result<()> {
    rig.unit("ports-act.service", "[Service]\nExecStart=/usr/local/bin/sleeper\n")?;
    for (address, port) in [("24007", 24_007), ("127.0.0.1:24008", 24_008), ("[::1]:24009", 24_009)] {
        let name = format!("ports-act-{port}");
        rig.unit(&format!("{name}.service"), "[Service]\nExecStart=/usr/local/bin/sleeper\n")?;
        rig.started(&format!("{name}.socket"), &format!("[Socket]\nListenStream={address}\n"))?;
        for user in ["eve", "root"] {
            let found = owner(rig, user, port)?;
            expect!(found["unit"] == format!("{name}.socket") && found["kind"] == "system-unit", "{user}: {found}");
        }
        rig.systemctl(["start", &format!("{name}.service")])?;
        for user in ["eve", "root"] {
            let found = owner(rig, user, port)?;
            expect!(found["unit"] == format!("{name}.service"), "{user}: {found}");
            let stop = &found["actions"]["stop"];
            expect!(stop["warnings"].to_string().contains(&format!("{name}.socket")), "{user}: {stop}");
        }
    }
    Ok(())
}

/// A container's own listener, in the host's network.
fn container(rig: &Rig) -> Result<()> {
    let argv = ["/usr/local/bin/llama-server", "--port", "24010"];
    let container = match rig.container_of("watson", "ports-box", "host", &argv)? {
        Ok(container) => container,
        Err(why) => {
            println!("ports::container: no container: {why}");
            return Ok(());
        }
    };
    for user in ["eve", "watson", "root"] {
        let found = owner(rig, user, 24_010)?;
        expect!(found["kind"] == "container", "{user}: {found}");
        expect!(
            found["container"]["id"] == container.id && found["container"]["runtime"] == "podman",
            "{user}: {found}"
        );
    }
    Ok(())
}

/// Two that share a port number at different addresses are two owners.
fn several(rig: &Rig) -> Result<()> {
    for host in ["127.0.0.2", "127.0.0.3"] {
        let name = format!("ports-{}.service", host.replace('.', "-"));
        let text =
            format!("[Service]\nUser=ollama\nExecStart=/usr/local/bin/llama-server --host {host} --port 24011\n");
        rig.started(&name, &text)?;
    }
    let eve = rig.as_user("eve");
    let count = |(answer, _): (Value, i32)| answer["owners"].as_array().map_or(0, Vec::len);
    eventually("both listen", || json(&eve, ["inspect", ":24011"]).is_ok_and(|a| count(a) == 2))?;
    let (answer, code) = json(&rig.as_root(), ["stop", ":24011", "--dry-run"])?;
    let choices = answer["error"]["choices"].as_array().cloned().unwrap_or_default();
    expect!(code == 2 && choices.len() == 2, "{answer}");
    Ok(())
}
