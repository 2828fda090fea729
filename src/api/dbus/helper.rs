//! `org.provost.Provost1.Helper`: the words on the wire of [`crate::helper`]. On the system bus
//! alone; a control socket and a session bus have nobody to do something for.
//!
//! # Threat model
//!
//! **Who can call.** Everybody on the system bus, as an ordinary user with hostile intent, any number
//! of connections and full control over their own processes, units and user manager. Nobody else: the
//! interface does not exist on other connections.
//!
//! **What they can have.**
//!
//! | method | polkit action | default |
//! |---|---|---|
//! | `SignalProcess` | `org.provost.signal-process`; `org.provost.signal-root-process` if one of the four uids is 0, or they differ | an administrator's password, each time |
//! | `StopProcessTree` | the same, for each member of the tree by its own facts | the same |
//! | `UserUnit` | `org.provost.manage-user-units` | the same |
//! | `Explain`, `PortOwner`, `ProcessDetails` | none: nothing secret is told | open |
//!
//! Root needs no polkit. Users need it for their own, too, which they reach without the helper: a
//! program of theirs that is confined is to gain nothing by it. Only in a tree with processes of others
//! polkit is not asked about those that are wholly the caller's own (all four uids).
//!
//! **What is trusted.** The kernel, about a process, through the pidfd that the caller passed; the bus,
//! about who sent a message (the sender's unique name, and that connection's uid); polkit; PID 1. What
//! is *not*: anything else in a message. There is no argument for a pid, a uid of a process, a path, a
//! command or a detail, so that none can be forged; names of units and ladders are parsed into types
//! that hold nothing else. A user's manager, its bus and the path to it are that user's: they are
//! connected to with that user's effective ids, within a time, and what they answer is clipped text.
//!
//! **What is checked where.**
//!
//! * That a descriptor is a pidfd of a whole process that lives, and not of a thread, a zombie, a
//!   folder of /proc, a path: `helper/target.rs`. All facts are read for it while it is held.
//! * That it is not PID 1, a thread of the kernel, provost itself, the bus, polkit, logind, the
//!   journal, udev (by their units and by who has their names on the bus), or in another user
//!   namespace, where uids mean somebody else: `helper/protect.rs`, with the rules of `decide`.
//! * That the signal is one by which programs are controlled: `helper/signals.rs`.
//! * That polkit allows it, with details made here (pid, user, exe, command, unit, user_unit,
//!   signal): `helper/rights.rs`. The subject is the sender's bus name. What polkit or the bus does not
//!   answer is a denial. `exe` and `unit` are the kernel's word; `command` is the process's own, is
//!   for people, and no rule should lean on it. A unit of a user's manager is `user_unit`, so that no
//!   user can name one like a unit of the system and fall under its rule.
//! * That it is the same still, after minutes of a prompt: the same pidfd, alive, with the same uids,
//!   executable (path, device, inode), cgroup and user namespace: `Target::is_unchanged`, right before
//!   the signal goes through that pidfd. A pid that is used again is never reached. Between that look
//!   and the signal are microseconds in which a process may execute a setuid program: the
//!   signal then is one to a program that its own user may signal as well, unless it sets its real
//!   uid too; the kernel offers nothing closer.
//! * That nobody takes too much: calls of one user at the same time and waiting (`system/quota.rs`),
//!   four open prompts a user (`polkit/authority.rs`), a length for messages. A prompt blocks nobody,
//!   and ends when its caller leaves.
//!
//! **What is told.** Whose a process is, its unit, executable and name; never arguments or environment.
//! With `hidepid` that is more than /proc shows: that somebody runs a program is no secret here.
//!
//! **What is left.** Whoever is allowed `signal-root-process` can end any daemon that is not protected,
//! and whoever is allowed `manage-user-units` can start what a user has defined: as that user. No
//! method runs a program, opens a file of a caller's choice, or writes one.

use std::os::fd::{AsFd, OwnedFd};

use zbus::message::Message;
use zbus::names::UniqueName;
use zbus::{OwnedVariant, Variant};

use super::error::Fault;
use super::manager::reply;
use super::system::Asking;
use crate::helper::{About, Explained, Helper, HelperError, Job};
use crate::model::Verdict;

