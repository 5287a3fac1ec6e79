//! Who listens: takes seats, holds their listeners, starts them anew. It has no input but what is stored: poked by a signal and by a timer it
//! compares the seats that it has with the listeners that run, and converges.

mod board;
mod host;
mod seat;

use std::{
    collections::HashMap,
    mem,
    sync::Arc,
    time::{Duration, Instant},
};

use sandmill_model::{Timestamp, trigger::Shutdown};
use sandmill_store::{
    StoreError,
    nodes::Incarnation,
    seats::{Seat, SeatCount, SeatKey},
};
use tokio::{
    sync::{Semaphore, watch},
    task::JoinHandle,
    time::MissedTickBehavior,
};
use tokio_util::sync::CancellationToken;

use self::seat::{Attendant, Floor, Order};
use super::shared::Poked;
use crate::Inner;

/// How often free seats are looked for: of a node that died they are free at any moment.
const TICK: Duration = Duration::from_millis(500);
/// How often all seats are compared, although nobody said that something changed: a signal may be lost.
const COMPARE: Duration = Duration::from_secs(5);
/// How often it is written down how seats fare.
const REPORT: Duration = Duration::from_millis(500);
/// How long a free seat is left to nodes that have fewer.
const SPARE: Duration = Duration::from_secs(1);
/// Seats that are taken in one statement.
const TAKEN_MAX: u32 = 500;
/// Seats that are given up at once to nodes that have fewer.
const GIVEN_UP_MAX: usize = 32;
/// Seats whose triggers are being read at once.
const STARTING_MAX: usize = 16;
/// How far the clock may go another way than time does before it is said to have been set.
const CLOCK_STEP: Duration = Duration::from_secs(1);
/// How long the end of all listeners is waited for beyond what each of them may take.
const LAST: Duration = Duration::from_secs(2);
/// What a node says of itself that listens.
const WORKER: &str = "worker";

/// One for each process.
pub struct Supervisor {
    inner: Arc<Inner>,
}

impl Supervisor {
    pub(super) fn new(inner: Arc<Inner>) -> Self {
        Self { inner }
    }

    /// Listens until `stop`; then gives its seats back, once every listener has ended or its time is over.
    pub async fn run(self, stop: CancellationToken) {
        let has_listeners = self.inner.armoury.kinds.get().is_some_and(|kinds| kinds.all().iter().any(|kind| kind.listener.is_some()));
        if !self.inner.options.role.executes() || !has_listeners {
            return stop.cancelled().await;
        }
        let mut watch = Watch::new(&self.inner);
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = self.inner.armoury.changed.notified() => {}
                () = stop.cancelled() => break,
            }
            watch.step().await;
        }
        watch.close().await;
    }
}

/// A seat with whoever attends to it.
struct Attended {
    seat: Seat,
    orders: watch::Sender<Order>,
    task: JoinHandle<()>,
    /// It is to end; then the seat is given back.
    is_leaving: bool,
    /// It has begun since the last comparison, and has looked at all that changed before.
    is_new: bool,
}

impl Attended {
    fn leave(&mut self) {
        self.is_leaving = true;
        self.orders.send_modify(|order| order.is_over = true);
    }
}

struct Watch {
    floor: Arc<Floor>,
    /// As whom the seats are held.
    node: Option<Incarnation>,
    seats: HashMap<SeatKey, Attended>,
    compared_at: Option<Instant>,
    reported_at: Instant,
    /// Since when seats are free beyond this node's share.
    spare_since: Option<Instant>,
    /// The clock and time, at the same moment.
    clock: (Timestamp, Instant),
}

impl Watch {
    fn new(inner: &Arc<Inner>) -> Self {
        let floor = Floor { inner: Arc::clone(inner), board: Arc::default(), starting: Semaphore::new(STARTING_MAX) };
        let now = Instant::now();
        Self {
            floor: Arc::new(floor),
            node: None,
            seats: HashMap::new(),
            compared_at: None,
            reported_at: now,
            spare_since: None,
            clock: (inner.clock.now(), now),
        }
    }

    async fn step(&mut self) {
        self.watch_clock();
        let current = self.floor.inner.membership.current();
        if current != self.node {
            // The seats went with that life: nothing is given back, and nothing more is delivered for them.
            self.end_all().await;
            self.seats.clear();
            self.node = current;
            self.compared_at = None;
        }
        let Some(node) = self.node else { return };
        if let Err(error) = self.converge(node).await {
            tracing::error!(%error, "seats of triggers could not be looked at; trying again");
        }
        if self.reported_at.elapsed() >= REPORT {
            self.reported_at = Instant::now();
            self.report(node).await;
        }
    }

