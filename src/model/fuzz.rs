//! Words that users and hosts could come up with: no panic, and what is read stays what it is.

use proptest::prelude::*;

use super::{Ladder, Malformed, ServiceId, Signal, Target, UnitKind, UnitName, UnitPattern};

/// Anything, and things that look nearly right.
fn words() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "(service|unit|user-unit|pid|name|exe|cmd|port|x)?:{0,2}[ -~]{0,12}",
        "[a-zA-Z0-9:_.@*?!/\\\\\\[\\]-]{0,20}(\\.(service|scope|slice|exe))?",
        "[+-]?[0-9]{0,22}",
        "\\PC{0,300}",
    ]
}

/// Names of signals as they are, are nearly, and are not.
fn signals() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "(SIG|sig|Sig)?(TERM|hup|KILL|USR1|RTMIN|RTMAX|POLL|IOT|X)?([+-][+-]?[0-9]{0,9})?",
        "[+-]?[0-9]{0,12}",
    ]
}

/// A message is one printable line that quotes only a part of what was given.
fn printable(error: &Malformed) -> Result<(), TestCaseError> {
    let text = error.to_string();
    prop_assert!(!text.chars().any(char::is_control), "{:?}", text);
    prop_assert!(text.chars().count() < 250, "{}", text);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1000) })]

    #[test]
    fn targets_read_back_as_themselves(word in words()) {
        match word.parse::<Target>() {
            Err(error) => printable(&error)?,
            Ok(target) => {
                let shown = target.to_string();
                prop_assert_eq!(shown.parse::<Target>(), Ok(target.clone()), "{}", shown);
                match target {
                    Target::Pid(pid) => prop_assert!((1..=i32::MAX as u32).contains(&pid)),
                    Target::Port(port) => prop_assert!(port > 0),
                    Target::Exe(path) => prop_assert!(path.is_absolute()),
                    Target::Word(word) => prop_assert!(!word.is_empty() && !word.contains('\0')),
                    _ => {}
                }
            }
        }
    }

    #[test]
    fn unit_names_hold_nothing_but_a_name(word in words()) {
        if let Err(error) = word.parse::<UnitPattern>() {
            printable(&error)?;
        }
        let name = match UnitName::from_word(&word) {
            Err(error) => return printable(&error),
            Ok(name) => name,
        };
        let whole = word.clone() + ".service";
        prop_assert!(name.as_str() == word || name.as_str() == whole);
        prop_assert!(name.as_str().len() <= 255 && !name.as_str().contains(['/', ' ', '\n', '"', '\'']));
        prop_assert_eq!(format!("{}.{}", name.stem(), name.kind().suffix()), name.as_str());
        prop_assert_eq!(UnitKind::from_suffix(name.kind().suffix()), Some(name.kind()));
        let json = serde_json::to_string(&name).expect("JSON");
        prop_assert_eq!(serde_json::from_str::<UnitName>(&json).expect("the same"), name);
    }

    #[test]
    fn object_paths_tell_the_name(word in "[a-zA-Z0-9:_.@\\\\-]{1,30}\\.(service|mount)") {
        let Ok(name) = word.parse::<UnitName>() else { return Ok(()) };
        let path = name.object_path();
        let last = path.strip_prefix("/org/freedesktop/systemd1/unit/").expect("the folder of units");
        prop_assert!(last.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'), "{}", last);
        let mut read = Vec::new();
        let mut rest = last.as_bytes();
        while let Some((first, tail)) = rest.split_first() {
            let code = (*first == b'_').then(|| std::str::from_utf8(&tail[..2]).expect("two digits"));
            read.push(code.map_or(*first, |hex| u8::from_str_radix(hex, 16).expect("hexadecimal")));
            rest = if code.is_some() { &tail[2..] } else { tail };
        }
        prop_assert_eq!(read, word.as_bytes());
    }

    #[test]
    fn service_ids_fit_into_file_and_unit_names(word in words()) {
        match word.parse::<ServiceId>() {
            Err(error) => printable(&error)?,
            // What only belongs into a glob is let through in an id; no service has such a one.
            Ok(id) if id.is_glob() || id.as_str().contains([']', '!']) => {}
            Ok(id) => {
                prop_assert!(!id.as_str().contains('/') && !id.as_str().starts_with('.'));
                let unit = format!("provost-{id}.service");
                prop_assert!(unit.parse::<UnitName>().is_ok(), "{}", unit);
            }
        }
    }

    #[test]
    fn signals_are_ones_that_exist(word in signals()) {
        match word.parse::<Signal>() {
            Err(error) => printable(&error)?,
            Ok(signal) => {
                prop_assert!((1..=31).contains(&signal.number()) || (34..=64).contains(&signal.number()));
                prop_assert_eq!(signal.to_string().parse::<Signal>(), Ok(signal));
            }
        }
    }

    #[test]
    fn ladders_have_a_rung_for_each_part(
        parts in proptest::collection::vec((signals(), prop_oneof![
            3 => Just(String::new()), 2 => "[0-9]{1,20}(ms|s|min|h|)", 1 => any::<String>(),
        ]), 0..5),
    ) {
        let join = |(signal, wait): &(String, String)| {
            if wait.is_empty() { signal.clone() } else { format!("{signal}:{wait}") }
        };
        let text = parts.iter().map(join).collect::<Vec<_>>().join(",");
        match text.parse::<Ladder>() {
            Err(error) => printable(&error)?,
            Ok(ladder) => {
                prop_assert_eq!(ladder.0.len(), text.split(',').count());
                prop_assert!(ladder.to_string().starts_with("SIG"));
            }
        }
    }
}
