use super::*;

fn unit(active: &str, job: u32, invocation: &str) -> UnitChange {
    UnitChange {
        active: Some(active.to_owned()),
        job: Some(job),
        invocation: Some(invocation.to_owned()),
        ..UnitChange::default()
    }
}

fn service(main_pid: u32, code: i32, status: i32) -> UnitChange {
    UnitChange { main_pid: Some(main_pid), code: Some(code), status: Some(status), ..UnitChange::default() }
}

/// Both signals of a change.
fn change(life: &mut Life, (pid, code, status): (u32, i32, i32), (active, job, id): (&str, u32, &str)) -> Vec<Told> {
    assert_eq!(life.on_change(service(pid, code, status)), []);
    life.on_change(unit(active, job, id))
}

/// Started by us with job 1, running as pid 7 in invocation a.
fn running() -> Life {
    let mut life = Life::default();
    life.begin(1);
    life.job = 1;
    assert_eq!(change(&mut life, (7, 0, 0), ("activating", 1, "a")), []);
    assert_eq!(change(&mut life, (7, 0, 0), ("active", 0, "a")), []);
    life.runs();
    life
}

fn exited(exit: Exit) -> Vec<Told> {
    vec![Told::What(What::Exited(exit))]
}

#[test]
fn ends_of_all_kinds() {
    assert_eq!(change(&mut running(), (0, 1, 3), ("failed", 0, "a")), exited(Exit::Code(3)));
    assert_eq!(change(&mut running(), (0, 2, 9), ("failed", 0, "a")), exited(Exit::Signal(9)));
    assert_eq!(change(&mut running(), (0, 3, 11), ("failed", 0, "a")), exited(Exit::Signal(11)));
    // A clean end keeps the unit.
    assert_eq!(change(&mut running(), (0, 1, 0), ("active", 0, "a")), exited(Exit::Code(0)));
    // Others of its tree live on.
    let mut life = running();
    assert_eq!(change(&mut life, (0, 1, 3), ("deactivating", 0, "a")), exited(Exit::Code(3)));
    assert_eq!(change(&mut life, (0, 1, 3), ("failed", 0, "a")), [], "told once");
}

#[test]
fn an_end_during_our_start_is_told_after_it() {
    let mut life = Life::default();
    life.begin(1);
    assert_eq!(change(&mut life, (0, 1, 3), ("failed", 0, "a")), []);
    life.runs();
    assert_eq!(life.judge(), exited(Exit::Code(3)));
}

#[test]
fn our_start_is_not_that_of_others() {
    let mut life = running();
    assert_eq!(change(&mut life, (0, 1, 1), ("failed", 0, "a")), exited(Exit::Code(1)));
    life.begin(2);
    (life.job, life.notify) = (2, true);
    // Forgotten, made anew, begun: the halves of each change come one after the other.
    assert_eq!(change(&mut life, (0, 1, 1), ("inactive", 0, "a")), []);
    assert_eq!(change(&mut life, (0, 0, 0), ("inactive", 2, "")), []);
    assert_eq!(life.on_change(service(8, 0, 0)), []);
    assert!(!life.has_started(), "it is not known which run it is");
    assert_eq!(life.on_change(unit("inactive", 2, "b")), []);
    assert!(life.has_started());
    life.runs();
    assert_eq!(change(&mut life, (8, 0, 0), ("activating", 2, "b")), []);
    assert_eq!(change(&mut life, (0, 1, 1), ("failed", 0, "b")), exited(Exit::Code(1)));
}

#[test]
fn our_stop_is_an_exit() {
    let mut life = running();
    life.stopping = true;
    assert_eq!(change(&mut life, (7, 0, 0), ("deactivating", 2, "a")), []);
    assert_eq!(change(&mut life, (0, 2, 15), ("inactive", 0, "a")), exited(Exit::Signal(15)));
    assert_eq!(life.judge(), []);
}

