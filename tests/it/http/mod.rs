//! The HTTP API, asked by real clients: each trial has a user, a daemon and an address of its own.

mod api;
mod clients;
mod config;
mod crowd;
mod guard;
mod moves;
mod streams;
mod system;
mod tls;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

use crate::rig::{As, Result, Rig, User, eventually};
use crate::trial::Trials;

type Body = fn(&Site<'_>) -> Result<()>;

pub fn register(trials: &mut Trials) {
    let bodies: Vec<(&'static str, Body)> = [
        api::BODIES,
        clients::BODIES,
        config::BODIES,
        crowd::BODIES,
        guard::BODIES,
        streams::BODIES,
        tls::BODIES,
        moves::BODIES,
    ]
    .concat();
    for (number, (name, body)) in bodies.into_iter().enumerate() {
        let number = u16::try_from(number).unwrap_or_default();
        trials.rig(&format!("http::{name}"), move |rig| body(&Site::new(rig, number)?));
    }
    system::register(trials);
}

/// A user with a daemon that answers HTTP.
pub struct Site<'r> {
    pub rig: &'r Rig,
    pub user: String,
    pub home: String,
    pub address: SocketAddr,
}

impl<'r> Site<'r> {
    fn new(rig: &'r Rig, number: u16) -> Result<Self> {
        let user = format!("http{number}");
        rig.add_user(&User::person(&user, 1900 + u32::from(number), &[]))?;
        let address = SocketAddr::from(([127, 0, 0, 1], 18_400 + number));
        Ok(Self { rig, home: format!("/home/{user}"), user, address })
    }

    /// Starts the daemon with its address and these services.
    pub fn start(&self, services: &str) -> Result<()> {
        self.configure(&format!("[http]\nlisten = \"{}\"\n{services}", self.address))?;
        self.ok(&["up", "--detach"])?;
        eventually("it answers", || self.get("", "/healthz").is_ok_and(|answer| answer.status == 200))
    }

    pub fn configure(&self, text: &str) -> Result<()> {
        let folder = format!("{}/.config/provost", self.home);
        self.rig.as_user(&self.user).run(["mkdir", "-p", &folder])?.ok()?;
        self.rig.write_as(&self.user, &format!("{folder}/provost.toml"), text, 0o600)
    }

    /// The user, without a manager.
    pub fn who(&self) -> As<'r> {
        self.rig.as_user(&self.user).folder(&self.home).no_systemd().no_user_manager()
    }

    pub fn ok(&self, args: &[&str]) -> Result<String> {
        let output = self.who().run(["provost"].iter().chain(args))?;
        output.ok().map_err(|e| format!("{args:?}: {}", crate::rig::words(&e)).into())
    }

    /// A new token.
    pub fn token(&self, name: &str, scope: &str) -> Result<String> {
        Ok(self.ok(&["token", "create", "--name", name, "--scope", scope])?.trim().to_owned())
    }

    /// The answer to a GET; without a token if that is empty.
    pub fn get(&self, token: &str, path: &str) -> Result<Answer> {
        self.ask(token, "GET", path, None)
    }

    pub fn post(&self, token: &str, path: &str) -> Result<Answer> {
        self.ask(token, "POST", path, None)
    }

    pub fn ask(&self, token: &str, method: &str, path: &str, body: Option<&Value>) -> Result<Answer> {
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", self.address);
        if !token.is_empty() {
            head.push_str(&format!("Authorization: Bearer {token}\r\n"));
        }
        let body = body.map(ToString::to_string).unwrap_or_default();
        if !body.is_empty() {
            head.push_str(&format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len()));
        }
        self.raw(format!("{head}\r\n{body}").as_bytes())
    }

    /// The answer to these bytes.
    pub fn raw(&self, bytes: &[u8]) -> Result<Answer> {
        self.raw_at(self.address, bytes)
    }

    /// The same of another address.
    pub fn raw_at(&self, address: SocketAddr, bytes: &[u8]) -> Result<Answer> {
        self.rig.in_network(|| {
            let mut stream = connect(address)?;
            stream.write_all(bytes)?;
            let mut answer = Vec::new();
            // What it has said before it closes counts.
            let _ = stream.read_to_end(&mut answer);
            Answer::of(&answer)
        })
    }
}

/// A trial may end early: what it left running is stopped.
impl Drop for Site<'_> {
    fn drop(&mut self) {
        let _ = self.ok(&["down", "--all", "--force"]);
        let _ = self.ok(&["daemon", "stop", "--services", "kill"]);
    }
}

/// A connection that gives up after half a minute.
pub fn connect(address: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, Duration::from_secs(30))?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    stream.set_write_timeout(Some(Duration::from_secs(30)))?;
    Ok(stream)
}

/// What was answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn of(bytes: &[u8]) -> Result<Self> {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n").ok_or_else(|| format!("no answer: {text}"))?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or("no status")?;
        Ok(Self { status, head: head.to_ascii_lowercase(), body: body.to_owned() })
    }

    pub fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.body).map_err(|error| format!("no JSON ({error}): {self:?}").into())
    }

    /// The document of an answer that is well.
    pub fn good(&self) -> Result<Value> {
        expect!((200..300).contains(&self.status), "{self:?}");
        self.json()
    }
}
