//! Against a real manager: `PROVOST_TEST_MANAGER=user` or `system` says which (`user-to-end`: one that
//! nobody needs any more); without it there is nothing to test here. The trials in the rig run this test program where there is one.

mod folder;
mod held;
mod many;
mod others;
mod output;

use std::path::PathBuf;

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::LocalSet;

use super::*;
use crate::backend::{Happened, conformance};

const TEST_INSTANCE: &str = "0123456789abcdef-test";

/// Runs a test, if there is a manager to test with.
fn with_manager(test: impl AsyncFnOnce(Scope)) {
    let manager = std::env::var("PROVOST_TEST_MANAGER");
    let manager = manager.as_deref().ok().filter(|manager| ["system", "user"].contains(manager));
    with(manager.unwrap_or("system or user"), test);
}

/// Runs a test, if this is the manager to test with.
fn with(manager: &str, test: impl AsyncFnOnce(Scope)) {
    if std::env::var("PROVOST_TEST_MANAGER").as_deref() != Ok(manager) {
        return println!("not run: PROVOST_TEST_MANAGER is not {manager}");
    }
    let scope = match manager {
        "system" => Scope::System,
        _ => Scope::User(rustix::process::getuid().as_raw()),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, test(scope));
}

async fn make(scope: Scope) -> (Systemd, UnboundedReceiver<Happened>) {
    make_with(scope, TEST_INSTANCE).await
}

async fn make_with(scope: Scope, instance: &str) -> (Systemd, UnboundedReceiver<Happened>) {
    let (reports, happened) = unbounded_channel();
    (Systemd::connect(options(scope, instance, reports)).await.unwrap(), happened)
}

fn options(scope: Scope, instance: &str, reports: Reports) -> Options {
    Options {
        scope,
        instance: instance.to_owned(),
        runtime_dir: std::env::var("XDG_RUNTIME_DIR").ok(),
        env_dir: PathBuf::from("/run/provost-test-env"),
        capture: None,
        reports,
    }
}

#[test]
fn conforms() {
    with_manager(async |scope| conformance::all(&async || make(scope).await, TEST_INSTANCE).await);
}

/// A shell that runs this.
fn launch(id: &str, script: &str) -> Launch {
    conformance::of_instance(TEST_INSTANCE, id, "/bin/sh", &["sh", "-c", script])
}
