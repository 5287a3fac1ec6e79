//! What a connection is at, noted as it happens and judged now and then.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use super::Limits;

/// A connection is looked at this many times within the shorter of its timeouts, and ended late by at most the part between two looks.
const LOOKS: u32 = 4;
/// No head is on its way.
const NONE: u64 = u64::MAX;

/// Times are milliseconds since the connection began.
pub(super) struct Activity {
    began: Instant,
    in_flight: AtomicU32,
    /// The last request's end, or the last byte that was written after it.
    idle_since_ms: AtomicU64,
    /// The first byte of a request that is not one yet; the start of a connection that has said nothing.
    head_since_ms: AtomicU64,
    /// The first try to write of which the kernel took nothing.
    blocked_since_ms: AtomicU64,
    /// Answers of which a part was handed over and no more was asked for: the peer has no room for it.
    unasked: AtomicU32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    LookAgain(Instant),
    /// Nobody asked for anything for too long.
    Idle,
    /// A request began to arrive, or should have, and did not get as far as its body.
    LateHead,
    /// The peer takes nothing of what it asked for.
    Unread,
}

impl Activity {
    pub(super) fn begin() -> Self {
        Self {
            began: Instant::now(),
            in_flight: AtomicU32::new(0),
            idle_since_ms: AtomicU64::new(0),
            head_since_ms: AtomicU64::new(0),
            blocked_since_ms: AtomicU64::new(NONE),
            unasked: AtomicU32::new(0),
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(NONE - 1)
    }

    /// Bytes came in.
    pub(super) fn read(&self) {
        if self.in_flight.load(Relaxed) == 0 && self.head_since_ms.load(Relaxed) == NONE {
            self.head_since_ms.store(self.now_ms(), Relaxed);
        }
    }

    /// Bytes came in that are no request's head: HTTP/2 has frames of its own. Its requests are bounded by the time that the connection
    /// may be idle.
    pub(super) fn read_frames(&self) {
        self.head_since_ms.store(NONE, Relaxed);
    }

    /// The peer took bytes of an answer.
    pub(super) fn wrote(&self) {
        self.idle_since_ms.store(self.now_ms(), Relaxed);
    }

    /// The kernel takes no bytes at present: those before have not been read.
    pub(super) fn blocked(&self) {
        if self.blocked_since_ms.load(Relaxed) == NONE {
            self.blocked_since_ms.store(self.now_ms(), Relaxed);
        }
    }

    /// It took some.
    pub(super) fn unblocked(&self) {
        self.blocked_since_ms.store(NONE, Relaxed);
    }

    /// A request's head has arrived; it is under way until the value is dropped.
    pub(super) fn request(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Relaxed);
        self.head_since_ms.store(NONE, Relaxed);
        InFlight { activity: Arc::clone(self), is_unasked: false }
    }

    pub(super) fn verdict(&self, limits: Limits) -> Verdict {
        self.verdict_at(self.now_ms(), limits)
    }

    fn verdict_at(&self, now_ms: u64, limits: Limits) -> Verdict {
        let look_again = |ms: u64| Verdict::LookAgain(self.began + Duration::from_millis(ms));
        let step_ms = (ms(limits.receive.min(limits.idle).min(limits.send)) / u64::from(LOOKS)).max(1);
        let mut unread_since_ms = self.blocked_since_ms.load(Relaxed);
        if self.unasked.load(Relaxed) > 0 {
            unread_since_ms = unread_since_ms.min(self.idle_since_ms.load(Relaxed));
        }
        if unread_since_ms.saturating_add(ms(limits.send)) <= now_ms {
            return Verdict::Unread;
        }
        if self.in_flight.load(Relaxed) > 0 {
            return look_again(now_ms + step_ms);
        }
        let head_since_ms = self.head_since_ms.load(Relaxed);
        let head_until_ms = if head_since_ms == NONE { NONE } else { head_since_ms.saturating_add(ms(limits.receive)) };
        if head_until_ms <= now_ms {
            return Verdict::LateHead;
        }
        let idle_until_ms = self.idle_since_ms.load(Relaxed).saturating_add(ms(limits.idle));
        if head_until_ms == NONE && idle_until_ms <= now_ms {
            return Verdict::Idle;
        }
        let until_ms = if head_until_ms == NONE { idle_until_ms } else { head_until_ms };
        look_again(until_ms.min(now_ms + step_ms))
    }
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(NONE - 1)
}

