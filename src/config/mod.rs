//! The config file: as it is written -> validated services.
//!
//! One flow for three formats: `read` makes a tree with places of the text, `check` walks it
//! beside the table in `keys`, `merge` puts `[defaults]` under each service, `build` makes
//! [`ServiceSpec`]s of that and looks at what concerns several of them. All of it is pure; files
//! are read in `file` and looked for in [`find`]. What is replaced at each start is in [`resolve`].

mod build;
mod check;
pub(crate) mod edit;
mod env_file;
mod errors;
mod file;
mod find;
pub(crate) mod import;
mod keys;
mod kinds;
mod merge;
mod names;
mod read;
mod resolve;
mod schema;
mod tree;
mod trust;
mod written;

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub(crate) use env_file::all as env_variables;
pub use errors::{Errors, Problem};
pub(crate) use file::read_env_file;
pub use find::find;
pub(crate) use find::{passed_over, unheard};
pub use names::environment_names;
pub(crate) use names::of_others;
pub use resolve::{Reached, Resolved, Surroundings, resolve};
pub use schema::schema;
pub(crate) use trust::distrusted_folder;
pub(crate) use written::toml as written_toml;
pub use written::written;

use crate::model::Malformed;
use crate::model::service::ServiceSpec;

/// Who reads a config.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// The system instance: `user` is taken.
    pub system: bool,
    /// What `~/` stands for; `None`: nothing.
    pub home: Option<PathBuf>,
}

/// One config file, validated.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Project {
    /// The file, absolute.
    pub path: PathBuf,
    /// Its services in the order of the file, merged with the defaults; of `instances` each one.
    pub services: Vec<ServiceSpec>,
    /// `[daemon]`.
    pub daemon: DaemonOptions,
    /// `[paths]`.
    pub paths: PathOptions,
    /// `[orphans]`.
    pub orphans: OrphanOptions,
    /// `[http]`.
    pub http: HttpOptions,
    /// What is allowed, and probably not meant.
    pub warnings: Vec<Problem>,
}

/// `[daemon]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DaemonOptions {
    /// Whether a change of the file is applied by itself.
    #[serde(skip_serializing_if = "is_true")]
    pub watch: bool,
    /// What becomes of services when a signal ends the daemon; `None`: those of the systemd backend are
    /// kept, and others stopped.
    pub on_stop: Option<OnStop>,
}

impl Default for DaemonOptions {
    fn default() -> Self {
        Self { watch: true, on_stop: None }
    }
}

fn is_true(flag: &bool) -> bool {
    *flag
}

/// What becomes of services when a signal ends the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnStop {
    /// They run on.
    Keep,
    /// They are stopped, in order.
    Stop,
}

/// `[paths]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PathOptions {
    /// The folder of the pid files, absolute.
    pub pid_dir: Option<PathBuf>,
}

/// `[orphans]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OrphanOptions {
    /// Names of processes that may be orphans.
    #[serde(rename = "match")]
    pub names: Vec<String>,
}

/// `[http]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HttpOptions {
    /// The address; `None`: only the socket.
    pub listen: Option<std::net::SocketAddr>,
    /// Other hosts may reach it.
    pub allow_remote: bool,
    /// Its certificate.
    pub tls: Option<TlsFiles>,
    /// Names by which clients call it.
    pub hosts: Vec<String>,
    /// Origins of web pages that may call it.
    pub origins: Vec<String>,
}

/// `http.tls`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsFiles {
    /// The certificate and those that signed it, PEM, absolute.
    pub cert: PathBuf,
    /// Its private key, PEM, absolute.
    pub key: PathBuf,
}

/// Reads and validates a file.
///
/// # Errors
/// All that is wrong in it, or that it cannot be read.
pub fn load(path: &Path, options: &LoadOptions) -> Result<Project, Errors> {
    let text = file::read(path, options.system)?;
    let absolute = file::absolute(path)?;
    // One format of another's is run as it is.
    if let Some(project) = import::as_it_is(path, &absolute, &text, options) {
        return project;
    }
    parse(path, &absolute, &text, options).map_err(|errors| match import::hint(path, &text) {
        Some(hint) => Problem::of_file(path, hint).into(),
        None => errors,
    })
}

/// Makes a config of ours of a file of another supervisor's; relative paths stay so where the new
/// file, of this path, stands in the same folder.
///
/// # Errors
/// It cannot be read, or is of no format that is known.
pub(crate) fn import_file(
    path: &Path,
    from: Option<import::Format>,
    new: &Path,
    options: &LoadOptions,
) -> Result<import::Imported, Errors> {
    let text = file::read(path, false)?;
    let absolute = file::absolute(path)?;
    let beside = file::absolute(new).is_ok_and(|new| new.parent() == absolute.parent());
    let files = &import::Host;
    import::import(&import::Import { shown: path, path: &absolute, text: &text, from, beside, options, files })
}

/// Validates a text. `shown` is the path in messages and says the format; relative paths begin at
/// the folder of `absolute`.
///
/// # Errors
/// All that is wrong in it.
pub fn parse(shown: &Path, absolute: &Path, text: &str, options: &LoadOptions) -> Result<Project, Errors> {
    let wrong = |message: &str| Err(Errors::from(Problem::of_file(shown, message)));
    let Some(format) = read::Format::of(shown) else {
        return wrong("its format is told by its name: .toml, .yaml, .yml or .json");
    };
    const EMPTY: &str = "it is empty: describe a service, such as [service.web] with command = [\"program\"]";
    if text.trim().is_empty() {
        return wrong(EMPTY);
    }
    let (tree, mut faults) = read::read(format, text);
    let Some(tree) = tree else {
        return Err(Errors(errors::located(shown, text, faults)));
    };
    let empty = match &tree.data {
        tree::Data::Table(entries) => entries.is_empty(),
        tree::Data::Null => true,
        _ => return wrong("it is no table: a config has keys such as service, defaults and daemon"),
    };
    if shown.to_str().is_none() || absolute.to_str().is_none() {
        return wrong("its path is not UTF-8");
    }
    if empty && faults.is_empty() {
        return wrong(EMPTY);
    }
    let rules = check::Rules { system: options.system, home: options.home.as_deref() };
    let checked = check::check(&tree, keys::FILE, rules);
    let kinds = match uses_kinds(&checked.value) {
        true => kinds::Kinds::all(options)?,
        false => kinds::Kinds::default(),
    };
    let mut built = build::build(&checked, absolute, &kinds, options.system);
    faults.extend(checked.faults);
    faults.append(&mut built.faults);
    if !faults.is_empty() {
        return Err(Errors(errors::located(shown, text, faults)));
    }
    built.project.warnings = errors::located(shown, text, built.warnings);
    Ok(built.project)
}

/// Whether anything of a file is of a kind.
fn uses_kinds(file: &serde_json::Map<String, Value>) -> bool {
    let services = file.get("service").and_then(Value::as_object);
    let all = services.into_iter().flat_map(|services| services.values()).chain(file.get("defaults"));
    all.into_iter().any(|keys| keys.get("kind").is_some())
}

/// Whether a unit may be given this property; `value` is a string, a number, a boolean, or a list
/// of these.
///
/// # Errors
/// That there is no such property, or what it takes.
pub fn check_property(name: &str, value: &Value) -> Result<(), Malformed> {
    crate::backend::systemd::properties::check(name, value)
}
