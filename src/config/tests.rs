use std::path::Path;

use super::*;
use crate::model::service::*;

fn options() -> LoadOptions {
    LoadOptions { system: false, home: Some("/home/x".into()) }
}

fn parsed(name: &str, text: &str) -> Result<Project, Errors> {
    parse(Path::new(name), &Path::new("/p").join(name), text, &options())
}

fn good(text: &str) -> Project {
    parsed("provost.toml", text).unwrap_or_else(|errors| panic!("{text}\n{errors}"))
}

fn ids(project: &Project) -> Vec<&str> {
    project.services.iter().map(|spec| spec.id.as_str()).collect()
}

const ALL: &str = r#"
[defaults]
restart = { base = "2s", jitter = 0.5 }
env = { A = "1", B = "x" }
ready = { timeout = "9s" }

[paths]
pid_dir = "run"
[daemon]
on_stop = "stop"
[orphans]
match = ["llama-server"]

[service.z]
command = "llama-server --port ${PORT}"
name = "Z"
cwd = "./models/."
env = { A = "2", KEY = "${HF_TOKEN}", PATH = "/x:${PATH:-}" }
env_file = "z.env"
port = "50000-60000"
ready = { http = "http://127.0.0.1:${PORT}/health" }
pid_file = "z.pid"
meta = { model = "m", gpu = 0 }
gpus = [0]

[service.a]
script = "agent.py"
args = ["--model", "${MODEL:-gpt-4}", "${B}"]
after = ["z"]
instances = 2
socket = "/tmp/a-${INSTANCE}.sock"
reload = { signal = "HUP" }
env = { Z = "${service.z.port}" }
limits = { tasks = 7 }
log = { file = true, path = "logs", keep_for = "0s", compress = "none" }
"#;

#[test]
fn a_file_becomes_services() {
    let project = good(ALL);
    assert_eq!(ids(&project), ["z", "a-1", "a-2"]);
    assert_eq!(project.paths.pid_dir.as_deref(), Some(Path::new("/p/run")));
    assert_eq!(project.daemon.on_stop, Some(OnStop::Stop));
    assert_eq!(project.orphans.names, ["llama-server"]);
    assert!(project.warnings.is_empty(), "{:?}", project.warnings);
    let [z, _, a2] = project.services.as_slice() else { panic!() };
    assert_eq!(z.project.as_deref(), Some(Path::new("/p/provost.toml")));
    assert_eq!(z.cwd, Path::new("/p/models"));
    assert_eq!(z.env_file.as_deref(), Some(Path::new("/p/z.env")));
    assert_eq!(z.pid_file.as_deref(), Some(Path::new("z.pid")));
    assert_eq!(z.port, Some(PortSpec::Range(50000, 60000)));
    assert_eq!((z.env["A"].as_str(), z.env["B"].as_str()), ("2", "x"));
    assert_eq!((z.restart.base, z.restart.max, z.restart.jitter), (Span::secs(2), Span::secs(30), 0.5));
    let ready = z.ready.as_ref().unwrap();
    assert_eq!((ready.timeout, ready.interval), (Span::secs(9), Span::millis(200)));
    assert_eq!(a2.instance_of, Some(("a".parse().unwrap(), 2)));
    assert_eq!(a2.after, ["z".parse().unwrap()]);
    assert_eq!(a2.program, Program::Script { path: "agent.py".into(), interpreter: None });
    assert_eq!((a2.cwd.as_path(), &a2.ready, a2.limits.tasks), (Path::new("/p"), &None, Some(7)));
    let log = LogSpec {
        file: true,
        path: Some("/p/logs".into()),
        keep_for: Span::secs(0),
        compress: Compression::None,
        ..LogSpec::default()
    };
    assert_eq!(a2.log, log);
    let names: Vec<String> = environment_names(&project.services).into_iter().collect();
    assert_eq!(names, ["HF_TOKEN", "MODEL", "PATH"]);
}

