//! Becoming root for the system's install: by sudo or pkexec, which ask for the password.

use std::process::ExitCode;

use super::manager::system_program;
use crate::act::ActError;
use crate::error::Error;
use crate::polkit::Agent;

/// Of what root runs.
pub(super) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What the one that asks for the password may need: the terminal, and the language.
const PASSED: [&str; 4] = ["TERM", "LANG", "LC_ALL", "LC_MESSAGES"];

/// Runs this program with these words as root, and returns its exit code. Nothing of the
/// environment goes along but a terminal's name and the language: neither libraries, nor a PATH, nor
/// the address of a bus. `tell` hears what is run before it is.
///
/// # Errors
/// There is no way to become root here.
pub(crate) async fn escalate(words: &[String], ask: bool, tell: impl FnOnce(&str)) -> Result<ExitCode, Error> {
    let own = crate::control::own_program()?;
    let terminal = std::fs::OpenOptions::new().read(true).write(true).open("/dev/tty").is_ok();
    let desktop = ["WAYLAND_DISPLAY", "DISPLAY"].iter().any(|name| crate::observe::env(name).is_some());
    let (program, before) = match (system_program("sudo"), system_program("pkexec")) {
        (Some(sudo), _) if !ask => (sudo, vec!["-n"]),
        (Some(sudo), _) if terminal => (sudo, Vec::new()),
        (_, Some(pkexec)) if ask && desktop => (pkexec, Vec::new()),
        // Its own agent fails outside of a session.
        (_, Some(pkexec)) if ask && terminal => (pkexec, vec!["--disable-internal-agent"]),
        _ => {
            let line = std::iter::once(&own).chain(words).map(|word| crate::text::shell_quote(word));
            let line = line.collect::<Vec<String>>().join(" ");
            let why = format!("this needs root, and there is nobody here to ask for a password; as root: {line}");
            return Err(Error::Act(ActError::NotPermitted(why)));
        }
    };
    let shown: Vec<String> = [program.display().to_string()]
        .into_iter()
        .chain(before.iter().map(ToString::to_string))
        .chain([own.clone()])
        .chain(words.iter().cloned())
        .map(|word| crate::text::shell_quote(&word))
        .collect();
    tell(&format!("this needs root: {}", shown.join(" ")));
    #[expect(clippy::disallowed_methods, reason = "how one becomes root; by its full path")]
    let mut command = tokio::process::Command::new(&program);
    let passed = PASSED.iter().filter_map(|name| Some((*name, crate::observe::env(name)?)));
    let variables: Vec<(&str, String)> = passed.chain([("PATH", PATH.to_owned())]).collect();
    let agent = match system_program("pkttyagent") {
        Some(agent) if before.contains(&"--disable-internal-agent") => {
            let agent = Agent::start_alone(&agent, &variables).await;
            Some(agent.map_err(|error| Error::Act(ActError::Failed(error.to_string())))?)
        }
        _ => None,
    };
    command.args(before).arg(own).args(words).env_clear().envs(variables);
    let status = command.status().await;
    if let Some(agent) = agent {
        agent.end().await;
    }
    let status = status.map_err(|source| Error::Io { what: program.display().to_string(), source })?;
    Ok(match status.code() {
        // How pkexec says that no password was given, or that it was wrong.
        Some(126 | 127) if program.ends_with("pkexec") => ExitCode::from(4),
        Some(code) => ExitCode::from(u8::try_from(code).unwrap_or(1)),
        None => ExitCode::from(1),
    })
}