#[test]
fn a_stop_by_others_is_no_exit() {
    let mut life = running();
    assert_eq!(change(&mut life, (7, 0, 0), ("deactivating", 9, "a")), []);
    assert_eq!(change(&mut life, (0, 1, 5), ("failed", 0, "a")), [Told::Stopped], "whatever its exit code");
    // All of it in one change.
    assert_eq!(change(&mut running(), (0, 2, 15), ("inactive", 0, "a")), [Told::Stopped]);
    // Nothing but the end is left of what was read after the connection broke.
    assert_eq!(change(&mut running(), (0, 0, 0), ("inactive", 0, "")), [Told::Stopped]);
}

#[test]
fn a_stop_whose_job_is_gone_shows_in_its_times() {
    let end = |active: &str, result: &str, (began, left, ended): (u64, u64, u64), longest: u64| {
        let mut life = running();
        let times = UnitChange {
            began: Some(began),
            left: Some(left),
            ended: Some(ended),
            longest: Some(longest),
            result: Some(result.to_owned()),
            ..service(0, 1, 3)
        };
        assert_eq!(life.on_change(times), []);
        life.on_change(unit(active, 0, "a"))
    };
    let stopped = [Told::Stopped];
    assert_eq!(end("failed", "exit-code", (10, 20, 30), u64::MAX), stopped);
    assert_eq!(end("failed", "timeout", (10, 20, 30), u64::MAX), stopped, "it took too long");
    // The manager did it.
    for (result, longest) in [("oom-kill", u64::MAX), ("watchdog", u64::MAX), ("timeout", 5)] {
        assert_eq!(end("failed", result, (10, 20, 30), longest), exited(Exit::Code(3)), "{result}");
    }
    // It ended by itself: its unit left afterwards, stays, or had left in an earlier run.
    assert_eq!(end("failed", "exit-code", (10, 30, 30), u64::MAX), exited(Exit::Code(3)));
    assert_eq!(end("active", "exit-code", (10, 0, 30), u64::MAX), exited(Exit::Code(3)));
    assert_eq!(end("failed", "exit-code", (10, 5, 30), u64::MAX), exited(Exit::Code(3)));
}

#[test]
fn a_restart_by_others() {
    let mut life = running();
    assert_eq!(change(&mut life, (7, 0, 0), ("deactivating", 9, "a")), []);
    assert_eq!(change(&mut life, (0, 2, 15), ("inactive", 9, "a")), []);
    assert_eq!(change(&mut life, (8, 0, 0), ("activating", 9, "b")), [Told::Started(8)]);
    assert_eq!(change(&mut life, (8, 0, 0), ("active", 0, "b")), []);
    assert_eq!(change(&mut life, (0, 1, 1), ("failed", 0, "b")), exited(Exit::Code(1)));
    // After its end.
    assert_eq!(change(&mut life, (9, 0, 0), ("active", 0, "c")), [Told::Started(9)]);
    // In one change.
    assert_eq!(change(&mut life, (10, 0, 0), ("active", 0, "d")), [Told::Started(10)]);
}

#[test]
fn readiness_and_status() {
    let mut life = Life { notify: true, ..running() };
    life.status.active = "activating".to_owned();
    life.status.job = 1;
    let text = UnitChange { text: Some("warm".to_owned()), ..UnitChange::default() };
    assert_eq!(life.on_change(text), []);
    let warm = Told::What(What::Status("warm".to_owned()));
    assert_eq!(life.on_change(unit("activating", 1, "a")), [warm]);
    assert_eq!(life.on_change(unit("active", 0, "a")), [Told::What(What::Ready)]);
    assert_eq!(life.on_change(unit("active", 0, "a")), []);
    // It ends before it is ready, its own start job still there.
    let mut life = Life { notify: true, ..running() };
    assert_eq!(change(&mut life, (0, 1, 2), ("failed", 1, "a")), exited(Exit::Code(2)));
}
