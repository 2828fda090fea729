use super::*;
use crate::model::Identity;
use crate::model::Signal;
use crate::model::service::{
    BackendKind, Check, Containment, Desired, Exit, PortSpec, Program, Ready, Reload, RestartPolicy, ServiceSpec,
    ServiceState, Size, Span,
};
use std::os::unix::fs::PermissionsExt as _;
use std::time::SystemTime;

const NOW: SystemTime = SystemTime::UNIX_EPOCH;

fn home() -> (tempfile::TempDir, Store) {
    let home = tempfile::tempdir().unwrap();
    let store = Store::at(&Places::below(home.path()));
    (home, store)
}

fn record(id: &str) -> Record {
    let spec = ServiceSpec::new(id.parse().unwrap(), vec!["x".to_owned()], "/".into());
    Record {
        identity: Some(Identity { pid: 1, start_ticks: 1, pidfd_inode: None }),
        ..Record::new(spec, rustix::process::geteuid().as_raw())
    }
}

/// A record in which nothing is as it is by default.
fn full() -> Record {
    let mut spec = ServiceSpec::new("full".parse().unwrap(), Vec::new(), "/srv/models".into());
    spec.project = Some("/home/watson/p/provost.toml".into());
    spec.instance_of = Some(("ful".parse().unwrap(), 1));
    spec.name = Some("Everything".to_owned());
    spec.program = Program::Script { path: "agent.py".to_owned(), interpreter: Some("python3".to_owned()) };
    spec.args = vec!["--model".to_owned(), "${MODEL:-gpt-4}".to_owned()];
    spec.env = [("A".to_owned(), "b".to_owned())].into();
    spec.env_file = Some("/srv/secrets.env".into());
    spec.port = Some(PortSpec::Range(50_000, 60_000));
    spec.socket = Some("${PROVOST_RUNTIME_DIR}/s".to_owned());
    spec.config_file = Some("c.yaml".to_owned());
    spec.ready = Some(Ready::new(Check::Http("http://127.0.0.1:${PORT}/health".to_owned())));
    spec.restart.policy = RestartPolicy::OnFailure;
    spec.restart.base = Span::millis(250);
    spec.restart.tries = -1;
    spec.restart.jitter = 0.5;
    spec.stop = "TERM:3s,INT:3s,KILL".parse().unwrap();
    spec.reload = Some(Reload::Signal(Signal::from_number(1).unwrap()));
    spec.after = vec!["embedding".parse().unwrap()];
    spec.enabled = false;
    spec.meta = serde_json::from_str(r#"{"model_id":"llama-7b","nested":{"a":[1,2.5,null]}}"#).unwrap();
    spec.gpus = vec!["0".to_owned()];
    spec.pid_file = Some("/run/x.pid".into());
    spec.limits.memory = Some(Size(2 << 30));
    spec.user = Some("ollama".to_owned());
    spec.systemd = [("PrivateTmp".to_owned(), true.into())].into();
    spec.log.file = true;
    let at = |minute: u32| Some(format!("2026-05-01T08:{minute:02}:00Z"));
    Record {
        instance: Some("0123456789abcdef0123456789abcdef".to_owned()),
        environment: [("HF_TOKEN".to_owned(), "é\"\\\n".to_owned())].into(),
        desired: Desired::Up,
        state: ServiceState::Restarting,
        backend: Some(BackendKind::Direct),
        boot_id: "5b2e1a52-0d5a-4a3c-9a46-0f6c2f8b7a11".to_owned(),
        pid_namespace: Some(4_026_531_836),
        identity: Some(Identity { pid: 4711, start_ticks: 99, pidfd_inode: Some(7) }),
        unit: Some("provost-full.service".to_owned()),
        invocation: Some("ab".repeat(16)),
        containment: Some(Containment::Cgroup),
        command_line: vec!["python3".to_owned(), "agent.py".to_owned()],
        port: Some(50_001),
        socket: Some("/run/s".to_owned()),
        log: Some("/x/logs/full".into()),
        ready: true,
        restarts: 12,
        failures: 3,
        created_at: at(0),
        started_at: at(1),
        stopped_at: at(2),
        last_restart_at: at(3),
        updated_at: at(4),
        last_exit: Some(Exit::Signal(9)),
        last_error: Some("exit code 1".to_owned()),
        uid: 1000,
        ..Record::new(spec, 1000)
    }
}

#[test]
fn records_are_for_their_user_alone() {
    let (_home, store) = home();
    fs::create_dir_all(&store.dir).unwrap();
    let old = store.dir.join("old.json");
    fs::write(&old, "{}").unwrap();
    for (path, mode) in [(&store.dir, 0o755), (&old, 0o644)] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    store.prepare().unwrap();
    let new = record("new");
    store.save(&new, true).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&store.dir), mode(&old), mode(&store.dir.join("new.json"))), (0o700, 0o600, 0o600));
    assert_eq!(store.all(), [new]);
    assert!(old.exists(), "who only looks changes nothing");
}

