//! Signals between nodes that share a database.

use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use sandmill_model::{ListenerId, RunId, TokenId, WorkspaceId};
use sandmill_store::{StoreError, signals::Signal};
use sandmill_testkit::postgres::Postgres;

use crate::fixture::{Database, eventually, tick};

fn runs(count: usize) -> Vec<RunId> {
    (0..count).map(|_| RunId::new(tick())).collect()
}

#[tokio::test]
async fn a_file_has_no_other_nodes() {
    let Some(database) = Database::sqlite() else { return };
    let store = database.open().await;
    assert!(!store.signals.reach_others());
    let refused = store.signals.listen().await.err();
    assert!(matches!(refused, Some(StoreError::Other(_))), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_signal_reaches_the_others_in_order() {
    let Some(database) = Database::postgres() else { return };
    let (one, other) = (database.open().await, database.open().await);
    assert!(one.signals.reach_others());
    let mut heard = [one.signals.listen().await.unwrap(), other.signals.listen().await.unwrap()];
    let (few, many) = (runs(3), runs(1000));
    let sent = [
        Signal::Ready,
        Signal::Ended(few.clone()),
        Signal::Logged(few.clone()),
        Signal::Cancel(few),
        Signal::Revoked(vec![TokenId::new(tick()), TokenId::new(tick())]),
        Signal::People(vec!["ann".parse().unwrap(), "bob".parse().unwrap()]),
        Signal::Members(vec![WorkspaceId::new(tick())]),
        Signal::Beat { of: ListenerId::new(tick()), number: 7 },
        // More than one notification holds.
        Signal::Cancel(many.clone()),
        Signal::Ready,
    ];
    for signal in sent.clone() {
        one.signals.send(signal).await.unwrap();
    }
    // Nobody to tell is nothing to send.
    one.signals.send(Signal::Ended(Vec::new())).await.unwrap();
    other.signals.send(Signal::Logged(runs(1))).await.unwrap();
    for heard in &mut heard {
        let mut next = async || tokio::time::timeout(Duration::from_secs(20), heard.next()).await.unwrap().unwrap().unwrap();
        for signal in &sent[..8] {
            assert_eq!(next().await, *signal);
        }
        let mut ids = Vec::new();
        while ids.len() < many.len() {
            match next().await {
                Signal::Cancel(some) => ids.extend(some),
                signal => panic!("{signal:?} among {} runs", ids.len()),
            }
        }
        assert_eq!(ids, many);
        assert_eq!(next().await, Signal::Ready);
        assert!(matches!(next().await, Signal::Logged(some) if some.len() == 1), "one's own and another's");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_listens_is_told_when_the_connection_is_gone() {
    let Some((server, database)) = Postgres::shared().zip(Database::postgres()) else { return };
    let (store, other) = (database.open().await, database.open().await);
    let mut heard = store.signals.listen().await.unwrap();
    let name = database.url.rsplit('/').next().unwrap();
    server.execute("postgres", &format!("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = '{name}'")).unwrap();
    let end = tokio::time::timeout(Duration::from_secs(20), heard.next()).await.unwrap();
    assert!(matches!(end, None | Some(Err(_))), "nobody waits for what cannot come: {end:?}");
    // Whoever listens again hears what is sent from then on.
    let mut heard = store.signals.listen().await.unwrap();
    eventually("it is sent", || async { other.signals.send(Signal::Ready).await.is_ok() }).await;
    let again = tokio::time::timeout(Duration::from_secs(20), heard.next()).await.unwrap();
    assert!(matches!(again, Some(Ok(Signal::Ready))), "{again:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_listens_hears_however_busy_the_database_is() {
    const LOCKED: Duration = Duration::from_secs(4);
    let Some(database) = Database::postgres() else { return };
    let store = database.open().await;
    let mut heard = store.signals.listen().await.unwrap();
    // The first makes the connection.
    store.signals.send(Signal::Ready).await.unwrap();
    assert_eq!(heard.next().await.unwrap().unwrap(), Signal::Ready);
    let lock = database.execute("BEGIN; LOCK TABLE workspaces; SELECT pg_sleep(4); COMMIT");
    // More than there are connections.
    let reads = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let began = Instant::now();
        let reads = futures_util::future::join_all((0..24).map(|_| store.workspaces.by_name("none"))).await;
        (began.elapsed(), reads.len())
    };
    let beats = async {
        tokio::time::sleep(Duration::from_millis(1_000)).await;
        let mut longest = Duration::ZERO;
        for number in 0..10 {
            let beat = Signal::Beat { of: ListenerId::new(tick()), number };
            let began = Instant::now();
            store.signals.send(beat.clone()).await.unwrap();
            let next = tokio::time::timeout(LOCKED, heard.next()).await.unwrap().unwrap().unwrap();
            longest = longest.max(began.elapsed());
            assert_eq!(next, beat);
        }
        longest
    };
    let ((), (read, _), longest) = tokio::join!(lock, reads, beats);
    assert!(read > LOCKED / 2, "all connections were busy: {read:?}");
    assert!(longest < Duration::from_secs(2), "{longest:?}");
}
