//! `logs`, and the output that `up` and `run` show.

use std::time::Duration;

use serde_json::Value;

use super::{Body, Stage};
use crate::rig::{Result, eventually};

pub(super) const BODIES: &[(&str, Body)] = &[
    ("logs", logs),
    ("logs_are_followed", logs_are_followed),
    ("logs_are_searched", logs_are_searched),
    ("logs_of_older_files", logs_of_older_files),
    ("logs_of_units", logs_of_units),
    ("last_lines_of_a_failure", last_lines_of_a_failure),
    ("output_of_run", output_of_run),
    ("output_in_the_foreground", output_in_the_foreground),
];

const LIMIT: Duration = Duration::from_secs(20);

/// Writes a line to each stream, and another to the first at each SIGUSR1.
const TALKER: &str = "command = [\"sh\", \"-c\", \"trap 'echo again' USR1; echo hello; echo oops >&2; \
                      while :; do sleep 0.1; done\"]\n";

fn pieces(stage: &Stage<'_>, args: &[&str]) -> Result<Vec<Value>> {
    let output = stage.provost(&[&["-o", "json", "logs"], args].concat())?;
    let lines = output.stdout.lines().map(serde_json::from_str).collect::<std::result::Result<_, _>>();
    lines.map_err(|e| format!("{e}: {output:?}").into())
}

fn texts(pieces: &[Value]) -> Vec<&str> {
    pieces.iter().filter_map(|piece| piece["text"].as_str()).collect()
}

fn logs(stage: &Stage<'_>) -> Result<()> {
    stage.config(&format!("[service.one]\n{TALKER}[service.two]\n{TALKER}"))?;
    stage.ok(&["up", "-d"])?;
    eventually("both have written", || pieces(stage, &[]).is_ok_and(|all| all.len() == 4))?;
    let all = pieces(stage, &["one"])?;
    let mut said = texts(&all);
    said.sort_unstable();
    expect!(said == ["hello", "oops"] && all.iter().all(|piece| piece["id"] == "one"), "{all:?}");
    let errors = pieces(stage, &["one", "--stderr"])?;
    expect!(texts(&errors) == ["oops"] && errors[0]["stream"] == "stderr", "{errors:?}");
    expect!(pieces(stage, &["one", "-n", "1"])?.len() == 1, "more than the last line");
    expect!(pieces(stage, &["one", "--since", "1h"])?.len() == 2, "of the last hour");
    let people = stage.ok(&["logs"])?;
    expect!(people.contains("one | hello") && people.contains("two | oops"), "{people}");
    expect!(stage.ok(&["logs", "service:one"])?.lines().any(|line| line == "hello"), "one alone has no name before it");
    expect!(stage.provost(&["logs", "nothere"])?.code() == 5, "there is no such thing");
    Ok(())
}

fn logs_are_followed(stage: &Stage<'_>) -> Result<()> {
    stage.config(&format!("[service.one]\n{TALKER}"))?;
    stage.ok(&["up", "-d"])?;
    let mut following = stage.who().env("NO_COLOR", "1").pty(["provost", "logs", "-f", "one"])?;
    following.expect("hello", LIMIT)?;
    stage.ok(&["kill", "-USR1", "one"])?;
    following.expect("again", LIMIT)?;
    Ok(())
}

/// Numbers to 40, each tenth to standard error, one in red; then nothing more.
const COUNTS: &str = "command = [\"sh\", \"-c\", \"i=0; while [ $i -lt 40 ]; do i=$((i+1)); case $i in *0) echo Bad $i >&2;; \
                      7) printf '\\\\033[31mred\\\\033[0m 7\\\\n';; *) echo line $i;; esac; done; exec sleep 1000\"]\n";

