//! Who listens, and who does not any more.

use std::time::Duration;

use sandmill_model::{
    WorkspaceId,
    trigger::{Cursor, Mode, SeatState, SeatStatus},
};
use sandmill_store::{
    Store,
    nodes::Incarnation,
    seats::{Seat, SeatCount},
    triggers::{DeliveryAnswer, ItemReceipt, NewTrigger, SeatLease, TriggerDelivery},
};

use crate::{
    fixture::{Database, LEASE, join, json, on_both, path, tick, workspace},
    triggers::{AT, delivery, item, put, run, trigger},
};

on_both![
    a_seat_is_one_nodes,
    triggers_are_shared_out_before_their_second_seats,
    nodes_that_take_at_once_share,
    whoever_lost_the_seat_delivers_nothing,
    seats_are_free_once_a_life_ends,
    a_change_keeps_seats_and_cursors,
    a_trigger_that_is_off_has_nobody,
    a_trigger_made_anew_has_no_old_leases,
    seats_tell_how_they_fare,
];

fn listening(of: WorkspaceId, at: &str, seats: u32) -> NewTrigger {
    NewTrigger { seats, ..trigger(of, at) }
}

async fn take(store: &Store, node: Incarnation, limit: u32) -> Vec<Seat> {
    store.seats.take(node, limit, tick()).await.unwrap()
}

fn names(seats: &[Seat]) -> Vec<(String, u32)> {
    seats.iter().map(|seat| (seat.key.path.to_string(), seat.key.number)).collect()
}

fn lease(node: Incarnation, seat: &Seat) -> SeatLease {
    SeatLease { number: seat.key.number, node, fence: seat.fence }
}

/// One event of the trigger at [`AT`], with a cursor.
async fn deliver(store: &Store, of: WorkspaceId, lease: SeatLease, cursor: &str) -> DeliveryAnswer {
    let events = TriggerDelivery { lease: Some(lease), cursor: Some(Cursor(json(cursor))), ..delivery(of, vec![item(&run(of))]) };
    store.triggers.deliver(events).await.unwrap()
}

async fn cursor(store: &Store, seat: &Seat) -> Option<String> {
    store.triggers.cursor(seat.key.clone()).await.unwrap().map(|cursor| cursor.0.as_str().to_owned())
}

async fn a_seat_is_one_nodes(database: Database) {
    let store = database.open().await;
    let of = workspace();
    let (one, other) = (join(&store, "one", tick()).await, join(&store, "other", tick()).await);
    assert_eq!((take(&store, one, 10).await, store.seats.count(one).await.unwrap()), (vec![], SeatCount::default()));
    let trigger = put(&store, listening(of, AT, 1)).await;
    let taken = take(&store, one, 10).await;
    assert_eq!((names(&taken), taken[0].revision), (vec![(AT.to_owned(), 0)], trigger.revision));
    assert_eq!((take(&store, other, 10).await, take(&store, one, 10).await), (vec![], vec![]));
    assert_eq!((store.seats.held(one).await.unwrap(), store.seats.held(other).await.unwrap()), (taken.clone(), vec![]));
    assert_eq!(store.seats.count(one).await.unwrap(), SeatCount { all: 1, free: 0, own: 1 });
    assert_eq!(store.seats.count(other).await.unwrap(), SeatCount { all: 1, free: 0, own: 0 });
    store.seats.give_back(other, taken.clone()).await.unwrap();
    assert_eq!(take(&store, other, 10).await, [], "nobody gives back what is another's");
    store.seats.give_back(one, taken.clone()).await.unwrap();
    let again = take(&store, other, 10).await;
    assert!(again[0].fence > taken[0].fence);
    store.seats.give_back(one, taken).await.unwrap();
    assert_eq!(store.seats.held(other).await.unwrap(), again);
    store.nodes.leave(one).await.unwrap();
    store.seats.give_back(other, again).await.unwrap();
    assert_eq!(take(&store, one, 10).await, [], "the dead get nothing");
}

async fn triggers_are_shared_out_before_their_second_seats(database: Database) {
    let store = database.open().await;
    let of = workspace();
    put(&store, listening(of, "f/a/two", 2)).await;
    put(&store, listening(of, "f/b/two", 2)).await;
    let (one, other) = (join(&store, "one", tick()).await, join(&store, "other", tick()).await);
    assert_eq!(names(&take(&store, one, 1).await), [("f/a/two".to_owned(), 0)]);
    assert_eq!(names(&take(&store, one, 1).await), [("f/b/two".to_owned(), 0)], "of which it has none");
    assert_eq!(names(&take(&store, other, 10).await), [("f/a/two".to_owned(), 1), ("f/b/two".to_owned(), 1)]);
}

