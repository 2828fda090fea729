use serde_json::json;

use super::*;
use crate::config::keys::FILE;
use crate::config::read::{Format, read};

/// One service key, checked: the value, or the messages.
fn key(line: &str) -> Result<Value, String> {
    let (tree, faults) = read(Format::Toml, &format!("[service.x]\n{line}\n"));
    assert!(faults.is_empty(), "{line}: {faults:?}");
    let rules = Rules { system: false, home: Some(Path::new("/home/x")) };
    let mut checked = check(&tree.unwrap(), FILE, rules);
    match checked.faults.iter().map(|fault| format!("{}: {}", fault.key, fault.message)).collect::<Vec<_>>().join("|") {
        none if none.is_empty() => Ok(checked.value["service"]["x"].take()),
        messages => Err(messages),
    }
}

#[test]
fn values_come_out_in_the_form_of_the_types() {
    for (line, value) in [
        ("command = 'a \"b c\" d'", json!({"command": ["a", "b c", "d"]})),
        ("command = ['a', 1, 1.50, true]", json!({"command": ["a", "1", "1.50", "true"]})),
        ("command = '~/bin/x ~/y'", json!({"command": ["/home/x/bin/x", "~/y"]})),
        ("port = 8080", json!({"port": {"fixed": 8080}})),
        ("port = '8080'", json!({"port": {"fixed": 8080}})),
        ("port = '50000 - 60000'", json!({"port": {"range": [50000, 60000]}})),
        ("restart.base = '1.5s'", json!({"restart": {"base": "1s 500ms"}})),
        ("restart.base = 2", json!({"restart": {"base": "2s"}})),
        ("restart.jitter = 1", json!({"restart": {"jitter": 1.0}})),
        ("restart.tries = -1", json!({"restart": {"tries": -1}})),
        (
            "limits = { memory = '2G', cpu = '150%', nice = -20 }",
            json!({"limits": {"memory": "2G", "cpu": "150%", "nice": -20}}),
        ),
        ("limits.memory = 1024", json!({"limits": {"memory": "1K"}})),
        ("reload.signal = 'hup'", json!({"reload": {"signal": "SIGHUP"}})),
        (
            "stop.signals = ['TERM:30s', 'KILL']",
            json!({"stop": {"signals": [
                {"signal": "SIGTERM", "wait": {"secs": 30, "nanos": 0}},
                {"signal": "SIGKILL", "wait": {"secs": 5, "nanos": 0}},
            ]}}),
        ),
        (
            "stop.signals = 'INT:1s'",
            json!({"stop": {"signals": [{"signal": "SIGINT", "wait": {"secs": 1, "nanos": 0}}]}}),
        ),
        ("env = { A = 1, B = true, C = '${D:-}' }", json!({"env": {"A": "1", "B": "true", "C": "${D:-}"}})),
        ("socket = '~/s'", json!({"socket": "/home/x/s"})),
        ("ready.http = 'http://unix:${socket}:/health'", json!({"ready": {"http": "http://unix:${socket}:/health"}})),
        ("ready.tcp = '${HOST}:${PORT}'", json!({"ready": {"tcp": "${HOST}:${PORT}"}})),
        ("ready.log = 'listening on \\d+$'", json!({"ready": {"log": "listening on \\d+$"}})),
        ("meta = { a = [1, { b = 1.5 }] }", json!({"meta": {"a": [1, {"b": 1.5}]}})),
        (
            "systemd = { PrivateTmp = true, ReadWritePaths = ['/a'] }",
            json!({"systemd": {"PrivateTmp": true, "ReadWritePaths": ["/a"]}}),
        ),
        ("gpus = [0, '1']", json!({"gpus": ["0", "1"]})),
    ] {
        assert_eq!(key(line), Ok(value), "{line}");
    }
}

