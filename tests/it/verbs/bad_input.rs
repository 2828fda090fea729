//! Malformed and hostile input: exit codes, messages that name the part, and nothing that reaches a terminal unescaped.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use super::{json, provost};
use crate::rig::{Result, Rig};
use crate::trial::Trials;

pub fn register(trials: &mut Trials) {
    trials.rig("input::bad", bad);
    trials.rig("input::hostile", hostile);
    trials.rig("input::control_characters", control_characters);
}

/// Exit codes, and that the message names the part.
fn bad(rig: &Rig) -> Result<()> {
    let long = "x".repeat(10_000);
    let cases: &[(&[&str], i32, &str)] = &[
        (&["inspect", "words-nothing-like-it"], 5, "words-nothing-like-it"),
        (&["stop", "unit:words-nothing.service"], 5, "words-nothing.service"),
        (&["inspect", "pid:2147483646"], 5, "2147483646"),
        (&["inspect", ":25099"], 5, "25099"),
        (&["inspect", "pid:0"], 2, "'0'"),
        (&["stop", "pid:-4"], 2, "'-4'"),
        (&["stop", "pid:12x"], 2, "'12x'"),
        (&["kill", "pid:"], 2, "colon"),
        (&["inspect", ":70000"], 2, "'70000'"),
        (&["inspect", "port:0"], 2, "'0'"),
        (&["inspect", ""], 2, "empty"),
        (&["inspect", "exe:ls"], 2, "/"),
        (&["inspect", "unit:a/../b.service"], 2, "'/'"),
        (&["stop", "unit:/../b.service"], 2, "'/'"),
        (&["inspect", "service:a/b"], 2, "service id"),
        (&["inspect", &long], 2, "4096"),
        (&["inspect", "unit:a@.service"], 0, "template"),
        (&["stop", "unit:a@.service"], 2, "template"),
        (&["kill", "-s", "0", "unit:dbus.service"], 2, "'0'"),
        (&["kill", "-s", "99", "unit:dbus.service"], 2, "'99'"),
        (&["kill", "-s", "-9", "unit:dbus.service"], 2, "'-9'"),
        (&["kill", "-s", "SIGNONSENSE", "unit:dbus.service"], 2, "SIGNONSENSE"),
        (&["stop", "--signals", "TERM:soon", "pid:1"], 2, "soon"),
        (&["stop", "--signals", "", "pid:1"], 2, "signal"),
        (&["stop", "--force", "--signals", "TERM", "pid:1"], 2, "--signals"),
        (&["restart", "--only-process", "pid:1"], 2, "--only-process"),
        (&["stop", "--timeout", "soon", "pid:1"], 2, "soon"),
        (&["wait", "pid:1", "--for", "ever"], 2, "ever"),
        (&["probe", "http://"], 2, "http://"),
        (&["probe", "tcp:nowhere"], 2, "nowhere"),
        (&["nonsense"], 2, "nonsense"),
        (&["stop", "pid:1"], 4, "PID 1"),
        (&["stop", "unit:-.slice"], 4, "slice"),
        (&["stop", "unit:init.scope"], 4, "init.scope"),
    ];
    for (args, code, part) in cases {
        let shown: Vec<_> = args.iter().map(|a| a.chars().take(40).collect::<String>()).collect();
        let said = provost(&rig.as_root(), *args)?;
        let text = format!("{}{}", said.stdout, said.stderr);
        expect!(said.code() == *code, "{shown:?}: exit {} in place of {code}: {text}", said.code());
        expect!(text.contains(part), "{shown:?}: no {part} in {text}");
        expect!(!text.contains("panicked") && text.len() < 4000, "{shown:?}: {text}");
    }
    Ok(())
}

/// Bytes that are no text, in words and in processes: no panic, and nothing of it reaches the terminal.
fn hostile(rig: &Rig) -> Result<()> {
    let words: &[&[u8]] = &[
        b"\xff\xfe",
        b"unit:\xff.service",
        b"pid:\xc3\x28",
        b"name:a\nb",
        b"cmd:\x1b[31m",
        b"a) R 1 (",
        b"unit:x\x1b.service",
        b"%n%s",
        b"unit:%i.service",
        b"../../etc/passwd",
        b"$(reboot)",
        b"-",
        b"--",
        b"unit:",
        b"\x01",
        b"unit:\\x2d.service",
        b"unit:a\\x00b.service",
        "unit:ünï.service".as_bytes(),
        b"service:*",
        b"unit:[",
        b"name:",
        b"exe:/",
        b"cmd:\xf0\x9f",
    ];
    for word in words {
        for verb in ["inspect", "stop", "kill", "probe", "wait"] {
            let mut args: Vec<OsString> = vec![verb.into(), "--timeout=100ms".into()];
            if verb == "inspect" || verb == "kill" {
                args.pop();
            }
            if verb == "stop" || verb == "kill" {
                args.push("--dry-run".into());
            }
            args.push(OsStr::from_bytes(word).to_owned());
            let said = provost(&rig.as_user("eve"), &args)?;
            let text = format!("{}{}", said.stdout, said.stderr);
            expect!((0..=8).contains(&said.code()) && !text.contains("panicked"), "{args:?}: {said:?}");
            let control = text.chars().find(|c| c.is_control() && *c != '\n');
            expect!(control.is_none(), "{args:?}: {control:?} in {text:?}");
        }
    }
    Ok(())
}

/// What a process calls itself cannot write to the terminal of who looks at it.
fn control_characters(rig: &Rig) -> Result<()> {
    rig.make_cgroup("/words-control")?;
    let eve = rig.as_user("eve").in_unit("/words-control");
    let evil: &[&[u8]] = &[
        b"--comm",
        b"e\x1b[31mil\x07",
        b"\x1b]0;owned\x07",
        b"\x1b[2J\r\n\x08",
        b"\x9b31m",
        b"\xff\xfe",
        "\u{202e}\u{85}".as_bytes(),
    ];
    let argv = [OsStr::new("sleeper")].into_iter().chain(evil.iter().map(|e| OsStr::from_bytes(e)));
    let sleeper = eve.spawn_as("e\x1b[31mil\x07", argv)?;
    let target = format!("pid:{}", sleeper.pid);
    let by_name = OsStr::from_bytes(b"name:e\x1b[31mil\x07");
    for args in [vec!["inspect".as_ref(), OsStr::new(&target)], vec!["stop".as_ref(), "--dry-run".as_ref(), by_name]] {
        let shown = rig
            .as_user("watson")
            .pty([OsStr::new("provost"), "--color=never".as_ref()].into_iter().chain(args.clone()))?;
        let (_, text) = shown.wait()?;
        let control = text.chars().find(|c| (c.is_control() && *c != '\n') || matches!(*c, '\u{202a}'..='\u{202e}'));
        expect!(control.is_none(), "{args:?}: {control:?} in {text:?}");
        expect!(!text.contains("panicked"), "{text}");
    }
    let (seen, _) = json(&rig.as_user("watson"), ["inspect", &target])?;
    expect!(seen["owners"][0]["processes"][0]["comm"].as_str().is_some_and(|c| c.starts_with("e\x1b[31mil")), "{seen}");
    provost(&rig.as_root(), ["stop", &target])?.ok().map(drop)
}
