//! How the seats of this node fare. What changed is written down together, now and then; what did not costs nothing.

use std::{
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

use sandmill_model::trigger::SeatStatus;
use sandmill_store::seats::Seat;

/// Which seats have something to be written.
#[derive(Default)]
pub(super) struct Board {
    changed: Mutex<Vec<Arc<Cell>>>,
}

/// How one seat fares.
pub(super) struct Cell {
    pub(super) seat: Seat,
    status: Mutex<SeatStatus>,
    is_changed: AtomicBool,
    board: Weak<Board>,
}

impl Board {
    fn changed(&self) -> MutexGuard<'_, Vec<Arc<Cell>>> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn cell(self: &Arc<Self>, seat: Seat, status: SeatStatus) -> Arc<Cell> {
        Arc::new(Cell { seat, status: Mutex::new(status), is_changed: AtomicBool::new(false), board: Arc::downgrade(self) })
    }

    /// What changed since the last time.
    pub(super) fn take(&self) -> Vec<(Arc<Cell>, SeatStatus)> {
        let changed = mem::take(&mut *self.changed());
        let read = |cell: Arc<Cell>| {
            // Before it is read: what changes from now on is written the next time.
            cell.is_changed.store(false, Ordering::Release);
            let status = cell.get();
            (cell, status)
        };
        changed.into_iter().map(read).collect()
    }
}

impl Cell {
    fn status(&self) -> MutexGuard<'_, SeatStatus> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn get(&self) -> SeatStatus {
        self.status().clone()
    }

    /// Changes it and returns what `change` says.
    pub(super) fn set<T>(self: &Arc<Self>, change: impl FnOnce(&mut SeatStatus) -> T) -> T {
        let said = change(&mut self.status());
        self.changes();
        said
    }

    /// It is to be written.
    pub(super) fn changes(self: &Arc<Self>) {
        if !self.is_changed.swap(true, Ordering::AcqRel)
            && let Some(board) = self.board.upgrade()
        {
            board.changed().push(Arc::clone(self));
        }
    }
}

#[cfg(test)]
mod tests {
    use sandmill_model::{Timestamp, WorkspaceId, trigger::SeatState};
    use sandmill_store::seats::SeatKey;

    use super::*;

    #[test]
    fn what_changed_is_written_once() {
        let board = Arc::<Board>::default();
        let key = SeatKey { workspace: WorkspaceId::new(Timestamp::from_micros(1)), path: "f/a/b".parse().unwrap(), number: 0 };
        let cell = board.cell(Seat { key, fence: 1, revision: 1 }, SeatStatus::default());
        assert!(board.take().is_empty());
        cell.set(|status| status.events = 1);
        cell.set(|status| status.state = SeatState::Listening);
        let taken = board.take();
        assert_eq!(taken.len(), 1);
        assert_eq!((taken[0].1.events, taken[0].1.state), (1, SeatState::Listening));
        assert!(board.take().is_empty());
        cell.set(|status| status.events = 2);
        assert_eq!(board.take().len(), 1);
    }
}
