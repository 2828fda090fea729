//! The attacker: this program again, as an ordinary user in the rig, with a connection to the system bus.

use std::os::fd::OwnedFd;
use std::process::ExitCode;

use rustix::process::{Pid, PidfdFlags};
use zbus::message::Flags;
use zbus::{Connection, Message, MessageStream};

use crate::rig::{As, Result, words};

/// The variable that makes this program the attacker, with what it is to do.
pub const ROLE: &str = "PROVOST_ATTACK";

const NAME: &str = "org.provost.Provost1";
const PATH: &str = "/org/provost/Provost1";
pub const HELPER: &str = "org.provost.Provost1.Helper";

/// Has somebody in the rig do this; what they say.
pub fn attack(who: &As<'_>, role: &str, args: &[&str]) -> Result<String> {
    let argv = ["/usr/local/bin/sleeper"].iter().chain(args);
    who.clone().env(ROLE, role).run(argv)?.ok()
}

/// Runs in the rig.
pub fn main() -> ExitCode {
    let role = std::env::var(ROLE).unwrap_or_default();
    let args: Vec<String> = std::env::args().skip(1).collect();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(_) => return ExitCode::FAILURE,
    };
    let done = runtime.block_on(async {
        match role.as_str() {
            "call" => super::arguments::call(&args).await,
            "descriptors" => super::descriptors::role(&args).await,
            "names" => super::arguments::names(&args).await,
            "reuse" => super::changes::reuse(&args).await,
            "prompts" => super::prompts::role(&args).await,
            "flood" => super::flood::flood(&args).await,
            "steady" => super::flood::steady(&args).await,
            other => Err(format!("no role {other}").into()),
        }
    });
    match done {
        Ok(said) => {
            println!("{said}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{}", words(&error));
            ExitCode::FAILURE
        }
    }
}

/// A connection to the system bus; its calls and all that comes are handled by hand.
pub struct Line {
    pub connection: Connection,
    pub messages: MessageStream,
}

impl Line {
    pub async fn new() -> Result<Self> {
        let messages = zbus::connection::Builder::system().build_message_stream().await?;
        Ok(Self { connection: Connection::from(&messages), messages })
    }

    /// Sends a call to the helper; its serial number.
    pub async fn send<B>(&self, method: &str, interactive: bool, body: &B) -> Result<u32>
    where
        B: serde::Serialize + zbus::DynamicType,
    {
        let flags = if interactive { Flags::ALLOW_INTERACTIVE_AUTH } else { Flags::empty() };
        let call = Message::method_call(PATH, method).destination(NAME).interface(HELPER).with_flags(flags);
        let call = call.build(body)?;
        let serial = call.primary_header().serial_num();
        self.connection.send(&call).await?;
        Ok(serial.get())
    }

    /// What comes next that is an answer to some call of ours: its serial number, and the answer.
    pub async fn answer(&mut self) -> Result<(u32, Message)> {
        loop {
            let message = self.next().await?;
            if let Some(serial) = message.header().reply_serial() {
                return Ok((serial.get(), message));
            }
        }
    }

    pub async fn next(&mut self) -> Result<Message> {
        use futures_core::Stream as _;
        let message = std::future::poll_fn(|cx| std::pin::Pin::new(&mut self.messages).poll_next(cx)).await;
        Ok(message.ok_or("the connection ended")??)
    }

    /// One call and what came of it: `ok`, or the last part of the error's name and its words.
    pub async fn call<B>(&mut self, method: &str, interactive: bool, body: &B) -> Result<String>
    where
        B: serde::Serialize + zbus::DynamicType,
    {
        let serial = self.send(method, interactive, body).await?;
        loop {
            let (of, answer) = self.answer().await?;
            if of == serial {
                return Ok(shown(&answer));
            }
        }
    }
}

/// An answer in one line.
pub fn shown(answer: &Message) -> String {
    match answer.header().error_name() {
        Some(name) => {
            let name = name.as_str().rsplit('.').next().unwrap_or_default().to_owned();
            format!("{name}: {}", answer.body().deserialize::<String>().unwrap_or_default())
        }
        None => match answer.body().deserialize::<zbus::wire::Structure<'_>>() {
            Ok(body) => format!("ok {body}"),
            Err(_) => "ok".to_owned(),
        },
    }
}

pub fn pidfd(pid: u32) -> Result<OwnedFd> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or("no pid")?;
    Ok(rustix::process::pidfd_open(pid, PidfdFlags::empty())?)
}
