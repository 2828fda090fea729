//! Waiting until a service is ready, for what has to be asked: HTTP, TCP, a Unix socket, a command.
//!
//! What the service says itself (a line of its output, sd_notify) is no question: the driver hears
//! it, and drops this wait then.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::model::service::Check;
use crate::model::{AvailabilityState, Malformed};
use crate::probe::{self, ProbeSpec};
use crate::text::clip;

/// The longest time for one question over the network: one that hangs is asked again.
const ANSWER: Duration = Duration::from_secs(5);
/// So long without an answer says something, and half of the time that it has to get ready.
const WHILE: Duration = Duration::from_secs(1);

/// How the commands of a service are run.
pub(crate) enum Commands {
    /// As children of the daemon, in this environment (the whole of it) and folder.
    Children(BTreeMap<String, String>, PathBuf),
    /// Within the bounds of the service: see [`crate::backend::Backend::run_command`].
    Bounded(RunCommand),
}

/// Runs these words, for at most so long.
pub(crate) type RunCommand = Box<dyn Fn(Vec<String>, Duration) -> Pin<Box<dyn Future<Output = Result<(), String>>>>>;

/// Asks every `interval` until the answer is yes. The texts of the check are expanded already.
///
/// It can be cancelled by dropping it: a command that runs is killed. `shown` is the check as
/// messages name it: its text may hold a secret.
///
/// # Errors
/// It was not ready within `timeout`: the last answer, as `no answer in 60s: http GET
/// http://127.0.0.1:8080/health: 503`.
pub(crate) async fn wait_ready(
    check: &Check,
    shown: &Check,
    timeout: Duration,
    interval: Duration,
    commands: &Commands,
) -> Result<(), String> {
    let within = humantime::format_duration(timeout);
    let end = Instant::now() + timeout;
    let untold = match shown {
        Check::Log(pattern) => Some(format!("no line of its output matched '{}'", clip(pattern))),
        Check::Notify(_) => Some("it did not say READY=1".to_owned()),
        _ => None,
    };
    if let Some(untold) = untold {
        sleep_until(end).await;
        return Err(format!("not ready within {within}: {untold}"));
    }
    let spec = spec(check).map_err(|error| error.to_string())?;
    let mut last = "no answer".to_owned();
    loop {
        let asked = Instant::now();
        let left = end.saturating_duration_since(asked);
        let limit = if matches!(spec, ProbeSpec::Exec(_)) { left } else { left.min(ANSWER) };
        let Err(detail) = ask(&spec, limit, commands).await else { return Ok(()) };
        // A question that the end cut short says less than the one before it, unless it was given a good while.
        if Instant::now() < end || last == "no answer" || asked.elapsed() >= WHILE.min(timeout / 2) {
            last = said(&detail, shown);
        }
        let next = (asked + interval).max(Instant::now());
        if next >= end {
            sleep_until(end).await;
            return Err(format!("not ready within {within}: {last}"));
        }
        sleep_until(next).await;
    }
}

/// Asks once; what was not so.
pub(crate) async fn ask(spec: &ProbeSpec, limit: Duration, commands: &Commands) -> Result<(), String> {
    let within = match (commands, spec) {
        (Commands::Bounded(run), ProbeSpec::Exec(argv)) => return run(argv.clone(), limit).await,
        (Commands::Bounded(_), _) => None,
        (Commands::Children(env, cwd), _) => Some((env, cwd.as_path())),
    };
    let answer = probe::ask(spec, limit, within).await;
    match (commands, spec) {
        _ if answer.state == AvailabilityState::Available => Ok(()),
        // Root without its capabilities may not use a socket of the service's user, who may.
        (Commands::Bounded(run), ProbeSpec::Unix(path)) if answer.detail.contains(probe::DENIED) => {
            let own = crate::control::own_program().map_err(|error| error.to_string())?;
            run(vec![own, "probe".to_owned(), format!("unix:{}", path.display())], limit).await
        }
        _ => Err(answer.detail),
    }
}

