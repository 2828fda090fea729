//! What follows when files change: configs, variables, services' own files, sources; and the commands of events.

use serde_json::Value;

use super::{Body, Stage, sleeper};
use crate::rig::{Result, eventually, words};

pub const BODIES: &[(&str, Body)] = &[
    ("first_config", first_config),
    ("live_config", live_config),
    ("own_files", own_files),
    ("development", development),
    ("hooks", hooks),
];

/// Four services, and nothing that is applied by itself.
fn four(watch: bool) -> String {
    let env_file = "env_file = \"d.env\"";
    format!("# the fleet\n[daemon]\nwatch = {watch}\n")
        + &sleeper("a", "")
        + &sleeper("b", "")
        + &sleeper("c", "")
        + &sleeper("d", env_file)
}

/// Where there is no config, the first key makes it.
fn first_config(stage: &Stage<'_>) -> Result<()> {
    let said = stage.provost(&["config", "unset", "service.a"])?;
    expect!(said.code() == 6 && said.stderr.contains("there is no config"), "{said:?}");
    let said = stage.provost(&["config", "set", "-c", "none/provost.toml", "service.a.command=sleep 1000"])?;
    expect!(said.code() == 6 && said.stderr.contains("mkdir -p none"), "{said:?}");
    let said = stage.ok(&["config", "set", "service.a.command=sleep 1000", "service.b.command=sleep 1000"])?;
    let file = format!("{}/.config/provost/provost.toml", stage.home);
    expect!(said == format!("{file} was made: there was no config"), "{said}");
    stage.ok(&["up", "-d"])?;
    let before = stage.pid("a")?;
    stage.ok(&["config", "set", "service.new.command=sleep 1000"])?;
    eventually("the new one runs", || stage.pid("new").is_ok())?;
    expect!(stage.pid("a")? == before, "a was touched");
    Ok(())
}

fn live_config(stage: &Stage<'_>) -> Result<()> {
    let write =
        |name: &str, text: &str| stage.rig.write_as(&stage.user, &format!("{}/{name}", stage.home), text, 0o600);
    let pids = || ["a", "b", "c", "d"].map(|id| stage.pid(id).unwrap_or_default());
    write("d.env", "A=1\n")?;
    stage.config(&four(false))?;
    stage.ok(&["up", "-d"])?;
    let before = pids();

    // What a reload would do is said, and done when it is asked for.
    stage.ok(&["config", "set", "service.a.env.LEVEL=1.10", "service.b.meta.x=[1]", "service.e.command=sleep 1000"])?;
    stage.ok(&["config", "unset", "service.c"])?;
    let said = stage.ok(&["config", "diff"])?;
    let expected = "a: restarted because of env\nb: changed without a restart: meta\nc: stopped and removed\n\
                    e: added and started";
    expect!(said == expected, "{said}");
    let said = stage.ok(&["up", "--dry-run"])?;
    let expected = expected.lines().map(|line| line.replacen(": ", ": would be ", 1)).collect::<Vec<_>>().join("\n");
    expect!(said == expected, "{said}");
    let said = stage.ok(&["down", "--dry-run", "a", "d"])?;
    expect!(said == "a: would be stopped\nd: would be stopped", "{said}");
    let said = ["enable", "disable", "remove"].map(|verb| stage.ok(&[verb, "d", "--dry-run"]).unwrap_or_default());
    expect!(
        said == ["nothing to do, enabled already", "would be disabled", "would be removed"].map(|s| format!("d: {s}")),
        "{said:?}"
    );
    expect!(pids() == before, "it was applied by itself");
    let text = stage.rig.read(&format!("{}/provost.toml", stage.home))?;
    expect!(text.starts_with("# the fleet\n") && text.contains("LEVEL = \"1.10\""), "{text}");
    stage.ok(&["daemon", "reload"])?;
    eventually("e runs", || stage.pid("e").is_ok())?;
    eventually("a is another", || stage.pid("a").is_ok_and(|pid| pid != before[0]))?;
    expect!(stage.pid("b")? == before[1] && stage.pid("d")? == before[3], "b and d were touched");
    eventually("c is gone", || stage.provost(&["list", "c"]).is_ok_and(|o| o.code() == 5))?;
    expect!(stage.ok(&["config", "diff"])? == "nothing would change", "and now");

    // From now on by itself: a file that is renamed into its place, one that is written in place.
    stage.ok(&["config", "set", "daemon.watch=true"])?;
    stage.ok(&["daemon", "reload"])?;
    let before = stage.pid("a")?;
    stage.ok(&["config", "set", "service.a.env.LEVEL=2"])?;
    eventually("a is another by itself", || stage.pid("a").is_ok_and(|pid| pid != before))?;
    let (a, b) = (stage.pid("a")?, stage.pid("b")?);
    let add = "printf '[service.f]\\ncommand = [\"sleep\", \"1000\"]\\n' >> provost.toml";
    stage.who().run(["sh", "-c", add])?.ok()?;
    eventually("f runs", || stage.pid("f").is_ok())?;

    // What is wrong changes nothing, and is shown with its place until it is put right.
    let good = stage.rig.read(&format!("{}/provost.toml", stage.home))?;
    stage.config(&good.replace("[service.b]\n", "[service.b]\nprot = 1\n").replace("[service.f]", "[service.g]"))?;
    let errors = || -> Result<String> {
        let (status, _) = stage.json(&["daemon", "status"])?;
        Ok(status["daemon"]["config_errors"].to_string())
    };
    eventually("the error is shown", || errors().is_ok_and(|e| e.contains("provost.toml:") && e.contains("prot")))?;
    let warned = || stage.ok(&["events", "b"]).is_ok_and(|text| text.contains("the config is not applied: "));
    eventually("and told", warned)?;
    expect!(stage.pid("f").is_ok() && stage.pid("a")? == a && stage.pid("b")? == b, "something was touched");
    stage.config(&good)?;
    eventually("no error is shown", || errors().is_ok_and(|e| e == "[]"))?;
    expect!(stage.pid("a")? == a && stage.pid("b")? == b, "something was touched");

    // Variables: only who reads them is started anew.
    let before = stage.pid("d")?;
    write("d.env", "A=2\n")?;
    eventually("d is another", || stage.pid("d").is_ok_and(|pid| pid != before))?;
    expect!(stage.pid("a")? == a, "a was touched");
    let wrong = stage.provost(&["config", "set", "service.a.prot=1"])?;
    expect!(wrong.code() == 6 && wrong.stderr.contains("service.a.prot"), "{wrong:?}");
    Ok(())
}

