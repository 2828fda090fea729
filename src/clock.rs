//! The one place that reads the wall clock.

use std::time::{Duration, SystemTime};

use rustix::time::{ClockId, clock_gettime};

/// Now.
#[expect(clippy::disallowed_methods, reason = "the one place")]
pub(crate) fn now() -> SystemTime {
    SystemTime::now()
}

/// When the host booted, to the second below, as `btime` in /proc/stat has it. That file counts
/// every interrupt of every processor before it is read, which takes longer than all else that
/// is read of a process.
pub(crate) fn booted() -> SystemTime {
    let running = clock_gettime(ClockId::Boottime);
    let running = Duration::new(running.tv_sec.unsigned_abs(), u32::try_from(running.tv_nsec).unwrap_or(0));
    let since_1970 = now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    SystemTime::UNIX_EPOCH + Duration::from_secs(since_1970.saturating_sub(running).as_secs())
}

/// For how long the host was suspended since it booted.
pub(crate) fn suspended() -> Duration {
    let of = |id| {
        let time = clock_gettime(id);
        Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
    };
    // The one that stands still is read first: what passes between the two must not seem less than nothing.
    let running = of(ClockId::Monotonic);
    of(ClockId::Boottime).saturating_sub(running)
}

/// The time of a process that started so many ticks after the boot, as /proc/PID/stat has it: by
/// the clock as it is set now.
pub(crate) fn of_ticks(ticks: u64) -> SystemTime {
    let hertz = rustix::param::clock_ticks_per_second().max(1);
    booted() + Duration::from_secs(ticks / hertz) + Duration::from_millis(ticks % hertz * 1000 / hertz)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_booted_when_the_kernel_says() {
        let stat = std::fs::read_to_string("/proc/stat").unwrap();
        let btime: u64 = stat.lines().find_map(|line| line.strip_prefix("btime ")).unwrap().parse().unwrap();
        let ours = booted().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        // One below the other where the clock is just being slewed over the second.
        assert!(ours.abs_diff(btime) <= 1, "{ours} {btime}");
    }
}
