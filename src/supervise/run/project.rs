//! Config files: each is a project, whose services come and go with it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::Supervisor;
use super::service::Held;
use crate::config::{self, HttpOptions, OnStop};
use crate::gather::Gather as _;
use crate::model::ServiceId;
use crate::model::service::ServiceSpec;
use crate::registry::Removed;
use crate::supervise::Refusal;
use crate::supervise::changes::{Change, Known, Occasion, by_others, changes, in_two};
use crate::supervise::machine::Event;
use crate::supervise::watch::Subject;

/// What is known of a config file besides its services.
#[derive(Debug, Clone, Default)]
pub(super) struct Project {
    /// Names of processes that may be orphans.
    pub(super) orphans: Vec<String>,
    /// Whether it is watched.
    pub(super) watch: bool,
    /// Whether it is the daemon's own, which it takes over by itself.
    pub(super) own: bool,
    /// The files of variables that are watched for it.
    pub(super) env_files: BTreeSet<PathBuf>,
}

/// A file that was read, and is not taken over yet.
pub(super) struct Read {
    path: PathBuf,
    specs: Vec<ServiceSpec>,
    /// What it describes as well, and was removed by hand.
    removed: BTreeSet<ServiceId>,
    pub(super) project: Project,
    on_stop: Option<OnStop>,
    http: HttpOptions,
}

impl Supervisor {
    /// The services that the file describes.
    pub(super) fn load(
        &mut self,
        path: &Path,
        environment: BTreeMap<String, String>,
        occasion: Occasion,
    ) -> Result<Vec<ServiceId>, Refusal> {
        let absolute = config::edit::place_of(path).unwrap_or_else(|| path.to_owned());
        // Before it is read: what changes while it is read is noticed. One that is refused is
        // nobody's yet.
        let known = self.projects.contains_key(&absolute);
        self.watch_config(&absolute);
        let applied = self.read(path, pid_dir(&environment), occasion).and_then(|read| {
            let ids = read.specs.iter().map(|spec| spec.id.clone()).collect();
            self.apply(read, &environment, occasion)?;
            Ok(ids)
        });
        if applied.is_err() && !known {
            self.watcher.forget(&Subject::Config(absolute));
        }
        applied
    }

    /// All files that are known, again; what changed is applied at once.
    pub(super) fn reload_config(&mut self) -> Result<Vec<ServiceId>, Refusal> {
        let mut paths: BTreeSet<PathBuf> = self.projects.keys().cloned().gather();
        paths.extend(self.services.values().filter_map(|service| service.record().spec.project.clone()));
        let mut wrong = Vec::new();
        let mut all = Vec::new();
        for path in paths {
            match self.read_again(&path) {
                Ok(read) => all.push(read),
                Err(refusal) => wrong.push((path, refusal.to_string())),
            }
        }
        if !wrong.is_empty() {
            // It stays to be seen: whoever asked may be a program.
            wrong.iter().for_each(|(path, why)| self.config_is_wrong(path, why));
            let wrong: Vec<String> = wrong.into_iter().map(|(_, why)| why).collect();
            return Err(Refusal::Config(wrong.join("\n")));
        }
        let mut touched = Vec::new();
        for read in all {
            touched.extend(self.apply_again(read)?);
        }
        touched.extend(self.load_refused()?);
        Ok(touched)
    }

    /// The instance's own file, where it was refused: it is known only by what is wrong with it.
    fn load_refused(&mut self) -> Result<Vec<ServiceId>, Refusal> {
        let mut touched = Vec::new();
        let mut refused = self.shared.troubled();
        refused.retain(|path| !self.projects.contains_key(path));
        for path in refused {
            match self.load(&path, BTreeMap::new(), Occasion::Came) {
                Ok(ids) => touched.extend(ids),
                Err(_) if !path.try_exists().unwrap_or(true) => self.shared.is_dropped(&path),
                Err(refusal) => {
                    self.config_is_wrong(&path, &refusal.to_string());
                    return Err(Refusal::Config(refusal.to_string()));
                }
            }
        }
        Ok(touched)
    }

    /// One file that is known, again; what changed is applied at once.
    pub(super) fn reload_one(&mut self, path: &Path) -> Result<Vec<ServiceId>, Refusal> {
        let read = self.read_again(path)?;
        self.apply_again(read)
    }