#[test]
fn the_three_formats_say_the_same() {
    let toml = good("[service.b]\ncommand = ['x', '1']\nport = 80\n[service.a]\ncommand = 'y'\nafter = ['b']\n");
    let yaml = "service:\n  b: &b\n    command: [x, 1]\n    port: 80\n  a:\n    <<: *b\n    port: 81\n    command: y\n    after: [b]\n";
    let yaml = parsed("provost.yaml", yaml).unwrap();
    let json = r#"{"service": {"b": {"command": ["x", 1], "port": 80}, "a": {"command": "y", "after": ["b"]}}}"#;
    let json = parsed("provost.json", json).unwrap();
    for other in [yaml, json] {
        assert_eq!(ids(&other), ["b", "a"]);
        for (one, two) in toml.services.iter().zip(other.services) {
            assert_eq!(one.program, two.program);
            assert_eq!(one.after, two.after);
        }
    }
}

#[test]
fn all_errors_of_a_file_come_in_one_run_with_their_places() {
    for (name, text, expected) in [
        (
            "c.toml",
            "[service.agent]\ncommand = 5\nprot = 1\n\n[defaults]\nport = 0\n[service.\"../x\"]\ncommand = 'y'\n",
            "c.toml:2:11: service.agent.command: expected a command such as [\"program\", \"argument\"] or \"program argument\", found 5\n\
             c.toml:3:1: service.agent.prot: unknown key; did you mean \"port\"?\n\
             c.toml:6:8: defaults.port: '0' is no port: a whole number from 1 to 65535, or a range \"50000-60000\"\n\
             c.toml:7:10: service.\"../x\": '../x' is no service id: a letter or digit, then up to 62 letters, digits, '_', '.' or '-'",
        ),
        (
            "c.yaml",
            "service:\n  é: {command: x}\n  b:\n    comand: x\n    enabled: maybe\n",
            "c.yaml:2:3: service.\"é\": 'é' is no service id: a letter or digit, then up to 62 letters, digits, '_', '.' or '-'\n\
             c.yaml:3:3: service.b: it has neither command nor script: write one of the two\n\
             c.yaml:4:5: service.b.comand: unknown key; did you mean \"command\"?\n\
             c.yaml:5:14: service.b.enabled: expected true or false, found \"maybe\"",
        ),
        (
            "c.json",
            "{\"service\": {\"a\": {\"command\": [\"x\"],\n \"port\": 99999, \"port\": 1},\n \"a\": {}}}",
            "c.json:2:10: service.a.port: '99999' is no port: a whole number from 1 to 65535, or a range \"50000-60000\"\n\
             c.json:2:17: port: it is there twice; keep one of them\n\
             c.json:3:2: a: it is there twice; keep one of them",
        ),
        ("c.toml", "a = \n", "c.toml:1:5: "),
        ("c.json", "{\"a\": }", "c.json:1:7: expected a JSON value"),
        ("c.yaml", "a: [1\nb: 2\n", "c.yaml:"),
    ] {
        let errors = parsed(name, text).unwrap_err().to_string();
        assert!(errors.starts_with(expected), "{errors}\n-- is not --\n{expected}");
    }
}

