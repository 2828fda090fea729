//! Waiting for jobs: the signal JobRemoved tells how each one ended.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;
use zbus::OwnedObjectPath;

use super::{CallError, Manager};

/// How a job ended: the word of JobRemoved (done, canceled, timeout, failed, dependency, skipped,
/// invalid, assert, unsupported, collected, once; 262 adds frozen, concurrency).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JobOutcome(pub(crate) String);

impl JobOutcome {
    /// The job did what it was queued for, or there was nothing to do.
    pub(crate) fn is_success(&self) -> bool {
        matches!(self.0.as_str(), "done" | "skipped")
    }
}

/// The ends of jobs of one manager, collected from before the first job is queued, so that none
/// is missed. A task of its own drains the signals: a full queue would block the connection.
#[derive(Debug)]
pub(crate) struct Jobs {
    ended: Arc<Ended>,
    reader: tokio::task::JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Ended {
    results: Mutex<HashMap<String, String>>,
    news: Notify,
}

impl Jobs {
    /// Starts to listen.
    pub(crate) async fn listen(manager: &Manager) -> Result<Self, CallError> {
        let mut stream = manager.proxy().receive_signal("JobRemoved").await?;
        manager.subscribe().await?;
        let ended = Arc::new(Ended::default());
        let sink = Arc::clone(&ended);
        let reader = crate::tasks::spawn(async move {
            while let Some(message) = next(&mut stream).await {
                let body = message.body();
                let Ok((_, path, _, result)) = body.deserialize::<(u32, OwnedObjectPath, String, String)>() else {
                    continue;
                };
                if let Ok(mut results) = sink.results.lock() {
                    results.insert(path.to_string(), result);
                }
                sink.news.notify_waiters();
            }
            sink.news.notify_waiters();
        });
        Ok(Self { ended, reader })
    }

    /// Waits for the end of a job. If the connection breaks, that is the error.
    pub(crate) async fn wait(&self, job: &OwnedObjectPath) -> Result<JobOutcome, CallError> {
        loop {
            let news = self.ended.news.notified();
            if let Some(result) = self.ended.results.lock().ok().and_then(|mut all| all.remove(job.as_str())) {
                return Ok(JobOutcome(result));
            }
            if self.reader.is_finished() {
                return Err(CallError::Lost("the connection to the bus broke while the job ran".to_owned()));
            }
            news.await;
        }
    }
}

impl Drop for Jobs {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// The next item of a stream, without a crate for it.
pub(crate) async fn next<S: futures_core::Stream + Unpin>(stream: &mut S) -> Option<S::Item> {
    std::future::poll_fn(|cx| std::pin::Pin::new(&mut *stream).poll_next(cx)).await
}
