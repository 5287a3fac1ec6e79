//! Why the host ends a run from inside one of its calls. A guest cannot catch it.

use std::fmt;

/// Raised by host functions as the error of the call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Memory or tables would grow past the run's limit.
    OutOfMemory { limit_bytes: u64 },
    /// The guest asked to end its process.
    Exit { code: u8 },
    /// The guest broke a rule of an interface: the text says which.
    Misuse(String),
    /// Our fault.
    HostFault(String),
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfMemory { limit_bytes } => write!(f, "the run needs more than its limit of {limit_bytes} bytes of memory"),
            Self::Exit { code } => write!(f, "the script ended its process with exit code {code}; return from `run` instead"),
            Self::Misuse(text) | Self::HostFault(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for Stop {}
