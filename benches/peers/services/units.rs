//! The systemd backend, inside the rig, beside what the same manager does by itself.

use std::path::Path;
use std::time::Duration;

use zbus::Variant;

use super::{child, measure, tools};
use crate::rig::Result;

/// How often hundred are started, alternating with the bare loop.
const ROUNDS: usize = 5;

/// Runs in the rig, on the manager of whoever it is: `services PROVOST`.
pub fn main(provost: &str) -> Result<()> {
    let dir = tempfile::tempdir_in("/var/tmp")?;
    let child = Path::new(child::IN_RIG);
    measure::header();
    let tool = tools::installed(Path::new(provost), "systemd").into_iter().next().ok_or("no tool")?;
    for (n, rounds) in [(100, ROUNDS), (1000, 1)] {
        let (mut started, mut restarts, mut alone) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..rounds {
            let folder = dir.path().join(format!("n{n}-{round}"));
            std::fs::create_dir(&folder)?;
            let ours = measure::run(&tool, child, &folder, n)?;
            measure::row(tool.name(), n, &ours);
            let bare = bare(child, &dir.path().join(format!("bare{n}-{round}")), n)?;
            println!("{:22} {n:>5} {:>10.3} {:>11.2} {:>9.2}", "transient units", bare.0, bare.1, bare.2);
            started.push(ours.started_s / bare.0);
            restarts.push(ours.restart_ms / bare.1);
            alone.push(ours.alone_ms / bare.2);
        }
        let (started, restarts) = (measure::median(started), measure::median(restarts));
        let alone = measure::median(alone);
        println!(
            "{:22} {n:>5} {started:>10.2} {restarts:>11.2} {alone:>9.2}   at most 1.2 and 1.5\n",
            "ratio (median)"
        );
    }
    Ok(())
}

/// The bus of the manager that is measured, as `systemctl` has it.
async fn manager() -> zbus::Result<zbus::Connection> {
    if rustix::process::geteuid().is_root() {
        zbus::Connection::system().await
    } else {
        zbus::Connection::session().await
    }
}

/// Starts so many transient units, 64 calls in flight, of Restart=always and RestartSec=0; then
/// kills some. Seconds until the last was born, median milliseconds of a restart in a row, and alone.
fn bare(child: &Path, births: &Path, n: usize) -> Result<(f64, f64, f64)> {
    std::fs::write(births, "")?;
    let begin = measure::now();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime
        .block_on(async {
            let bus = manager().await?;
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
            Ok::<(), Failed>(())
        })
        .map_err(|e| e.to_string())?;
    let mut runs = || Ok(());
    let born = measure::until_born(births, n, &mut runs)?;
    let last = born.iter().map(|b| b.1).max().unwrap_or(begin);
    let (in_a_row, alone) = measure::restarts(births, n, &mut runs)?;
    let mut stop = std::process::Command::new("systemctl");
    if !rustix::process::geteuid().is_root() {
        stop.arg("--user");
    }
    if !stop.args(["stop", "bench-bare-*.service"]).status()?.success() {
        return Err("the bare units do not stop".into());
    }
    std::thread::sleep(Duration::from_millis(200));
    Ok(((last - begin) as f64 / 1e9, measure::median(in_a_row), measure::median(alone)))
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
