//! The observer: what reads the host for one run of provost, with its connections.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use super::bus::{Bus, Early};
use super::cgroup::{self, CgroupFs, CgroupPath, ManagerRoot, Place};
use super::{ProcFs, caller, host, owners, resolve, sockets};
use crate::error::Error;
use crate::model::{
    Action, Answer, Availability, AvailabilityState, Caller, Facts, Host, Manager, Owner, OwnerFacts, Polkit, Process,
    Request, Target,
};
use crate::probe::{self, Known};

/// Among whose units a bare word is looked up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Units {
    /// The system's and the caller's.
    #[default]
    Both,
    /// The system's only.
    System,
    /// The caller's only.
    User,
}

/// What is to be read besides the owners themselves.
#[derive(Debug, Clone, Default)]
pub struct Want {
    /// For these actions the manager is asked whether the caller may.
    pub actions: Vec<Action>,
    /// Whether it answers.
    pub probe: bool,
    /// What sudo allows without a password.
    pub sudo: bool,
    /// If nothing is found: what is near it.
    pub suggest: bool,
    /// How the actions are wanted, where that is known: whom a signal is meant for, and which.
    pub like: Option<Request>,
}

impl Want {
    /// For one action.
    pub fn action(action: Action) -> Self {
        Self { actions: vec![action], ..Self::default() }
    }

    /// For one request.
    pub fn request(request: &Request) -> Self {
        let actions = if request.force { vec![request.action, Action::Kill] } else { vec![request.action] };
        Self { actions, sudo: request.sudo, like: Some(request.clone()), ..Self::default() }
    }
}

/// Reads the host. Connections are made when they are first needed, and kept.
#[derive(Debug)]
pub struct Observer {
    proc: ProcFs,
    cgroups: Option<CgroupFs>,
    root: ManagerRoot,
    bus: Bus,
    caller: Caller,
    host: Host,
    units: Units,
    known: std::sync::OnceLock<Known>,
    polkit: tokio::sync::OnceCell<Polkit>,
    /// Who listens where, as the helper told it of processes whose files are hidden from us.
    told: std::sync::Mutex<Vec<(u32, SocketAddr)>>,
}

impl Observer {
    /// Looks at the host and at the caller, while the system bus is connected.
    pub async fn new(units: Units) -> Result<Self, Error> {
        let early = Early::connect().await;
        let proc = ProcFs::host().map_err(|source| Error::Io { what: "/proc".to_owned(), source })?;
        let caller = caller::caller(&proc);
        let host = host::host();
        let pid1 = proc.cgroup(1).ok().and_then(|text| cgroup::path_of(&text));
        let bus = Bus::new(caller.uid, caller.runtime_dir.clone(), &host.init, early);
        let cgroups = CgroupFs::host(pid1.as_ref()).ok();
        let root = ManagerRoot::of(pid1.as_ref());
        Ok(Self {
            proc,
            cgroups,
            root,
            bus,
            caller,
            host,
            units,
            known: std::sync::OnceLock::new(),
            polkit: tokio::sync::OnceCell::new(),
            told: std::sync::Mutex::default(),
        })
    }

    /// Everything about a target that a decision needs.
    pub async fn facts(&self, target: &Target, want: &Want) -> Result<Facts, Error> {
        let found = resolve::resolve(self, target, want).await?;
        let mut all: Vec<OwnerFacts> = Vec::with_capacity(found.len());
        for one in found {
            for owner in owners::describe(self, one, want).await {
                // An alias and the name that it stands for are one; parts of one scope are not.
                let same = |o: &&mut OwnerFacts| {
                    o.owner == owner.owner && (o.named || owner.named || o.matched == owner.matched)
                };
                match all.iter_mut().find(same) {
                    Some(same) => same.named |= owner.named,
                    None => all.push(owner),
                }
            }
        }
        Ok(self.complete(target.to_string(), all).await)
    }

    /// Owners with who asks and what the host has.
    pub(super) async fn complete(&self, target: String, owners: Vec<OwnerFacts>) -> Facts {
        let mut host = self.host.clone();
        host.system_bus = self.bus.system_reach();
        host.user_manager = self.bus.user_reach().await;
        host.helper = self.bus.helper_reach();
        if !self.caller.is_root() {
            host.polkit = self.polkit(&owners).await;
        }
        Facts { target, caller: self.caller.clone(), host, owners }
    }

    /// Whether an owner answers, as `inspect` and `probe` ask it.
    pub(crate) async fn probe_owner(
        &self,
        owner: &OwnerFacts,
        target: &Target,
        options: &probe::Options,
    ) -> Result<Availability, Error> {
        let word = match target {
            Target::Word(word) => Some(word.as_str()),
            _ => None,
        };
        let environ = |pid: u32| self.proc.environ(pid);
        let of_user = match (&owner.listening, owner.uid) {
            (None, Some(uid)) => {
                sockets::listeners(None).unwrap_or_default().into_iter().filter(|l| l.uid == uid).collect()
            }
            _ => Vec::new(),
        };
        let of_user: Vec<std::net::SocketAddr> = of_user.iter().map(|l| l.addr).collect();
        let subject = probe::Subject {
            of_user: &of_user,
            processes: &owner.processes,
            listening: owner.listening.as_deref(),
            environ: Some(&environ),
            word,
            caller_uid: Some(self.caller.uid),
            contained: matches!(owner.owner, Owner::Container { .. }),
        };
        let found = probe::probe(&subject, self.known()?, options).await;
        // Of a port that its user named, the port itself is an address: who holds it may be a
        // socket of the manager, for something that does not run yet.
        if let (Target::Port(port), AvailabilityState::Unknown) = (target, found.state)
            && let Ok(listeners) = sockets::listeners(Some(*port))
            && !listeners.is_empty()
        {
            let listening: Vec<_> = listeners.iter().map(|listener| listener.addr).collect();
            let port = probe::Subject { listening: Some(&listening), ..probe::Subject::default() };
            return Ok(probe::probe(&port, self.known()?, options).await);
        }
        Ok(found)
    }