/// Runs a command once; `shown` as messages name it.
///
/// # Errors
/// It did not exit with 0 in time: how it ended, and the first line of what it said.
pub(crate) async fn run(
    argv: Vec<String>,
    shown: Vec<String>,
    limit: Duration,
    commands: &Commands,
) -> Result<(), String> {
    let spec = ProbeSpec::exec(argv).map_err(|error| error.to_string())?;
    ask(&spec, limit, commands).await.map_err(|detail| said(&detail, &Check::Exec(shown)))
}

/// The same with something on its standard input, as a child of the daemon.
///
/// # Errors
/// As of [`run`].
pub(crate) async fn run_with(
    argv: &[String],
    shown: &[String],
    input: &[u8],
    limit: Duration,
    within: probe::Surroundings<'_>,
) -> Result<(), String> {
    let done = probe::run_with(argv, input, limit, within).await;
    done.map_err(|detail| said(&detail, &Check::Exec(shown.to_vec())))
}

/// What came of a question, in words; `shown` is the check as messages name it.
pub(crate) fn said(detail: &str, shown: &Check) -> String {
    // A host that has no address is named with what its variables became.
    let detail = match spec(shown) {
        Err(_) if detail.starts_with("host '") => "the host cannot be resolved",
        _ => detail,
    };
    format!("{}: {detail}", by(shown))
}

/// What a service that is not ready yet waits for; the check as messages name it.
pub(crate) fn awaited(shown: &Check) -> String {
    match shown {
        Check::Log(pattern) => format!("waits for a line of its output that matches '{}'", clip(pattern)),
        Check::Notify(_) => "waits for its READY=1".to_owned(),
        asked => format!("waits for {}", by(asked)),
    }
}

/// As [`ProbeSpec`] says it, of what is one and of what still has variables.
fn by(shown: &Check) -> String {
    match (spec(shown), shown) {
        (Ok(spec), _) => spec.to_string(),
        (Err(_), Check::Http(text)) => format!("http GET {}", clip(text)),
        (Err(_), Check::Tcp(text)) => format!("tcp {}", clip(text)),
        (Err(_), Check::Unix(text)) => format!("unix {}", clip(text)),
        (Err(_), _) => "its check".to_owned(),
    }
}

