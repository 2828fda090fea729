//! Which known server a process is, and what its command line says: pure functions over text.

use std::net::SocketAddr;

use super::known::{Known, Match, Server};
use crate::model::Process;

/// Programs whose script or module says what runs.
const INTERPRETERS: [&str; 14] =
    ["python", "pypy", "node", "nodejs", "bun", "deno", "ruby", "perl", "php", "bash", "sh", "dash", "zsh", "uv"];

/// The first known server that the process is.
pub(super) fn recognise<'k>(known: &'k Known, process: &Process, listening: &[SocketAddr]) -> Option<&'k Server> {
    if process.kernel_thread {
        return None;
    }
    let names = names(process);
    known.servers().iter().find(|server| server.matches.iter().any(|m| holds(m, server, process, &names, listening)))
}

fn holds(m: &Match, server: &Server, process: &Process, names: &[&str], listening: &[SocketAddr]) -> bool {
    let program = m.program.as_ref().is_none_or(|pattern| names.iter().any(|name| fits(pattern, name)));
    let args = || m.args.iter().all(|arg| process.cmdline.iter().skip(1).any(|word| word == arg));
    let text = || m.text.as_ref().is_none_or(|text| mentions(process, text));
    let port = || {
        m.port.is_none_or(|port| {
            listening.iter().any(|address| address.port() == port) || port_of(server, process) == Some(port)
        })
    };
    program && args() && text() && port()
}

/// Exact, or with one `*` at the start or the end.
fn fits(pattern: &str, name: &str) -> bool {
    if let Some(end) = pattern.strip_prefix('*') {
        name.ends_with(end)
    } else if let Some(start) = pattern.strip_suffix('*') {
        name.starts_with(start)
    } else {
        pattern == name
    }
}

fn mentions(process: &Process, text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    let has = |s: &String| s.to_ascii_lowercase().contains(&text);
    process.exe.as_ref().is_some_and(has) || process.cmdline.iter().any(has)
}

/// Every name that the process has: of its executable, of argv[0] (whole, and up to the first space
/// or colon, as some servers write their state into it), of the script or module; its comm where
/// nothing else can be read.
pub(super) fn names(process: &Process) -> Vec<&str> {
    let mut names = Vec::with_capacity(4);
    if let Some(exe) = &process.exe {
        names.push(base(exe));
    }
    if let Some(argv0) = process.cmdline.first() {
        names.push(base(argv0));
        names.push(base(argv0.split_whitespace().next().unwrap_or_default()).trim_end_matches(':'));
    }
    if names.iter().any(|name| is_interpreter(name)) {
        names.extend(script(&process.cmdline));
    }
    if names.is_empty() {
        names.push(&process.comm);
    }
    names
}

fn is_interpreter(name: &str) -> bool {
    // python3.12, pypy3, bash; a login shell is "-bash".
    let stem = name.trim_start_matches('-').trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    INTERPRETERS.contains(&stem)
}

/// The script's base name or the module of `-m`: the first word that is no option.
fn script(cmdline: &[String]) -> Option<&str> {
    let mut words = cmdline.iter().skip(1).map(String::as_str);
    while let Some(word) = words.next() {
        match word {
            "-m" => return words.next(),
            "-c" | "-e" => return None,
            // Options of python and node that take a word, and `uv run` before its script.
            "-W" | "-X" | "-r" | "--require" => drop(words.next()),
            "run" if cmdline.first().is_some_and(|argv0| base(argv0) == "uv") => {}
            _ if word.starts_with('-') => {}
            _ => return Some(base(word)),
        }
    }
    None
}

fn base(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// The port that the command line says.
pub(super) fn port_of(server: &Server, process: &Process) -> Option<u16> {
    option(&process.cmdline, &server.port_options)
        .and_then(|port| port.parse().ok())
        .or_else(|| option(&process.cmdline, &server.address_options)?.rsplit(':').next()?.parse().ok())
        .filter(|port| *port > 0)
}

/// The value of the last of these options: `--port 80`, `--port=80`, `-p 80` or `-p80`. An option
/// that another option follows has no value.
pub(super) fn option<'a>(cmdline: &'a [String], names: &[String]) -> Option<&'a str> {
    let mut value = None;
    let mut words = cmdline.iter().skip(1).map(String::as_str).peekable();
    while let Some(word) = words.next() {
        for name in names {
            let Some(rest) = word.strip_prefix(name.as_str()) else { continue };
            if rest.is_empty() {
                value = words.peek().copied().filter(|next| !next.starts_with('-')).or(value);
            } else if let Some(given) = rest.strip_prefix('=') {
                value = Some(given);
            } else if name.len() == 2 && rest.bytes().all(|b| b.is_ascii_digit()) {
                value = Some(rest);
            }
        }
    }
    value
}

