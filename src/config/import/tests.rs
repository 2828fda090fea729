//! Golden imports: tests/data/import/FORMAT/FILE beside FILE.expected, which is what is made of it
//! and, behind that, what is said. `PROVOST_BLESS=1 cargo test import::tests` writes them anew.

use std::fs;

use super::*;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/import")
}

/// The files of a folder as if they stood in /srv/app.
struct Placed<'a>(&'a Path);

const HERE: &str = "/srv/app";

impl Files for Placed<'_> {
    fn glob(&self, pattern: &Path) -> Vec<(PathBuf, Result<String, String>)> {
        let Ok(inside) = pattern.strip_prefix(HERE) else { return Vec::new() };
        let found = files::found(&self.0.join(inside)).into_iter().filter(|path| path.is_file());
        found
            .map(|path| {
                let shown = Path::new(HERE).join(path.strip_prefix(self.0).unwrap());
                (shown, fs::read_to_string(&path).map_err(|error| error.to_string()))
            })
            .collect()
    }

    fn variable(&self, name: &str) -> Option<String> {
        (name == "WORKERS").then(|| "3".to_owned())
    }

    fn processors(&self) -> usize {
        4
    }
}

fn options(path: &Path) -> LoadOptions {
    let system = path.file_name().unwrap().to_string_lossy().contains("system");
    LoadOptions { system, home: Some("/home/watson".into()) }
}

fn read(real: &Path) -> Result<Imported, Errors> {
    let text = fs::read_to_string(real).unwrap();
    let name = real.file_name().unwrap();
    let (shown, path) = (Path::new(name), Path::new(HERE).join(name));
    let files = Placed(real.parent().unwrap());
    import(&Import {
        shown,
        path: &path,
        text: &text,
        from: None,
        beside: true,
        options: &options(real),
        files: &files,
    })
}

fn golden(real: &Path) -> String {
    match read(real) {
        Ok(made) => {
            let notes = made.notes.iter().map(|note| format!("{note}\n"));
            format!("{}\n-- {:?}\n{}", made.text, made.format, notes.collect::<String>())
        }
        Err(errors) => format!("-- refused\n{errors}\n"),
    }
}

/// The inputs: each file of a format's folder that is not an expectation.
fn inputs() -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = Vec::new();
    for format in fs::read_dir(folder()).unwrap().flatten() {
        let entries = fs::read_dir(format.path()).unwrap().flatten().map(|entry| entry.path());
        all.extend(entries.filter(|path| path.is_file() && path.extension().is_none_or(|e| e != "expected")));
    }
    // A name that begins with a dot is of what is beside a file.
    all.retain(|path| !path.file_name().unwrap().to_string_lossy().starts_with('.'));
    all.sort();
    all
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a switch for people who work on the tests")]
fn files_are_carried_over_as_people_have_read() {
    let inputs = inputs();
    assert!(inputs.len() >= 40, "{}", inputs.len());
    let bless = std::env::var_os("PROVOST_BLESS").is_some();
    let mut wrong = Vec::new();
    for input in &inputs {
        let mut beside = input.clone().into_os_string();
        beside.push(".expected");
        let made = golden(input);
        if bless {
            fs::write(&beside, &made).unwrap();
        } else if fs::read_to_string(&beside).unwrap_or_default() != made {
            wrong.push(format!("{}:\n{made}", input.display()));
        }
    }
    assert!(wrong.is_empty(), "{}\nPROVOST_BLESS=1 writes them anew", wrong.join("\n"));
}

#[test]
fn what_is_made_is_a_config_and_the_same_again() {
    for input in inputs() {
        let Ok(made) = read(&input) else { continue };
        let path = Path::new("/srv/app/provost.toml");
        let project = super::super::parse(path, path, &made.text, &options(&input)).unwrap();
        // What `config show` makes of it says the same once more.
        let shown: String = project
            .services
            .iter()
            .filter(|spec| spec.instance_of.is_none())
            .map(|spec| super::super::written_toml(spec.id.as_str(), &super::super::written(spec)))
            .collect();
        if shown.is_empty() || project.services.iter().any(|spec| spec.instance_of.is_some()) {
            continue;
        }
        let again = super::super::parse(path, path, &shown, &options(&input)).unwrap();
        assert_eq!(again.services, project.services, "{}", input.display());
    }
}

