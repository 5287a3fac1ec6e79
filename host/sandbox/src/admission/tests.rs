use std::{
    pin::pin,
    task::{Context, Poll, Waker},
};

use super::{accounts::MemoryFull, *};

fn poll<T>(future: std::pin::Pin<&mut impl Future<Output = T>>) -> Poll<T> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// A thousand bytes for all.
fn memory(workspace_bytes_max: u64) -> MemoryBounds {
    MemoryBounds { all_bytes_max: 1000, workspace_bytes_max, wait_max: Duration::from_millis(50) }
}

/// The same one for the same number.
fn workspace(n: u64) -> WorkspaceId {
    format!("00000000-0000-7000-8000-{n:012x}").parse().unwrap()
}

impl Admission {
    fn one_starts(self: &Arc<Self>, n: u64, weight: u32) -> Option<Permits> {
        self.accounts(workspace(n)).try_start(weight)
    }
}

#[test]
fn a_quiet_workspace_does_not_wait_for_slots_that_another_has() {
    let admission = Admission::new(16, 32, &memory(1000));
    let mut busy: Vec<Permits> = std::iter::from_fn(|| admission.one_starts(1, 1)).collect();
    assert_eq!(busy.len(), 14);
    assert!(!admission.has_free_slot(), "none for whoever has much");
    let of_busy = admission.accounts(workspace(1));
    let mut waits = pin!(of_busy.start(1));
    assert!(poll(waits.as_mut()).is_pending());
    let (first, second) = (admission.one_starts(2, 1).unwrap(), admission.one_starts(2, 1).unwrap());
    drop(first);
    assert!(poll(waits.as_mut()).is_pending(), "that one is kept");
    let third = admission.one_starts(3, 1).unwrap();
    assert!(admission.one_starts(4, 1).is_none(), "there are no more");
    busy.pop();
    assert!(poll(waits.as_mut()).is_pending(), "first those that are kept are free again");
    drop((second, third));
    assert!(poll(waits.as_mut()).is_ready());
}

#[test]
fn starts_wait_their_turn_between_workspaces() {
    let admission = Admission::new(1, 8, &memory(1000));
    let (a, b) = (workspace(1), workspace(2));
    let held = admission.one_starts(1, 1).unwrap();
    assert!(!admission.has_free_slot());
    let (of_a, of_b) = (admission.accounts(a), admission.accounts(b));
    let mut a1 = pin!(of_a.start(1));
    let mut a2 = pin!(of_a.start(1));
    let mut b1 = pin!(of_b.start(1));
    for start in [&mut a1, &mut a2, &mut b1] {
        assert!(poll(start.as_mut()).is_pending());
    }
    drop(held);
    assert!(admission.one_starts(1, 1).is_none(), "nobody overtakes those who wait");
    let Poll::Ready(first) = poll(a1.as_mut()) else { panic!("a1 came first") };
    assert!(poll(a2.as_mut()).is_pending() && poll(b1.as_mut()).is_pending());
    drop(first);
    assert!(poll(a2.as_mut()).is_pending(), "it is b's turn");
    let Poll::Ready(second) = poll(b1.as_mut()) else { panic!("b1 has its turn") };
    drop(second);
    assert!(poll(a2.as_mut()).is_ready());
    assert!(admission.has_free_slot());
}

#[test]
fn who_gives_up_takes_nothing_along() {
    let admission = Admission::new(1, 8, &memory(1000));
    let held = admission.one_starts(1, 1).unwrap();
    let accounts = admission.accounts(workspace(1));
    {
        let mut waiting = pin!(accounts.start(1));
        assert!(poll(waiting.as_mut()).is_pending());
        drop(held);
        // Granted, but dropped before it was looked at.
    }
    let held = admission.one_starts(1, 1).unwrap();
    {
        let mut waiting = pin!(accounts.start(1));
        assert!(poll(waiting.as_mut()).is_pending());
    }
    drop(held);
    assert!(admission.has_free_slot());
}

