//! What the processes of a service use, read when somebody asks and never otherwise.

use rustix::process::{Resource, getrlimit, setrlimit};
use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};

/// What some processes use together.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Usage {
    /// Processor time since the oldest of them started, in percent of one processor. What has
    /// ended meanwhile is not counted.
    pub(crate) cpu_percent: f64,
    /// The processor time itself.
    pub(crate) work: std::time::Duration,
    /// Resident memory in bytes; pages that they share are counted for each.
    pub(crate) memory_bytes: u64,
    /// How many of them there are.
    pub(crate) processes: u32,
}

/// Measures; processes that have gone are left out.
pub(crate) fn measure(pids: &[u32]) -> Usage {
    let pids: Vec<Pid> = pids.iter().map(|pid| Pid::from_u32(*pid)).collect();
    // Made anew each time: kept, it would hold memory and a descriptor for each process.
    let mut system = System::new();
    let wanted = ProcessRefreshKind::nothing().with_cpu().with_memory();
    without_raising_limits(|| {
        sysinfo::set_open_files_limit(0);
        system.refresh_processes_specifics(ProcessesToUpdate::Some(&pids), true, wanted);
    });
    let (mut usage, mut cpu_ms, mut age) = (Usage::default(), 0, 1);
    for process in pids.iter().filter_map(|pid| system.process(*pid)) {
        usage.processes += 1;
        usage.memory_bytes += process.memory();
        cpu_ms += process.accumulated_cpu_time();
        age = age.max(process.run_time());
    }
    usage.work = std::time::Duration::from_millis(cpu_ms);
    usage.cpu_percent = cpu_ms as f64 / (age as f64 * 10.0);
    usage
}

/// The library raises the limit of open files when it is first used. What the daemon starts
/// afterwards would inherit that, and a program that uses select(2) must not have it.
fn without_raising_limits(work: impl FnOnce()) {
    let before = getrlimit(Resource::Nofile);
    work();
    if getrlimit(Resource::Nofile) != before
        && let Err(error) = setrlimit(Resource::Nofile, before)
    {
        tracing::warn!("the limit of open files stays raised: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_use_is_seen_and_the_gone_are_left_out() {
        let own = std::process::id();
        let memory = vec![1_u8; 32 << 20];
        let limit = getrlimit(Resource::Nofile);
        // Until the kernel has counted some of it: it does so in ticks.
        let mut sum = 0_u64;
        let usage = loop {
            sum = sum.wrapping_add(memory.iter().map(|b| u64::from(*b)).sum::<u64>());
            let usage = measure(&[own, i32::MAX as u32]);
            if usage.cpu_percent > 0.0 {
                break usage;
            }
        };
        assert!(sum > 0 && usage.processes == 1 && usage.memory_bytes > memory.len() as u64, "{usage:?}");
        assert_eq!(measure(&[]), Usage::default());
        assert_eq!(measure(&[i32::MAX as u32]).processes, 0);
        assert_eq!(getrlimit(Resource::Nofile), limit, "what is started later inherits it");
    }
}
