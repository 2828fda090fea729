use super::*;
use serde_json::json;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

const TOML: &str = "\
# the fleet
[defaults]
restart = { max = \"5s\" } # soon

[service.web] # the front
command = [\"sleep\", \"1\"] # one
port = 8080

[service.web.env]
# what it is told
A = \"1\"

[service.db]
command = \"sleep 2\"
";

fn file(name: &str, text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, text).unwrap();
    (folder, path)
}

fn read(path: &Path) -> Document {
    Document::read(path, &LoadOptions::default()).unwrap()
}

/// The lines that differ.
fn difference(old: &str, new: &str) -> Vec<String> {
    let gone = old.lines().filter(|line| !new.lines().any(|other| other == *line)).map(|line| format!("-{line}"));
    let come = new.lines().filter(|line| !old.lines().any(|other| other == *line)).map(|line| format!("+{line}"));
    gone.chain(come).collect()
}

#[test]
fn toml_keeps_comments_and_order() {
    let (_folder, path) = file("provost.toml", TOML);
    let mut document = read(&path);
    assert_eq!(document.get(&["service", "web", "port"]), Some(json!(8080)));
    document.set(&["service", "web", "command"], json!(["sleep", "3"])).unwrap();
    document.set(&["service", "web", "env", "B"], json!("2")).unwrap();
    document.set(&["service", "db", "env", "C"], json!("x")).unwrap();
    document.set(&["daemon", "on_stop"], json!("keep")).unwrap();
    assert!(document.unset(&["service", "web", "port"]).unwrap());
    assert!(!document.unset(&["service", "web", "port"]).unwrap());
    document.merge(&["service", "new"], &json!({"command": ["x"], "env": {"D": "1", "E": null}})).unwrap();
    document.write(None).unwrap();
    let new = fs::read_to_string(&path).unwrap();
    assert_eq!(
        difference(TOML, &new),
        [
            "-command = [\"sleep\", \"1\"] # one",
            "-port = 8080",
            "+command = [\"sleep\", \"3\"] # one",
            "+B = \"2\"",
            "+env = { C = \"x\" }",
            "+[service.new]",
            "+command = [\"x\"]",
            "+env = { D = \"1\" }",
            "+[daemon]",
            "+on_stop = \"keep\"",
        ],
        "{new}"
    );
}

const YAML: &str = "\
# the fleet
service:
  web: # the front
    command: [sleep, \"1\"] # one
    env:
      # what it is told
      A: '1'
      ON: \"yes\"
    meta: {a: 1, b: {c: 2}}
  # the base
  db:
    command: sleep 2
    meta:
      text: |
        two
        lines
      list:
        - one
        - two
";

#[test]
fn yaml_keeps_what_does_not_change() {
    let (_folder, path) = file("provost.yaml", YAML);
    let change = |how: &dyn Fn(&mut Document)| {
        let mut document = read(&path);
        how(&mut document);
        difference(YAML, document.text())
    };
    type Change = Box<dyn Fn(&mut Document)>;
    let set = |path: &'static [&'static str], value: Value| -> Change {
        Box::new(move |document: &mut Document| {
            document.set(path, value.clone()).unwrap_or_else(|error| panic!("{path:?}: {error}"))
        })
    };
    let unset = |path: &'static [&'static str]| -> Change {
        Box::new(move |document: &mut Document| assert!(document.unset(path).unwrap()))
    };
    let cases: Vec<(Change, &[&str])> = vec![
        (set(&["service", "web", "env", "A"], json!("2")), &["-      A: '1'", "+      A: \"2\""]),
        (set(&["service", "web", "env", "B"], json!("no")), &["+      B: \"no\""]),
        (
            set(&["service", "web", "command"], json!(["a b"])),
            &["-    command: [sleep, \"1\"] # one", "+    command: [\"a b\"] # one"],
        ),
        (
            set(&["service", "web", "meta", "b", "d"], json!(3)),
            &["-    meta: {a: 1, b: {c: 2}}", "+    meta: {a: 1, b: {c: 2, d: 3}}"],
        ),
        (
            set(&["service", "db", "meta", "text"], json!("one")),
            &["-      text: |", "-        two", "-        lines", "+      text: one"],
        ),
        (
            set(&["service", "db", "meta", "list"], json!({"a": "b"})),
            &["-        - one", "-        - two", "+        a: b"],
        ),
        (set(&["service", "db", "env", "X"], json!("y")), &["+      X: \"y\""]),
        (set(&["daemon", "on_stop"], json!("keep")), &["+daemon:", "+  on_stop: keep"]),
        (unset(&["service", "web", "env", "A"]), &["-      A: '1'"]),
        (unset(&["service", "web", "meta", "a"]), &["-    meta: {a: 1, b: {c: 2}}", "+    meta: {b: {c: 2}}"]),
        (unset(&["service", "web", "meta", "b", "c"]), &["-    meta: {a: 1, b: {c: 2}}", "+    meta: {a: 1, b: {}}"]),
        (unset(&["service", "db", "meta", "list"]), &["-      list:", "-        - one", "-        - two"]),
        (
            unset(&["service", "web"]),
            &[
                "-  web: # the front",
                "-    command: [sleep, \"1\"] # one",
                "-    env:",
                "-      # what it is told",
                "-      A: '1'",
                "-      ON: \"yes\"",
                "-    meta: {a: 1, b: {c: 2}}",
            ],
        ),
    ];
    for (how, expected) in cases {
        assert_eq!(change(&*how), expected);
    }
    let mut document = read(&path);
    document.merge(&[], &json!({"service": {"web": null, "db": {"meta": {"list": [1]}}}})).unwrap();
    document.write(None).unwrap();
    assert_eq!(read(&path).get(&["service", "db", "meta", "list"]), Some(json!([1])));
}

