//! No text makes it panic, and what is shown of a config reads back.

use std::path::Path;

use proptest::prelude::*;

use super::{LoadOptions, parse, schema, written, written_toml};

fn names() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(vec!["f.toml", "f.yaml", "f.json"])
}

/// Pieces of configs, right and wrong, in any order.
fn pieces() -> impl Strategy<Value = String> {
    let words = vec![
        "[service.a]\n",
        "[service.b]\n",
        "[defaults]\n",
        "service:\n",
        "  a:\n",
        "    command: x\n",
        "{",
        "}",
        "[",
        "]",
        "\"service\":",
        "\"a\":",
        "command = 'x'\n",
        "port = 80\n",
        "port = '1-9'\n",
        "instances = 2\n",
        "after = ['a']\n",
        "after = ['b']\n",
        "ready = { tcp = 'h:1' }\n",
        "&a ",
        "*a",
        "<<: *a\n",
        "${PORT}",
        "args = ['${service.b.port}']\n",
        "\"",
        "'",
        "\n",
        ",",
        ": ",
        "- ",
        "é",
        "\0",
        "\\u",
        "1e9",
        "0x",
        "~",
        "null",
        "--- ",
        "# ",
        "= ",
        "restart.base = '1s'\n",
        "socket = '~/s-${INSTANCE}'\n",
        "meta = { a = 1 }\n",
        "stop.signals = ['TERM:1s']\n",
        "systemd = { BindPaths = ['/a'] }\n",
        "? ",
        "| ",
        "!!str ",
    ];
    proptest::collection::vec(proptest::sample::select(words), 0..24).prop_map(|words| words.concat())
}

fn read(name: &str, text: &str) -> Result<super::Project, super::Errors> {
    let options = LoadOptions { system: false, home: Some("/home/x".into()) };
    parse(Path::new(name), &Path::new("/p").join(name), text, &options)
}

proptest! {
    #[test]
    fn no_text_panics(name in names(), text in any::<String>()) {
        let _ = read(name, &text);
    }

    #[test]
    fn no_pieces_panic_and_what_is_shown_reads_back(name in names(), text in pieces()) {
        match read(name, &text) {
            Err(errors) => prop_assert!(!errors.0.is_empty()),
            Ok(project) => for spec in project.services.iter().filter(|s| s.instance_of.is_none() && s.after.is_empty()) {
                let shown = written_toml(spec.id.as_str(), &written(spec));
                if !shown.contains("${service.") {
                    let again = read("f.toml", &shown).map_err(|e| TestCaseError::fail(format!("{shown}\n{e}")))?;
                    prop_assert_eq!(&again.services[0].program, &spec.program);
                    prop_assert_eq!(&again.services[0].meta, &spec.meta);
                }
            },
        }
    }

    #[test]
    fn no_env_file_panics(text in "[A-Z='\"\\\\ #\n\r${}é]{0,40}") {
        let _ = super::env_file::parse(&text);
    }
}

#[test]
fn the_schema_is_json_with_every_key() {
    let schema = schema().to_string();
    for key in super::keys::SERVICE.iter().chain(super::keys::FILE) {
        assert!(schema.contains(&format!("\"{}\"", key.name)));
    }
}
