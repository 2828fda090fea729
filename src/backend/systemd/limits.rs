//! Whether a service is held to its limits: a manager gives as much as it can, and says nothing.

use super::Shared;
use super::units::Unit;
use crate::backend::{Launch, Placed};

impl Shared {
    /// The limits that it is not held to, in words.
    pub(super) fn unenforced(&self, launch: &Launch, unit: &Unit, placed: &Placed) -> Vec<String> {
        let limits = &launch.limits;
        let of_all = [
            (limits.memory.is_some(), "memory", "memory.max"),
            (limits.cpu.is_some(), "cpu", "cpu.max"),
            (limits.tasks.is_some(), "tasks", "pids.max"),
        ];
        let cgroup = self.cgroup(&unit.name);
        let mut words: Vec<String> = of_all
            .into_iter()
            .filter(|(asked, _, file)| *asked && self.cgroups.lacks(&cgroup, file))
            .map(|(_, limit, _)| {
                format!("limits.{limit} cannot be enforced: this manager was given no control group controller for it")
            })
            .collect();
        let Some(pid) = placed.identity.map(|identity| identity.pid) else { return words };
        let mut compare = |name: &str, asked: Option<i64>, is: fn(u32) -> Option<i64>| {
            let is = asked.and_then(|_| is(pid));
            if let Some((asked, is)) = asked.zip(is).filter(|(asked, is)| asked != is) {
                words.push(format!("limits.{name} is {is} instead of {asked}: more was not allowed"));
            }
        };
        compare("nice", limits.nice.map(i64::from), nice);
        compare("oom_score_adjust", limits.oom_score_adjust.map(i64::from), oom_score_adjust);
        compare("nofile", limits.nofile.and_then(|files| files.try_into().ok()), nofile);
        words
    }
}

fn nice(pid: u32) -> Option<i64> {
    rustix::process::getpriority_process(crate::sys::pid(pid)).ok().map(i64::from)
}

fn oom_score_adjust(pid: u32) -> Option<i64> {
    std::fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).ok()?.trim().parse().ok()
}

fn nofile(pid: u32) -> Option<i64> {
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}
