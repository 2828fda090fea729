//! What follows when files change: a config is applied, a service reads its own again, or is started
//! anew.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use tokio::time::Instant;

use super::Supervisor;
use crate::config;
use crate::gather::Gather as _;
use crate::model::service::{EventKind, ServiceState};
use crate::model::{Instance, ServiceId};
use crate::services::DEV;
use crate::supervise::Refusal;
use crate::supervise::changes::Occasion;
use crate::supervise::watch::{Sources, Subject};

impl Supervisor {
    /// What was watched is quiet again, and not as it was.
    pub(super) fn files_changed(&mut self) {
        let changed = self.watcher.take(Instant::now());
        // What ends is not begun again. It is taken all the same: what stays due would be due for ever.
        if self.finishing.is_some() {
            return;
        }
        for subject in changed {
            match subject {
                Subject::Config(path) => self.config_changed(&path),
                Subject::Own => self.own_config_changed(),
                Subject::EnvFile(path) => self.env_file_changed(&path),
                Subject::Reads(id) => {
                    tracing::info!("{id}: its configuration changed");
                    self.reload_changed(&id);
                }
                Subject::Sources(id) => self.sources_changed(&id),
            }
        }
        self.tell_trouble();
    }

    fn tell_trouble(&mut self) {
        if let Some(why) = self.watcher.trouble() {
            tracing::warn!("not every change of files is noticed: {why}");
        }
    }

    /// A config file is not what it was.
    fn config_changed(&mut self, path: &Path) {
        match self.reload_one(path) {
            Ok(touched) if touched.is_empty() => tracing::info!("{}: nothing in it changed", path.display()),
            Ok(touched) => tracing::info!("{} was read again; services changed: {}", path.display(), touched.len()),
            Err(refusal) => self.config_is_wrong(path, &refusal.to_string()),
        }
    }

    /// It changes nothing: that is logged, told of the services that it speaks of, and kept to be shown.
    pub(super) fn config_is_wrong(&mut self, path: &Path, why: &str) {
        tracing::error!("{why}\n{} is not applied: services go on by what it was", path.display());
        let told = self.shared.note_trouble(path, why, self.places.instance == Instance::System);
        let of_project = |id: &&ServiceId| self.project_of(id).as_deref() == Some(path);
        let all: BTreeSet<ServiceId> = self.services.keys().filter(of_project).cloned().gather();
        for (line, told) in why.lines().zip(told.lines()).take(10) {
            // The one that the line names, or else the first: an event is of a service.
            let names = |id: &&ServiceId| {
                line.contains(&format!(" service.{id}.")) || line.contains(&format!(" service.{id}:"))
            };
            if let Some(id) = all.iter().find(names).or(all.first()) {
                self.say(&id.clone(), EventKind::Warning, format!("the config is not applied: {told}"));
            }
        }
    }

    /// Watches a config file with the variables of its services; before it is read, so that no change
    /// is lost.
    pub(super) fn watch_config(&mut self, path: &Path) {
        let subject = Subject::Config(path.to_owned());
        match self.watcher.has(&subject) {
            true => self.watcher.is_known(&subject),
            false => self.watcher.files(subject, vec![path.to_owned()]),
        }
        self.tell_trouble();
    }

    /// The same for the files of variables, and for a config that is not to be watched.
    pub(super) fn watch_env_files(
        &mut self,
        path: &Path,
        watch: bool,
        before: &BTreeSet<PathBuf>,
    ) -> BTreeSet<PathBuf> {
        let of_project =
            self.services.values().filter(|service| service.record().spec.project.as_deref() == Some(path));
        let files = of_project.filter_map(|service| service.record().spec.env_file.clone());
        let plain = |path: &PathBuf| path.is_absolute() && !path.to_string_lossy().contains("${");
        let files: BTreeSet<PathBuf> = files.filter(plain).filter(|_| watch).gather();
        for gone in before.difference(&files) {
            self.watcher.forget(&Subject::EnvFile(gone.clone()));
        }
        for file in &files {
            self.watcher.files(Subject::EnvFile(file.clone()), vec![file.clone()]);
        }
        if !watch {
            self.watcher.forget(&Subject::Config(path.to_owned()));
        }
        files
    }

    fn env_file_changed(&mut self, path: &Path) {
        let reads = |id: &&ServiceId| {
            let service = self.services.get(*id).filter(|service| service.machine.is_alive());
            // What was stopped by hand, and may still be stopping, stays so.
            self.is_wanted(id) && service.is_some_and(|s| s.record().spec.env_file.as_deref() == Some(path))
        };
        let named: BTreeSet<ServiceId> = self.services.keys().filter(reads).cloned().gather();
        let mut good = BTreeSet::new();
        for id in named {
            match self.can_start_again(&id) {
                Err(why) => {
                    self.say(&id, EventKind::Warning, format!("its env_file changed: it {why}"));
                }
                Ok(()) => {
                    self.say(&id, EventKind::Changed, "its env_file changed: it is started anew".to_owned());
                    good.insert(id);
                }
            }
        }
        self.restart_all(&good);
    }

