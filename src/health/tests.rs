use std::cell::Cell;
use std::collections::BTreeMap;

use super::*;

/// Signs as the test says.
struct Told {
    beat: Rc<Cell<Option<Instant>>>,
    cgroup: Option<PathBuf>,
}

impl Signs for Told {
    fn processes(&self) -> Vec<u32> {
        vec![std::process::id()]
    }

    fn cgroup(&self) -> Option<PathBuf> {
        self.cgroup.clone()
    }

    async fn beat(&self) -> Option<Instant> {
        self.beat.get()
    }
}

/// What is told of a run within this time, each with when it was: after how many whole seconds.
async fn told(spec: &str, signs: Told, cwd: &Path, time: Duration) -> Vec<(u64, Verdict)> {
    let spec: HealthSpec = serde_json::from_str(spec).unwrap();
    let env = BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]);
    let (cwd, turns) = (cwd.to_owned(), Rc::new(Semaphore::new(1)));
    let commands = Commands::Children(env, cwd.clone());
    let patient = Patient { shown: spec.clone(), spec, cwd, age: Duration::ZERO, signs, commands, turns };
    let (all, started) = (RefCell::new(Vec::new()), Instant::now());
    let tell = |verdict| all.borrow_mut().push((started.elapsed().as_secs(), verdict));
    let _over = tokio::time::timeout(time, watch(patient, tell)).await;
    all.into_inner()
}

fn nothing() -> Told {
    Told { beat: Rc::default(), cgroup: None }
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_that_is_not_there_is_seen_when_it_is_due() {
    let spec = r#"{"heartbeat":{"timeout":"5s"},"start_period":"20s"}"#;
    let found = told(spec, nothing(), Path::new("/"), Duration::from_secs(21)).await;
    assert_eq!(found, [(20, Verdict::Unhealthy("no heartbeat within 5s".to_owned()))]);
    let beat = Rc::new(Cell::new(None));
    let signs = Told { beat: Rc::clone(&beat), cgroup: None };
    let beats = async {
        for _ in 0..20 {
            beat.set(Some(Instant::now()));
            tokio::time::sleep(Duration::from_secs(4)).await;
        }
    };
    let (found, ()) = tokio::join!(told(spec, signs, Path::new("/"), Duration::from_secs(90)), beats);
    // The last one comes after 76 s.
    assert_eq!(found.iter().map(|(at, _)| *at).take(2).collect::<Vec<_>>(), [0, 81], "{found:?}");
}

#[tokio::test]
async fn a_file_that_is_written_is_a_heartbeat() {
    let dir = tempfile::tempdir().unwrap();
    let spec = r#"{"heartbeat":{"file":"beat","timeout":"2s"},"start_period":"0s"}"#;
    let file = dir.path().join("beat");
    let writes = async {
        for _ in 0..8 {
            std::fs::write(&file, "x").unwrap();
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let (found, ()) = tokio::join!(told(spec, nothing(), dir.path(), Duration::from_secs(5)), writes);
    assert!(matches!(&found[..], [(_, Verdict::Well), (at, Verdict::Unhealthy(_)), ..] if *at >= 2), "{found:?}");
    // One that was written long ago is none.
    let found = told(spec, nothing(), dir.path(), Duration::from_millis(2500)).await;
    assert!(matches!(&found[..], [(_, Verdict::Unhealthy(_))]), "{found:?}");
}

#[tokio::test]
async fn commands_are_asked_and_what_they_say_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let script = "test -e good || { echo not good; exit 3; }";
    let spec = format!(
        r#"{{"exec":["sh","-c","{script}"],"interval":"50ms","failures":2,"start_period":"0s","timeout":"20s"}}"#
    );
    std::fs::write(dir.path().join("good"), "").unwrap();
    let later = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        std::fs::remove_file(dir.path().join("good")).unwrap();
    };
    let (found, ()) = tokio::join!(told(&spec, nothing(), dir.path(), Duration::from_secs(2)), later);
    let verdicts: Vec<&Verdict> = found.iter().map(|(_, verdict)| verdict).take(3).collect();
    let [Verdict::Well, Verdict::Ailing(first), Verdict::Unhealthy(second)] = verdicts[..] else { panic!("{found:?}") };
    assert!(first.contains("exit code 3: not good") && first.ends_with("(1 of 2 times)"), "{first}");
    assert!(second.ends_with("2 times in a row"), "{second}");
}

#[tokio::test(start_paused = true)]
async fn too_much_memory_for_too_long_is_unhealthy() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    write("memory.current", "4294967296");
    write("memory.stat", "inactive_file 0");
    write("cpu.stat", "usage_usec 0");
    let signs = Told { beat: Rc::default(), cgroup: Some(dir.path().to_owned()) };
    let spec = r#"{"memory":{"max":"2G","for":"30s"},"cpu":{"max":"10%"}}"#;
    let found = told(spec, signs, Path::new("/"), Duration::from_secs(40)).await;
    let over = "4096 MiB of memory, more than 2G".to_owned();
    assert_eq!(found[0], (0, Verdict::Ailing(over.clone())));
    assert!(matches!(&found[1], (30..38, Verdict::Unhealthy(why)) if *why == format!("{over} for 30s")), "{found:?}");
}

/// Counts its checks.
struct Counted(Rc<Cell<u32>>);

impl Signs for Counted {
    fn processes(&self) -> Vec<u32> {
        Vec::new()
    }

    fn cgroup(&self) -> Option<PathBuf> {
        None
    }

    async fn beat(&self) -> Option<Instant> {
        None
    }

    fn answered(&self, _took: Duration) {
        self.0.set(self.0.get() + 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_thousand_checks_take_a_thousand_seconds() {
    // What cannot be asked is answered at once, so that nothing but the clock is waited for.
    let spec: HealthSpec = serde_json::from_str(r#"{"http":"no address","interval":"1s"}"#).unwrap();
    let count = Rc::new(Cell::new(0));
    let patient = Patient {
        shown: spec.clone(),
        spec,
        cwd: "/".into(),
        age: Duration::ZERO,
        signs: Counted(Rc::clone(&count)),
        commands: Commands::Children(BTreeMap::new(), "/".into()),
        turns: Rc::new(Semaphore::new(1)),
    };
    // The first one is at once.
    let _over = tokio::time::timeout(Duration::from_millis(999_500), watch(patient, |_| {})).await;
    assert_eq!(count.get(), 1000);
}

#[tokio::test(start_paused = true)]
async fn a_rhythm_holds_however_late_its_answers_are() {
    let (start, every) = (Instant::now(), Duration::from_secs(1));
    let (mut due, mut now, mut count) = (start, start, 0);
    while now < start + Duration::from_secs(1000) {
        // It is come to a little late, each time, and each hundredth answer takes longer than a beat.
        now = now.max(on_grid(due)) + Duration::from_micros(300);
        count += 1;
        now += Duration::from_millis(if count % 100 == 0 { 2500 } else { count % 700 });
        due = following(due, every, now);
        assert!(due > now && due - now <= every);
        assert_eq!((due - start).as_nanos() % every.as_nanos(), 0);
    }
    // Two are left out each of nine times.
    assert!((982..=983).contains(&count), "{count}");
}

#[test]
fn looks_fall_on_a_grid() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let start = Instant::now();
        let on = |ms| on_grid(start + Duration::from_millis(ms)) - start;
        assert!(on(1) >= Duration::from_millis(1) && on(1) < Duration::from_millis(51));
        assert_eq!(on_grid(on_grid(start)), on_grid(start));
        assert_eq!(on(1051) - on(1001), GRID);
    });
}