    fn apply_again(&mut self, read: Read) -> Result<Vec<ServiceId>, Refusal> {
        let of_project = self.services.values().map(|service| service.record());
        let mut of_project = of_project.filter(|record| record.spec.project.as_ref() == Some(&read.path));
        let sent = of_project.find(|record| !record.environment.is_empty()).map(|record| record.environment.clone());
        drop(of_project);
        self.apply(read, &sent.unwrap_or_default(), Occasion::Changed)
    }

    pub(super) fn read_again(&self, path: &Path) -> Result<Read, Refusal> {
        let mut all = self.services.values();
        let known = all.find(|service| service.record().spec.project.as_deref() == Some(path));
        let pid_dir = known.and_then(|service| pid_dir(&service.record().environment));
        self.read(path, pid_dir, Occasion::Changed)
    }

    /// `pid_dir` comes before that of the file: somebody gave it for now. What was removed by hand comes back
    /// only where somebody asks for it.
    fn read(&self, path: &Path, pid_dir: Option<PathBuf>, occasion: Occasion) -> Result<Read, Refusal> {
        let found = config::load(path, &self.load_options()).map_err(|errors| Refusal::Config(errors.to_string()))?;
        for warning in &found.warnings {
            tracing::warn!("{warning}");
        }
        let removed = |spec: &ServiceSpec| occasion != Occasion::Asked && self.removed.has(&found.path, &spec.id);
        let (removed, mut specs): (Vec<_>, Vec<_>) = found.services.into_iter().partition(removed);
        if let Some(dir) = pid_dir.as_ref().or(found.paths.pid_dir.as_ref()) {
            specs.iter_mut().for_each(|spec| put_pid_file(spec, dir));
        }
        for spec in &specs {
            // A file that is gone was moved, and its services with it.
            let other = |theirs: &PathBuf| *theirs != found.path && theirs.try_exists().unwrap_or(true);
            // The name of instances is as good as an id: it must not mean two things.
            let named = |id| self.order.members(id).find_map(|member| self.project_of(member).filter(other));
            let theirs = |id| self.project_of(id).filter(other).or_else(|| named(id));
            let mut names = [Some(&spec.id), spec.group()].into_iter().flatten();
            if let Some((id, theirs)) = names.find_map(|id| Some((id, theirs(id)?))) {
                return Err(Refusal::Config(in_two(id, &found.path, &theirs)));
            }
            let service = self.services.get(&spec.id).filter(|service| service.record().spec.project.is_none());
            if service.is_some_and(|service| service.machine.is_alive() && !service.record().rebuilt) {
                let why = format!("{0} runs already, started by a command: stop it, or rename [service.{0}]", spec.id);
                return Err(Refusal::Failed(why));
            }
        }
        let watch = found.daemon.watch;
        let own = matches!(occasion, Occasion::Found | Occasion::Came);
        let own = own || self.projects.get(&found.path).is_some_and(|project| project.own);
        let project = Project { orphans: found.orphans.names, watch, own, env_files: BTreeSet::new() };
        let removed = removed.into_iter().map(|spec| spec.id).collect();
        Ok(Read { path: found.path, specs, removed, project, on_stop: found.daemon.on_stop, http: found.http })
    }

    /// Files that are gone and describe nothing any more are forgotten.
    fn drop_moved(&mut self) {
        let describes = |path: &PathBuf| self.services.keys().any(|id| self.project_of(id).as_ref() == Some(path));
        let moved = self.projects.keys().filter(|path| !path.try_exists().unwrap_or(true) && !describes(path));
        for path in moved.cloned().collect::<Vec<_>>() {
            self.watch_env_files(&path, false, &self.projects[&path].env_files.clone());
            self.shared.is_dropped(&path);
            self.projects.remove(&path);
        }
    }

    /// These are removed by hand. Written down before anything is done to them.
    pub(super) fn note_removed(&mut self, ids: &BTreeSet<ServiceId>) -> Result<(), Refusal> {
        let mut removed = self.removed.clone();
        for id in ids {
            if let Some(project) = self.project_of(id) {
                removed.add(project, id.clone());
            }
        }
        self.keep_removed(removed)
    }

