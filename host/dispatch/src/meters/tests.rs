use std::sync::atomic::{AtomicI64, Ordering};

use sandmill_model::{Limits, Outcome, OutcomeKind, RunError};
use sandmill_store::{Durability, Options, Store, connect};

use super::*;

/// Moves when a test says so.
struct Moved(AtomicI64);

impl Clock for Moved {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::Relaxed))
    }
}

/// The first second of a day, in microseconds.
const MORNING: i64 = 20_000 * 24 * 3600 * 1_000_000;

async fn store(file: &std::path::Path) -> Store {
    connect(&Options { url: format!("sqlite:{}", file.display()), durability: Durability::Normal }).await.unwrap()
}

struct Node {
    meters: Meters,
    number: i64,
    unheard: Option<Addition>,
}

impl Node {
    fn new(store: &Store, clock: &Arc<Moved>, name: &str) -> Self {
        Self { meters: Meters::new(Arc::clone(&store.usage), clock.clone(), name, Arc::default()), number: 0, unheard: None }
    }

    async fn settle(&mut self) {
        self.meters.settle(&mut self.number, &mut self.unheard).await.unwrap();
    }
}

#[tokio::test]
async fn limits_hold_for_all_nodes_together_and_count_anew() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder.path().join("test.db")).await;
    let clock = Arc::new(Moved(AtomicI64::new(MORNING)));
    let of = store.workspaces.ensure(WorkspaceId::new(clock.now()), "w", clock.now()).await.unwrap().id;
    let (mut one, mut other) = (Node::new(&store, &clock, "one"), Node::new(&store, &clock, "other"));
    let quotas = Quotas { runs_per_minute: Some(3), runs_per_day: Some(4), ..Quotas::default() };
    for _ in 0..2 {
        one.meters.admit(of, &quotas, 0).await.unwrap();
    }
    other.meters.admit(of, &quotas, 0).await.unwrap();
    one.settle().await;
    other.settle().await;
    one.settle().await;
    for node in [&one, &other] {
        let refused = node.meters.admit(of, &quotas, 0).await.unwrap_err();
        assert_eq!((refused.code, refused.retry_after_s), (Code::QuotaExceeded, Some(61)));
        assert!(refused.detail.contains("runs_per_minute = 3"), "{}", refused.detail);
    }
    clock.0.fetch_add(60_000_000, Ordering::Relaxed);
    one.meters.admit(of, &quotas, 0).await.unwrap();
    let refused = one.meters.admit(of, &quotas, 0).await.unwrap_err();
    assert!(refused.detail.contains("runs_per_day = 4"), "{}", refused.detail);
    one.meters.was_none(of, 0);
    one.meters.admit(of, &quotas, 0).await.unwrap();
    one.settle().await;
    one.settle().await;
    assert!(one.meters.admit(of, &quotas, 0).await.is_err(), "what was written is counted once");
    clock.0.fetch_add(24 * 3600 * 1_000_000, Ordering::Relaxed);
    one.meters.admit(of, &quotas, 0).await.unwrap();
}

#[tokio::test]
async fn what_runs_are_given_counts_on_all_nodes_and_what_comes_to_nothing_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder.path().join("test.db")).await;
    let clock = Arc::new(Moved(AtomicI64::new(MORNING)));
    let of = store.workspaces.ensure(WorkspaceId::new(clock.now()), "w", clock.now()).await.unwrap().id;
    let (mut one, mut other) = (Node::new(&store, &clock, "one"), Node::new(&store, &clock, "other"));
    let quotas = Quotas { run_bytes_per_day: Some(100), ..Quotas::default() };
    one.meters.admit(of, &quotas, 60).await.unwrap();
    one.meters.admit(of, &quotas, 1000).await.unwrap();
    assert!(one.meters.admit(of, &quotas, 0).await.is_err());
    one.meters.was_none(of, 1000);
    one.meters.admit(of, &quotas, 0).await.unwrap();
    one.settle().await;
    other.meters.admit(of, &quotas, 40).await.unwrap();
    other.settle().await;
    one.settle().await;
    for node in [&one, &other] {
        let refused = node.meters.admit(of, &quotas, 0).await.unwrap_err();
        assert_eq!((refused.code, refused.retry_after_s), (Code::QuotaExceeded, Some(24 * 3600 + 1)));
        assert!(refused.detail.contains("run_bytes_per_day = 100"), "{}", refused.detail);
    }
    clock.0.fetch_add(24 * 3600 * 1_000_000, Ordering::Relaxed);
    one.meters.admit(of, &quotas, 0).await.unwrap();
}

#[tokio::test]
async fn what_goes_out_is_limited_by_the_workspaces_own_quota() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder.path().join("test.db")).await;
    let clock = Arc::new(Moved(AtomicI64::new(MORNING)));
    let of = store.workspaces.ensure(WorkspaceId::new(clock.now()), "w", clock.now()).await.unwrap().id;
    let mut node = Node::new(&store, &clock, "one");
    node.meters.may_send(of).await.unwrap();
    assert!(node.meters.sent(of, 60, 40));
    node.settle().await;
    node.meters.may_send(of).await.unwrap();
    let overrides = [("outbound_bytes_per_day".to_owned(), 100.into())].into_iter().collect();
    store.workspaces.allot(of, sandmill_store::workspaces::Change { plan: None, overrides }).await.unwrap().unwrap();
    node.settle().await;
    let refused = node.meters.may_send(of).await.unwrap_err();
    assert!(refused.detail.contains("outbound_bytes_per_day = 100"), "{}", refused.detail);
    assert!(node.meters.sent(of, 0, 0), "what is under way may come to the limit");
    assert!(!node.meters.sent(of, 0, 1), "and ends beyond it");
}