    /// Whoever sleeps until an instant looks again where the clock was set.
    fn watch_clock(&mut self) {
        let inner = &self.floor.inner;
        let (clock, time) = (inner.clock.now(), Instant::now());
        let expected = self.clock.0.plus(time.duration_since(self.clock.1));
        if clock.since(expected).max(expected.since(clock)) >= CLOCK_STEP {
            inner.armoury.shared.clock_was_set.notify_waiters();
        }
        self.clock = (clock, time);
    }

    async fn converge(&mut self, node: Incarnation) -> Result<(), StoreError> {
        let inner = Arc::clone(&self.floor.inner);
        let poked = inner.armoury.shared.take_poked();
        let converged = self.converge_after(node, &poked).await;
        if converged.is_err() {
            // What changed is looked at the next time.
            self.compared_at = None;
            inner.armoury.shared.poke_again(poked);
        }
        converged
    }

    async fn converge_after(&mut self, node: Incarnation, poked: &Poked) -> Result<(), StoreError> {
        self.sweep(node).await?;
        self.take(node).await?;
        let is_due = self.compared_at.is_none_or(|at| at.elapsed() >= COMPARE);
        if !is_due && poked.is_empty() {
            return Ok(());
        }
        let held = self.floor.inner.store.seats.held(node).await?;
        self.compared_at = Some(Instant::now());
        self.compare(node, held, poked);
        if is_due {
            self.give_up().await?;
        }
        Ok(())
    }

    /// Gives back the seats of whoever has ended.
    async fn sweep(&mut self, node: Incarnation) -> Result<(), StoreError> {
        let ended = self.seats.values().filter(|attended| attended.task.is_finished());
        let ended: Vec<(Seat, bool)> = ended.map(|attended| (attended.seat.clone(), attended.is_leaving)).collect();
        if ended.is_empty() {
            return Ok(());
        }
        let given: Vec<Seat> = ended.iter().filter(|(_, is_leaving)| *is_leaving).map(|(seat, _)| seat.clone()).collect();
        if !given.is_empty() {
            self.floor.inner.store.seats.give_back(node, given).await?;
        }
        for (seat, is_leaving) in ended {
            self.seats.remove(&seat.key);
            if !is_leaving {
                // Whoever attended to it ended badly; the next comparison finds the seat without one.
                tracing::error!(trigger = %seat.key.path, "a trigger was not attended to any more; beginning anew");
            }
            self.compared_at = None;
        }
        Ok(())
    }

    /// Takes free seats: its share at once, the others when nobody else does.
    async fn take(&mut self, node: Incarnation) -> Result<(), StoreError> {
        let (inner, now) = (Arc::clone(&self.floor.inner), self.floor.inner.clock.now());
        if inner.draining.is_cancelled() || !inner.membership.lives_at(now) {
            return Ok(());
        }
        let count = inner.store.seats.count(node).await?;
        if count.free == 0 {
            self.spare_since = None;
            return Ok(());
        }
        let listening = inner.store.nodes.list().await?;
        let listening = listening.iter().filter(|node| node.alive_until > now && node.about.roles.iter().any(|role| role == WORKER));
        let mut wanted = share(count, listening.count()).saturating_sub(count.own).min(count.free);
        if wanted == 0 {
            let since = *self.spare_since.get_or_insert_with(Instant::now);
            if since.elapsed() < SPARE {
                return Ok(());
            }
            wanted = count.free;
        }
        while wanted > 0 {
            let limit = u32::try_from(wanted).unwrap_or(u32::MAX).min(TAKEN_MAX);
            let taken = inner.store.seats.take(node, limit, now).await?;
            let found = taken.len();
            taken.into_iter().for_each(|seat| self.attend(node, seat));
            if found < usize::try_from(limit).unwrap_or(usize::MAX) {
                break;
            }
            wanted = wanted.saturating_sub(found as u64);
        }
        Ok(())
    }

    fn attend(&mut self, node: Incarnation, seat: Seat) {
        // One that ends still has the place; the next comparison finds the seat.
        if self.seats.contains_key(&seat.key) {
            self.compared_at = None;
            return;
        }
        let order = Order { revision: seat.revision, ..Order::default() };
        let (orders, receiver) = watch::channel(order);
        let attendant = Attendant::run(Arc::clone(&self.floor), seat.clone(), node, receiver);
        let task = self.floor.inner.tasks.spawn(attendant);
        self.seats.insert(seat.key.clone(), Attended { seat, orders, task, is_leaving: false, is_new: true });
    }

