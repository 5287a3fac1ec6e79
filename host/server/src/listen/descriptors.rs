//! File descriptors: every connection is one, and so is much else that must not starve.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors that connections leave to the database, the build workers and the sandbox, whatever the options say.
const RESERVED: u64 = 128;
/// Connections that are taken by default where the system would let us have many more: each also costs memory.
const CONNECTIONS_MAX_DEFAULT: u64 = 10_000;

/// Lets the process open as many descriptors as the system allows it, and says how many these are.
pub(crate) fn raise() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum.unwrap_or(u64::MAX),
        Err(error) => {
            tracing::warn!(%error, "the limit of open files cannot be raised");
            limit.current.unwrap_or(u64::MAX)
        }
    }
}

/// Connections that may be open at once: as many as were asked for, else a share of the descriptors.
///
/// # Errors
/// If the descriptors do not suffice for what was asked for.
pub(crate) fn connections_max(asked: Option<u32>, descriptors: u64) -> anyhow::Result<usize> {
    let connections = match asked {
        None => (descriptors / 2).clamp(1, CONNECTIONS_MAX_DEFAULT),
        Some(asked) => {
            let most = descriptors.saturating_sub(RESERVED);
            anyhow::ensure!(
                u64::from(asked) <= most,
                "--connections-max {asked}: this process may open {descriptors} files, and {RESERVED} of these are for other things; raise the limit (`ulimit -n`, LimitNOFILE) or ask for at most {most}"
            );
            u64::from(asked)
        }
    };
    Ok(usize::try_from(connections)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_descriptors_to_others() {
        for (asked, descriptors, expected) in [
            (None, 1024, Some(512)),
            (None, u64::MAX, Some(10_000)),
            (None, 1, Some(1)),
            (Some(3), 1024, Some(3)),
            (Some(896), 1024, Some(896)),
            (Some(897), 1024, None),
            (Some(1), 100, None),
        ] {
            assert_eq!(connections_max(asked, descriptors).ok(), expected, "{asked:?} of {descriptors}");
        }
    }

    #[test]
    fn the_soft_limit_becomes_the_hard_one() {
        let descriptors = raise();
        let limit = getrlimit(Resource::Nofile);
        assert_eq!((limit.current, limit.maximum), (limit.maximum, limit.maximum));
        assert_eq!(descriptors, limit.maximum.unwrap_or(u64::MAX));
    }
}
