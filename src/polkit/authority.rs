//! polkit as a service asks it: whether the sender of a message may do something.
//!
//! The subject is always the sender's unique name on the bus, which the bus itself wrote into the
//! message and gives to nobody else, and never a pid. What polkit, or the bus, does not answer is
//! no permission: an `Err` is a denial that has a reason. Root is not asked about.
//!
//! An open prompt blocks nobody: each question runs in a task of its own, prompts are counted for
//! each user, and one whose asker has gone (the call was dropped, the caller left the bus) is taken
//! back with `CancelCheckAuthorization`.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Semaphore;
use zbus::names::UniqueName;
use zbus::proxy::MethodFlags;
use zbus::{Connection, MatchRule, MessageStream, Proxy, Variant};

use crate::gather::Gather as _;
use crate::systemd::{CallError, next};

/// How many prompts one user may have open at the same time.
const PROMPTS: usize = 4;
/// How many prompts there are at the same time. A connection may wait for 128 replies.
const ALL_PROMPTS: usize = 64;
/// How many questions without a prompt are asked at the same time.
const QUICK: usize = 32;
/// How long an answer is waited for that needs no person: polkit 122 stalls for 15 s at times.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a prompt stays open.
const PROMPT: Duration = Duration::from_secs(5 * 60);

/// `AllowUserInteraction`.
const ASK: u32 = 1;

/// What polkit says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(crate) enum Answer {
    /// The caller may.
    Allowed,
    /// The caller may with a password. In answer to an interactive question: nobody was there who
    /// could have been asked for it.
    NeedsPassword,
    /// The caller may not, or the password was wrong or not given.
    Denied,
}

/// polkit on the system bus.
#[derive(Debug, Clone)]
pub(crate) struct Authority(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    connection: Connection,
    /// Makes the ids by which questions are taken back.
    asked: AtomicU64,
    quick: Semaphore,
    /// Open prompts by user.
    prompts: Mutex<HashMap<u32, usize>>,
}

/// The wire form of a subject, (sa{sv}).
type Subject<'a> = (&'a str, HashMap<&'a str, Variant<'a>>);
/// The wire form of the answer, (bba{ss}): authorised, could be by a prompt, details.
type Reply = (bool, bool, HashMap<String, String>);

impl Authority {
    /// Asks over this connection to the system bus, which should be one that serves nobody: replies
    /// are not to wait behind calls.
    pub(crate) fn new(connection: Connection) -> Self {
        let (asked, quick) = (AtomicU64::new(0), Semaphore::new(QUICK));
        Self(Arc::new(Inner { connection, asked, quick, prompts: Mutex::default() }))
    }

    /// Whether the sender may do this; `interactive` if a password may be asked for.
    ///
    /// # Errors
    /// Neither polkit nor the bus said so, the caller has left, or it has too many prompts open
    /// (`LimitsExceeded`). None of them is a permission.
    pub(crate) async fn check(
        &self,
        sender: &UniqueName<'_>,
        action: &str,
        details: &[(&str, String)],
        interactive: bool,
    ) -> Result<Answer, CallError> {
        let uid = self.uid_of(sender).await?;
        if uid == 0 {
            return Ok(Answer::Allowed);
        }
        let answer = {
            let closed = |_| CallError::Lost("polkit is not asked any more".to_owned());
            let _turn = self.0.quick.acquire().await.map_err(closed)?;
            self.ask(sender, action, details, 0, PATIENCE).await?
        };
        if !interactive || answer != Answer::NeedsPassword {
            return Ok(answer);
        }
        let _prompt = Prompt::of(&self.0, uid)?;
        tokio::select! {
            answer = self.ask(sender, action, details, ASK, PROMPT) => answer,
            gone = self.gone(sender) => {
                gone?;
                Err(CallError::Lost("the caller has left the bus".to_owned()))
            }
        }
    }

    /// Whose connection to the bus this is.
    ///
    /// # Errors
    /// The bus does not say. That is nobody, and above all not root.
    pub(crate) async fn uid_of(&self, sender: &UniqueName<'_>) -> Result<u32, CallError> {
        self.bus("GetConnectionUnixUser", sender.as_str()).await
    }

    /// Waits until a connection has left the bus.
    ///
    /// # Errors
    /// It cannot be seen.
    pub(crate) async fn gone(&self, sender: &UniqueName<'_>) -> Result<(), CallError> {
        let rule = MatchRule::builder()
            .msg_type(zbus::message::Type::Signal)
            .sender("org.freedesktop.DBus")
            .interface("org.freedesktop.DBus")
            .member("NameOwnerChanged")
            .arg(0, sender.as_str())
            .build()?;
        let mut changes = MessageStream::for_match_rule(rule, &self.0.connection, None).await?;
        // Who left before we looked is seen now.
        if !self.bus::<bool>("NameHasOwner", sender.as_str()).await? {
            return Ok(());
        }
        match next(&mut changes).await {
            // A unique name changes its owner once.
            Some(Ok(_)) => Ok(()),
            Some(Err(error)) => Err(error.into()),
            None => Err(CallError::Lost("the connection to the bus broke".to_owned())),
        }
    }

