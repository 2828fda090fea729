//! `config check` and `config show`: whatever is in the file, one run says all of it.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use libtest_mimic::Failed;
use serde_json::Value;

use crate::trial::Trials;

pub fn register(trials: &mut Trials) {
    trials.plain("config::bad_input_is_exit_6", bad_input);
    trials.plain("config::a_good_file_is_shown", good);
    trials.plain("config::an_invalid_one_is_why_nothing_is_called_so", called_so);
    trials.plain("config::kinds_of_the_user", kinds);
    trials.plain("config::files_of_others_are_imported", imported);
}

fn config(folder: &Path, args: &[&str]) -> std::io::Result<Output> {
    Command::new(env!("CARGO_BIN_EXE_provost")).arg("config").args(args).current_dir(folder).output()
}

/// `kinds.toml` beside the user's own config; what is wrong in it is said with its place there.
fn kinds() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    fs::create_dir(folder.path().join("provost"))?;
    let (kinds, config) = (folder.path().join("provost/kinds.toml"), folder.path().join("c.toml"));
    fs::write(&kinds, "[kind.relay]\ncommand = ['relay', '${config_file}']\nreload.signal = 'USR1'\n")?;
    fs::write(&config, "[service.a]\nkind = 'relay'\nconfig_file = '/srv/a.conf'\n")?;
    let run = |word: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_provost"));
        let command = command.args(["config", word, "--user", "-o", "json"]).arg(&config);
        command.env("XDG_CONFIG_HOME", folder.path()).output()
    };
    let shown: Value = serde_json::from_slice(&run("show")?.stdout)?;
    let keys = &shown["service"]["a"];
    expect!(keys["command"][0] == "relay" && keys["reload"]["signal"].is_string(), "{shown}");
    fs::write(&kinds, "[kind.relay]\ncommnd = ['relay']\n")?;
    let wrong = run("check")?;
    let said = String::from_utf8_lossy(&wrong.stderr);
    expect!(wrong.status.code() == Some(6) && said.contains("kinds.toml:2:1: kind.relay.commnd"), "{said}");
    Ok(())
}

/// What an invalid config describes is not denied: its errors are the answer. One that is valid has none.
fn called_so() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    fs::create_dir(folder.path().join("provost"))?;
    let config = folder.path().join("provost/provost.toml");
    let run = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_provost"));
        let command = command.args(["--user", words[0], words[1]]).current_dir(folder.path());
        for name in ["XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR"] {
            command.env(name, folder.path());
        }
        command.output()
    };
    let words = ["start", "ensure", "stop", "restart", "reload", "status", "logs"];
    let words = words.iter().flat_map(|verb| [[verb, "consolle"], [verb, "service:consolle"]]);
    for words in words {
        fs::write(&config, "[service.consolle]\ncommand = ['x']\nport = 0\n")?;
        let output = run(&words)?;
        let said = String::from_utf8_lossy(&output.stderr);
        let is_told = said.contains("provost.toml:3:8: service.consolle.port: '0' is no port");
        expect!(output.status.code() == Some(6) && is_told, "{words:?}: {output:?}");
        fs::write(&config, "[service.other]\ncommand = ['x']\n")?;
        let output = run(&words)?;
        expect!(output.status.code() == Some(5), "{words:?}: {output:?}");
    }
    Ok(())
}

