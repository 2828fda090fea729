//! The system bus: everybody may call, and what each may do is asked of polkit.
//!
//! Who calls is what the bus says ([`Caller`]); what a call needs is data ([`access`](super::access));
//! whether the caller has it is asked before anything is touched ([`Asking`]). One user takes a
//! bounded part of the daemon, and what is under way for a client ends when it leaves the bus.

mod caller;
mod clients;
mod gate;
mod handover;
mod logs;
mod quota;
mod shown;

pub(crate) use caller::Caller;
pub(crate) use gate::{Asking, Permit};
pub(crate) use handover::Handover;
pub(crate) use logs::logs;
pub(crate) use shown::{explain, shown, shown_orphans, shown_to_all};

use std::sync::Arc;
use std::time::Duration;

use zbus::connection::Builder;
use zbus::fdo::{RequestNameFlags, RequestNameReply};
use zbus::message::Type;
use zbus::names::WellKnownName;

use super::NAME;
use super::serve::Api;
use super::signals::Signals;
use crate::polkit::Authority;
use crate::systemd::next;
use caller::Who;
use clients::Clients;
use tokio::sync::broadcast::error::RecvError;

/// The first wait for a bus that has gone, and the longest.
const AGAIN: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(60));
/// How long the bus itself may take to answer.
const BUS: Duration = Duration::from_secs(10);

/// Serves on the system bus for ever. A bus that goes away is waited for.
///
/// `leave`: becomes true when the daemon is about to end; the name is given up then, what has come
/// is answered, and this returns.
pub(crate) async fn serve_system(
    api: Arc<Api>,
    mut leave: tokio::sync::watch::Receiver<bool>,
    handover: Arc<Handover>,
) {
    let mut wait = AGAIN.0;
    let mut said = None;
    loop {
        let ended = once(&api, &mut wait, &mut leave, &handover).await;
        // It was served meanwhile: what is wrong now is news.
        if wait == AGAIN.0 {
            said = None;
        }
        match ended {
            Ok(()) if *leave.borrow() => return,
            Ok(()) => tracing::info!("the system bus has gone; it is looked for again"),
            Err(error) => {
                let why = error.to_string();
                match said.as_ref() == Some(&why) {
                    true => tracing::debug!("the system bus is not there yet: {why}"),
                    false => tracing::info!("the system bus: {why}; it is looked for again"),
                }
                said = Some(why);
                handover.keep();
            }
        }
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            _ = leave.wait_for(|leave| *leave) => return,
        }
        wait = (wait * 2).min(AGAIN.1);
    }
}

async fn once(
    api: &Arc<Api>,
    wait: &mut Duration,
    leave: &mut tokio::sync::watch::Receiver<bool>,
    handover: &Handover,
) -> zbus::Result<()> {
    // Answers of polkit and of the bus are not to wait behind calls.
    let asks = Builder::system().build().await?;
    let who = Who::connect().await?;
    let mut messages = handover.connect()?.method_timeout(BUS).build_message_stream().await?;
    let bus = zbus::Connection::from(&messages);
    let name = WellKnownName::try_from(NAME)?;
    let mut clients = Clients::new(bus.clone(), who.clone(), Authority::new(asks.clone()), Arc::clone(api));
    let mut signals = Signals::of_bus(api, true);
    let flags = RequestNameFlags::DO_NOT_QUEUE | handover.flags();
    // The stream has the calls; whoever knows the name may call from now on.
    let mut named = std::pin::pin!(async {
        caller::watch(&bus).await?;
        match bus.request_name_with_flags(name.clone(), flags).await {
            Ok(RequestNameReply::PrimaryOwner | RequestNameReply::AlreadyOwner) => Ok(()),
            Ok(_) => Err(zbus::Error::NameTaken),
            Err(error) => Err(error),
        }
    });
    let mut is_named = false;
    let mut released = std::pin::pin!(async {
        leave.wait_for(|leave| *leave).await.map_err(|_| zbus::Error::InvalidReply)?;
        // What has come before this is answered; what comes after it, the next daemon answers.
        bus.release_name(name.clone()).await
    });
    let mut is_released = false;
    loop {
        if is_released && clients.is_idle() {
            return Ok(());
        }
        tokio::select! {
            // What has come is seen before it is seen that the name is gone.
            biased;
            message = next(&mut messages) => match message {
                Some(Ok(message)) => match message.message_type() {
                    Type::MethodCall => clients.call(message).await?,
                    Type::Signal => if let Some(name) = caller::gone(&message) { clients.gone(&name) },
                    _ => {}
                },
                Some(Err(error)) => return Err(error),
                None => return Ok(()),
            },
            done = &mut named, if !is_named => {
                done?;
                is_named = true;
                handover.named();
                *wait = AGAIN.0;
                tracing::info!("serving {NAME} on the system bus");
                api.named.send_replace(true);
            }
            done = &mut released, if is_named && !is_released => {
                done?;
                is_released = true;
                handover.lost();
            }
            ended = clients.next(), if !clients.is_idle() => clients.ended(ended).await?,
            batch = signals.next() => match batch {
                Ok(batch) => in_time(bus.send_all(&signals.messages(api, &batch).await)).await?,
                Err(RecvError::Lagged(missed)) => tracing::debug!("the system bus missed {missed} events"),
                // The supervisor has ended, and what is to be answered yet are its last words.
                Err(RecvError::Closed) => return Ok(()),
            },
            () = asks.closed() => return Err(zbus::Error::InvalidReply),
            () = who.closed() => return Err(zbus::Error::InvalidReply),
        }
    }
}