    /// The connection over which it is asked.
    pub(crate) fn connection(&self) -> &Connection {
        &self.0.connection
    }

    /// The process that has a name on the bus; `None` where the bus says that nobody has it.
    ///
    /// # Errors
    /// The bus does not say.
    pub(crate) async fn pid_of(&self, name: &str) -> Result<Option<u32>, CallError> {
        match self.bus("GetConnectionUnixProcessID", name).await {
            Ok(pid) => Ok(Some(pid)),
            Err(error) if error.short_name() == "NameHasNoOwner" => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn bus<R>(&self, method: &str, name: &str) -> Result<R, CallError>
    where
        R: for<'d> zbus::wire::DynamicDeserialize<'d>,
    {
        let bus = "org.freedesktop.DBus";
        let connection = &self.0.connection;
        let call = connection.call_method(Some(bus), "/org/freedesktop/DBus", Some(bus), method, &name);
        let reply = tokio::time::timeout(PATIENCE, call).await.map_err(|_| CallError::Timeout)??;
        reply.body().deserialize().map_err(CallError::from)
    }

    async fn ask(
        &self,
        sender: &UniqueName<'_>,
        action: &str,
        details: &[(&str, String)],
        flags: u32,
        patience: Duration,
    ) -> Result<Answer, CallError> {
        let inner = Arc::clone(&self.0);
        let id = format!("provost-{}", inner.asked.fetch_add(1, Ordering::Relaxed));
        let mut taken_back = TakenBack { inner: Arc::clone(&inner), id: Some(id.clone()) };
        let (sender, action) = (sender.to_owned(), action.to_owned());
        let details: BTreeMap<String, String> = details.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).gather();
        // In a task, so that a message is never half sent, and a question that is taken back was asked.
        let asked = tokio::spawn(async move {
            let subject: Subject<'_> = ("system-bus-name", HashMap::from([("name", Variant::from(sender.as_str()))]));
            let proxy = polkit(&inner.connection).await?;
            let body = (subject, action, details, flags, id);
            // With flags, even none, a call has no timeout of its own.
            let reply: Option<Reply> = proxy.call_with_flags("CheckAuthorization", MethodFlags::empty(), &body).await?;
            reply.ok_or_else(|| CallError::Lost("no reply".to_owned()))
        });
        let reply = tokio::time::timeout(patience, asked).await;
        let reply = match reply {
            Ok(reply) => {
                taken_back.id = None;
                reply.map_err(|error| CallError::Lost(error.to_string()))??
            }
            Err(_) => return Err(CallError::Timeout),
        };
        Ok(match reply {
            (true, _, _) => Answer::Allowed,
            (false, true, _) => Answer::NeedsPassword,
            (false, false, _) => Answer::Denied,
        })
    }
}

async fn polkit(connection: &Connection) -> zbus::Result<Proxy<'static>> {
    zbus::proxy::Builder::new(connection)
        .destination("org.freedesktop.PolicyKit1")
        .path("/org/freedesktop/PolicyKit1/Authority")
        .interface("org.freedesktop.PolicyKit1.Authority")
        .cache_properties(zbus::proxy::CacheProperties::No)
        .build()
        .await
}

/// A prompt that counts for its user for as long as this lives.
struct Prompt<'a>(&'a Inner, u32);

impl<'a> Prompt<'a> {
    fn of(inner: &'a Inner, uid: u32) -> Result<Self, CallError> {
        let mut prompts = inner.prompts.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (all, own) = (prompts.values().sum::<usize>(), prompts.get(&uid).copied().unwrap_or(0));
        if own >= PROMPTS || all >= ALL_PROMPTS {
            return Err(CallError::Remote {
                name: "org.freedesktop.DBus.Error.LimitsExceeded".to_owned(),
                message: "too many passwords are being asked for already: answer or cancel one of them".to_owned(),
            });
        }
        prompts.insert(uid, own + 1);
        Ok(Self(inner, uid))
    }
}

impl Drop for Prompt<'_> {
    fn drop(&mut self) {
        let mut prompts = self.0.prompts.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match prompts.get_mut(&self.1) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(prompts.remove(&self.1)),
        }
    }
}

/// Takes a question back when this is dropped before the answer came.
struct TakenBack {
    inner: Arc<Inner>,
    id: Option<String>,
}

impl Drop for TakenBack {
    fn drop(&mut self) {
        let Some(id) = self.id.take() else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let inner = Arc::clone(&self.inner);
        runtime.spawn(async move {
            let cancelled = match polkit(&inner.connection).await {
                Ok(proxy) => proxy.call_noreply("CancelCheckAuthorization", &id).await,
                Err(error) => Err(error),
            };
            if let Err(error) = cancelled {
                tracing::debug!(%id, "a question to polkit is not taken back: {error}");
            }
        });
    }
}

#[cfg(test)]
#[path = "authority_tests.rs"]
mod tests;
