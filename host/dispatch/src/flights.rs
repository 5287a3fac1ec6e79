//! Look-ups that are under way: whoever needs the same one joins it.
//!
//! When a server starts, or a token is first used by many at once, nobody is in memory yet; without this each request would ask the
//! database for itself. Whoever believes nothing that began before they came shares the next look-up: so the database is asked as often as
//! it answers, however many wait.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, OnceLock, PoisonError, Weak},
    time::{Duration, Instant},
};

use tokio::sync::{MutexGuard, OnceCell};

/// What is looked up, and at what moment: a count of all that was forgotten. A look-up that began before says nothing of what is asked
/// after.
type Key<K> = (K, u64);

/// How long a look-up waits for the one before; one that does not come back is in nobody's way for longer.
const PATIENCE: Duration = Duration::from_secs(1);

pub struct Flights<K, T>(Mutex<HashMap<Key<K>, Weak<Way<T>>>>);

/// Look-ups of one key: at most two of them are under way, the second only if the first takes long.
struct Way<T> {
    first: tokio::sync::Mutex<()>,
    second: tokio::sync::Mutex<()>,
    flights: Mutex<OfWay<T>>,
}

struct OfWay<T> {
    /// The one that began last.
    begun: Option<Arc<Flight<T>>>,
    /// It begins after all have come who wait for it.
    next: Option<Arc<Flight<T>>>,
}

struct Flight<T> {
    began: OnceLock<Instant>,
    found: OnceCell<T>,
}

impl<K, T> Default for Flights<K, T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash, T: Clone> Flights<K, T> {
    /// What `look_up` finds, or one of the same key that began no longer than `believed` ago, or after the call. If whoever began it goes
    /// away, the next of those who wait begins again.
    pub async fn join<F: Future<Output = T>>(&self, key: Key<K>, believed: Duration, look_up: impl FnOnce() -> F) -> T {
        let way = self.way(key);
        let flight = way.flight(believed);
        let (way, flight) = (&*way, &flight);
        let begin = move || async move {
            let _lane = way.lane().await;
            way.begins(flight);
            look_up().await
        };
        flight.found.get_or_init(begin).await.clone()
    }

    fn way(&self, key: Key<K>) -> Arc<Way<T>> {
        let mut ways = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(way) = ways.get(&key).and_then(Weak::upgrade) {
            return way;
        }
        let way = Arc::new(Way::new());
        // Room is made when it is needed anyway.
        if ways.len() == ways.capacity() {
            ways.retain(|_, way| way.strong_count() > 0);
        }
        ways.insert(key, Arc::downgrade(&way));
        way
    }
}

impl<T> Way<T> {
    fn new() -> Self {
        let flights = Mutex::new(OfWay { begun: None, next: None });
        Self { first: tokio::sync::Mutex::default(), second: tokio::sync::Mutex::default(), flights }
    }

    fn flight(&self, believed: Duration) -> Arc<Flight<T>> {
        let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
        let young = |flight: &&Arc<Flight<T>>| flight.began.get().is_some_and(|began| began.elapsed() < believed);
        if let Some(begun) = flights.begun.as_ref().filter(young) {
            return Arc::clone(begun);
        }
        let next = flights.next.get_or_insert_with(|| Arc::new(Flight { began: OnceLock::new(), found: OnceCell::new() }));
        Arc::clone(next)
    }

