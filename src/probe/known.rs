//! Servers that are known by name: the table in `known.toml`, and the user's own entries before it.

use super::outcome::contains;
use super::recognise;
use super::settings::Settings;
use crate::model::Process;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::text::clip;

/// The servers that are known, the user's before the built-in ones.
#[derive(Debug, Clone)]
pub struct Known {
    servers: Vec<Server>,
}

/// A file of servers that is not as it must be.
#[derive(Debug, thiserror::Error)]
#[error("{}:{line}: {what}", path.display())]
pub struct KnownError {
    /// The file.
    pub path: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong, with the key.
    pub what: String,
}

/// One known server. The keys are explained in `known.toml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "explained beside the data")]
pub struct Server {
    pub name: String,
    #[serde(default)]
    pub aliases: Vec<String>,
    #[serde(default, rename = "match")]
    pub matches: Vec<Match>,
    pub port: u16,
    #[serde(default)]
    pub port_options: Vec<String>,
    #[serde(default)]
    pub host_options: Vec<String>,
    #[serde(default)]
    pub address_options: Vec<String>,
    #[serde(default)]
    pub prefix_options: Vec<String>,
    #[serde(default)]
    pub tls_options: Vec<String>,
    #[serde(default)]
    pub port_env: Vec<String>,
    #[serde(default)]
    pub host_env: Vec<String>,
    #[serde(default)]
    pub address_env: Vec<String>,
    #[serde(default)]
    pub prefix_env: Vec<String>,
    #[serde(default)]
    pub health: Vec<String>,
    #[serde(default)]
    pub starting: Vec<Starting>,
    #[serde(default)]
    pub opens_late: bool,
    #[serde(default)]
    pub models: Vec<Models>,
}

/// What makes a process a server: every key that is there must hold.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "explained beside the data")]
pub struct Match {
    pub program: Option<String>,
    #[serde(default)]
    pub args: Vec<String>,
    pub text: Option<String>,
    pub port: Option<u16>,
}

/// An answer that means "not ready yet".
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "explained beside the data")]
pub struct Starting {
    pub status: u16,
    pub body: Option<String>,
}

impl Starting {
    /// Whether it is this answer.
    pub(super) fn means(&self, status: u16, body: &[u8]) -> bool {
        self.status == status && self.body.as_ref().is_none_or(|part| contains(body, part.as_bytes()))
    }
}

/// Where a server lists its models.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "explained beside the data")]
pub struct Models {
    pub path: String,
    pub names: String,
    #[serde(default)]
    pub loaded: bool,
    pub loaded_if: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    server: Vec<toml::Spanned<Server>>,
}

impl Known {
    /// The built-in table.
    pub fn builtin() -> Self {
        // A test reads it, so that this cannot fail where it is built; without it nothing is known.
        let servers = read(Path::new("known.toml"), include_str!("known.toml")).unwrap_or_default();
        Self { servers }
    }

    /// Whether any of them means "not ready yet" by this answer: by its body, for a status alone says
    /// nothing where it is not known which server it is.
    pub(super) fn says_loading(&self, status: u16, body: &[u8]) -> bool {
        let starting = self.servers.iter().flat_map(|server| &server.starting);
        let mut known = starting.filter(|starting| starting.body.is_some());
        known.any(|starting| starting.means(status, body))
    }

    /// Adds the entries of a user's file before all others: the last file added wins.
    ///
    /// # Errors
    /// Names the file, the line and the key that is wrong.
    pub fn with_user(mut self, path: &Path, text: &str) -> Result<Self, KnownError> {
        let mut servers = read(path, text)?;
        servers.append(&mut self.servers);
        Ok(Self { servers })
    }

    /// All of them, in the order in which they are tried.
    pub fn servers(&self) -> &[Server] {
        &self.servers
    }

    /// Whether a process that runs this command line is a known server.
    pub(crate) fn recognises(&self, cmdline: &[String]) -> bool {
        recognise::recognise(self, &Process::of_command(cmdline), &[]).is_some()
    }

    /// The port on which a known server, started by this command line, would listen.
    pub(crate) fn port_of(&self, cmdline: &[String]) -> Option<u16> {
        let process = Process::of_command(cmdline);
        let server = recognise::recognise(self, &process, &[])?;
        Some(Settings::new(server, Some(&process), None).port())
    }

    /// The server of this name or alias, in any case, with or without `.service`.
    pub fn by_name(&self, word: &str) -> Option<&Server> {
        let word = word.strip_suffix(".service").unwrap_or(word);
        let is = |name: &String| name.eq_ignore_ascii_case(word);
        self.servers.iter().find(|server| is(&server.name) || server.aliases.iter().any(is))
    }
}

