//! The names of users, for polkit and for people. Most are in a file; others are asked of services
//! that may take their time, which is not the daemon's: they are asked in a thread, and not waited
//! for for long. A user whose name is not told is its number, which no rule names.

use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use super::Helper;
use crate::observe::user_name;

/// How many are asked at the same time, those that were not waited for included.
static ASKED: tokio::sync::Semaphore = tokio::sync::Semaphore::const_new(8);
/// How long a name is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

impl Helper {
    /// Has the name of a user known.
    pub(super) async fn learn(&self, uid: u32) {
        if self.names().contains_key(&uid) {
            return;
        }
        let asked = async {
            let turn = ASKED.acquire().await.ok()?;
            let name = tokio::task::spawn_blocking(move || {
                // For as long as the question lasts, whether or not anybody waits for it.
                let _turn = turn;
                user_name(uid)
            });
            name.await.ok()
        };
        if let Ok(Some(name)) = tokio::time::timeout(PATIENCE, asked).await {
            self.names().insert(uid, name);
        }
    }

    /// The same in a thread that may wait.
    pub(super) fn learn_here(&self, uid: u32) {
        self.names().entry(uid).or_insert_with(|| user_name(uid));
    }

    /// The name of a user that was learnt, else its number.
    pub(super) fn name_of(&self, uid: u32) -> String {
        let known = self.names().get(&uid).cloned();
        known.unwrap_or_else(|| uid.to_string())
    }

    fn names(&self) -> MutexGuard<'_, std::collections::BTreeMap<u32, String>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
