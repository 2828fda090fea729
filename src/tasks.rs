//! Tasks that give no answer, all of one type: for each type of task that there is, tokio becomes some
//! KiB of the program.

use std::pin::Pin;

use tokio::task::JoinHandle;

/// A task that ends when this is dropped.
#[derive(Debug)]
pub(crate) struct AbortOnDrop(pub(crate) JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// One of them, for a `JoinSet`.
pub(crate) fn one(task: impl Future<Output = ()> + Send + 'static) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(task)
}

/// Runs it beside the others, on whatever thread the runtime has.
pub(crate) fn spawn(task: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    tokio::spawn(one(task))
}

/// Runs it beside the others, on this thread.
pub(crate) fn spawn_local(task: impl Future<Output = ()> + 'static) -> JoinHandle<()> {
    let task: Pin<Box<dyn Future<Output = ()>>> = Box::pin(task);
    tokio::task::spawn_local(task)
}
