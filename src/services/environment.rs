//! What of the caller's environment goes along with `up`, `run` and `ensure`.

use std::collections::BTreeMap;

use crate::config::environment_names;
use crate::model::service::ServiceSpec;
use crate::observe::env;

/// Sent along whatever the config names: without them, what works in a shell is not found.
const ALWAYS: [&str; 2] = ["PATH", "VIRTUAL_ENV"];

/// The folder of pid files, where `up --pid-dir` names one.
pub(crate) const PID_DIR: &str = "PROVOST_PID_DIR";

/// Set where `up --dev` is to restart services when what they are made of changes.
pub(crate) const DEV: &str = "PROVOST_DEV";

/// What these services need of the caller's environment, and nothing else of it.
pub(crate) fn sent_along(services: &[ServiceSpec]) -> BTreeMap<String, String> {
    environment(ALWAYS.into_iter().map(str::to_owned).chain(environment_names(services)), env)
}

/// The named ones that are set.
fn environment(
    names: impl IntoIterator<Item = String>,
    lookup: impl Fn(&str) -> Option<String>,
) -> BTreeMap<String, String> {
    names.into_iter().filter_map(|name| Some((name.clone(), lookup(&name)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_named_is_sent() {
        let mut spec = ServiceSpec::new("a".parse().unwrap(), vec!["x".to_owned(), "${KEY}".to_owned()], "/".into());
        spec.env.insert("TOKEN".to_owned(), "${HF_TOKEN:-none}".to_owned());
        let names = ALWAYS.into_iter().map(str::to_owned).chain(environment_names(&[spec]));
        let sent = environment(names, |name| (name != "VIRTUAL_ENV").then(|| format!("of {name}")));
        assert_eq!(sent.into_keys().collect::<Vec<_>>(), ["HF_TOKEN", "KEY", "PATH"]);
    }
}
