//! What this machine, or the container around the process, offers.

use std::{fs, num::NonZero, path::Path, thread, time::Duration};

use rustix::time::{ClockId, clock_gettime};

/// Assumed where the kernel does not say.
const MEMORY_BYTES_FALLBACK: u64 = 2 * 1024 * 1024 * 1024;

/// Cores that this process may use.
pub(crate) fn cores() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}

/// Memory of the machine, or of the container if it has less.
pub(crate) fn memory_bytes() -> u64 {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| total_of(&text)).unwrap_or(MEMORY_BYTES_FALLBACK);
    let container = fs::read_to_string(Path::new("/sys/fs/cgroup/memory.max")).ok().and_then(|text| text.trim().parse().ok());
    container.map_or(machine, |container: u64| container.min(machine))
}

fn total_of(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// Processor time of the calling thread.
pub(crate) fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_total() {
        assert_eq!(total_of("MemTotal:       24576 kB\nMemFree: 1 kB\n"), Some(24576 * 1024));
        assert_eq!(total_of("MemFree: 1 kB\n"), None);
        assert!(memory_bytes() > 0);
        assert!(cores() > 0);
    }
}