#[test]
fn what_is_saved_is_loaded_and_removed() {
    let (_home, store) = home();
    assert_eq!(store.load_all(NOW).unwrap().records, []);
    store.save(&full(), false).unwrap();
    store.save(&record("a"), true).unwrap();
    // A daemon that was killed while it wrote.
    fs::write(store.dir.join(format!(".b.{}", i32::MAX)), "{").unwrap();
    let other = store.dir.join(".c.1");
    fs::write(&other, "{").unwrap();
    let loaded = store.load_all(NOW).unwrap();
    assert_eq!((loaded.records, loaded.damaged), (vec![record("a"), full()], vec![]));
    assert_eq!(store.one(&full().id), Some(full()));
    assert!(other.exists(), "who writes it lives");
    store.remove(&full().id).unwrap();
    store.remove(&full().id).unwrap();
    assert_eq!(store.load_all(NOW).unwrap().records, [record("a")]);
    assert_eq!(fs::read_dir(&store.dir).unwrap().count(), 2);
}

#[test]
fn a_file_cut_at_any_byte_is_set_aside_and_no_other_is_touched() {
    let (_home, store) = home();
    store.save(&full(), false).unwrap();
    store.save(&record("other"), false).unwrap();
    let (path, other) = (store.path(&full().id), store.path(&record("other").id));
    let (text, beside) = (fs::read(&path).unwrap(), fs::read(&other).unwrap());
    for cut in 0..text.len() {
        fs::write(&path, &text[..cut]).unwrap();
        let loaded = store.load_all(NOW).unwrap();
        assert_eq!(loaded.records, [record("other")], "cut at {cut}");
        let [damaged] = &loaded.damaged[..] else { panic!("cut at {cut}: {loaded:?}") };
        assert_eq!(damaged.id, Some(full().id));
        let aside = damaged.aside.as_ref().unwrap();
        assert!(!path.exists() && aside.to_str().unwrap().contains("full.json.damaged-19700101T000000Z"));
        assert_eq!(fs::read(aside).unwrap(), &text[..cut], "nothing is lost");
        fs::remove_file(aside).unwrap();
    }
    assert_eq!(fs::read(&other).unwrap(), beside);
    // Two in one second.
    for n in 0..2 {
        fs::write(&path, "{").unwrap();
        let damaged = store.load_all(NOW).unwrap().damaged.remove(0);
        assert_eq!(damaged.to_string().ends_with("Z-1"), n == 1, "{damaged}");
    }
}