#[test]
fn what_concerns_several_keys_or_services() {
    let two = |a: &str, b: &str| format!("[service.a]\ncommand = 'x'\n{a}\n[service.b]\ncommand = 'y'\n{b}\n");
    for (text, part) in [
        (
            two("after = ['b']", "after = ['a']"),
            "provost.toml:3:1: service.a.after: services that wait for each other never start: a → b → a",
        ),
        (two("after = ['a']", ""), "provost.toml:3:10: service.a.after[0]: a service cannot start after itself"),
        (two("after = ['bb']", ""), "service.a.after[0]: no service is called \"bb\"; did you mean \"b\"?"),
        (two("port = 80", "port = '80'"), "service.b.port: 80 is that of service a too"),
        (two("socket = 's'", "socket = '/p/s'"), "service.b.socket: /p/s is that of service a too"),
        (two("pid_file = 's.pid'", "pid_file = 's.pid'"), "service.b.pid_file: "),
        (two("", "pid_file = 'a.pid'"), "service.b.pid_file: a.pid is that of service a too"),
        (two("pid_file = './b.pid'", ""), "service.a.pid_file: b.pid is that of service b too"),
        (two("instances = 2", "pid_file = 'a-2.pid'"), "service.b.pid_file: a-2.pid is that of service a too"),
        (two("pid_file = '../s.pid'", ""), "leaves the folder of pid files"),
        (two("instances = 2\nport = 80", ""), "service.a.port: 2 instances cannot share port 80"),
        (two("instances = 3\nport = '80-81'", ""), "fewer ports than there are instances, 3"),
        (
            two("port = 8123", "port = '8123-8123'"),
            "service.b.port: it needs 1 of 8123-8123, and the fixed ports of others leave 0: those of a",
        ),
        (
            two("instances = 2\nport = '80-81'", "port = 81"),
            "service.a.port: it needs 2 of 80-81, and the fixed ports of others leave 1: those of b",
        ),
        (two("instances = 2\nsocket = '/s'", ""), "write ${INSTANCE} in it"),
        (
            two("instances = 1\n[service.a-1]\ncommand = 'z'", ""),
            "service.a.instances: the id of its instance a-1 is also made by service a-1",
        ),
        (two("args = ['${service.c.port}']", ""), "service.a.args[0]: no service is called \"c\""),
        (two("args = ['${service.b.port}']", ""), "service b has no port"),
        (two("args = ['${service.b.socket}']", ""), "service b has no socket"),
        (two("args = ['${service.b.port}']", "port = '1-9'\ninstances = 2"), "name one, such as b-1"),
        (two("args = ['${PORT}']", ""), "${PORT}: this service has no port"),
        (two("args = ['${INSTANCE}']", ""), "this service has no instances"),
        (two("args = ['${socket}']", ""), "this service has no socket"),
        (two("args = ['${a.b}']", ""), "${a.b} is no variable that there is"),
        (two("socket = '${socket}'", ""), "is what is described here"),
        (two("script = 'x.py'", ""), "service.a.script: there is a command too"),
        (two("interpreter = 'x'", ""), "service.a.interpreter: it goes with a script"),
        (two("ready = { timeout = '1s' }", ""), "service.a.ready: it lacks what it is: one of http"),
        (two("ready = { tcp = 'x:1', notify = true }", ""), "service.a.ready.notify: there is tcp too"),
        (two("reload = {}", ""), "service.a.reload: it lacks what it is: one of signal, exec"),
        (
            two("restart = { base = '60s' }", ""),
            "service.a.restart.base: the first delay, 1m, is longer than the longest, max = 30s",
        ),
        (
            "[defaults]\nport = 80\n[service.a]\ncommand='x'\n[service.b]\ncommand='y'".to_owned(),
            "provost.toml:2:1: defaults.port: 80 is that of service a too",
        ),
        ("[service.x]\n".to_owned(), "provost.toml:1:10: service.x: it has neither command nor script"),
        ("[service]\nx = 1\n".to_owned(), "service.x: expected a table with keys such as name, command"),
    ] {
        let errors = parsed("provost.toml", &text).unwrap_err();
        assert!(errors.to_string().contains(part), "{text}\n{errors}");
        assert_eq!(errors.0.len(), 1, "{errors}");
    }
}

#[test]
fn services_may_have_what_is_only_near_that_of_another() {
    for keys in [
        ["port = 8123", "port = '8123-8124'"],
        ["instances = 2\npid_file = 'a-${INSTANCE}.pid'", "pid_file = 'b.pid'"],
        ["", "pid_file = '/elsewhere/a.pid'"],
    ] {
        let text = format!("[service.a]\ncommand = 'x'\n{}\n[service.b]\ncommand = 'y'\n{}\n", keys[0], keys[1]);
        assert!(parsed("provost.toml", &text).is_ok(), "{text}");
    }
}

#[test]
fn what_is_probably_not_meant_is_a_warning() {
    for (keys, part) in [
        ("command = 'a | b'", "service.a.command: '|' is given to the program"),
        ("command = 'a'\nmeta = { pid = 1 }", "service.a.meta.pid: the registry shows its own"),
        ("command = 'a'\nlog = { keep_size = '10M' }", "service.a.log.keep_size: keep_size, 10M, is less than"),
        ("command = 'a'\nargs = ['${service.b.port}']", "write after = [\"b\"] too"),
    ] {
        let project = good(&format!("[service.a]\n{keys}\n[service.b]\ncommand = 'b'\nport = '1-9'\n"));
        assert_eq!(project.warnings.len(), 1);
        assert!(project.warnings[0].to_string().contains(part), "{}", project.warnings[0]);
    }
    let text = "[service.a]\ncommand = 'a ${service.b.port}'\nafter = ['c']\n[service.c]\ncommand = 'c'\nafter = ['b']\n[service.b]\ncommand='b'\nport = '1-9'\n";
    assert!(good(text).warnings.is_empty());
}