#[test]
fn yaml_that_cannot_be_changed_is_not() {
    let text = "service:\n  a: &x\n    command: [x]\n  b: *x\n";
    let (_folder, path) = file("provost.yaml", text);
    let mut document = read(&path);
    let error = document.set(&["service", "a", "command"], json!(["y"])).unwrap_err();
    assert!(error.to_string().contains("with an editor"), "{error}");
    assert_eq!(document.text(), text);
    for (text, path, value) in [
        ("", &["a"][..], json!({"b": [1, {"c": null}]})),
        ("# only this\n", &["a", "b"], json!("x: y")),
        ("a:\n", &["a", "b"], json!(1.5)),
        ("a: {}\n", &["a", "b"], json!({"c": {}})),
        ("\"a b\": 1", &["a b"], json!({"c": ["#"]})),
        ("a:\r\n  b: 1\r\nc: 2\r\n", &["a", "d"], json!("e")),
    ] {
        let (_folder, file) = file("x.yml", text);
        let mut document = read(&file);
        document.set(path, value.clone()).unwrap();
        assert_eq!(document.get(path), Some(value), "{text}");
    }
}

#[test]
fn json_keeps_its_order() {
    let text = "{\n    \"service\": {\n        \"web\": {\n            \"command\": [\"x\"],\n            \
                \"args\": [1.10]\n        }\n    }\n}\n";
    let (_folder, path) = file("provost.json", text);
    let mut document = read(&path);
    document.set(&["service", "web", "cwd"], json!("/")).unwrap();
    document.set(&["service", "a", "command"], json!(["y"])).unwrap();
    let new = document.text();
    assert!(
        new.contains("            \"args\": [1.10],\n            \"cwd\": \"/\"\n        },\n        \"a\""),
        "{new}"
    );
    document.unset(&["service", "a"]).unwrap();
    document.unset(&["service", "web", "cwd"]).unwrap();
    assert_eq!(document.text(), text);
}

#[test]
fn what_would_be_invalid_is_not_written() {
    let (folder, path) = file("provost.toml", TOML);
    let mut document = read(&path);
    document.set(&["service", "web", "prot"], json!(1)).unwrap();
    let error = document.write(None).unwrap_err();
    let EditError::Invalid(errors) = &error else { panic!("{error}") };
    assert!(errors.0[0].key == "service.web.prot" && errors.0[0].line.is_some(), "{error}");
    let mut document = read(&path);
    assert!(matches!(document.set(&["service", "web", "env", "A", "x"], json!(1)), Err(EditError::Refused(_))));
    assert!(matches!(document.set(&["defaults", "meta"], json!({"a": null})), Err(EditError::Refused(_))));
    assert!(matches!(document.set(&[], json!({})), Err(EditError::Refused(_))));
    assert_eq!(fs::read_to_string(&path).unwrap(), TOML);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "and nothing is left beside it");
}

