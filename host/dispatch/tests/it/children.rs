//! Runs that start others and wait for them.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use sandmill_dispatch::{ASLEEP_MAX, Dispatch, LiveRuns, Options, Role as NodeRole, StartRequest, StartTerms, Waited};
use sandmill_model::{
    Attempt, BoxFuture, Clock, Digest, Executor, Grants, Input, JsonText, LogEntry, Outcome, OutcomeKind, Output, RunError, RunId,
    RunRecord, RunStatus, SystemClock, Usage, WorkspaceId,
    children::{ChildError, ChildRequest, ChildTerms, Children, Parent, Until},
    limits::CHILD_DEPTH_MAX,
    role::Role,
    version::Selector,
};
use sandmill_store::{
    Store,
    queue::Cancelled,
    workspaces::{Change, Workspace},
};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    fake::{PATH, arguments, deploy, deploy_with, eventually, request_of},
    run_as::{account, denied, manifest, person},
};

const LONG: Duration = Duration::from_secs(30);

/// Does what the arguments say:
/// `{"children": [arguments, …]}`: starts these, waits for them and returns how they ended;
/// `{"leave": arguments}`: starts one and does not wait;
/// `{"late": true}`, of a child: it is due in a day;
/// `{"long": true}`: takes so long that nothing is claimed ahead of it;
/// `{"sleep": true}`: never ends by itself; anything else ends after a moment.
struct Parents {
    live: LiveRuns,
    stops: Mutex<HashMap<RunId, Arc<Notify>>>,
    /// In the order of their beginning.
    executed: Mutex<Vec<(RunId, Value)>>,
    awake: AtomicUsize,
    awake_most: AtomicUsize,
}

/// Who works, until it ends or is cut short.
struct Awake<'a>(&'a AtomicUsize);

impl Drop for Awake<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Parents {
    /// A moment of work, for which a run must have a slot.
    async fn work(&self) {
        let awake = self.awake.fetch_add(1, Ordering::SeqCst) + 1;
        self.awake_most.fetch_max(awake, Ordering::SeqCst);
        let _awake = Awake(&self.awake);
        tokio::time::sleep(Duration::from_millis(3)).await;
    }

    async fn start(&self, parent: &Parent, arguments: &Value) -> Result<RunId, ChildError> {
        self.live.start(parent.clone(), child(PATH, arguments)).await
    }

    async fn script(&self, parent: &Parent, arguments: &Value) -> Result<Value, ChildError> {
        self.work().await;
        if arguments["long"] == true {
            tokio::time::sleep(Duration::from_millis(60)).await;
        }
        if arguments["sleep"] == true {
            std::future::pending::<()>().await;
        }
        if let Some(left) = arguments.get("leave") {
            return Ok(json!({ "left": self.start(parent, left).await?.to_string() }));
        }
        let Some(wanted) = arguments["children"].as_array() else { return Ok(json!("done")) };
        let mut children = Vec::new();
        for arguments in wanted {
            children.push(self.start(parent, arguments).await?);
        }
        let ended = self.live.wait(parent.clone(), children.clone(), Until::All, LONG).await?;
        assert_eq!(ended, children);
        self.work().await;
        let mut endings = Vec::new();
        for child in children {
            let outcome = self.live.outcome(parent.clone(), child).await?.expect("it has ended");
            endings.push(match (outcome.output, outcome.error) {
                (Some(Output::Json(json)), _) => json.read().unwrap(),
                (_, error) => json!({ "failed": error.unwrap().message }),
            });
        }
        Ok(json!(endings))
    }
}

/// A request for a child, by a script that may start whatever is below `f/demo`.
fn child(path: &str, arguments: &Value) -> ChildRequest {
    ChildRequest {
        path: path.parse().unwrap(),
        selector: Selector::Newest,
        arguments: JsonText::of(arguments).unwrap(),
        grants: Arc::new(Grants { runs: vec!["f/demo/*".parse().unwrap()], ..Grants::default() }),
        terms: ChildTerms { delay: (arguments["late"] == true).then_some(Duration::from_secs(24 * 3600)), ..ChildTerms::default() },
    }
}

