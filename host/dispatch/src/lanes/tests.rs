use super::*;

fn lane(places: u32) -> Arc<Lane> {
    let lane = Lane::new(WorkspaceId::new(Timestamp::from_micros(1)), Arc::default());
    lane.heard(0, places);
    lane
}

#[test]
fn as_many_seats_as_places() {
    let lane = lane(3);
    let mut seats: Vec<Seat> = std::iter::from_fn(|| lane.take()).collect();
    assert_eq!((seats.len(), lane.now()), (3, (3, 3)));
    seats.pop();
    assert_eq!(lane.now(), (3, 2));
    for _ in 0..2 {
        assert!(lane.take().is_some(), "a seat that is dropped is free");
    }
    drop(seats);
    assert_eq!(lane.now(), (3, 0));
}

#[test]
fn what_is_owed_is_given_up_as_it_becomes_free() {
    let lane = lane(4);
    let mut seats: Vec<Seat> = std::iter::from_fn(|| lane.take()).collect();
    lane.lower(2);
    assert_eq!((lane.now(), lane.keeps()), ((2, 4), 4));
    seats.pop();
    assert_eq!(lane.keeps(), 3);
    assert!(lane.take().is_none(), "it is not this node's any more");
    seats.truncate(1);
    assert_eq!(lane.keeps(), 2);
    assert!(lane.take().is_some());
    lane.lower(9);
    assert_eq!(lane.now().0, 2, "lower never raises");
}

#[tokio::test]
async fn who_stands_up_takes_its_place_along() {
    let lane = lane(2);
    let (first, second) = (lane.take().unwrap(), lane.take().unwrap());
    first.leaves().await;
    assert_eq!(lane.now(), (1, 1));
    lane.lower(0);
    second.leaves().await;
    assert_eq!((lane.now(), lane.keeps()), ((0, 0), 0));
}

#[test]
fn what_an_exchange_gives_is_all_that_there_is() {
    let lane = lane(5);
    let seats: Vec<Seat> = (0..3).filter_map(|_| lane.take()).collect();
    lane.lower(1);
    lane.heard(3, 3);
    assert_eq!(lane.now(), (1, 3), "what is owed stays so");
    lane.heard(3, 4);
    assert_eq!(lane.now(), (4, 3), "more than it kept: all are its own");
    lane.heard(4, 2);
    assert_eq!(lane.now(), (2, 3), "another life has less");
    drop(seats);
    lane.heard(0, u32::MAX);
    assert_eq!(lane.now(), (PLACES_MAX, 0));
}

#[test]
fn a_look_finds_who_is_idle() {
    let lane = lane(1);
    assert!(!lane.is_used());
    drop(lane.take());
    assert!(lane.is_used(), "since the last look");
    assert!(!lane.is_used());
    let _seat = lane.take();
    assert!(lane.is_used() && lane.is_used(), "at present");
}

#[test]
fn many_threads_have_no_more_than_there_are() {
    let lane = lane(3);
    let most = AtomicU64::new(0);
    let now = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..2_000 {
                    if let Some(_seat) = lane.take() {
                        most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        now.fetch_sub(1, Ordering::SeqCst);
                    }
                }
            });
        }
    });
    assert!(most.load(Ordering::SeqCst) <= 3);
    assert_eq!(lane.now(), (3, 0));
}

#[test]
fn a_life_that_ends_takes_all_places_along() {
    let lanes = Lanes::default();
    let lane = lanes.of(WorkspaceId::new(Timestamp::from_micros(1)));
    lane.heard(0, 4);
    let _seat = lane.take();
    lanes.end();
    assert_eq!(lane.now(), (0, 1));
    assert!(lane.take().is_none());
}
