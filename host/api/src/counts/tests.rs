//! Floods of many keys, and clocks that jump.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn counts(at_once: u32, keys_max: usize) -> Counts<u32> {
    Counts::new(Pace { at_once, interval: SECOND }, keys_max)
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_micros(1_700_000_000_000_000 + millis * 1000)
}

/// How often `key` is counted until it is refused.
fn exhaust(counts: &Counts<u32>, key: u32, now: Timestamp) -> usize {
    (0..1_000_000).take_while(|_| counts.take(key, now).is_ok()).count()
}

/// Keys that are known; each must be in one bucket.
fn known(counts: &Counts<u32>) -> usize {
    let table = counts.table.lock().unwrap();
    assert_eq!(table.buckets.values().map(VecDeque::len).sum::<usize>(), table.even_at_us.len());
    assert!(table.buckets.values().all(|keys| !keys.is_empty()));
    table.even_at_us.len()
}

#[test]
fn so_many_at_once_then_one_in_a_time() {
    let counts = counts(100, 10);
    assert_eq!(exhaust(&counts, 1, at(0)), 100);
    assert_eq!(counts.take(1, at(400)), Err(Duration::from_millis(600)));
    assert_eq!(exhaust(&counts, 2, at(400)), 100, "another is another");
    assert_eq!(exhaust(&counts, 1, at(1_000)), 1);
    assert_eq!(exhaust(&counts, 1, at(6_000)), 5);
    assert_eq!(exhaust(&counts, 1, at(1_000_000)), 100, "in the end all is forgotten");
}

#[test]
fn a_clock_that_is_set_back_keeps_nobody_out() {
    let counts = counts(10, 100);
    assert!((0..100).all(|key| exhaust(&counts, key, at(3_600_000)) == 10));
    assert_eq!(counts.take(1, at(0)), Err(SECOND));
    assert_eq!(exhaust(&counts, 1, at(1_000)), 1);
    assert_eq!(exhaust(&counts, 1, at(60_000)), 10);
    // Keys of that future are forgotten as others are.
    assert!((200..300).all(|key| counts.take(key, at(60_000)).is_ok()));
    assert!(known(&counts) <= 101, "{}", known(&counts));
}

#[test]
fn what_is_given_back_or_only_asked_is_not_counted() {
    let counts = counts(1, 10);
    for _ in 0..10 {
        assert_eq!((counts.check(&1, at(0)), counts.take(1, at(0))), (Ok(()), Ok(())));
        counts.give_back(&1);
    }
    counts.give_back(&2);
    assert_eq!((counts.take(1, at(0)), counts.check(&1, at(0)), counts.check(&2, at(0))), (Ok(()), Err(SECOND), Ok(())));
    assert_eq!(known(&counts), 1);
}

#[test]
fn what_need_not_be_remembered_is_forgotten() {
    let counts = counts(10, 100_000);
    for key in 0..100_000 {
        assert_eq!(counts.take(key, at(i64::from(key))), Ok(()), "{key}");
    }
    // Those of a second and a little more.
    assert!(known(&counts) < 2_500, "{}", known(&counts));
}

#[test]
fn a_flood_of_keys_neither_locks_others_out_nor_makes_it_forget_whom_it_counts() {
    let counts = counts(100, 1_000);
    assert_eq!(exhaust(&counts, 0, at(0)), 100);
    // Each but once, so that all that counts is how many there are: 50,000 a second.
    for key in 1..50_000 {
        assert_eq!(counts.take(key, at(0)), Ok(()), "{key}");
        assert!(counts.take(0, at(0)).is_err(), "{key}: it was forgotten who had too many");
    }
    assert_eq!(known(&counts), 1_000);
    // What the flood has left is shared by those who come: 50 each, and no more than that.
    assert!(exhaust(&counts, 60_000, at(0)) >= 45);
    assert!(exhaust(&counts, 60_001, at(60_000)) >= 95);
}

#[test]
fn whoever_was_pushed_out_does_not_start_again_from_nothing() {
    let counts = counts(10, 4);
    for key in 0..4 {
        assert_eq!(exhaust(&counts, key, at(0)), 10);
    }
    // All places are taken by those who have had all they may: so has whoever comes now, for as long as that lasts.
    assert!(counts.take(9, at(0)).is_err());
    assert!((0..4).all(|key| counts.take(key, at(0)).is_err()));
    assert_eq!(counts.take(9, at(1_000)), Ok(()));
}

/// A look at all keys for each new one would take minutes.
#[test]
fn a_full_table_costs_no_more_than_an_empty_one() {
    let counts = Counts::new(Pace { at_once: 4_000, interval: Duration::from_micros(500) }, 20_000);
    let mut step = 0_i64;
    for round in 0..3_u32 {
        for key in 0..60_000_u32 {
            step += 1;
            // A clock that hardly moves: nothing is ever even.
            let _ = counts.take(key + round, Timestamp::from_micros(1_700_000_000_000_000 + step / 1_000));
        }
    }
    assert_eq!(known(&counts), 20_000);
}
