//! What is to be started: backend, port, variables, program, socket. All of it is found out anew
//! at each start.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::service::{Checked, Prepared, Service};
use super::{Done, Supervisor};
use crate::backend::{AwaitRoom, Launch, Room, StartError, stale_socket};
use crate::config::{Resolved, Surroundings};
use crate::gather::Gather as _;
use crate::model::service::{BackendKind, Check, EventKind, PortSpec, Program, ServiceSpec, ServiceState};
use crate::model::{Instance, ServiceId};
use crate::registry::Record;
use crate::supervise::machine::{Event, Machine, PORT_WAIT};
use crate::supervise::{pid_file, ports};

/// What is known of a start before anything is done for it.
pub(super) struct Sound {
    backend: BackendKind,
    /// The backend looks for the program, and may find what is denied to us.
    by_unit: bool,
    program: PathBuf,
    resolved: Resolved,
}

fn permanent(why: impl ToString) -> StartError {
    StartError::Permanent(why.to_string())
}

impl Supervisor {
    /// Prepares a start: the machine is told that it is prepared, why not, or who holds its port.
    pub(super) fn prepare(&mut self, id: &ServiceId, run: u64, room: Room) {
        let event = match self.port(id) {
            Ok(Some(taken)) => return self.await_port(id, run, taken),
            Ok(None) => match room.map_or_else(|| self.room(id), |room| Ok(Some(room))) {
                Err(wait) => return self.await_room(id, run, wait),
                Ok(room) => match self.prepared(id, room) {
                    Ok(()) => Event::Prepared { run },
                    Err(error) => Event::NotPrepared { run, error },
                },
            },
            Err(error) => Event::NotPrepared { run, error },
        };
        self.queue.push_back((id.clone(), event));
    }

    /// Chooses the port; of a fixed one that is taken, the number.
    fn port(&mut self, id: &ServiceId) -> Result<Option<u16>, StartError> {
        let Some(service) = self.services.get(id) else { return Ok(None) };
        let (spec, had) = (service.record().spec.port, service.record().port);
        let failed =
            |error: io::Error| StartError::Transient(format!("whether its port is free cannot be read: {error}"));
        let port = match spec {
            None => None,
            Some(PortSpec::Fixed(port)) if !ports::is_free(port).map_err(failed)? => return Ok(Some(port)),
            Some(PortSpec::Fixed(port)) => Some(port),
            Some(range) => {
                let had = had.filter(|port| range.has(*port));
                let wanted = had.or_else(|| self.port_by_number(&service.record().spec, range));
                let others = |port: u16| self.ports.get(&port).is_some_and(|owner| owner != id);
                let mut taken = BTreeSet::new();
                // Asked one by one: what else listens on this host does not matter.
                loop {
                    let port = ports::choose(range, wanted, others, &taken).map_err(StartError::Transient)?;
                    if ports::is_free(port).map_err(failed)? {
                        break Some(port);
                    }
                    taken.insert(port);
                }
            }
        };
        if port != had {
            self.has_port(id, had, port);
        }
        Ok(None)
    }

    /// The one of a range that falls to an instance: they are given out in the order of their numbers, and not of
    /// their starts.
    fn port_by_number(&self, spec: &ServiceSpec, range: PortSpec) -> Option<u16> {
        let (group, number) = spec.instance_of.as_ref()?;
        let PortSpec::Range(first, last) = range else { return None };
        let of_group =
            |id: &ServiceId| self.services.get(id).is_some_and(|service| service.record().spec.group() == Some(group));
        let mut left = (first..=last).filter(|port| self.ports.get(port).is_none_or(of_group));
        left.nth(usize::try_from(*number).ok()?.saturating_sub(1))
    }

    /// It has another port than before.
    fn has_port(&mut self, id: &ServiceId, had: Option<u16>, port: Option<u16>) {
        if let Some(had) = had.filter(|had| self.ports.get(had) == Some(id)) {
            self.ports.remove(&had);
        }
        if let Some(port) = port {
            self.ports.insert(port, id.clone());
        }
        let Some(service) = self.services.get_mut(id) else { return };
        service.record_mut().port = port;
        let described = service.record().spec.port;
        if let (Some(had), Some(port)) = (had, port) {
            let why = match (described.is_some_and(|described| described.has(had)), self.ports.get(&had)) {
                (false, _) => format!(" (it was {had})"),
                (true, None) => format!(": {had} is taken"),
                (true, Some(other)) => format!(": {had} is that of {other}"),
            };
            self.say(id, EventKind::Port { port }, format!("its port is {port} now{why}"));
            self.restart_those_by_port(id);
        }
    }

