//! How many files the daemon may have open: a process and two pipes for each service.

use std::sync::OnceLock;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

static ORIGINAL: OnceLock<Rlimit> = OnceLock::new();

/// Raises the limit as far as it may be. Services get the original one: programs that use
/// select(2) must not meet descriptors above 1024.
pub(super) fn raise() {
    let now = getrlimit(Resource::Nofile);
    let original = ORIGINAL.get_or_init(|| now);
    let raised = Rlimit { current: original.maximum, maximum: original.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!("the limit of open files stays at {:?}: {error}", now.current);
    }
}

/// Takes that back, for the program that is executed next.
pub(super) fn restore() {
    if let Some(original) = ORIGINAL.get() {
        let _stays_raised = setrlimit(Resource::Nofile, *original);
    }
}

/// The soft limit that services get; `None`: it was not raised, or is no limit.
pub(crate) fn original_nofile() -> Option<u64> {
    ORIGINAL.get().and_then(|limit| limit.current)
}
