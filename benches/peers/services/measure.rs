//! What is measured of a supervisor.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use libtest_mimic::Failed;

use super::tools::Tool;
use crate::rig::{Result, words};

/// How long a tool may take to start everything.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often one child is killed for the median.
const KILLS: usize = 21;
/// After so long all is said and done that belongs to a start.
pub const SETTLED: Duration = Duration::from_millis(1500);
/// After so long nothing is left of a restart.
const QUIET: Duration = Duration::from_millis(100);
/// How long the supervisor is left alone.
const IDLE: Duration = Duration::from_secs(10);

/// The figures of one tool.
pub struct Figures {
    pub started_s: f64,
    /// One right after the other.
    pub restart_ms: f64,
    /// Each when all was quiet: a manager that has been idle takes longer for anything.
    pub alone_ms: f64,
    pub pss_kib: u64,
    pub processes: usize,
    /// Of all its threads in the idle seconds.
    pub wakeups: u64,
    pub cpu_ms: u64,
}

pub fn header() {
    println!(
        "{:22} {:>5} {:>10} {:>11} {:>9} {:>10} {:>6} {:>9} {:>8}",
        "", "n", "started s", "restart ms", "alone ms", "PSS KiB", "procs", "wake-ups", "CPU ms"
    );
}

pub fn row(name: &str, n: usize, f: &Figures) {
    println!(
        "{name:22} {n:>5} {:>10.3} {:>11.2} {:>9.2} {:>10} {:>6} {:>9} {:>8}",
        f.started_s, f.restart_ms, f.alone_ms, f.pss_kib, f.processes, f.wakeups, f.cpu_ms
    );
}

/// Runs a tool with so many children in `folder`.
pub fn run(tool: &Tool, child: &Path, folder: &Path, n: usize) -> Result<Figures> {
    with(tool, child, folder, n, |births, started_s, pid, runs| {
        // Idle is who has long started everything, and had nothing to restart.
        std::thread::sleep(SETTLED);
        let own = own_processes(pid, child);
        let before = idle_marks(&own);
        std::thread::sleep(IDLE);
        let after = idle_marks(&own);
        let pss_kib = own.iter().map(|pid| pss(*pid)).sum();
        let (in_a_row, alone) = restarts(births, n, runs)?;
        Ok(Figures {
            started_s,
            restart_ms: median(in_a_row),
            alone_ms: median(alone),
            pss_kib,
            processes: own.len(),
            wakeups: after.0 - before.0,
            cpu_ms: after.1 - before.1,
        })
    })
}

/// Starts a tool with so many children in `folder`, has `look` measure something of it (the file of births, the
/// seconds that it took, its pid, and whether it still runs), and ends it.
pub fn with<T>(
    tool: &Tool,
    child: &Path,
    folder: &Path,
    n: usize,
    look: impl FnOnce(&Path, f64, u32, &mut dyn FnMut() -> Result<()>) -> Result<T>,
) -> Result<T> {
    let births = folder.join("births");
    fs::write(&births, "")?;
    tool.configure(folder, child, &births, n)?;
    let begin = now();
    let mut supervisor = tool.spawn(folder)?;
    let pid = supervisor.id();
    let mut runs = || match supervisor.try_wait()? {
        Some(status) => Err(format!("it ended: {status}").into()),
        None => Ok(()),
    };
    let looked = until_born(&births, n, &mut runs).and_then(|born| {
        let last = born.iter().map(|b| b.1).max().unwrap_or(begin);
        look(&births, (last - begin) as f64 / 1e9, pid, &mut runs)
    });
    let looked = looked.map_err(|error| in_its_words(error, folder));
    tool.stop(folder, &mut supervisor);
    // Whatever a tool leaves behind was started here, and is ended here.
    for (pid, _) in self::born(&births) {
        if fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == child) {
            kill(pid);
        }
    }
    looked
}

/// The error, and what the supervisor itself said last.
fn in_its_words(error: Failed, folder: &Path) -> Failed {
    let said = fs::read_to_string(folder.join("output")).unwrap_or_default();
    let lines: Vec<&str> = said.lines().collect();
    let last = &lines[lines.len().saturating_sub(5)..];
    format!("{}\n    it said: {}", words(&error), last.join("\n    ")).into()
}

pub fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

