//! What every backend must do, run against each of them: `all(&make, instance).await`.
//!
//! `make` makes the backend anew, with a channel of its own; what an earlier one started lives on,
//! as it does when a daemon is killed and started again. `instance` is the id of the instance that
//! the backend was made with. Programs are /bin/sh and this very test program; the sim reads what
//! they do from a variable. Must run in a `LocalSet` where the backend needs one.
//!
//! Every wait has an end: what does not come within [`LIMIT`] fails the suite.

mod later;
mod starts;
mod trees;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;

use super::{Backend, Happened, Launch, Placed, What};
use crate::model::service::{BackendKind, Exit, Limits, ServiceSpec};
use crate::model::{Identity, ServiceId};
use crate::registry::Record;
pub(crate) use starts::SAYS_READY;

const LIMIT: Duration = Duration::from_secs(20);

/// All of the suite, one part after another; panics at the first that fails.
pub(crate) async fn all<B: Backend>(make: &impl AsyncFn() -> (B, UnboundedReceiver<Happened>), instance: &str) {
    starts::exits_are_told(&mut Suite::new(make, instance).await).await;
    starts::what_cannot_be_started_is_permanent(&mut Suite::new(make, instance).await).await;
    starts::what_is_being_written_is_tried_again(&mut Suite::new(make, instance).await).await;
    starts::nothing_runs_without_a_record(&mut Suite::new(make, instance).await).await;
    starts::a_program_gets_its_surroundings(&mut Suite::new(make, instance).await).await;
    starts::many_start_at_once(&mut Suite::new(make, instance).await).await;
    starts::it_says_that_it_is_ready(&mut Suite::new(make, instance).await).await;
    trees::signals_reach_whom_they_should(&mut Suite::new(make, instance).await).await;
    trees::a_stop_is_an_exit(&mut Suite::new(make, instance).await).await;
    trees::nothing_is_left_of_a_tree(&mut Suite::new(make, instance).await).await;
    trees::what_outlives_the_main_process_is_cleared(&mut Suite::new(make, instance).await).await;
    trees::what_carries_the_mark_is_found(&mut Suite::new(make, instance).await).await;
    later::what_runs_is_adopted(make, instance).await;
    later::what_ended_meanwhile_is_told(make, instance).await;
    later::what_never_started_is_no_exit(make, instance).await;
}

/// A start of a program, and nothing more than that.
pub(super) fn of_instance(instance: &str, id: &str, program: &str, argv: &[&str]) -> Launch {
    let env = [("PATH", "/usr/local/bin:/usr/bin:/bin"), ("PROVOST_SERVICE", id), ("PROVOST_INSTANCE_ID", instance)];
    Launch {
        input: Vec::new(),
        room: None,
        id: id.parse().unwrap(),
        description: format!("{id}, a test"),
        program: program.into(),
        argv: argv.iter().map(|word| (*word).to_owned()).collect(),
        cwd: "/tmp".into(),
        env: env.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        limits: Limits::default(),
        user: None,
        stop: ServiceSpec::default_stop(),
        notify: false,
        beats: false,
        log_file: false,
        systemd: BTreeMap::new(),
        after: Vec::new(),
        needed: false,
    }
}

/// One backend, and a folder for what its programs write.
struct Suite<B> {
    backend: B,
    happened: UnboundedReceiver<Happened>,
    instance: String,
    dir: tempfile::TempDir,
    run: u64,
}

impl<B: Backend> Suite<B> {
    async fn new(make: &impl AsyncFn() -> (B, UnboundedReceiver<Happened>), instance: &str) -> Self {
        let (backend, happened) = make().await;
        let dir = tempfile::tempdir().unwrap();
        Self { backend, happened, instance: instance.to_owned(), dir, run: 0 }
    }

