//! A supervisor without services that only remembers: enough to answer every command.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{broadcast, mpsc};

use super::super::{Api, ControlSocket, Request};
use crate::model::ServiceId;
use crate::model::service::{Event, EventKind, ServiceReport, ServiceState};
use crate::supervise::{Command, Handle, OrphansCleaned, Refusal, Selection};

/// A daemon's D-Bus side over a stand-in.
pub(super) struct StandIn {
    pub(super) socket: PathBuf,
    pub(super) events: broadcast::Sender<Event>,
    pub(super) requests: mpsc::UnboundedReceiver<Request>,
    pub(super) api: Arc<Api>,
    _dir: tempfile::TempDir,
}

pub(super) fn id(id: &str) -> ServiceId {
    id.parse().unwrap()
}

pub(super) fn report(id: &ServiceId) -> ServiceReport {
    let fields = serde_json::json!({
        "id": id, "state": "stopped", "ready": false, "desired": "down", "enabled": true, "health": "ok",
        "restarts": 3, "failures": 0, "command_line": ["sleep", "9"], "meta": {"gpu": ["0"], "n": {"x": 1.5}},
        "last_exit": {"code": -1}, "cwd": "/", "pid": 77,
    });
    serde_json::from_value(fields).unwrap()
}

pub(super) fn event(seq: u64, service: &str, message: &str) -> Event {
    let kind = EventKind::State { from: ServiceState::Starting, to: ServiceState::Running, pid: Some(7) };
    Event { seq, at: "2026-01-01T00:00:00Z".to_owned(), id: id(service), kind, message: message.to_owned() }
}

impl StandIn {
    pub(super) fn start(services: &[&str]) -> Self {
        let (commands, mut received) = mpsc::channel(64);
        let (events, _) = broadcast::channel(256);
        let (ask, requests) = mpsc::unbounded_channel();
        let mut all: BTreeMap<ServiceId, ServiceReport> = services.iter().map(|s| (id(s), report(&id(s)))).collect();
        let told = events.clone();
        crate::tasks::spawn(async move {
            while let Some(command) = received.recv().await {
                answer(&mut all, &told, command);
            }
        });
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("control.sock");
        let handle = Handle::new(commands, events.clone());
        let (clients, _) = tokio::sync::watch::channel(0);
        let (instance_id, backend) = ("abc".to_owned(), "sim".to_owned());
        let recent = super::super::Recent::default();
        crate::tasks::spawn(recent.clone().keep(events.subscribe()));
        let (calls, named) = (tokio::sync::watch::channel(0).0, tokio::sync::watch::channel(false).0);
        let restarts = super::super::Restarts::default();
        let foreground = false;
        let api =
            Api { handle, instance_id, backend, requests: ask, clients, calls, named, restarts, recent, foreground };
        let api = Arc::new(api);
        let served = ControlSocket::bind(&socket).unwrap();
        let served_api = Arc::clone(&api);
        crate::tasks::spawn(async move { served.serve(served_api).await });
        Self { socket, events, requests, api, _dir: dir }
    }
}

fn answer(all: &mut BTreeMap<ServiceId, ServiceReport>, events: &broadcast::Sender<Event>, command: Command) {
    let select = |which: &Selection| -> Result<Vec<ServiceId>, Refusal> {
        let unknown = which.ids.iter().find(|id| !all.contains_key(id));
        match unknown {
            Some(id) => Err(Refusal::NoSuchService { id: id.to_string(), nearest: vec!["near".to_owned()] }),
            None if which.ids.is_empty() => Ok(all.keys().cloned().collect()),
            None => Ok(which.ids.clone()),
        }
    };
    let touched = |which: &Selection| -> Result<Vec<(ServiceId, bool)>, Refusal> {
        Ok(select(which)?.into_iter().map(|id| (id, true)).collect())
    };
    match command {
        Command::Load { config, answer, .. } => {
            let _ = answer.send(Err(Refusal::Config(format!("{}:1:1: wrong", config.display()))));
        }
        Command::Define { specs, answer, .. } => {
            let ids: Vec<ServiceId> = specs.iter().map(|spec| spec.id.clone()).collect();
            let reports = specs.into_iter().map(|spec| {
                let report = ServiceReport { after: spec.after, ..report(&spec.id) };
                (spec.id, report)
            });
            all.extend(reports);
            let _ = answer.send(Ok(ids));
        }
        Command::Start { which, answer, .. } => {
            let started = touched(&which);
            for (id, _) in started.iter().flatten() {
                let _ = events.send(event(1, id.as_str(), "started"));
            }
            let _ = answer.send(started);
        }
        Command::Stop { which, answer, .. }
        | Command::Restart { which, answer }
        | Command::Kill { which, answer, .. }
        | Command::Enable { which, answer, .. }
        | Command::Remove { which, answer } => {
            let _ = answer.send(touched(&which));
        }
        Command::Reload { answer, .. } => {
            let _ = answer.send(Err(Refusal::Failed("it has no way to reload".to_owned())));
        }
        Command::Report { which, answer, .. } => {
            let _ = answer.send(select(&which).map(|ids| ids.iter().map(|id| all[id].clone()).collect()));
        }
        Command::Reach { which, what, answer } => {
            let _ = answer.send(select(&which).map(|ids| ids.into_iter().map(|id| (id, what)).collect()));
        }
        Command::Heartbeat { .. }
        | Command::Follow { .. }
        | Command::ReadConfig { .. }
        | Command::PatchConfig { .. } => {}
        Command::Bounded { command, .. } => self::answer(all, events, *command),
        Command::Orphans { answer, .. } => {
            let _ = answer.send(Ok(Vec::new()));
        }
        Command::CleanOrphans { answer, .. } => {
            let cleaned = OrphansCleaned {
                success: true,
                orphaned_pids: vec![5],
                killed_count: 1,
                message: "one orphan was ended".to_owned(),
            };
            let _ = answer.send(Ok(cleaned));
        }
        Command::ReloadConfig { answer } => {
            let _ = answer.send(Err(Refusal::Ending));
        }
        Command::Finish { answer, .. } => {
            let _ = answer.send(Ok(()));
        }
    }
}
