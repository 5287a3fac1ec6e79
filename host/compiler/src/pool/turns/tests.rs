use std::{
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
};

use sandmill_model::Timestamp;

use super::*;

fn poll<T>(future: Pin<&mut impl Future<Output = T>>) -> Poll<T> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

fn workspace(number: i64) -> By {
    Some(WorkspaceId::new(Timestamp::from_micros(number)))
}

fn turns(workers: usize) -> Arc<Turns> {
    Turns::new(Bounds { workers, line_max: 100, all_max: 1_000 })
}

#[track_caller]
fn begun(polled: Poll<Result<Turn, BuildError>>) -> Turn {
    let Poll::Ready(Ok(turn)) = polled else { panic!("it waits, or was refused") };
    turn
}

#[track_caller]
fn refused(polled: Poll<Result<Turn, BuildError>>) {
    let Poll::Ready(Err(BuildError::Unavailable(text))) = polled else { panic!("it waits, or has a turn") };
    assert!(text.contains("waiting already"), "{text}");
}

#[test]
fn a_hundred_builds_hold_up_their_own_workspace_alone() {
    let turns = turns(1);
    let (busy, quiet) = (workspace(1), workspace(2));
    let at_work = begun(poll(pin!(turns.turn(busy))));
    let mut many: Vec<_> = (0..100).map(|_| Box::pin(turns.turn(busy))).collect();
    for build in &mut many {
        assert!(poll(build.as_mut()).is_pending());
    }
    let mut one = pin!(turns.turn(quiet));
    assert!(poll(one.as_mut()).is_pending());
    drop(at_work);
    let first = begun(poll(many[0].as_mut()));
    assert!(poll(one.as_mut()).is_pending() && poll(many[1].as_mut()).is_pending());
    drop(first);
    assert!(poll(many[1].as_mut()).is_pending(), "it is the other's turn");
    drop(begun(poll(one.as_mut())));
    let mut ended = 1;
    for build in &mut many[1..] {
        drop(begun(poll(build.as_mut())));
        ended += 1;
    }
    assert_eq!(ended, 100);
    drop(many);
    let state = turns.state();
    assert!(state.lines.is_empty() && state.ring.is_empty() && state.free == 1, "nothing is left of those who came");
}

#[test]
fn nobody_has_all_workers() {
    let turns = turns(2);
    let (busy, quiet) = (workspace(1), workspace(2));
    let first = begun(poll(pin!(turns.turn(busy))));
    let mut second = pin!(turns.turn(busy));
    assert!(poll(second.as_mut()).is_pending(), "the last worker is for others");
    let other = begun(poll(pin!(turns.turn(quiet))));
    let mut node = pin!(turns.turn(None));
    assert!(poll(node.as_mut()).is_pending());
    drop(other);
    assert!(poll(second.as_mut()).is_pending());
    let node = begun(poll(node.as_mut()));
    drop(first);
    drop((begun(poll(second.as_mut())), node));
    assert_eq!(turns.state().free, 2);
}

#[test]
fn who_gives_up_takes_nothing_along() {
    let turns = turns(1);
    let at_work = begun(poll(pin!(turns.turn(workspace(1)))));
    {
        let mut gone = Box::pin(turns.turn(workspace(1)));
        let mut granted = Box::pin(turns.turn(workspace(2)));
        assert!(poll(gone.as_mut()).is_pending() && poll(granted.as_mut()).is_pending());
        drop(gone);
        drop(at_work);
        // It has the turn, and goes before it looks.
    }
    drop(begun(poll(pin!(turns.turn(workspace(3))))));
    let state = turns.state();
    assert!(state.lines.is_empty() && state.ring.is_empty() && state.free == 1);
}

#[test]
fn lines_are_bounded_and_a_long_one_makes_way() {
    let turns = Turns::new(Bounds { workers: 1, line_max: 3, all_max: 4 });
    let (long, short) = (workspace(1), workspace(2));
    let at_work = begun(poll(pin!(turns.turn(long))));
    let mut waiting: Vec<_> = (0..3).map(|_| Box::pin(turns.turn(long))).collect();
    for build in &mut waiting {
        assert!(poll(build.as_mut()).is_pending());
    }
    refused(poll(pin!(turns.turn(long))));
    // Those who have given up hold no place.
    waiting.pop();
    let mut again = Box::pin(turns.turn(long));
    assert!(poll(again.as_mut()).is_pending());
    let mut others: Vec<_> = (0..2).map(|_| Box::pin(turns.turn(short))).collect();
    assert!(poll(others[0].as_mut()).is_pending(), "that is the last place in all lines");
    assert!(poll(others[1].as_mut()).is_pending(), "and for this one somebody makes way");
    refused(poll(again.as_mut()));
    refused(poll(pin!(turns.turn(short))));
    let mut third = pin!(turns.turn(workspace(3)));
    assert!(poll(third.as_mut()).is_pending(), "who has nothing waiting is never refused for others");
    drop(at_work);
    drop(begun(poll(waiting[0].as_mut())));
}
