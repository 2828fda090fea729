//! What a manager says without being asked: its signals, those of each kind in the order in which
//! they were sent.
//!
//! Whoever has a [`Signals`] or a [`UnitSignals`] must read it at all times, in a task that waits for
//! nothing else: a full queue would block the connection, answers included.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use zbus::message::Type;
use zbus::{MatchRule, Message, MessageStream, OwnedObjectPath, Variant};

use super::jobs::next;
use super::transient::job_number;
use super::{CallError, Manager};
use crate::model::UnitName;

const BUS: &str = "org.freedesktop.DBus";
const SYSTEMD: &str = "org.freedesktop.systemd1";

/// How long a manager may take to come to its bus.
const COMING: std::time::Duration = std::time::Duration::from_secs(5);

/// One thing that the manager said.
#[derive(Debug)]
pub(crate) enum News {
    /// A job ended.
    JobRemoved {
        /// Its number.
        job: u32,
        /// Of which unit.
        unit: String,
        /// How: done, failed, canceled, ….
        result: String,
    },
    /// The manager left the bus and came back (it re-executed itself): what it said meanwhile is
    /// lost, what it knows is not.
    ManagerBack,
    /// The connection to the bus broke.
    Lost,
}

/// The new values of what matters here; `None` where nothing was said of it. A manager sends the
/// values of one of the two interfaces of a service in one signal, that of services first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct UnitChange {
    /// `ActiveState`.
    pub(crate) active: Option<String>,
    /// `SubState`.
    pub(crate) sub: Option<String>,
    /// The number of its pending job; 0 is none.
    pub(crate) job: Option<u32>,
    /// `InvocationID`, as hexadecimal digits.
    pub(crate) invocation: Option<String>,
    /// `MainPID`; 0 is none.
    pub(crate) main_pid: Option<u32>,
    /// `ExecMainCode`: 0 while it runs, else a code of wait(2): 1 exited, 2 killed, 3 dumped.
    pub(crate) code: Option<i32>,
    /// `ExecMainStatus`: the exit code or the signal.
    pub(crate) status: Option<i32>,
    /// `StatusText`: STATUS= of sd_notify(3).
    pub(crate) text: Option<String>,
    /// `Result`.
    pub(crate) result: Option<String>,
    /// `ExecMainStartTimestampMonotonic`: when its main process began, in microseconds; 0 is never.
    pub(crate) began: Option<u64>,
    /// `ExecMainExitTimestampMonotonic`: when the manager saw its end.
    pub(crate) ended: Option<u64>,
    /// `ActiveExitTimestampMonotonic`: when the unit was last no longer active.
    pub(crate) left: Option<u64>,
    /// `RuntimeMaxUSec`: how long it may run; all ones where there is no limit.
    pub(crate) longest: Option<u64>,
}

impl UnitChange {
    /// Takes a property by its name on D-Bus; others are left out.
    pub(crate) fn set(&mut self, name: &str, value: &Variant<'_>) {
        let string = || <&str>::try_from(value).ok().map(str::to_owned);
        match name {
            "ActiveState" => self.active = string(),
            "SubState" => self.sub = string(),
            "StatusText" => self.text = string(),
            "Result" => self.result = string(),
            "MainPID" => self.main_pid = u32::try_from(value).ok(),
            "ExecMainCode" => self.code = i32::try_from(value).ok(),
            "ExecMainStatus" => self.status = i32::try_from(value).ok(),
            "ExecMainStartTimestampMonotonic" => self.began = u64::try_from(value).ok(),
            "ExecMainExitTimestampMonotonic" => self.ended = u64::try_from(value).ok(),
            "ActiveExitTimestampMonotonic" => self.left = u64::try_from(value).ok(),
            "RuntimeMaxUSec" => self.longest = u64::try_from(value).ok(),
            "ExecStart" => self.set_last_run(value),
            "Job" => {
                let Variant::Structure(job) = value else { return };
                self.job = job.fields().first().and_then(|id| u32::try_from(id).ok());
            }
            "InvocationID" => self.invocation = hex(value),
            _ => {}
        }
    }

    /// `ExecStart`: the commands, each with the end of its last run, of which there is one.
    fn set_last_run(&mut self, commands: &Variant<'_>) {
        let Variant::Array(commands) = commands else { return };
        let Some(Variant::Structure(command)) = commands.iter().last() else { return };
        // (path, words, ignored, began, began monotonic, ended, ended monotonic, pid, code, status)
        let [_, _, _, _, began, _, ended, _, code, status] = command.fields() else { return };
        self.began = u64::try_from(began).ok();
        self.ended = u64::try_from(ended).ok();
        self.code = i32::try_from(code).ok();
        self.status = i32::try_from(status).ok();
    }

    /// Whether this is the second of the two signals of a change.
    pub(crate) fn is_complete(&self) -> bool {
        self.active.is_some()
    }
}

fn hex(bytes: &Variant<'_>) -> Option<String> {
    let Variant::Array(bytes) = bytes else { return None };
    bytes.iter().map(|byte| u8::try_from(byte).ok().map(|byte| format!("{byte:02x}"))).collect()
}

/// The manager's own name on its bus, as the reader of its [`Signals`] knows it. Anybody may send
/// signals; only those of this sender count.
#[derive(Debug, Clone, Default)]
pub(crate) struct Owner(Rc<RefCell<Option<String>>>);

impl Owner {
    fn sent(&self, message: &Message) -> bool {
        message.header().sender().map(|name| name.as_str()) == self.0.borrow().as_deref()
    }
}

/// The signals of one manager that are not about one unit.
#[derive(Debug)]
pub(crate) struct Signals {
    jobs: MessageStream,
    names: MessageStream,
    owner: Owner,
}

