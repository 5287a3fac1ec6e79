use std::time::{Duration, Instant};

use sandmill_model::OutcomeKind;
use serde_json::json;

use super::{PG, Pg, quick, run, run_of};

#[tokio::test]
async fn a_billion_rows_are_too_many() {
    let Some(pg) = Pg::new("read") else { return };
    let began = Instant::now();
    let results = pg
        .calls(&json!([
            ["query", 0, "SELECT generate_series(1, 1000000000) AS g"],
            ["size", 0, "SELECT g FROM generate_series(1, 100000) AS g"],
            ["size", 0, "SELECT g FROM generate_series(1, 100001) AS g"],
            ["size", 0, "SELECT repeat('x', 1000) AS v FROM generate_series(1, 100000)"],
            ["size", 0, "SELECT repeat('x', 1000000000) AS v"],
            ["size", 0, "SELECT 1 AS v"]
        ]))
        .await;
    for (number, is_too_large) in [true, false, true, true, true, false].into_iter().enumerate() {
        assert_eq!(results[number]["too_large"].is_string(), is_too_large, "{number}: {results}");
    }
    pg.settled().await;
    assert_eq!(pg.busy(), "0");
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_billion_rows_that_the_server_makes_before_it_sends_any_end_with_the_time() {
    let Some(pg) = Pg::new("read") else { return };
    let began = Instant::now();
    let rows = "SELECT g FROM generate_series(1, 1000000000) AS g";
    let outcome = run(&pg.bed, quick(3_000), &json!([["open", PG], ["query", 0, rows]])).await;
    assert!(crate::testing::json(&outcome)[1]["timeout"].is_string(), "{outcome:?}");
    pg.settled().await;
    assert_eq!(pg.busy(), "0");
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
}

#[tokio::test]
async fn texts_have_limits() {
    let Some(pg) = Pg::new("read") else { return };
    let mib = 1024 * 1024;
    let results = pg.calls(&json!([["long", 0, mib, 1], ["long", 0, 10, 8 * mib]])).await;
    assert!(results[0]["too_large"].as_str().unwrap().contains("a statement has at most"), "{results}");
    assert!(results[1]["too_large"].as_str().unwrap().contains("the parameters have at most"), "{results}");
    let many = format!("[{}0]", "0,".repeat(65_535));
    let results = pg.calls(&json!([["query", 0, "SELECT 1 AS n", many]])).await;
    assert_eq!(results, json!([{ "too_large": "a statement has at most 65535 parameters; these are 65536" }]));
}

#[tokio::test]
async fn a_statement_ends_with_its_time_and_the_script_can_say_so() {
    let Some(pg) = Pg::new("write") else { return };
    let began = Instant::now();
    let sleep = "SELECT pg_sleep(600)::text AS v";
    let outcome = run(&pg.bed, quick(4_000), &json!([["open", PG], ["query", 0, sleep]])).await;
    assert!(crate::testing::json(&outcome)[1]["timeout"].is_string(), "{outcome:?}");
    // Whoever takes the limit away is stopped all the same.
    let defiant = "DO $$ BEGIN PERFORM set_config('statement_timeout', '0', false); PERFORM pg_sleep(600); END $$";
    let outcome = run(&pg.bed, quick(4_000), &json!([["open", PG], ["execute", 0, defiant]])).await;
    assert!(crate::testing::json(&outcome)[1]["timeout"].is_string(), "{outcome:?}");
    // So is one that catches being stopped.
    let deaf = "DO $$ BEGIN LOOP BEGIN PERFORM pg_sleep(600); EXCEPTION WHEN query_canceled THEN NULL; END; END LOOP; END $$";
    let outcome = run(&pg.bed, quick(4_000), &json!([["open", PG], ["execute", 0, deaf]])).await;
    assert!(outcome.kind == OutcomeKind::Timeout || crate::testing::json(&outcome)[1]["timeout"].is_string(), "{outcome:?}");
    pg.settled().await;
    assert_eq!(pg.busy(), "0");
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_run_that_is_cancelled_or_dropped_leaves_nothing_at_work() {
    let Some(pg) = Pg::new("write") else { return };
    pg.calls(&json!([["execute", 0, "CREATE TABLE t (id int)"]])).await;
    let sleep = json!(["in.query", 0, "SELECT pg_sleep(600)::text AS v"]);
    let calls = json!([["open", PG], ["begin", 0], ["in.execute", 0, "INSERT INTO t VALUES (1)"], sleep]);
    for is_cancelled in [true, false] {
        let attempt = run_of(1);
        let id = attempt.run;
        let mut running = Box::pin(run(&pg.bed, attempt, &calls));
        let at_work = async {
            while pg.busy() != "1" {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::select! {
            outcome = &mut running => panic!("{outcome:?}"),
            () = at_work => {}
        }
        if is_cancelled {
            assert!(pg.bed.sandbox.cancel(id));
            assert_eq!(running.await.kind, OutcomeKind::Cancelled);
        } else {
            drop(running);
        }
        let gone = async {
            while pg.busy() != "0" {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), gone).await.expect("the server is still at work");
        pg.settled().await;
        assert_eq!(pg.say("SELECT count(*) FROM t"), "0");
    }
}

#[tokio::test]
async fn a_transaction_whose_statement_is_cut_off_has_ended() {
    let Some(pg) = Pg::new("write") else { return };
    let results = pg
        .calls(&json!([
            ["begin", 0],
            ["in.execute", 0, "CREATE TABLE u (a int)"],
            ["in.query", 0, "SELECT generate_series(1, 1000000000) AS g"],
            ["commit", 0]
        ]))
        .await;
    assert!(results[2]["too_large"].is_string() && results[3]["invalid"] == "the transaction has ended", "{results}");
    pg.settled().await;
    assert_eq!(pg.say("SELECT to_regclass('u') IS NULL"), "t");
}