#[test]
fn room_is_counted_by_weight() {
    let admission = Admission::new(8, 3, &memory(1000));
    let two = admission.one_starts(1, 2).unwrap();
    assert!(admission.one_starts(1, 2).is_none());
    let one = admission.one_starts(1, 1).unwrap();
    drop(two.slot);
    assert!(admission.one_starts(1, 1).is_none(), "a run without its slot keeps its room");
    drop(two.room);
    assert!(admission.one_starts(1, 2).is_some());
    drop(one);
}

#[tokio::test]
async fn memory_over_the_budget_waits_and_then_fails() {
    let admission = Admission::new(4, 4, &memory(1000));
    let running = admission.one_starts(1, 1).unwrap();
    let accounts = admission.accounts(workspace(1));
    accounts.charge(900).await.unwrap();
    let mut more = pin!(accounts.charge(200));
    assert!(poll(more.as_mut()).is_pending());
    accounts.discharge(900);
    more.await.unwrap();
    accounts.charge(800).await.unwrap();
    assert!(admission.one_starts(2, 1).is_none(), "a start waits while the budget is used up");
    assert!(accounts.charge(1).await.is_err(), "nobody gave anything back");
    assert!(accounts.charge(1001).await.is_err());
    drop(running);
    assert!(admission.one_starts(2, 1).is_some(), "nothing runs, so nobody else would free the memory");
}

#[tokio::test]
async fn memory_of_one_workspace_has_its_own_bound() {
    let admission = Admission::new(4, 4, &memory(600));
    let one = workspace(1);
    let (large, other, small) = (admission.accounts(one), admission.accounts(one), admission.accounts(workspace(2)));
    large.charge(500).await.unwrap();
    let full = other.charge(200).await.unwrap_err();
    assert!(matches!(full, MemoryFull::Workspace { max_bytes: 600 }), "{full}");
    small.charge(500).await.unwrap();
    let full = large.charge(100).await.unwrap_err();
    assert!(matches!(full, MemoryFull::Node { max_bytes: 1000 }), "{full}");
    small.discharge(500);
    other.charge(100).await.unwrap();
    let mut more = pin!(other.charge(300));
    assert!(poll(more.as_mut()).is_pending(), "it waits for what the other run of its workspace holds");
    large.discharge(500);
    more.await.unwrap();
    other.discharge(400);
    assert_eq!(admission.memory_used_bytes(), 0);
}

#[tokio::test]
async fn starts_of_a_workspace_wait_for_its_memory_and_hold_up_nobody_else() {
    let admission = Admission::new(4, 8, &memory(600));
    let (full, other) = (admission.accounts(workspace(1)), admission.accounts(workspace(2)));
    full.charge(600).await.unwrap();
    assert!(full.try_start(1).is_none());
    let mut first = pin!(full.start(1));
    let mut second = pin!(full.start(1));
    assert!(poll(first.as_mut()).is_pending() && poll(second.as_mut()).is_pending());
    assert!(other.try_start(1).is_some() && admission.has_free_slot(), "they take no slot, and stand before nobody");
    full.discharge(1);
    let Poll::Ready(started) = poll(first.as_mut()) else { panic!("there is some") };
    assert!(poll(second.as_mut()).is_ready(), "each lets the next one look");
    full.charge(1).await.unwrap();
    let mut third = Box::pin(full.start(1));
    let mut fourth = pin!(full.start(1));
    assert!(poll(third.as_mut()).is_pending() && poll(fourth.as_mut()).is_pending());
    full.discharge(600);
    // Who was told and goes tells the next one.
    drop(third);
    assert!(poll(fourth.as_mut()).is_ready());
    drop(started);
}

#[tokio::test]
async fn who_is_refused_by_the_node_holds_nothing_of_its_workspace() {
    let admission = Admission::new(4, 4, &memory(600));
    let (own, other) = (admission.accounts(workspace(1)), admission.accounts(workspace(2)));
    other.charge(500).await.unwrap();
    let mut start = pin!(own.start(1));
    {
        let mut waits = pin!(own.charge(600));
        assert!(poll(waits.as_mut()).is_pending(), "the node has no more");
        assert!(poll(start.as_mut()).is_pending());
    }
    assert!(poll(start.as_mut()).is_ready());
    own.charge(500).await.unwrap();
}