fn logs_are_searched(stage: &Stage<'_>) -> Result<()> {
    stage.config(&format!("[service.one]\n{COUNTS}[service.two]\n{COUNTS}log = {{ ansi = \"strip\" }}\n"))?;
    stage.ok(&["up", "-d"])?;
    eventually("both have written", || pieces(stage, &["-n", "all"]).is_ok_and(|all| all.len() == 80))?;
    let grep = |args: &[&str]| pieces(stage, &[&["one", "--grep"], args].concat());
    expect!(texts(&grep(&["^line 3.$"])?).len() == 9, "{:?}", grep(&["^line 3.$"])?);
    expect!(texts(&grep(&["line", "-n", "2"])?) == ["line 38", "line 39"], "{:?}", grep(&["line", "-n", "2"])?);
    expect!(grep(&["bad"])?.is_empty(), "small letters are not capital ones");
    expect!(texts(&grep(&["bad", "-i", "--stderr"])?) == ["Bad 10", "Bad 20", "Bad 30", "Bad 40"], "-i");
    // Colours count for nothing where something is looked for, and are left out where that was asked for.
    let red = pieces(stage, &["--grep", "^red 7"])?;
    expect!(red.len() == 2, "{red:?}");
    for piece in &red {
        let text = if piece["id"] == "one" { "\u{1b}[31mred\u{1b}[0m 7" } else { "red 7" };
        expect!(piece["text"] == text, "{piece}");
    }
    let all = pieces(stage, &["-n", "all"])?;
    let times: Vec<&str> = all.iter().filter_map(|piece| piece["at"].as_str()).collect();
    expect!(times.is_sorted(), "{times:?}");
    let until = times[20];
    let before = all.iter().filter(|piece| piece["at"].as_str() <= Some(until)).count();
    expect!(pieces(stage, &["--until", until])?.len() == before, "until {until}");
    expect!(pieces(stage, &["--since", until, "--until", until])?.len() < 80, "at {until}");

    let short = stage.ok(&["-o", "short", "logs", "one", "-n", "1"])?;
    let mut words = short.split(' ');
    expect!(words.next().is_some_and(|time| time.ends_with('Z') && time.contains('T')), "{short}");
    expect!(words.eq(["one", "|", "Bad", "40"]) || short.ends_with("one | line 39"), "{short}");
    expect!(stage.ok(&["-o", "cat", "logs", "two", "--grep", "39"])? == "line 39", "the line alone");
    // No colours where there is no terminal, and one for each service where they are wanted.
    let plain = stage.ok(&["logs", "--grep", "red"])?;
    expect!(plain == "one | red 7\ntwo | red 7" || plain == "two | red 7\none | red 7", "{plain:?}");
    let coloured = stage.ok(&["logs", "--color", "always", "--grep", "line 39"])?;
    let colour = |id: &str| Some(coloured.split(&format!("m{id}")).next()?.rsplit("\u{1b}[").next()?.to_owned());
    expect!(colour("one").is_some() && colour("one") != colour("two"), "{coloured:?}");

    let wrong: [(&[&str], &str); 5] = [
        (&["logs", "--grep", "("], "no regular expression"),
        (&["logs", "--since", "2999-01-01 00:00:00"], "in the future"),
        (&["logs", "--since", "1h", "--until", "2h"], "before --since"),
        (&["logs", "-f", "--until", "1h"], "cannot be used with"),
        (&["-o", "cat", "list"], "provost logs"),
    ];
    for (args, why) in wrong {
        let output = stage.provost(args)?;
        expect!(output.code() == 2 && output.stderr.contains(why), "{args:?}: {output:?}");
    }
    Ok(())
}

