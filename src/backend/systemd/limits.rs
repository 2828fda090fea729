//! Whether a service is held to its limits, and shut in as its properties ask: a manager does as much as it can, and
//! says nothing.

use std::collections::BTreeMap;

use serde_json::Value;

use super::units::Unit;
use super::{Scope, Shared};
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
        let pid = placed.identity.map(|identity| identity.pid);
        words.extend(launch.systemd.iter().filter(|(_, value)| is_asked(value)).filter_map(|(name, _)| {
            let why = match needs(name)? {
                PRIVILEGE if self.options.scope == Scope::System => return None,
                PRIVILEGE => "the manager of a user may not do that",
                file if file.contains('.') => self
                    .cgroups
                    .lacks(&cgroup, file)
                    .then_some("this manager was given no control group controller for it")?,
                namespace if shares(pid?, namespace) => without_namespace(&launch.systemd),
                _ => return None,
            };
            Some(format!("systemd.{name} is not enforced: {why}"))
        }));
        let Some(pid) = pid else { return words };
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

/// What only a manager with privileges can do: BPF programs.
const PRIVILEGE: &str = "";

/// What properties are made with: a namespace of their own, a file of the control group, or [`PRIVILEGE`]. Where a
/// manager cannot have that, it starts the service all the same.
const NEEDS: [(&str, &str); 14] = [
    (
        "mnt",
        "ExecPaths InaccessiblePaths NoExecPaths PrivateDevices PrivateMounts PrivateTmp ProcSubset \
         ProtectControlGroups ProtectHome ProtectKernelTunables ProtectProc ProtectSystem ReadOnlyPaths",
    ),
    ("net", "PrivateNetwork"),
    ("ipc", "PrivateIPC"),
    (PRIVILEGE, "DeviceAllow DevicePolicy IPAddressAllow IPAddressDeny RestrictFileSystems"),
    ("cpu.weight", "CPUWeight"),
    ("cpuset.cpus", "AllowedCPUs"),
    ("cpuset.mems", "AllowedMemoryNodes"),
    ("io.latency", "IODeviceLatencyTargetSec"),
    ("io.max", "IOReadBandwidthMax IOReadIOPSMax IOWriteBandwidthMax IOWriteIOPSMax"),
    ("io.weight", "IOWeight"),
    ("memory.high", "MemoryHigh"),
    ("memory.low", "MemoryLow"),
    ("memory.min", "MemoryMin"),
    ("memory.swap.max", "MemorySwapMax"),
];

fn needs(property: &str) -> Option<&'static str> {
    let row = NEEDS.iter().find(|(_, names)| names.split_ascii_whitespace().any(|name| name == property));
    row.map(|(what, _)| *what)
}

/// Whether anything is asked for: not by `false`, nor by the word for what is so anyway.
fn is_asked(value: &Value) -> bool {
    match value {
        Value::Bool(yes) => *yes,
        Value::String(word) => {
            !["", "0", "no", "n", "false", "f", "off", "all", "auto", "default"].contains(&word.as_str())
        }
        _ => true,
    }
}

/// Whether a process is in the same namespace as this one. Of one that has ended that is not known.
fn shares(pid: u32, namespace: &str) -> bool {
    let of = |process: &str| std::fs::read_link(format!("/proc/{process}/ns/{namespace}")).ok();
    of(&pid.to_string()).is_some_and(|theirs| of("self") == Some(theirs))
}

fn without_namespace(properties: &BTreeMap<String, Value>) -> &'static str {
    match properties.get("PrivateUsers").is_some_and(is_asked) {
        true => "this manager could make no namespace for it",
        false => "the manager of a user can do that only with PrivateUsers = true beside it",
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
