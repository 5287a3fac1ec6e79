//! Getting places and giving them back.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use sandmill_model::{WorkspaceId, run::NewRun};
use sandmill_store::{
    nodes::Incarnation,
    places::{Held, Hold},
};
use tokio_util::sync::CancellationToken;

use super::{Lane, Said, Seat, UNKNOWN};
use crate::Inner;

/// How often it is looked whether others ask for places, and who is idle.
const INTERVAL: Duration = Duration::from_secs(1);
/// Between two questions for places where there were none.
const PAUSE: Duration = Duration::from_millis(250);
/// How long runs of the queue are thought to wait for places: longer than until they are looked at again.
const QUEUE_WAITS: Duration = Duration::from_millis(1_500);
/// Idle places are given back after so many intervals.
const IDLE_MAX: u32 = 5;

impl Inner {
    /// A place for a run that is due now, of a workspace that may have only so many at once. None: it has to go through the queue.
    pub(crate) async fn seat(&self, run: &NewRun) -> Option<Seat> {
        let now = run.created_at;
        if !self.membership.lives_at(now) {
            return None;
        }
        let lane = self.lanes.of(run.workspace);
        let seat = lane.take();
        if seat.is_some() || lane.is_paused(now) {
            return seat;
        }
        let lease = self.membership.current()?;
        let mut said = lane.said.lock().await;
        // Somebody else may have asked meanwhile.
        let seat = lane.take();
        if seat.is_some() || lane.is_paused(now) {
            return seat;
        }
        let needs = lane.now().1.saturating_add(1);
        self.exchange(lease, &lane, &mut said, needs).await;
        // It may have been long on its way.
        let seat = lane.take().filter(|_| self.membership.lives_at(self.clock.now()));
        if seat.is_none() {
            lane.paused_until.store(self.clock.now().plus(PAUSE).micros(), Ordering::Relaxed);
        }
        seat
    }

    /// Says what this node keeps, and hears what it has. Whoever stops listening has not heard it.
    async fn exchange(&self, lease: Incarnation, lane: &Lane, said: &mut Said, needs: u32) {
        let keeps = lane.keeps();
        let number = self.lanes.number.fetch_add(1, Ordering::Relaxed) + 1;
        said.written = UNKNOWN;
        match self.store.places.exchange(lease, Hold { workspace: lane.of, number, keeps, needs }).await {
            Ok(Some(Held { places, .. })) => {
                let _life = self.lanes.life();
                if self.membership.current() == Some(lease) {
                    lane.heard(keeps, places);
                    said.written = places;
                }
            }
            // The next sign of life says so, too.
            Ok(None) => {}
            Err(error) => {
                tracing::error!(%error, workspace = %lane.of, "places of a workspace could not be exchanged; its runs go through the queue")
            }
        }
    }

    /// Says what was given up here; whether that was anything.
    async fn give_back(&self, lease: Incarnation, lane: &Lane, said: &mut Said) -> bool {
        let before = said.written;
        if lane.keeps() >= before {
            return false;
        }
        self.exchange(lease, lane, said, 0).await;
        said.written < before
    }

    /// Leaves up to `count` of the places that are free here to runs of the queue, before they are claimed or wake.
    pub(crate) async fn leave_to_queue(&self, lease: Incarnation, workspace: WorkspaceId, count: u32) {
        let Some(lane) = self.lanes.known(workspace) else { return };
        let mut said = lane.said.lock().await;
        let (places, used) = lane.now();
        lane.lower(places - places.saturating_sub(used).min(count));
        self.give_back(lease, &lane, &mut said).await;
    }

    /// Runs of the queue found no place: for a while the fast lane asks for no more, and half of its places go to them as they become free.
    pub(crate) async fn queue_waits(&self, lease: Incarnation, workspace: WorkspaceId) {
        let Some(lane) = self.lanes.known(workspace) else { return };
        let mut said = lane.said.lock().await;
        let now = self.clock.now();
        if !lane.does_queue_wait(now) {
            lane.lower(lane.now().0 / 2);
        }
        lane.queue_until.store(now.plus(QUEUE_WAITS).micros(), Ordering::Relaxed);
        if self.give_back(lease, &lane, &mut said).await {
            self.places_are_free();
        }
    }

    fn places_are_free(&self) {
        self.waking.look();
        self.look_for_ready();
        self.tell_ready();
    }

    /// Gives back what others ask for, what is idle and what is owed, until `stop`.
    pub(crate) async fn keep_lanes(self: Arc<Self>, stop: CancellationToken) {
        let mut next = tokio::time::Instant::now() + INTERVAL;
        loop {
            let is_time = tokio::select! {
                () = tokio::time::sleep_until(next) => true,
                () = self.lanes.owed.notified() => false,
                () = stop.cancelled() => return,
            };
            if is_time {
                next = tokio::time::Instant::now() + INTERVAL;
            }
            let Some(lease) = self.membership.current() else { continue };
            if is_time {
                self.lower_lanes(lease).await;
                self.lanes.forget_idle();
            }
            let mut gave = false;
            for lane in self.lanes.all() {
                let mut said = lane.said.lock().await;
                gave |= self.give_back(lease, &lane, &mut said).await;
            }
            if gave {
                self.places_are_free();
            }
        }
    }

    /// Lowers what others ask for, and what nobody has used for some time.
    async fn lower_lanes(&self, lease: Incarnation) {
        let lanes = self.lanes.all();
        for lane in &lanes {
            let mut said = lane.said.lock().await;
            said.idle = if lane.is_used() { 0 } else { said.idle.saturating_add(1) };
            if said.idle >= IDLE_MAX {
                lane.lower(0);
            }
        }
        if lanes.iter().all(|lane| lane.now().0 == 0) {
            return;
        }
        match self.store.places.excess(lease).await {
            Ok(excess) => {
                for each in excess {
                    if let Some(lane) = self.lanes.known(each.workspace) {
                        let _said = lane.said.lock().await;
                        lane.lower(each.keep);
                    }
                }
            }
            Err(error) => tracing::error!(%error, "it could not be looked whether others ask for places; trying again"),
        }
    }
}