/// Its own file is checked before it is read; who cannot read it again is started anew, or not touched.
fn own_files(stage: &Stage<'_>) -> Result<()> {
    let path = |name: &str| format!("{}/{name}", stage.home);
    let write = |name: &str, text: &str| stage.rig.write_as(&stage.user, &path(name), text, 0o600);
    for name in ["one.yml", "two.yml", "three.yml"] {
        write(name, "good: 1\n")?;
    }
    let check = "config_check = [\"grep\", \"-q\", \"good\", \"${config_file}\"]";
    let reload = "reload = { exec = [\"sh\", \"-c\", \"echo again >> reloads\"] }\nreload_on = [\"more.yml\"]";
    stage.config(
        &(sleeper("one", &format!("config_file = \"one.yml\"\n{check}\n{reload}"))
            + &sleeper("two", &format!("config_file = \"two.yml\"\n{check}\nreload = {{ restart = true }}"))
            + &sleeper("three", "config_file = \"three.yml\"")),
    )?;
    stage.ok(&["up", "-d"])?;
    let before = ["one", "two", "three"].map(|id| stage.pid(id).unwrap_or_default());
    let reloads = || stage.rig.read(&path("reloads")).map_or(0, |text| text.lines().count());
    let event = |id: &str, what: &str| stage.ok(&["events", id]).is_ok_and(|text| text.contains(what));
    write("one.yml", "good: 2\n")?;
    eventually("one reads it again", || reloads() == 1)?;
    write("more.yml", "x: 1\n")?;
    eventually("and what else it reads", || reloads() == 2)?;
    // As an orchestrator swaps a whole folder of them.
    for n in ["1", "2"] {
        write(&format!("..{n}/more.yml"), n)?;
    }
    stage.rig.link("..1", &path("..data"))?;
    stage.rig.link("..data/more.yml", &path("more.new"))?;
    stage.rig.rename(&path("more.new"), &path("more.yml"))?;
    eventually("a link is followed", || reloads() == 3)?;
    stage.rig.link("..2", &path("..new"))?;
    stage.rig.rename(&path("..new"), &path("..data"))?;
    eventually("and all that lead there", || reloads() == 4)?;
    write("one.yml", "bad: 1\n")?;
    eventually("a bad one is told", || event("one", "was not read again: its configuration is not good"))?;
    expect!(reloads() == 4, "it was read");
    let said = stage.provost(&["reload", "one"])?;
    expect!(said.code() == 1 && said.stderr.contains("is not good") && reloads() == 4, "{said:?}");
    write("two.yml", "good: 2\n")?;
    eventually("two is another", || stage.pid("two").is_ok_and(|pid| pid != before[1]))?;
    let two = stage.pid("two")?;
    write("two.yml", "bad: 2\n")?;
    eventually("a bad one is told", || event("two", "is not good"))?;
    write("three.yml", "good: 2\n")?;
    eventually("how is not known", || event("three", "does not say how"))?;
    let now = ["one", "two", "three"].map(|id| stage.pid(id).unwrap_or_default());
    expect!(now == [before[0], two, before[2]], "{now:?} and {before:?}");
    Ok(())
}

