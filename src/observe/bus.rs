//! The managers that can be asked, connected when first needed and then kept.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::{Mutex, OnceCell};

use crate::control::helper::Helper;
use crate::model::{Manager as Whose, Reach};
use crate::systemd::{self, CallError, Manager};

/// What a connection attempt came to: the manager, or why there is none.
type Attempt = Result<Manager, String>;

/// A connection to the system bus that is being made. The bus takes a moment to say hello, in
/// which the host can be read.
#[derive(Debug)]
pub(crate) struct Early(tokio::task::JoinHandle<Result<zbus::Connection, CallError>>);

impl Early {
    /// Says hello to the bus, if systemd is there, and comes back before the answer.
    pub(crate) async fn connect() -> Option<Self> {
        if !super::is_booted_by_systemd() {
            return None;
        }
        let task = tokio::spawn(systemd::connect_system());
        // Each turn brings the connection one step further: made, writable, hello sent.
        for _ in 0..4 {
            tokio::task::yield_now().await;
        }
        Some(Self(task))
    }
}

/// Connections to the system manager and to user managers.
#[derive(Debug)]
pub(crate) struct Bus {
    caller_uid: u32,
    runtime_dir: Option<String>,
    has_systemd: bool,
    init: String,
    early: Mutex<Option<Early>>,
    system: OnceCell<Attempt>,
    users: Mutex<HashMap<u32, Arc<OnceCell<Attempt>>>>,
    /// What is known of the helper, by its answers.
    helper: std::sync::Mutex<Reach>,
}

impl Bus {
    /// Nothing is connected yet, but perhaps under way. `init` is the comm of PID 1.
    pub(crate) fn new(caller_uid: u32, runtime_dir: Option<String>, init: &str, early: Option<Early>) -> Self {
        Self {
            early: Mutex::new(early),
            caller_uid,
            runtime_dir,
            has_systemd: init == "systemd",
            init: init.to_owned(),
            system: OnceCell::new(),
            users: Mutex::default(),
            helper: std::sync::Mutex::new(Reach::NotAsked),
        }
    }

    /// PID 1's manager.
    pub(crate) async fn system(&self) -> Attempt {
        let connect = || async {
            if !self.has_systemd {
                return Err(format!("PID 1 here is {}, not systemd", crate::text::clip(&self.init)));
            }
            let connection = match self.early.lock().await.take() {
                Some(Early(task)) => task.await.map_err(|e| e.to_string())?,
                None => systemd::connect_system().await,
            };
            let connection = connection.map_err(|e| format!("no system bus: {e}"))?;
            Manager::new(connection).await.map_err(|e| e.to_string())
        };
        self.system.get_or_init(connect).await.clone()
    }

    /// The manager of a user: the caller's own, or anybody's for root.
    pub(crate) async fn user(&self, uid: u32) -> Attempt {
        if uid != self.caller_uid && self.caller_uid != 0 {
            return Err("only that user and root may ask it".to_owned());
        }
        let cell = Arc::clone(self.users.lock().await.entry(uid).or_default());
        let connect = || async {
            let dir = self.runtime_dir.as_deref().filter(|_| uid == self.caller_uid);
            let path = systemd::user_bus_path(uid, dir);
            if !path.exists() {
                return Err(format!("no user manager runs for uid {uid} ({} is not there)", path.display()));
            }
            let connection = systemd::connect_user(&path, uid, self.caller_uid).await.map_err(|e| e.to_string())?;
            Manager::new(connection).await.map_err(|e| e.to_string())
        };
        cell.get_or_init(connect).await.clone()
    }

    /// The manager of either kind.
    pub(crate) async fn manager(&self, whose: Whose) -> Attempt {
        match whose {
            Whose::System => self.system().await,
            Whose::User(uid) => self.user(uid).await,
        }
    }

    /// The privileged helper. Whether it is there shows when it is called.
    pub(crate) async fn helper(&self) -> Result<Helper, String> {
        if let Reach::No(why) = self.helper_reach() {
            return Err(why);
        }
        let manager = self.system().await?;
        Helper::new(manager.connection()).await.map_err(|e| e.to_string())
    }

    /// What came of a question to the helper: it is not asked again where it is not there.
    pub(crate) fn heard_of_helper<T>(&self, answer: &Result<T, CallError>) {
        let reach = match answer {
            Err(error) if is_absent(error) => Reach::No(error.to_string()),
            Err(CallError::Timeout | CallError::Lost(_)) => return,
            _ => Reach::Yes,
        };
        *self.helper.lock().unwrap_or_else(|e| e.into_inner()) = reach;
    }

    /// The helper as a fact.
    pub(crate) fn helper_reach(&self) -> Reach {
        self.helper.lock().unwrap_or_else(|e| e.into_inner()).clone()
    }

    /// Whether the system manager was reached, as a fact.
    pub(crate) fn system_reach(&self) -> Reach {
        reach(self.system.get())
    }

    /// The same of the caller's own user manager.
    pub(crate) async fn user_reach(&self) -> Reach {
        let cell = self.users.lock().await.get(&self.caller_uid).cloned();
        reach(cell.as_ref().and_then(|cell| cell.get()))
    }
}

/// The bus knows nobody by the name and nothing to start, could not start it, or who bears it is no
/// helper (an older daemon).
fn is_absent(error: &CallError) -> bool {
    let CallError::Remote { name, .. } = error else { return false };
    let unknown = ["ServiceUnknown", "NameHasNoOwner", "UnknownMethod", "UnknownInterface", "UnknownObject"];
    unknown.contains(&error.short_name()) || name.starts_with("org.freedesktop.systemd1.") || name.contains(".Spawn.")
}

fn reach(attempt: Option<&Attempt>) -> Reach {
    match attempt {
        None => Reach::NotAsked,
        Some(Ok(_)) => Reach::Yes,
        Some(Err(why)) => Reach::No(why.clone()),
    }
}