impl Executor for Parents {
    fn execute(&self, attempt: Attempt) -> BoxFuture<'_, Outcome> {
        Box::pin(async move {
            let stop = Arc::new(Notify::new());
            self.stops.lock().unwrap().insert(attempt.run, Arc::clone(&stop));
            let Input::Arguments(arguments) = &attempt.input else { panic!("no events here") };
            let arguments: Value = arguments.read().unwrap();
            self.executed.lock().unwrap().push((attempt.run, arguments.clone()));
            let parent =
                Parent { run: attempt.run, workspace: attempt.workspace, workspace_name: attempt.workspace_name, run_as: attempt.run_as };
            let limit = Duration::from_millis(arguments["limit_ms"].as_u64().unwrap_or(60_000));
            let failed = |kind: OutcomeKind, message: String| Outcome::failed(kind, RunError::new(kind.name(), message));
            tokio::select! {
                result = self.script(&parent, &arguments) => match result {
                    Ok(value) => Outcome {
                        kind: OutcomeKind::Ok,
                        output: Some(Output::Json(JsonText::of(&value).unwrap())),
                        error: None,
                        arguments: None,
                        usage: Usage::default(),
                        log: Vec::new(),
                    },
                    Err(error) => failed(OutcomeKind::Error, error.to_string()),
                },
                () = stop.notified() => failed(OutcomeKind::Cancelled, "cancelled".to_owned()),
                () = tokio::time::sleep(limit) => failed(OutcomeKind::Timeout, "too long".to_owned()),
            }
        })
    }

    fn check<'a>(&'a self, _: WorkspaceId, _: Digest, input: &'a Input) -> BoxFuture<'a, Result<(), RunError>> {
        let is_bad = matches!(input, Input::Arguments(json) if json.as_str().contains("bad"));
        Box::pin(async move { if is_bad { Err(RunError::new("invalid_arguments", "/bad: no")) } else { Ok(()) } })
    }

    fn cancel(&self, run: RunId) -> bool {
        self.stops.lock().unwrap().get(&run).inspect(|stop| stop.notify_one()).is_some()
    }

    fn log(&self, _: RunId, _: usize, _: usize) -> Vec<LogEntry> {
        Vec::new()
    }

    fn has_free_slot(&self) -> bool {
        true
    }
}

struct Bench {
    store: Store,
    dispatch: Dispatch,
    live: LiveRuns,
    executor: Arc<Parents>,
    workspace: Workspace,
    stop: CancellationToken,
    tasks: TaskTracker,
    _folder: tempfile::TempDir,
}

