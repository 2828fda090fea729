//! The systemd backend, inside the rig, beside what the same manager does by itself.

use std::path::Path;

use zbus::Variant;

use super::{child, measure, tools};
use crate::rig::Result;

/// How often hundred are started, alternating with the bare loop.
const ROUNDS: usize = 5;
/// Jobs of the bare loop that are not done.
const JOBS: usize = 400;
/// The same, where nothing else is measured.
const PART: usize = 15;
/// As many are started then.
const N: usize = 100;

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
            // Both find a manager that has done with what was before.
            std::thread::sleep(measure::SETTLED);
            let ours = measure::run(&tool, child, &folder, n)?;
            measure::row(tool.name(), n, &ours);
            std::thread::sleep(measure::SETTLED);
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

/// Only starts, or only restarts in a row, and who worked for them: `starts PROVOST`, `restarts PROVOST`.
pub fn part(what: &str, provost: &str) -> Result<()> {
    let dir = tempfile::tempdir_in("/var/tmp")?;
    let child = Path::new(child::IN_RIG);
    let tool = tools::installed(Path::new(provost), "systemd").into_iter().next().ok_or("no tool")?;
    let (manager, bus) = who()?;
    let (of_starts, unit) = (what == "starts", if what == "starts" { "started s" } else { "restart ms" });
    println!("{:22} {unit:>10} {:>11} {:>7} {:>8}", "", "manager ms", "bus ms", "self ms");
    let mark = |own: u32| [measure::cpu_ms(manager), measure::cpu_ms(bus), measure::cpu_ms(own)].map(|ms| ms as f64);
    let since = |took: f64, own: u32, before: [f64; 3]| {
        let after = mark(own);
        [took, after[0] - before[0], after[1] - before[1], after[2] - before[2]]
    };
    // What is restarted has been left alone before.
    let restarts = |births: &Path, own: u32, runs: &mut dyn FnMut() -> Result<()>| {
        std::thread::sleep(measure::SETTLED);
        let before = mark(own);
        Ok(since(measure::median(measure::in_a_row(births, N, runs)?), own, before))
    };
    let mut all = [Vec::new(), Vec::new()];
    for round in 0..PART {
        let folder = dir.path().join(format!("{what}-{round}"));
        std::fs::create_dir(&folder)?;
        let before = mark(manager);
        all[0].push(measure::with(&tool, child, &folder, N, |births, started, pid, runs| {
            if of_starts { Ok(since(started, pid, [before[0], before[1], 0.0])) } else { restarts(births, pid, runs) }
        })?);
        std::thread::sleep(measure::SETTLED);
        let births = dir.path().join(format!("bare-{what}-{round}"));
        let own = std::process::id();
        let (before, mut done) = (mark(own), [0.0; 4]);
        let started = bare_starts(child, &births, N, || done = since(0.0, own, before))?;
        done[0] = started;
        all[1].push(if of_starts { done } else { restarts(&births, own, &mut || Ok(()))? });
        stop_bare()?;
        std::thread::sleep(measure::SETTLED);
    }
    let medians =
        all.map(|rounds| [0, 1, 2, 3].map(|i| measure::median(rounds.iter().map(|round| round[i]).collect())));
    for (name, [took, manager, bus, own]) in [tool.name(), "transient units"].iter().zip(medians) {
        println!("{name:22} {took:>10.3} {manager:>11.0} {bus:>7.0} {own:>8.0}");
    }
    let bound = if of_starts { "1.2" } else { "1.5" };
    println!("{:22} {:>10.2}   at most {bound}", "ratio of medians", medians[0][0] / medians[1][0]);
    Ok(())
}

/// The processes of the manager that is measured, and of its bus.
fn who() -> Result<(u32, u32)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let asked = runtime.block_on(async {
        let bus = manager().await?;
        let of = async |name: &str| {
            let (dbus, path) = ("org.freedesktop.DBus", "/org/freedesktop/DBus");
            let answer = bus.call_method(Some(dbus), path, Some(dbus), "GetConnectionUnixProcessID", &(name,)).await?;
            answer.body().deserialize::<u32>()
        };
        zbus::Result::Ok((of("org.freedesktop.systemd1").await?, of("org.freedesktop.DBus").await?))
    });
    Ok(asked.map_err(|e| e.to_string())?)
}

/// The bus of the manager that is measured, as `systemctl` has it.
async fn manager() -> zbus::Result<zbus::Connection> {
    if rustix::process::geteuid().is_root() {
        zbus::Connection::system().await
    } else {
        zbus::Connection::session().await
    }
}

/// Seconds until the last of so many bare units was born, median milliseconds of a restart in a row, and alone.
fn bare(child: &Path, births: &Path, n: usize) -> Result<(f64, f64, f64)> {
    let started = bare_starts(child, births, n, || ())?;
    let (in_a_row, alone) = measure::restarts(births, n, &mut || Ok(()))?;
    stop_bare()?;
    Ok((started, measure::median(in_a_row), measure::median(alone)))
}

/// Starts so many transient units, 64 calls in flight, of Restart=always and RestartSec=0. Seconds until the last was
/// born; `done` is called then.
fn bare_starts(child: &Path, births: &Path, n: usize, done: impl FnOnce()) -> Result<f64> {
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
                // A manager has a match rule for each job that is not done, and its bus lets it have 512.
                measure::until_born(births, (n - left.len()).saturating_sub(JOBS), &mut || Ok(()))
                    .map_err(|e| crate::rig::words(&e).to_owned())?;
            }
            Ok::<(), Failed>(())
        })
        .map_err(|e| e.to_string())?;
    let born = measure::until_born(births, n, &mut || Ok(()))?;
    done();
    let last = born.iter().map(|b| b.1).max().unwrap_or(begin);
    Ok((last - begin) as f64 / 1e9)
}

fn stop_bare() -> Result<()> {
    let mut stop = std::process::Command::new("systemctl");
    if !rustix::process::geteuid().is_root() {
        stop.arg("--user");
    }
    match stop.args(["stop", "bench-bare-*.service"]).status()?.success() {
        true => Ok(()),
        false => Err("the bare units do not stop".into()),
    }
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
