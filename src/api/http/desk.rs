//! Where requests read and change the host as the verbs do. What does that keeps to one thread, unlike
//! requests: each is done at this desk, and goes on to its end if whoever asked goes away.

use std::pin::Pin;
use std::sync::Arc;

use axum::http::StatusCode;
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::problem::Problem;
use crate::observe::Units;
use crate::{Client, Error};

/// How many are done at the same time, and how many wait.
const TURNS: (usize, usize) = (8, 32);

type Work = Box<dyn FnOnce() -> Pin<Box<dyn Future<Output = ()>>> + Send>;

/// The way to the desk; cheap to clone.
#[derive(Clone)]
pub(super) struct Desk(mpsc::Sender<Work>);

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Desk")
    }
}

impl Desk {
    /// Opens it, within a `LocalSet`; it is closed when nobody can come any more.
    pub(super) fn open() -> Self {
        let (desk, mut waiting) = mpsc::channel::<Work>(TURNS.1);
        crate::tasks::spawn_local(async move {
            let turns = Arc::new(Semaphore::new(TURNS.0));
            while let Some(work) = waiting.recv().await {
                let Ok(turn) = Arc::clone(&turns).acquire_owned().await else { return };
                crate::tasks::spawn_local(async move {
                    work().await;
                    drop(turn);
                });
            }
        });
        Self(desk)
    }

    /// Does this with a view of the host.
    pub(super) async fn ask<T, F>(&self, units: Units, work: F) -> Result<T, Problem>
    where
        T: Send + 'static,
        F: AsyncFnOnce(Client) -> Result<T, Error> + Send + 'static,
    {
        let busy = || Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too much is asked for at once: try again");
        let (answer, answered) = oneshot::channel();
        let work: Work = Box::new(move || {
            Box::pin(async move {
                let done = match Client::with_units(units).await {
                    Ok(client) => work(client).await,
                    Err(error) => Err(error),
                };
                // Whoever asked may have gone.
                let _ = answer.send(done);
            })
        });
        self.0.try_send(work).map_err(|_| busy())?;
        Ok(answered.await.map_err(|_| busy())??)
    }
}