async fn nodes_that_take_at_once_share(database: Database) {
    let stores = [database.open().await, database.open().await];
    let of = workspace();
    for number in 0..30 {
        put(&stores[0], listening(of, &format!("f/a/t{number}"), 1)).await;
    }
    let nodes = [join(&stores[0], "one", tick()).await, join(&stores[1], "other", tick()).await];
    let take_all = async |index: usize| {
        let mut all = Vec::new();
        loop {
            let taken = take(&stores[index], nodes[index], 4).await;
            let count = stores[index].seats.count(nodes[index]).await.unwrap();
            all.extend(taken);
            if count.free == 0 {
                return all;
            }
        }
    };
    let (left, right) = futures_util::future::join(take_all(0), take_all(1)).await;
    let mut both: Vec<(String, u32)> = names(&left).into_iter().chain(names(&right)).collect();
    both.sort();
    both.dedup();
    assert_eq!((both.len(), left.len() + right.len()), (30, 30));
}

async fn whoever_lost_the_seat_delivers_nothing(database: Database) {
    let store = database.open().await;
    let of = workspace();
    put(&store, listening(of, AT, 1)).await;
    let now = tick();
    let asleep = join(&store, "asleep", now).await;
    let old = take(&store, asleep, 1).await.remove(0);
    assert!(matches!(deliver(&store, of, lease(asleep, &old), "1").await, DeliveryAnswer::Done { .. }));
    store.nodes.bury(now.plus(LEASE).plus(Duration::from_micros(1))).await.unwrap();
    assert_eq!(deliver(&store, of, lease(asleep, &old), "2").await, DeliveryAnswer::Fenced, "as soon as it is thought dead");
    let node = join(&store, "node", tick()).await;
    let new = take(&store, node, 1).await.remove(0);
    for wrong in [lease(asleep, &old), lease(node, &old), lease(asleep, &new), SeatLease { number: 1, ..lease(node, &new) }] {
        assert_eq!(deliver(&store, of, wrong, "3").await, DeliveryAnswer::Fenced, "{wrong:?}");
    }
    assert_eq!((cursor(&store, &new).await.as_deref(), store.queue.length(of, 10).await.unwrap()), (Some("1"), 1));
    assert!(matches!(deliver(&store, of, lease(node, &new), "4").await, DeliveryAnswer::Done { .. }));
    assert_eq!(cursor(&store, &new).await.as_deref(), Some("4"));
    store.seats.give_back(node, vec![new.clone()]).await.unwrap();
    assert_eq!(deliver(&store, of, lease(node, &new), "5").await, DeliveryAnswer::Fenced, "nobody has it");
    // Beside others of the same commit, which are written.
    let again = take(&store, node, 1).await.remove(0);
    let (lost, kept) = tokio::join!(deliver(&store, of, lease(node, &new), "6"), deliver(&store, of, lease(node, &again), "7"));
    assert!(
        matches!((lost, kept), (DeliveryAnswer::Fenced, DeliveryAnswer::Done { items, .. }) if matches!(*items, [ItemReceipt::New(_)]))
    );
}

async fn seats_are_free_once_a_life_ends(database: Database) {
    let store = database.open().await;
    let of = workspace();
    put(&store, listening(of, AT, 1)).await;
    let heir = store.nodes.join(crate::fixture::about("heir"), tick(), LEASE * 1_000).await.unwrap();
    let free = async || store.seats.count(heir).await.unwrap().free;
    for end in ["bury", "leave", "join"] {
        let now = tick();
        let node = join(&store, "node", now).await;
        assert_eq!(take(&store, node, 1).await.len(), 1, "{end}");
        assert_eq!(free().await, 0);
        match end {
            "bury" => assert_eq!(store.nodes.bury(now.plus(LEASE * 2)).await.unwrap(), 0),
            "leave" => assert_eq!(store.nodes.leave(node).await.unwrap(), 0),
            // The same node, started anew.
            _ => assert!(join(&store, "node", tick()).await > node),
        }
        assert_eq!((free().await, store.seats.held(node).await.unwrap()), (1, vec![]), "{end}");
    }
    assert_eq!(take(&store, heir, 1).await.len(), 1);
}

async fn a_change_keeps_seats_and_cursors(database: Database) {
    let store = database.open().await;
    let of = workspace();
    put(&store, listening(of, AT, 3)).await;
    let node = join(&store, "node", tick()).await;
    let seats = take(&store, node, 10).await;
    assert_eq!(seats.len(), 3);
    for seat in &seats {
        deliver(&store, of, lease(node, seat), &format!("\"{}\"", seat.key.number)).await;
    }
    let changed = put(&store, listening(of, AT, 2)).await;
    let held = store.seats.held(node).await.unwrap();
    assert_eq!(names(&held), [(AT.to_owned(), 0), (AT.to_owned(), 1)]);
    assert!(held.iter().zip(&seats).all(|(held, before)| held.fence == before.fence && held.revision == changed.revision));
    assert_eq!(deliver(&store, of, lease(node, &seats[2]), "0").await, DeliveryAnswer::Fenced);
    assert!(matches!(deliver(&store, of, lease(node, &seats[1]), "\"1\"").await, DeliveryAnswer::Done { .. }), "it may end what it is at");
    put(&store, listening(of, AT, 3)).await;
    assert_eq!(names(&take(&store, node, 10).await), [(AT.to_owned(), 2)]);
    assert_eq!((cursor(&store, &seats[1]).await.as_deref(), cursor(&store, &seats[2]).await), (Some("\"1\""), None));
    assert_eq!(deliver(&store, of, lease(node, &seats[2]), "0").await, DeliveryAnswer::Fenced, "it is another seat");
}

