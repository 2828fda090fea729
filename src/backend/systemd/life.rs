//! What is known of one unit, and what it means. Pure: changes go in, words for the supervisor
//! come out.
//!
//! A unit is made with RemainAfterExit: after a clean end it stays `active (exited)`, after any other
//! it is `failed`, and in both its exit can be read, also by a daemon that comes later. So a unit
//! that became `inactive` was stopped by somebody.

use crate::backend::What;
use crate::model::service::Exit;
use crate::systemd::UnitChange;

/// How many ends of jobs are kept.
const KEPT_JOBS: usize = 16;

/// What the manager last said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Status {
    pub(super) active: String,
    pub(super) sub: String,
    pub(super) job: u32,
    pub(super) invocation: String,
    pub(super) main_pid: u32,
    pub(super) code: i32,
    pub(super) status: i32,
    pub(super) text: String,
    pub(super) result: String,
    pub(super) began: u64,
    pub(super) ended: u64,
    pub(super) left: u64,
    pub(super) longest: u64,
}

impl Status {
    pub(super) fn apply(&mut self, change: UnitChange) {
        fn put<T>(to: &mut T, from: Option<T>) {
            if let Some(value) = from {
                *to = value;
            }
        }
        put(&mut self.active, change.active);
        put(&mut self.sub, change.sub);
        put(&mut self.job, change.job);
        put(&mut self.invocation, change.invocation);
        put(&mut self.main_pid, change.main_pid);
        put(&mut self.code, change.code);
        put(&mut self.status, change.status);
        put(&mut self.text, change.text);
        put(&mut self.result, change.result);
        put(&mut self.began, change.began);
        put(&mut self.ended, change.ended);
        put(&mut self.left, change.left);
        put(&mut self.longest, change.longest);
    }

    /// Nothing of it runs, and no stop is needed before it can be forgotten.
    pub(super) fn is_down(&self) -> bool {
        matches!(self.active.as_str(), "inactive" | "failed" | "")
    }

    /// It runs, or is on its way to.
    pub(super) fn is_up(&self) -> bool {
        self.main_pid != 0 && matches!(self.active.as_str(), "active" | "activating" | "reloading")
    }

    /// Its main process has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.main_pid == 0 && (self.code != 0 || self.is_down())
    }

    /// The unit was being stopped before its main process ended.
    pub(super) fn left_first(&self) -> bool {
        // What is still active was not stopped, and an older end of it is of another run.
        self.active != "active" && self.began <= self.left && self.left < self.ended
    }

    /// The same, by somebody, and not by the manager of its own accord.
    fn was_stopped(&self) -> bool {
        let limited = !matches!(self.longest, 0 | u64::MAX);
        let by_manager = match self.result.as_str() {
            "oom-kill" | "watchdog" => true,
            "timeout" => limited,
            _ => false,
        };
        self.left_first() && !by_manager
    }

    /// How: codes of wait(2).
    pub(super) fn exit(&self) -> Exit {
        match self.code {
            1 => Exit::Code(self.status),
            2 | 3 => Exit::Signal(self.status),
            _ => Exit::Unknown,
        }
    }
}

/// Where our part in it stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nothing was started, or its end was told.
    #[default]
    Over,
    /// Our start is under way; what happens meanwhile is told when it is done.
    Starting,
    /// It runs.
    Running,
}

/// What there is to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Told {
    /// This.
    What(What),
    /// It was stopped by others, unless the whole manager is ending.
    Stopped,
    /// Others started it, with this main process.
    Started(u32),
}

/// One unit.
#[derive(Debug, Clone, Default)]
pub(super) struct Life {
    /// The run of which is told.
    pub(super) run: u64,
    pub(super) phase: Phase,
    pub(super) status: Status,
    /// The invocation of the run; while one starts, that before it.
    pub(super) invocation: String,
    /// The job of our start.
    pub(super) job: u32,
    /// Jobs of it that have ended, since our start began.
    pub(super) ended_jobs: Vec<(u32, String)>,
    /// We asked for its end.
    pub(super) stopping: bool,
    /// A call that makes it had no answer, or the end of its job was not heard: it may come to be yet.
    pub(super) unsure: bool,
    /// Somebody else has a job for it that ends the run.
    foreign: bool,
    /// It says READY=1.
    pub(super) notify: bool,
    ready: bool,
    told_text: String,
    /// How often it is referenced by us.
    pub(super) references: u32,
    /// Grows with each change: whoever reads the unit otherwise sees whether that is old.
    pub(super) version: u64,
    /// How often the connection broke.
    pub(super) breaks: u64,
}

