use super::Decision::*;
use super::*;
use crate::backend::Placed;
use crate::model::Identity;
use crate::model::service::ServiceState::*;

const BOOT: &str = "this boot";
const OLD: &str = "an earlier boot";

fn now() -> SystemTime {
    humantime::parse_rfc3339("2026-05-03T00:00:00Z").unwrap()
}

fn record(policy: RestartPolicy, desired: Desired, state: ServiceState, boot: &str) -> Record {
    let mut spec = ServiceSpec::new("a".parse().unwrap(), vec!["x".to_owned()], "/".into());
    spec.restart.policy = policy;
    spec.project = Some("/p/provost.toml".into());
    let (instance, backend) = (Some("i".repeat(32)), Some(BackendKind::Direct));
    Record { instance, backend, desired, state, boot_id: boot.to_owned(), ..Record::new(spec, 1000) }
}

fn ad_hoc(mut record: Record) -> Record {
    record.spec.project = None;
    record
}

fn decided(record: &Record, found: Option<&Adoption>) -> Decision {
    let (decision, reason) = decide(record, found, BOOT, now());
    assert!(reason.starts_with("a: ") && !reason.contains('\n') && reason.len() < 150, "{reason}");
    decision
}

const POLICIES: [RestartPolicy; 3] = [RestartPolicy::Always, RestartPolicy::OnFailure, RestartPolicy::Never];
const STATES: [ServiceState; 6] = [Stopped, Starting, Running, Stopping, Restarting, Failed];
const EXITS: [Exit; 4] = [Exit::Code(0), Exit::Code(1), Exit::Signal(9), Exit::Unknown];

#[test]
fn what_runs_is_taken_over_whatever_the_record_says() {
    let identity = Some(Identity { pid: 7, start_ticks: 1, pidfd_inode: None });
    let running = Adoption::Running(Placed { identity, ..Placed::default() });
    for policy in POLICIES {
        for state in STATES {
            for change in [ad_hoc, |record| record] {
                let record = |desired| change(record(policy, desired, state, BOOT));
                assert_eq!(decided(&record(Desired::Up), Some(&running)), Adopt);
                assert_eq!(decided(&record(Desired::Down), Some(&running)), AdoptAndStop);
            }
        }
    }
    let reason = decide(&record(RestartPolicy::Always, Desired::Up, Running, BOOT), Some(&running), BOOT, now()).1;
    assert_eq!(reason, "a: it runs as pid 7, and is taken over");
}

#[test]
fn what_ended_meanwhile_goes_by_policy_and_desire() {
    for exit in EXITS {
        let found = Adoption::Ended(exit);
        for state in STATES {
            for policy in POLICIES {
                let up = record(policy, Desired::Up, state, BOOT);
                let down = record(policy, Desired::Down, state, BOOT);
                let restart = match policy {
                    RestartPolicy::Always => true,
                    // Who does not know takes it for a failure.
                    RestartPolicy::OnFailure => exit != Exit::Code(0),
                    RestartPolicy::Never => false,
                };
                let expected = if restart { Restart(Some(exit)) } else { LeaveStopped(Some(exit)) };
                assert_eq!(decided(&up, Some(&found)), expected, "{policy:?} {exit}");
                assert_eq!(decided(&down, Some(&found)), LeaveStopped(Some(exit)));
                let expected = match (restart, exit) {
                    (true, exit) => Restart(Some(exit)),
                    (false, Exit::Code(0)) => Drop,
                    (false, exit) => LeaveStopped(Some(exit)),
                };
                assert_eq!(decided(&ad_hoc(up), Some(&found)), expected, "{policy:?} {exit}");
                assert_eq!(decided(&ad_hoc(down), Some(&found)), Drop);
            }
        }
    }
}

#[test]
fn a_start_that_was_not_carried_out() {
    for policy in POLICIES {
        let found = Some(&Adoption::NeverStarted);
        let up = record(policy, Desired::Up, Starting, BOOT);
        let down = record(policy, Desired::Down, Starting, BOOT);
        assert_eq!(decided(&up, found), Restart(None));
        assert_eq!(decided(&down, found), LeaveStopped(None));
        assert_eq!(decided(&ad_hoc(up), found), Restart(None));
        assert_eq!(decided(&ad_hoc(down), found), Drop);
    }
}