    fn keep_removed(&mut self, removed: Removed) -> Result<(), Refusal> {
        if removed != self.removed {
            self.store.save_removed(&removed).map_err(|error| Refusal::Failed(error.to_string()))?;
            self.removed = removed;
        }
        Ok(())
    }

    /// A file of which nothing is left, because all was removed by hand, is nobody's any more; but for the
    /// daemon's own, which the next one would take over again.
    pub(super) fn drop_removed(&mut self, path: &Path) {
        let describes = self.services.values().any(|service| service.record().spec.project.as_deref() == Some(path));
        if describes || self.projects.get(path).is_some_and(|project| project.own) {
            return;
        }
        if let Some(project) = self.projects.remove(path) {
            self.watch_env_files(path, false, &project.env_files);
        }
        self.shared.is_dropped(path);
        let mut removed = self.removed.clone();
        removed.set(path, BTreeSet::new());
        if let Err(refusal) = self.keep_removed(removed) {
            tracing::warn!("{refusal}");
        }
    }

    pub(super) fn project_of(&self, id: &ServiceId) -> Option<PathBuf> {
        self.services.get(id)?.record().spec.project.clone()
    }

    /// Takes a file over, and does what that comes to: what `config diff` shows. The services that it
    /// is another thing for.
    fn apply(
        &mut self,
        read: Read,
        environment: &BTreeMap<String, String>,
        occasion: Occasion,
    ) -> Result<Vec<ServiceId>, Refusal> {
        let (changes, by_others) = self.changes(&read, occasion);
        let starts = changes.iter().filter(|(_, change)| matches!(change, Change::Added { starts: true }));
        self.put(read.specs, environment, &starts.map(|(id, _)| id.clone()).collect())?;
        if matches!(occasion, Occasion::Asked | Occasion::Found) {
            // They are not restarted by this.
            by_others.iter().for_each(|id| self.note_stale(id));
        }
        for id in &read.removed {
            tracing::info!(
                "{id} was removed by hand, and is left out: provost up of {} asks for it",
                read.path.display()
            );
        }
        let mut removed = self.removed.clone();
        removed.set(&read.path, read.removed);
        self.keep_removed(removed)?;
        let before = self.projects.get(&read.path).map(|project| project.env_files.clone()).unwrap_or_default();
        if read.project.watch {
            self.watch_config(&read.path);
        }
        let env_files = self.watch_env_files(&read.path, read.project.watch, &before);
        self.shared.is_taken_over(&read.path, read.on_stop, read.http);
        self.projects.insert(read.path, Project { env_files, ..read.project });
        self.carry_out_changes(&changes);
        self.drop_moved();
        Ok(changes.into_keys().collect())
    }

    /// What runs is not what its description comes to.
    pub(super) fn note_stale(&mut self, id: &ServiceId) {
        if let Some(service) = self.services.get_mut(id).filter(|service| !service.record().stale) {
            service.record_mut().stale = true;
            service.touch(true);
            self.unsaved.insert(id.clone());
        }
    }

    /// With those that run by what others have no longer.
    fn changes(&self, read: &Read, occasion: Occasion) -> (BTreeMap<ServiceId, Change>, BTreeSet<ServiceId>) {
        // What is being removed is nothing that a description would change: it is new again.
        let stay = self.services.values().filter(|service| !service.removing);
        let records: Vec<_> = stay.map(|service| (service, service.record())).collect();
        let known = records.iter().map(|(service, record)| {
            let up = service.machine.is_already_so(&Event::Start) && service.held != Some(Held::Stop);
            (record.id.clone(), Known { record, alive: service.machine.is_alive(), up })
        });
        let known = known.gather();
        let by_others = by_others(&known, &read.specs).into_keys().gather();
        (changes(&known, &read.path, &read.specs, occasion), by_others)
    }
}

/// All pid files of a project are in one folder.
pub(crate) fn put_pid_file(spec: &mut ServiceSpec, dir: &Path) {
    let name = spec.pid_file.take().unwrap_or_else(|| format!("{}.pid", spec.id).into());
    spec.pid_file = Some(dir.join(name));
}

/// The folder of `up --pid-dir`.
pub(crate) fn pid_dir(environment: &BTreeMap<String, String>) -> Option<PathBuf> {
    environment.get(crate::services::PID_DIR).map(PathBuf::from).filter(|dir| dir.is_absolute())
}