    /// Its port is another: who runs by the old one would find somebody else there.
    fn restart_those_by_port(&mut self, id: &ServiceId) {
        let group = self.services.get(id).and_then(|service| service.record().spec.group().cloned());
        let names = [Some(id), group.as_ref()].map(|name| name.map(|name| format!("service.{name}.port")));
        let runs_by = |service: &Service| {
            let others = crate::config::of_others(&service.record().spec);
            service.machine.is_alive() && names.iter().flatten().any(|name| others.contains(name))
        };
        let mut named: BTreeSet<ServiceId> =
            self.services.iter().filter(|(_, service)| runs_by(service)).map(|(id, _)| id.clone()).gather();
        named.retain(|other| other != id && self.is_wanted(other) && self.can_start_again(other).is_ok());
        self.restart_each(&named);
    }

    fn await_port(&mut self, id: &ServiceId, run: u64, port: u16) {
        let (tell, id) = (self.tell.clone(), id.clone());
        let Some(service) = self.services.get_mut(&id) else { return };
        service.cancel();
        let own = id.clone();
        let wait = crate::tasks::spawn_local(async move {
            // It is waited for from now on; who holds it takes longer to find out.
            let said = |holder: String| Done::Event(own.clone(), Event::PortTaken { run, holder });
            let _ = tell.send(said(format!("{port} is taken")));
            let holder = async { tell.send(said(ports::holder(port).await)) };
            // The machine gives up first.
            let (_, free) = tokio::join!(holder, ports::wait_free(port, 2 * PORT_WAIT));
            let done = match free {
                Ok(true) => Done::PortFree(own, run),
                Ok(false) => return,
                Err(error) => {
                    let error = StartError::Transient(format!("whether {port} is free cannot be read: {error}"));
                    Done::Event(own, Event::NotPrepared { run, error })
                }
            };
            let _ = tell.send(done);
        });
        service.wait = Some(wait.abort_handle());
    }

    /// One that says when it is ready needs room for that.
    fn room(&self, id: &ServiceId) -> Result<Room, AwaitRoom> {
        let ready = self.services.get(id).and_then(|service| service.record().spec.ready.clone());
        let says = ready.is_some_and(|ready| matches!(ready.check, Check::Notify(true)));
        let backend = self.choose_backend(id).ok().filter(|_| says).and_then(|kind| self.backends.get(kind));
        backend.map_or(Ok(None), |backend| backend.room())
    }

    /// It waits for others that are not ready. That may take long: its turn is another's, and a stop finds
    /// nothing begun.
    fn await_room(&mut self, id: &ServiceId, run: u64, wait: AwaitRoom) {
        self.turns.over(id);
        let Some(service) = self.services.get_mut(id) else { return };
        service.cancel();
        let (tell, id) = (self.tell.clone(), id.clone());
        let wait = crate::tasks::spawn_local(async move {
            let room = wait.await;
            let _ = tell.send(Done::Room { id, run, room });
        });
        service.wait = Some(wait.abort_handle());
        service.waits_for_room = true;
    }

    /// What was found out before it waited may not be so any more.
    pub(super) fn has_room(&mut self, id: &ServiceId, run: u64, room: Room) {
        let waits = |machine: &Machine| machine.run() == run && machine.is_being_executed();
        if let Some(service) = self.services.get_mut(id).filter(|service| waits(&service.machine)) {
            service.waits_for_room = false;
            self.prepare(id, run, room);
        }
    }

    /// Whether what runs could be started anew by its description, as far as that can be seen; what could not is not
    /// stopped for it.
    ///
    /// # Errors
    /// Why not, in words that follow its id.
    pub(super) fn can_start_again(&self, id: &ServiceId) -> Result<(), String> {
        let sound = self.sound(id, true).map_err(|error| error.to_string());
        let why = match sound.and_then(|sound| self.check_places(id, &sound)) {
            Ok(()) => return Ok(()),
            Err(why) => self.unexpanded(id, why),
        };
        Err(format!("goes on as it is, for it could not be started again: {why}"))
    }

    /// Its user and the folder of its output, of which a start would find out from its backend.
    fn check_places(&self, id: &ServiceId, sound: &Sound) -> Result<(), String> {
        let Some(service) = self.services.get(id) else { return Ok(()) };
        let record = service.record();
        let spec = &record.spec;
        // A manager takes any number, and makes users as well.
        let looks = |user: &&String| !sound.by_unit || user.parse::<u32>().is_err();
        let user = spec.user.as_ref().filter(looks).filter(|_| !spec.systemd.contains_key("DynamicUser"));
        if let Some(Err(error)) = user.map(|user| crate::sys::spawn::user(user)) {
            return Err(format!("user: {error}"));
        }
        match sound.resolved.log_path.as_deref().filter(|_| spec.log.file || sound.backend != BackendKind::Systemd) {
            Some(folder) => crate::logs::check_folder(&folder.join(id.as_str()), self.places.uid),
            None => Ok(()),
        }
    }