#[tokio::test]
async fn who_is_idle_is_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder.path().join("test.db")).await;
    let clock = Arc::new(Moved(AtomicI64::new(MORNING)));
    let of = store.workspaces.ensure(WorkspaceId::new(clock.now()), "w", clock.now()).await.unwrap().id;
    let mut node = Node::new(&store, &clock, "one");
    assert!(node.meters.sent(of, 1, 0));
    node.settle().await;
    assert_eq!(node.meters.all().len(), 1);
    clock.0.fetch_add(61_000_000, Ordering::Relaxed);
    node.settle().await;
    assert_eq!(node.meters.all().len(), 0);
}

#[tokio::test]
async fn who_keeps_as_much_as_it_may_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder.path().join("test.db")).await;
    let clock = Arc::new(Moved(AtomicI64::new(MORNING)));
    let make = |name: &'static str| store.workspaces.ensure(WorkspaceId::new(clock.now()), name, clock.now());
    let (of, other) = (make("w").await.unwrap().id, make("other").await.unwrap().id);
    let limit = |bytes: u64| {
        let overrides = [("stored_bytes".to_owned(), bytes.into())].into_iter().collect();
        store.workspaces.allot(of, sandmill_store::workspaces::Change { plan: None, overrides })
    };
    let node = Node::new(&store, &clock, "one");
    for (bytes, is_full) in [(0, true), (1, false)] {
        limit(bytes).await.unwrap().unwrap();
        let fresh = Node::new(&store, &clock, "one");
        for workspace in [of, other] {
            fresh.meters.may_send(workspace).await.unwrap();
        }
        assert_eq!((fresh.meters.room(of).await.unwrap(), fresh.meters.room(other).await.unwrap()), (Some(bytes), None));
        fresh.meters.measure().await;
        assert_eq!((fresh.meters.full.has(of), fresh.meters.full.has(other)), (is_full, false), "{bytes}");
    }
    assert!(!node.meters.full.has(of));
}

#[tokio::test]
async fn what_waits_has_fuel_until_it_is_used_up() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder.path().join("test.db")).await;
    let clock = Arc::new(Moved(AtomicI64::new(MORNING)));
    let make = |name: &'static str| store.workspaces.ensure(WorkspaceId::new(clock.now()), name, clock.now());
    let (of, other) = (make("w").await.unwrap().id, make("other").await.unwrap().id);
    let mut node = Node::new(&store, &clock, "one");
    for (fuel, has_fuel) in [(0_u64, false), (1, true)] {
        let overrides = [("fuel_per_day".to_owned(), fuel.into())].into_iter().collect();
        store.workspaces.allot(of, sandmill_store::workspaces::Change { plan: None, overrides }).await.unwrap().unwrap();
        // Heard of, and read within a second.
        node.meters.has_fuel(of);
        node.settle().await;
        assert_eq!((node.meters.has_fuel(of), node.meters.has_fuel(other)), (has_fuel, true), "{fuel}");
        let quotas = Quotas { fuel_per_day: Some(fuel), ..Quotas::default() };
        assert_eq!(node.meters.admit(of, &quotas, 0).await.is_ok(), has_fuel, "{fuel}");
    }
}

#[tokio::test]
async fn what_a_day_has_left_bounds_an_attempt() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder.path().join("test.db")).await;
    let clock = Arc::new(Moved(AtomicI64::new(MORNING)));
    let of = store.workspaces.ensure(WorkspaceId::new(clock.now()), "w", clock.now()).await.unwrap().id;
    let mut node = Node::new(&store, &clock, "one");
    assert_eq!(node.meters.left(of), Left::default(), "not known yet");
    let overrides = [("fuel_per_day".to_owned(), 7.into())].into_iter().collect();
    store.workspaces.allot(of, sandmill_store::workspaces::Change { plan: None, overrides }).await.unwrap().unwrap();
    node.settle().await;
    let left = node.meters.left(of);
    assert_eq!(left, Left { fuel: Some(7), log_bytes: None });
    let quotas = Quotas { log_bytes_per_day: Some(9), ..Quotas::default() };
    assert_eq!(node.meters.admit(of, &quotas, 0).await, Ok(Left { fuel: None, log_bytes: Some(9) }));
    let own = Limits::default();
    assert_eq!(left.within(own), Limits { fuel: 7, ..own });
    assert_eq!(left.within(Limits { fuel: 5, ..own }).fuel, 5, "its own limit is less");
    let ended = |kind: OutcomeKind| Outcome::failed(kind, RunError::new(kind.name(), "own words"));
    for (kind, own, says) in [
        (OutcomeKind::OutOfFuel, own, "fuel_per_day"),
        (OutcomeKind::OutOfFuel, Limits { fuel: 7, ..own }, "own words"),
        (OutcomeKind::Timeout, own, "own words"),
    ] {
        let mut outcome = ended(kind);
        left.explain(&own, &mut outcome);
        assert!(outcome.error.as_ref().is_some_and(|error| error.message.contains(says)), "{outcome:?}");
    }
}