    async fn lane(&self) -> MutexGuard<'_, ()> {
        let second = async {
            tokio::time::sleep(PATIENCE).await;
            self.second.lock().await
        };
        tokio::select! {
            biased;
            lane = self.first.lock() => lane,
            lane = second => lane,
        }
    }

    /// Whoever comes from now on, and believes nothing of before, waits for another.
    fn begins(&self, flight: &Arc<Flight<T>>) {
        let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
        flight.began.get_or_init(Instant::now);
        if flights.next.as_ref().is_some_and(|next| Arc::ptr_eq(next, flight)) {
            flights.begun = flights.next.take();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::{pending, ready},
        sync::atomic::{AtomicUsize, Ordering::Relaxed},
    };

    use futures_util::{FutureExt, future::join_all};
    use sandmill_model::auth::TokenHash;
    use tokio::{sync::Notify, task::yield_now};

    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    fn key(secret: &str, moment: u64) -> Key<TokenHash> {
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
            yield_now().await;
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
        for key in [key("b", 0), key("a", 1)] {
            assert_eq!(flights.join(key, LONG, || ready(1)).now_or_never(), Some(1));
        }
        assert!(flights.join(key("a", 0), Duration::ZERO, || ready(1)).now_or_never().is_none(), "it waits until the first is over");
        drop(first);
        assert_eq!(flights.join(key("a", 0), Duration::ZERO, || ready(1)).now_or_never(), Some(1));
    }

    /// Look-ups that find out how many began before, and land one by one.
    #[derive(Default)]
    struct Counted {
        began: AtomicUsize,
        under_way: AtomicUsize,
        most: AtomicUsize,
        landing: Notify,
    }

    impl Counted {
        async fn look_up(&self) -> usize {
            let number = self.began.fetch_add(1, Relaxed) + 1;
            self.most.fetch_max(self.under_way.fetch_add(1, Relaxed) + 1, Relaxed);
            self.landing.notified().await;
            self.under_way.fetch_sub(1, Relaxed);
            number
        }
    }

    #[tokio::test]
    async fn who_believes_nothing_shares_a_look_up_that_begins_after_they_came() {
        let (flights, counted) = (&Flights::default(), &Counted::default());
        let join = || Box::pin(flights.join(key("a", 0), Duration::ZERO, move || counted.look_up()));
        let mut first = join();
        assert!(first.as_mut().now_or_never().is_none());
        // They come while it is under way.
        let mut second: Vec<_> = (0..20).map(|_| join()).collect();
        assert!(second.iter_mut().all(|each| each.as_mut().now_or_never().is_none()));
        assert_eq!(counted.began.load(Relaxed), 1, "they wait for the first");
        counted.landing.notify_one();
        assert_eq!(first.await, 1);
        yield_now().await;
        assert!(second.iter_mut().all(|each| each.as_mut().now_or_never().is_none()));
        assert_eq!(counted.began.load(Relaxed), 2, "one for all of them");
        yield_now().await;
        // These come after it began.
        let mut third: Vec<_> = (0..10).map(|_| join()).collect();
        assert!(third.iter_mut().all(|each| each.as_mut().now_or_never().is_none()));
        counted.landing.notify_one();
        assert_eq!(join_all(second).await, vec![2; 20]);
        yield_now().await;
        // This one before the next begins: it is polled before the others.
        third.insert(0, join());
        assert!(third.iter_mut().all(|each| each.as_mut().now_or_never().is_none()));
        counted.landing.notify_one();
        assert_eq!(join_all(third).await, vec![3; 11]);
        assert_eq!((counted.began.load(Relaxed), counted.most.load(Relaxed)), (3, 1));
    }

    #[tokio::test]
    async fn who_waits_begins_if_the_others_go_away() {
        let flights = Flights::default();
        let mut first = Box::pin(flights.join(key("a", 0), Duration::ZERO, pending::<u32>));
        assert!(first.as_mut().now_or_never().is_none());
        // The one that would begin the next, and another that waits for it.
        let mut second = Box::pin(flights.join(key("a", 0), Duration::ZERO, pending::<u32>));
        let mut third = Box::pin(flights.join(key("a", 0), Duration::ZERO, || ready(3)));
        assert!(second.as_mut().now_or_never().is_none() && third.as_mut().now_or_never().is_none());
        drop(second);
        assert!(third.as_mut().now_or_never().is_none(), "the first is under way");
        drop(first);
        assert_eq!(third.now_or_never(), Some(3));
    }

    #[tokio::test]
    async fn one_that_does_not_come_back_is_in_the_way_for_a_moment_only() {
        let (flights, counted) = (Flights::default(), Counted::default());
        let mut first = Box::pin(flights.join(key("a", 0), Duration::ZERO, || counted.look_up()));
        assert!(first.as_mut().now_or_never().is_none());
        let began = Instant::now();
        assert_eq!(flights.join(key("a", 0), Duration::ZERO, || ready(2)).await, 2);
        assert!(began.elapsed() >= PATIENCE);
        // There are two at most.
        let mut second = Box::pin(flights.join(key("a", 0), Duration::ZERO, || counted.look_up()));
        assert!(tokio::time::timeout(PATIENCE * 3 / 2, second.as_mut()).await.is_err());
        let mut third = Box::pin(flights.join(key("a", 0), Duration::ZERO, || counted.look_up()));
        assert!(tokio::time::timeout(PATIENCE * 3 / 2, third.as_mut()).await.is_err());
        assert_eq!((counted.began.load(Relaxed), counted.most.load(Relaxed)), (2, 2));
        counted.landing.notify_waiters();
        assert_eq!(tokio::join!(first, second), (1, 2));
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