impl Default for Known {
    fn default() -> Self {
        Self::builtin()
    }
}

fn read(path: &Path, text: &str) -> Result<Vec<Server>, KnownError> {
    let wrong = |at: usize, what: String| {
        let line = text.bytes().take(at).filter(|b| *b == b'\n').count() + 1;
        KnownError { path: path.to_owned(), line, what }
    };
    let file: File = toml::from_str(text)
        .map_err(|error| wrong(error.span().map_or(0, |span| span.start), crate::text::escape(error.message())))?;
    let checked = file.server.into_iter().map(|entry| {
        let start = entry.span().start;
        let server = entry.into_inner();
        match fault(&server) {
            Some(what) => Err(wrong(start, format!("server '{}': {what}", clip(&server.name)))),
            None => Ok(server),
        }
    });
    checked.collect()
}

/// What the types alone do not forbid.
fn fault(server: &Server) -> Option<String> {
    let bad_path = |path: &&String| !path.starts_with('/') || !path.bytes().all(|b| b.is_ascii_graphic());
    if server.name.is_empty() || server.name.chars().any(char::is_control) {
        return Some("key name: it must be there, without control characters".to_owned());
    }
    if server.port == 0 {
        return Some("key port: 0 is no TCP port".to_owned());
    }
    if server.matches.is_empty() {
        return Some("key match: without it no process is ever this server".to_owned());
    }
    if server.matches.iter().any(|m| m.program.is_none() && m.text.is_none()) {
        return Some("key match: each needs a program or a text".to_owned());
    }
    if server.matches.iter().any(|m| m.text.as_deref() == Some("") || m.program.as_deref().is_some_and(|p| p.len() < 2))
    {
        return Some("key match: an empty text or a program of one character is every process".to_owned());
    }
    if let Some(path) = server.health.iter().find(bad_path) {
        return Some(format!("key health: '{}' is no path: it starts with '/' and is visible ASCII", clip(path)));
    }
    let mut models = server.models.iter();
    if let Some(path) = models.clone().map(|m| &m.path).find(bad_path) {
        return Some(format!("key models: '{}' is no path: it starts with '/' and is visible ASCII", clip(path)));
    }
    if models.any(|m| m.loaded_if.as_ref().is_some_and(|condition| !condition.contains('='))) {
        return Some("key models: loaded_if is FIELD=VALUE".to_owned());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(text: &str) -> Result<Known, KnownError> {
        Known::builtin().with_user(Path::new("/home/x/probes.toml"), text)
    }

    #[test]
    fn the_table_is_sound() {
        let servers = read(Path::new("known.toml"), include_str!("known.toml")).unwrap();
        assert!(servers.len() >= 30, "{}", servers.len());
        let mut names: Vec<&String> = servers.iter().flat_map(|s| std::iter::once(&s.name).chain(&s.aliases)).collect();
        names.sort_unstable();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all, "a name is there twice");
    }

    #[test]
    fn the_users_entries_win() {
        let text = "[[server]]\nname = \"ollama\"\nport = 1\nmatch = [{ program = \"my-ollama\" }]\n";
        let known = with(text).unwrap();
        assert_eq!(known.by_name("Ollama.service").unwrap().port, 1);
        assert!(known.by_name("vllm").is_some());
        assert!(known.by_name("nothing").is_none());
    }

    #[test]
    fn errors_name_file_line_and_key() {
        for (text, parts) in [
            ("[[server]]\nname = 3\n", ["probes.toml:2", "string"]),
            ("[[server]]\nname = \"x\"\nport = 1\nhelth = []\n", ["probes.toml:4", "helth"]),
            ("[[server]]\nname = \"x\"\nport = 70000\n", ["probes.toml:3", "70000"]),
            ("\n[[server]]\nname = \"x\"\nport = 1\n", ["probes.toml:2", "key match"]),
            ("[[server]]\nname = \"x\"\nport = 1\nmatch = [{ args = [\"x\"] }]\n", ["server 'x'", "key match"]),
            ("[[server]]\nname = \"x\"\nport = 1\nmatch = [{ program = \"*\" }]\n", ["server 'x'", "every process"]),
            (
                "[[server]]\nname = \"x\"\nport = 1\nmatch = [{ program = \"xx\" }]\nhealth = [\"a\"]\n",
                ["server 'x'", "key health"],
            ),
            ("[[server]]\nport = 1\n", ["probes.toml:1", "name"]),
            ("= \n", ["probes.toml:1", "key"]),
        ] {
            let error = with(text).unwrap_err().to_string();
            for part in parts {
                assert!(error.contains(part), "{text:?}: {error}");
            }
        }
    }
}