#[test]
fn bad_input_is_one_clear_error() {
    let deep = |open: &str, close: &str| format!("{}{}", open.repeat(10_000), close.repeat(10_000));
    let bomb: String = (0..40).map(|n| format!("a{}: &a{} [*a{n}, *a{n}]\n", n + 1, n + 1)).collect();
    for (name, text, part) in [
        ("c.toml", "# nothing\n".to_owned(), "it is empty"),
        ("c.yaml", "---\n".to_owned(), "it is empty"),
        ("c.json", "{}".to_owned(), "it is empty"),
        ("c.json", String::new(), "it is empty"),
        ("c.json", "[]".to_owned(), "it is no table"),
        ("c.yaml", "just words".to_owned(), "it is no table"),
        ("c.ini", "a=1".to_owned(), "its format is told by its name"),
        ("c.toml", format!("a = {}", deep("[", "]")), "nested too deep"),
        ("c.toml", format!("a = {}", "{b=".repeat(10_000)), "nested too deep"),
        ("c.json", format!("{{\"a\": {}}}", deep("[", "]")), "nested deeper than 64"),
        ("c.json", "{\"a\":".repeat(10_000), "nested deeper than 64"),
        ("c.yaml", format!("a: {}", deep("[", "]")), "nested deeper than 64"),
        ("c.yaml", (0..10_000).map(|n| format!("{}a:\n", " ".repeat(n))).take(500).collect(), "nested deeper than 64"),
        ("c.yaml", format!("a0: &a0 [x]\n{bomb}"), "its anchors and aliases stand for more than 100000 values"),
        ("c.yaml", "a: &a [*a]".to_owned(), "c.yaml:1:8: "),
        ("c.yaml", "a: 1\n---\nb: 1\n".to_owned(), "a second document"),
        ("c.yaml", "a: !x 1".to_owned(), "the tag !x"),
        ("c.yaml", "? [a]\n: 1".to_owned(), "a list cannot be a key"),
        (
            "c.toml",
            "[service.a]\ncommand='x'\n[service.a]\ncommand='y'".to_owned(),
            "c.toml:3:10: a: it is there twice; keep one of them",
        ),
        (
            "c.yaml",
            "service:\n  a: {command: x}\n  a: {command: y}\n".to_owned(),
            "c.yaml:3:3: a: it is there twice; keep one of them",
        ),
        (
            "c.toml",
            "[service.a]\ncommand='x'\n[defaults]\nport = 99999999999999999999".to_owned(),
            "found 99999999999999999999",
        ),
        ("c.json", r#"{"a": "\ud800"}"#.to_owned(), "not valid"),
        ("c.json", "{\"a\": 1e999}".to_owned(), "no JSON number"),
        ("c.json", "{\"a\": 1} x".to_owned(), "more after the end"),
        (
            "c.toml",
            format!("[defaults]\nmeta.x = '{}'\n[service.a]\ncommand = 'x'\ninstances = 10000\n", "x".repeat(100_000)),
            "more than 64 MiB",
        ),
        (
            "c.toml",
            "[defaults]\ninstances = 2000\ncommand = 'x'\n[service.a]\n[service.b]\nafter = ['a']\n".to_owned(),
            "more than 1000000",
        ),
    ] {
        let errors = parsed(name, &text).unwrap_err();
        let said = errors.to_string();
        assert!(said.contains(part), "{}: {said}", crate::text::clip(&text));
        assert!(said.len() < 400, "{said}");
        assert_eq!(errors.0.len(), 1, "{said}");
    }
}

#[test]
fn the_system_instance_has_users_and_no_home() {
    let options = LoadOptions { system: true, home: None };
    let read = |text: &str| parse(Path::new("p.toml"), Path::new("/etc/provost/p.toml"), text, &options);
    let project = read("[service.a]\ncommand = 'x'\nuser = 'ollama'\n").unwrap();
    assert_eq!(project.services[0].user.as_deref(), Some("ollama"));
    let errors = read("[service.a]\ncommand = 'x'\ncwd = '~/x'\nuser = 'a b'").unwrap_err().to_string();
    assert!(errors.contains("no home folder") && errors.contains("no name of a user"), "{errors}");
}

#[test]
fn the_system_instance_keeps_output_in_its_own_folder() {
    let options = LoadOptions { system: true, home: None };
    let read = |table: &str, path: &str, options: &LoadOptions| {
        let text = format!("[service.j]\ncommand = 'x'\n[{table}]\npath = '{path}'\n");
        let path = Path::new("/etc/provost/provost.toml");
        parse(path, path, &text, options).map(drop).map_err(|errors| errors.to_string())
    };
    for path in ["/var/log/provost/j", "/var/log/provost/${A}", "${A}"] {
        assert_eq!(read("service.j.log", path, &options), Ok(()), "{path}");
    }
    for path in ["/tmp/evil", "/srv/lg", "logs", "/var/log/provost/../x", "/var/log/provosts", "/srv/${A}"] {
        let said = read("service.j.log", path, &options).unwrap_err();
        assert!(said.contains(":4:1: service.j.log.path: /"), "{said}");
        assert!(said.contains(" is not below /var/log/provost: "), "{said}");
        assert!(read("service.j.log", path, &LoadOptions::default()).is_ok());
    }
    assert!(read("defaults.log", "/srv", &options).unwrap_err().contains(":4:1: defaults.log.path: /srv"));
}

#[test]
fn the_system_instance_has_commands_for_its_services() {
    let options = LoadOptions { system: true, home: None };
    let text = "[service.a]\ncommand = 'x'\nuser = 'u'\nready = { exec = ['id'] }\nreload = { exec = 'id' }";
    let project = parse(Path::new("p.toml"), Path::new("/etc/provost/p.toml"), text, &options).unwrap();
    assert!(project.services[0].ready.is_some() && project.services[0].reload.is_some());
}

#[test]
fn what_is_shown_reads_back() {
    let project = good(ALL);
    for spec in project.services.iter().filter(|spec| spec.instance_of.is_none()) {
        let text = written_toml(spec.id.as_str(), &written(spec));
        let again = good(&text);
        assert_eq!(&again.services[0], spec, "{text}");
    }
    let odd = "[service.\"a.b\"]\ncommand = [\"x\", \"\\u001b[2J\\\"\\\\\\n é $$\"]\nmeta = { \"a b\" = { x = [] }, y = {} }\n";
    let project = good(odd);
    let text = written_toml("a.b", &written(&project.services[0]));
    assert!(!text.contains('\x1b'));
    assert_eq!(good(&text).services, project.services, "{text}");
}

#[test]
fn the_defaults_that_are_told_are_those_that_are_used() {
    let bare = &good("[service.a]\ncommand = 'x'").services[0];
    fn said(keys: &[keys::Key]) -> serde_json::Map<String, Value> {
        let one = |key: &keys::Key| {
            let value = match key.kind {
                keys::Kind::Table(inner) => Value::Object(said(inner)),
                _ => serde_json::from_str(key.default).ok()?,
            };
            Some((key.name.to_owned(), value))
        };
        keys.iter().filter_map(one).filter(|(_, value)| value.as_object().is_none_or(|t| !t.is_empty())).collect()
    }
    let mut said = said(keys::SERVICE);
    said.remove("ready");
    let mut health = said.remove("health").unwrap();
    health.as_object_mut().unwrap().retain(|_, value| !value.is_object());
    let mut of_health = serde_json::to_value(crate::model::service::HealthSpec::default()).unwrap();
    of_health.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    assert_eq!(of_health, health);
    let watch = serde_json::to_value(crate::model::service::WatchSpec::default()).unwrap();
    assert_eq!(said.remove("watch"), Some(watch));
    said.remove("interpreter");
    let mut shown = written(bare);
    shown.remove("command");
    // Shown are only values that are something; a signal has its full name there.
    shown.insert("cwd".into(), ".".into());
    shown.insert("stop".into(), serde_json::json!({"signals": ["TERM:30s", "KILL"]}));
    said.retain(|_, value| value.as_array().is_none_or(|items| !items.is_empty()));
    assert_eq!(Value::Object(shown), Value::Object(said));
}

#[test]
fn our_example_is_valid() {
    let text = include_str!("../../examples/ocg/provost.toml");
    let project = good(text);
    assert_eq!(ids(&project), ["embedding", "agent", "gateway"]);
    assert!(project.warnings.is_empty(), "{:?}", project.warnings);
}
