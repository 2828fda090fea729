//! What is to be started: backend, port, variables, program, socket. All of it is found out anew
//! at each start.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::program::{check_script, find_program, is_denied};
use super::service::{Checked, Prepared};
use super::{Done, Supervisor};
use crate::backend::{AwaitRoom, Launch, Room, StartError, stale_socket};
use crate::config::{Resolved, Surroundings};
use crate::model::service::{BackendKind, Check, Program, ServiceState};
use crate::model::{Instance, ServiceId};
use crate::registry::Record;
use crate::supervise::machine::{Event, Machine};
use crate::supervise::pid_file;

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