impl Bench {
    async fn start(slots: usize, backlog_max: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("test.db").display());
        let store =
            sandmill_store::connect(&sandmill_store::Options { url, durability: sandmill_store::Durability::Normal }).await.unwrap();
        let clock = SystemClock::shared();
        let workspace = store.workspaces.ensure(WorkspaceId::new(clock.now()), "default", clock.now()).await.unwrap();
        deploy(&store, &workspace).await;
        let live = LiveRuns::default();
        let executor = Arc::new(Parents {
            live: live.clone(),
            stops: Mutex::default(),
            executed: Mutex::default(),
            awake: AtomicUsize::new(0),
            awake_most: AtomicUsize::new(0),
        });
        let options = Options { node: "node-1".into(), role: NodeRole::All, tags: Vec::new(), queued_runs_max: slots, backlog_max };
        let dispatch = Dispatch::new(options, store.clone(), executor.clone(), clock, &live);
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        tasks.spawn(dispatch.service().run(stop.clone()));
        Self { store, dispatch, live, executor, workspace, stop, tasks, _folder: folder }
    }

    fn request(&self, arguments_of: &Value) -> StartRequest {
        request_of(&self.workspace, arguments(&arguments_of.to_string()))
    }

    async fn accept(&self, arguments: &Value) -> RunId {
        self.dispatch.accept(self.request(arguments)).await.unwrap().run
    }

    async fn ended(&self, run: RunId) -> RunRecord {
        let deadline = Instant::now() + LONG;
        loop {
            let record = self.dispatch.record(self.workspace.id, run).await.unwrap();
            if let Some(record) = record
                && record.summary.status.has_ended()
            {
                return record;
            }
            assert!(Instant::now() < deadline, "run {run} does not end");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// The runs that began with such arguments.
    fn executed(&self, fits: impl Fn(&Value) -> bool) -> Vec<RunId> {
        self.executor.executed.lock().unwrap().iter().filter(|(_, arguments)| fits(arguments)).map(|(run, _)| *run).collect()
    }

    async fn the_one_that_executes(&self, fits: impl Fn(&Value) -> bool) -> RunId {
        eventually("it executes", || !self.executed(&fits).is_empty()).await;
        self.executed(&fits)[0]
    }

    /// As what the run would ask for.
    fn as_run(&self, run: RunId) -> Parent {
        Parent { run, workspace: self.workspace.id, workspace_name: Arc::clone(&self.workspace.name), run_as: "u/test".into() }
    }

    async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

fn output(record: &RunRecord) -> Value {
    match &record.output {
        Some(Output::Json(json)) => json.read().unwrap(),
        _ => panic!("no result: {record:?}"),
    }
}

fn sleeps(arguments: &Value) -> bool {
    arguments["sleep"] == true
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_parents_with_two_slots_all_end() {
    let bench = Bench::start(2, 1_000).await;
    let mut runs = Vec::new();
    for n in 0..10 {
        runs.push(bench.accept(&json!({"children": [{ "of": n }]})).await);
    }
    for run in runs {
        let record = bench.ended(run).await;
        assert_eq!((record.summary.status, output(&record)), (RunStatus::Succeeded, json!(["done"])));
    }
    assert_eq!(bench.executor.awake_most.load(Ordering::SeqCst), 2, "nobody works without a slot");
    assert_eq!(bench.store.queue.length(bench.workspace.id, 10).await.unwrap(), 0);
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_wakes_waits_for_a_place_of_its_workspace() {
    let bench = Bench::start(8, 1_000).await;
    let overrides = [("running_runs".to_owned(), 2.into())].into_iter().collect();
    let limited = bench.store.workspaces.allot(bench.workspace.id, Change { plan: None, overrides }).await.unwrap().unwrap();
    let mut runs = Vec::new();
    for n in 0..12 {
        let arguments = json!({"children": [{ "of": n }, {"children": [{}, {}]}]});
        let request = StartRequest { workspace: limited.clone(), ..bench.request(&arguments) };
        runs.push(bench.dispatch.accept(request).await.unwrap().run);
    }
    for run in runs {
        let record = bench.ended(run).await;
        assert_eq!((record.summary.status, output(&record)), (RunStatus::Succeeded, json!(["done", ["done", "done"]])));
    }
    assert_eq!(bench.executor.awake_most.load(Ordering::SeqCst), 2, "no more execute than may, whoever wakes");
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_who_wait_for_children_leave_them_their_place() {
    let bench = Bench::start(8, 1_000).await;
    let overrides = [("running_runs".to_owned(), 1.into())].into_iter().collect();
    let limited = bench.store.workspaces.allot(bench.workspace.id, Change { plan: None, overrides }).await.unwrap().unwrap();
    let request = |arguments: &Value| StartRequest { workspace: limited.clone(), ..bench.request(arguments) };
    // From then on the node is a member, and has places.
    let first = bench.dispatch.accept(request(&json!({}))).await.unwrap().run;
    bench.ended(first).await;
    for n in 0..3 {
        let waited = bench.dispatch.run(request(&json!({"children": [{ "of": n }, {"children": [{}]}]})), LONG).await.unwrap();
        let Waited::Ended { outcome, .. } = waited else { panic!("it ended") };
        assert_eq!(outcome.kind, OutcomeKind::Ok, "{outcome:?}");
    }
    assert_eq!(bench.executor.awake_most.load(Ordering::SeqCst), 1, "no more execute than may");
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_slot_is_enough_for_generations() {
    let bench = Bench::start(1, 1_000).await;
    let run = bench.accept(&json!({"children": [{"children": [{"children": [{}, {}]}]}, {"children": []}]})).await;
    assert_eq!(output(&bench.ended(run).await), json!([[["done", "done"]], []]));
    assert_eq!(bench.executor.awake_most.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_of_the_fast_lane_wait_for_children_too() {
    let bench = Bench::start(1, 1_000).await;
    let waits: Vec<_> = (0..10)
        .map(|n| {
            let (dispatch, request) = (bench.dispatch.clone(), bench.request(&json!({"children": [{ "of": n }]})));
            bench.tasks.spawn(async move { dispatch.run(request, LONG).await })
        })
        .collect();
    for wait in waits {
        let Waited::Ended { outcome, .. } = wait.await.unwrap().unwrap() else { panic!("it ended") };
        assert_eq!(outcome.kind, OutcomeKind::Ok, "{outcome:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_begun_first_is_finished_first() {
    let bench = Bench::start(1, 1_000).await;
    let blocker = bench.accept(&json!({"sleep": true})).await;
    bench.the_one_that_executes(sleeps).await;
    for n in 0..3 {
        bench.accept(&json!({"children": [{ "of": n, "long": true }], "n": n, "long": true})).await;
    }
    bench.dispatch.cancel(bench.workspace.id, blocker).await.unwrap();
    eventually("all execute", || bench.executed(|_| true).len() == 7).await;
    let order: Vec<Value> = bench.executor.executed.lock().unwrap()[1..].iter().map(|(_, arguments)| arguments.clone()).collect();
    let place = |of: &str, n: i32| order.iter().position(|arguments| arguments[of] == n).unwrap();
    for n in 0..2 {
        assert!(place("of", n) < place("n", n + 1), "the child of parent {n} comes before the next parent: {order:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_knows_its_parent_and_acts_as_it_does() {
    let bench = Bench::start(2, 1_000).await;
    let run = bench.accept(&json!({"children": [{}]})).await;
    let parent = bench.ended(run).await;
    let child = bench.executed(|arguments| arguments.as_object().unwrap().is_empty())[0];
    let child = bench.ended(child).await;
    assert_eq!(child.summary.cause.map(|cause| cause.run), Some(run));
    assert_eq!(child.summary.run_as, parent.summary.run_as);
    assert_eq!(parent.summary.cause, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn so_many_stand_above_each_other_and_no_more() {
    let bench = Bench::start(2, 1_000).await;
    let mut arguments = json!({});
    for _ in 0..CHILD_DEPTH_MAX {
        arguments = json!({ "children": [arguments] });
    }
    let run = bench.accept(&arguments).await;
    assert!(output(&bench.ended(run).await).to_string().contains("done"));
    let run = bench.accept(&json!({ "children": [arguments] })).await;
    let refused = output(&bench.ended(run).await).to_string();
    assert!(refused.contains("16 runs stand above each other"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_run_asks_for_stands_below_it_and_does_not_end_with_it() {
    let bench = Bench::start(2, 1_000).await;
    let mut arguments = json!({"sleep": true});
    for _ in 1..CHILD_DEPTH_MAX {
        arguments = json!({ "children": [arguments] });
    }
    let first = bench.accept(&arguments).await;
    let last = bench.the_one_that_executes(sleeps).await;
    let ask = async |by: RunId, arguments: &Value| {
        let terms = StartTerms { asked_by: Some(by), ..StartTerms::default() };
        bench.dispatch.accept(StartRequest { terms, ..bench.request(arguments) }).await.map(|accepted| accepted.run)
    };
    // It is the sixteenth below another: what it starts is too deep, whichever way.
    let deepest = bench.ended(ask(last, &json!({"children": [{}]})).await.unwrap()).await;
    assert_eq!(deepest.summary.cause, None, "it is no child");
    let refused = deepest.error.unwrap().message;
    assert!(refused.contains("16 runs stand above each other"), "{refused}");
    let waits = ask(last, &json!({"sleep": true, "of": 2})).await.unwrap();
    bench.the_one_that_executes(|arguments| arguments["of"] == 2).await;
    let refused = ask(waits, &json!({})).await.unwrap_err().to_string();
    assert!(refused.contains("16 runs stand above each other"), "{refused}");
    bench.dispatch.cancel(bench.workspace.id, first).await.unwrap();
    assert_eq!(bench.ended(last).await.summary.status, RunStatus::Cancelled);
    let record = bench.dispatch.record(bench.workspace.id, waits).await.unwrap().unwrap();
    assert!(!record.summary.status.has_ended(), "{record:?}");
    bench.dispatch.cancel(bench.workspace.id, waits).await.unwrap();
    bench.ended(waits).await;
    let unknown = ask(RunId::new(SystemClock.now()), &json!({})).await.unwrap_err().to_string();
    assert!(unknown.contains("has ended"), "{unknown}");
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_cancelled_takes_what_it_started_along() {
    let bench = Bench::start(2, 1_000).await;
    let run = bench.accept(&json!({"children": [{"children": [{"sleep": true}]}]})).await;
    let grandchild = bench.the_one_that_executes(sleeps).await;
    let began = Instant::now();
    assert_eq!(bench.dispatch.cancel(bench.workspace.id, run).await.unwrap(), Cancelled::Requested);
    assert_eq!(bench.ended(run).await.summary.status, RunStatus::Cancelled);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!(bench.ended(grandchild).await.summary.status, RunStatus::Cancelled);
    eventually("all slots are free again", || bench.executor.awake.load(Ordering::SeqCst) == 0).await;
    let after = bench.accept(&json!({"children": [{}, {}]})).await;
    assert_eq!(bench.ended(after).await.summary.status, RunStatus::Succeeded);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_runs_out_of_time_takes_what_it_started_along() {
    let bench = Bench::start(2, 1_000).await;
    let run = bench.accept(&json!({"children": [{"sleep": true}], "limit_ms": 400})).await;
    assert_eq!(bench.ended(run).await.summary.outcome, Some(OutcomeKind::Timeout));
    let child = bench.the_one_that_executes(sleeps).await;
    assert_eq!(bench.ended(child).await.summary.status, RunStatus::Cancelled);
    // The same on the fast lane.
    let request = bench.request(&json!({"children": [{"sleep": true, "fast": 1}], "limit_ms": 400}));
    let Waited::Ended { outcome, .. } = bench.dispatch.run(request, LONG).await.unwrap() else { panic!("it ended") };
    assert_eq!(outcome.kind, OutcomeKind::Timeout);
    let child = bench.the_one_that_executes(|arguments| arguments["fast"] == 1).await;
    assert_eq!(bench.ended(child).await.summary.status, RunStatus::Cancelled);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_ends_by_itself_leaves_behind_what_it_did_not_wait_for() {
    let bench = Bench::start(2, 1_000).await;
    let run = bench.accept(&json!({"leave": {"left": 1}})).await;
    let left: RunId = output(&bench.ended(run).await)["left"].as_str().unwrap().parse().unwrap();
    assert_eq!(bench.ended(left).await.summary.status, RunStatus::Succeeded);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_sees_runs_but_its_own_children() {
    let bench = Bench::start(2, 1_000).await;
    let now = SystemClock.now();
    let other = bench.store.workspaces.ensure(WorkspaceId::new(now), "other", now).await.unwrap();
    deploy(&bench.store, &other).await;
    let stranger = bench.dispatch.accept(request_of(&other, arguments("{}"))).await.unwrap().run;
    let sibling = bench.accept(&json!({})).await;
    bench.ended(sibling).await;
    let parent = bench.accept(&json!({"children": [{"sleep": true}]})).await;
    let child = bench.the_one_that_executes(sleeps).await;
    let (live, parent_of) = (&bench.live, bench.as_run(parent));
    for unseen in [stranger, sibling, RunId::new(now)] {
        let wait = live.wait(parent_of.clone(), vec![child, unseen], Until::Any, LONG).await;
        assert!(matches!(&wait, Err(ChildError::NotFound(text)) if text.contains(&unseen.to_string())), "{wait:?}");
        assert!(matches!(live.outcome(parent_of.clone(), unseen).await, Err(ChildError::NotFound(_))));
        assert!(matches!(live.cancel(parent_of.clone(), unseen).await, Err(ChildError::NotFound(_))));
    }
    // Its parent is no child of a child, so nobody waits in a circle.
    let up = live.wait(bench.as_run(child), vec![parent], Until::All, LONG).await;
    assert!(matches!(up, Err(ChildError::NotFound(_))), "{up:?}");
    let own = live.wait(parent_of.clone(), vec![parent], Until::All, LONG).await;
    assert!(matches!(&own, Err(ChildError::Invalid(text)) if text.contains("wait for itself")), "{own:?}");
    let mut elsewhere = parent_of.clone();
    elsewhere.workspace = other.id;
    assert!(matches!(live.outcome(elsewhere, child).await, Err(ChildError::NotFound(_))));
    // Its own it sees, and ends.
    assert_eq!(live.outcome(parent_of.clone(), child).await, Ok(None));
    let late = live.wait(parent_of.clone(), vec![child], Until::All, Duration::from_millis(20)).await;
    assert_eq!(late, Ok(vec![]));
    assert_eq!(live.cancel(parent_of.clone(), child).await, Ok(true));
    assert_eq!(bench.ended(child).await.summary.status, RunStatus::Cancelled);
    assert_eq!(live.cancel(parent_of, child).await, Ok(false));
    assert_eq!(output(&bench.ended(parent).await), json!([{ "failed": "cancelled" }]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_granted_or_does_not_fit_is_refused_by_accept_itself() {
    let bench = Bench::start(2, 20).await;
    let parent = bench.accept(&json!({"sleep": true})).await;
    bench.the_one_that_executes(sleeps).await;
    let parent_of = bench.as_run(parent);
    let start = async |child: ChildRequest| bench.live.start(parent_of.clone(), child).await;
    let ungranted = ChildRequest { grants: Arc::default(), ..child(PATH, &json!({})) };
    let denied = start(ungranted).await.unwrap_err();
    assert!(matches!(&denied, ChildError::Denied(text) if text.contains("[grants]")), "{denied:?}");
    assert!(matches!(start(child("f/other/x", &json!({}))).await, Err(ChildError::Denied(_))));
    assert!(matches!(start(child("f/demo/missing", &json!({}))).await, Err(ChildError::NotFound(_))));
    let faults = start(child(PATH, &json!({"bad": 1}))).await.unwrap_err();
    assert!(matches!(&faults, ChildError::InvalidArguments(error) if error.message == "/bad: no"), "{faults:?}");
    let urgent = ChildTerms { priority: Some(5_000), ..ChildTerms::default() };
    assert!(matches!(start(ChildRequest { terms: urgent, ..child(PATH, &json!({})) }).await, Err(ChildError::Invalid(_))));
    // The same key is the same child, and for other arguments a mistake.
    let keyed = |arguments: &Value| ChildRequest {
        terms: ChildTerms { key: Some("k".to_owned()), ..ChildTerms::default() },
        ..child(PATH, arguments)
    };
    let first = start(keyed(&json!({"n": 1}))).await.unwrap();
    assert_eq!(start(keyed(&json!({"n": 1}))).await, Ok(first));
    assert!(matches!(start(keyed(&json!({"n": 2}))).await, Err(ChildError::Invalid(_))));
    // And the workspace's own limit holds.
    let mut refused = None;
    for _ in 0..40 {
        match start(child(PATH, &json!({"sleep": true}))).await {
            Ok(_) => {}
            Err(error) => {
                refused = Some(error);
                break;
            }
        }
    }
    assert!(matches!(&refused, Some(ChildError::TooMany(_))), "{refused:?}");
    assert_eq!(bench.dispatch.cancel(bench.workspace.id, parent).await.unwrap(), Cancelled::Requested);
    let deadline = Instant::now() + LONG;
    while bench.store.queue.length(bench.workspace.id, 100).await.unwrap() > 0 {
        assert!(Instant::now() < deadline, "all that it started ends with it");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workspace_sleeps_no_more_than_it_leaves_to_others() {
    let bench = Bench::start(2, 10_000).await;
    let other = bench.store.workspaces.ensure(WorkspaceId::new(SystemClock.now()), "other", SystemClock.now()).await.unwrap();
    deploy(&bench.store, &other).await;
    // Each waits for a child that is not due for long.
    let parent = json!({"children": [{"late": true}]});
    let mut runs = Vec::new();
    for _ in 0..ASLEEP_MAX / 2 + 4 {
        runs.push(bench.accept(&parent).await);
    }
    let refused = async {
        loop {
            for run in &runs {
                let record = bench.dispatch.record(bench.workspace.id, *run).await.unwrap().unwrap();
                if record.summary.status.has_ended() {
                    return record;
                }
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let record = tokio::time::timeout(LONG, refused).await.expect("one too many is refused");
    assert!(record.error.as_ref().is_some_and(|error| error.message.contains("as many runs on this node")), "{record:?}");
    for run in runs {
        bench.dispatch.cancel(bench.workspace.id, run).await.unwrap();
    }
    let request = StartRequest { workspace: other.clone(), ..bench.request(&json!({"children": [{}]})) };
    let run = bench.dispatch.accept(request).await.unwrap().run;
    let ended = async {
        while !bench.dispatch.record(other.id, run).await.unwrap().unwrap().summary.status.has_ended() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(LONG, ended).await.expect("another workspace has places");
}

/// What a run that acts as somebody starts acts as the same, whatever the manifest of the child names.
#[tokio::test(flavor = "multi_thread")]
async fn children_act_as_their_parent_and_never_as_more() {
    let bench = Bench::start(4, 1_000).await;
    person(&bench.store, bench.workspace.id, "test", Role::Admin).await;
    account(&bench.store, bench.workspace.id, "strong", &["*:*"], &[]).await;
    account(&bench.store, bench.workspace.id, "weak", &["runs:start:f/demo/*"], &[]).await;
    deploy_with(&bench.store, &bench.workspace, manifest("s/strong")).await;
    let start = async |run_as: Option<&str>, arguments: &Value| {
        let terms = StartTerms { run_as: run_as.map(|text| text.parse().unwrap()), ..StartTerms::default() };
        let run = bench.dispatch.accept(StartRequest { terms, ..bench.request(arguments) }).await.unwrap().run;
        bench.ended(run).await
    };
    let child_of = async |of: u32| {
        let child = bench.the_one_that_executes(|arguments| arguments["of"] == of).await;
        bench.ended(child).await.summary.run_as
    };
    for (of, run_as, expected) in [(1, None, "s/strong"), (2, Some("s/weak"), "s/weak"), (3, Some("u/test"), "u/test")] {
        let parent = start(run_as, &json!({"children": [{ "of": of }]})).await;
        assert_eq!((parent.summary.status, parent.summary.run_as.as_str()), (RunStatus::Succeeded, expected));
        assert_eq!(child_of(of).await, expected, "{run_as:?}");
    }
    bench.stop().await;
}

/// The grant of a script is not enough where the account of its run allows less.
#[tokio::test(flavor = "multi_thread")]
async fn a_child_that_the_account_does_not_allow_is_denied() {
    let bench = Bench::start(4, 1_000).await;
    let of = bench.workspace.id;
    bench.dispatch.on_denied(|_, _| true);
    person(&bench.store, of, "test", Role::Admin).await;
    account(&bench.store, of, "weak", &["runs:start:f/demo/*"], &[]).await;
    let start = async || {
        let terms = StartTerms { run_as: Some("s/weak".parse().unwrap()), ..StartTerms::default() };
        bench.dispatch.accept(StartRequest { terms, ..bench.request(&json!({"children": [{}]})) }).await
    };
    let ended = bench.ended(start().await.unwrap().run).await;
    assert_eq!(ended.summary.status, RunStatus::Succeeded);
    for scopes in [&["runs:start:f/other/*"][..], &["runs:read:f/demo/*"], &["runs:start:f/demo/*!f/demo/"], &[]] {
        account(&bench.store, of, "weak", scopes, &[]).await;
        let ended = bench.ended(start().await.unwrap().run).await;
        let error = ended.error.unwrap().message;
        assert!(ended.summary.status == RunStatus::Failed && error.contains("acts as s/weak"), "{scopes:?}: {error}");
    }
    // One that is gone while its runs go on allows nothing.
    bench.store.service_accounts.delete(of, &"weak".parse().unwrap()).await.unwrap();
    let run = RunId::new(SystemClock.now());
    let parent = Parent { run_as: "s/weak".into(), ..bench.as_run(run) };
    let refused = bench.live.start(parent, child(PATH, &json!({}))).await;
    assert!(matches!(&refused, Err(ChildError::Denied(text)) if text.contains("acts as s/weak")), "{refused:?}");
    let told = denied(&bench.store, of).await;
    assert_eq!(told.len(), 5, "{told:?}");
    assert_eq!(told[4], (run.to_string(), "s/weak".to_owned(), format!("runs:start:{PATH}")));
    bench.stop().await;
}
