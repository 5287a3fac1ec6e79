//! The numbers that stand for names in tables; migrations document them. They never change meaning.

use sandmill_model::{CauseKind, OutcomeKind, RunStatus, auth::TokenKind};

use crate::StoreError;

pub(super) const fn status(status: RunStatus) -> i64 {
    match status {
        RunStatus::Held => 0,
        RunStatus::Queued => 1,
        RunStatus::Parked => 2,
        RunStatus::Running => 3,
        RunStatus::Suspended => 4,
        RunStatus::Succeeded => 5,
        RunStatus::Failed => 6,
        RunStatus::Cancelled => 7,
        RunStatus::Skipped => 8,
    }
}

pub(super) fn read_status(code: i64) -> Result<RunStatus, StoreError> {
    RunStatus::ALL.into_iter().find(|known| status(*known) == code).ok_or_else(|| StoreError::Corrupt(format!("a run's status {code}")))
}

pub(super) const fn outcome(kind: OutcomeKind) -> i64 {
    match kind {
        OutcomeKind::Ok => 0,
        OutcomeKind::Skipped => 1,
        OutcomeKind::Error => 2,
        OutcomeKind::InvalidArguments => 3,
        OutcomeKind::Trap => 4,
        OutcomeKind::OutOfFuel => 5,
        OutcomeKind::OutOfMemory => 6,
        OutcomeKind::Timeout => 7,
        OutcomeKind::ResultTooLarge => 8,
        OutcomeKind::Denied => 9,
        OutcomeKind::Cancelled => 10,
        OutcomeKind::Lost => 11,
        OutcomeKind::Poisoned => 12,
        OutcomeKind::HostFault => 13,
    }
}

pub(super) fn read_outcome(code: i64) -> Result<OutcomeKind, StoreError> {
    OutcomeKind::ALL.into_iter().find(|known| outcome(*known) == code).ok_or_else(|| StoreError::Corrupt(format!("a run's outcome {code}")))
}

pub(super) const fn cause(kind: CauseKind) -> i64 {
    match kind {
        CauseKind::Parent => 0,
        CauseKind::Rerun => 1,
        CauseKind::Handler => 2,
    }
}

pub(super) fn read_cause(code: i64) -> Result<CauseKind, StoreError> {
    CauseKind::ALL.into_iter().find(|known| cause(*known) == code).ok_or_else(|| StoreError::Corrupt(format!("a run's cause {code}")))
}

pub(super) const fn token_kind(kind: TokenKind) -> i64 {
    match kind {
        TokenKind::User => 0,
        TokenKind::Start => 1,
        TokenKind::Run => 2,
    }
}

pub(super) fn read_token_kind(code: i64) -> Result<TokenKind, StoreError> {
    TokenKind::ALL.into_iter().find(|known| token_kind(*known) == code).ok_or_else(|| StoreError::Corrupt(format!("a token's kind {code}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_read_back() {
        for known in RunStatus::ALL {
            assert_eq!(read_status(status(known)).unwrap(), known);
        }
        for known in OutcomeKind::ALL {
            assert_eq!(read_outcome(outcome(known)).unwrap(), known);
        }
        for known in CauseKind::ALL {
            assert_eq!(read_cause(cause(known)).unwrap(), known);
        }
        for known in TokenKind::ALL {
            assert_eq!(read_token_kind(token_kind(known)).unwrap(), known);
        }
        assert!(read_token_kind(3).is_err());
        assert!(read_cause(3).is_err());
        assert!(read_status(99).is_err());
        assert!(read_outcome(-1).is_err());
    }

    #[test]
    fn statements_name_the_codes_that_are_written() {
        // In the statements of history and in the migrations' partial indexes.
        assert_eq!(status(RunStatus::Held), 0);
        assert_eq!(status(RunStatus::Queued), 1);
        assert_eq!(status(RunStatus::Running), 3);
        assert_eq!(status(RunStatus::Succeeded), 5);
    }
}
