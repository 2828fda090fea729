//! Which address is asked: a table.

use super::*;
use crate::model::{Process, Uids};
use crate::probe::choose::{Candidate, choose};
use crate::probe::recognise::tests::process;

type Variables = &'static [(&'static str, &'static str)];

/// Who asks in these tests.
const CALLER: u32 = 1000;

/// The checks as `server@address`, `tcp@address` or `silent@server:port`, for the caller's own
/// processes.
fn chosen(commands: &[(u32, u32, &str)], listening: Option<&[&str]>, env: Variables, word: Option<&str>) -> String {
    chosen_of(CALLER, commands, listening, env, word)
}

/// The same for processes of this user.
fn chosen_of(
    uid: u32,
    commands: &[(u32, u32, &str)],
    listening: Option<&[&str]>,
    env: Variables,
    word: Option<&str>,
) -> String {
    let uids = Some(Uids { real: uid, effective: uid, saved: uid });
    let of = |(pid, ppid, line): &(u32, u32, &str)| Process { uids, ..process(*pid, *ppid, None, line) };
    let processes: Vec<_> = commands.iter().map(of).collect();
    let listening: Option<Vec<SocketAddr>> = listening.map(|l| l.iter().map(|a| a.parse().unwrap()).collect());
    let environ = move |_: u32| -> Option<Vec<(String, String)>> {
        Some(env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
    };
    let environ: &Environ = &environ;
    let subject = Subject {
        processes: &processes,
        listening: listening.as_deref(),
        environ: Some(environ),
        word,
        caller_uid: Some(CALLER),
        contained: false,
        of_user: &["127.0.0.1:7777".parse().unwrap()],
    };
    let known = Known::builtin();
    let shown = choose(&subject, &known).into_iter().map(|candidate| match candidate {
        Candidate::Ask(ask) => {
            let to = match ask.to {
                To::Tcp(endpoint) => endpoint.to_string(),
                To::Unix(path) => path.display().to_string(),
            };
            format!("{}@{to}{}{}", ask.server.name, ask.prefix, if ask.tls { " tls" } else { "" })
        }
        Candidate::Withheld { server, .. } => format!("withheld@{}", server.name),
        Candidate::Tcp(endpoint) => format!("tcp@{endpoint}"),
        Candidate::Silent { server, port, .. } => format!("silent@{}:{port}", server.name),
    });
    shown.collect::<Vec<_>>().join(" ")
}

const OLLAMA: [(u32, u32, &str); 2] = [
    (1294440, 1, "/usr/local/bin/ollama serve"),
    (1312144, 1294440, "/usr/local/bin/ollama runner --model /x --port 41231"),
];

#[test]
fn ollama_is_asked_and_never_its_runner() {
    let both = Some(["127.0.0.1:41231", "127.0.0.1:11434"].as_slice());
    assert_eq!(chosen(&OLLAMA, both, &[], Some("ollama")), "ollama@127.0.0.1:11434");
    assert_eq!(chosen(&OLLAMA, None, &[], None), "ollama@127.0.0.1:11434");
    let moved = Some(["127.0.0.1:41231", "0.0.0.0:11500", "[::]:11500"].as_slice());
    assert_eq!(chosen(&OLLAMA, moved, &[], None), "ollama@127.0.0.1:11500");
    let everywhere = Some(["[::]:11434"].as_slice());
    assert_eq!(chosen(&OLLAMA, everywhere, &[], None), "ollama@[::1]:11434");
    let env: Variables = &[("OLLAMA_HOST", "0.0.0.0:9999")];
    assert_eq!(chosen(&OLLAMA, None, env, None), "ollama@127.0.0.1:9999");
    assert_eq!(chosen(&OLLAMA, both, env, None), "silent@ollama:9999");
    assert_eq!(chosen(&OLLAMA, Some(&["127.0.0.1:41231"]), &[], None), "silent@ollama:11434");
    // Newer ones run a llama-server as their runner.
    let newer = [OLLAMA[0], (5, 1294440, "/usr/lib/ollama/llama-server --model /x --port 41231")];
    assert_eq!(chosen(&newer, both, &[], None), "ollama@127.0.0.1:11434");
    assert_eq!(chosen(&newer, both, &[], Some("llama-server")), "llama-server@127.0.0.1:41231");
}

#[test]
fn addresses_come_from_command_line_environment_default() {
    let vllm = "python3 -m vllm.entrypoints.openai.api_server --port 8001";
    let llama = "llama-server -m x --port=9090 --host 0.0.0.0";
    for (command, listening, env, expected) in [
        (vllm, None, [].as_slice(), "vllm@127.0.0.1:8001"),
        (vllm, Some(["0.0.0.0:8001", "127.0.0.1:35555"].as_slice()), &[], "vllm@127.0.0.1:8001"),
        // It loads: only the ports of its own processes are open.
        (vllm, Some(&["127.0.0.1:35555"]), &[], "silent@vllm:8001"),
        ("vllm serve X", Some(&["127.0.0.1:35555"]), &[("VLLM_PORT", "35555")], "silent@vllm:8000"),
        ("vllm serve X", None, &[], "vllm@127.0.0.1:8000"),
        ("vllm serve X --host 10.1.2.3", None, &[], "withheld@vllm"),
        ("vllm serve X --ssl-keyfile k", None, &[], "vllm@127.0.0.1:8000 tls"),
        ("python3 main.py --listen --port 8188", None, &[], "comfyui@127.0.0.1:8188"),
        ("python3 main.py --listen 0.0.0.0,:: --port 8188", None, &[], "comfyui@127.0.0.1:8188"),
        ("python3 main.py", Some(&["0.0.0.0:8188"]), &[], "comfyui@127.0.0.1:8188"),
        (llama, None, &[], "llama-server@127.0.0.1:9090"),
        (llama, None, &[("LLAMA_ARG_PORT", "7")], "llama-server@127.0.0.1:9090"),
        ("llama-server", None, &[("LLAMA_ARG_PORT", "7"), ("LLAMA_ARG_HOST", "::")], "llama-server@[::1]:7"),
        ("llama-server --host /run/l.sock", None, &[], "llama-server@/run/l.sock"),
        ("llama-server --api-prefix /llm/", None, &[], "llama-server@127.0.0.1:8080/llm"),
        ("llama-server --port 70000", None, &[], "llama-server@127.0.0.1:8080"),
        ("local-ai run --address :9000", None, &[], "localai@127.0.0.1:9000"),
        ("llama-swap -listen=127.0.0.1:9001", None, &[], "llama-swap@127.0.0.1:9001"),
        ("ollama serve", None, &[("OLLAMA_HOST", "https://x.example")], "withheld@ollama"),
        // It went on to the next port; the kernels' ports are not those of the server.
        ("/v/bin/python /v/bin/jupyter-lab", Some(&["127.0.0.1:8889"]), &[], "jupyter@127.0.0.1:8889"),
    ] {
        assert_eq!(chosen(&[(7, 1, command)], listening, env, None), expected, "{command} {listening:?} {env:?}");
    }
}

#[test]
fn words_and_sockets_alone() {
    assert_eq!(chosen(&[], None, &[], Some("ollama")), "ollama@127.0.0.1:11434");
    assert_eq!(chosen(&[], Some(&[]), &[], Some("vllm.service")), "vllm@127.0.0.1:8000");
    assert_eq!(chosen(&[], None, &[], Some("sshd")), "");
    let sshd = [(9, 1, "sshd: /usr/sbin/sshd -D")];
    assert_eq!(chosen(&sshd, Some(&["10.0.0.1:22", "[::]:22", "0.0.0.0:22"]), &[], Some("sshd")), "tcp@127.0.0.1:22");
    assert_eq!(chosen(&sshd, Some(&["10.0.0.1:22"]), &[], None), "tcp@10.0.0.1:22");
    // A client of that name is not the server.
    assert_eq!(chosen(&[(9, 1, "ollama run gemma2:2b")], Some(&[]), &[], Some("ollama")), "");
    assert_eq!(chosen(&[(9, 1, "bash")], None, &[], None), "");
}

#[test]
fn loops_of_parents_end() {
    let loops = [(7, 8, "vllm serve X"), (8, 9, "bash"), (9, 8, "bash")];
    assert_eq!(chosen(&loops, None, &[], None), "vllm@127.0.0.1:8000");
}

#[test]
fn nobody_is_sent_anywhere_by_another_users_words() {
    const OTHER: u32 = 1001;
    let here = Some(["127.0.0.1:9292"].as_slice());
    let address: Variables = &[("OLLAMA_HOST", "10.0.0.1:22")];
    for (command, listening, env, expected) in [
        ("llama-server --host /run/root-only/s.sock", None, [].as_slice(), "withheld@llama-server"),
        ("llama-server --host /run/root-only/s.sock", here, &[], "withheld@llama-server"),
        ("llama-server --host 127.0.0.77 --port 9292", None, &[], "withheld@llama-server"),
        ("llama-server --port 9292", None, &[], "withheld@llama-server"),
        // A socket of that very user is at the port that it names: that one is asked.
        ("llama-server --host 0.0.0.0 --port 7777", None, &[], "llama-server@127.0.0.1:7777"),
        ("llama-server --api-prefix /x", None, &[], "withheld@llama-server"),
        ("llama-server --host db.example", None, &[], "withheld@llama-server"),
        ("ollama serve", None, address, "withheld@ollama"),
        // The kernel says that it listens there, or nothing was said.
        ("llama-server --host 10.0.0.1 --port 9292", here, &[], "llama-server@127.0.0.1:9292"),
        ("llama-server", None, &[], "llama-server@127.0.0.1:8080"),
        ("ollama serve", None, &[("OLLAMA_HOST", "0.0.0.0:11434")], "ollama@127.0.0.1:11434"),
    ] {
        assert_eq!(chosen_of(OTHER, &[(7, 1, command)], listening, env, None), expected, "{command} {listening:?}");
    }
    // One's own word counts, and leads to no other host all the same.
    let own = |command| chosen(&[(7, 1, command)], None, &[], None);
    assert_eq!(own("llama-server --host 127.0.0.77 --port 9292"), "llama-server@127.0.0.77:9292");
    assert_eq!(own("llama-server --host localhost --port 9292"), "llama-server@localhost:9292");
    assert_eq!(own("llama-server --host db.example"), "withheld@llama-server");
}