/// The check as a question. Also for the validation of a config whose texts hold no variables.
///
/// # Errors
/// It is not of its form.
pub(crate) fn spec(check: &Check) -> Result<ProbeSpec, Malformed> {
    match check {
        Check::Http(url) => url.parse(),
        Check::Tcp(address) => format!("tcp:{address}").parse(),
        Check::Unix(path) => format!("unix:{path}").parse(),
        Check::Exec(argv) => ProbeSpec::exec(argv.clone()),
        Check::Log(_) | Check::Notify(_) => Err(Malformed::new("it is told, and not asked")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    const LONG: Duration = Duration::from_secs(20);
    const OFTEN: Duration = Duration::from_millis(10);

    fn wait(check: &Check, timeout: Duration, env: &[(&str, &str)]) -> Result<(), String> {
        let env = env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(wait_ready(check, check, timeout, OFTEN, &Commands::Children(env, "/usr".into())))
    }

    fn exec(script: &str) -> Check {
        Check::Exec(["sh", "-c", script].map(str::to_owned).to_vec())
    }

    #[test]
    fn sockets_are_ready_when_they_accept() {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = tcp.local_addr().unwrap().to_string();
        assert_eq!(wait(&Check::Tcp(address.clone()), LONG, &[]), Ok(()));
        drop(tcp);
        let error = wait(&Check::Tcp(address.clone()), Duration::from_millis(50), &[]).unwrap_err();
        let expected = format!("not ready within 50ms: tcp {address}: connection refused: nothing listens there");
        assert_eq!(error, expected);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let check = Check::Unix(path.to_str().unwrap().to_owned());
        assert!(wait(&check, Duration::from_millis(20), &[]).is_err());
        let _socket = std::os::unix::net::UnixListener::bind(&path).unwrap();
        assert_eq!(wait(&check, LONG, &[]), Ok(()));
    }

    #[test]
    fn http_is_asked_until_the_status_is_good() {
        use std::io::{Read as _, Write as _};
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/health", server.local_addr().unwrap());
        let answers = std::thread::spawn(move || {
            for status in ["503 Loading", "500 No", "200 OK"] {
                let (mut stream, _) = server.accept().unwrap();
                let _request = stream.read(&mut [0; 1024]).unwrap();
                write!(stream, "HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
            }
        });
        assert_eq!(wait(&Check::Http(url), LONG, &[]), Ok(()));
        answers.join().unwrap();
    }

    #[test]
    fn a_server_that_accepts_and_says_nothing_is_told_from_one_that_is_not_there() {
        let place = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = place.local_addr().unwrap();
        drop(place);
        let late = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(100));
            let server = TcpListener::bind(address).unwrap();
            std::thread::sleep(LONG / 10);
            drop(server);
        });
        let error = wait(&Check::Http(format!("http://{address}/")), Duration::from_secs(1), &[]).unwrap_err();
        assert!(error.contains("no answer within"), "{error}");
        late.join().unwrap();
    }

    #[test]
    fn commands_run_in_the_environment_and_folder_of_the_service() {
        let path = ("PATH", "/usr/bin:/bin");
        assert_eq!(wait(&exec("test \"$A$HOME\" = b && test \"$(pwd)\" = /usr"), LONG, &[path, ("A", "b")]), Ok(()));
        let error = wait(&exec("echo not yet; exit 3"), Duration::from_millis(100), &[path]).unwrap_err();
        assert!(error.ends_with("exit code 3: not yet"), "{error}");
        let error = wait(&exec("sleep 60"), Duration::from_millis(50), &[path]).unwrap_err();
        assert!(error.contains("did not end within"), "{error}");
        // It is looked for in the service's PATH, not in ours.
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/bin/true", dir.path().join("pvt-ready")).unwrap();
        let check = Check::Exec(vec!["pvt-ready".to_owned()]);
        assert_eq!(wait(&check, LONG, &[("PATH", dir.path().to_str().unwrap())]), Ok(()));
        assert!(wait(&check, Duration::from_millis(20), &[path]).is_err());
    }

    #[test]
    fn a_command_gets_its_input_and_no_more_time_than_it_has() {
        let env = BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]);
        let run = |script: &str, limit| {
            let argv = ["sh", "-c", script].map(str::to_owned);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            // More than a pipe holds.
            let input = vec![b'x'; 100_000];
            runtime.block_on(run_with(&argv, &argv, &input, limit, (&env, "/".as_ref())))
        };
        assert_eq!(run("test $(wc -c) = 100000", LONG), Ok(()));
        assert_eq!(run("exec <&-; exit 0", LONG), Ok(()), "who does not read it need not");
        let error = run("sleep 60", Duration::from_millis(50)).unwrap_err();
        assert!(error.contains("did not end within"), "{error}");
    }

    #[test]
    fn what_is_told_is_waited_for() {
        let error = wait(&Check::Notify(true), Duration::from_millis(10), &[]).unwrap_err();
        assert_eq!(error, "not ready within 10ms: it did not say READY=1");
    }

    #[test]
    fn no_message_holds_what_a_variable_stands_for() {
        let within = (Duration::from_millis(20), OFTEN);
        let path = ("PATH", "/usr/bin:/bin");
        for (check, shown) in [
            (Check::Http("http://127.0.0.1:1/?hush".into()), Check::Http("http://127.0.0.1:1/?${KEY}".into())),
            (Check::Tcp("127.0.0.1:1".into()), Check::Tcp("${KEY}:1".into())),
            (Check::Tcp("hush.invalid:1".into()), Check::Tcp("${KEY}.invalid:1".into())),
            (Check::Unix("/hush".into()), Check::Unix("/${KEY}".into())),
            (Check::Log("hush".into()), Check::Log("${KEY}".into())),
            (exec("exit 1 # hush"), exec("exit 1 # ${KEY}")),
        ] {
            let env = [path].map(|(k, v)| (k.to_owned(), v.to_owned())).into();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let commands = Commands::Children(env, "/usr".into());
            let wait = wait_ready(&check, &shown, within.0, within.1, &commands);
            let why = runtime.block_on(wait).unwrap_err();
            assert!(why.contains("KEY") && !why.contains("hush"), "{why}");
        }
    }
}