#[test]
fn two_writers_do_not_undo_each_other() {
    let (_folder, path) = file("provost.toml", TOML);
    let (mut first, mut second) = (read(&path), read(&path));
    first.set(&["service", "web", "port"], json!(1)).unwrap();
    second.set(&["service", "web", "port"], json!(2)).unwrap();
    let old = second.etag().clone();
    let now = first.write(Some(&old)).unwrap();
    assert!(now != old && *read(&path).etag() == now);
    assert!(matches!(second.write(None), Err(EditError::Conflict { now: Some(there), .. }) if there == now));
    assert!(matches!(read(&path).write(Some(&old)), Err(EditError::Conflict { .. })));
    // While one is checked by another program nobody else writes.
    let staged = read(&path).stage(None).unwrap();
    assert!(matches!(read(&path).write(None), Err(EditError::Busy(_))));
    drop(staged);
    // What a dead writer left is in nobody's way.
    fs::write(path.with_file_name(".new-provost.toml"), "half").unwrap();
    let change = |n: usize| {
        let set = |document: &mut Document| document.set(&["service", "web", "env", &format!("N{n}")], json!("x"));
        change(&path, &LoadOptions::default(), None, set).unwrap();
    };
    std::thread::scope(|scope| (0..8).for_each(|n| drop(scope.spawn(move || change(n)))));
    let all = read(&path).get(&["service", "web", "env"]).unwrap();
    assert_eq!(all.as_object().unwrap().len(), 9);
}

#[test]
fn the_old_file_is_kept_and_the_new_one_is_like_it() {
    let (folder, path) = file("provost.toml", TOML);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let root = rustix::process::geteuid().is_root();
    if root {
        std::os::unix::fs::chown(&path, Some(12), Some(34)).unwrap();
    }
    let link = folder.path().join("link.toml");
    symlink("provost.toml", &link).unwrap();
    for port in 1..=13 {
        change(&link, &LoadOptions::default(), None, |d| d.set(&["service", "web", "port"], json!(port))).unwrap();
    }
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    let found = fs::metadata(&path).unwrap();
    assert_eq!(found.mode() & 0o7777, 0o640);
    assert!(!root || (found.uid(), found.gid()) == (12, 34));
    let mut names: Vec<String> =
        fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names.len(), 2 + 10, "{names:?}");
    assert!(!names.contains(&"provost.toml.~3~".to_owned()) && names.contains(&"provost.toml.~13~".to_owned()));
    let newest = fs::read_to_string(folder.path().join("provost.toml.~13~")).unwrap();
    assert!(newest.contains("port = 12") && fs::read_to_string(&path).unwrap().contains("port = 13"));
}

#[test]
fn a_file_that_is_not_there_is_made_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("provost.toml");
    let options = LoadOptions::default();
    let set = |path: &Path, id: &str| {
        change_or_make(path, &options, |document| document.set(&["service", id, "command"], json!("sleep 1")))
    };
    // What would be invalid makes none.
    let wrong = change_or_make(&path, &options, |document| document.set(&["service", "a", "prot"], json!(1)));
    assert!(matches!(wrong, Err(EditError::Invalid(_))), "{wrong:?}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    set(&path, "a").unwrap();
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    set(&path, "b").unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text, "[service.a]\ncommand = \"sleep 1\"\n\n[service.b]\ncommand = \"sleep 1\"\n");
    let none = set(&folder.path().join("none/provost.toml"), "a").unwrap_err().to_string();
    assert!(none.contains("/none: make it (mkdir -p "), "{none}");
    // Somebody else was faster.
    let (other, mut first) = (folder.path().join("other.yaml"), true);
    change_or_make(&other, &options, |document| {
        if std::mem::take(&mut first) {
            fs::write(&other, "service: {c: {command: sleep 2}}\n").unwrap();
        }
        document.set(&["service", "a", "command"], json!("sleep 1"))
    })
    .unwrap();
    let text = fs::read_to_string(&other).unwrap();
    assert!(text.contains("sleep 2") && text.contains("sleep 1"), "{text}");
    // Two at once.
    let both = folder.path().join("both.json");
    std::thread::scope(|scope| {
        for id in ["a", "b", "c", "d"] {
            let (set, both) = (&set, &both);
            scope.spawn(move || set(both, id).unwrap());
        }
    });
    let text = fs::read_to_string(&both).unwrap();
    assert_eq!(["\"a\"", "\"b\"", "\"c\"", "\"d\""].map(|id| text.contains(id)), [true; 4], "{text}");
}