async fn a_trigger_that_is_off_has_nobody(database: Database) {
    let store = database.open().await;
    let of = workspace();
    put(&store, listening(of, AT, 1)).await;
    let node = join(&store, "node", tick()).await;
    let before = take(&store, node, 10).await.remove(0);
    deliver(&store, of, lease(node, &before), "7").await;
    let off = || NewTrigger { mode: Mode::Off, ..listening(of, AT, 0) };
    put(&store, off()).await;
    assert_eq!((store.seats.held(node).await.unwrap(), take(&store, node, 10).await), (vec![], vec![]));
    assert_eq!(store.seats.count(node).await.unwrap(), SeatCount::default());
    assert_eq!(deliver(&store, of, lease(node, &before), "8").await, DeliveryAnswer::Gone);
    let statuses = store.seats.statuses(of, &path(AT)).await.unwrap();
    assert_eq!((statuses.len(), &statuses[0].1, statuses[0].2.state), (1, &None, SeatState::Free));
    let other = join(&store, "other", tick()).await;
    store.nodes.leave(other).await.unwrap();
    assert_eq!(take(&store, node, 10).await, [], "no life that ends opens it");
    put(&store, listening(of, AT, 1)).await;
    assert_eq!(deliver(&store, of, lease(node, &before), "9").await, DeliveryAnswer::Fenced);
    let after = take(&store, node, 10).await.remove(0);
    assert!(after.fence > before.fence);
    assert_eq!(cursor(&store, &after).await.as_deref(), Some("7"), "it goes on where it was");
}

async fn a_trigger_made_anew_has_no_old_leases(database: Database) {
    let store = database.open().await;
    let of = workspace();
    put(&store, listening(of, AT, 1)).await;
    let node = join(&store, "node", tick()).await;
    let before = take(&store, node, 1).await.remove(0);
    deliver(&store, of, lease(node, &before), "7").await;
    store.triggers.delete(of, &path(AT)).await.unwrap();
    assert_eq!(store.seats.held(node).await.unwrap(), []);
    put(&store, listening(of, AT, 1)).await;
    let after = take(&store, node, 1).await.remove(0);
    assert_eq!(cursor(&store, &after).await, None);
    assert_eq!(deliver(&store, of, lease(node, &before), "8").await, DeliveryAnswer::Fenced);
    assert!(matches!(deliver(&store, of, lease(node, &after), "9").await, DeliveryAnswer::Done { .. }));
}

async fn seats_tell_how_they_fare(database: Database) {
    let store = database.open().await;
    let (of, at) = (workspace(), path(AT));
    let made = put(&store, listening(of, AT, 2)).await;
    let fresh = SeatStatus { since: made.updated_at, ..SeatStatus::default() };
    assert_eq!(store.seats.statuses(of, &at).await.unwrap(), [(0, None, fresh.clone()), (1, None, fresh.clone())]);
    assert_eq!(store.seats.statuses(workspace(), &at).await.unwrap(), []);
    let node = join(&store, "node", tick()).await;
    let now = tick();
    let seats = store.seats.take(node, 1, now).await.unwrap();
    let starting = SeatStatus { state: SeatState::Starting, since: now, ..SeatStatus::default() };
    assert_eq!(store.seats.statuses(of, &at).await.unwrap(), [(0, Some("node".to_owned()), starting), (1, None, fresh.clone())]);
    let failing = SeatStatus {
        state: SeatState::BackingOff,
        since: tick(),
        error: Some("refused\0 by the loft".to_owned()),
        error_at: Some(tick()),
        failures: 3,
        failing_since: Some(now),
        events: 1 << 40,
        lag_events: Some(7),
        ..SeatStatus::default()
    };
    store.seats.report(node, vec![(seats[0].clone(), failing.clone())]).await.unwrap();
    let told = async || store.seats.statuses(of, &at).await.unwrap().remove(0);
    assert_eq!(told().await, (0, Some("node".to_owned()), failing.clone()));
    let other = join(&store, "other", tick()).await;
    let well = SeatStatus { state: SeatState::Listening, ..SeatStatus::default() };
    store.seats.report(other, vec![(seats[0].clone(), well.clone())]).await.unwrap();
    let overtaken = Seat { fence: seats[0].fence - 1, ..seats[0].clone() };
    store.seats.report(node, vec![(overtaken, well)]).await.unwrap();
    assert_eq!(told().await.2, failing, "by nobody else");
    store.nodes.leave(node).await.unwrap();
    assert_eq!((told().await.1, told().await.2), (None, SeatStatus { state: SeatState::Free, ..failing.clone() }));
    let now = tick();
    assert_eq!(store.seats.take(other, 1, now).await.unwrap().len(), 1);
    assert_eq!(told().await.2, SeatStatus { state: SeatState::Starting, since: now, ..failing }, "its failure goes on");
}
