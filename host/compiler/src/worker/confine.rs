//! What a build worker takes from itself before it reads a byte: memory, time, files, and its parent's survival.

use rustix::{
    io,
    process::{
        Resource, Rlimit, Signal, chdir, getrlimit, set_dumpable_behavior, set_parent_process_death_signal, setpriority_process, setrlimit,
    },
    time::{ClockId, clock_gettime},
};

use crate::limits::{
    REQUEST_CPU_SECONDS_MAX, WORKER_ADDRESS_BYTES_MAX, WORKER_CPU_SECONDS_MAX, WORKER_DATA_BYTES_MAX, WORKER_FILE_BYTES_MAX,
    WORKER_OPEN_FILES_MAX,
};

pub(super) fn confine() -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    chdir("/")?;
    set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    limit(Resource::Core, 0)?;
    limit(Resource::Data, WORKER_DATA_BYTES_MAX)?;
    limit(Resource::As, WORKER_ADDRESS_BYTES_MAX)?;
    limit(Resource::Fsize, WORKER_FILE_BYTES_MAX)?;
    limit(Resource::Nofile, WORKER_OPEN_FILES_MAX)?;
    limit(Resource::Cpu, WORKER_CPU_SECONDS_MAX)
}

/// Sets both limits, never above what the parent was itself allowed.
fn limit(resource: Resource, value: u64) -> io::Result<()> {
    let most = getrlimit(resource).maximum.map_or(value, |maximum| maximum.min(value));
    setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })
}

/// Another request, another allowance.
pub(super) fn renew_cpu_limit() -> io::Result<()> {
    let used_seconds = u64::try_from(clock_gettime(ClockId::ProcessCPUTime).tv_sec).unwrap_or(0);
    let maximum = getrlimit(Resource::Cpu).maximum;
    let allowed = used_seconds + REQUEST_CPU_SECONDS_MAX;
    let current = Some(maximum.map_or(allowed, |maximum| maximum.min(allowed)));
    setrlimit(Resource::Cpu, Rlimit { current, maximum })
}

/// Stands back by `nice` levels: 0 to 19.
pub(super) fn stand_back(nice: i32) -> io::Result<()> {
    setpriority_process(None, nice.clamp(0, 19))
}
