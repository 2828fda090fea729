//! What is fast, measured beside its peers in one run: `cargo bench --bench peers`.
//!
//! Everything runs in the rig of the tests, as whole processes, alternating, and the medians are
//! compared: on a noisy machine only the ratio means something. Prints a table; fails only if
//! something cannot be run.

// Benches start programs, read the environment and the clock: that is what they are for.
#![allow(clippy::disallowed_methods, missing_docs, unreachable_pub, unused_crate_dependencies)]

mod driver;
mod health;
mod http;
mod logs;
mod own;
#[path = "../../tests/rig/mod.rs"]
#[allow(dead_code, unused_imports, reason = "the rig of the tests; here a part of it is used")]
mod rig;
mod services;

use std::process::ExitCode;
use std::time::Duration;

use rig::{As, Result, Rig};

/// How often each command runs.
const RUNS: &str = "60";
/// Processes among which a name is looked for.
const CROWD: &str = "5000";
const UNIT: &str = "bench.service";

fn main() -> ExitCode {
    if let Some(code) = driver::main().or_else(logs::main).or_else(rig::fakes::main) {
        return code;
    }
    if std::env::var_os(rig::keeper::ROLE).is_some() {
        return rig::keeper::main();
    }
    // `cargo bench --bench peers -- inspect`, or `services`, or `logs`: only that part. `starts` and `restarts` are
    // parts of `services` that run only when they are asked for.
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let wanted = |part: &str| words.is_empty() || words.iter().any(|word| word == part);
    let mut done = Ok(());
    if wanted("services") {
        done = services::direct(std::path::Path::new(env!("CARGO_BIN_EXE_provost")));
    }
    if wanted("health") {
        done = done.and_then(|()| health::checks(std::path::Path::new(env!("CARGO_BIN_EXE_provost"))));
    }
    if wanted("http") {
        done = done.and_then(|()| http::load(std::path::Path::new(env!("CARGO_BIN_EXE_provost"))));
    }
    if wanted("logs") {
        done = done.and_then(|()| logs::run(std::path::Path::new(env!("CARGO_BIN_EXE_provost")), &words));
    }
    let asked = |part: &&str| words.iter().any(|word| word == part);
    let mut parts: Vec<&str> = ["starts", "restarts"].into_iter().filter(asked).collect();
    if wanted("services") {
        parts.insert(0, "services");
    }
    let on_systemd = wanted("inspect") || !parts.is_empty();
    if let Some(reason) = rig::missing().filter(|_| on_systemd) {
        println!("\nnothing on a real systemd: {reason}");
    } else if on_systemd {
        for part in parts {
            done = done.and_then(|()| rig::get().map_err(Into::into)).and_then(|rig| services_on_systemd(rig, part));
        }
        if wanted("inspect") {
            done = done.and_then(|()| rig::get().map_err(Into::into)).and_then(bench);
        }
        rig::shut_down();
    }
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", rig::words(&error));
            ExitCode::FAILURE
        }
    }
}

fn services_on_systemd(rig: &Rig, part: &str) -> Result<()> {
    let dir = tempfile::tempdir()?;
    rig.copy_program(&std::env::current_exe()?, driver::PATH)?;
    rig.copy_program(&services::child(dir.path())?, services::IN_RIG)?;
    println!("\nthe same, systemd backend, beside the manager itself\n");
    rig.linger("watson")?;
    let version = rig.systemctl(["--version"])?;
    println!("{}", version.lines().next().unwrap_or_default());
    let table = |whose: &str, who: As<'_>| {
        let table = who.timeout(Duration::from_secs(900)).run([driver::PATH, part, "/usr/local/bin/provost"])?;
        println!("\n{whose}\n{}", table.stdout);
        table.ok().map(drop)
    };
    table("the manager of a user", rig.as_user("watson"))?;
    // With what lets its daemon have a name on the system bus.
    rig.with_helper(|| table("the system's", rig.as_root()))
}

