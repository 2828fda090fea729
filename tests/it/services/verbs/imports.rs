//! Configs of other supervisors: one format is run as it is, the others are made into a config.

use super::{Body, Stage};
use crate::rig::{Result, eventually};

pub(super) const BODIES: &[(&str, Body)] = &[("processes_as_they_are", processes_as_they_are)];

fn processes_as_they_are(stage: &Stage<'_>) -> Result<()> {
    let write =
        |name: &str, text: &str, mode| stage.rig.write_as(&stage.user, &format!("{}/{name}", stage.home), text, mode);
    stage.who().run(["mkdir", "agents"])?.ok()?;
    write("my tool", "#!/bin/sh\necho \"$PB_PORT $PB_DATA_DIR $KEY $1\" >said\nexec sleep 1000\n", 0o755)?;
    let tool = format!("{}/my tool", stage.home);
    let text = serde_json::json!([
        {"id": "agent", "command": tool, "args": ["a b"], "cwd": "./agents", "env": {"KEY": "${NOT_SET}x"}, "maxRetries": -1},
        {"id": "other", "command": "sleep", "args": ["1000"], "cwd": ".", "backoff": "2s"},
    ]);
    write("pb_processes.json", &text.to_string(), 0o600)?;
    let said = stage.ok(&["up", "-d", "-c", "pb_processes.json"])?;
    expect!(said.lines().count() == 2 && said.contains("agent: running"), "{said}");
    let file = format!("{}/agents/said", stage.home);
    eventually("it has said", || stage.rig.read(&file).is_ok_and(|text| text.ends_with('\n')))?;
    let found = stage.rig.read(&file)?;
    expect!(found == format!("8420 {} x a b\n", stage.home), "{found}");
    // The same as a config of ours: nothing is restarted by that.
    let pid = stage.pid("agent")?;
    stage.ok(&["down", "-c", "pb_processes.json"])?;
    expect!(!stage.rig.is_running(pid), "it runs");
    stage.ok(&["remove", "agent", "other"])?;
    stage.ok(&["config", "import", "pb_processes.json", "-o", "provost.toml"])?;
    let said = stage.ok(&["up", "-d"])?;
    expect!(said.lines().count() == 2 && said.contains("agent: running"), "{said}");
    Ok(())
}