impl Life {
    /// Our start begins.
    pub(super) fn begin(&mut self, run: u64) {
        *self = Self {
            run,
            phase: Phase::Starting,
            invocation: self.status.invocation.clone(),
            status: std::mem::take(&mut self.status),
            references: self.references,
            version: self.version,
            breaks: self.breaks,
            unsure: self.unsure,
            ..Self::default()
        };
    }

    /// It runs in this invocation from now on, as far as we know.
    pub(super) fn runs(&mut self) {
        self.phase = Phase::Running;
        self.invocation.clone_from(&self.status.invocation);
        (self.stopping, self.foreign, self.ready, self.unsure) = (false, false, false, false);
        self.told_text.clear();
    }

    /// Our start has brought up a main process, and all is known of it: a unit that was just made has no
    /// invocation yet, and its main process is told before that.
    pub(super) fn has_started(&self) -> bool {
        let invocation = &self.status.invocation;
        self.status.main_pid != 0 && !invocation.is_empty() && *invocation != self.invocation
    }

    /// Takes a change; what there is to tell.
    pub(super) fn on_change(&mut self, change: UnitChange) -> Vec<Told> {
        let complete = change.is_complete();
        self.status.apply(change);
        self.version += 1;
        if complete { self.judge() } else { Vec::new() }
    }

    /// Nothing more is to be learnt of the end of this main process.
    pub(super) fn is_over(&self, pid: u32) -> bool {
        self.status.main_pid != pid && !(self.phase == Phase::Running && self.status.has_ended())
    }

    /// A job ended.
    pub(super) fn job_ended(&mut self, job: u32, result: String) {
        // Nobody waits for jobs of others, and they can be many.
        if self.ended_jobs.len() >= KEPT_JOBS {
            self.ended_jobs.remove(0);
        }
        self.ended_jobs.push((job, result));
    }

    /// How this job ended, once.
    pub(super) fn end_of(&mut self, job: u32) -> Option<String> {
        let at = self.ended_jobs.iter().position(|(ended, _)| *ended == job)?;
        Some(self.ended_jobs.swap_remove(at).1)
    }

    /// What there is to tell now.
    pub(super) fn judge(&mut self) -> Vec<Told> {
        match self.phase {
            Phase::Starting => Vec::new(),
            Phase::Over => self.started_by_others().into_iter().collect(),
            Phase::Running => self.judge_run(),
        }
    }

    fn started_by_others(&mut self) -> Option<Told> {
        let another = !self.status.invocation.is_empty() && self.status.invocation != self.invocation;
        (another && self.status.is_up()).then(|| {
            self.runs();
            Told::Started(self.status.main_pid)
        })
    }

    fn judge_run(&mut self) -> Vec<Told> {
        let mut told: Vec<Told> = self.started_by_others().into_iter().collect();
        let status = &self.status;
        let job_of_others = status.job != 0 && status.job != self.job && !self.stopping;
        let ended = status.has_ended();
        self.foreign |= job_of_others && (ended || status.active == "deactivating");
        self.foreign |= ended && !self.stopping && status.was_stopped();
        if !ended {
            if self.notify && !self.ready && status.active == "active" {
                self.ready = true;
                told.push(Told::What(What::Ready));
            }
            if status.text != self.told_text {
                self.told_text.clone_from(&status.text);
                told.push(Told::What(What::Status(self.told_text.clone())));
            }
            return told;
        }
        // A job of others may begin another run: that is known when it is done.
        let settled = status.job == 0 && status.active != "deactivating";
        let by_others = !self.stopping && status.is_down() && (self.foreign || status.active != "failed");
        if !self.foreign || self.stopping || settled {
            self.phase = Phase::Over;
            told.push(if by_others { Told::Stopped } else { Told::What(What::Exited(status.exit())) });
        }
        told
    }
}

#[cfg(test)]
#[path = "life_tests.rs"]
mod tests;