fn bad_input() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let deep = "[".repeat(10_000);
    let bomb: String = (0..40).map(|n| format!("a{}: &a{} [*a{n}, *a{n}]\n", n + 1, n + 1)).collect();
    let service = |keys: &str| format!("[service.a]\n{keys}\n");
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("empty.toml", Vec::new(), "it is empty"),
        ("large.toml", vec![b'#'; 50 << 20], "larger than 4 MiB"),
        ("deep.toml", format!("a = {deep}").into(), "nested too deep"),
        ("deep.yaml", deep.clone().into(), "nested deeper"),
        ("deep.json", deep.clone().into(), "nested deeper"),
        ("bytes.toml", b"a = \"\xff\"".to_vec(), "bytes.toml:1:6: it is not UTF-8"),
        ("twice.json", br#"{"service": {"a": {"command": "x"}, "a": {"command": "y"}}}"#.to_vec(), "twice.json:1:37:"),
        ("id.toml", b"[service.\"../x\"]\ncommand = 'x'".to_vec(), "'../x' is no service id"),
        ("words.toml", service("command = []").into(), "it has no words"),
        ("after.toml", service("command = 'x'\nafter = ['a']").into(), "after itself"),
        ("zero.toml", service("command = 'x'\nport = 0").into(), "zero.toml:3:8: service.a.port: '0' is no port"),
        ("port.toml", service("command = 'x'\nport = 99999").into(), "'99999' is no port"),
        ("negative.toml", service("command = 'x'\nrestart.base = '-1s'").into(), "is negative"),
        ("bomb.yaml", format!("a0: &a0 [x]\n{bomb}").into(), "stand for more than"),
    ];
    for (name, text, part) in cases {
        fs::write(folder.path().join(name), text)?;
        let output = config(folder.path(), &["check", name])?;
        let said = String::from_utf8_lossy(&output.stderr);
        expect!(output.status.code() == Some(6), "{name}: {output:?}");
        expect!(said.contains(part) && said.lines().count() == 1, "{name}: {said}");
        let output = config(folder.path(), &["check", "--json", name])?;
        let document: Value = serde_json::from_slice(&output.stdout)?;
        expect!(document["errors"].as_array().is_some_and(|errors| errors.len() == 1), "{name}: {document}");
    }
    Ok(())
}

fn good() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("p.yaml"), "defaults: {port: 1-9}\nservice:\n  a: {command: x y}\n")?;
    let output = config(folder.path(), &["check", "p.yaml"])?;
    let said = String::from_utf8_lossy(&output.stdout);
    expect!(output.status.success() && said == "p.yaml: valid; 1 service: a\n", "{output:?}");
    let document: Value = serde_json::from_slice(&config(folder.path(), &["show", "p.yaml", "--json"])?.stdout)?;
    let service = &document["service"]["a"];
    expect!(service["port"] == "1-9" && service["command"] == serde_json::json!(["x", "y"]), "{document}");
    // What is shown is a config again.
    fs::write(folder.path().join("q.toml"), config(folder.path(), &["show", "p.yaml"])?.stdout)?;
    let again: Value = serde_json::from_slice(&config(folder.path(), &["show", "q.toml", "--json"])?.stdout)?;
    expect!(again["service"] == document["service"], "{again}");
    let schema: Value = serde_json::from_slice(&config(folder.path(), &["schema"])?.stdout)?;
    expect!(schema["$schema"] == "https://json-schema.org/draft/2020-12/schema", "{schema}");
    Ok(())
}

/// Another supervisor's file: what is made of it is a config, and what is lost is said with its place.
fn imported() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let text = "[program:web]\r\ncommand=sleep %(ENV_TIME)s\r\nbogus=1\r\n[include]\r\nfiles=more/*.conf\r\n";
    fs::write(folder.path().join("supervisord.conf"), text)?;
    fs::create_dir(folder.path().join("more"))?;
    fs::write(folder.path().join("more/two.conf"), "[program:two]\ncommand=sleep 2\n")?;
    let output = config(folder.path(), &["import", "supervisord.conf"])?;
    let said = String::from_utf8_lossy(&output.stderr);
    expect!(output.status.success(), "{output:?}");
    expect!(said.contains("supervisord.conf:3:1: [program:web].bogus: not carried over"), "{said}");
    expect!(said.contains("2 services; 1 thing is not carried over"), "{said}");
    let checked = config(folder.path(), &["check", "provost.toml"])?;
    expect!(checked.status.success(), "{checked:?}");
    let again = config(folder.path(), &["import", "supervisord.conf"])?;
    expect!(again.status.code() == Some(6) && String::from_utf8_lossy(&again.stderr).contains("--force"), "{again:?}");
    let output = config(folder.path(), &["import", "supervisord.conf", "-o", "json", "--to", "-"])?;
    let document: Value = serde_json::from_slice(&output.stdout)?;
    expect!(document["format"] == "supervisord" && document["services"][1] == "two", "{document}");
    expect!(document["text"].as_str() == Some(&fs::read_to_string(folder.path().join("provost.toml"))?), "{document}");
    // What is run in place of an import says which verb is meant.
    let output = config(folder.path(), &["check", "supervisord.conf"])?;
    let said = String::from_utf8_lossy(&output.stderr);
    expect!(output.status.code() == Some(6) && said.contains("provost config import supervisord.conf"), "{said}");
    Ok(())
}
