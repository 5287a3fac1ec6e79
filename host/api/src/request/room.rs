//! Room for bodies that are under way: what requests have sent so far is in memory, and nobody may fill that, however many connections they
//! have. It is taken as bytes come, not as they are announced, from the share of whoever sends and from what there is for all.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use http::{Extensions, request::Parts};
use sandmill_model::{Code, WorkspaceId};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{ClientAddress, problem::Problem};

/// In what pieces room is taken.
pub(super) const PIECE_BYTES: usize = 64 * 1024;
/// Shares that are remembered before those that nobody has any more are looked for.
const SHARES_KEPT: usize = 1_000;

/// How much there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyRoom {
    /// For all that are under way, in bytes.
    pub bytes: usize,
    /// For those of one workspace, or of one network that asks for none, in bytes.
    pub share_bytes: usize,
    /// How long a body waits for room before it is refused.
    pub wait: Duration,
}

impl Default for BodyRoom {
    fn default() -> Self {
        Self { bytes: 512 * 1024 * 1024, share_bytes: 128 * 1024 * 1024, wait: Duration::from_secs(5) }
    }
}

/// To whom a body is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Whose {
    Workspace(WorkspaceId),
    Network(IpAddr),
    /// Whoever asks from nowhere: in tests.
    Nobody,
}

/// Among the extensions of a request whose sender was found to belong to the workspace: nobody fills the share of others.
#[derive(Clone, Copy)]
struct Sender(WorkspaceId);

impl Whose {
    /// From now on the request is this workspace's.
    pub(crate) fn note(extensions: &mut Extensions, workspace: WorkspaceId) {
        extensions.insert(Sender(workspace));
    }

    pub(super) fn of(parts: &Parts) -> Self {
        if let Some(Sender(workspace)) = parts.extensions.get() {
            return Self::Workspace(*workspace);
        }
        parts.extensions.get::<ClientAddress>().map_or(Self::Nobody, |client| Self::Network(client.network()))
    }
}

/// What there is for all bodies.
pub(crate) struct Bodies {
    all: Arc<Semaphore>,
    share_pieces: usize,
    shares: Mutex<HashMap<Whose, Weak<Semaphore>>>,
    wait: Duration,
}

/// Pieces that so many bytes take.
fn pieces(bytes: usize) -> usize {
    bytes.div_ceil(PIECE_BYTES)
}

impl Bodies {
    /// The largest body has room in each share at least, else it would wait for ever.
    pub(crate) fn new(room: BodyRoom, largest_bytes: usize) -> Self {
        let share_pieces = pieces(room.share_bytes.max(largest_bytes));
        let all = pieces(room.bytes).max(share_pieces);
        Self { all: Arc::new(Semaphore::new(all)), share_pieces, shares: Mutex::default(), wait: room.wait }
    }

    /// It is forgotten with the last body that has something of it, and is whole then.
    fn share(&self, whose: Whose) -> Arc<Semaphore> {
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(share) = shares.get(&whose).and_then(Weak::upgrade) {
            return share;
        }
        // Doubled each time, so that looking for them costs nothing in the mean.
        if shares.len() >= SHARES_KEPT && shares.len() == shares.capacity() {
            shares.retain(|_, share| share.strong_count() > 0);
        }
        let share = Arc::new(Semaphore::new(self.share_pieces));
        shares.insert(whose, Arc::downgrade(&share));
        share
    }

    async fn take(&self, from: &Arc<Semaphore>, pieces: u32) -> Option<OwnedSemaphorePermit> {
        tokio::time::timeout(self.wait, Arc::clone(from).acquire_many_owned(pieces)).await.ok()?.ok()
    }
}

/// What one body has taken; given back when it is dropped.
#[derive(Debug, Default)]
pub(crate) struct Room {
    pieces: usize,
    share: Option<Arc<Semaphore>>,
    taken: Option<(OwnedSemaphorePermit, OwnedSemaphorePermit)>,
}

