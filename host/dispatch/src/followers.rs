//! Who follows runs here: how many there may be, and how they hear that there is something new.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use sandmill_model::{
    RunId, WorkspaceId,
    code::{Code, Refusal},
};
use tokio::sync::watch;

use crate::{FOLLOWERS_MAX, FOLLOWERS_OF_RUN_MAX, FOLLOWERS_OF_WORKSPACE_MAX};

#[derive(Clone, Default)]
pub(crate) struct Followers(Arc<Shared>);

#[derive(Default)]
struct Shared {
    seats: Mutex<Seats>,
    /// All that are taken, so that where nobody follows nothing is locked.
    taken: AtomicUsize,
}

#[derive(Default)]
struct Seats {
    workspaces: HashMap<WorkspaceId, usize>,
    runs: HashMap<RunId, watch::Sender<()>>,
}

impl Followers {
    fn seats(&self) -> MutexGuard<'_, Seats> {
        self.0.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A seat for somebody of a workspace.
    pub(crate) fn take(&self, workspace: WorkspaceId) -> Result<Seat, Refusal> {
        let full = |whose: &str, most: usize| {
            Refusal::new(
                Code::TooManyRequests,
                format!("{whose} follows {most} runs through this node, which is the most; try again later"),
            )
        };
        let mut seats = self.seats();
        if self.0.taken.load(Ordering::Relaxed) >= FOLLOWERS_MAX {
            return Err(full("the installation", FOLLOWERS_MAX));
        }
        let of_workspace = seats.workspaces.entry(workspace).or_default();
        if *of_workspace >= FOLLOWERS_OF_WORKSPACE_MAX {
            return Err(full("the workspace", FOLLOWERS_OF_WORKSPACE_MAX));
        }
        *of_workspace += 1;
        let taken = self.0.taken.fetch_add(1, Ordering::Relaxed) + 1;
        gauge(taken);
        Ok(Seat { followers: self.clone(), workspace, run: None })
    }

    /// There is something new about these runs.
    pub(crate) fn wake(&self, runs: &[RunId]) {
        if self.0.taken.load(Ordering::Relaxed) == 0 {
            return;
        }
        let seats = self.seats();
        for news in runs.iter().filter_map(|run| seats.runs.get(run)) {
            news.send_replace(());
        }
    }
}

fn gauge(taken: usize) {
    #[expect(clippy::cast_precision_loss, reason = "a few hundred")]
    metrics::gauge!("sandmill_followers").set(taken as f64);
}

/// One follower's; free again when it is dropped.
pub(crate) struct Seat {
    followers: Followers,
    workspace: WorkspaceId,
    run: Option<RunId>,
}

impl Seat {
    /// Turns to a run; what is returned changes when there is something new about it.
    pub(crate) fn turn_to(&mut self, run: RunId) -> Result<watch::Receiver<()>, Refusal> {
        let mut seats = self.followers.seats();
        let news = seats.runs.entry(run).or_default();
        if news.receiver_count() >= FOLLOWERS_OF_RUN_MAX {
            let most = format!("{FOLLOWERS_OF_RUN_MAX} others follow this run through this node, which is the most; try again later");
            return Err(Refusal::new(Code::TooManyRequests, most));
        }
        let receiver = news.subscribe();
        drop(seats);
        self.run = Some(run);
        Ok(receiver)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = self.followers.seats();
        if let Some(run) = self.run
            && seats.runs.get(&run).is_some_and(|news| news.receiver_count() == 0)
        {
            seats.runs.remove(&run);
        }
        if let Some(count) = seats.workspaces.get_mut(&self.workspace) {
            *count -= 1;
            if *count == 0 {
                seats.workspaces.remove(&self.workspace);
            }
        }
        let taken = self.followers.0.taken.fetch_sub(1, Ordering::Relaxed) - 1;
        gauge(taken);
    }
}

#[cfg(test)]
mod tests {
    use sandmill_model::{Clock, SystemClock};

    use super::*;

    fn ids() -> (WorkspaceId, RunId) {
        (WorkspaceId::new(SystemClock.now()), RunId::new(SystemClock.now()))
    }

    #[test]
    fn seats_are_bounded_and_come_back() {
        let followers = Followers::default();
        let (busy, run) = ids();
        let mut taken: Vec<Seat> = (0..FOLLOWERS_OF_WORKSPACE_MAX).map(|_| followers.take(busy).unwrap()).collect();
        assert_eq!(followers.take(busy).err().unwrap().code, Code::TooManyRequests);
        let mut quiet = followers.take(ids().0).expect("another workspace has its own");
        let mut news: Vec<_> = taken[..FOLLOWERS_OF_RUN_MAX].iter_mut().map(|seat| seat.turn_to(run).unwrap()).collect();
        assert_eq!(quiet.turn_to(run).err().unwrap().code, Code::TooManyRequests);
        news.pop();
        let _again = quiet.turn_to(run).expect("one has gone");
        drop(news);
        taken.clear();
        assert!(followers.take(busy).is_ok());
        let everybody: Vec<Seat> = std::iter::from_fn(|| followers.take(ids().0).ok()).collect();
        assert_eq!(everybody.len(), FOLLOWERS_MAX - 1);
        drop((everybody, quiet));
        assert_eq!(followers.0.taken.load(Ordering::Relaxed), 0);
        assert!(followers.seats().workspaces.is_empty());
    }

    #[test]
    fn whoever_follows_hears_and_nothing_is_kept() {
        let followers = Followers::default();
        let (workspace, run) = ids();
        followers.wake(&[run]);
        let mut seat = followers.take(workspace).unwrap();
        let news = seat.turn_to(run).unwrap();
        followers.wake(&[ids().1]);
        assert!(!news.has_changed().unwrap());
        followers.wake(&[run]);
        assert!(news.has_changed().unwrap());
        drop(news);
        drop(seat);
        assert!(followers.seats().runs.is_empty());
    }
}