#[test]
fn what_is_not_ours_to_read_is_left_alone_and_said() {
    let (_home, store) = home();
    store.save(&record("good"), false).unwrap();
    let newer = r#"{"version":3,"id":"newer","anything":[]}"#;
    fs::write(store.dir.join("newer.json"), newer).unwrap();
    fs::write(store.dir.join("a b.json"), "{}").unwrap();
    fs::write(store.dir.join("g*.json"), "{}").unwrap();
    fs::create_dir(store.dir.join("folder.json")).unwrap();
    nix_fifo(&store.dir.join("fifo.json"));
    fs::write(store.dir.join("README"), "").unwrap();
    fs::copy(store.dir.join("good.json"), store.dir.join("copy.json")).unwrap();
    let loaded = store.load_all(NOW).unwrap();
    assert_eq!(loaded.records, [record("good")]);
    let mut said: Vec<String> = loaded.damaged.iter().map(ToString::to_string).collect();
    said.sort();
    let dir = store.dir.display();
    assert_eq!(
        said,
        [
            format!("{dir}/a b.json is no record: its name is no service id; left where it is"),
            format!(
                "{dir}/copy.json is no record: it says that it is the record of good; \
                 set aside as copy.json.damaged-19700101T000000Z"
            ),
            format!("{dir}/fifo.json is no record: it is no file; left where it is"),
            format!("{dir}/folder.json is no record: it is no file; left where it is"),
            format!("{dir}/g*.json is no record: its name is no service id; left where it is"),
            format!(
                "{dir}/newer.json is no record: it is of version 3, which a newer provost wrote; \
                 this one reads up to 2; kept as newer.json.newer"
            ),
        ]
    );
    assert_eq!(fs::read_to_string(store.dir.join("newer.json")).unwrap(), newer);
    // Of a service that has a record which can be read nothing is lost.
    let lost: Vec<String> = store.lost().iter().map(|(id, _)| id.to_string()).collect();
    assert_eq!(lost, ["copy", "newer"]);
    store.save(&record("copy"), false).unwrap();
    assert_eq!(store.lost().len(), 1);
    // What runs of it is taken over with a record of this version; theirs is there still.
    store.save(&record("newer"), false).unwrap();
    assert_eq!(fs::read_to_string(store.dir.join("newer.json.newer")).unwrap(), newer);
    // So it is of every further one, and of one that is looked at again.
    let newest = newer.replace("[]", "[1]");
    fs::write(store.dir.join("newest"), &newest).unwrap();
    fs::rename(store.dir.join("newest"), store.dir.join("newer.json")).unwrap();
    for _ in 0..2 {
        store.load_all(NOW).unwrap();
    }
    store.save(&record("newer"), false).unwrap();
    assert_eq!(fs::read_to_string(store.dir.join("newer.json.newer")).unwrap(), newer);
    assert_eq!(fs::read_to_string(store.dir.join("newer.json.newer-1")).unwrap(), newest);
    assert!(!store.dir.join("newer.json.newer-2").exists());
}

