//! What a service uses: of its control group where that is counted, else the sum of its processes.

use std::fs;
use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

use crate::model::service::{HealthSpec, Measured};
use crate::supervise::resources;

/// What it uses; `None`: not known.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Use {
    /// In bytes.
    pub(crate) memory: Option<u64>,
    /// In percent of one processor, since the look before.
    pub(crate) cpu: Option<f64>,
}

/// Measures one service again and again.
#[derive(Debug)]
pub(crate) struct Meter {
    /// When it was last looked, and how much work was done by then, counted how.
    last: Option<(Instant, Duration, Measured)>,
}

impl Meter {
    pub(crate) fn new() -> Self {
        Self { last: None }
    }

    /// What it uses now; its processes are looked at only if its control group is not counted.
    pub(crate) fn read(&mut self, cgroup: Option<&Path>, processes: impl FnOnce() -> Vec<u32>) -> Use {
        let (memory, work, method) = match cgroup.and_then(counted) {
            Some((memory, work)) => (memory, work, Measured::Cgroup),
            None => {
                let sum = resources::measure(&processes());
                (sum.memory_bytes, sum.work, Measured::Processes)
            }
        };
        let now = Instant::now();
        let before = self.last.replace((now, work, method));
        let cpu = before.filter(|(.., counted)| *counted == method).and_then(|(at, done, _)| {
            let passed = (now - at).as_secs_f64();
            (passed > 0.0).then(|| work.saturating_sub(done).as_secs_f64() / passed * 100.0)
        });
        Use { memory: Some(memory), cpu }
    }
}

/// The memory and the processor time of a control group; `None`: not both are counted there.
///
/// The memory is without the page cache that it has not used of late: the kernel takes that back
/// before anybody is killed for it. The time is of what has ended too.
pub(crate) fn counted(cgroup: &Path) -> Option<(u64, Duration)> {
    let all: u64 = fs::read_to_string(cgroup.join("memory.current")).ok()?.trim().parse().ok()?;
    let spare = fs::read_to_string(cgroup.join("memory.stat")).ok().and_then(|text| of(&text, "inactive_file"));
    let work = of(&fs::read_to_string(cgroup.join("cpu.stat")).ok()?, "usage_usec")?;
    Some((all.saturating_sub(spare.unwrap_or(0)), Duration::from_micros(work)))
}

/// A value of a file of `NAME VALUE` lines.
fn of(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

/// By what it exceeds its bounds, in words.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Over {
    pub(super) memory: Option<String>,
    pub(super) cpu: Option<String>,
}

impl Over {
    pub(super) fn of(usage: &Use, spec: &HealthSpec) -> Self {
        let memory = spec.memory.zip(usage.memory).filter(|(most, used)| *used > most.max.0);
        let cpu = spec.cpu.zip(usage.cpu).filter(|(most, used)| *used > f64::from(most.max.0));
        Self {
            memory: memory.map(|(most, used)| format!("{} MiB of memory, more than {}", used >> 20, most.max)),
            cpu: cpu.map(|(most, used)| format!("{used:.0}% of a processor, more than {}", most.max)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_control_group_is_read_and_else_its_processes() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
        let own = || vec![std::process::id()];
        let mut meter = Meter::new();
        let sum = meter.read(Some(dir.path()), own);
        assert!(sum.memory.is_some_and(|bytes| bytes > 1 << 20) && sum.cpu.is_none(), "{sum:?}");
        write("cpu.stat", "usage_usec 1000000\nuser_usec 1\n");
        write("memory.current", "5000\n");
        write("memory.stat", "anon 1\nfile 2\ninactive_file 2000\nactive_file 3\n");
        let none = || -> Vec<u32> { panic!("nobody need be looked at") };
        // Counted otherwise than before, there is nothing to compare with.
        assert_eq!(meter.read(Some(dir.path()), none), Use { memory: Some(3000), cpu: None });
        write("cpu.stat", "usage_usec 1000000000\n");
        assert!(meter.read(Some(dir.path()), none).cpu.is_some_and(|share| share > 100.0));
        assert_eq!(meter.read(Some(Path::new("/nowhere")), own).cpu, None);
    }

    #[test]
    fn bounds_are_said_in_words() {
        let spec: HealthSpec =
            serde_json::from_str(r#"{"memory":{"max":"2G"},"cpu":{"max":"150%","for":"1m"}}"#).unwrap();
        let usage = |memory, cpu| Use { memory: Some(memory), cpu: Some(cpu) };
        assert_eq!(Over::of(&usage(2 << 30, 150.0), &spec), Over { memory: None, cpu: None });
        let over = Over::of(&usage(3 << 30, 170.4), &spec);
        assert_eq!(over.memory.unwrap(), "3072 MiB of memory, more than 2G");
        assert_eq!(over.cpu.unwrap(), "170% of a processor, more than 150%");
    }
}
