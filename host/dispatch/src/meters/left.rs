//! What a workspace's day has left for one more attempt.

use sandmill_model::{Limits, Outcome, OutcomeKind, RunError};

/// None: without limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Left {
    pub(crate) fuel: Option<u64>,
    pub(crate) log_bytes: Option<u64>,
}

impl Left {
    /// `limits`, and no more than is left.
    pub(crate) fn within(self, limits: Limits) -> Limits {
        Limits {
            fuel: limits.fuel.min(self.fuel.unwrap_or(u64::MAX)),
            log_bytes: limits.log_bytes.min(self.log_bytes.unwrap_or(u64::MAX)),
            ..limits
        }
    }

    /// Says so in the outcome of an attempt that had less fuel than `own`, its script's, and used that up.
    pub(crate) fn explain(self, own: &Limits, outcome: &mut Outcome) {
        if let (OutcomeKind::OutOfFuel, Some(left)) = (outcome.kind, self.fuel.filter(|left| *left < own.fuel)) {
            let message = format!("the run used up the fuel of {left} that its workspace had left for the day (fuel_per_day)");
            outcome.error = Some(RunError::new(OutcomeKind::OutOfFuel.name(), message));
        }
    }
}