/// Files in both backends, where and as the config says; what is followed goes on in the next one.
fn logs_of_older_files(stage: &Stage<'_>) -> Result<()> {
    let counts = "command = [\"sh\", \"-c\", \"i=0; while [ $i -lt 3000 ]; do i=$((i+1)); echo line $i of many; done; \
                  trap 'echo again' USR1; while :; do sleep 0.1; done\"]\n";
    let log = "log = { file = true, path = \"logs\", max_size = \"4K\", keep = 1000, max_line = \"1K\" }\n";
    stage.config(&format!("[service.one]\n{counts}{log}"))?;
    stage.ok(&["up", "-d"])?;
    let last = |n: &str| stage.ok(&["-o", "cat", "logs", "one", "-n", n]);
    eventually("it has written", || last("1").is_ok_and(|line| line == "line 3000 of many"))?;
    let all = last("all")?;
    expect!(all.lines().enumerate().all(|(at, line)| line == format!("line {} of many", at + 1)), "{all}");
    let found = stage.ok(&["-o", "cat", "logs", "one", "--grep", " 1?999 "])?;
    expect!(found == "line 999 of many\nline 1999 of many", "{found}");
    let folder = format!("{}/logs/one", stage.home);
    eventually("older files are compressed", || {
        let files = stage.who().run(["ls", folder.as_str()]).map(|output| output.stdout).unwrap_or_default();
        files.lines().filter(|name| name.ends_with(".out.gz")).count() > 5
    })?;
    let first = stage.who().run(["zcat", &format!("{folder}/1.out.gz")])?.ok()?;
    expect!(first.starts_with("line 1 of many\n") && first.ends_with(" of many"), "{first}");
    let mut following = stage.who().env("NO_COLOR", "1").pty(["provost", "logs", "-f", "one", "-n", "1"])?;
    following.expect("line 3000 of many", LIMIT)?;
    stage.ok(&["kill", "-USR1", "one"])?;
    following.expect("again", LIMIT)?;
    // Other settings hold at once, and restart nothing.
    let before = stage.pid("one")?;
    stage.config(&format!("[service.one]\n{counts}{}", log.replace("1000", "2")))?;
    stage.ok(&["up", "-d"])?;
    expect!(stage.pid("one")? == before, "it was started again");
    // In another folder, and in a form: who follows goes there, too.
    let other = log.replace("\"logs\"", "\"other\"").replace("\"1K\"", "\"16\"");
    stage.config(&format!("[service.one]\n{counts}{other}"))?;
    stage.ok(&["up", "-d"])?;
    following.expect("line 2999 of man", LIMIT)?;
    following.expect("…y", LIMIT)?;
    eventually("they are in parts", || {
        let first = stage.who().run(["zcat", &format!("{}/other/one/1.out.gz", stage.home)]);
        first.is_ok_and(|output| output.stdout.starts_with("line 1 of many\n"))
    })?;
    Ok(())
}

fn logs_of_units(stage: &Stage<'_>) -> Result<()> {
    if stage.backend == super::Backend::Direct {
        return Ok(());
    }
    stage.rig.started("verbs-talks.service", "[Service]\nExecStart=sh -c 'echo unit speaks; sleep 1000'\n")?;
    let root = stage.rig.as_root();
    eventually("root reads it", || {
        let read = root.run(["provost", "logs", "verbs-talks.service"]);
        read.is_ok_and(|output| output.stdout.contains("unit speaks"))
    })?;
    let denied = stage.provost(&["logs", "verbs-talks.service"])?;
    expect!(denied.code() == 4 && denied.stderr.contains("systemd-journal"), "{denied:?}");
    let bare = stage.provost(&["logs", "pid:1"])?;
    expect!(bare.code() != 0, "{bare:?}");
    Ok(())
}

fn last_lines_of_a_failure(stage: &Stage<'_>) -> Result<()> {
    let script =
        "command = [\"sh\", \"-c\", \"echo last words; sleep 0.3; exit 3\"]\nrestart = { policy = \"never\" }\n";
    let ready = "ready = { tcp = \"127.0.0.1:9\" }\n";
    stage.config(&format!("[service.bad]\n{script}{ready}"))?;
    let failed = stage.provost(&["up", "-d"])?;
    expect!(failed.code() == 1 && failed.stderr.contains("bad has failed: "), "{failed:?}");
    expect!(failed.stderr.contains("\n  last words\n"), "{failed:?}");
    Ok(())
}

fn output_of_run(stage: &Stage<'_>) -> Result<()> {
    let script = "echo out; echo err >&2; sleep 0.2; echo 'a\tb'; exit 6";
    let output = stage.provost(&["run", "--wait", "--", "sh", "-c", script])?;
    expect!(output.code() == 6, "{output:?}");
    expect!(output.stdout == "out\na\tb\n" && output.stderr.contains("err\n"), "{output:?}");
    Ok(())
}

fn output_in_the_foreground(stage: &Stage<'_>) -> Result<()> {
    stage.config(&format!("[service.one]\n{TALKER}"))?;
    let mut up = stage.who().env("NO_COLOR", "1").pty(["provost", "up"])?;
    up.expect("one | oops", LIMIT)?;
    stage.ok(&["kill", "-USR1", "one"])?;
    up.expect("one | again", LIMIT)?;
    up.type_bytes(b"\x03")?;
    expect!(up.wait()?.0.success(), "it failed");
    Ok(())
}