#[test]
fn each_wrong_value_is_said_once_with_its_key() {
    for (line, parts) in [
        ("prot = 1", ["service.x.prot", "did you mean \"port\"?"]),
        ("zzz = 1", ["service.x.zzz", "there are: name, command"]),
        ("port = 0", ["service.x.port", "'0' is no port"]),
        ("port = 99999", ["service.x.port", "'99999'"]),
        ("port = -1", ["service.x.port", "'-1'"]),
        ("port = '9-1'", ["service.x.port", "lower port first"]),
        ("port = true", ["service.x.port", "expected a port such as 8080, or a range"]),
        ("restart.base = '-1s'", ["service.x.restart.base", "is negative"]),
        ("restart.base = 'soon'", ["service.x.restart.base", "no duration"]),
        ("restart.max = '99years'", ["service.x.restart.max", "ten years"]),
        ("restart.max = []", ["service.x.restart.max", "expected a duration such as"]),
        ("restart.tries = -2", ["service.x.restart.tries", "from -1 to"]),
        ("restart.jitter = 1.5", ["service.x.restart.jitter", "from 0 to 1"]),
        ("restart.jitter = nan", ["service.x.restart.jitter", "from 0 to 1"]),
        (
            "restart.policy = 'sometimes'",
            ["restart.policy", "\"always\" or \"on-failure\" or \"never\", found \"sometimes\""],
        ),
        ("ready.timeout = 0", ["service.x.ready.timeout", "longer than 0s"]),
        ("ready.interval = '0ms'", ["service.x.ready.interval", "longer than 0s"]),
        ("ready.http = 'https://x'", ["service.x.ready.http", "https is not spoken"]),
        ("ready.tcp = 'x'", ["service.x.ready.tcp", "tcp"]),
        ("ready.log = '('", ["service.x.ready.log", "no regular expression"]),
        ("ready.notify = false", ["service.x.ready.notify", "expected true, found false"]),
        ("command = []", ["service.x.command", "no words"]),
        ("command = ''", ["service.x.command", "no words"]),
        ("command = ['']", ["service.x.command", "program is empty"]),
        ("command = 'a \"b'", ["service.x.command", "quote without its end"]),
        ("command = ['a', ['b']]", ["service.x.command[1]", "expected a string, found a list"]),
        ("command = ['a', '${b']", ["service.x.command[1]", "closing brace"]),
        ("command = \"a \\u0000\"", ["service.x.command", "NUL"]),
        ("args = ['${}']", ["service.x.args[0]", "no variable"]),
        ("args = 'a'", ["service.x.args", "expected a list"]),
        ("env = { 'A-B' = 'x' }", ["service.x.env.A-B", "letters, digits"]),
        ("env = { PROVOST_SERVICE = 'x' }", ["service.x.env.PROVOST_SERVICE", "provost itself"]),
        ("env = 'x'", ["service.x.env", "names of environment variables"]),
        ("cwd = ''", ["service.x.cwd", "empty"]),
        ("cwd = '~bob/x'", ["service.x.cwd", "your own home only"]),
        ("limits.memory = '2X'", ["service.x.limits.memory", "no size"]),
        ("limits.memory = 0", ["service.x.limits.memory", "more than 0"]),
        ("limits.cpu = 150", ["service.x.limits.cpu", "\"150%\""]),
        ("limits.nice = 20", ["service.x.limits.nice", "from -20 to 19, found 20"]),
        ("stop.signals = []", ["service.x.stop.signals", "empty"]),
        ("stop.signals = ['FOO:1s']", ["service.x.stop.signals[0]", "no signal"]),
        ("stop.signals = ['TERM:-1s']", ["service.x.stop.signals[0]", "negative"]),
        ("stop = ['TERM']", ["service.x.stop", "a table with keys such as signals"]),
        ("memory = '2G'", ["service.x.memory", "did you mean \"limits.memory\"?"]),
        ("instances = 0", ["service.x.instances", "from 1 to 10000"]),
        ("enabled = 'yes'", ["service.x.enabled", "expected true or false, found \"yes\""]),
        ("enabled = 2020-01-01", ["service.x.enabled", "found a date"]),
        ("user = 'bob'", ["service.x.user", "only the system instance"]),
        ("backend = 'docker'", ["service.x.backend", "\"auto\" or"]),
        ("name = \"a\\nb\"", ["service.x.name", "more than one line"]),
        ("after = ['../x']", ["service.x.after[0]", "no service id"]),
        ("systemd = { BindPaths = { b = 1 } }", ["service.x.systemd.BindPaths", "found a table"]),
        ("systemd = { ProtectSystm = 'strict' }", ["service.x.systemd.ProtectSystm", "near it: ProtectSystem"]),
        ("systemd = { Zzz = 1 }", ["service.x.systemd.Zzz", "provost config schema lists them"]),
        ("systemd = { ProtectSystem = 'all' }", ["service.x.systemd.ProtectSystem", "takes true, false, full, strict"]),
        ("systemd = { CPUWeight = true }", ["service.x.systemd.CPUWeight", "takes 1 to 10000"]),
        ("systemd = { Restart = 'always' }", ["service.x.systemd.Restart", "write restart = {"]),
        ("meta = { a = inf }", ["service.x.meta.a", "JSON has no such number"]),
        (
            "socket = 'x'\nready.unix = '/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'",
            ["service.x.ready.unix", "107 bytes"],
        ),
    ] {
        let error = key(line).unwrap_err();
        assert!(!error.contains('|') || line.contains('|'), "{line}: more than one: {error}");
        for part in parts {
            assert!(error.contains(part), "{line}: {error}");
        }
    }
}