    fn is_sim(&self) -> bool {
        self.backend.kind() == BackendKind::Sim
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// `/bin/sh -c script` in the folder of the suite; `sim` says the same to the sim.
    fn launch(&self, id: &str, script: &str, sim: &str) -> Launch {
        let id: ServiceId = format!("conform-{id}").parse().unwrap();
        let mut launch = of_instance(&self.instance, id.as_str(), "/bin/sh", &["sh", "-c", script]);
        launch.cwd = self.dir.path().to_owned();
        launch.env.insert(super::sim::VARIABLE.to_owned(), sim.to_owned());
        launch
    }

    /// Starts it in a new run.
    async fn start(&mut self, launch: &Launch) -> Placed {
        self.run += 1;
        let start = self.backend.start(launch, self.run, &|_| Ok(()));
        within("the start", start).await.unwrap_or_else(|error| panic!("{} did not start: {error}", launch.id))
    }

    /// The next exit, which must be that of the last run of this service.
    async fn exit(&mut self, launch: &Launch) -> Exit {
        loop {
            let next = within("an exit", self.happened.recv()).await.expect("the backend lives");
            match next.what {
                What::Exited(exit) => {
                    assert_eq!((&next.id, next.run), (&launch.id, self.run));
                    return exit;
                }
                What::StoppedByOthers | What::StartedByOthers(_) => panic!("nobody else did anything: {next:?}"),
                What::Ready | What::Main(_) | What::Status(_) | What::Alive => {}
            }
        }
    }

    /// Waits for a file that a program makes; the sim's make none, and need no time.
    async fn file(&self, name: &str) {
        if !self.is_sim() {
            until(&format!("the file {name}"), || self.path(name).exists()).await;
        }
    }

    /// Ends all of it, and checks that none of these pids is left.
    async fn clear(&self, launch: &Launch, pids: &[u32]) {
        within("clearing", self.backend.clear(&launch.id)).await.unwrap();
        assert_eq!(self.backend.processes(&launch.id), [0_u32; 0], "of {}", launch.id);
        for pid in pids.iter().filter(|_| !self.is_sim()) {
            assert!(!runs(*pid), "pid {pid} of {} lives on", launch.id);
        }
    }

    /// Clears, waits for the exit if it ran, and forgets it.
    async fn finish(&mut self, launch: &Launch, runs: bool) {
        let pids = self.backend.processes(&launch.id);
        self.clear(launch, &pids).await;
        if runs {
            self.exit(launch).await;
        }
        within("the release", self.backend.release(&launch.id)).await;
    }

    /// The record that a supervisor would have written.
    fn record(&self, launch: &Launch, placed: &Placed) -> Record {
        use std::os::unix::fs::MetadataExt as _;
        let spec = ServiceSpec::new(launch.id.clone(), launch.argv.clone(), launch.cwd.clone());
        Record {
            instance: Some(self.instance.clone()),
            desired: crate::model::service::Desired::Up,
            state: crate::model::service::ServiceState::Running,
            backend: Some(self.backend.kind()),
            boot_id: crate::observe::boot_id(),
            pid_namespace: std::fs::metadata("/proc/self/ns/pid").ok().map(|found| found.ino()),
            identity: placed.identity,
            unit: placed.unit.clone(),
            invocation: placed.invocation.clone(),
            containment: placed.containment,
            ..Record::new(spec, rustix::process::getuid().as_raw())
        }
    }
}

/// Waits, but not for ever.
async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, future).await.unwrap_or_else(|_| panic!("{what} did not come"))
}

/// Waits until something that tells nobody is so.
async fn until(what: &str, mut so: impl FnMut() -> bool) {
    within(what, async {
        while !so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

/// Whether there is such a process; a zombie has ended.
fn runs(pid: u32) -> bool {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat"));
    stat.is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or("").trim_start().starts_with(['Z', 'X']))
}

fn main_pid(placed: &Placed) -> u32 {
    placed.identity.map(|identity: Identity| identity.pid).expect("the main process is known")
}
