use std::{
    pin::pin,
    task::{Context, Poll, Waker},
};

use sandmill_model::Timestamp;

use super::*;

fn poll<T>(future: std::pin::Pin<&mut impl Future<Output = T>>) -> Poll<T> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

fn workspace(n: i64) -> WorkspaceId {
    WorkspaceId::new(Timestamp::from_micros(n))
}

#[test]
fn starts_wait_their_turn_between_workspaces() {
    let admission = Admission::new(1, 8, 1000, Duration::from_millis(50));
    let (a, b) = (workspace(1), workspace(2));
    let held = admission.try_start(1).unwrap();
    assert!(!admission.has_free_slot());
    let mut a1 = pin!(admission.start(a, 1));
    let mut a2 = pin!(admission.start(a, 1));
    let mut b1 = pin!(admission.start(b, 1));
    for start in [&mut a1, &mut a2, &mut b1] {
        assert!(poll(start.as_mut()).is_pending());
    }
    drop(held);
    assert!(admission.try_start(1).is_none(), "nobody overtakes those who wait");
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
    let admission = Admission::new(1, 8, 1000, Duration::from_millis(50));
    let held = admission.try_start(1).unwrap();
    {
        let mut waiting = pin!(admission.start(workspace(1), 1));
        assert!(poll(waiting.as_mut()).is_pending());
        drop(held);
        // Granted, but dropped before it was looked at.
    }
    let held = admission.try_start(1).unwrap();
    {
        let mut waiting = pin!(admission.start(workspace(1), 1));
        assert!(poll(waiting.as_mut()).is_pending());
    }
    drop(held);
    assert!(admission.has_free_slot());
}

#[test]
fn room_is_counted_by_weight() {
    let admission = Admission::new(8, 3, 1000, Duration::from_millis(50));
    let two = admission.try_start(2).unwrap();
    assert!(admission.try_start(2).is_none());
    let one = admission.try_start(1).unwrap();
    drop(two.slot);
    assert!(admission.try_start(1).is_none(), "a run without its slot keeps its room");
    drop(two.room);
    assert!(admission.try_start(2).is_some());
    drop(one);
}

#[tokio::test]
async fn memory_over_the_budget_waits_and_then_fails() {
    let admission = Admission::new(4, 4, 1000, Duration::from_millis(50));
    let running = admission.try_start(1).unwrap();
    admission.charge(900).await.unwrap();
    let mut more = pin!(admission.charge(200));
    assert!(poll(more.as_mut()).is_pending());
    admission.discharge(900);
    more.await.unwrap();
    admission.charge(800).await.unwrap();
    assert!(admission.try_start(1).is_none(), "a start waits while the budget is used up");
    assert!(admission.charge(1).await.is_err(), "nobody gave anything back");
    assert!(admission.charge(1001).await.is_err());
    drop(running);
    assert!(admission.try_start(1).is_some(), "nothing runs, so nobody else would free the memory");
}
