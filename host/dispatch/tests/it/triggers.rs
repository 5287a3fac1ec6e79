//! Triggers that listen, with a kind that does what a test says.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use sandmill_dispatch::{Draft, Files};
use sandmill_model::{
    BoxFuture, Clock, Code, JsonText, Manifest, RunId, RunStatus, SystemClock, Timestamp, WorkspaceId,
    code::Refusal,
    trigger::{
        Ask, ConfigError, Cursor, DynListener, File, Inbox, Kind, KindInfo, Kinds, ListenError, Mode, NewEvent, Ready, Receipt, SeatState,
        SeatStatus, Shutdown,
    },
};
use sandmill_store::{
    nodes::About,
    seats::SeatKey,
    triggers::{DeliveryAnswer, KeptAs, SeatLease, Trigger, TriggerDelivery},
};
use serde_json::{Value, json};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::fake::{Bench, PATH, principal};

const TRIGGER: &str = "f/demo/trigger";
const KIND: &str = "played";

/// What the kind does, and what it did.
#[derive(Default)]
pub(crate) struct Played {
    inbox: Mutex<Option<Inbox>>,
    fails: Mutex<Option<ListenError>>,
    panics: AtomicBool,
    /// It hears for a moment, and then fails.
    flaps: AtomicBool,
    ignores_stop: AtomicBool,
    started: AtomicUsize,
    stopped: AtomicUsize,
    /// Listeners that run.
    running: AtomicUsize,
    most_running: AtomicUsize,
}

struct PlayedKind(Arc<Played>);

struct PlayedReady(Arc<Played>);

pub(crate) struct NoFiles;

impl Files for NoFiles {
    fn keep(&self, _: WorkspaceId, _: File) -> BoxFuture<'_, Result<(), Refusal>> {
        Box::pin(std::future::ready(Err(Refusal::new(Code::Unavailable, "none"))))
    }

    fn forget(&self, _: WorkspaceId, _: String) -> BoxFuture<'_, Result<(), Refusal>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

impl DynListener for PlayedKind {
    fn info(&self) -> KindInfo {
        KindInfo {
            name: KIND,
            summary: "Does what a test says.",
            config: json!({}),
            event: json!({}),
            resource_types: &[],
            prefix: None,
            listens: true,
            is_shared: false,
            is_of_every_script: false,
        }
    }

    fn configure(&self, config: &JsonText) -> Result<Box<dyn Ready>, ConfigError> {
        let config: Value = config.read().unwrap();
        if config.get("bad").is_some() {
            return Err(ConfigError::new("/bad", "it is bad"));
        }
        Ok(Box::new(PlayedReady(Arc::clone(&self.0))))
    }
}

/// Counts a listener as long as it runs, however it ends.
struct Running(Arc<Played>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, SeqCst);
    }
}

impl Ready for PlayedReady {
    fn probe(self: Box<Self>) -> BoxFuture<'static, Result<(), ListenError>> {
        let fails = self.0.fails.lock().unwrap().clone();
        Box::pin(std::future::ready(fails.map_or(Ok(()), Err)))
    }

    fn listen(self: Box<Self>, inbox: Inbox, stop: Shutdown) -> BoxFuture<'static, Result<(), ListenError>> {
        Box::pin(async move {
            let played = self.0;
            let now_running = played.running.fetch_add(1, SeqCst) + 1;
            played.most_running.fetch_max(now_running, SeqCst);
            let _running = Running(Arc::clone(&played));
            played.started.fetch_add(1, SeqCst);
            assert!(!played.panics.load(SeqCst), "the listener panics");
            if let Some(error) = played.fails.lock().unwrap().clone() {
                return Err(error);
            }
            inbox.host().listening();
            if played.flaps.load(SeqCst) {
                tokio::time::sleep(Duration::from_millis(20)).await;
                return Err(ListenError::Transient("cut off".to_owned()));
            }
            *played.inbox.lock().unwrap() = Some(inbox);
            stop.requested().await;
            if played.ignores_stop.load(SeqCst) {
                return std::future::pending().await;
            }
            played.stopped.fetch_add(1, SeqCst);
            Ok(())
        })
    }

    fn preview(&self, after: Timestamp, limit: usize) -> Result<Vec<Timestamp>, ConfigError> {
        Ok(vec![after; limit.min(2)])
    }
}

