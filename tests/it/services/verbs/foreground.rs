//! `up` in the foreground, with and without a daemon.

use std::time::Duration;

use super::{Body, Stage, sleeper};
use crate::rig::Result;

pub(super) const BODIES: &[(&str, Body)] = &[
    ("hosted", hosted),
    ("beside_a_daemon", beside_a_daemon),
    ("ends_with_its_services", ends_with_its_services),
    ("last_words", last_words),
    ("host_of_others", host_of_others),
];

const LIMIT: Duration = Duration::from_secs(20);

fn hosted(stage: &Stage<'_>) -> Result<()> {
    stage.config(&(sleeper("first", "") + &sleeper("second", "after = [\"first\"]")))?;
    let mut up = stage.who().env("NO_COLOR", "1").pty(["provost", "up"])?;
    up.expect("second: it is ready", LIMIT)?;
    let pids = [stage.pid("first")?, stage.pid("second")?];
    let status = stage.provost(&["status"])?;
    expect!(status.code() == 0, "{status:?}");
    up.type_bytes(b"\x03")?;
    let (status, said) = up.wait()?;
    expect!(status.success(), "{said}");
    let at = |text: &str| said.find(text).ok_or_else(|| format!("no '{text}' in {said}"));
    expect!(at("second: it is stopped")? < at("first: it is being stopped")?, "not in reverse order: {said}");
    expect!(at("first: it is being stopped")? < at("first: it is stopped")?, "its end is not told: {said}");
    expect!(pids.iter().all(|pid| !stage.rig.is_running(*pid)), "something runs on: {said}");
    Ok(())
}

/// What a service writes when Ctrl-C ends it is shown, to the last line.
fn last_words(stage: &Stage<'_>) -> Result<()> {
    let trap = "trap 'for i in 1 2 3 4 5; do echo bye $i; done; exit 0' TERM; echo there; while :; do sleep 0.05; done";
    stage.config(&format!(
        "[service.polite]\ncommand = [\"sh\", \"-c\", \"{trap}\"]\nready = {{ log = \"there\" }}\n"
    ))?;
    let mut up = stage.who().env("NO_COLOR", "1").pty(["provost", "up"])?;
    up.expect("polite: it is ready", LIMIT)?;
    up.type_bytes(b"\x03")?;
    let (status, said) = up.wait()?;
    expect!(status.success() && (1..=5).all(|i| said.contains(&format!("bye {i}"))), "{said}");
    Ok(())
}

fn beside_a_daemon(stage: &Stage<'_>) -> Result<()> {
    stage.config(&sleeper("only", ""))?;
    stage.ok(&["up", "-d"])?;
    let pid = stage.pid("only")?;
    let mut up = stage.who().env("NO_COLOR", "1").pty(["provost", "up"])?;
    up.expect("only: ", LIMIT)?;
    up.type_bytes(b"\x03")?;
    up.expect("services keep running; provost down stops them", LIMIT)?;
    let (status, said) = up.wait()?;
    expect!(status.success() && stage.pid("only")? == pid, "{said}");
    Ok(())
}

fn ends_with_its_services(stage: &Stage<'_>) -> Result<()> {
    stage.config(
        "[defaults]\nrestart = { policy = \"never\" }\n[service.good]\ncommand = [\"true\"]\n\
         [service.bad]\ncommand = [\"false\"]\n",
    )?;
    let ended = stage.provost(&["up"])?;
    expect!(ended.code() == 1 && ended.stderr.contains("failed: bad"), "{ended:?}");
    stage.config("[service.missing]\ncommand = [\"no-such-program\"]\n")?;
    let ended = stage.provost(&["up"])?;
    expect!(ended.code() == 1 && ended.stderr.contains("failed: missing: no-such-program: there is no"), "{ended:?}");
    stage.config("[defaults]\nrestart = { policy = \"never\" }\n[service.good]\ncommand = [\"true\"]\n")?;
    let ended = stage.provost(&["up", "good"])?;
    expect!(ended.code() == 0, "{ended:?}");
    Ok(())
}

/// Services of others hang on its terminal: a `down` of its own leaves them, Ctrl-C names them first.
fn host_of_others(stage: &Stage<'_>) -> Result<()> {
    let run = |id: &str| stage.provost(&["run", "--name", id, "--", "sleep", "1000"]);
    stage.config(&sleeper("own", ""))?;
    let mut up = stage.who().env("NO_COLOR", "1").pty(["provost", "up"])?;
    up.expect("own: it is ready", LIMIT)?;
    let adhoc = run("adhoc")?;
    expect!(adhoc.code() == 0 && adhoc.stderr.contains("the 'provost up' of pid "), "{adhoc:?}");
    let pid = stage.pid("adhoc")?;
    stage.ok(&["down"])?;
    up.expect("adhoc runs on here", LIMIT)?;
    expect!(stage.pid("adhoc")? == pid && stage.rig.is_running(pid), "it is another one's");
    // Its own ones are started in it again, as in any daemon.
    let again = stage.provost(&["up", "-d"])?;
    expect!(again.code() == 0 && again.stderr.contains("the 'provost up' of pid "), "{again:?}");
    up.type_bytes(b"\x03")?;
    let (status, said) = up.wait()?;
    expect!(status.success() && !stage.rig.is_running(pid), "{said}");

    let mut up = stage.who().env("NO_COLOR", "1").pty(["provost", "up"])?;
    up.expect("own: it is ready", LIMIT)?;
    expect!(run("adhoc")?.code() == 0, "a second time");
    let pid = stage.pid("adhoc")?;
    up.type_bytes(b"\x03")?;
    up.expect("what this 'up' did not start is stopped, too: adhoc", LIMIT)?;
    up.expect("own: it is stopped", LIMIT)?;
    let (status, said) = up.wait()?;
    expect!(status.success() && !stage.rig.is_running(pid), "{said}");
    Ok(())
}
