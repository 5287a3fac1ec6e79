//! Whose turn it is: the connections of a workspace stand in a line of their own, so that one with many waits behind itself.
//!
//! The runtime polls tasks first come, first served, so whoever keeps many connections busy is served that many times before somebody
//! with one. Here the time that polling takes is counted for each workspace; one that has used up its part of a lap stands in line until
//! the next, which begins once the runtime has looked at what arrived meanwhile (round robin, in parts of time).
//! Where one workspace is alone, or has few connections, it never waits.
//!
//! A connection belongs to the workspace of its last request: of several that share one, as behind a proxy, each is taken for the other.

use std::{
    collections::{HashMap, VecDeque},
    net::{IpAddr, Ipv6Addr},
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use sandmill_api::OnBehalf;
use sandmill_model::WorkspaceId;
use tokio::sync::Notify;

/// What a workspace may use, for each thread, before others are looked after: one or two requests.
const LAP: Duration = Duration::from_micros(100);
/// With so many connections, or streams of them, a workspace is no crowd: it need not stand in line.
const FEW: usize = 5;
/// Whoever was not served for this long is not thought of.
const COMPANY: Duration = Duration::from_secs(1);

/// One for all connections.
pub(super) struct Turns {
    began: Instant,
    /// Threads that serve connections.
    threads: u32,
    lines: Mutex<HashMap<Who, Weak<Line>>>,
    /// Lines whose part of this lap is used up.
    used_up: Mutex<Vec<Arc<Line>>>,
    next_lap: Notify,
    /// The address of the line that was served last.
    last: AtomicUsize,
    /// When it was another that was served last, in microseconds since `began`.
    changed_us: AtomicU64,
}

/// Whose connections stand in one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Who {
    Workspace(WorkspaceId),
    /// Until a request was let in.
    Peer(IpAddr),
}

#[derive(Default)]
struct Line(Mutex<Order>);

#[derive(Default)]
struct Order {
    used: Duration,
    /// Among those that the next lap begins with.
    is_used_up: bool,
    waiting: VecDeque<Arc<Place>>,
}

/// A connection's place in its line.
#[derive(Default)]
struct Place(Mutex<Standing>);

/// It changes its line only while nobody has to come after it.
#[derive(Default)]
enum Standing {
    #[default]
    Outside,
    Waiting(Waker),
    /// Until it was served: then it calls another.
    Called,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Turns {
    pub(super) fn new(threads: usize) -> Self {
        Self {
            began: Instant::now(),
            threads: u32::try_from(threads.max(1)).unwrap_or(u32::MAX),
            lines: Mutex::default(),
            used_up: Mutex::default(),
            next_lap: Notify::new(),
            last: AtomicUsize::new(0),
            changed_us: AtomicU64::new(0),
        }
    }

    /// Begins laps, as long as it is polled.
    pub(super) async fn usher(&self) {
        loop {
            self.next_lap.notified().await;
            // The runtime looks at what has arrived before it goes on with who gave way.
            tokio::task::yield_now().await;
            self.lap();
        }
    }

    fn lap(&self) {
        let lines = std::mem::take(&mut *lock(&self.used_up));
        for line in lines {
            lock(&line.0).begin_lap(self.threads);
        }
    }

    fn line(&self, who: Who) -> Arc<Line> {
        let mut lines = lock(&self.lines);
        if let Some(line) = lines.get(&who).and_then(Weak::upgrade) {
            return line;
        }
        let line = Arc::new(Line::default());
        // Room is made when it is needed anyway.
        if lines.len() == lines.capacity() {
            lines.retain(|_, line| line.strong_count() > 0);
        }
        lines.insert(who, Arc::downgrade(&line));
        line
    }

    /// Notes that `line` is served; whether others were, lately.
    fn has_company(&self, line: &Arc<Line>, now: Instant) -> bool {
        let now_us = u64::try_from((now - self.began).as_micros()).unwrap_or(u64::MAX);
        let this = Arc::as_ptr(line).addr();
        if self.last.load(Relaxed) != this {
            self.last.store(this, Relaxed);
            self.changed_us.store(now_us, Relaxed);
        }
        now_us.saturating_sub(self.changed_us.load(Relaxed)) < u64::try_from(COMPANY.as_micros()).unwrap_or(u64::MAX)
    }

    fn use_up(&self, line: &Arc<Line>) {
        lock(&self.used_up).push(Arc::clone(line));
        self.next_lap.notify_one();
    }
}

impl Order {
    /// Calls as many as there are threads; each calls another as long as there is time.
    fn begin_lap(&mut self, threads: u32) {
        (self.used, self.is_used_up) = (Duration::ZERO, false);
        for _ in 0..threads {
            self.call_next();
        }
    }