/// `up --dev` and `watch = {…}`.
fn development(stage: &Stage<'_>) -> Result<()> {
    let write =
        |name: &str, text: &str| stage.rig.write_as(&stage.user, &format!("{}/{name}", stage.home), text, 0o644);
    for name in ["app/.gitignore", "app/src/main.py", "lib/x.py", "alone/y.py", "canary/z.py"] {
        write(name, if name.ends_with("ignore") { "*.log\n" } else { "" })?;
    }
    let watch = "cwd = \"app\"\nwatch = { paths = [\".\", \"../lib\"], ignore = [\"data\"], debounce = \"600ms\" }";
    let canary = "cwd = \"canary\"\nwatch = { debounce = \"600ms\" }";
    stage.config(&(sleeper("app", watch) + &sleeper("alone", "cwd = \"alone\"") + &sleeper("canary", canary)))?;
    stage.ok(&["up", "-d"])?;
    let (app, alone) = (stage.pid("app")?, stage.pid("alone")?);
    let starts = |id: &str| {
        let text = stage.ok(&["events", id]).unwrap_or_default();
        text.matches("what it is made of changed").count()
    };
    let is_another = |id: &str, before: u32| stage.pid(id).is_ok_and(|pid| pid != before);
    // What does not count comes first: had it counted, its restart would come before the canary's.
    let left_out = "mkdir app/data; for n in app/x.log app/src/.main.py.swp app/src/main.py~ app/data/x alone/y.py; do echo 1 > $n; done";
    stage.who().run(["sh", "-c", left_out])?.ok()?;
    write("canary/z.py", "1")?;
    eventually("the canary is another", || starts("canary") == 1)?;
    expect!(stage.pid("app")? == app && starts("app") == 0, "{}", stage.ok(&["events", "app"])?);
    for n in 0..10 {
        write("app/src/main.py", &format!("print({n})"))?;
    }
    eventually("app is another", || is_another("app", app))?;
    expect!(starts("app") == 1, "{}", stage.ok(&["events", "app"])?);
    let app = stage.pid("app")?;
    // A folder that is new, and one beside.
    write("app/src/new/deep.py", "1")?;
    eventually("app is another again", || is_another("app", app))?;
    let app = stage.pid("app")?;
    write("lib/x.py", "2")?;
    eventually("app is another once more", || is_another("app", app))?;
    expect!(stage.pid("alone")? == alone, "alone is not watched");
    stage.ok(&["up", "-d", "--dev"])?;
    let before = stage.pid("alone")?;
    write("alone/y.py", "2")?;
    eventually("alone is watched", || is_another("alone", before))?;
    let before = stage.pid("alone")?;
    stage.ok(&["up", "-d"])?;
    write("alone/y.py", "3")?;
    write("lib/x.py", "3")?;
    eventually("app is watched as ever", || starts("app") == 4)
        .map_err(|error| format!("{}: {}", words(&error), stage.ok(&["events"]).unwrap_or_default()))?;
    expect!(stage.pid("alone")? == before, "alone is watched on");
    Ok(())
}

/// The event is on standard input, what hangs is ended, and what fails is no event.
fn hooks(stage: &Stage<'_>) -> Result<()> {
    let fails = "[service.bad]\ncommand = [\"sh\", \"-c\", \"sleep 0.1; exit 3\"]\n\
                 restart = { policy = \"never\" }\non.failed = [\"sh\", \"-c\", \"cat > failed.json; exit 1\"]\n\
                 on.exited = [\"no-such-program\"]\n";
    let all = "on.any = [\"sh\", \"-c\", \"cat >> all.json\"]";
    stage.config(&(fails.to_owned() + &sleeper("good", all)))?;
    stage.provost(&["up", "-d"])?;
    let path = |name: &str| format!("{}/{name}", stage.home);
    let read = |name: &str| stage.rig.read(&path(name)).unwrap_or_default();
    eventually("its command has run", || read("failed.json").ends_with('\n'))?;
    let event: Value = serde_json::from_str(&read("failed.json"))?;
    expect!(event["id"] == "bad" && event["event"] == "state" && event["to"] == "failed", "{event}");
    stage.ok(&["restart", "good"])?;
    let ready = || read("all.json").matches("\"event\":\"ready\"").count();
    eventually("all events have come", || ready() == 2)?;
    let lines = read("all.json");
    let events: Vec<Value> = lines.lines().map(serde_json::from_str).collect::<std::result::Result<_, _>>()?;
    expect!(events.iter().all(|event| event["id"] == "good") && events.len() > 4, "{lines}");
    let told = stage.ok(&["events", "bad"])?;
    expect!(!told.contains("no-such-program"), "{told}");
    Ok(())
}