fn bench(rig: &Rig) -> Result<()> {
    rig.copy_program(&std::env::current_exe()?, driver::PATH)?;
    rig.started(UNIT, "[Service]\nUser=ollama\nRestart=always\nExecStart=/bin/sleep 100000\n")?;
    let version = rig.systemctl(["--version"])?;
    println!("{}; medians of {RUNS} runs\n", version.lines().next().unwrap_or_default());
    println!("{:34} {:>9}   {:26} {:>9} {:>6}  at most", "provost", "ms", "peer", "ms", "ratio");

    let unit = format!("unit:{UNIT}");
    let inspect = ["provost", "inspect", unit.as_str()];
    let (show, status) = (["systemctl", "show", UNIT], ["systemctl", "status", "--no-pager", UNIT]);
    let version = "org.freedesktop.systemd1.Manager Version";
    let property = format!("busctl get-property org.freedesktop.systemd1 /org/freedesktop/systemd1 {version}");
    let property: Vec<&str> = property.split(' ').collect();
    // What a process costs that does nothing, and one of ours that asks nobody.
    let (nothing, ourselves) = (["/bin/true"], ["provost", "--version"]);
    let root = times(&rig.as_root(), &[], &[&inspect, &show, &status, &property, &nothing, &ourselves])?;
    row("inspect UNIT, as root", root[0], "systemctl show UNIT", root[1], 0.5);
    row("inspect UNIT, as root", root[0], "systemctl status UNIT", root[2], 0.25);
    for (what, ms) in ["one property by busctl", "true", "provost --version"].iter().zip(&root[3..]) {
        println!("  for comparison: {what:28} {ms:>9.2}");
    }
    let user = times(&rig.as_user("watson"), &[], &[&inspect, &show])?;
    row("inspect UNIT, as a user (polkit)", user[0], "systemctl show UNIT", user[1], 3.0);

    let (name, pgrep) = (["provost", "inspect", "name:bench-needle"], ["pgrep", "-x", "bench-needle"]);
    let crowd = times(&rig.as_root(), &["crowd", CROWD], &[&name, &pgrep])?;
    row(&format!("inspect name:X among {CROWD}"), crowd[0], "pgrep -x X", crowd[1], 0.25);
    let crowd = times(&rig.as_user("watson"), &["crowd", CROWD], &[&name, &pgrep])?;
    row("the same as a user", crowd[0], "pgrep -x X", crowd[1], 0.25);

    let peak = rig.as_root().run([driver::PATH, "peak", "provost", "inspect", &unit])?.ok()?;
    let peak: f64 = peak.trim().parse().map_err(|_| format!("not a number: {peak}"))?;
    println!("\npeak memory of inspect             {:>9.1} MiB, at most 8", peak / 1024.0);
    let size = std::fs::metadata(env!("CARGO_BIN_EXE_provost"))?.len();
    println!("size of the stripped binary        {:>9.1} MiB, at most 8", size as f64 / 1048576.0);
    Ok(())
}

/// The median of each command's whole time, in milliseconds.
fn times(who: &As<'_>, prefix: &[&str], commands: &[&[&str]]) -> Result<Vec<f64>> {
    let mut argv = vec![driver::PATH];
    argv.extend(prefix);
    argv.extend(["times", RUNS]);
    for command in commands {
        argv.push("--");
        argv.extend(*command);
    }
    let output = who.clone().timeout(Duration::from_secs(300)).run(argv)?.ok()?;
    output.split_whitespace().map(|ms| ms.parse().map_err(|_| format!("not a number: {ms}").into())).collect()
}

fn row(what: &str, ours: f64, peer: &str, theirs: f64, bound: f64) {
    let ratio = ours / theirs;
    let verdict = if ratio <= bound { "" } else { "  MISSED" };
    println!("{what:34} {ours:>9.2}   {peer:26} {theirs:>9.2} {ratio:>6.2}  {bound}{verdict}");
}