impl Signals {
    /// Listens, from before this returns; and keeps in `owner` whose signals count.
    pub(crate) async fn listen(manager: &Manager, owner: Owner) -> Result<Self, CallError> {
        let connection = manager.connection();
        let of_manager = || MatchRule::builder().msg_type(Type::Signal).sender(SYSTEMD);
        let of_jobs = of_manager().interface("org.freedesktop.systemd1.Manager").member("JobRemoved").build()?;
        let of_names = MatchRule::builder()
            .msg_type(Type::Signal)
            .sender(BUS)
            .interface(BUS)
            .member("NameOwnerChanged")
            .add_arg(SYSTEMD)
            .build()?;
        let queue = std::num::NonZeroUsize::new(1024);
        let jobs = MessageStream::for_match_rule(of_jobs, connection, queue).await?;
        let names = MessageStream::for_match_rule(of_names, connection, None).await?;
        let asked = connection.call_method(Some(BUS), "/org/freedesktop/DBus", Some(BUS), "GetNameOwner", &(SYSTEMD,));
        let found = match asked.await.map_err(CallError::from) {
            Ok(answer) => Some(answer.body().deserialize::<String>()?),
            // A bus that was started just now is there before its manager.
            Err(error) if error.short_name() == "NameHasNoOwner" => None,
            Err(error) => return Err(error),
        };
        let absent = found.is_none();
        owner.0.replace(found);
        let mut signals = Self { jobs, names, owner };
        if absent {
            let come = tokio::time::timeout(COMING, signals.until_owned()).await;
            come.map_err(|_| CallError::Lost("its manager is not on the bus".to_owned()))??;
        }
        Ok(signals)
    }

    async fn until_owned(&mut self) -> Result<(), CallError> {
        while self.owner.0.borrow().is_none() {
            match next(&mut self.names).await {
                Some(Ok(message)) => self.name_changed(&message),
                _ => return Err(CallError::Lost("the bus went away".to_owned())),
            };
        }
        Ok(())
    }

    /// The next of it. After [`News::Lost`] there is nothing more.
    pub(crate) async fn next(&mut self) -> News {
        loop {
            let found = tokio::select! {
                biased;
                name = next(&mut self.names) => match name {
                    Some(Ok(message)) => self.name_changed(&message),
                    _ => Some(News::Lost),
                },
                signal = next(&mut self.jobs) => match signal {
                    Some(Ok(message)) => self.job_removed(&message),
                    _ => Some(News::Lost),
                },
            };
            if let Some(news) = found {
                return news;
            }
        }
    }

    fn name_changed(&mut self, message: &Message) -> Option<News> {
        if message.header().sender().is_none_or(|sender| sender.as_str() != BUS) {
            return None;
        }
        let body = message.body();
        let (_, _, now) = body.deserialize::<(&str, &str, &str)>().ok()?;
        let now = Some(now.to_owned()).filter(|now| !now.is_empty());
        let back = now.is_some().then_some(News::ManagerBack);
        self.owner.0.replace(now);
        back
    }

    fn job_removed(&self, message: &Message) -> Option<News> {
        if !self.owner.sent(message) {
            return None;
        }
        let body = message.body();
        let (_, path, unit, result) = body.deserialize::<(u32, OwnedObjectPath, String, String)>().ok()?;
        Some(News::JobRemoved { job: job_number(path.as_str())?, unit, result })
    }
}

/// The changes of one unit. A manager tells those of units that are referenced; that of the system, to
/// which others have subscribed, tells those of all, which is why the others are not listened to.
#[derive(Debug)]
pub(crate) struct UnitSignals {
    stream: MessageStream,
    owner: Owner,
}

impl UnitSignals {
    /// Listens, from before this returns.
    pub(crate) async fn listen(manager: &Manager, unit: &UnitName, owner: Owner) -> Result<Self, CallError> {
        let rule = MatchRule::builder()
            .msg_type(Type::Signal)
            .sender(SYSTEMD)
            .path(unit.object_path())
            .interface("org.freedesktop.DBus.Properties")
            .member("PropertiesChanged")
            .build()?;
        let stream = MessageStream::for_match_rule(rule, manager.connection(), None).await?;
        Ok(Self { stream, owner })
    }

    /// The next change of what matters here; `None` when the connection is broken.
    pub(crate) async fn next(&mut self) -> Option<UnitChange> {
        loop {
            let message = next(&mut self.stream).await?.ok()?;
            if let Some(change) = self.read(&message) {
                return Some(change);
            }
        }
    }

    fn read(&self, message: &Message) -> Option<UnitChange> {
        if !self.owner.sent(message) {
            return None;
        }
        let body = message.body();
        let (_, changed, _) = body.deserialize::<(&str, HashMap<&str, Variant<'_>>, Vec<&str>)>().ok()?;
        let mut change = UnitChange::default();
        for (name, value) in &changed {
            change.set(name, value);
        }
        (change != UnitChange::default()).then_some(change)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_tells_the_end_of_its_last_run() {
        let words = vec!["/bin/x", "-v"];
        let run = ("/bin/x", words, false, 1_u64, 10_u64, 2_u64, 20_u64, 4711_u32, 2_i32, 9_i32);
        let mut change = UnitChange::default();
        change.set("ExecStart", &Variant::new(vec![run]));
        let end = (change.began, change.ended, change.code, change.status);
        assert_eq!(end, (Some(10), Some(20), Some(2), Some(9)));
        // One that is not like that says nothing.
        let mut change = UnitChange::default();
        change.set("ExecStart", &Variant::new(vec![("/bin/x", false)]));
        assert_eq!(change, UnitChange::default());
    }
}
