//! Look-ups that are under way: whoever needs the same one joins it.
//!
//! When a server starts, or a token is first used by many at once, nobody is in memory yet; without this each request would ask the
//! database for itself.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::{Duration, Instant},
};

use sandmill_model::auth::TokenHash;
use tokio::sync::OnceCell;

/// What is looked up, and at what moment: a count of all that was forgotten. A look-up that began before says nothing of what is asked
/// after.
pub(crate) type Key = (TokenHash, u64);

pub(crate) struct Flights<T>(Mutex<HashMap<Key, Weak<Flight<T>>>>);

struct Flight<T> {
    began: Instant,
    found: OnceCell<T>,
}

impl<T> Default for Flights<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Clone> Flights<T> {
    /// What `look_up` finds, or one of the same key that began no longer than `believed` ago. If whoever began it goes away, the next of
    /// those who wait begins again.
    pub(crate) async fn join<F: Future<Output = T>>(&self, key: Key, believed: Duration, look_up: impl FnOnce() -> F) -> T {
        let flight = self.flight(key, believed);
        flight.found.get_or_init(look_up).await.clone()
    }

    fn flight(&self, key: Key, believed: Duration) -> Arc<Flight<T>> {
        let mut flights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flight) = flights.get(&key).and_then(Weak::upgrade).filter(|flight| flight.began.elapsed() < believed) {
            return flight;
        }
        let flight = Arc::new(Flight { began: Instant::now(), found: OnceCell::new() });
        // Room is made when it is needed anyway.
        if flights.len() == flights.capacity() {
            flights.retain(|_, flight| flight.strong_count() > 0);
        }
        flights.insert(key, Arc::downgrade(&flight));
        flight
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::{pending, ready},
        sync::atomic::{AtomicUsize, Ordering::Relaxed},
    };

    use futures_util::{FutureExt, future::join_all};
    use tokio::sync::Notify;

    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    fn key(secret: &str, moment: u64) -> Key {
        (TokenHash::of(secret), moment)
    }

    #[tokio::test]
    async fn many_who_need_the_same_look_it_up_once() {
        let (flights, asked, landing) = (Flights::default(), AtomicUsize::new(0), Notify::new());
        let look_up = || async {
            asked.fetch_add(1, Relaxed);
            landing.notified().await;
            7
        };
        let all = join_all((0..1_000).map(|_| flights.join(key("a", 0), LONG, look_up)));
        let (found, ()) = tokio::join!(all, async {
            tokio::task::yield_now().await;
            landing.notify_one();
        });
        assert_eq!((found, asked.load(Relaxed)), (vec![7; 1_000], 1));
        // Once nobody waits for it, it is over.
        assert_eq!(flights.join(key("a", 0), LONG, || ready(8)).await, 8);
    }

    #[tokio::test]
    async fn nobody_joins_what_began_too_early_or_is_of_another() {
        let flights = Flights::default();
        let mut first = Box::pin(flights.join(key("a", 0), LONG, pending::<u32>));
        assert!(first.as_mut().now_or_never().is_none());
        assert!(flights.join(key("a", 0), LONG, || ready(1)).now_or_never().is_none(), "it waits for the first");
        for (key, believed) in [(key("b", 0), LONG), (key("a", 1), LONG), (key("a", 0), Duration::ZERO)] {
            assert_eq!(flights.join(key, believed, || ready(1)).now_or_never(), Some(1));
        }
    }

    #[tokio::test]
    async fn whoever_gives_up_takes_nobody_along() {
        let flights = Flights::default();
        let mut first = Box::pin(flights.join(key("a", 0), LONG, || pending::<u32>().boxed()));
        assert!(first.as_mut().now_or_never().is_none());
        let mut second = Box::pin(flights.join(key("a", 0), LONG, || ready(2).boxed()));
        assert!(second.as_mut().now_or_never().is_none());
        drop(first);
        assert_eq!(second.await, 2);
    }

    #[tokio::test]
    async fn what_is_over_takes_no_room() {
        let flights = Flights::default();
        for moment in 0..10_000 {
            flights.join(key("a", moment), LONG, || ready(())).await;
        }
        assert!(flights.0.lock().unwrap().len() < 100);
    }
}