    /// What its start comes to, but for the port. Changes nothing. `ahead`: ports and sockets that are known only
    /// once something was started may be any.
    fn sound(&self, id: &ServiceId, ahead: bool) -> Result<Sound, StartError> {
        let service = self.services.get(id).ok_or_else(|| permanent("it is not known"))?;
        let backend = self.choose_backend(id)?;
        self.check_commands(&service.record(), backend).map_err(permanent)?;
        let mut resolved = self.resolved(&service.record(), ahead).map_err(permanent)?;
        let log_path = resolved.log_path.as_deref().filter(|_| self.places.instance == Instance::System);
        if let Some(why) = log_path.and_then(|path| crate::logs::outside(path, &self.places.logs)) {
            return Err(permanent(format!("log.path: {why}")));
        }
        let record = service.record();
        resolved.env = self.environment(&record, resolved.env);
        if let Some(heartbeat) = resolved.health.as_ref().and_then(|health| health.heartbeat.as_ref()) {
            // sd_watchdog_enabled(3): by it a service knows how often it is to say that it lives.
            resolved.env.insert("WATCHDOG_USEC".to_owned(), heartbeat.timeout.0.as_micros().to_string());
        }
        // What is denied to us its unit may be allowed, which is in no sandbox of ours.
        let by_unit = self.backends.get(backend).is_some_and(|backend| backend.runs_commands());
        for path in self.pid_files(id, resolved.pid_file.clone()).iter().skip(1) {
            // That there cannot be one is no reason, and said when it is written.
            if let Err(error) = pid_file::check(path)
                && error.kind() == io::ErrorKind::Other
            {
                return Err(permanent(error));
            }
        }
        let cwd = &resolved.cwd;
        match fs::metadata(cwd) {
            Ok(found) if found.is_dir() => {}
            // Of its user, who may enter it; where not, the backend says so.
            Err(error) if is_denied(&error) && (by_unit || record.spec.user.is_some()) => {}
            Err(error) if is_denied(&error) => {
                return Err(permanent(format!("the folder {}: {error}", cwd.display())));
            }
            Ok(_) => return Err(permanent(format!("{} is not a folder", cwd.display()))),
            Err(_) => return Err(permanent(format!("the folder {} is not there", cwd.display()))),
        }
        let program = find_program(&resolved.argv[0], &resolved.env, cwd, by_unit).map_err(permanent)?;
        if matches!(record.spec.program, Program::Script { .. }) {
            check_script(&resolved.argv, cwd).map_err(permanent)?;
        }
        drop(record);
        Ok(Sound { backend, by_unit, program, resolved })
    }

    /// Everything but the port.
    fn prepared(&mut self, id: &ServiceId, room: Room) -> Result<(), StartError> {
        let Sound { backend, by_unit, program, resolved } = self.sound(id, false)?;
        let Some(service) = self.services.get(id) else { return Ok(()) };
        let record = service.record();
        let Resolved { argv, env, cwd, socket, pid_file, log_path, ready, ready_shown, health, health_shown, .. } =
            resolved;
        let beats = health.as_ref().is_some_and(|health| health.heartbeat.is_some());
        // Root in its sandbox can remove nothing, and is to touch nothing of a user's: its unit does.
        if let Some(path) = socket.as_deref().filter(|path| !path.starts_with('@') && !by_unit) {
            stale_socket::remove(Path::new(path)).map_err(permanent)?;
        }
        let spec = &record.spec;
        if let Err(error) = crate::logs::settle(&self.places, id, &spec.log, log_path.as_deref()) {
            tracing::warn!("{id}: its output is kept as before: {error}");
        }
        let launch = Launch {
            input: Vec::new(),
            room,
            id: id.clone(),
            description: spec.name.clone().unwrap_or_else(|| id.to_string()),
            program,
            argv,
            cwd,
            limits: spec.limits.clone(),
            user: spec.user.clone(),
            stop: spec.stop.clone(),
            notify: matches!(ready.as_ref().map(|ready| &ready.check), Some(Check::Notify(true))),
            beats,
            log_file: spec.log.file || backend != BackendKind::Systemd,
            systemd: spec.systemd.clone(),
            after: self.order.after(id).cloned().collect(),
            needed: self.order.dependents(id).next().is_some(),
            env,
        };
        let started_with = self.asked_for(&record);
        drop(record);
        let checked = (ready.is_some() || health.is_some()).then(|| {
            let (env, cwd) = (launch.env.clone(), launch.cwd.clone());
            Box::new(Checked { ready: ready.zip(ready_shown), health: health.zip(health_shown), env, cwd })
        });
        let pid_files = self.pid_files(id, pid_file);
        let Some(service) = self.services.get_mut(id) else { return Ok(()) };
        {
            let mut record = service.record.borrow_mut();
            record.backend = Some(backend);
            record.command_line.clone_from(&launch.argv);
            record.cwd.clone_from(&launch.cwd);
            record.socket = socket;
        }
        service.choose = false;
        service.started_with = started_with;
        service.checked = checked;
        service.pid_files = pid_files;
        service.prepared = Some(Box::new(Prepared { launch, backend }));
        Ok(())
    }