#[test]
fn a_record_that_cannot_be_read_is_kept_beside_what_is_written_for_it() {
    let (_home, store) = home();
    store.save(&record("a"), false).unwrap();
    let (path, kept) = (store.path(&record("a").id), store.dir.join("a.json.unread"));
    let text = fs::read(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    // Who only looks changes nothing.
    assert_eq!((as_nobody_special(|| store.look().unwrap().damaged.len()), kept.exists()), (1, false));
    for _ in 0..2 {
        let loaded = as_nobody_special(|| store.load_all(NOW)).unwrap();
        let said = loaded.damaged.iter().map(ToString::to_string).collect::<Vec<_>>();
        let why = format!("{} is no record: Permission denied (os error 13); kept as a.json.unread", path.display());
        assert_eq!((loaded.records, said), (vec![], vec![why]));
    }
    let mut rebuilt = record("a");
    rebuilt.rebuilt = true;
    store.save(&rebuilt, false).unwrap();
    fs::set_permissions(&kept, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!((store.one(&rebuilt.id), fs::read(&kept).unwrap()), (Some(rebuilt), text));
    assert_eq!(fs::read_dir(&store.dir).unwrap().count(), 2, "it has one more name, however often it is looked at");
}

#[test]
fn what_keeps_all_records_from_being_read_is_no_fault_of_one() {
    use rustix::io::Errno;
    let all = |errno: Errno| crate::registry::load::says_nothing_of_the_file(&errno.into());
    assert!([Errno::MFILE, Errno::NFILE, Errno::NOMEM].into_iter().all(all));
    assert!(![Errno::IO, Errno::ACCESS, Errno::STALE].into_iter().any(all));
}

/// Does it in a thread that may read what others may.
fn as_nobody_special<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let drop_rights = || {
        for right in [caps::Capability::CAP_DAC_OVERRIDE, caps::Capability::CAP_DAC_READ_SEARCH] {
            caps::drop(None, caps::CapSet::Effective, right).unwrap();
        }
        work()
    };
    std::thread::scope(|scope| scope.spawn(drop_rights).join().unwrap())
}

fn nix_fifo(path: &Path) {
    rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
}

/// Every version that was ever written loads for ever: these files are never changed.
#[test]
fn files_of_all_versions_load() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/registry");
    let read = |name: &str| crate::registry::upgrade::read(&fs::read(dir.join(name)).unwrap()).unwrap();
    let mut files = 0;
    for file in fs::read_dir(&dir).unwrap() {
        read(file.unwrap().file_name().to_str().unwrap());
        files += 1;
    }
    assert!(files >= 5);
    assert_eq!(read("v2-full.json"), full());
    let old = read("v1-ensure.json");
    assert_eq!((old.version, old.instance, old.spec.project), (2, None, None));
    assert_eq!((old.state, old.desired, old.uid), (ServiceState::Running, Desired::Down, 1000));
    assert_eq!(old.identity, Some(Identity { pid: 4711, start_ticks: 123_456, pidfd_inode: Some(789) }));
    assert_eq!(old.spec.program, Program::Command(old.command_line));
    assert_eq!(read("v2-least.json").spec.stop, ServiceSpec::default_stop());
    assert_eq!(read("v2-unknown-fields.json").state, ServiceState::Running);
}

#[test]
fn a_folder_that_takes_nothing_says_so_and_keeps_what_it_has() {
    let (home, store) = home();
    store.save(&record("a"), false).unwrap();
    // Root writes into any folder: a file in the folder's place stops everybody.
    let blocked = Store { dir: home.path().join("file/registry"), ..store.clone() };
    fs::write(home.path().join("file"), "").unwrap();
    let error = blocked.save(&record("a"), true).unwrap_err().to_string();
    assert!(error.starts_with("the record of a cannot be written: /") && error.contains("file"), "{error}");
    assert!(blocked.load_all(NOW).is_err());
    let mut changed = record("a");
    changed.restarts = 7;
    fs::remove_dir_all(&store.dir).unwrap();
    store.save(&changed, false).unwrap();
    assert_eq!(store.all(), [changed], "a folder that was removed is made again");
}

#[test]
fn what_is_to_outlive_a_loss_of_power_is_said_if_it_would_not() {
    let (home, store) = home();
    let ids: Vec<ServiceId> = (0..40).map(|n| format!("s{n}").parse().unwrap()).collect();
    for id in &ids {
        store.save(&record(id.as_str()), false).unwrap();
    }
    store.remove(&ids[7]).unwrap();
    assert!(store.sync(&ids).is_empty(), "one that was removed meanwhile is no error");
    // What cannot be opened cannot be on the disk, for all that is known.
    let blocked = Store { dir: home.path().join("file"), ..store };
    fs::write(&blocked.dir, "").unwrap();
    let failed: Vec<ServiceId> = blocked.sync(&ids).into_iter().map(|(id, _)| id).collect();
    assert_eq!(failed.len(), ids.len());
    assert!(blocked.sync(&[]).is_empty());
}
