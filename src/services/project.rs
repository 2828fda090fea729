//! Which config is meant, and which of its services.

use std::path::{Path, PathBuf};

use crate::config::{self, LoadOptions, Project};
use crate::error::Error;
use crate::model::Instance;
use crate::model::ServiceId;
use crate::model::service::ServiceSpec;
use crate::paths::Places;
use crate::registry::Store;
use crate::supervise::changes::enabled;

/// Who chooses a config.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Choice<'a> {
    /// The one that was named.
    pub(crate) named: Option<&'a Path>,
    /// Whose services.
    pub(crate) instance: Instance,
    /// The caller.
    pub(crate) uid: u32,
}

/// The config file: the one that was named, else one found upwards from here, else the caller's
/// own. `None` if there is none.
pub(crate) fn choose(choice: Choice<'_>) -> Result<Option<PathBuf>, Error> {
    let here = std::env::current_dir()
        .map_err(|source| Error::Io { what: "the current folder cannot be read".to_owned(), source })?;
    if let Some(named) = choice.named {
        // The daemon's folder is another.
        return Ok(Some(placed(here.join(named))));
    }
    let system = choice.instance == Instance::System;
    // Not what root usually means: that is the system's, which would run a second time.
    let own = Places::of(choice.instance, choice.uid).map(|places| places.config);
    // One that somebody put in a folder above must not run programs as root.
    let upwards = choice.uid != 0 && !system;
    Ok(config::find(&here, own.as_deref(), choice.uid, upwards)?.map(placed))
}

/// The path by which the daemon knows it: no link in its folder.
fn placed(path: PathBuf) -> PathBuf {
    match (path.parent().map(std::fs::canonicalize), path.file_name()) {
        (Some(Ok(folder)), Some(name)) => folder.join(name),
        _ => path,
    }
}

/// Reads a config.
pub(crate) fn load(path: &Path, choice: Choice<'_>) -> Result<Project, Error> {
    let system = choice.instance == Instance::System;
    let home = if system { None } else { crate::paths::home(choice.uid) };
    let mut project = config::load(path, &LoadOptions { system, home })?;
    let places = Places::of(choice.instance, choice.uid);
    let unheard = places.as_ref().and_then(|places| config::unheard(&project, &places.config));
    project.warnings.extend(unheard);
    if let Some(store) = places.as_ref().map(Store::at) {
        for spec in &mut project.services {
            // What `enable` and `disable` said of it counts for whoever starts what is enabled.
            let known = store.one(&spec.id).filter(|old| old.spec.project.as_ref() == Some(&project.path));
            spec.enabled = known.map_or(spec.enabled, |old| enabled(&old, spec));
        }
    }
    Ok(project)
}

/// The services of a project that are meant by ids, ids of `instances` and globs; none means all
/// that are enabled.
pub(crate) fn selected(project: &Project, ids: &[ServiceId]) -> Result<Vec<ServiceId>, Error> {
    if ids.is_empty() {
        return Ok(project.services.iter().filter(|s| s.enabled).map(|s| s.id.clone()).collect());
    }
    let mut all: Vec<ServiceId> = Vec::new();
    for id in ids {
        let found = project.services.iter().filter(|spec| means(id, spec)).map(|spec| spec.id.clone());
        let found: Vec<ServiceId> = found.collect();
        if found.is_empty() {
            let what = format!("{} describes no service {id}", project.path.display());
            return Err(Error::NotFound { what, nearest: nearest(id, &project.services) });
        }
        all.extend(found);
    }
    let mut seen = std::collections::BTreeSet::new();
    all.retain(|id| seen.insert(id.clone()));
    Ok(all)
}

fn means(id: &ServiceId, spec: &ServiceSpec) -> bool {
    super::matches(id, &spec.id) || spec.instance_of.as_ref().is_some_and(|(of, _)| super::matches(id, of))
}

fn nearest(id: &ServiceId, services: &[ServiceSpec]) -> Vec<String> {
    let near = |spec: &&ServiceSpec| strsim::jaro_winkler(id.as_str(), spec.id.as_str()) > 0.8;
    services.iter().filter(near).take(3).map(|spec| spec.id.to_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(project: &Project, words: &[&str]) -> Result<Vec<String>, Error> {
        let ids: Vec<ServiceId> = words.iter().map(|w| w.parse().unwrap()).collect();
        Ok(selected(project, &ids)?.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn ids_instances_and_globs() {
        let text = "[service.web]\ncommand = ['x']\ninstances = 2\n[service.db]\ncommand = ['x']\nenabled = false\n";
        let path = Path::new("/p/provost.toml");
        let project = config::parse(path, path, text, &LoadOptions::default()).unwrap();
        assert_eq!(ids(&project, &[]).unwrap(), ["web-1", "web-2"]);
        assert_eq!(ids(&project, &["web"]).unwrap(), ["web-1", "web-2"]);
        assert_eq!(ids(&project, &["d*", "web-2", "db"]).unwrap(), ["db", "web-2"]);
        let error = ids(&project, &["wep-1"]).unwrap_err();
        assert_eq!(error.exit_code(), 5);
        assert!(error.to_string().contains("near it: web-1"), "{error}");
    }
}