/// A bench whose node listens.
struct Stage {
    bench: Bench,
    played: Arc<Played>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Stage {
    async fn of(bench: Bench) -> Self {
        let played = Arc::<Played>::default();
        bench.dispatch.arm(Kinds::from_iter([Kind::listener(Arc::new(PlayedKind(Arc::clone(&played))))]), Arc::new(NoFiles));
        Self { bench, played, stop: CancellationToken::new(), tasks: TaskTracker::new() }
    }

    async fn start() -> Self {
        let stage = Self::of(Bench::start(true).await).await;
        stage.listen();
        stage
    }

    fn listen(&self) {
        self.tasks.spawn(self.bench.dispatch.supervisor().run(self.stop.clone()));
    }

    async fn put(&self, mode: Mode, options: Value, config: Value) -> Trigger {
        self.try_put(mode, options, config).await.unwrap()
    }

    async fn try_put(&self, mode: Mode, options: Value, config: Value) -> Result<Trigger, Refusal> {
        self.bench.dispatch.put_trigger(&principal("*:*"), &self.bench.workspace, draft(mode, options, config)).await
    }

    /// Waits until somebody listens who was not there before, and returns their inbox.
    async fn inbox(&self) -> Inbox {
        eventually("nobody listens", async || self.played.inbox.lock().unwrap().is_some()).await;
        self.played.inbox.lock().unwrap().take().unwrap()
    }

    async fn status(&self) -> Option<SeatStatus> {
        let status = self.bench.dispatch.trigger_status(self.bench.workspace.id, &TRIGGER.parse().unwrap()).await.unwrap();
        status.seats.into_iter().next().map(|(_, _, status)| status)
    }

    async fn until(&self, what: &str, is_so: impl Fn(&SeatStatus) -> bool) -> SeatStatus {
        let found = Mutex::new(None);
        eventually(what, async || {
            let status = self.status().await.filter(|status| is_so(status));
            let is_found = status.is_some();
            *found.lock().unwrap() = status;
            is_found
        })
        .await;
        found.into_inner().unwrap().unwrap()
    }

    async fn end(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.bench.stop().await;
    }
}

fn draft(mode: Mode, options: Value, config: Value) -> Draft {
    Draft {
        path: TRIGGER.parse().unwrap(),
        kind: KIND.into(),
        target: PATH.parse().unwrap(),
        config: JsonText::trusted(config.to_string()),
        options: serde_json::from_value(options).unwrap(),
        mode,
        description: String::new(),
        over: None,
    }
}

async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(15);
    while !is_so().await {
        assert!(Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn event(body: Value) -> NewEvent {
    NewEvent::new(JsonText::trusted("{\"subject\":\"a\"}"), Bytes::from(body.to_string()))
}

fn keyed(key: &str) -> NewEvent {
    NewEvent { dedup_key: Some(key.to_owned()), ..event(json!({"key": key})) }
}

fn run_of(receipt: &Receipt) -> RunId {
    match receipt {
        Receipt::Accepted(run) | Receipt::Duplicate(run) => *run,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_become_runs_once_with_their_cursor() {
    let stage = Stage::start().await;
    stage.put(Mode::On, json!({}), json!({})).await;
    let inbox = stage.inbox().await;
    let cursor = Cursor(JsonText::trusted("{\"at\":3}"));
    let receipts = inbox.deliver(vec![keyed("a"), keyed("b"), keyed("a")], Some(cursor.clone())).await.unwrap();
    assert!(matches!(receipts[..], [Receipt::Accepted(_), Receipt::Accepted(_), Receipt::Duplicate(_)]), "{receipts:?}");
    assert_eq!(run_of(&receipts[0]), run_of(&receipts[2]));
    assert_eq!(inbox.host().cursor().await.unwrap(), Some(cursor));
    for receipt in &receipts {
        let record = stage.bench.record_when(run_of(receipt), |record| record.summary.status.has_ended()).await;
        assert_eq!((record.summary.status, record.summary.run_as.as_str()), (RunStatus::Succeeded, "u/test"));
    }
    let again = inbox.deliver(vec![keyed("b")], None).await.unwrap();
    assert_eq!(again, [Receipt::Duplicate(run_of(&receipts[1]))]);
    let status = stage.until("events are not counted", |status| status.events == 4).await;
    assert!(status.state == SeatState::Listening && status.error.is_none() && status.last_event_at.is_some(), "{status:?}");
    assert!(inbox.deliver((0..=Inbox::EVENTS_MAX).map(|n| event(json!({ "n": n }))).collect(), None).await.is_err());
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_is_accepted_whole() {
    let stage = Stage::start().await;
    stage.put(Mode::On, json!({}), json!({})).await;
    let inbox = stage.inbox().await;
    let deliveries = (0..20).map(|_| inbox.deliver((0..100).map(|n| event(json!({ "n": n }))).collect(), None));
    let receipts = futures_util::future::try_join_all(deliveries).await.unwrap();
    assert_eq!(receipts.iter().flatten().filter(|receipt| matches!(receipt, Receipt::Accepted(_))).count(), 2_000);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn modes_say_what_becomes_of_events() {
    let stage = Stage::start().await;
    let (dispatch, of) = (stage.bench.dispatch.clone(), stage.bench.workspace.id);
    stage.put(Mode::Held, json!({}), json!({})).await;
    let held = run_of(&stage.inbox().await.deliver(vec![event(json!({}))], None).await.unwrap()[0]);
    stage.bench.record_when(held, |record| record.summary.status == RunStatus::Held).await;
    dispatch.release(of, held).await.unwrap();
    stage.bench.record_when(held, |record| record.summary.status == RunStatus::Succeeded).await;
    assert_eq!(dispatch.release(of, held).await.unwrap_err().code, Code::NotFound);

    let trigger = stage.put(Mode::Capture, json!({}), json!({})).await;
    assert_eq!(stage.inbox().await.deliver(vec![event(json!({"n": 7}))], None).await.unwrap(), [Receipt::Kept]);
    let kept = stage.bench.store.triggers.events(of, &trigger.path, None, 10).await.unwrap();
    assert!(matches!(kept[..], [ref one] if one.kept_as == KeptAs::Captured), "{kept:?}");
    let by = Arc::new(principal("*:*"));
    // As often as somebody wants to try.
    for _ in 0..2 {
        let replayed = dispatch.replay_event(Arc::clone(&by), stage.bench.workspace.clone(), &trigger.path, kept[0].id).await.unwrap();
        assert!(!replayed.is_repetition);
        let record = stage.bench.record_when(replayed.run, |record| record.summary.status.has_ended()).await;
        assert_eq!(record.arguments.as_str(), "{\"n\":7}");
    }

    stage.put(Mode::Off, json!({}), json!({})).await;
    eventually("it goes on listening", async || stage.played.running.load(SeqCst) == 0).await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_or_cannot_be_is_no_run() {
    let stage = Stage::start().await;
    let filter = json!({"filter": {"none": [{"pointer": "/body/skip", "operator": "exists"}]}, "payload_bytes_max": 100});
    let trigger = stage.put(Mode::On, filter, json!({})).await;
    let inbox = stage.inbox().await;
    assert_eq!(inbox.payload_bytes_max, 100);
    let large = event(json!({"text": "x".repeat(200)}));
    let receipts = inbox.deliver(vec![event(json!({"skip": 1})), event(json!({})), large.clone()], None).await.unwrap();
    assert!(matches!(receipts[..], [Receipt::Kept, Receipt::Accepted(_), Receipt::Invalid(_)]), "{receipts:?}");
    let kept = stage.bench.store.triggers.events(stage.bench.workspace.id, &trigger.path, None, 10).await.unwrap();
    assert!(matches!(kept[..], [ref one] if matches!(one.kept_as, KeptAs::Dead(_))), "{kept:?}");
    // With more room it can be replayed, once.
    stage.put(Mode::On, json!({}), json!({})).await;
    let by = Arc::new(principal("*:*"));
    let replay = || stage.bench.dispatch.replay_event(Arc::clone(&by), stage.bench.workspace.clone(), &trigger.path, kept[0].id);
    replay().await.unwrap();
    assert_eq!(replay().await.unwrap_err().code, Code::NotFound);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_start_when_they_are_full_and_when_their_time_is_over() {
    let stage = Stage::start().await;
    stage.put(Mode::On, json!({"batch": {"events_max": 3, "wait_ms": 300}}), json!({})).await;
    let inbox = stage.inbox().await;
    let began = Instant::now();
    let receipts = inbox.deliver(vec![keyed("a"), keyed("b"), keyed("c")], None).await.unwrap();
    assert!(began.elapsed() < Duration::from_millis(250), "a full one waits for nothing");
    let run = run_of(&receipts[0]);
    assert!(receipts.iter().all(|receipt| *receipt == Receipt::Accepted(run)), "{receipts:?}");
    let record = stage.bench.record_when(run, |record| record.summary.status.has_ended()).await;
    let arguments: Value = record.arguments.read().unwrap();
    assert_eq!(arguments["events"].as_array().map(Vec::len), Some(3));
    assert_eq!(arguments["events"][2]["body"], json!({"key": "c"}));
    // One is known; the other waits until its time is over.
    let began = Instant::now();
    let receipts = inbox.deliver(vec![keyed("b"), keyed("d")], None).await.unwrap();
    assert!(began.elapsed() >= Duration::from_millis(290), "{:?}", began.elapsed());
    assert_eq!(receipts[0], Receipt::Duplicate(run));
    assert!(matches!(receipts[1], Receipt::Accepted(other) if other != run), "{receipts:?}");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_waits_is_written_when_the_listener_stops() {
    let stage = Stage::start().await;
    stage.put(Mode::On, json!({"batch": {"events_max": 100, "wait_ms": 60_000}}), json!({})).await;
    let inbox = stage.inbox().await;
    let delivering = stage.tasks.spawn(async move { inbox.deliver(vec![event(json!({}))], None).await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    stage.stop.cancel();
    let receipts = tokio::time::timeout(Duration::from_secs(10), delivering).await.unwrap().unwrap().unwrap();
    assert!(matches!(receipts[..], [Receipt::Accepted(_)]), "{receipts:?}");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_config_parks_until_it_is_changed() {
    let stage = Stage::start().await;
    let refusal = stage.try_put(Mode::On, json!({}), json!({"bad": 1})).await.unwrap_err();
    assert_eq!((refusal.code, refusal.detail.as_str()), (Code::InvalidTrigger, "/config/bad: it is bad"));
    *stage.played.fails.lock().unwrap() = Some(ListenError::Config(ConfigError::new("/subject", "there is none")));
    stage.put(Mode::On, json!({}), json!({})).await;
    let status = stage.until("it is not parked", |status| status.state == SeatState::Misconfigured).await;
    assert_eq!(status.error.as_deref(), Some("/config/subject: there is none"));
    *stage.played.fails.lock().unwrap() = None;
    // At once, long before its pause is over.
    stage.bench.dispatch.tell_triggers(stage.bench.workspace.id);
    stage.until("it does not wake", |status| status.state == SeatState::Listening).await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_listener_is_started_anew_and_told_of_once() {
    let stage = Stage::start().await;
    *stage.played.fails.lock().unwrap() = Some(ListenError::Transient("no route to host".to_owned()));
    stage.put(Mode::On, json!({"alert": {"after_ms": 1000, "script": PATH}}), json!({})).await;
    let status = stage.until("it is not tried again", |status| status.failures >= 3 && status.state == SeatState::BackingOff).await;
    assert_eq!((status.state, status.error.as_deref()), (SeatState::BackingOff, Some("no route to host")));
    assert!(status.failing_since.is_some());
    stage.until("nobody is told", |status| status.alerted_at.is_some()).await;
    let alerts = || stage.bench.executor.executed.lock().unwrap().len();
    eventually("the alert does not execute", async || alerts() == 1).await;
    *stage.played.fails.lock().unwrap() = None;
    let well = |status: &SeatStatus| status.state == SeatState::Listening && status.alerted_at.is_none();
    let status = stage.until("it is not overcome", well).await;
    assert!(status.failures == 0 && status.failing_since.is_none() && status.error.is_some(), "{status:?}");
    eventually("nobody is told that it is overcome", async || alerts() == 2).await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_fails_again_and_again_is_told_of_though_it_hears_in_between() {
    let stage = Stage::start().await;
    stage.played.flaps.store(true, SeqCst);
    stage.put(Mode::On, json!({"alert": {"after_ms": 1000, "script": PATH}}), json!({})).await;
    let alerts = || stage.bench.executor.executed.lock().unwrap().len();
    let failing = stage.until("nobody is told", |status| status.alerted_at.is_some() && status.failing_since.is_some()).await;
    eventually("the alert does not execute", async || alerts() == 1).await;
    let started = stage.played.started.load(SeqCst);
    eventually("it is not tried again", async || stage.played.started.load(SeqCst) > started + 1).await;
    let still = stage.until("it does not fail any more", |status| status.failing_since.is_some()).await;
    assert_eq!((still.failing_since, still.alerted_at), (failing.failing_since, failing.alerted_at), "it is the same failure");
    assert_eq!(alerts(), 1, "a moment overcomes nothing");
    stage.played.flaps.store(false, SeqCst);
    stage.until("it is not overcome", |status| status.state == SeatState::Listening && status.alerted_at.is_none()).await;
    eventually("nobody is told that it is overcome", async || alerts() == 2).await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_was_asked_for_ends_with_who_asked() {
    let stage = Stage::of(Bench::start(false).await).await;
    stage.listen();
    stage.put(Mode::On, json!({}), json!({})).await;
    let inbox = stage.inbox().await;
    let ask = |wait_max| Ask { path: PATH.parse().unwrap(), event: event(json!({})), stages_state: false, wait_max };
    let (asking, first) = (inbox.clone(), ask(Duration::from_secs(60)));
    let asking = stage.tasks.spawn(async move { asking.host().ask(first).await });
    let executed = |index: usize| stage.bench.executor.executed.lock().unwrap().get(index).map(|(run, _)| *run);
    eventually("it does not execute", async || executed(0).is_some()).await;
    asking.abort();
    let run = executed(0).unwrap();
    stage.bench.record_when(run, |record| record.summary.status == RunStatus::Cancelled).await;

    let error = inbox.host().ask(ask(Duration::from_millis(100))).await.unwrap_err();
    assert!(matches!(&error, ListenError::Transient(why) if why.contains("did not end within")), "{error:?}");
    stage.bench.record_when(executed(1).unwrap(), |record| record.summary.status == RunStatus::Cancelled).await;

    stage.bench.executor.open();
    let answered = inbox.host().ask(ask(Duration::from_secs(60))).await.unwrap();
    assert_eq!(
        stage.bench.record_when(answered.run, |record| record.summary.status.has_ended()).await.summary.status,
        RunStatus::Succeeded
    );
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_panics_or_does_not_stop_is_in_nobodys_way() {
    let stage = Stage::start().await;
    stage.played.panics.store(true, SeqCst);
    stage.put(Mode::On, json!({}), json!({})).await;
    stage.until("the panic is not seen", |status| status.error.as_deref().is_some_and(|error| error.contains("ended badly"))).await;
    stage.played.panics.store(false, SeqCst);
    let old = stage.inbox().await;
    stage.played.ignores_stop.store(true, SeqCst);
    stage.put(Mode::On, json!({"priority": 1}), json!({})).await;
    stage.inbox().await;
    assert_eq!(stage.played.most_running.load(SeqCst), 1, "the next begins behind the end of the last");
    assert!(old.deliver(vec![event(json!({}))], None).await.is_err(), "what is over delivers nothing");
    stage.played.ignores_stop.store(false, SeqCst);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_keeps_listeners_waiting() {
    let stage = Stage::of(Bench::start_small(2).await).await;
    stage.listen();
    stage.put(Mode::On, json!({}), json!({})).await;
    let inbox = stage.inbox().await;
    let cursor = Some(Cursor(JsonText::trusted("1")));
    let receipts = inbox.deliver((0..4).map(|n| event(json!({ "n": n }))).collect(), cursor).await.unwrap();
    assert!(
        matches!(receipts[..], [Receipt::Accepted(_), Receipt::Accepted(_), Receipt::Busy { .. }, Receipt::Busy { .. }]),
        "{receipts:?}"
    );
    assert_eq!(inbox.host().cursor().await.unwrap(), None, "it stands behind what was not kept");
    stage.until("it is not shown", |status| status.state == SeatState::Paused && status.events == 2).await;
    stage.bench.executor.open();
    eventually("there is room again and nobody sees it", async || {
        inbox.deliver(vec![event(json!({}))], None).await.unwrap()[0].is_acknowledged()
    })
    .await;
    stage.until("it is not shown that it goes on", |status| status.state == SeatState::Listening).await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_seat_of_a_dead_node_is_taken_over_and_its_holder_is_fenced() {
    let stage = Stage::of(Bench::start(true).await).await;
    let (store, of) = (stage.bench.store.clone(), stage.bench.workspace.id);
    let trigger = stage.put(Mode::On, json!({}), json!({})).await;
    let about = About { name: "node-2".into(), release: String::new(), roles: vec!["worker".to_owned()], tags: Vec::new(), slots: 1 };
    let other = store.nodes.join(about, SystemClock.now(), Duration::from_secs(2)).await.unwrap();
    let taken = store.seats.take(other, 10, SystemClock.now()).await.unwrap();
    assert_eq!(taken.len(), 1);
    assert_eq!(taken[0].key, SeatKey { workspace: of, path: trigger.path.clone(), number: 0 });
    let deliver = || {
        let lease = SeatLease { number: 0, node: other, fence: taken[0].fence };
        store.triggers.deliver(TriggerDelivery {
            workspace: of,
            path: trigger.path.clone(),
            lease: Some(lease),
            items: Vec::new(),
            cursor: Some(Cursor(JsonText::trusted("1"))),
            adopts_state_of: None,
            now: SystemClock.now(),
        })
    };
    assert!(matches!(deliver().await.unwrap(), DeliveryAnswer::Done { .. }));
    stage.listen();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(stage.played.started.load(SeqCst), 0, "the other lives");
    // It shows no sign of life.
    let inbox = stage.inbox().await;
    assert_eq!(deliver().await.unwrap(), DeliveryAnswer::Fenced);
    assert_eq!(inbox.host().cursor().await.unwrap(), Some(Cursor(JsonText::trusted("1"))), "it goes on where the other was");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn seats_are_given_back_at_the_end() {
    let stage = Stage::start().await;
    stage.put(Mode::On, json!({}), json!({})).await;
    let inbox = stage.inbox().await;
    stage.stop.cancel();
    stage.tasks.close();
    stage.tasks.wait().await;
    assert_eq!((stage.played.stopped.load(SeqCst), stage.played.running.load(SeqCst)), (1, 0));
    assert!(inbox.deliver(vec![event(json!({}))], None).await.is_err());
    let status = stage.bench.dispatch.trigger_status(stage.bench.workspace.id, &TRIGGER.parse().unwrap()).await.unwrap();
    assert!(matches!(&status.seats[..], [(0, None, _)]), "{status:?}");
    stage.bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_sets_a_trigger_up_must_have_the_rights_to_all_that_it_does() {
    let stage = Stage::of(Bench::start(true).await).await;
    let put = async |scopes: &str, options: Value, config: Value| {
        let by = principal(scopes);
        stage
            .bench
            .dispatch
            .put_trigger(&by, &stage.bench.workspace, draft(Mode::On, options, config))
            .await
            .map_err(|refusal| refusal.code)
    };
    let own = "runs:start:f/demo/*";
    assert_eq!(put("runs:read", json!({}), json!({})).await.unwrap_err(), Code::Forbidden);
    assert_eq!(put(own, json!({"error_handler": "f/other/x"}), json!({})).await.unwrap_err(), Code::Forbidden);
    assert_eq!(put(own, json!({"alert": {"after_ms": 1000, "script": "f/other/x"}}), json!({})).await.unwrap_err(), Code::Forbidden);
    assert_eq!(put(own, json!({"run_as": "s/robot"}), json!({})).await.unwrap_err(), Code::Forbidden);
    assert_eq!(put(own, json!({}), json!({"a": "$res:f/db/main"})).await.unwrap_err(), Code::Forbidden);
    assert_eq!(put("*:*", json!({}), json!({"a": "$res:f/db/main"})).await.unwrap_err(), Code::InvalidTrigger);
    assert_eq!(put(own, json!({"listeners": 2}), json!({})).await.unwrap_err(), Code::InvalidTrigger);
    put(own, json!({}), json!({})).await.unwrap();
    let unknown = Draft { kind: "unknown".into(), ..draft(Mode::On, json!({}), json!({})) };
    let refused = stage.bench.dispatch.put_trigger(&principal("*:*"), &stage.bench.workspace, unknown).await.unwrap_err();
    assert_eq!(refused.code, Code::NotFound);
    stage.bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_tested_and_instants_shown() {
    let stage = Stage::of(Bench::start(true).await).await;
    let (dispatch, workspace) = (&stage.bench.dispatch, &stage.bench.workspace);
    let draft = draft(Mode::On, json!({}), json!({}));
    dispatch.probe_trigger(&principal("*:*"), workspace, &draft).await.unwrap();
    *stage.played.fails.lock().unwrap() = Some(ListenError::Transient("no route to host".to_owned()));
    let refusal = dispatch.probe_trigger(&principal("*:*"), workspace, &draft).await.unwrap_err();
    assert_eq!((refusal.code, refusal.detail.as_str()), (Code::InvalidTrigger, "no route to host"));
    let after = Timestamp::from_micros(5);
    assert_eq!(dispatch.preview_trigger(workspace, &draft, after, 2).await.unwrap(), [after, after]);
    stage.bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_of_a_trigger_are_on_its_terms() {
    let bench = Bench::start(true).await;
    let mut manifest = Manifest::default();
    manifest.dispatch.priority = Some(1);
    manifest.dispatch.tag = Some("cpu".to_owned());
    crate::fake::deploy_with(&bench.store, &bench.workspace, manifest).await;
    bench.dispatch.deployed(bench.workspace.id, &PATH.parse().unwrap());
    let stage = Stage::of(bench).await;
    stage.listen();
    stage.put(Mode::On, json!({"tag": "gpu"}), json!({})).await;
    let run = run_of(&stage.inbox().await.deliver(vec![event(json!({}))], None).await.unwrap()[0]);
    let record = stage.bench.record_when(run, |_| true).await;
    assert_eq!(
        (&*record.summary.tag, record.summary.trigger_kind.as_deref()),
        ("gpu", Some(KIND)),
        "the trigger's goes before the manifest's"
    );
    stage.end().await;
}
