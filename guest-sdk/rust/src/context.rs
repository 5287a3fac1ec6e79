//! What a script may know about its own run.

use std::time::{Duration, SystemTime};

use crate::host::context as host;

/// Which trigger started the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trigger {
    /// e.g. `webhook`
    pub kind: String,
    /// None for triggers that every script has.
    pub path: Option<String>,
}

/// A run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context {
    /// UUIDv7
    pub run_id: String,
    /// The script's path, e.g. `f/demo/hello`.
    pub script: String,
    /// Digest of the version, `sha256:<hex>`.
    pub version: String,
    /// Name of the workspace.
    pub workspace: String,
    /// None for a run that no trigger started.
    pub trigger: Option<Trigger>,
    /// 1 for the first try.
    pub attempt: u32,
    /// When the run is ended, in milliseconds since the Unix epoch, UTC.
    pub deadline_ms: u64,
    /// The identity that the run acts as.
    pub run_as: String,
}

impl Context {
    /// When the run is ended.
    #[must_use]
    pub fn deadline(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(self.deadline_ms)
    }
}

/// This run.
#[must_use]
pub fn get() -> Context {
    host::get()
}

/// The event's payload as it arrived; empty for a run that no event started.
#[must_use]
pub fn payload() -> Vec<u8> {
    host::payload()
}

#[cfg(test)]
mod tests {
    use crate::testing::Fakes;

    #[test]
    fn is_as_it_was_faked() {
        let _world = Fakes::new().now_ms(5).payload("x").context(|context| context.attempt = 2).install();
        let context = super::get();
        assert_eq!((context.attempt, context.deadline_ms, context.trigger), (2, 60_005, None));
        assert_eq!(super::payload(), b"x");
    }
}