    /// Where its pid is written, the usual place first.
    pub(super) fn pid_files(&self, id: &ServiceId, own: Option<PathBuf>) -> Vec<PathBuf> {
        let usual = self.places.pid_file(id);
        // Relative: to the folder of the pid files.
        let own = own.map(|path| self.places.runtime.join(path)).filter(|own| *own != usual);
        std::iter::once(usual).chain(own).collect()
    }

    /// Replaces the variables of a service, as they are now.
    pub(super) fn resolve(&self, record: &Record) -> Result<Resolved, String> {
        self.resolved(record, false)
    }

    fn resolved(&self, record: &Record, ahead: bool) -> Result<Resolved, String> {
        let file = match &record.spec.env_file {
            None => None,
            Some(path) => match crate::config::read_env_file(path, self.places.instance == Instance::System) {
                Ok(text) => Some(text),
                Err(why) => return Err(format!("env_file {}: {why}", path.display())),
            },
        };
        let (environment, whose) = self.lookup(record);
        let others = |id: &ServiceId| {
            let found = self.order.members(id).find_map(|id| self.services.get(id))?;
            let (record, spec) = (found.record(), &found.record().spec);
            let has = (record.port, record.socket.clone());
            // What no variable decides is known before it was ever started.
            let fixed = (spec.fixed_port(), spec.fixed_socket());
            // What it had is what it has for as long as it runs on.
            let goes_on = found.machine.state() == ServiceState::Running && found.held.is_none();
            let (first, second) = if goes_on { (has, fixed) } else { (fixed, has) };
            let (port, socket) = (first.0.or(second.0), first.1.or(second.1));
            let any = || spec.socket.clone().filter(|_| ahead);
            Some((port.or(spec.lowest_port().filter(|_| ahead)), socket.or_else(any)))
        };
        let surroundings = Surroundings {
            port: record.port.or(record.spec.lowest_port().filter(|_| ahead)),
            environment: &environment,
            whose,
            env_file: file.as_deref(),
            others: &others,
            is_there: &|path| fs::symlink_metadata(path).is_ok(),
        };
        crate::config::resolve(&record.spec, &surroundings).map_err(|error| error.to_string())
    }

    fn choose_backend(&self, id: &ServiceId) -> Result<BackendKind, StartError> {
        let none = || permanent("this daemon has no backend that could run it");
        let Some(service) = self.services.get(id) else { return Err(none()) };
        let record = service.record();
        let kept = record.backend.filter(|_| !service.choose);
        let kind = kept.or(record.spec.backend.kind()).or(self.usual_backend()).ok_or_else(none)?;
        match self.backends.get(kind) {
            Some(_) => Ok(kind),
            None => {
                let helps = match (kind, self.places.instance) {
                    // It may have begun before the manager did.
                    (BackendKind::Systemd, Instance::User) => {
                        "once a manager of its user runs, 'provost daemon restart' looks for it again"
                    }
                    _ => "leave backend out, and it is run as all are here",
                };
                Err(permanent(format!("this daemon has no backend {}: {helps}", kind.as_str())))
            }
        }
    }
}

fn is_denied(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied
}

/// A file that the daemon may execute.
fn is_program(path: &Path) -> bool {
    path.is_file() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
}

/// What may be a program to others: what is denied to the daemon it cannot know.
fn may_be_program(path: &Path) -> bool {
    match fs::metadata(path) {
        Ok(found) => found.is_file() && found.permissions().mode() & 0o111 != 0,
        Err(error) => is_denied(&error),
    }
}