    fn sources_changed(&mut self, id: &ServiceId) {
        let Some(service) = self.services.get(id) else { return };
        let failed = service.machine.state() == ServiceState::Failed;
        if self.is_wanted(id) || failed {
            self.say(id, EventKind::Changed, "what it is made of changed: it is started anew".to_owned());
            self.restart_all(&BTreeSet::from([id.clone()]));
        }
    }

    /// Watches what a service reads and is made of, for as long as it is to run.
    pub(super) fn note_watches(&mut self, id: &ServiceId) {
        let Some(service) = self.services.get(id) else { return };
        let record = service.record();
        let dev = record.environment.contains_key(DEV);
        let spec = &record.spec;
        let any = spec.config_file.is_some() || !spec.reload_on.is_empty() || spec.watch.is_some() || dev;
        let wanted =
            service.machine.is_alive() || matches!(service.machine.state(), ServiceState::Failed | ServiceState::Done);
        // What is about to be started again is watched on.
        if service.watched == (any && wanted) || service.machine.next_start().is_some() && service.watched {
            return;
        }
        // One whose variables cannot be replaced cannot start either, and that is said.
        let resolved = (any && wanted).then(|| self.resolve(&record).ok()).flatten();
        let spec = spec.clone();
        drop(record);
        if let Some(service) = self.services.get_mut(id) {
            service.watched = resolved.is_some();
        }
        let Some(resolved) = resolved else { return self.unwatch(id) };
        let subject = Subject::Reads(id.clone());
        let reads: Vec<PathBuf> =
            resolved.config_file.map(PathBuf::from).into_iter().chain(resolved.reload_on).collect();
        match reads.is_empty() {
            true => self.watcher.forget(&subject),
            false => self.watcher.files(subject, reads),
        }
        let subject = Subject::Sources(id.clone());
        match spec.watch.or_else(|| dev.then(Default::default)) {
            None => self.watcher.forget(&subject),
            Some(watch) => {
                let roots = if resolved.watched.is_empty() { vec![resolved.cwd] } else { resolved.watched };
                let roots = roots.into_iter().map(|root| root.canonicalize().unwrap_or(root)).collect();
                self.watcher.sources(subject, Sources::new(roots, watch.ignore, watch.debounce.0));
            }
        }
        self.tell_trouble();
    }

    pub(super) fn unwatch(&mut self, id: &ServiceId) {
        self.watcher.forget(&Subject::Reads(id.clone()));
        self.watcher.forget(&Subject::Sources(id.clone()));
    }

    /// What earlier daemons have left is watched as it is now.
    pub(super) fn watch_recovered(&mut self) {
        let paths: BTreeSet<PathBuf> =
            self.services.values().filter_map(|service| service.record().spec.project.clone()).gather();
        for path in paths {
            let read = self.read_again(&path).map(|read| read.project.watch);
            // One that is wrong now is watched: it may be put right. Who asks this daemon is to learn of it too.
            let watch = *read.as_ref().unwrap_or(&true);
            if let Err(refusal) = read {
                self.config_is_wrong(&path, &refusal.to_string());
            }
            if watch {
                self.watch_config(&path);
            }
            let env_files = self.watch_env_files(&path, watch, &BTreeSet::new());
            self.projects.entry(path).or_default().env_files = env_files;
        }
    }

    pub(super) fn load_options(&self) -> config::LoadOptions {
        config::LoadOptions {
            system: self.places.instance == Instance::System,
            home: self.environment.get("HOME").map(PathBuf::from),
        }
    }

    /// Follows the config of the instance: it may come, or be put right.
    pub(super) fn follow_own(&mut self, folder: PathBuf) -> Result<(), Refusal> {
        let files = ["provost.toml", "provost.yaml", "provost.yml", "provost.json"].map(|name| folder.join(name));
        self.watcher.files(Subject::Own, files.into());
        self.own_config = Some(folder);
        self.tell_trouble();
        Ok(())
    }

    fn own_config_changed(&mut self) {
        let found = config::find("/".as_ref(), self.own_config.as_deref(), self.places.uid, false);
        // One that is known is watched by itself.
        let Ok(Some(path)) = found else { return };
        let known = |path: &Path| self.watcher.has(&Subject::Config(path.to_owned()));
        if known(&path) || path.canonicalize().is_ok_and(|path| known(&path)) {
            return;
        }
        match self.load(&path, BTreeMap::new(), Occasion::Came) {
            Ok(_) => tracing::info!("{} is the config from now on", path.display()),
            Err(refusal) => self.config_is_wrong(&path, &refusal.to_string()),
        }
    }
}