    /// The availability as a fact, if it is wanted: asked briefly, and without the models.
    pub(super) async fn availability(&self, owner: &OwnerFacts, want: &Want) -> Option<Availability> {
        // What runs and cannot be read may serve; what cannot be seen does, if it listens.
        let serves = owner.listening.as_ref().map_or(!owner.processes.is_empty(), |all| !all.is_empty());
        if !want.probe || !serves {
            return None;
        }
        let options = probe::Options { timeout: Duration::from_secs(1), spec: None, models: false };
        let word = Target::Word(String::new());
        match self.probe_owner(owner, &word, &options).await {
            Ok(found) if found.state == AvailabilityState::Unknown && found.server.is_none() => None,
            Ok(found) => Some(found),
            Err(error) => Some(Availability::unknown(error.to_string())),
        }
    }

    /// What polkit is, as far as it matters for what is said about these owners. Its version is
    /// asked for only where it may be absent or old: polkit answers slowly.
    async fn polkit(&self, owners: &[OwnerFacts]) -> Polkit {
        let answers = owners.iter().flat_map(|o| &o.unit).flat_map(|u| u.answers.values());
        let mut polkit = Polkit::NotAsked;
        for answer in answers {
            match answer {
                Answer::NeedsPassword if !host::may_be_old() => polkit = Polkit::WithRules,
                Answer::NeedsPassword | Answer::Denied(_) | Answer::Unknown(_) | Answer::WouldPrompt(_) => {
                    return self.polkit.get_or_init(|| host::polkit(&self.bus)).await.clone();
                }
                Answer::Allowed | Answer::Refused(_) => {}
            }
        }
        polkit
    }

    /// The version of systemd, asked once and only where it matters (see `units::ask`).
    pub(super) async fn systemd_version(&self, client: &crate::systemd::Manager) -> Option<String> {
        let desktop = self.caller.session.as_ref().is_some_and(|s| s.graphical);
        if self.caller.is_root() || !desktop {
            return None;
        }
        client.version().await.ok()
    }

    /// The helper said that this process listens there.
    pub(super) fn was_told(&self, pid: u32, address: SocketAddr) {
        let mut told = self.told.lock().unwrap_or_else(|e| e.into_inner());
        if !told.contains(&(pid, address)) {
            told.push((pid, address));
        }
    }

    /// Where these processes listen, as far as the helper said it.
    pub(super) fn told_of(&self, pids: &[u32]) -> Vec<SocketAddr> {
        let told = self.told.lock().unwrap_or_else(|e| e.into_inner());
        told.iter().filter(|(pid, _)| pids.contains(pid)).map(|(_, address)| *address).collect()
    }

    pub(crate) fn proc(&self) -> &ProcFs {
        &self.proc
    }

    pub(crate) fn cgroups(&self) -> Option<&CgroupFs> {
        self.cgroups.as_ref()
    }

    pub(crate) fn bus(&self) -> &Bus {
        &self.bus
    }

    /// The caller.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// The host, as far as it is known without asking anybody.
    pub fn host(&self) -> &Host {
        &self.host
    }

    pub(crate) fn units(&self) -> Units {
        self.units
    }

    /// The known servers, with those that the user and the administrator added.
    pub(crate) fn known(&self) -> Result<&Known, Error> {
        if let Some(known) = self.known.get() {
            return Ok(known);
        }
        let mut known = Known::builtin();
        for path in [Some("/etc/provost/probes.toml".into()), super::config_file("probes.toml")].into_iter().flatten() {
            let path: std::path::PathBuf = path;
            known = add_servers(known, &path)?;
        }
        Ok(self.known.get_or_init(|| known))
    }

    /// Where a process stands, by its cgroup.
    pub(crate) fn place(&self, process: &Process) -> Place {
        match process.cgroup.as_deref().map(CgroupPath::new) {
            // Without systemd there are no units, whatever the folders are called.
            Some(path) => match cgroup::place(&path, &self.root) {
                place @ (Place::Container { .. } | Place::Foreign) => place,
                place if self.host.has_systemd() => place,
                _ => Place::Root,
            },
            None => Place::Root,
        }
    }

    /// The cgroup that a manager names for a unit, if it can be its own: a user's manager is in the
    /// user's hands, and may say what it likes.
    pub(crate) fn group_of(&self, whose: Manager, control_group: &str) -> Option<String> {
        let own = match whose {
            Manager::System => true,
            Manager::User(uid) => {
                let service = format!("user@{uid}.service");
                control_group.split('/').any(|part| part == service) && !control_group.contains("..")
            }
        };
        (own && !control_group.is_empty()).then(|| control_group.to_owned())
    }

    /// The processes in a cgroup and below it.
    pub(crate) fn pids_in(&self, group: &str) -> Vec<u32> {
        self.cgroups.as_ref().map(|fs| fs.pids_in(group)).unwrap_or_default()
    }

    /// The place that a path in the cgroup tree means.
    pub(super) fn place_of_path(&self, path: &str) -> Place {
        cgroup::place(&CgroupPath::new(path), &self.root)
    }
}

/// Adds the servers of a file, if there is one.
fn add_servers(known: Known, path: &Path) -> Result<Known, Error> {
    match std::fs::read_to_string(path) {
        Ok(text) => known.with_user(path, &text).map_err(|e| Error::Config(e.to_string())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(known),
        Err(source) => Err(Error::Io { what: path.display().to_string(), source }),
    }
}