#[test]
fn a_new_boot_starts_what_is_enabled_and_forgets_commands() {
    for state in STATES {
        for desired in [Desired::Up, Desired::Down] {
            for policy in POLICIES {
                let mut enabled = record(policy, desired, state, OLD);
                assert!(!may_run(&enabled, BOOT));
                assert_eq!(decided(&enabled, None), StartBecauseEnabled, "a stop by hand holds until the next boot");
                assert_eq!(decided(&ad_hoc(enabled.clone()), None), Drop);
                enabled.spec.enabled = false;
                assert_eq!(decided(&enabled, None), LeaveStopped(None));
            }
        }
    }
}

#[test]
fn the_same_boot_without_anything_that_runs() {
    let ended = |exit, record: Record| Record { last_exit: Some(exit), ..record };
    for policy in POLICIES {
        let up = |state| record(policy, Desired::Up, state, BOOT);
        let down = |state| record(policy, Desired::Down, state, BOOT);
        assert_eq!(decided(&up(Restarting), None), Restart(None));
        assert_eq!(decided(&up(Failed), None), LeaveStopped(None));
        assert_eq!(decided(&up(Stopped), None), Restart(None), "asked to start, and not begun");
        let waiting = Record { backend: None, ..up(Starting) };
        assert_eq!(decided(&waiting, None), Restart(None), "it waited for others, and was never executed");
        for state in [Stopped, Failed, Restarting] {
            assert_eq!(decided(&down(state), None), LeaveStopped(None), "a stop by hand holds");
            assert_eq!(decided(&ad_hoc(down(state)), None), Drop);
        }
        // Its work is done, which is no reason to do it again.
        let done = match policy {
            RestartPolicy::Always => (Restart(None), Restart(None)),
            RestartPolicy::OnFailure | RestartPolicy::Never => (LeaveStopped(None), Drop),
        };
        assert_eq!(decided(&ended(Exit::Code(0), up(Stopped)), None), done.0);
        assert_eq!(decided(&ad_hoc(ended(Exit::Code(0), up(Stopped))), None), done.1);
        // Something may run, and its backend cannot be asked.
        for state in [Starting, Running, Stopping] {
            for record in [up(state), down(state)] {
                let record = Record { backend: Some(BackendKind::Direct), ..record };
                assert!(may_run(&record, BOOT));
                assert_eq!(decided(&record, None), LeaveAlone);
            }
        }
        assert!(!may_run(&waiting, BOOT));
    }
}

#[test]
fn a_failed_command_is_kept_for_a_day() {
    let failed = ad_hoc(record(RestartPolicy::Never, Desired::Up, Failed, BOOT));
    let at = |at: &str| Record { stopped_at: Some(at.to_owned()), ..failed.clone() };
    assert_eq!(decided(&failed, None), LeaveStopped(None), "nobody knows when");
    assert_eq!(decided(&at("2026-05-02T12:00:00Z"), None), LeaveStopped(None));
    assert_eq!(decided(&at("2026-05-04T12:00:00Z"), None), LeaveStopped(None), "the clock was set back");
    assert_eq!(decided(&at("2026-05-01T12:00:00Z"), None), Drop);
    let configured = Record {
        spec: ServiceSpec { project: Some("/p".into()), ..failed.spec.clone() },
        ..at("2026-05-01T12:00:00Z")
    };
    assert_eq!(decided(&configured, None), LeaveStopped(None));
}

#[test]
fn what_has_never_run_starts_if_enabled() {
    let mut fresh = record(RestartPolicy::Always, Desired::Down, Stopped, "");
    assert_eq!(decided(&fresh, None), StartBecauseEnabled);
    fresh.spec.enabled = false;
    assert_eq!(decided(&fresh, None), LeaveStopped(None));
    fresh.desired = Desired::Up;
    assert_eq!(decided(&fresh, None), Restart(None));
}

#[test]
fn what_is_not_supervised_is_left_alone() {
    for state in STATES {
        let here = Record { instance: None, ..record(RestartPolicy::Always, Desired::Down, state, BOOT) };
        assert!(!may_run(&here, BOOT));
        assert_eq!(decided(&here, None), LeaveAlone);
        assert_eq!(decided(&Record { boot_id: OLD.to_owned(), ..here }, None), Drop);
    }
}

#[test]
fn a_damaged_record_is_made_anew() {
    let identity = |pid, start_ticks| Identity { pid, start_ticks, pidfd_inode: None };
    let marked = Marked { id: "a".parse().unwrap(), processes: vec![identity(9, 50), identity(12, 40)], unit: None };
    let spec = ServiceSpec::new("a".parse().unwrap(), vec!["x".to_owned()], "/".into());
    let record = rebuilt(spec, &marked, "i", BOOT, 1000);
    assert_eq!((record.identity, record.backend), (Some(identity(12, 40)), Some(BackendKind::Direct)));
    assert!(may_run(&record, BOOT));
}
