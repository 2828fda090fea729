//! The direct backend against the suite that all backends must pass.

use std::io;
use std::os::fd::OwnedFd;

use super::*;
use crate::backend::conformance;

/// Output that nobody wants to see.
struct Nowhere;

impl Output for Nowhere {
    fn open(&self, _: &ServiceId) -> io::Result<(OwnedFd, OwnedFd)> {
        let null = std::fs::OpenOptions::new().write(true).open("/dev/null")?;
        Ok((null.try_clone()?.into(), null.into()))
    }

    fn resume(&self, _: &ServiceId) -> io::Result<()> {
        Ok(())
    }

    fn drain(&self, _: &ServiceId) -> io::Result<()> {
        Ok(())
    }

    fn close(&self, _: &ServiceId) -> io::Result<()> {
        Ok(())
    }
}

/// In a process of its own: the backend makes its process the reaper of all that loses its parent,
/// which other tests look at.
#[test]
fn the_suite_of_all_backends() {
    let name = "backend::direct::tests::the_suite_in_this_process";
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", name])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
#[ignore = "it is started by the test above"]
fn the_suite_in_this_process() {
    let dir = tempfile::tempdir().unwrap();
    let places = Places::below(dir.path());
    std::fs::create_dir(&places.runtime).unwrap();
    let instance = format!("direct-test-{}", std::process::id());
    let make = async || {
        let (reports, happened) = tokio::sync::mpsc::unbounded_channel();
        (Direct::new(&places, &instance, Box::new(Nowhere), reports).unwrap(), happened)
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, conformance::all(&make, &instance));
}
