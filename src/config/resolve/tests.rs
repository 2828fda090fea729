use super::*;
use crate::config::{LoadOptions, parse};

fn spec(keys: &str) -> ServiceSpec {
    let text = format!("[service.other]\ncommand = 'o'\nport = '1-9'\nsocket = 's'\n[service.a]\n{keys}\n");
    let options = LoadOptions::default();
    let project = parse(Path::new("p.toml"), Path::new("/p/p.toml"), &text, &options).unwrap_or_else(|e| panic!("{e}"));
    project.services.into_iter().find(|spec| spec.id.as_str().starts_with('a')).unwrap()
}

fn resolved(keys: &str, env_file: Option<&str>) -> Result<Resolved, Malformed> {
    let environment = [("HOME", "/home/x"), ("PATH", "/bin"), ("EMPTY", "")];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let spec = spec(keys);
    resolve(
        &spec,
        &Surroundings {
            port: spec.port.map(|_| 4711),
            environment: &environment,
            whose: "of your shell was asked",
            env_file,
            others: &|id| (id.as_str() == "other").then_some((Some(7), None)),
            is_there: &|path| path == Path::new("/p/venv/bin/python"),
        },
    )
}

#[test]
fn a_start_is_made_of_the_description() {
    let keys =
        "command = ['./x', '--port', '${PORT}', '$$5', '${MODE}', '${FROM_FILE}']\nargs = ['${service.other.port}']
        port = 4711\nsocket = 'run/a.sock'\nconfig_file = '/etc/a'\ngpus = [2, 3]
        env = { PATH = '/x:${PATH}', MODE = '${MODE:-fast}', S = '${socket} ${config_file}' }
        ready = { unix = '${socket}', timeout = '5s' }\nreload = { exec = ['r', '${PORT}'] }\npid_file = 'a.pid'";
    let resolved = resolved(keys, Some("FROM_FILE=f\nMODE=slow\n")).unwrap();
    assert_eq!(resolved.argv, ["./x", "--port", "4711", "$5", "slow", "f", "7"]);
    assert_eq!(resolved.cwd, Path::new("/p"));
    assert_eq!(resolved.socket.as_deref(), Some("/p/run/a.sock"));
    assert_eq!(resolved.ready.unwrap().check, Check::Unix("/p/run/a.sock".into()));
    assert_eq!(resolved.reload, Some(Reload::Exec(vec!["r".into(), "4711".into()])));
    assert_eq!(resolved.pid_file.as_deref(), Some(Path::new("a.pid")));
    let expected = [
        ("CUDA_DEVICE_ORDER", "PCI_BUS_ID"),
        ("CUDA_VISIBLE_DEVICES", "2,3"),
        ("FROM_FILE", "f"),
        ("HIP_VISIBLE_DEVICES", "0,1"),
        ("MODE", "slow"),
        ("PATH", "/x:/bin"),
        ("PORT", "4711"),
        ("PROVOST_SERVICE", "a"),
        ("PROVOST_SOCKET", "/p/run/a.sock"),
        ("ROCR_VISIBLE_DEVICES", "2,3"),
        ("S", "/p/run/a.sock /etc/a"),
    ];
    assert_eq!(resolved.env, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
}

#[test]
fn scripts_have_an_interpreter() {
    let argv = |keys: &str| resolved(keys, None).unwrap().argv;
    assert_eq!(argv("script = 'x.py'\nargs = ['1']"), ["/p/venv/bin/python", "x.py", "1"]);
    assert_eq!(argv("script = 'x.py'\ncwd = 'sub'"), ["python3", "x.py"]);
    assert_eq!(argv("script = 'x.js'\ninterpreter = 'node'"), ["node", "x.js"]);
    assert_eq!(argv("script = 'x'\ncwd = '${HOME}/y'\ninstances = 1\nargs = ['${INSTANCE}']"), ["python3", "x", "1"]);
}

#[test]
fn what_is_missing_is_named() {
    for (keys, file, expected) in [
        (
            "command = ['x', '${PATH} ${HF_TOKEN}']",
            None,
            "command[1]: ${HF_TOKEN} is not set and has no default (the environment of your shell was asked)",
        ),
        ("command = 'x'\nenv = { A = '${A}' }", None, "env.A: ${A} is not set and has no default (the"),
        ("command = '${EMPTY}'", None, "command: the name of the program is empty"),
        ("command = 'x ${service.other.socket}'", None, "that service was not started yet"),
        ("command = 'x'\ncwd = '${EMPTY}y'", None, "cwd: '${EMPTY}y' with"),
        ("command = 'x'\nready.http = '${PATH}'", None, "ready.http: '${PATH}' with its variables replaced is no URL"),
        ("command = 'x'\nready.tcp = '${PATH}'", None, "ready.tcp: '${PATH}' with"),
        ("command = 'x'\nready.unix = '${F}'", Some("F=@"), "ready.unix: '${F}' with"),
        ("command = 'x'\nready.log = '${F}'", Some("F=(hush"), "ready.log: '${F}' with"),
        ("command = 'x'\nenv_file = 'e'", Some("A"), "env_file: /p/e: line 1: it is no NAME=VALUE"),
    ] {
        let error = resolved(keys, file).unwrap_err().to_string();
        assert!(error.contains(expected) && !error.contains("hush"), "{error}");
    }
}

#[test]
fn messages_have_checks_as_they_are_written() {
    let all = resolved(
        "command = 'x'\nport = 4711\nready.http = 'http://127.0.0.1:${PORT}/?key=${KEY}&${NO:-d}'\nreload.exec = ['r', '${KEY}', '${PORT}']",
        Some("KEY=hush"),
    )
    .unwrap();
    assert_eq!(all.ready.unwrap().check, Check::Http("http://127.0.0.1:4711/?key=hush&d".into()));
    assert_eq!(all.ready_shown, Some(Check::Http("http://127.0.0.1:4711/?key=${KEY}&${NO}".into())));
    assert_eq!(all.reload_shown, Some(Reload::Exec(["r", "${KEY}", "4711"].map(str::to_owned).to_vec())));
}
