//! Supervision beside its peers: many children that only wait, started, killed, and left alone.
//!
//! Every tool runs the same child, whose first instruction is its start: it appends its pid and
//! the time to one file. A restart is from SIGKILL to the first instruction of the successor.

mod child;
mod measure;
mod tools;
mod units;

use std::path::Path;

pub use child::{IN_RIG, build as child};
pub use units::{main as in_rig, part};

use crate::rig::Result;

/// Measures provost in the direct backend and every peer that is installed, on this machine.
pub fn direct(provost: &Path) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let child = child::build(dir.path())?;
    flat(provost, &child, dir.path())?;
    println!("\nchildren that only wait, direct backend and peers (median of restarts; memory is PSS)\n");
    measure::header();
    for n in [100, 1000] {
        for tool in tools::installed(provost, "direct") {
            // Who needs a second for one start would need an hour for all of this.
            if n > 100 && !tool.is_fast() {
                continue;
            }
            let folder = dir.path().join(format!("{}-{n}", tool.name()));
            std::fs::create_dir(&folder)?;
            match measure::run(&tool, &child, &folder, n) {
                Ok(figures) => measure::row(tool.name(), n, &figures),
                Err(error) => println!("{:22} {n:>5}  {}", tool.name(), crate::rig::words(&error)),
            }
        }
    }
    Ok(())
}

/// What one start costs among few and among many.
fn flat(provost: &Path, child: &Path, dir: &Path) -> Result<()> {
    let tool = tools::installed(provost, "direct").into_iter().next().ok_or("no tool")?;
    println!("\na start of so many, direct backend\n{:22} {:>5} {:>10} {:>11}", "", "n", "ms each", "self ms");
    for n in [100, 1000, 5000] {
        let folder = dir.join(format!("flat-{n}"));
        std::fs::create_dir(&folder)?;
        let [started, own] = measure::with(&tool, child, &folder, n, |_, started, pid, _| {
            Ok([started * 1e3, measure::cpu_ms(pid) as f64])
        })?;
        println!("{:22} {n:>5} {:>10.3} {:>11.3}", tool.name(), started / n as f64, own / n as f64);
    }
    // ext4 gives nobody the inodes that were freed in the last minute, and looks at each of them for every new file:
    // what comes next would pay for what these left.
    std::thread::sleep(std::time::Duration::from_secs(75));
    Ok(())
}