/// Something that is sent. A bus reads nothing more from whom clients leave too much unread, so that
/// one of them would silence the daemon for all; on a new connection it begins anew.
///
/// # Errors
/// The bus does not take it. It may have half of it: the connection is of no use any more.
async fn in_time<T>(sending: impl Future<Output = zbus::Result<T>>) -> zbus::Result<T> {
    let late = |_| std::io::Error::new(std::io::ErrorKind::TimedOut, "the bus takes no more; somebody does not read");
    tokio::time::timeout(BUS, sending).await.map_err(late)?
}

/// Whether the bus starts a daemon for who calls it where none runs.
pub(crate) async fn is_activatable() -> bool {
    let asked = async {
        let bus = crate::systemd::connect_system().await.ok()?;
        let proxy = zbus::fdo::DBusProxy::new(&bus).await.ok()?;
        let names = proxy.list_activatable_names().await.ok()?;
        Some(names.iter().any(|name| name.as_str() == NAME))
    };
    asked.await.unwrap_or(false)
}

/// Has the bus start the next daemon, as soon as this one has ended.
pub(crate) async fn start_next() {
    let asked = async {
        let bus = crate::systemd::connect_system().await?;
        let to = "org.freedesktop.DBus";
        let call = zbus::Message::method_call("/org/freedesktop/DBus", "StartServiceByName");
        let call = call.destination(to).interface(to).with_flags(zbus::message::Flags::NO_REPLY_EXPECTED);
        bus.send(&call.build(&(NAME, 0u32))?).await?;
        // It has read that once it answers this.
        bus.call_method(Some(to), "/org/freedesktop/DBus", Some(to), "GetId", &()).await?;
        Ok::<(), crate::systemd::CallError>(())
    };
    if let Err(error) = asked.await {
        tracing::warn!("the next daemon is not started: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_bus_that_takes_no_more_is_left() {
        let (near, far) = std::os::unix::net::UnixStream::pair().unwrap();
        let guid = zbus::Guid::generate();
        let server = Builder::unix_stream(far)
            .server(guid)
            .p2p()
            .max_queued(std::num::NonZero::<usize>::MIN)
            .build_message_stream();
        let client = Builder::unix_stream(near).p2p().build();
        // Who reads nothing of what it is sent.
        let (unread, client) = tokio::join!(server, client);
        let (_unread, client) = (unread.unwrap(), client.unwrap());
        let call = zbus::Message::method_call("/", "M").build(&vec![0u8; 1 << 20]).unwrap();
        tokio::time::pause();
        let flood = async {
            loop {
                in_time(client.send(&call)).await?;
            }
        };
        let error: zbus::Result<()> = flood.await;
        assert!(error.unwrap_err().to_string().contains("does not read"));
    }
}
