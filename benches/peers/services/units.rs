//! The systemd backend, inside the rig, beside what the same manager does by itself.

use std::path::Path;
use std::time::Duration;

use zbus::Variant;

use super::{child, measure, tools};
use crate::rig::Result;

/// Runs in the rig as root: `services PROVOST`.
pub fn main(provost: &str) -> Result<()> {
    let dir = tempfile::tempdir_in("/var/tmp")?;
    let child = Path::new(child::IN_RIG);
    measure::header();
    let tool = tools::installed(Path::new(provost), "systemd").into_iter().next().ok_or("no tool")?;
    for n in [100, 1000] {
        let folder = dir.path().join(format!("n{n}"));
        std::fs::create_dir(&folder)?;
        let ours = measure::run(&tool, child, &folder, n)?;
        measure::row(tool.name(), n, &ours);
        let births = dir.path().join(format!("bare{n}"));
        let (started, restart) = bare(child, &births, n)?;
        println!("{:22} {n:>5} {started:>10.3} {restart:>11.2}", "transient units");
        println!(
            "{:22} {n:>5} {:>10.2} {:>11.2}   at most 1.2 and 1.5\n",
            "ratio",
            ours.started_s / started,
            ours.restart_ms / restart
        );
    }
    Ok(())
}

/// Starts so many transient units, 64 calls in flight, of Restart=always and RestartSec=0; then
/// kills some. Seconds until the last was born, median milliseconds of a restart.
fn bare(child: &Path, births: &Path, n: usize) -> Result<(f64, f64)> {
    std::fs::write(births, "")?;
    let begin = measure::now();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime
        .block_on(async {
            let bus = zbus::Connection::system().await?;
            let mut left: Vec<usize> = (0..n).collect();
            while !left.is_empty() {
                let some = left.split_off(left.len().saturating_sub(64));
                let calls: Vec<_> = some
                    .into_iter()
                    .map(|i| tokio::spawn(start(bus.clone(), child.to_owned(), births.to_owned(), i)))
                    .collect();
                for call in calls {
                    call.await??;
                }
            }
            Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
        })
        .map_err(|e| e.to_string())?;
    let born = measure::until_born(births, n)?;
    let last = born.iter().map(|b| b.1).max().unwrap_or(begin);
    let mut restarts = measure::restarts(births, n)?;
    restarts.sort_by(f64::total_cmp);
    let stop = std::process::Command::new("systemctl").args(["stop", "bench-bare-*.service"]).status()?;
    if !stop.success() {
        return Err("the bare units do not stop".into());
    }
    std::thread::sleep(Duration::from_millis(200));
    Ok(((last - begin) as f64 / 1e9, restarts[restarts.len() / 2]))
}

type Failed = Box<dyn std::error::Error + Send + Sync>;

async fn start(
    bus: zbus::Connection,
    child: std::path::PathBuf,
    births: std::path::PathBuf,
    i: usize,
) -> std::result::Result<(), Failed> {
    let (child, births) = (child.display().to_string(), births.display().to_string());
    let exec = vec![(child.clone(), vec![child, births], false)];
    let properties: Vec<(&str, Variant<'_>)> = vec![
        ("Type", Variant::from("exec")),
        ("Restart", Variant::from("always")),
        ("RestartUSec", Variant::from(0_u64)),
        ("StartLimitIntervalUSec", Variant::from(0_u64)),
        ("ExecStart", Variant::from(exec)),
    ];
    let auxiliary: Vec<(&str, Vec<(&str, Variant<'_>)>)> = Vec::new();
    let body = (format!("bench-bare-{i}.service"), "replace", properties, auxiliary);
    let manager = "org.freedesktop.systemd1.Manager";
    bus.call_method(
        Some("org.freedesktop.systemd1"),
        "/org/freedesktop/systemd1",
        Some(manager),
        "StartTransientUnit",
        &body,
    )
    .await?;
    Ok(())
}
