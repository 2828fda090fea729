//! Configs that are no good, through `up` and `config check`: one clear error each, soon and in little memory, and nothing
//! is started.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::rig::Result;
use crate::trial::Trials;

pub fn register(trials: &mut Trials) {
    trials.plain("input::bad_configs", bad_configs);
    trials.plain("input::all_at_once", all_at_once);
}

/// Seconds of a processor that each may take, or it is killed. It takes a few hundredths; how long that is by the clock
/// depends on what else the machine does.
const PROCESSOR: u32 = 1;
/// None of them waits for anything.
const SOON: Duration = Duration::from_secs(20);
/// All of its address space, the program itself included, in KiB.
const MEMORY: u32 = 400_000;
const DEEP: usize = 10_000;

/// A file and how what is said of it goes on after its name.
type Case = (String, Vec<u8>, String);

fn bad_configs() -> Result<()> {
    let dir = tempfile::tempdir()?;
    for folder in ["state", "config", "run"] {
        fs::create_dir_all(dir.path().join(folder))?;
        fs::set_permissions(dir.path().join(folder), fs::Permissions::from_mode(0o700))?;
    }
    for (name, bytes, said) in written().into_iter().chain(values()) {
        let path = dir.path().join(&name);
        fs::write(&path, bytes)?;
        for verb in [&["config", "check"][..], &["up", "-d", "-c"], &["up", "-c"], &["down", "-c"]] {
            let since = Instant::now();
            let output = provost(dir.path(), &[verb, &[&name]].concat())?;
            let took = since.elapsed();
            let error = String::from_utf8_lossy(&output.stderr).into_owned();
            // What a config says is not needed to stop what runs of it: nothing does.
            let code = if verb[0] == "down" { 0 } else { 6 };
            expect!(output.status.code() == Some(code), "{verb:?} {name}: {output:?}");
            if code != 0 {
                let header = "provost: the config is invalid:";
                expect!(error.lines().filter(|line| *line != header).count() == 1, "{verb:?} {name}: {error}");
                expect!(says(&error, &name, &said), "{verb:?} {name}: no '{said}': {error}");
            }
            expect!(took < SOON, "{verb:?} {name}: {took:?}");
        }
        fs::remove_file(path)?;
    }
    let left = |folder: &str| fs::read_dir(dir.path().join(folder)).map_or(0, Iterator::count);
    expect!(left("state") == 0 && left("run/provost") == 0, "a daemon was started");
    Ok(())
}

/// `FILE:LINE:COLUMN: MESSAGE`, or `FILE: MESSAGE` where it is the file as a whole. What is expected begins with its place,
/// or with a blank where any place will do.
fn says(error: &str, name: &str, said: &str) -> bool {
    let Some((_, after)) = error.split_once(name) else { return false };
    if after.starts_with(said) && !said.starts_with(' ') {
        return true;
    }
    let mut parts = after.trim_start_matches(':').splitn(3, ':');
    let mut number = || parts.next().is_some_and(|part| part.parse::<usize>().is_ok_and(|n| n > 0));
    number()
        && number()
        && parts.next().is_some_and(|rest| rest.trim_start().starts_with(said.trim_start_matches([':', ' '])))
}

/// All that is wrong in a file is said in one run.
fn all_at_once() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let text = "[service.a]\ncommand = []\nport = 0\n[service.'../x']\nafter = ['a']\n[service.b]\nprot = 1\n";
    fs::write(dir.path().join("p.toml"), text)?;
    let output = provost(dir.path(), &["config", "check", "p.toml"])?;
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    for part in [":2:11: ", ":3:8: ", ":4:10: ", ":6:", ":7:1: service.b.prot: unknown key; did you mean \"port\"?"] {
        expect!(error.contains(&format!("p.toml{part}")), "no '{part}': {error}");
    }
    expect!(output.status.code() == Some(6), "{output:?}");
    Ok(())
}

fn provost(dir: &Path, args: &[&str]) -> Result<Output> {
    let mut command = Command::new("sh");
    let script = format!("ulimit -v {MEMORY} && ulimit -t {PROCESSOR} && exec \"$@\"");
    command.args(["-c", &script, "sh", env!("CARGO_BIN_EXE_provost"), "--user"]).args(args).current_dir(dir);
    for (name, folder) in [("XDG_STATE_HOME", "state"), ("XDG_CONFIG_HOME", "config"), ("XDG_RUNTIME_DIR", "run")] {
        command.env(name, dir.join(folder));
    }
    Ok(command.env_remove("DBUS_SESSION_BUS_ADDRESS").output()?)
}