/// The program in the service's own PATH, or from its folder. `by_unit`: a unit executes it, which may be allowed
/// what is denied to the daemon, and says if it is not.
pub(super) fn find_program(
    name: &str,
    env: &BTreeMap<String, String>,
    cwd: &Path,
    by_unit: bool,
) -> Result<PathBuf, String> {
    if name.contains('/') {
        let path = cwd.join(name);
        if is_program(&path) || by_unit && may_be_program(&path) {
            return Ok(path);
        }
        return Err(format!("{}: {}", path.display(), no_program(&path)));
    }
    let dirs = env.get("PATH").map_or("", String::as_str).split(':').filter(|dir| dir.starts_with('/'));
    let all: Vec<PathBuf> = dirs.map(|dir| Path::new(dir).join(name)).collect();
    let unseen = || all.iter().find(|path| by_unit && may_be_program(path));
    let found = all.iter().find(|path| is_program(path)).or_else(unseen).cloned();
    found.ok_or_else(|| format!("{name}: there is no such program in the PATH of the service"))
}

/// Interpreters that take a word with an extension for a file, and nothing else; python does so of any word.
const OF_FILES: [&str; 6] = ["node", "bash", "sh", "perl", "ruby", "php"];

/// A script that is not there, where its interpreter is known to find none either: it would only fail, again and again.
fn check_script(argv: &[String], cwd: &Path) -> Result<(), String> {
    let [interpreter, script, ..] = argv else { return Ok(()) };
    let name = interpreter.rsplit('/').next().unwrap_or_default();
    let (path, python) = (cwd.join(script), name.starts_with("python"));
    // Shells look in the PATH too.
    let of_files = || path.extension().is_some() && (script.contains('/') || !name.ends_with("sh"));
    if script.starts_with('-') || !(python || OF_FILES.contains(&name) && of_files()) {
        return Ok(());
    }
    let is_missing = match fs::metadata(&path) {
        Ok(found) => python && found.is_dir() && !path.join("__main__.py").exists(),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    };
    if is_missing { Err(format!("{}: {}", path.display(), no_program(&path))) } else { Ok(()) }
}

/// Why a file is none that can be executed.
fn no_program(path: &Path) -> String {
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && path.is_symlink() => {
            let to = fs::read_link(path).unwrap_or_default();
            format!("it is a link to {}, which is not there", to.display())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => "there is no such file".to_owned(),
        Err(error) => error.to_string(),
        Ok(found) if found.is_dir() => "it is a folder".to_owned(),
        Ok(_) => "it may not be executed".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_looked_for_where_the_service_looks() {
        let env = |path: &str| BTreeMap::from([("PATH".to_owned(), path.to_owned())]);
        let find = |name: &str, path: &str| find_program(name, &env(path), Path::new("/usr"), false);
        assert_eq!(find("sh", "/nowhere:/bin"), Ok("/bin/sh".into()));
        assert_eq!(find("./bin/env", ""), Ok("/usr/./bin/env".into()));
        assert!(find("sh", "bin").unwrap_err().contains("no such program in the PATH of the service"));
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("python");
        std::os::unix::fs::symlink("/nowhere/python3", &link).unwrap();
        let why = find(&link.display().to_string(), "").unwrap_err();
        assert!(why.ends_with("python: it is a link to /nowhere/python3, which is not there"), "{why}");
        for (name, why) in [("/etc", "it is a folder"), ("/etc/passwd", "not be executed"), ("./x", "no such file")] {
            assert!(find(name, "/bin").unwrap_err().contains(why), "{name}");
        }
    }

    #[test]
    fn a_script_that_is_not_there_is_not_tried() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("there.py"), "").unwrap();
        fs::create_dir_all(dir.path().join("packed")).unwrap();
        fs::create_dir_all(dir.path().join("folder")).unwrap();
        fs::write(dir.path().join("packed/__main__.py"), "").unwrap();
        let check = |words: &str| check_script(&words.split(' ').map(str::to_owned).collect::<Vec<_>>(), dir.path());
        let good =
            "python3 there.py|/v/bin/python packed|python3 -m|node server|bash of-the-path.sh|uv run|deno a:b.ts";
        for words in good.split('|') {
            assert_eq!(check(words), Ok(()), "{words}");
        }
        for words in ["python3 nosuch.py", "/v/bin/python nosuch", "node x.js", "bash ./x.sh --flag"] {
            let why = check(words).unwrap_err();
            assert!(why.starts_with('/') && why.ends_with(": there is no such file"), "{why}");
        }
        assert!(check("python3 folder").unwrap_err().ends_with("folder: it is a folder"));
    }
}
