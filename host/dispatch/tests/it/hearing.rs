//! What was looked up is believed only while others are heard.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::StreamExt as _;
use sandmill_model::BoxFuture;
use sandmill_store::{
    Store, StoreError,
    signals::{Heard, Signal, Signals},
};
use sandmill_testkit::postgres::Postgres;
use tokio::sync::mpsc;

use crate::fake::{Bench, eventually};

const HOUR: Duration = Duration::from_secs(3600);
const SOME_TIME: Duration = Duration::from_millis(300);

/// Signals that can be lost, and a connection that can be cut.
#[derive(Default)]
struct Line {
    listener: Mutex<Option<mpsc::Sender<Signal>>>,
    is_mute: AtomicBool,
    is_cut: AtomicBool,
}

impl Line {
    fn mute(&self, is_mute: bool) {
        self.is_mute.store(is_mute, Ordering::SeqCst);
    }

    fn cut(&self, is_cut: bool) {
        self.is_cut.store(is_cut, Ordering::SeqCst);
        if is_cut {
            self.listener.lock().unwrap().take();
        }
    }
}

impl Signals for Line {
    fn reach_others(&self) -> bool {
        true
    }

    fn send(&self, signal: Signal) -> BoxFuture<'_, Result<(), StoreError>> {
        let listener = self.listener.lock().unwrap().clone().filter(|_| !self.is_mute.load(Ordering::SeqCst));
        Box::pin(async move {
            if let Some(listener) = listener {
                let _ = listener.send(signal).await;
            }
            Ok(())
        })
    }

    fn listen(&self) -> BoxFuture<'_, Result<Heard, StoreError>> {
        Box::pin(async move {
            if self.is_cut.load(Ordering::SeqCst) {
                return Err(StoreError::Unavailable("cut".to_owned()));
            }
            let (sender, receiver) = mpsc::channel(100);
            *self.listener.lock().unwrap() = Some(sender);
            let heard = futures_util::stream::unfold(receiver, async |mut receiver: mpsc::Receiver<Signal>| {
                let signal = receiver.recv().await?;
                Some((Ok::<_, StoreError>(signal), receiver))
            });
            Ok(heard.boxed())
        })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_no_others_hears_all() {
    let bench = Bench::start(true).await;
    assert_eq!(bench.dispatch.believed(HOUR), HOUR);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_cannot_hear_believes_nothing() {
    let line = Arc::new(Line::default());
    line.cut(true);
    let bench = Bench::start_with(true, |store| Store { signals: line.clone(), ..store }).await;
    assert_eq!(bench.dispatch.believed(HOUR), Duration::ZERO, "it has never heard anything");
    line.cut(false);
    eventually("it hears", || bench.dispatch.believed(HOUR) > SOME_TIME).await;
    line.mute(true);
    eventually("nothing comes, although the connection stands", || bench.dispatch.believed(HOUR).is_zero()).await;
    line.mute(false);
    eventually("it hears again", || bench.dispatch.believed(HOUR) > SOME_TIME).await;
    line.cut(true);
    eventually("the connection is lost", || bench.dispatch.believed(HOUR).is_zero()).await;
    line.cut(false);
    eventually("it listens again", || bench.dispatch.believed(HOUR) > SOME_TIME).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_looked_up_before_a_connection_was_lost_is_not_believed_after() {
    let Some(postgres) = Postgres::shared() else { return };
    let url = postgres.database();
    let bench = Bench::start_on(url.clone(), true).await;
    eventually("it hears", || bench.dispatch.believed(HOUR) > SOME_TIME).await;
    let database = url.rsplit('/').next().unwrap();
    let longest = bench.dispatch.believed(HOUR);
    let cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND datname =";
    assert_eq!(postgres.execute("postgres", &format!("{cut} '{database}'")).unwrap(), "1");
    // As long as it listens without a break it would only grow.
    eventually("it has listened anew, or not yet", || bench.dispatch.believed(HOUR) < longest).await;
    eventually("it hears again", || bench.dispatch.believed(HOUR) > SOME_TIME).await;
}