/// Whether one of these options is there.
pub(super) fn has_option(cmdline: &[String], names: &[String]) -> bool {
    cmdline.iter().skip(1).any(|word| {
        names
            .iter()
            .any(|name| word.strip_prefix(name.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('=')))
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::model::{Identity, ProcState};

    /// A process with this command line, split at spaces.
    pub(crate) fn process(pid: u32, ppid: u32, exe: Option<&str>, command: &str) -> Process {
        Process {
            identity: Identity { pid, start_ticks: 1, pidfd_inode: None },
            ppid,
            pgid: pid,
            sid: pid,
            uids: None,
            comm: "comm".to_owned(),
            exe: exe.map(str::to_owned),
            cmdline: command.split(' ').map(str::to_owned).collect(),
            started_at: None,
            state: ProcState::Alive,
            kernel_thread: false,
            cgroup: None,
        }
    }

    #[test]
    fn processes_are_recognised() {
        let known = Known::builtin();
        for (command, name) in [
            ("/usr/local/bin/ollama serve", Some("ollama")),
            ("/usr/local/bin/ollama runner --model x --port 41231", None),
            ("ollama run gemma2:2b", None),
            ("python3 -m vllm.entrypoints.openai.api_server --port 8001", Some("vllm")),
            ("/venv/bin/python3.12 /venv/bin/vllm serve Qwen/Qwen3-4B", Some("vllm")),
            ("vllm serve Qwen/Qwen3-4B", Some("vllm")),
            ("vllm bench serve-x", None),
            ("python -u -X dev -m sglang.launch_server --model-path x", Some("sglang")),
            ("python3 main.py --listen --port 8188", Some("comfyui")),
            ("/srv/ComfyUI/venv/bin/python main.py", Some("comfyui")),
            ("python3 main.py --port 9000", None),
            ("/opt/llama.cpp/build/bin/llama-server -m x.gguf", Some("llama-server")),
            ("./Llama-3.2-1B-Instruct.llamafile --server", Some("llamafile")),
            ("text-generation-launcher --model-id x", Some("tgi")),
            ("text-embeddings-router --model-id x", Some("tei")),
            ("python3 koboldcpp.py --model x", Some("koboldcpp")),
            ("./koboldcpp-linux-x64 --model x", Some("koboldcpp")),
            ("/v/bin/python /v/bin/jupyter-lab --port=8889", Some("jupyter")),
            ("redis-server *:6379", Some("redis")),
            ("nginx: master process /usr/sbin/nginx -g daemon", Some("nginx")),
            ("python3 -c import vllm", None),
            ("bash", None),
        ] {
            let process = process(1, 0, None, command);
            assert_eq!(recognise(&known, &process, &[]).map(|s| s.name.as_str()), name, "{command}");
        }
        let main = process(1, 0, None, "python3 main.py");
        assert_eq!(recognise(&known, &main, &["127.0.0.1:8188".parse().unwrap()]).unwrap().name, "comfyui");
    }

    #[test]
    fn options_are_read_as_their_programs_do() {
        let names = |n: &[&str]| n.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        let read = |line: &str, n: &[&str]| {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            option(&words, &names(n)).map(str::to_owned)
        };
        assert_eq!(read("x --port 80", &["--port"]).as_deref(), Some("80"));
        assert_eq!(read("x --port=80 --port 81", &["--port"]).as_deref(), Some("81"));
        assert_eq!(read("x -p80", &["--port", "-p"]).as_deref(), Some("80"));
        assert_eq!(read("x --listen --port 8188", &["--listen"]), None);
        assert_eq!(read("x --portal 80 -path", &["--port", "-p"]), None);
        assert_eq!(read("x --port", &["--port"]), None);
        assert_eq!(read("", &["--port"]), None);
    }
}