/// What is no document that could be looked into.
fn written() -> Vec<Case> {
    let open = |text: &str| text.repeat(DEEP);
    let ladder: String = (0..DEEP / 8).map(|n| " ".repeat(n) + "a:\n").collect();
    let doubled: String = (0..64).map(|n| format!("a{}: &a{} [*a{n}, *a{n}]\n", n + 1, n + 1)).collect();
    let merged: String = (0..64).map(|n| format!("a{}: &a{}\n  <<: *a{n}\n  b: *a{n}\n", n + 1, n + 1)).collect();
    let mut cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("deep.toml", format!("a = {}{}", open("["), open("]")).into(), ":1:85: it is nested too deep"),
        ("tables.toml", format!("a = {}1{}", open("{a = "), open("}")).into(), ":1:405: it is nested too deep"),
        ("dotted.toml", format!("[{}a]", open("a.")).into(), ":1:1: it is nested too deep"),
        ("deep.yaml", format!("{}{}", open("["), open("]")).into(), ":1:65: it is nested deeper than 64"),
        ("lists.yaml", format!("{}x", open("- ")).into(), ":1:129: it is nested deeper than 64"),
        ("ladder.yaml", ladder.into(), ":65:65: it is nested deeper than 64"),
        ("deep.json", format!("{}{}", open("["), open("]")).into(), ":1:66: it is nested deeper than 64"),
        ("tables.json", format!("{}1{}", open("{\"a\":"), open("}")).into(), ":1:326: it is nested deeper than 64"),
        ("bomb.yaml", format!("a0: &a0 [x, x]\n{doubled}").into(), ": its anchors and aliases stand for more than"),
        ("merges.yaml", format!("a0: &a0 {{x: 1}}\n{merged}").into(), ": its anchors and aliases stand for more than"),
        ("itself.yaml", b"service: &a\n  x: *a\n".into(), ":2:6: this alias stands for a value that holds it"),
        ("bytes.toml", b"[service.a]\ncommand = \"\xff\"".into(), ":2:12: it is not UTF-8: byte 0xff"),
        ("bytes.yaml", b"service:\n  a: \xc3\x28".into(), ":2:6: it is not UTF-8: byte 0xc3"),
        ("bytes.json", b"{\"service\":\n {\"a\": \"\xff\"}}".into(), ":2:9: it is not UTF-8: byte 0xff"),
        ("twice.toml", b"[service.a]\ncommand = 'x'\n[service.a]\n".into(), ":3:10: a: it is there twice; keep one"),
        ("twice.yaml", b"service:\n  a: {command: x}\n  a: {command: y}".into(), ":3:3: a: it is there twice"),
        (
            "twice.json",
            b"{\"service\": {\"a\": {\"command\": \"x\"}, \"a\": {\"command\": \"y\"}}}".into(),
            ":1:37: a: it is there twice",
        ),
        ("cut.toml", b"[service.a]\ncommand = [\"x\"".into(), ":2:"),
        ("cut.json", b"{\"service\": {".into(), ":1:14: "),
        ("list.json", b"[1]".into(), ": it is no table: a config has keys such as service"),
        ("text.yaml", b"just words".into(), ": it is no table"),
        ("notes.txt", b"x".into(), ": its format is told by its name: .toml, .yaml, .yml or .json"),
    ];
    let large = vec![b' '; 50 << 20];
    for (name, text, said) in [
        ("empty.toml", "", ": it is empty: describe a service"),
        ("empty.yaml", "", ": it is empty: describe a service"),
        ("empty.json", "", ": it is empty: describe a service"),
        ("blank.json", " \n\n", ": it is empty: describe a service"),
        ("none.json", "{}", ": it is empty: describe a service"),
    ] {
        cases.push((name, text.into(), said));
    }
    for name in ["large.toml", "large.yaml", "large.json"] {
        cases.push((name, large.clone(), ": it is larger than 4 MiB, the most that is read"));
    }
    cases.into_iter().map(|(name, bytes, said)| (name.to_owned(), bytes, said.to_owned())).collect()
}

/// Values that cannot be meant, the same in each format.
fn values() -> Vec<Case> {
    let of = |id: &str, key: &str, value: Value| {
        let mut service = json!({ "command": ["x"] });
        service[key] = value;
        json!({ "service": { id: service } })
    };
    let word = |next: &str| json!({ "command": ["x"], "after": [next] });
    let circle = json!({ "service": { "a": word("b"), "b": word("c"), "c": word("a") } });
    let cases = [
        ("id", of("../x", "name", json!("n")), "service.\"../x\": '../x' is no service id: a letter or digit"),
        ("words", of("a", "command", json!([])), "service.a.command: it has no words: name at least the program"),
        ("blank", of("a", "command", json!("  ")), "service.a.command: it has no words: name at least the program"),
        ("self", of("a", "after", json!(["a"])), "service.a.after[0]: a service cannot start after itself"),
        ("circle", circle, "service.a.after: services that wait for each other never start: a → b → c → a"),
        ("zero", of("a", "port", json!(0)), "service.a.port: '0' is no port: a whole number from 1 to 65535"),
        ("port", of("a", "port", json!(99999)), "service.a.port: '99999' is no port: a whole number from 1 to 65535"),
        ("range", of("a", "port", json!("5-99999")), "service.a.port: '99999' is no port: a whole number"),
        ("ago", of("a", "restart", json!({"base": "-1s"})), "service.a.restart.base: '-1s' is negative: a duration"),
        ("stop", of("a", "stop", json!({"signals": ["TERM:-3s"]})), "service.a.stop.signals[0]: '-3s' is negative"),
    ];
    let mut all = Vec::new();
    for (name, document, said) in cases {
        // JSON is YAML as well, and TOML is made of it by hand.
        let text = serde_json::to_string_pretty(&document).unwrap_or_default();
        all.push((format!("{name}.json"), text.clone().into_bytes(), said.to_owned()));
        all.push((format!("{name}.yaml"), text.into_bytes(), said.to_owned()));
        let services = document["service"].as_object().into_iter().flatten();
        let table = |(id, keys): (&String, &Value)| {
            let keys =
                keys.as_object().into_iter().flatten().map(|(key, value)| format!("{key} = {}\n", inline(value)));
            format!("[service.\"{id}\"]\n{}", keys.collect::<String>())
        };
        all.push((format!("{name}.toml"), services.map(table).collect::<String>().into_bytes(), said.to_owned()));
    }
    // Where it is: a line and a column stand before each.
    all.into_iter().map(|(name, bytes, said)| (name, bytes, format!(" {said}"))).collect()
}

/// A value in TOML.
fn inline(value: &Value) -> String {
    match value {
        Value::Object(keys) => {
            let keys: Vec<String> = keys.iter().map(|(key, value)| format!("{key} = {}", inline(value))).collect();
            format!("{{ {} }}", keys.join(", "))
        }
        other => other.to_string(),
    }
}