impl Room {
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.pieces == 0
    }

    /// Takes what is missing for a body of `bytes`, which waits for it.
    ///
    /// # Errors
    /// `too_many_requests` if the share of whoever sends it is taken, `unavailable` if all is; with when to try again.
    pub(super) async fn hold(&mut self, bodies: &Bodies, whose: Whose, bytes: usize) -> Result<(), Problem> {
        let wanted = pieces(bytes).max(1);
        let Some(missing) = wanted.checked_sub(self.pieces).filter(|missing| *missing > 0) else { return Ok(()) };
        let missing_pieces = u32::try_from(missing).map_err(|error| Problem::internal(error.to_string()))?;
        let share = self.share.get_or_insert_with(|| bodies.share(whose));
        let full = |code, what: &str| {
            let detail =
                format!("bodies that are under way {what} take all the memory that there is for them: send it later, or fewer at once");
            Problem::new(code, detail).retry_after(bodies.wait)
        };
        let of_share = bodies.take(share, missing_pieces).await;
        let of_share = of_share.ok_or_else(|| full(Code::TooManyRequests, "to the workspace, or from this address,"))?;
        let of_all = bodies.take(&bodies.all, missing_pieces).await.ok_or_else(|| full(Code::Unavailable, "to this node"))?;
        match &mut self.taken {
            Some((share, all)) => {
                share.merge(of_share);
                all.merge(of_all);
            }
            None => self.taken = Some((of_share, of_all)),
        }
        self.pieces = wanted;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use sandmill_model::Timestamp;

    use super::*;

    const SMALL: BodyRoom = BodyRoom { bytes: 4 * PIECE_BYTES, share_bytes: 3 * PIECE_BYTES, wait: Duration::from_millis(1) };

    fn one() -> Whose {
        Whose::Workspace(WorkspaceId::new(Timestamp::from_micros(0)))
    }

    #[tokio::test]
    async fn nobody_takes_more_than_their_share_nor_all_more_than_there_is() {
        let bodies = Bodies::new(SMALL, 0);
        let (first, second) = (one(), one());
        let mut large = Room::default();
        large.hold(&bodies, first, 1).await.unwrap();
        large.hold(&bodies, first, PIECE_BYTES).await.unwrap();
        assert_eq!(bodies.all.available_permits(), 3);
        large.hold(&bodies, first, 3 * PIECE_BYTES).await.unwrap();
        assert_eq!(bodies.all.available_permits(), 1);
        let mut more = Room::default();
        let refused = more.hold(&bodies, first, 1).await.unwrap_err();
        assert_eq!(refused.code(), Code::TooManyRequests);
        let mut of_other = Room::default();
        of_other.hold(&bodies, second, PIECE_BYTES).await.unwrap();
        let refused = of_other.hold(&bodies, second, PIECE_BYTES + 1).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unavailable);
        assert_eq!(of_other.share.as_ref().unwrap().available_permits(), 2, "what was refused is given back");
        drop(large);
        of_other.hold(&bodies, second, 3 * PIECE_BYTES).await.unwrap();
        more.hold(&bodies, first, 1).await.unwrap();
        drop((more, of_other));
        assert_eq!(bodies.all.available_permits(), 4);
    }

    #[tokio::test]
    async fn who_waits_gets_what_another_gives_back() {
        let bodies = Bodies::new(BodyRoom { wait: Duration::from_secs(60), ..SMALL }, 0);
        let whose = one();
        let (mut first, mut second) = (Room::default(), Room::default());
        first.hold(&bodies, whose, 2 * PIECE_BYTES).await.unwrap();
        let (held, ()) = tokio::join!(second.hold(&bodies, whose, 2 * PIECE_BYTES), async {
            tokio::task::yield_now().await;
            drop(first);
        });
        held.unwrap();
    }

    #[tokio::test]
    async fn the_largest_body_has_room() {
        let bodies = Bodies::new(BodyRoom { bytes: 1, share_bytes: 1, wait: Duration::from_millis(1) }, 3 * PIECE_BYTES);
        Room::default().hold(&bodies, Whose::Nobody, 3 * PIECE_BYTES).await.unwrap();
    }

    #[tokio::test]
    async fn shares_that_nobody_has_are_forgotten() {
        let bodies = Bodies::new(SMALL, 0);
        let mut kept = Room::default();
        let whose = one();
        kept.hold(&bodies, whose, 1).await.unwrap();
        for _ in 0..10 * SHARES_KEPT {
            Room::default().hold(&bodies, one(), 1).await.unwrap();
        }
        let (entries, is_kept) = {
            let shares = bodies.shares.lock().unwrap();
            (shares.len(), shares.get(&whose).is_some_and(|share| share.strong_count() > 0))
        };
        assert!(entries < 4 * SHARES_KEPT && is_kept, "{entries}");
    }
}
