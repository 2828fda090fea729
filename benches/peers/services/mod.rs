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
pub use units::{main as in_rig, starts};

use crate::rig::Result;

/// Measures provost in the direct backend and every peer that is installed, on this machine.
pub fn direct(provost: &Path) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let child = child::build(dir.path())?;
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
