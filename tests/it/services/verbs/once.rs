//! What runs once: others wait until it has ended well, and nothing does it twice unasked.

use super::{Body, Stage, sleeper};
use crate::rig::{Result, eventually};

pub(super) const BODIES: &[(&str, Body)] = &[("oneshot", oneshot)];

fn oneshot(stage: &Stage<'_>) -> Result<()> {
    let once =
        "[service.migrate]\ncommand = [\"sh\", \"-c\", \"echo migrate >> order; [ ! -e fail ]\"]\noneshot = true\n";
    let web =
        "[service.web]\ncommand = [\"sh\", \"-c\", \"echo web >> order; exec sleep 1000\"]\nafter = [\"migrate\"]\n";
    stage.config(&format!("[defaults]\nrestart = {{ policy = \"always\" }}\n{once}{web}"))?;
    let path = |name: &str| format!("{}/{name}", stage.home);
    let order = || stage.rig.read(&path("order")).unwrap_or_default().replace('\n', " ");
    stage.ok(&["up", "-d"])?;
    eventually("web has begun", || order().ends_with("web "))?;
    expect!(order() == "migrate web ", "{}", order());
    let migrate = stage.service("migrate")?;
    expect!(migrate["state"] == "done" && migrate["ready"] == true && migrate["health"] == "ok", "{migrate}");
    let said = stage.provost(&["status"])?;
    expect!(
        said.code() == 0 && said.stdout.contains("migrate: done") && said.stdout.contains("Health: ok"),
        "{said:?}"
    );
    expect!(stage.provost(&["status", "migrate"])?.code() == 0, "it is as it should be");

    // Neither another up, nor a daemon that starts again, nor its restart does it once more.
    stage.ok(&["up", "-d"])?;
    let said = stage.ok(&["start", "migrate"])?;
    expect!(said.contains("done already"), "{said}");
    stage.ok(&["daemon", "restart"])?;
    eventually("it is done", || stage.service("migrate").is_ok_and(|migrate| migrate["state"] == "done"))?;
    stage.ok(&["restart", "web"])?;
    eventually("web has begun again", || order() == "migrate web web ")?;
    stage.ok(&["restart", "migrate"])?;
    expect!(order() == "migrate web web migrate ", "{}", order());

    // Where it fails, what comes after it waits.
    stage.ok(&["down"])?;
    stage.rig.write_as(&stage.user, &path("fail"), "", 0o600)?;
    let said = stage.provost(&["up", "-d"])?;
    expect!(said.code() == 1 && said.stderr.contains("migrate has failed"), "{said:?}");
    let web = stage.service("web")?;
    expect!(web["state"] == "starting" && web["reason"] == "waits for migrate, which failed", "{web}");
    stage.who().run(["rm", "fail"])?.ok()?;
    stage.ok(&["restart", "migrate"])?;
    eventually("web runs", || stage.pid("web").is_ok())?;
    let said = stage.provost(&["config", "set", "service.web.oneshot=true", "service.web.ready.tcp=127.0.0.1:1"])?;
    expect!(said.code() == 6 && said.stderr.contains("leave ready out"), "{said:?}");

    // Alone it leaves nothing that runs, and up returns when it has.
    stage.ok(&["down"])?;
    stage.config(&format!("{once}{}", sleeper("other", "enabled = false")))?;
    let said = stage.provost(&["up"])?;
    expect!(said.code() == 0, "{said:?}");
    expect!(order().ends_with("migrate "), "{}", order());
    Ok(())
}