    fn call_next(&mut self) {
        while let Some(next) = self.waiting.pop_front() {
            let mut standing = lock(&next.0);
            if let Standing::Waiting(waker) = &*standing {
                let waker = waker.clone();
                *standing = Standing::Called;
                waker.wake();
                return;
            }
        }
    }
}

/// The share in the turns of a connection, or of a stream of one.
pub(super) struct Turn {
    turns: Arc<Turns>,
    on_behalf: OnBehalf,
    who: Who,
    line: Arc<Line>,
    place: Arc<Place>,
}

impl Turn {
    pub(super) fn new(turns: Arc<Turns>, peer: IpAddr, on_behalf: OnBehalf) -> Self {
        let who = on_behalf.workspace().map_or_else(|| Who::Peer(network(peer)), Who::Workspace);
        let line = turns.line(who);
        Self { turns, on_behalf, who, line, place: Arc::default() }
    }

    /// Polls `served` once it is this one's turn.
    pub(super) fn poll<F: Future>(&mut self, context: &mut Context<'_>, served: Pin<&mut F>) -> Poll<F::Output> {
        let now = Instant::now();
        if !self.begin(now, context.waker()) {
            return Poll::Pending;
        }
        let polled = served.poll(context);
        self.end(now.elapsed());
        polled
    }

    /// Whether it is served now; if not, it is woken when it is its turn.
    fn begin(&self, now: Instant, waker: &Waker) -> bool {
        let is_crowd = Arc::strong_count(&self.line) > FEW;
        let must_wait = self.turns.has_company(&self.line, now) && is_crowd;
        let mut order = lock(&self.line.0);
        let mut standing = lock(&self.place.0);
        match &mut *standing {
            Standing::Called => return true,
            Standing::Waiting(before) => {
                before.clone_from(waker);
                return false;
            }
            Standing::Outside => {}
        }
        if !must_wait || (order.waiting.is_empty() && !order.is_used_up) {
            return true;
        }
        *standing = Standing::Waiting(waker.clone());
        order.waiting.push_back(Arc::clone(&self.place));
        false
    }

    fn end(&mut self, took: Duration) {
        *lock(&self.place.0) = Standing::Outside;
        if let Some(who) = self.on_behalf.workspace().map(Who::Workspace).filter(|who| *who != self.who) {
            let line = std::mem::replace(&mut self.line, self.turns.line(who));
            self.who = who;
            lock(&line.0).call_next();
        }
        let part = LAP * self.turns.threads;
        let mut order = lock(&self.line.0);
        order.used += took;
        if order.used < part {
            order.call_next();
        } else if !std::mem::replace(&mut order.is_used_up, true) {
            drop(order);
            self.turns.use_up(&self.line);
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let before = std::mem::replace(&mut *lock(&self.place.0), Standing::Outside);
        if matches!(before, Standing::Called) {
            lock(&self.line.0).call_next();
        }
    }
}

/// What one peer has of addresses: a network of 64 bits is one household.
pub(super) fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => (address & Ipv6Addr::from_segments([u16::MAX, u16::MAX, u16::MAX, u16::MAX, 0, 0, 0, 0])).into(),
    }
}

#[cfg(test)]
mod tests;
