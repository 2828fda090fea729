//! Known servers, faked on loopback, through the whole of [`probe`].

use super::*;
use crate::model::AvailabilityState::{Available, Starting, Unavailable, Unknown};
use crate::model::Process;
use crate::probe::recognise::tests::process;

async fn of(processes: &[Process], listening: Option<&[SocketAddr]>, word: Option<&str>) -> Availability {
    let subject = Subject { processes, listening, word, ..Subject::default() };
    probe(&subject, &Known::builtin(), &Options::default()).await
}

fn ollama() -> [Process; 2] {
    [
        process(1294440, 1, Some("/usr/local/bin/ollama"), "/usr/local/bin/ollama serve"),
        process(1312144, 1294440, Some("/usr/local/bin/ollama"), "/usr/local/bin/ollama runner --model x --port 41000"),
    ]
}

#[test]
fn ollama_tells_its_models() {
    run(async {
        let at = serve("127.0.0.1", |request| match request.split(' ').nth(1).unwrap() {
            "/api/version" => reply(200, r#"{"version":"0.12.6"}"#),
            "/api/ps" => reply(200, r#"{"models":[{"name":"qwen3:4b"}]}"#),
            "/api/tags" => reply(200, r#"{"models":[{"name":"gemma2:2b"},{"name":"qwen3:4b"}]}"#),
            _ => reply(404, ""),
        })
        .await;
        let runner: SocketAddr = "127.0.0.1:41000".parse().unwrap();
        let found = of(&ollama(), Some(&[runner, at]), Some("ollama")).await;
        assert_eq!((found.state, found.detail.as_str()), (Available, "200"));
        assert_eq!(found.by.unwrap(), format!("http GET http://{at}/api/version"));
        assert_eq!(found.url.unwrap(), format!("http://{at}"));
        assert_eq!(found.server.unwrap(), "ollama");
        assert_eq!(found.models, ["qwen3:4b", "gemma2:2b"]);
        assert_eq!(found.loaded, ["qwen3:4b"]);
    });
}

#[test]
fn llama_server_that_loads_is_starting() {
    run(async {
        let at = serve("127.0.0.1", |_| {
            reply(503, r#"{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}"#)
        })
        .await;
        let processes = [process(7, 1, None, &format!("llama-server -m x.gguf --port={}", at.port()))];
        let found = of(&processes, Some(&[at]), None).await;
        assert_eq!(found.state, Starting);
        assert!(found.detail.starts_with("503: ") && found.detail.contains("Loading model"), "{}", found.detail);
        assert!(found.models.is_empty());
    });
}

#[test]
fn a_503_that_is_not_loading_is_down() {
    run(async {
        let at = serve("127.0.0.1", |_| reply(503, "overloaded")).await;
        let processes = [process(7, 1, None, &format!("llama-server --port {}", at.port()))];
        assert_eq!(of(&processes, Some(&[at]), None).await.state, Unavailable);
    });
}

#[test]
fn a_server_that_wants_a_key_is_available() {
    run(async {
        let at = serve("127.0.0.1", |request| {
            if request.contains("/health") { reply(401, "no") } else { reply(401, r#"{"data":[{"id":"x"}]}"#) }
        })
        .await;
        let processes = [process(7, 1, None, &format!("vllm serve x --port {}", at.port()))];
        let found = of(&processes, Some(&[at]), None).await;
        assert_eq!((found.state, found.detail.as_str()), (Available, "401: it answers, and asks for a key"));
        assert!(found.models.is_empty());
    });
}

#[test]
fn a_server_without_its_path_accepts_connections() {
    run(async {
        let at = serve("127.0.0.1", |_| reply(404, "")).await;
        let processes = [process(7, 1, None, &format!("python3 main.py /ComfyUI --port {}", at.port()))];
        let found = of(&processes, Some(&[at]), None).await;
        assert_eq!((found.state, found.detail.as_str()), (Available, "accepts connections (GET /system_stats: 404)"));
        assert_eq!(found.by.unwrap(), format!("tcp {at}"));
    });
}

#[test]
fn the_second_path_is_asked_after_a_404() {
    run(async {
        let at = serve("127.0.0.1", |request| reply(if request.contains("/v1/") { 200 } else { 404 }, "{}")).await;
        let processes = [process(7, 1, None, &format!("chroma run --port {}", at.port()))];
        assert!(of(&processes, Some(&[at]), None).await.by.unwrap().ends_with("/api/v1/heartbeat"));
    });
}

#[test]
fn an_unknown_server_accepts_connections() {
    run(async {
        let at = serve("127.0.0.1", |_| None).await;
        let processes = [process(7, 1, None, "my-own-thing")];
        let found = of(&processes, Some(&[closed().await, at]), None).await;
        assert_eq!((found.state, found.detail.as_str()), (Available, "accepts connections"));
        assert_eq!((found.url, found.server), (None, None));
        let found = of(&processes, Some(&[]), None).await;
        assert_eq!((found.state, found.detail.as_str()), (Unknown, "it listens on no TCP port"));
        assert_eq!(of(&processes, None, None).await.state, Unknown);
        assert_eq!(of(&[], None, Some("nonsense")).await.state, Unknown);
    });
}

#[test]
fn a_port_that_is_not_its_own_is_never_asked() {
    run(async {
        // Somebody else answers where this vllm is going to listen.
        let other = serve("127.0.0.1", |_| reply(200, "")).await;
        let processes = [process(7, 1, None, &format!("vllm serve x --port {}", other.port()))];
        let found = of(&processes, Some(&[]), None).await;
        assert_eq!((found.state, found.by), (Starting, None));
        let mut old = processes;
        old[0].started_at = Some(std::time::SystemTime::UNIX_EPOCH);
        assert_eq!(of(&old, Some(&[]), None).await.state, Unavailable);
        let not_late = [process(7, 1, None, &format!("llama-server --port {}", other.port()))];
        let found = of(&not_late, Some(&[]), None).await;
        assert_eq!((found.state, found.by), (Unavailable, None));
        assert!(found.detail.ends_with(&format!("port {}", other.port())), "{}", found.detail);
    });
}

#[test]
fn what_hangs_leaves_time_for_the_next() {
    run(async {
        let hangs = serve("127.0.0.1", |_| None).await;
        let answers = serve("127.0.0.1", |_| reply(200, "{}")).await;
        let processes = [process(7, 1, None, "ollama serve")];
        let subject = Subject { processes: &processes, listening: Some(&[hangs, answers]), ..Subject::default() };
        let options = Options { timeout: Duration::from_millis(400), models: false, spec: None };
        let found = probe(&subject, &Known::builtin(), &options).await;
        assert_eq!((found.state, found.url.unwrap()), (Available, format!("http://{answers}")));
    });
}

#[test]
fn hostile_listings_give_no_models() {
    run(async {
        let at = serve("127.0.0.1", |request| match request.split(' ').nth(1).unwrap() {
            "/health" => reply(200, ""),
            _ => reply(200, "{\"data\":[{\"id\":\"a\\u001b[2J\"},{\"id\":[[[[\u{0}"),
        })
        .await;
        let processes = [process(7, 1, None, &format!("vllm serve x --port {}", at.port()))];
        let found = of(&processes, Some(&[at]), None).await;
        assert_eq!((found.state, found.models.len()), (Available, 0));
    });
}