    /// Makes what runs here what it should be.
    fn compare(&mut self, node: Incarnation, held: Vec<Seat>, poked: &Poked) {
        let held: HashMap<SeatKey, Seat> = held.into_iter().map(|seat| (seat.key.clone(), seat)).collect();
        for (key, attended) in &mut self.seats {
            if attended.is_leaving {
                continue;
            }
            match held.get(key).filter(|seat| seat.fence == attended.seat.fence) {
                // It is not this node's any more, or is so anew.
                None => attended.leave(),
                Some(seat) => {
                    let is_poked = !mem::take(&mut attended.is_new) && poked.has(key.workspace);
                    let order = *attended.orders.borrow();
                    if order.revision != seat.revision || is_poked {
                        attended.orders.send_modify(|order| {
                            order.revision = seat.revision;
                            order.look = order.look.wrapping_add(1);
                        });
                    }
                    attended.seat.revision = seat.revision;
                }
            }
        }
        for (key, seat) in held {
            if !self.seats.contains_key(&key) {
                self.attend(node, seat);
            }
        }
    }

    /// Gives up some seats if other nodes have far fewer.
    async fn give_up(&mut self) -> Result<(), StoreError> {
        let Some(node) = self.node else { return Ok(()) };
        let own = self.seats.values().filter(|attended| !attended.is_leaving).count();
        if own < 2 {
            return Ok(());
        }
        let (inner, now) = (&self.floor.inner, self.floor.inner.clock.now());
        let count = inner.store.seats.count(node).await?;
        let listening = inner.store.nodes.list().await?;
        let listening = listening.iter().filter(|node| node.alive_until > now && node.about.roles.iter().any(|role| role == WORKER));
        let share = usize::try_from(share(count, listening.count())).unwrap_or(usize::MAX);
        // Not for every little difference: each of them interrupts a listener.
        if own <= share.saturating_add(share / 4).saturating_add(1) {
            return Ok(());
        }
        let excess = (own - share).min(GIVEN_UP_MAX);
        self.seats.values_mut().filter(|attended| !attended.is_leaving).take(excess).for_each(Attended::leave);
        Ok(())
    }

    async fn report(&self, node: Incarnation) {
        let changed = self.floor.board.take();
        if changed.is_empty() {
            return;
        }
        let statuses = changed.iter().map(|(cell, status)| (cell.seat.clone(), status.clone())).collect();
        if let Err(error) = self.floor.inner.store.seats.report(node, statuses).await {
            tracing::warn!(%error, "how triggers fare could not be written down; trying again");
            changed.iter().for_each(|(cell, _)| cell.changes());
        }
    }

    /// Ends all listeners, together.
    async fn end_all(&mut self) {
        self.seats.values_mut().for_each(Attended::leave);
        let tasks = self.seats.values_mut().map(|attended| &mut attended.task);
        let all = futures_util::future::join_all(tasks);
        if tokio::time::timeout(Shutdown::DEADLINE + LAST, all).await.is_err() {
            tracing::error!("listeners of triggers did not end in their time; what they deliver from now on is refused");
            self.seats.values().for_each(|attended| attended.task.abort());
        }
    }

    async fn close(mut self) {
        self.end_all().await;
        let Some(node) = self.node else { return };
        self.report(node).await;
        let seats = self.seats.into_values().map(|attended| attended.seat).collect::<Vec<_>>();
        if seats.is_empty() {
            return;
        }
        if let Err(error) = self.floor.inner.store.seats.give_back(node, seats).await {
            tracing::error!(%error, "seats of triggers could not be given back; others take them once they see that this node is gone");
        }
    }
}

/// How many of all seats one of so many nodes should have.
fn share(count: SeatCount, nodes: usize) -> u64 {
    count.all.div_ceil(u64::try_from(nodes).unwrap_or(u64::MAX).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_cover_all_seats() {
        let count = |all| SeatCount { all, free: 0, own: 0 };
        for (all, nodes, expected) in [(10, 1, 10), (10, 3, 4), (0, 3, 0), (1, 3, 1), (5, 0, 5)] {
            assert_eq!(share(count(all), nodes), expected, "{all} among {nodes}");
        }
    }
}
