//! The privileged helper as a caller has it: `org.provost.Provost1.Helper` on the system bus.
//!
//! It is the system's daemon, started by the bus when it is first called. It gets processes as
//! pidfds and units by name, and no facts: those it verifies itself.

use std::collections::{BTreeMap, HashMap};
use std::os::fd::AsFd as _;
use std::time::Duration;

use zbus::proxy::{CacheProperties, MethodFlags};
use zbus::{Connection, Fd, OwnedVariant, Proxy, Variant};

use crate::api::dbus::NAME;
use crate::model::{Action, Explained, Ladder, Signal, UnitName, Verdict};
use crate::sys::pidfd::PidFd;
use crate::systemd::CallError;

const PATH: &str = "/org/provost/Provost1";
const INTERFACE: &str = "org.provost.Provost1.Helper";

/// The longest time for a question: the daemon may have to be started for it, and polkit stalls
/// for 15 s now and then.
const PATIENCE: Duration = Duration::from_secs(20);

/// How often a call is sent again that the bus had no room for, and after what pause.
const AGAIN: u32 = 100;
const PAUSE: Duration = Duration::from_millis(20);

/// What is asked about.
#[derive(Debug, Clone, Copy)]
pub(crate) enum About<'a> {
    /// A process.
    Process(&'a PidFd),
    /// A unit of the system.
    Unit(&'a UnitName),
    /// A unit of the manager of this user.
    UserUnit(u32, &'a UnitName),
}

/// The helper, which may not be there: the first call tells.
#[derive(Debug, Clone)]
pub(crate) struct Helper {
    proxy: Proxy<'static>,
}

impl Helper {
    /// The helper on the system bus. Does not call it yet.
    pub(crate) async fn new(connection: &Connection) -> Result<Self, CallError> {
        let builder = zbus::proxy::Builder::new(connection).destination(NAME).path(PATH).interface(INTERFACE);
        Ok(Self { proxy: builder.cache_properties(CacheProperties::No).build().await? })
    }

    /// What would come of the action, for this caller: the exact answer.
    pub(crate) async fn explain(
        &self,
        about: About<'_>,
        action: Action,
        signal: Option<Signal>,
    ) -> Result<Explained, CallError> {
        let about = match about {
            About::Process(process) => Variant::from(Fd::from(process.as_fd())),
            About::Unit(unit) => Variant::from(unit.as_str()),
            About::UserUnit(uid, unit) => Variant::new((uid, unit.as_str())),
        };
        let signal = signal.map_or(0, Signal::number);
        let (verdict, polkit_action, details, reason): (String, String, BTreeMap<String, String>, String) =
            self.ask("Explain", &(about, action.verb(), signal)).await?;
        let verdict = match verdict.as_str() {
            "allowed" => Verdict::Allowed,
            "needs-password" => Verdict::NeedsPassword,
            "denied" => Verdict::Denied,
            other => return Err(CallError::Lost(format!("a verdict that is none: {}", crate::text::clip(other)))),
        };
        Ok(Explained { verdict, polkit_action, details, reason })
    }

    /// Who listens on a TCP port, as `ProcessDetails` tells it.
    pub(crate) async fn port_owner(&self, port: u16) -> Result<Vec<Details>, CallError> {
        self.ask("PortOwner", &(port,)).await
    }

    /// One signal to one process.
    pub(crate) async fn signal(&self, process: &PidFd, signal: Signal, interactive: bool) -> Result<(), CallError> {
        self.act("SignalProcess", interactive, &(Fd::from(process.as_fd()), signal.number())).await
    }

    /// Ends a process and all that descends from it: whether nothing is left, and what was done, a
    /// line each. Goes on for as long as this is waited for.
    pub(crate) async fn stop_tree(
        &self,
        process: &PidFd,
        ladder: &Ladder,
        interactive: bool,
    ) -> Result<(bool, Vec<String>), CallError> {
        self.act("StopProcessTree", interactive, &(Fd::from(process.as_fd()), ladder.written())).await
    }

    /// A job of a unit of another user's manager, with the word of its end; or a signal to the main
    /// process.
    pub(crate) async fn user_unit(
        &self,
        (uid, unit): (u32, &UnitName),
        action: Action,
        signal: Option<Signal>,
        interactive: bool,
    ) -> Result<String, CallError> {
        let signal = signal.map_or(0, Signal::number);
        self.act("UserUnit", interactive, &(uid, unit.as_str(), action.verb(), signal)).await
    }

    /// A question: nobody is asked for a password, and the answer comes soon.
    async fn ask<B, R>(&self, method: &'static str, body: &B) -> Result<R, CallError>
    where
        B: serde::Serialize + zbus::DynamicType,
        R: for<'d> zbus::wire::DynamicDeserialize<'d>,
    {
        tokio::time::timeout(PATIENCE, self.act(method, false, body)).await.unwrap_or(Err(CallError::Timeout))
    }

    /// A call without a limit: a person types, a ladder has waits.
    async fn act<B, R>(&self, method: &'static str, interactive: bool, body: &B) -> Result<R, CallError>
    where
        B: serde::Serialize + zbus::DynamicType,
        R: for<'d> zbus::wire::DynamicDeserialize<'d>,
    {
        let flags = if interactive { MethodFlags::ALLOW_INTERACTIVE_AUTH } else { MethodFlags::empty() };
        let mut tries = AGAIN;
        loop {
            let reply = self.proxy.call_with_flags(method, flags, body).await.map_err(CallError::from);
            match reply {
                Err(error) if tries > 0 && is_given_back(&error) => {
                    tries -= 1;
                    tokio::time::sleep(PAUSE).await;
                }
                reply => return reply?.ok_or_else(|| CallError::Lost("no reply".to_owned())),
            }
        }
    }
}

/// Whether the bus had no room for a call, and gave it back: it keeps at most 64 descriptors for one
/// receiver, whoever sends them, and the helper never saw this one.
fn is_given_back(error: &CallError) -> bool {
    let CallError::Remote { name, message } = error else { return false };
    name == "org.freedesktop.DBus.Error.LimitsExceeded" && message.contains("full message queue")
}

/// What the helper tells of a process, by names as in its interface.
pub(crate) type Details = HashMap<String, OwnedVariant>;

/// A number of the details.
pub(crate) fn number(details: &Details, name: &str) -> Option<u32> {
    u32::try_from(details.get(name)?).ok()
}

/// A text of the details.
pub(crate) fn text<'d>(details: &'d Details, name: &str) -> Option<&'d str> {
    <&str>::try_from(details.get(name)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use zbus::connection::Builder;
    use zbus::message::{Flags, Message, Type};

    /// Who speaks as the helper does, and tells back what it was asked.
    fn answer(call: &Message) -> zbus::Result<Message> {
        let header = call.header();
        assert_eq!(header.interface().map(|name| name.as_str()), Some(INTERFACE));
        let asks = call.primary_header().flags().contains(Flags::ALLOW_INTERACTIVE_AUTH);
        let back = Message::method_return(&header);
        let body = call.body();
        match header.member().map(|name| name.as_str()) {
            Some("Explain") => {
                let (about, action, signal): (Variant<'_>, &str, i32) = body.deserialize()?;
                let about = match about {
                    Variant::Fd(_) => "a process".to_owned(),
                    Variant::Str(unit) => format!("unit {unit}"),
                    other => format!("{other:?}"),
                };
                let verdict = if action == "reload" { "perhaps" } else { "needs-password" };
                let details = HashMap::from([("user", "mary")]);
                back.build(&(verdict, "org.provost.signal-process", details, format!("{about} {action} {signal}")))
            }
            Some("PortOwner") => {
                let port: u16 = body.deserialize()?;
                back.build(&vec![HashMap::from([("pid", Variant::from(u32::from(port)))])])
            }
            Some("StopProcessTree") => {
                let (_, ladder): (Fd<'_>, String) = body.deserialize()?;
                back.build(&(true, vec![ladder]))
            }
            Some("UserUnit") => {
                let (uid, unit, verb, signal): (u32, &str, &str, i32) = body.deserialize()?;
                back.build(&format!("{uid} {unit} {verb} {signal} {asks}"))
            }
            _ => Message::error(&header, "org.provost.Provost1.Error.NotAuthorized").build(&format!("no {asks}")),
        }
    }

    async fn stand_in() -> Helper {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        for end in [&ours, &theirs] {
            end.set_nonblocking(true).unwrap();
        }
        let guid = zbus::Guid::generate();
        let served = Builder::unix_stream(theirs).server(guid).p2p().build_message_stream();
        let (served, ours) = tokio::join!(served, Builder::unix_stream(ours).p2p().build());
        let mut served = served.unwrap();
        crate::tasks::spawn(async move {
            let connection = Connection::from(&served);
            while let Some(Ok(call)) = crate::systemd::next(&mut served).await {
                if call.message_type() == Type::MethodCall {
                    connection.send(&answer(&call).unwrap()).await.unwrap();
                }
            }
        });
        Helper::new(&ours.unwrap()).await.unwrap()
    }

    #[tokio::test]
    async fn each_call_is_as_it_was_agreed() {
        let helper = stand_in().await;
        let own = PidFd::open(std::process::id()).unwrap();
        let unit: UnitName = "llm.service".parse().unwrap();
        let explain = |about, action| helper.explain(about, action, Some(Signal::HUP));
        let said = explain(About::Process(&own), Action::Stop).await.unwrap();
        assert_eq!((said.verdict, said.reason.as_str()), (Verdict::NeedsPassword, "a process stop 1"));
        assert_eq!(said.details.get("user").map(String::as_str), Some("mary"));
        assert_eq!(explain(About::Unit(&unit), Action::Kill).await.unwrap().reason, "unit llm.service kill 1");
        let said = explain(About::UserUnit(1001, &unit), Action::Start).await.unwrap();
        assert!(said.reason.contains("1001") && said.reason.contains("llm.service"), "{}", said.reason);
        // A word that is none of the verdicts is none.
        assert!(explain(About::Process(&own), Action::Reload).await.is_err());
        assert_eq!(number(&helper.port_owner(80).await.unwrap()[0], "pid"), Some(80));
        let refused = helper.signal(&own, Signal::TERM, true).await.unwrap_err();
        assert!(refused.is_denied() && refused.to_string() == "no true", "with the flag: {refused}");
        let ladder: Ladder = "TERM:30s,KILL".parse().unwrap();
        let (done, lines) = helper.stop_tree(&own, &ladder, false).await.unwrap();
        assert_eq!((done, lines[0].as_str()), (true, "TERM:30s,KILL:5s"));
        let result = helper.user_unit((1001, &unit), Action::Restart, None, true).await.unwrap();
        assert_eq!(result, "1001 llm.service restart 0 true");
    }
}
