//! Room for bodies that are under way: what requests have sent so far is in memory, and nobody may fill that, however many connections they
//! have. It is taken as bytes come, not as they are announced, from the share of whoever sends and from what there is for all of a kind:
//! workspaces, networks that ask for none, and those who are about to log in. Nobody takes more than they leave free, so that no few take
//! it all.

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
/// Of all the room, this part is for networks that ask for no workspace.
const NETWORKS_PART: usize = 8;
/// Of that, this part is for one of them.
const NETWORK_PART: usize = 4;
/// Bytes of a body by which somebody logs in, or says who they are: a stranger's.
pub(super) const LOGIN_BYTES_MAX: usize = 16 * 1024;
/// Such bodies at once, of which the rest is still to come: 64 MiB, outside of what there is for others.
const LOGINS_MAX: usize = 4_096;
/// The same of one network.
const LOGINS_OF_ONE_MAX: usize = 256;
/// How often who waits looks for what others have given back.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Shares that are remembered before those that nobody has any more are looked for.
const SHARES_KEPT: usize = 1_000;

/// How much there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyRoom {
    /// For all that are under way, in bytes; an eighth of it for those that are of no workspace.
    pub bytes: usize,
    /// For those of one workspace, in bytes.
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
    /// Of a network, too, and small: see [`LOGIN_BYTES_MAX`].
    Login(IpAddr),
    /// Whoever asks from nowhere: in tests.
    Nobody,
}

/// Among the extensions of a request whose sender was found to belong to the workspace: nobody fills the share of others.
#[derive(Clone, Copy)]
struct Sender(WorkspaceId);

/// Whether a request is about logging in, or about who somebody is: strangers send those.
pub(super) fn is_login(parts: &Parts) -> bool {
    parts.uri.path().starts_with("/api/auth/")
}

impl Whose {
    /// From now on the request is this workspace's.
    pub(crate) fn note(extensions: &mut Extensions, workspace: WorkspaceId) {
        extensions.insert(Sender(workspace));
    }

    pub(super) fn of(parts: &Parts) -> Self {
        if let Some(Sender(workspace)) = parts.extensions.get() {
            return Self::Workspace(*workspace);
        }
        match parts.extensions.get::<ClientAddress>().map(ClientAddress::network) {
            Some(network) if is_login(parts) => Self::Login(network),
            Some(network) => Self::Network(network),
            None => Self::Nobody,
        }
    }
}

/// What there is for all bodies.
pub(crate) struct Bodies {
    workspaces: Pool,
    networks: Pool,
    logins: Pool,
    shares: Mutex<HashMap<Whose, Weak<Share>>>,
    wait: Duration,
}

/// What there is for all of a kind.
struct Pool {
    free: Arc<Semaphore>,
    share_pieces: usize,
}

/// What one of them has of it.
#[derive(Debug)]
struct Share {
    pieces: usize,
    free: Arc<Semaphore>,
    /// One body takes something of it at a time; the others stand in line behind it.
    line: tokio::sync::Mutex<()>,
}

/// Of a share, and of all.
type Taken = (OwnedSemaphorePermit, OwnedSemaphorePermit);

/// Pieces that so many bytes take.
fn pieces(bytes: usize) -> usize {
    bytes.div_ceil(PIECE_BYTES)
}

impl Pool {
    /// Nobody takes more than half, and a share is there in whole if nobody else has anything.
    fn new(pieces: usize, share_pieces: usize) -> Self {
        let share_pieces = share_pieces.max(1);
        Self { free: Arc::new(Semaphore::new(pieces.max(2 * share_pieces))), share_pieces }
    }
}

