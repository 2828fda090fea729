use super::*;

/// What this thread has worked since it began, whatever else the host does.
fn worked() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap())
}

fn subject(n: usize) -> Subject {
    Subject::Reads(format!("s{n}").parse().unwrap())
}

/// How much work it is to watch a file and to let go of it again, beside so many watched folders.
fn work_beside(others: usize, file: &Path) -> Duration {
    let mut watcher = Watcher::new();
    for n in 0..others {
        watcher.folders.insert(format!("/nowhere/{n}").into(), BTreeSet::from([subject(n)]));
    }
    let began = worked();
    for _ in 0..100 {
        watcher.files(Subject::Own, vec![file.to_owned()]);
        assert_eq!((watcher.folders.len(), watcher.trouble()), (others + 1, None));
        watcher.forget(&Subject::Own);
        assert_eq!(watcher.folders.len(), others);
    }
    worked() - began
}

#[tokio::test]
async fn what_others_watch_makes_no_work() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config");
    let (alone, beside) = (work_beside(0, &file), work_beside(20_000, &file));
    assert!(beside < alone * 10, "{alone:?} alone, {beside:?} beside 20,000 others");
}

#[tokio::test]
async fn a_folder_is_watched_for_as_long_as_anybody_wants_it() {
    let dir = tempfile::tempdir().unwrap();
    let (file, elsewhere) = (dir.path().join("config"), dir.path().join("other/config"));
    let mut watcher = Watcher::new();
    for n in 0..2 {
        watcher.files(subject(n), vec![file.clone()]);
    }
    let of = |watcher: &Watcher, folder: &Path| watcher.folders.get(folder).map_or(0, BTreeSet::len);
    assert_eq!(of(&watcher, dir.path()), 2);
    std::fs::create_dir(elsewhere.parent().unwrap()).unwrap();
    watcher.files(subject(0), vec![elsewhere.clone()]);
    assert_eq!((of(&watcher, dir.path()), of(&watcher, elsewhere.parent().unwrap())), (1, 1));
    watcher.forget(&subject(1));
    assert_eq!((of(&watcher, dir.path()), of(&watcher, elsewhere.parent().unwrap())), (0, 1));
    // One that was removed is let go of, and what comes in its place is watched anew.
    let now = Instant::now();
    watcher.notice(Ok(vec![Heard::Replaced(elsewhere.parent().unwrap().to_owned())]), now);
    std::fs::remove_dir(elsewhere.parent().unwrap()).unwrap();
    assert!(watcher.take(now + QUIET).is_empty());
    assert_eq!((of(&watcher, dir.path()), of(&watcher, elsewhere.parent().unwrap())), (1, 0));
    watcher.forget(&subject(0));
    assert_eq!((watcher.folders.len(), watcher.of.len()), (0, 0));
}