/// A request that is not answered to the end.
pub(super) struct InFlight {
    activity: Arc<Activity>,
    is_unasked: bool,
}

impl InFlight {
    /// A part of the answer was handed over.
    pub(super) fn handed_over(&mut self) {
        if !std::mem::replace(&mut self.is_unasked, true) {
            // From now on the peer may take its time.
            self.activity.wrote();
            self.activity.unasked.fetch_add(1, Relaxed);
        }
    }

    /// More of it is asked for.
    pub(super) fn asked(&mut self) {
        if std::mem::take(&mut self.is_unasked) {
            self.activity.unasked.fetch_sub(1, Relaxed);
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.asked();
        self.activity.wrote();
        self.activity.in_flight.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        connections_max: 1,
        of_a_peer_max: 1,
        receive: Duration::from_millis(30_000),
        send: Duration::from_millis(40_000),
        idle: Duration::from_millis(75_000),
    };

    fn check(activity: &Activity, now_ms: u64, expected: Result<u64, Verdict>) {
        let expected = expected.map_or_else(|end| end, |ms| Verdict::LookAgain(activity.began + Duration::from_millis(ms)));
        assert_eq!(activity.verdict_at(now_ms, LIMITS), expected, "at {now_ms} ms");
    }

    #[test]
    fn a_silent_connection_is_late() {
        let activity = Activity::begin();
        check(&activity, 0, Ok(7_500));
        check(&activity, 29_000, Ok(30_000));
        check(&activity, 30_000, Err(Verdict::LateHead));
    }

    #[test]
    fn a_request_may_take_its_time_and_what_follows_may_not() {
        let activity = Arc::new(Activity::begin());
        let request = activity.request();
        check(&activity, 1_000_000, Ok(1_007_500));
        drop(request);
        activity.idle_since_ms.store(1_000_000, Relaxed);
        check(&activity, 1_000_000, Ok(1_007_500));
        check(&activity, 1_075_000, Err(Verdict::Idle));
        activity.head_since_ms.store(1_060_000, Relaxed);
        check(&activity, 1_075_000, Ok(1_082_500));
        check(&activity, 1_090_000, Err(Verdict::LateHead));
    }

    #[test]
    fn trickling_does_not_help() {
        let activity = Activity::begin();
        for _ in 0..3 {
            activity.read();
        }
        check(&activity, 30_000, Err(Verdict::LateHead));
        activity.read_frames();
        check(&activity, 30_000, Ok(37_500));
        check(&activity, 75_000, Err(Verdict::Idle));
    }

    #[test]
    fn who_reads_nothing_is_cut_off_although_it_asked() {
        let activity = Arc::new(Activity::begin());
        let mut request = activity.request();
        activity.blocked_since_ms.store(1_000_000, Relaxed);
        activity.blocked();
        check(&activity, 1_039_999, Ok(1_047_499));
        check(&activity, 1_040_000, Err(Verdict::Unread));
        activity.unblocked();
        check(&activity, 1_040_000, Ok(1_047_500));
        request.handed_over();
        activity.idle_since_ms.store(1_000_000, Relaxed);
        check(&activity, 1_040_000, Err(Verdict::Unread));
        // It has room for more; that there is none yet is not its fault.
        request.asked();
        check(&activity, 1_040_000, Ok(1_047_500));
        request.handed_over();
        drop(request);
        assert_eq!(activity.unasked.load(Relaxed), 0);
    }
}