/// How many look through every process of the host at the same time.
static SCANS: tokio::sync::Semaphore = tokio::sync::Semaphore::const_new(2);

/// How long such a look is waited for.
const SCAN: std::time::Duration = std::time::Duration::from_secs(20);

impl From<HelperError> for Fault {
    fn from(error: HelperError) -> Self {
        let message = error.to_string();
        match error.name() {
            (name, true) => Self::standard(name, message),
            (name, false) => Self::ours(name, message),
        }
    }
}

/// Answers one call.
pub(super) async fn call(asking: &Asking, method: &str, call: &Message) -> Result<Message, Fault> {
    let sender = UniqueName::try_from(asking.caller.name.clone()).map_err(Fault::arguments)?;
    let helper = Helper::new(sender, asking.caller.uid, asking.interactive, asking.authority.clone())?;
    match method {
        "SignalProcess" => {
            let (process, signal): (zbus::OwnedFd, i32) = arguments(call)?;
            helper.signal(process.into(), signal).await?;
            reply(call, &())
        }
        "StopProcessTree" => {
            let (process, ladder): (zbus::OwnedFd, String) = arguments(call)?;
            reply(call, &helper.stop_tree(process.into(), &ladder).await?)
        }
        "UserUnit" => {
            let (uid, unit, verb, signal): (u32, String, String, i32) = arguments(call)?;
            reply(call, &helper.user_unit(&Job::new(uid, &unit, &verb, signal)?).await?)
        }
        "Explain" => {
            let (target, action, signal): (OwnedVariant, String, i32) = arguments(call)?;
            let Explained { verdict, action, details, reason } =
                helper.explain(about(&target)?, &action, signal).await?;
            let verdict = match verdict {
                Verdict::Allowed => "allowed",
                Verdict::NeedsPassword => "needs-password",
                Verdict::Denied | Verdict::UnknownUntilAsked => "denied",
            };
            reply(call, &(verdict, action, details, reason))
        }
        "PortOwner" => {
            let port: u16 = arguments(call)?;
            // In a thread: it may take a while, in which others are answered.
            let turn = SCANS.acquire().await.map_err(Fault::arguments)?;
            let found = tokio::task::spawn_blocking(move || {
                // Taken for as long as the work goes on, wherever the caller is by then.
                let _turn = turn;
                helper.port_owner(port)
            });
            let found = tokio::time::timeout(SCAN, found).await;
            let late = || HelperError::TimedOut(format!("who has port {port} takes too long to find out"));
            let found = found.map_err(|_| late())?.map_err(|error| HelperError::Failed(error.to_string()))?;
            reply(call, &found?)
        }
        "ProcessDetails" => {
            let process: zbus::OwnedFd = arguments(call)?;
            reply(call, &helper.details(process.into()).await?)
        }
        other => {
            let other = crate::text::clip(other);
            Err(Fault::standard("UnknownMethod", format!("the helper has no method '{other}'")))
        }
    }
}

fn arguments<T>(call: &Message) -> Result<T, Fault>
where
    T: for<'d> zbus::wire::DynamicDeserialize<'d>,
{
    call.body().deserialize().map_err(|error| HelperError::InvalidArgs(error.to_string()).into())
}

/// The target of `Explain`: a pidfd, a unit's name, or a uid and a unit's name.
fn about(target: &Variant<'_>) -> Result<About, Fault> {
    let wrong = || HelperError::InvalidArgs("a target is a pidfd, a unit, or a uid and a unit".to_owned());
    match target {
        Variant::Fd(fd) => {
            let fd: OwnedFd = fd.as_fd().try_clone_to_owned().map_err(|_| wrong())?;
            Ok(About::Process(fd))
        }
        Variant::Str(unit) => Ok(About::Unit(unit.as_str().to_owned())),
        Variant::Structure(both) => match both.fields() {
            [Variant::U32(uid), Variant::Str(unit)] => Ok(About::UserUnit(*uid, unit.as_str().to_owned())),
            _ => Err(wrong().into()),
        },
        _ => Err(wrong().into()),
    }
}
