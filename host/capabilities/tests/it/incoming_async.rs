//! Handlers of WASI 0.3, by a guest that answers well, late, not at all, or takes what it can.

use std::{
    fs,
    sync::Arc,
    time::{Duration, Instant},
};

use sandmill_capabilities::{
    RunFacts,
    http::{
        NoCredentials,
        incoming::{Handle, Incoming},
    },
};
use sandmill_model::{Grants, Input, Limits, Outcome, OutcomeKind, Output, version::ComponentModel};
use sandmill_sandbox::{Call, CallInput, ProgramKey, async_engine_config};
use sandmill_testkit::guests::guest;
use serde_json::json;
use tokio::task::JoinSet;

use crate::{
    http::{Names, options, server::Server},
    incoming::request,
    testing::{Testbed, attempt, json as result, soon, testbed_with},
};

const FUEL: u64 = 2_000_000_000;

fn bed() -> Testbed {
    testbed_with("http-async", options(&Names::here()), Arc::new(NoCredentials))
}

async fn run_with(bed: &Testbed, input: Input, limits: Limits, http: &[&str]) -> Outcome {
    let mut attempt = attempt(input);
    attempt.limits = limits;
    let key = ProgramKey { model: ComponentModel::Async, ..sandmill_model::Digest::of(b"http-async").into() };
    let program = bed.program_at(key, &async_engine_config(None), || fs::read(guest("http_async")).unwrap());
    let input = CallInput::Host(Box::new(Handle(Incoming::of(&attempt))));
    let asked = Grants { http: http.iter().map(|grant| grant.parse().unwrap()).collect(), ..Grants::default() };
    let host = bed.host(Arc::new(RunFacts::of(attempt.clone(), Arc::new(asked))));
    soon(bed.sandbox.run(Call { run: attempt.run, workspace: attempt.workspace, program, module: None, input, limits, host })).await
}

async fn run(bed: &Testbed, target: &str) -> Outcome {
    run_with(bed, request(target), Limits::default(), &[]).await
}

fn body(outcome: &Outcome) -> String {
    let answer = &result(outcome)["$http"];
    assert_eq!(answer["status"], 200, "{outcome:?}");
    answer["body"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_answered() {
    let bed = bed();
    let answer = result(&run(&bed, "/").await);
    assert_eq!(answer, json!({"$http": {"status": 200, "headers": {"content-type": ["text/plain"]}, "body": "hi"}}));
    assert_eq!(body(&run(&bed, "/method").await), "Method::Post Some(\"example.com\")");
    assert_eq!(body(&run(&bed, "/random").await), "65536", "no more than that at once");
    let took_ms: u64 = body(&run(&bed, "/both").await).parse().unwrap();
    assert!((200..390).contains(&took_ms), "it waited for both at once: {took_ms} ms");
    let printed = run(&bed, "/print").await;
    let lines: Vec<&str> = printed.log.iter().map(|entry| entry.message.as_str()).collect();
    assert_eq!(lines, ["a line", "and another"], "{printed:?}");
    let later = run(&bed, "/later").await;
    assert_eq!((body(&later).as_str(), later.log[0].message.as_str()), ("the answer", "after the answer"));
    let large = run(&bed, "/large?3000000").await;
    assert_eq!(body(&large).len(), 3_000_000);
    assert!(large.usage.fuel > 0 && large.usage.memory_peak_bytes > 3_000_000, "{:?}", large.usage);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_of_their_own_go_through_the_grants() {
    let (bed, server) = (bed(), Server::start().await);
    let authority = format!("api.test:{}", server.port());
    let target = format!("/fetch?{authority}");
    let grant = format!("POST http://{authority}");
    let outcome = run_with(&bed, request(&target), Limits::default(), &[&grant]).await;
    assert_eq!(result(&outcome)["$http"]["status"], 404, "the server's own answer: {outcome:?}");
    assert_eq!(server.connections(), 1);
    let outcome = run(&bed, &target).await;
    assert_eq!(outcome.kind, OutcomeKind::Error, "{outcome:?}");
    assert!(outcome.log[0].message.contains("no grant lets this script send POST"), "{outcome:?}");
    assert_eq!(server.connections(), 1, "nothing was sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_or_too_much_of_one_ends_the_run() {
    let bed = bed();
    for (target, kind, says) in [
        ("/broken", OutcomeKind::Error, "as it was asked to be"),
        ("/trap", OutcomeKind::Trap, "aborted"),
        ("/large?20000000", OutcomeKind::ResultTooLarge, "limits.result_bytes"),
    ] {
        let outcome = run(&bed, target).await;
        assert_eq!(outcome.kind, kind, "{target}: {outcome:?}");
        assert!(outcome.error.as_ref().unwrap().message.contains(says), "{target}: {outcome:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_never_ends_is_ended() {
    let bed = bed();
    let short = Limits { wall_ms: 700, ..Limits::default() };
    for target in ["/sleep", "/loop", "/yield", "/copies", "/sleeps"] {
        let began = Instant::now();
        let outcome = run_with(&bed, request(target), short, &[]).await;
        let ended = [OutcomeKind::Timeout, OutcomeKind::OutOfMemory, OutcomeKind::Trap];
        assert!(ended.contains(&outcome.kind), "{target}: {outcome:?}");
        assert!(began.elapsed() < Duration::from_secs(3), "{target} took {:?}", began.elapsed());
    }
    let little = Limits { fuel: 50_000_000, ..Limits::default() };
    for target in ["/loop", "/yield"] {
        let outcome = run_with(&bed, request(target), little, &[]).await;
        assert_eq!((outcome.kind, outcome.usage.fuel), (OutcomeKind::OutOfFuel, 50_000_000), "{target}: {outcome:?}");
    }
    let outcome = run_with(&bed, request("/streams"), Limits { fuel: FUEL, ..Limits::default() }, &[]).await;
    assert_eq!(outcome.kind, OutcomeKind::Trap, "what the engine holds for a guest is bounded: {outcome:?}");
    assert!(matches!(&run(&bed, "/").await.output, Some(Output::Json(_))), "others go on");
}

/// One that keeps its thread takes turns with others all the same.
#[tokio::test(flavor = "multi_thread")]
async fn others_have_their_turn_meanwhile() {
    let bed = Arc::new(bed());
    let mut busy = JoinSet::new();
    for target in ["/loop", "/yield", "/copies", "/copies"] {
        let bed = Arc::clone(&bed);
        busy.spawn(async move { run_with(&bed, request(target), Limits { wall_ms: 4_000, ..Limits::default() }, &[]).await });
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    let mut longest = Duration::ZERO;
    for _ in 0..10 {
        let began = Instant::now();
        assert_eq!(body(&run(&bed, "/").await), "hi");
        longest = longest.max(began.elapsed());
    }
    assert!(longest < Duration::from_millis(1_500), "a short run took {longest:?} beside those that never end");
    while let Some(run) = busy.join_next().await {
        assert!(run.unwrap().kind != OutcomeKind::Ok);
    }
}

#[tokio::test]
async fn they_run_only_where_they_may() {
    let bed = crate::testing::testbed("http-odd");
    let key = ProgramKey { model: ComponentModel::Async, ..sandmill_model::Digest::of(b"any").into() };
    let Err(error) = bed.sandbox.load(key) else { panic!("it was loaded") };
    assert!(error.to_string().contains("--wasi 0.3"), "{error}");
}
