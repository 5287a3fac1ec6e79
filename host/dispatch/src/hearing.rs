//! Whether this node hears what the others change.
//!
//! It sends beats that it must hear itself, as all signals come in the order in which they were sent: whoever has heard a beat has heard all
//! before it. While none comes back, and from the moment at which the connection is known to be lost, nothing that was looked up is believed;
//! nor is afterwards what was looked up before it heard again.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use sandmill_model::ListenerId;
use sandmill_store::signals::Signal;
use tokio_util::sync::CancellationToken;

use crate::{Dispatch, Inner};

/// How often a node sends what it must hear itself.
const BEAT: Duration = Duration::from_millis(200);
/// How long after it sent a beat that came back it is sure to hear: less than the second within which all nodes know of a revocation.
const SURE: Duration = Duration::from_millis(900);

pub(crate) struct Hearing {
    /// There are no others.
    is_alone: bool,
    own: ListenerId,
    origin: Instant,
    /// Since when it has listened without a break. All times are microseconds since `origin`, at least 1.
    since_us: AtomicU64,
    /// What was sent until then it has heard; 0: it does not listen.
    until_us: AtomicU64,
}

impl Hearing {
    pub(crate) fn new(own: ListenerId, reaches_others: bool) -> Self {
        let (since_us, until_us) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { is_alone: !reaches_others, own, origin: Instant::now(), since_us, until_us }
    }

    fn now_us(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_micros()).unwrap_or(u64::MAX).saturating_add(1)
    }

    /// From now on it hears what is sent.
    pub(crate) fn begin(&self) {
        self.begin_at(self.now_us());
    }

    fn begin_at(&self, now_us: u64) {
        // In this order, and read in the other: who reads the later time of the one reads that of the other, too.
        self.since_us.store(now_us, Ordering::Release);
        self.until_us.store(now_us, Ordering::Release);
    }

    /// A beat was heard, of this node or another.
    pub(crate) fn hear(&self, of: ListenerId, sent_us: u64) {
        if of == self.own {
            self.until_us.fetch_max(sent_us, Ordering::AcqRel);
        }
    }

    /// The connection is lost.
    pub(crate) fn end(&self) {
        self.until_us.store(0, Ordering::Release);
    }

    /// See [`Dispatch::believed`].
    pub(crate) fn believed(&self, at_most: Duration) -> Duration {
        if self.is_alone { at_most } else { self.believed_at(self.now_us(), at_most) }
    }

    fn believed_at(&self, now_us: u64, at_most: Duration) -> Duration {
        let until_us = self.until_us.load(Ordering::Acquire);
        let since_us = self.since_us.load(Ordering::Acquire);
        if until_us == 0 || Duration::from_micros(now_us.saturating_sub(until_us)) >= SURE {
            return Duration::ZERO;
        }
        at_most.min(Duration::from_micros(now_us.saturating_sub(since_us)))
    }
}

impl Dispatch {
    /// How long what was looked up is believed, where `at_most` is usual: nothing from before this node heard what others change, so nothing
    /// at all while it does not hear it.
    #[must_use]
    pub fn believed(&self, at_most: Duration) -> Duration {
        self.inner.hearing.believed(at_most)
    }
}

impl Inner {
    /// Sends what this node must hear itself, until `stop`.
    pub(crate) async fn beat_to_itself(self: Arc<Self>, stop: CancellationToken) {
        loop {
            // Of the time before it is sent: how long that takes is not known.
            self.send(Signal::Beat { of: self.hearing.own, number: self.hearing.now_us() }).await;
            tokio::select! {
                () = tokio::time::sleep(BEAT) => {}
                () = stop.cancelled() => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use sandmill_model::Timestamp;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const SURE_US: u64 = 900_000;

    fn hearing() -> Hearing {
        Hearing::new(ListenerId::new(Timestamp::from_micros(1)), true)
    }

    #[test]
    fn whoever_is_alone_hears_all_there_is() {
        assert_eq!(Hearing::new(ListenerId::new(Timestamp::from_micros(1)), false).believed(SECOND), SECOND);
        assert_eq!(hearing().believed(SECOND), Duration::ZERO, "nobody listens yet");
    }

    #[test]
    fn only_what_was_looked_up_since_it_hears_is_believed() {
        let hearing = hearing();
        let believed = |now_us: u64| u64::try_from(hearing.believed_at(now_us, SECOND).as_micros()).unwrap();
        hearing.begin_at(1_000);
        assert_eq!((believed(1_000), believed(1_500)), (0, 500));
        // A beat is missed.
        assert_eq!((believed(999 + SURE_US), believed(1_000 + SURE_US)), (SURE_US - 1, 0));
        hearing.hear(ListenerId::new(Timestamp::from_micros(2)), 900_000);
        assert_eq!(believed(1_000 + SURE_US), 0, "it was another's");
        hearing.hear(hearing.own, 900_000);
        assert_eq!(believed(1_000 + SURE_US), SURE_US);
        hearing.hear(hearing.own, 1_700_000);
        hearing.hear(hearing.own, 1_500_000);
        assert_eq!((believed(1_800_000), believed(1_700_000 + SURE_US)), (1_000_000, 0));
        hearing.end();
        assert_eq!(believed(1_800_000), 0);
        hearing.begin_at(1_900_000);
        assert_eq!(believed(1_900_300), 300, "whatever was looked up before");
    }
}
