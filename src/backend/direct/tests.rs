//! The direct backend against the suite that all backends must pass.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use super::*;
use crate::backend::conformance;
use crate::sys::spawn;

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
    const HERE: &str = "PROVOST_TEST_HERE";
    if std::env::var_os(HERE).is_some() {
        return the_suite();
    }
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", "backend::direct::tests::the_suite_of_all_backends"])
        .env(HERE, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}{}", String::from_utf8_lossy(&output.stderr));
}

fn the_suite() {
    let dir = tempfile::tempdir().unwrap();
    let places = Places::below(dir.path());
    std::fs::create_dir(&places.runtime).unwrap();
    let instance = format!("direct-test-{}", std::process::id());
    let make = async || {
        let (reports, happened) = tokio::sync::mpsc::unbounded_channel();
        (Direct::new(&places, &instance, Box::new(Nowhere), reports).unwrap(), happened)
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async {
        conformance::all(&make, &instance).await;
        at_the_gate(&make().await.0, &instance).await;
    });
}

/// A daemon has died between the record of a start and the start itself.
async fn at_the_gate(direct: &Direct, instance: &str) {
    let log = std::fs::File::options().write(true).open("/dev/null").unwrap();
    for released in [false, true] {
        let argv = ["sleep".to_owned(), "1000".to_owned()];
        let mark = [format!("PROVOST_INSTANCE_ID={instance}"), "PROVOST_SERVICE=gate".to_owned()];
        let program = spawn::Program {
            env: Some(mark.to_vec()),
            ..spawn::Program::new("/bin/sleep".as_ref(), &argv, log.as_fd(), log.as_fd())
        };
        let held = spawn::spawn(&program).unwrap();
        let (identity, _) = direct.inner.proc.identify(held.pid()).unwrap();
        let spec = crate::model::service::ServiceSpec::new("gate".parse().unwrap(), argv.to_vec(), "/".into());
        let identity = Some(Identity { pidfd_inode: held.pidfd().inode(), ..identity });
        let state = crate::model::service::ServiceState::Starting;
        let record = Record { state, identity, ..Record::new(spec, 0) };
        let decide = async {
            tokio::task::yield_now().await;
            match released {
                true => drop(held.release().await.unwrap()),
                false => drop(held.abandon()),
            }
        };
        let (adopted, ()) = tokio::join!(direct.adopt(&record, 41), decide);
        match adopted.unwrap() {
            Adoption::NeverStarted => assert!(!released, "it runs"),
            Adoption::Running(placed) => assert!(released && placed.identity == identity, "{placed:?}"),
            other => panic!("{other:?}"),
        }
        direct.clear(&record.id).await.unwrap();
        direct.release(&record.id).await;
    }
}