/// Every key of an input comes out, is reported, or is known to say nothing.
#[test]
fn a_key_that_nobody_knows_is_reported() {
    let import_of = |name: &str, text: &str| {
        let path = Path::new(HERE).join(name);
        let options = LoadOptions::default();
        let files = &Nothing;
        import(&Import {
            shown: Path::new(name),
            path: &path,
            text,
            from: None,
            beside: true,
            options: &options,
            files,
        })
        .unwrap_or_else(|errors| panic!("{name}: {errors}"))
    };
    for (name, text) in [
        ("pb_processes.json", r#"[{"id": "a", "command": "x", "cwd": ".", "zzz": 1}]"#),
        ("daemon.yaml", "agent:\n  binary_path: /x\n  zzz: 1\n"),
        ("d.yaml", "agents:\n- id: a\n  binary_path: /x\n  restart:\n    zzz: 1\n"),
        ("d.yaml", "agents:\n- id: a\n  binary_path: /x\nagent_defaults:\n  zzz: 1\n"),
        ("d.yaml", "agents:\n- id: a\n  binary_path: /x\nzzz:\n  a: 1\n"),
        ("supervisord.conf", "[program:a]\ncommand=x\nzzz=1\n"),
        ("supervisord.conf", "[program:a]\ncommand=x\n[zzz]\na=1\n"),
        ("supervisord.conf", "[program:a]\ncommand=x\n[supervisord]\nzzz=1\n"),
        ("supervisord.conf", "[program:a]\ncommand=x\n[group:b]\nprograms=a\nzzz=1\n"),
        ("ecosystem.config.json", r#"{"apps": [{"name": "a", "script": "x.js", "zzz": 1}]}"#),
        ("ecosystem.config.json", r#"{"apps": [{"name": "a", "script": "x.js"}], "zzz": 1}"#),
        ("process-compose.yaml", "processes:\n  a:\n    command: x\n    zzz: 1\n"),
        ("process-compose.yaml", "zzz: 1\nprocesses:\n  a:\n    command: x\n"),
        ("process-compose.yaml", "processes:\n  a:\n    command: x\n    availability:\n      zzz: 1\n"),
        (
            "process-compose.yaml",
            "processes:\n  a:\n    command: x\n    readiness_probe:\n      exec: {command: x, zzz: 1}\n",
        ),
        ("process-compose.yaml", "processes:\n  a:\n    command: x\n    liveness_probe:\n      zzz: 1\n"),
        ("process-compose.yaml", "processes:\n  a:\n    command: x\n    shutdown:\n      zzz: 1\n"),
        ("circus.ini", "[watcher:a]\ncmd = x\nzzz = 1\n"),
        ("circus.ini", "[watcher:a]\ncmd = x\n[zzz]\na = 1\n"),
        ("circus.ini", "[circus]\nzzz = 1\n[watcher:a]\ncmd = x\n"),
        ("a.service", "[Service]\nExecStart=/x\nzzz=1\n"),
        ("a.service", "[Unit]\nzzz=1\n[Service]\nExecStart=/x\n"),
        ("a.service", "[Service]\nExecStart=/x\n[zzz]\na=1\n"),
        ("a.service", "[Service]\nExecStart=/x\n[Install]\nzzz=1\n"),
    ] {
        let made = import_of(name, text);
        let said =
            made.notes.iter().any(|note| note.to_string().contains("zzz") || note.key.contains("liveness_probe"));
        assert!(said, "{name}: {text}\n{:?}", made.notes);
        assert!(!made.text.contains("zzz"), "{}", made.text);
    }
}

#[test]
fn a_program_is_refused_with_what_to_do() {
    let path = Path::new("/srv/app/ecosystem.config.js");
    let options = LoadOptions::default();
    let of = |path, text| {
        import(&Import { shown: path, path, text, from: None, beside: true, options: &options, files: &Nothing })
    };
    let error = of(path, "module.exports = {}").unwrap_err().to_string();
    assert!(error.contains("node -p"), "{error}");
    let error = of(Path::new("/srv/app/x.txt"), "hello").unwrap_err().to_string();
    assert!(error.contains("--from"), "{error}");
}

/// Rubbish of every format is refused or reported, and nothing ends the program.
#[test]
fn rubbish_does_no_harm() {
    use clap::ValueEnum as _;
    let texts = [
        "",
        "\0",
        "[",
        "[]",
        "{}",
        "[[]]",
        "a",
        "a: b",
        "a:\n- b: [1, {c: d}]\n",
        "[program:]\ncommand=",
        "[program:x]\ncommand='",
        "[program:x]\ncommand=%(x\nenvironment=A",
        "[program:x]\ncommand=a\nnumprocs=-1\n",
        "[program:x]\ncommand=%(process_num)d\nnumprocs=99999999\n",
        "[Service]\nExecStart=\n",
        "[Service]\nExecStart=-\n",
        "[Service]\nExecStart=@\nEnvironment=\"\n",
        "[watcher:]\ncmd=$(\n",
        "{\"apps\": 1}",
        "{\"apps\": [1, {\"script\": 2}]}",
        "processes: 1",
        "processes:\n  a:\n    depends_on: 3\n    command: [1]\n",
        "agents: [1, {}]",
        "agent: 1",
        "x: y: z",
        "é: ü\n",
        "[{\"id\": \"\", \"script\": \"\"}]",
        "[{\"id\": \"é\", \"command\": \"$\"}]",
    ];
    let options = LoadOptions::default();
    let path = Path::new("/srv/app/file");
    for format in Format::value_variants() {
        for text in texts {
            let from = Some(*format);
            let made =
                import(&Import { shown: path, path, text, from, beside: true, options: &options, files: &Nothing });
            if let Ok(made) = made {
                assert!(super::super::parse(path.with_extension("toml").as_path(), path, &made.text, &options).is_ok());
            }
        }
    }
}
