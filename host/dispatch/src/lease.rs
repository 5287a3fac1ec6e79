//! This node among the others: its life, on a thread of its own, so that however busy the rest is, it is not taken for dead.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use sandmill_model::Timestamp;
use sandmill_store::nodes::{About, Incarnation, Nodes};
use tokio_util::sync::CancellationToken;

use crate::{HEARTBEAT, Inner, LEASE};

/// How long to wait after a failed attempt to join before the next.
const JOIN_PAUSE: Duration = Duration::from_millis(500);
/// No incarnation.
const NONE: i64 = 0;

/// The incarnation of this node, if it has one.
#[derive(Default)]
pub(crate) struct Membership {
    current: AtomicI64,
    /// In microseconds: what it last said of itself holds until then.
    alive_until: AtomicI64,
}

impl Membership {
    pub(crate) fn current(&self) -> Option<Incarnation> {
        let current = self.current.load(Ordering::Acquire);
        (current != NONE).then_some(Incarnation(current))
    }

    fn set(&self, incarnation: Option<Incarnation>) {
        self.current.store(incarnation.map_or(NONE, |incarnation| incarnation.0), Ordering::Release);
    }

    /// A sign of life that was shown at `now` has arrived.
    fn shown(&self, now: Timestamp) {
        self.alive_until.store(now.plus(LEASE).micros(), Ordering::Release);
    }

    /// Whether no other node can think at `now` that this one is dead.
    pub(crate) fn lives_at(&self, now: Timestamp) -> bool {
        now.micros() < self.alive_until.load(Ordering::Acquire)
    }
}

impl Inner {
    fn about(&self) -> About {
        About {
            name: Arc::clone(&self.options.node),
            release: env!("CARGO_PKG_VERSION").to_owned(),
            roles: self.options.role.names(),
            tags: self.options.tags.iter().map(|tag| tag.to_string()).collect(),
            slots: self.options.queued_runs_max as u64,
        }
    }

    /// Joins as soon as the database answers; false if `stop` came first.
    pub(crate) async fn join(&self, nodes: &dyn Nodes, stop: &CancellationToken) -> bool {
        loop {
            let now = self.clock.now();
            match nodes.join(self.about(), now, LEASE).await {
                Ok(incarnation) => {
                    self.membership.shown(now);
                    tracing::debug!(incarnation = incarnation.0, node = %self.options.node, "joined");
                    self.membership.set(Some(incarnation));
                    return true;
                }
                Err(error) => tracing::error!(%error, "this node cannot join; it executes nothing from the queue until it can"),
            }
            tokio::select! {
                () = tokio::time::sleep(JOIN_PAUSE) => {}
                () = stop.cancelled() => return false,
            }
        }
    }

    /// Starts the thread that shows signs of life until `stop`.
    pub(crate) fn keep_alive(self: &Arc<Self>, stop: CancellationToken) -> std::io::Result<JoinHandle<()>> {
        let inner = Arc::clone(self);
        std::thread::Builder::new().name("heartbeat".to_owned()).spawn(move || {
            match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime.block_on(inner.beat(stop)),
                Err(error) => tracing::error!(%error, "no sign of life can be shown"),
            }
        })
    }

    async fn beat(self: Arc<Self>, stop: CancellationToken) {
        let mut apart: Option<Arc<dyn Nodes>> = None;
        // The dead are looked for twice as often as signs are shown: what they held is missed from the moment at which they may be dead.
        let mut ticks = tokio::time::interval(HEARTBEAT / 2);
        let mut only_looks = true;
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        // Since when every sign of life arrived.
        let mut well_since: Option<Timestamp> = None;
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = stop.cancelled() => break,
            }
            let nodes = match &apart {
                Some(nodes) => Arc::clone(nodes),
                None => match self.store.nodes.apart().await {
                    Ok(nodes) => Arc::clone(apart.insert(nodes)),
                    Err(error) => {
                        tracing::error!(%error, "the database cannot be reached for signs of life");
                        continue;
                    }
                },
            };
            let now = self.clock.now();
            only_looks = !only_looks;
            if only_looks {
                if well_since.is_some_and(|since| now.since(since) >= LEASE) && self.membership.lives_at(now) {
                    self.bury(nodes.as_ref(), now).await;
                }
                continue;
            }
            match self.beat_once(nodes.as_ref(), &stop).await {
                Ok(()) => {
                    let since = *well_since.get_or_insert(now);
                    // Where the database was away, all look dead at first: each gets the time to say otherwise.
                    if now.since(since) >= LEASE {
                        self.bury(nodes.as_ref(), now).await;
                    }
                }
                Err(error) => {
                    well_since = None;
                    tracing::error!(%error, "a sign of life could not be shown");
                }
            }
        }
    }

    async fn beat_once(self: &Arc<Self>, nodes: &dyn Nodes, stop: &CancellationToken) -> Result<(), sandmill_store::StoreError> {
        let Some(own) = self.membership.current() else { return Ok(()) };
        let now = self.clock.now();
        match nodes.heartbeat(own, self.live.len() as u64, now, LEASE).await? {
            Some(cancelled) => {
                self.membership.shown(now);
                for run in cancelled {
                    self.end_here(run);
                }
            }
            None => {
                let runs = self.live.leased();
                tracing::warn!(
                    runs = runs.len(),
                    "the others thought that this node was dead; its runs are tried again and what it makes of them does not count"
                );
                self.membership.set(None);
                self.lanes.end();
                for run in runs {
                    // Also what only waits here for a slot: another node may be executing it by now.
                    self.end_here(run);
                }
                self.join(nodes, stop).await;
            }
        }
        Ok(())
    }

    /// Those who were dead before this node's own last sign of life: it may have been long on its way, and the node is none of them.
    async fn bury(&self, nodes: &dyn Nodes, now: Timestamp) {
        match nodes.bury(now).await {
            Ok(0) => {}
            Ok(runs) => {
                tracing::warn!(runs, "a node died; its runs are queued again");
                self.look_for_ready();
                self.tell_ready();
            }
            Err(error) => tracing::error!(%error, "dead nodes could not be looked for"),
        }
    }
}
