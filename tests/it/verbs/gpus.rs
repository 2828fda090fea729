//! `gpus`, with a library of our own in place of the driver's.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use libtest_mimic::Failed;
use serde_json::Value;

use crate::trial::Trials;

pub fn register(trials: &mut Trials) {
    trials.plain("gpus::who_holds_them", held);
    trials.plain("gpus::what_is_missing", missing);
}

fn stand_in(folder: &Path) -> Result<PathBuf, Failed> {
    let library = folder.join("libnvidia-ml.so.1");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/gpus/stand_in.c");
    let built = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(source).status()?;
    expect!(built.success(), "{built:?}");
    Ok(library)
}

fn gpus(library: &Path, more: &[&str], env: &[(&str, &str)]) -> std::io::Result<Output> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_provost"));
    command.arg("gpus").arg("--library").arg(library).args(more).envs(env.iter().copied()).output()
}

fn held() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let library = stand_in(folder.path())?;
    let mut holder = Command::new("sleep").arg("600").spawn()?;
    let pid = holder.id().to_string();
    let json = gpus(&library, &["-o", "json"], &[("STAND_IN_PID", &pid)]);
    let text = gpus(&library, &[], &[("STAND_IN_PID", &pid)]);
    holder.kill()?;
    holder.wait()?;
    let (json, text) = (json?, text?);
    let document: Value = serde_json::from_slice(&json.stdout)?;
    let gpu = &document["gpus"][0];
    expect!(json.status.success() && gpu["uuid"] == "GPU-0000" && gpu["memory_total"] == 24u64 << 30, "{document}");
    expect!(gpu["memory_used"] == 6u64 << 30 && gpu["memory_free"] == 18u64 << 30, "{document}");
    let found = &gpu["holders"][0];
    expect!(found["pid"] == holder.id() && found["memory"] == 5u64 << 30, "{document}");
    expect!(found["command"] == "sleep" && found["owner"].is_string() && found["means"].is_string(), "{document}");
    // One that is out of sight is named all the same.
    let other = &gpu["holders"][1];
    expect!(other["pid"] == 4_194_305 && other["owner"].is_null() && other["memory"].is_null(), "{document}");
    expect!(document["gpus"][1]["memory_total"].is_null() && document["missing"].is_null(), "{document}");
    let text = String::from_utf8(text.stdout)?;
    expect!(text.starts_with("0  Stand-in 9000: 6.0 GiB of 24.0 GiB in use, 18.0 GiB free\n"), "{text}");
    expect!(text.contains(&format!("   {pid}")) && text.contains("5.0 GiB  sleep"), "{text}");
    Ok(())
}

fn missing() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let output = gpus(&folder.path().join("none.so"), &[], &[])?;
    let said = String::from_utf8_lossy(&output.stdout);
    expect!(output.status.code() == Some(3) && said.lines().count() == 1, "{output:?}");
    expect!(said.starts_with("no GPU: ") && said.contains("none.so cannot be loaded"), "{said}");
    let library = stand_in(folder.path())?;
    let output = gpus(&library, &["-o", "json"], &[("STAND_IN_NO_DRIVER", "1")])?;
    let document: Value = serde_json::from_slice(&output.stdout)?;
    expect!(output.status.code() == Some(3) && document["gpus"].as_array().is_some_and(Vec::is_empty), "{document}");
    expect!(document["missing"] == "the NVIDIA driver is not loaded: modprobe nvidia", "{document}");
    Ok(())
}