impl Share {
    /// Waits until the share has as much left, and would then have no more than is free for others: so no number of shares that is not
    /// large takes all.
    async fn take(&self, of_all: &Arc<Semaphore>, pieces: u32) -> Option<Taken> {
        let _first = self.line.lock().await;
        let of_share = Arc::clone(&self.free).acquire_many_owned(pieces).await.ok()?;
        loop {
            if let Ok(taken) = Arc::clone(of_all).try_acquire_many_owned(pieces) {
                let own = self.pieces.saturating_sub(self.free.available_permits());
                // Its last piece it took while it had less than was free.
                if own <= of_all.available_permits() + 1 {
                    return Some((of_share, taken));
                }
            }
            // One of each share looks, and few shares wait.
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

impl Bodies {
    /// The largest body has room in each share at least, else it would wait for ever: of a workspace it may be larger than of others.
    pub(crate) fn new(room: BodyRoom, largest_bytes: usize, largest_of_workspace_bytes: usize) -> Self {
        let all = pieces(room.bytes);
        let of_networks = all / NETWORKS_PART;
        Self {
            workspaces: Pool::new(all - of_networks, pieces(room.share_bytes.max(largest_of_workspace_bytes))),
            networks: Pool::new(of_networks, (of_networks / NETWORK_PART).max(pieces(largest_bytes))),
            logins: Pool::new(LOGINS_MAX, LOGINS_OF_ONE_MAX),
            shares: Mutex::default(),
            wait: room.wait,
        }
    }

    const fn pool(&self, whose: Whose) -> &Pool {
        match whose {
            Whose::Workspace(_) => &self.workspaces,
            Whose::Network(_) | Whose::Nobody => &self.networks,
            Whose::Login(_) => &self.logins,
        }
    }

    /// It is forgotten with the last body that has something of it, and is whole then.
    fn share(&self, whose: Whose) -> Arc<Share> {
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(share) = shares.get(&whose).and_then(Weak::upgrade) {
            return share;
        }
        // Doubled each time, so that looking for them costs nothing in the mean.
        if shares.len() >= SHARES_KEPT && shares.len() == shares.capacity() {
            shares.retain(|_, share| share.strong_count() > 0);
        }
        let pieces = self.pool(whose).share_pieces;
        let share = Arc::new(Share { pieces, free: Arc::new(Semaphore::new(pieces)), line: tokio::sync::Mutex::default() });
        shares.insert(whose, Arc::downgrade(&share));
        share
    }
}

/// What one body has taken; given back when it is dropped.
#[derive(Debug, Default)]
pub(crate) struct Room {
    pieces: usize,
    share: Option<Arc<Share>>,
    taken: Option<Taken>,
}

impl Room {
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.pieces == 0
    }

    /// Takes what is missing for a body of `bytes`, which waits for it.
    ///
    /// # Errors
    /// `too_many_requests` if the share of whoever sends it is taken, `unavailable` if others leave too little; with when to try again.
    pub(super) async fn hold(&mut self, bodies: &Bodies, whose: Whose, bytes: usize) -> Result<(), Problem> {
        let wanted = pieces(bytes).max(1);
        let Some(missing) = wanted.checked_sub(self.pieces).filter(|missing| *missing > 0) else { return Ok(()) };
        let missing_pieces = u32::try_from(missing).map_err(|error| Problem::internal(error.to_string()))?;
        let share = self.share.get_or_insert_with(|| bodies.share(whose));
        let taken = tokio::time::timeout(bodies.wait, share.take(&bodies.pool(whose).free, missing_pieces)).await;
        let Some((of_share, of_all)) = taken.ok().flatten() else {
            let (code, what) = if share.free.available_permits() < missing {
                (Code::TooManyRequests, "to the workspace, or from this address,")
            } else {
                (Code::Unavailable, "to this node")
            };
            let detail =
                format!("bodies that are under way {what} take all the memory that there is for them: send it later, or fewer at once");
            return Err(Problem::new(code, detail).retry_after(bodies.wait));
        };
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
    use std::net::Ipv4Addr;

    use sandmill_model::Timestamp;

    use super::*;

    /// Seven pieces for workspaces.
    const SMALL: BodyRoom = BodyRoom { bytes: 8 * PIECE_BYTES, share_bytes: 3 * PIECE_BYTES, wait: Duration::from_millis(1) };
    const MIB: usize = 1024 * 1024;

    fn one() -> Whose {
        Whose::Workspace(WorkspaceId::new(Timestamp::from_micros(0)))
    }

    fn network(number: u8) -> IpAddr {
        Ipv4Addr::new(192, 0, 2, number).into()
    }

    /// As many bodies of a byte as there is room for.
    async fn fill(bodies: &Bodies, whose: Whose) -> Vec<Room> {
        let mut held = Vec::new();
        loop {
            let mut room = Room::default();
            if room.hold(bodies, whose, 1).await.is_err() {
                return held;
            }
            held.push(room);
        }
    }

    #[tokio::test]
    async fn nobody_takes_more_than_their_share_nor_than_they_leave_free() {
        let bodies = Bodies::new(SMALL, 0, 0);
        let free = || bodies.workspaces.free.available_permits();
        let (first, second) = (one(), one());
        let mut large = Room::default();
        large.hold(&bodies, first, 1).await.unwrap();
        large.hold(&bodies, first, PIECE_BYTES).await.unwrap();
        assert_eq!(free(), 6);
        large.hold(&bodies, first, 3 * PIECE_BYTES).await.unwrap();
        assert_eq!(free(), 4);
        let mut more = Room::default();
        let refused = more.hold(&bodies, first, 1).await.unwrap_err();
        assert_eq!(refused.code(), Code::TooManyRequests);
        let mut of_other = Room::default();
        of_other.hold(&bodies, second, PIECE_BYTES).await.unwrap();
        let refused = of_other.hold(&bodies, second, 3 * PIECE_BYTES).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unavailable);
        assert_eq!((of_other.share.as_ref().unwrap().free.available_permits(), free()), (2, 3), "what was refused is given back");
        drop(large);
        of_other.hold(&bodies, second, 3 * PIECE_BYTES).await.unwrap();
        more.hold(&bodies, first, 1).await.unwrap();
        drop((more, of_other));
        assert_eq!(free(), 7);
    }

    #[tokio::test]
    async fn few_do_not_take_all() {
        let bodies = Bodies::new(BodyRoom { wait: Duration::from_millis(1), ..BodyRoom::default() }, 8 * MIB, 64 * MIB);
        let mut held = Vec::new();
        // Strangers that send a byte of each body, and then nothing more.
        for number in 1..=8 {
            held.extend(fill(&bodies, Whose::Network(network(number))).await);
            held.extend(fill(&bodies, Whose::Login(network(number))).await);
        }
        for (whose, bytes) in [(Whose::Network(network(9)), 1), (Whose::Login(network(9)), LOGIN_BYTES_MAX), (one(), 128 * MIB)] {
            Room::default().hold(&bodies, whose, bytes).await.unwrap();
        }
        // Workspaces that do the same.
        for _ in 0..4 {
            held.extend(fill(&bodies, one()).await);
        }
        Room::default().hold(&bodies, one(), 16 * MIB).await.unwrap();
        for _ in 4..8 {
            held.extend(fill(&bodies, one()).await);
        }
        Room::default().hold(&bodies, one(), MIB).await.unwrap();
        Room::default().hold(&bodies, Whose::Network(network(9)), 1).await.unwrap();
        drop(held);
        for (pool, all) in
            [(&bodies.workspaces, 448 * MIB / PIECE_BYTES), (&bodies.networks, 64 * MIB / PIECE_BYTES), (&bodies.logins, LOGINS_MAX)]
        {
            assert_eq!(pool.free.available_permits(), all);
        }
    }

    #[tokio::test]
    async fn who_waits_gets_what_another_gives_back() {
        let bodies = Bodies::new(BodyRoom { wait: Duration::from_secs(60), ..SMALL }, 0, 0);
        let whose = one();
        let (mut first, mut second) = (Room::default(), Room::default());
        first.hold(&bodies, whose, 2 * PIECE_BYTES).await.unwrap();
        let (held, ()) = tokio::join!(second.hold(&bodies, whose, 2 * PIECE_BYTES), async {
            tokio::task::yield_now().await;
            drop(first);
        });
        held.unwrap();
        // And what others leave.
        let (mut third, mut fourth) = (Room::default(), Room::default());
        third.hold(&bodies, one(), 2 * PIECE_BYTES).await.unwrap();
        let (held, ()) = tokio::join!(fourth.hold(&bodies, one(), 3 * PIECE_BYTES), async {
            tokio::task::yield_now().await;
            drop(third);
        });
        held.unwrap();
    }

    #[tokio::test]
    async fn the_largest_body_has_room() {
        let bodies = Bodies::new(BodyRoom { bytes: 1, share_bytes: 1, wait: Duration::from_millis(1) }, 2 * PIECE_BYTES, 3 * PIECE_BYTES);
        Room::default().hold(&bodies, Whose::Nobody, 2 * PIECE_BYTES).await.unwrap();
        Room::default().hold(&bodies, one(), 3 * PIECE_BYTES).await.unwrap();
    }

    #[test]
    fn whoever_is_not_known_yet_is_counted_apart() {
        let whose = |path: &str, address: Option<IpAddr>| {
            let mut parts = http::Request::builder().uri(path).body(()).unwrap().into_parts().0;
            if let Some(address) = address {
                parts.extensions.insert(ClientAddress { address, is_secure: true });
            }
            Whose::of(&parts)
        };
        let address = network(1);
        assert_eq!(whose("/api/auth/login", Some(address)), Whose::Login(address));
        assert_eq!(whose("/api/authors/login", Some(address)), Whose::Network(address));
        assert_eq!(whose("/api/auth/login", None), Whose::Nobody);
    }

    #[tokio::test]
    async fn shares_that_nobody_has_are_forgotten() {
        let bodies = Bodies::new(SMALL, 0, 0);
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