/// Kills children and waits for each successor: one after the other, and then each when all has been
/// quiet for a moment. Milliseconds.
pub fn restarts(births: &Path, n: usize, runs: &mut dyn FnMut() -> Result<()>) -> Result<(Vec<f64>, Vec<f64>)> {
    // Supervisors that delay a restart of what has just begun are given no reason to.
    std::thread::sleep(SETTLED);
    let in_a_row = in_a_row(births, n, runs)?;
    let kills = in_a_row.len();
    let alone = (kills..2 * kills).map(|i| {
        std::thread::sleep(QUIET);
        restart(births, i, runs)
    });
    Ok((in_a_row, alone.collect::<Result<_>>()?))
}

/// Kills children, each as soon as the successor of the last is born.
pub fn in_a_row(births: &Path, n: usize, runs: &mut dyn FnMut() -> Result<()>) -> Result<Vec<f64>> {
    (0..KILLS.min(n / 2)).map(|i| restart(births, i, runs)).collect()
}

fn restart(births: &Path, i: usize, runs: &mut dyn FnMut() -> Result<()>) -> Result<f64> {
    let known = born(births);
    let victim = known[i].0;
    let killed = now();
    kill(victim);
    let all = until_born(births, known.len() + 1, runs)?;
    let successor = all.last().ok_or("no successor")?;
    Ok((successor.1 - killed) as f64 / 1e6)
}

/// The clock of the children, CLOCK_MONOTONIC, in nanoseconds.
pub fn now() -> i128 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    i128::from(now.tv_sec) * 1_000_000_000 + i128::from(now.tv_nsec)
}

fn born(births: &Path) -> Vec<(u32, i128)> {
    let text = fs::read_to_string(births).unwrap_or_default();
    let line = |line: &str| {
        let (pid, at) = line.split_once(' ')?;
        Some((pid.parse().ok()?, at.parse().ok()?))
    };
    text.lines().filter_map(line).collect()
}

/// Waits for so many births, as long as their supervisor runs.
pub fn until_born(births: &Path, n: usize, runs: &mut dyn FnMut() -> Result<()>) -> Result<Vec<(u32, i128)>> {
    let begin = Instant::now();
    loop {
        // A short look: the file is read only when it can be long enough.
        let all = born(births);
        if all.len() >= n {
            return Ok(all);
        }
        runs()?;
        if begin.elapsed() > PATIENCE {
            return Err(format!("{} of {n} were born in {PATIENCE:?}", all.len()).into());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn kill(pid: u32) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw) {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
}

/// The supervisor and all that descends from it, without the children themselves.
fn own_processes(root: u32, child: &Path) -> Vec<u32> {
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|n| n.parse::<u32>().ok()) else { continue };
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let Some((_, rest)) = stat.rsplit_once(") ") else { continue };
        let Some(ppid) = rest.split(' ').nth(1).and_then(|p| p.parse::<u32>().ok()) else { continue };
        parents.push((pid, ppid));
    }
    let mut tree = HashSet::from([root]);
    loop {
        let more: Vec<u32> =
            parents.iter().filter(|(p, pp)| tree.contains(pp) && !tree.contains(p)).map(|p| p.0).collect();
        if more.is_empty() {
            break;
        }
        tree.extend(more);
    }
    let is_child = |pid: &u32| fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == child);
    tree.into_iter().filter(|pid| !is_child(pid)).collect()
}

fn pss(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = text.lines().find_map(|l| l.strip_prefix("Pss:"));
    line.and_then(|l| l.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// Voluntary context switches of all threads, and processor time in milliseconds.
fn idle_marks(pids: &[u32]) -> (u64, u64) {
    let (mut switches, mut ms) = (0, 0);
    for pid in pids {
        for task in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
            let status = fs::read_to_string(task.path().join("status")).unwrap_or_default();
            let line = status.lines().find_map(|l| l.strip_prefix("voluntary_ctxt_switches:"));
            switches += line.and_then(|l| l.trim().parse::<u64>().ok()).unwrap_or(0);
            let stat = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
            ms += stat.split(' ').next().and_then(|n| n.parse::<u64>().ok()).unwrap_or(0) / 1_000_000;
        }
    }
    (switches, ms)
}

/// What the scheduler gave to a process so far, in milliseconds.
pub fn cpu_ms(pid: u32) -> u64 {
    idle_marks(&[pid]).1
}
