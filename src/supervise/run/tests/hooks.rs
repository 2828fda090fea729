//! Commands of events, as real children: so many at once, so many that wait, and no more.

use std::io::Write;
use std::sync::{Arc, Mutex};

use super::*;

/// What is logged meanwhile.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

/// Waits, for as long as a busy machine takes.
async fn until(what: &str, so: impl Fn() -> bool) {
    let wait = async {
        while !so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(60 * SECOND, wait).await.unwrap_or_else(|_| panic!("{what}"));
}

/// So many run at once and wait, as `hooks` has it.
const BOUNDS: (usize, usize) = (8, 256);

#[test]
fn commands_of_events_are_bounded_in_number() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::WARN)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::with_default(subscriber, || {
        real(async |dir| {
            let rig = Rig::new(dir);
            let place = |name: &str| dir.join(name);
            let lines = |name: &str| std::fs::read_to_string(place(name)).map_or(0, |text| text.lines().count());
            // Each says that it runs, with how many others, and then waits for the gate.
            let script = "mkdir running.$$; ls -d running.* | wc -l >> beside; \
                          while [ ! -e gate ]; do sleep 0.02; done; cat >> done; rmdir running.$$";
            let mut spec = spec("a", "");
            spec.cwd = dir.to_owned();
            spec.on.insert("changed".to_owned(), ["sh", "-c", script].map(str::to_owned).to_vec());
            rig.define([spec]).await.unwrap();
            let mut enabled = true;
            // Each of these is an event.
            let mut change = async |times: usize| {
                for _ in 0..times {
                    enabled = !enabled;
                    let enable = |answer| Command::Enable { which: which("a"), enabled, answer };
                    rig.handle.ask(enable).await.unwrap();
                }
            };
            change(BOUNDS.0).await;
            until("they run", || lines("beside") == BOUNDS.0).await;
            change(BOUNDS.1).await;
            assert!(!log.text().contains("wait already"), "{}", log.text());
            change(40).await;
            assert_eq!(log.text().matches("256 commands of events wait already").count(), 1, "{}", log.text());
            assert_eq!(lines("beside"), BOUNDS.0, "no more at once");

            std::fs::write(place("gate"), "").unwrap();
            until("all that waited have run", || lines("done") == BOUNDS.0 + BOUNDS.1).await;
            assert!(log.text().contains("commands of events that were left out: 40;"), "{}", log.text());
            let beside = std::fs::read_to_string(place("beside")).unwrap();
            assert!(beside.lines().all(|number| number.trim().parse::<usize>().unwrap() <= BOUNDS.0), "{beside}");
            // From then on as ever, with the event on standard input, and none that was left out runs late.
            change(1).await;
            until("the next one", || lines("done") == BOUNDS.0 + BOUNDS.1 + 1).await;
            let done = std::fs::read_to_string(place("done")).unwrap();
            let events = done.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
            let numbers: std::collections::BTreeSet<u64> = events.map(|event| event["seq"].as_u64().unwrap()).collect();
            assert_eq!(numbers.len(), BOUNDS.0 + BOUNDS.1 + 1, "each event once");
        });
    });
}

#[test]
fn a_command_that_reloads_a_service_ends_with_its_stop() {
    real(async |dir| {
        let rig = Rig::new(dir);
        let pid = dir.join("pid");
        let mut spec = spec("a", "");
        spec.cwd = dir.to_owned();
        let words = ["sh", "-c", "echo $$$$ > new; mv new pid; exec sleep 985"].map(str::to_owned).to_vec();
        spec.reload = Some(crate::model::service::Reload::Exec(words));
        rig.define([spec]).await.unwrap();
        rig.start("a").await.unwrap();
        rig.up("a").await;
        let reload = rig.handle.ask(|answer| Command::Reload { which: which("a"), answer });
        let stop = async {
            until("the command runs", || pid.exists()).await;
            rig.stop("a").await.unwrap();
        };
        let both = async { tokio::join!(reload, stop) };
        let (reloaded, ()) = tokio::time::timeout(20 * SECOND, both).await.expect("it ends with the stop");
        assert!(format!("{reloaded:?}").contains("it was stopped meanwhile"), "{reloaded:?}");
        let pid: u32 = std::fs::read_to_string(&pid).unwrap().trim().parse().unwrap();
        let gone = || crate::sys::pidfd::PidFd::open(pid).map_or(true, |left| !left.is_alive());
        until("the command is gone", gone).await;
    });
}
