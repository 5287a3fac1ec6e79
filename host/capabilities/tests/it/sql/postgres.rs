use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use sandmill_capabilities::{
    http::{Outbound, OutboundOptions, TrafficPort},
    sql::Databases,
};
use sandmill_model::{LogStream, OutcomeKind};
use serde_json::{Value, json};

use super::{PG, Pg, calls_of, run, run_of};
use crate::{
    http::traffic::Counter,
    testing::{sql_options, workspace},
};

#[tokio::test]
async fn writes_and_reads() {
    let Some(pg) = Pg::new("write") else { return };
    let results = pg
        .calls(&json!([
            ["execute", 0, "CREATE TABLE t (id int PRIMARY KEY, name text UNIQUE)"],
            ["execute", 0, "INSERT INTO t VALUES ($1, $2), ($3, $4)", "[1, \"a\", 2, \"b'; DROP TABLE t; --\"]"],
            ["query", 0, "SELECT * FROM t ORDER BY id"],
            ["query", 0, "INSERT INTO t VALUES (3, 'c') RETURNING id"],
            ["execute", 0, "UPDATE t SET name = name || '!' WHERE id < $1", "[3]"],
            ["execute", 0, "INSERT INTO t VALUES (1, 'x')"],
            ["query", 0, "SELECT nothing FROM t"],
            ["query", 0, "SELECT count(*) AS n FROM t"]
        ]))
        .await;
    assert_eq!((&results[0], &results[1]), (&json!(0), &json!(2)));
    assert_eq!(results[2], json!([{ "id": 1, "name": "a" }, { "id": 2, "name": "b'; DROP TABLE t; --" }]));
    assert_eq!((&results[3], &results[4]), (&json!([{ "id": 3 }]), &json!(2)));
    assert_eq!((results[5]["database"].as_str(), results[5]["constraint"].as_str()), (Some("23505"), Some("t_pkey")));
    assert_eq!((results[6]["database"].as_str(), results[6]["position"].as_u64()), (Some("42703"), Some(8)));
    assert_eq!(results[7], json!([{ "n": 3 }]));
}

#[tokio::test]
async fn statements_and_answers_count_as_what_goes_out_and_comes_in() {
    let Some(mut pg) = Pg::new("write") else { return };
    let counter = Counter::of(1_000_000);
    let traffic: Arc<dyn TrafficPort> = Arc::<Counter>::clone(&counter);
    pg.bed.outbound = Arc::new(Outbound::new(OutboundOptions { traffic, ..OutboundOptions::default() }).unwrap());
    let (statement, parameters) = ("SELECT repeat('x', $1::int) AS v", "[1000]");
    pg.calls(&json!([["query", 0, statement, parameters]])).await;
    let (up, down) = counter.counts();
    assert!((statement.len() as u64..100).contains(&up) && (1_000..1_100).contains(&down), "{up} up, {down} down");
    // In a transaction as well; what was begun can be ended.
    let insert = json!(["in.execute", 0, "INSERT INTO t VALUES ($1)", "[1]"]);
    counter.most.store(u64::MAX, Ordering::SeqCst);
    pg.calls(&json!([["execute", 0, "CREATE TABLE t (id int)"], ["begin", 0], insert, ["commit", 0]])).await;
    assert!(counter.counts().0 > up + 40, "{:?}", counter.counts());
    counter.most.store(0, Ordering::SeqCst);
    let results = pg.calls(&json!([["query", 0, statement, parameters], ["begin", 0], insert, ["commit", 0]])).await;
    assert_eq!((&results[0]["denied"], &results[2]["denied"]), (&json!("no more today"), &json!("no more today")), "{results}");
    assert_eq!(pg.say("SELECT count(*) FROM t"), "1");
}

#[tokio::test]
async fn the_password_is_masked_in_what_the_script_returns() {
    let Some(pg) = Pg::new("read") else { return };
    let results = pg.calls(&json!([["query", 0, "SELECT 'pa55word' AS v"], ["query", 0, "SELECT 'another' AS v"]])).await;
    assert_eq!((&results[0], &results[1]), (&json!([{ "v": "********" }]), &json!([{ "v": "another" }])));
}

trait Slice {
    fn to_vec(&self) -> Vec<Value>;
}

impl Slice for Value {
    fn to_vec(&self) -> Vec<Value> {
        self.as_array().unwrap().clone()
    }
}

#[tokio::test]
async fn a_transaction_is_all_or_nothing() {
    let Some(pg) = Pg::new("write") else { return };
    pg.calls(&json!([["execute", 0, "CREATE TABLE t (id int UNIQUE DEFERRABLE INITIALLY DEFERRED)"]])).await;
    let insert = |n: i32| json!(["in.execute", 0, "INSERT INTO t VALUES ($1)", format!("[{n}]")]);
    let sum = json!(["query", 0, "SELECT coalesce(sum(id), 0)::int AS n FROM t"]);
    let ended = "the transaction has ended";
    // Committed, and nothing goes on after it.
    let results =
        pg.calls(&json!([["begin", 0], insert(1), sum, ["commit", 0], insert(5), ["commit", 0], ["rollback", 0], sum])).await.to_vec();
    assert_eq!((&results[2], &results[3], &results[7]), (&json!([{ "n": 0 }]), &json!("ok"), &json!([{ "n": 1 }])));
    assert!(results[4..7].iter().all(|result| result["invalid"] == ended), "{results:?}");
    // Undone, dropped, left to the end of the run.
    for end in [json!(["rollback", 0]), json!(["drop", 0]), json!(["query", 0, "SELECT 1 AS n"])] {
        pg.calls(&json!([["begin", 0], insert(2), end])).await;
        pg.settled().await;
        assert_eq!(pg.calls(&json!([sum])).await, json!([[{ "n": 1 }]]), "{end}");
    }
    // One statement that fails undoes it all, and the commit says so.
    let results = pg.calls(&json!([["begin", 0], insert(3), ["in.query", 0, "SELECT 1/0 AS n"], insert(4), ["commit", 0], sum])).await;
    assert_eq!((&results[2]["database"], &results[3]["database"]), (&json!("22012"), &json!("25P02")));
    assert!(results[4]["invalid"].as_str().unwrap().contains("undone") && results[5] == json!([{ "n": 1 }]), "{results}");
    // So does the commit itself.
    let results = pg.calls(&json!([["begin", 0], insert(1), ["commit", 0], sum])).await;
    assert_eq!((&results[2]["database"], &results[3]), (&json!("23505"), &json!([{ "n": 1 }])));
}

#[tokio::test]
async fn transactions_of_a_run_have_a_limit() {
    let Some(pg) = Pg::new("write") else { return };
    let begin = json!(["begin", 0]);
    let results = pg.calls(&json!([begin, begin, begin, begin, begin, ["rollback", 0], ["drop", 0], begin])).await;
    assert_eq!(results[3], json!(3));
    assert!(results[4]["invalid"].as_str().unwrap().contains("at most 4"), "{results}");
    assert_eq!(results[7], json!(4));
    pg.settled().await;
    assert_eq!(pg.busy(), "0");
}

#[tokio::test]
async fn what_may_be_read_only_cannot_be_written() {
    let Some(pg) = Pg::new("read") else { return };
    pg.say("CREATE TABLE t (id int); CREATE SEQUENCE s; INSERT INTO t VALUES (1)");
    pg.say("CREATE FUNCTION writes() RETURNS int LANGUAGE sql AS 'INSERT INTO t VALUES (9) RETURNING id'");
    pg.say(
        "CREATE FUNCTION escapes() RETURNS int LANGUAGE plpgsql AS $$ BEGIN SET TRANSACTION READ WRITE; INSERT INTO t VALUES (9); RETURN 1; END $$",
    );
    pg.say(&format!("GRANT ALL ON t, s TO {}", pg.user));
    let large = "SELECT lo_from_bytea(424242, 'x')::text AS v";
    for statement in [
        "SELECT writes() AS v",
        "SELECT escapes() AS v",
        "SELECT nextval('s') AS v",
        "SELECT setval('s', 9) AS v",
        "WITH x AS (DELETE FROM t RETURNING id) SELECT * FROM x",
        "WITH x AS (SELECT set_config('transaction_read_only', 'off', false)) SELECT * FROM x",
        "SELECT set_config('transaction_read_only', 'off', true) AS v",
        "SELECT id INTO u FROM t",
        "EXPLAIN ANALYZE DELETE FROM t",
        "SELECT id FROM t FOR UPDATE",
        "SELECT 1 AS v; DELETE FROM t",
        "SELECT 1; COMMIT; DELETE FROM t",
        "SELECT dblink('x', 'y')",
    ] {
        let results = pg.calls(&json!([["query", 0, statement], ["begin", 0], ["in.query", 0, statement], ["commit", 0]])).await;
        assert!(results[0]["database"].is_string() && results[2]["database"].is_string(), "{statement}: {results}");
    }
    for statement in [
        "COMMIT",
        "/**/ ROLLBACK",
        "BEGIN READ WRITE",
        "SET ROLE postgres",
        "RESET ALL",
        "COPY t TO PROGRAM 'true'",
        "-- x\nEND",
        "; DISCARD ALL",
    ] {
        let results = pg.calls(&json!([["query", 0, statement], ["begin", 0], ["in.query", 0, statement]])).await;
        assert!(results[0]["invalid"].is_string() && results[2]["invalid"].is_string(), "{statement}: {results}");
    }
    for statement in
        ["DELETE FROM t", "DO $$ BEGIN DELETE FROM t; END $$", "INSERT INTO t VALUES (2)", "CREATE TABLE u ()", "CALL x()", "VACUUM"]
    {
        let results = pg.calls(&json!([["execute", 0, statement]])).await;
        assert!(results[0]["denied"].as_str().unwrap().contains("write f/test/pg"), "{statement}: {results}");
    }
    // Older servers let these be made even so; they do not stay.
    pg.calls(&json!([["query", 0, large], ["begin", 0], ["in.query", 0, large], ["commit", 0]])).await;
    pg.settled().await;
    let left = pg.say(
        "SELECT (SELECT string_agg(id::text, ',') FROM t), (SELECT count(*) FROM pg_largeobject_metadata), (SELECT last_value FROM s)",
    );
    assert_eq!(left, "1|0|1");
}

#[tokio::test]
async fn statements_that_would_break_our_own_are_refused() {
    let Some(pg) = Pg::new("write") else { return };
    for statement in [
        "COMMIT",
        "commit; select 1",
        "SAVEPOINT a",
        "LISTEN x",
        "COPY (SELECT 1) TO STDOUT",
        "PREPARE x AS SELECT 1",
        "SET statement_timeout = 0",
    ] {
        let results = pg.calls(&json!([["execute", 0, statement]])).await;
        assert!(results[0]["invalid"].is_string(), "{statement}: {results}");
    }
    let results = pg
        .calls(&json!([
            ["execute", 0, "SELECT 1; SELECT 2"],
            ["execute", 0, "DO $$ BEGIN COMMIT; END $$"],
            ["begin", 0],
            ["in.execute", 0, "DO $$ BEGIN COMMIT; END $$"]
        ]))
        .await;
    assert_eq!((&results[0]["database"], &results[1], &results[3]["database"]), (&json!("42601"), &json!(0), &json!("2D000")));
}

#[tokio::test]
async fn nothing_of_a_session_is_left() {
    let Some(mut pg) = Pg::new("write") else { return };
    let dir = tempfile::tempdir().unwrap();
    // One connection: whoever comes next has the same.
    let mut options = sql_options(&dir);
    options.connections_max = 1;
    pg.bed.databases = Databases::new(options);
    pg.say(&format!("CREATE ROLE other_{0}; GRANT other_{0} TO {0}", pg.user));
    let role = format!("SELECT set_config('role', 'other_{}', false) AS v", pg.user);
    let who = "SELECT pg_backend_pid() AS pid, current_user::text AS who, current_setting('work_mem') AS mem, current_setting('statement_timeout') AS t,
        (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()) AS locks, to_regclass('left_over') IS NULL AS clean,
        current_setting('search_path') AS path, (SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE 'PREPARE%') AS prepared";
    let before = pg.calls(&json!([["query", 0, who]])).await;
    assert_eq!((&before[0][0]["who"], &before[0][0]["clean"]), (&json!(pg.user), &json!(true)));
    for leave in [
        "CREATE TEMP TABLE left_over (a int)",
        "SELECT set_config('work_mem', '1MB', false) AS v",
        "SELECT set_config('search_path', 'pg_temp', false) AS v",
        "SELECT pg_advisory_lock(7)::text AS v",
        "DO $$ BEGIN EXECUTE 'PREPARE left_over AS SELECT 1'; END $$",
        "DO $$ BEGIN EXECUTE 'SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY'; END $$",
        &role,
    ] {
        let after = pg.calls(&json!([["execute", 0, leave], ["query", 0, who]])).await;
        assert!(after[0].is_u64(), "{leave}: {after}");
        let (mut seen, mut first) = (after[1][0].clone(), before[0][0].clone());
        assert_eq!(seen["pid"], first["pid"], "the connection is the same");
        for value in [&mut seen, &mut first] {
            value.as_object_mut().unwrap().remove("t");
        }
        assert_eq!(seen, first, "{leave}");
    }
    let results = pg.calls(&json!([["execute", 0, "CREATE TABLE stays (a int)"]])).await;
    assert_eq!(results, json!([0]), "it can still be written");
}

#[tokio::test]
async fn workspaces_share_nothing() {
    let (Some(one), Some(two)) = (Pg::new("write"), Pg::new("write")) else { return };
    let bed = &one.bed;
    bed.put_resource(workspace(2), PG, ("postgresql", 1, two.resource()));
    let which = json!([["query", 0, "SELECT current_database() AS d, pg_backend_pid() AS p"]]);
    let first = calls_of(bed, 1, PG, &which).await;
    let second = calls_of(bed, 2, PG, &which).await;
    assert_eq!((&first[0][0]["d"], &second[0][0]["d"]), (&json!(one.database), &json!(two.database)));
    // The same database even: another connection.
    bed.put_resource(workspace(3), PG, ("postgresql", 1, one.resource()));
    one.settled().await;
    let third = calls_of(bed, 3, PG, &which).await;
    assert_eq!(third[0][0]["d"], json!(one.database));
    assert_ne!(third[0][0]["p"], first[0][0]["p"]);
    // A resource that was changed.
    bed.put_resource(workspace(1), PG, ("postgresql", 2, two.resource()));
    assert_eq!(calls_of(bed, 1, PG, &which).await[0][0]["d"], json!(two.database));
}

#[tokio::test]
async fn idle_connections_are_closed() {
    let Some(mut pg) = Pg::new("read") else { return };
    let dir = tempfile::tempdir().unwrap();
    let mut options = sql_options(&dir);
    options.idle = Duration::from_secs(2);
    pg.bed.databases = Databases::new(options);
    let count = format!("SELECT count(*) FROM pg_stat_activity WHERE usename = '{}'", pg.user);
    pg.calls(&json!([["query", 0, "SELECT 1 AS n"]])).await;
    pg.settled().await;
    assert_eq!(pg.say(&count), "1");
    let gone = async {
        while pg.say(&count) != "0" {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), gone).await.expect("they are closed");
    assert_eq!(pg.calls(&json!([["query", 0, "SELECT 1 AS n"]])).await, json!([[{ "n": 1 }]]));
}

#[tokio::test]
async fn a_connection_that_the_server_closed_is_replaced() {
    let Some(pg) = Pg::new("read") else { return };
    let one = json!([["query", 0, "SELECT 1 AS n"]]);
    pg.calls(&one).await;
    pg.settled().await;
    pg.say(&format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{}'", pg.user));
    assert_eq!(pg.calls(&one).await, json!([[{ "n": 1 }]]));
}

#[tokio::test]
async fn only_so_many_connections() {
    let Some(mut pg) = Pg::new("write") else { return };
    let dir = tempfile::tempdir().unwrap();
    let mut options = sql_options(&dir);
    options.connections_max = 2;
    options.acquire_timeout = Duration::from_millis(100);
    pg.bed.databases = Databases::new(options);
    let results =
        pg.calls(&json!([["begin", 0], ["begin", 0], ["query", 0, "SELECT 1 AS n"], ["drop", 0], ["query", 0, "SELECT 1 AS n"]])).await;
    assert!(results[2]["unavailable"].as_str().unwrap().contains("all 2 connections"), "{results}");
    assert_eq!(results[4], json!([{ "n": 1 }]));
}

#[tokio::test]
async fn a_server_that_says_nothing_is_told() {
    let Some(mut pg) = Pg::new("read") else { return };
    let dir = tempfile::tempdir().unwrap();
    let mut options = sql_options(&dir);
    options.connect_timeout = Duration::from_millis(200);
    pg.bed.databases = Databases::new(options);
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut resource = pg.resource();
    resource["port"] = json!(silent.local_addr().unwrap().port());
    pg.bed.put_resource(workspace(1), PG, ("postgresql", 2, resource));
    let results = pg.calls(&json!([["query", 0, "SELECT 1 AS n"]])).await;
    assert_eq!(results, json!([{ "unavailable": format!("{PG}: the database did not answer in time") }]));
}

#[tokio::test]
async fn addresses_that_are_not_allowed_are_not_connected_to() {
    let Some(mut pg) = Pg::new("read") else { return };
    let dir = tempfile::tempdir().unwrap();
    let mut options = sql_options(&dir);
    options.allows = Arc::new(|address| !address.is_loopback());
    pg.bed.databases = Databases::new(options);
    for host in ["127.0.0.1", "localhost", "::1", "127.1"] {
        let mut resource = pg.resource();
        resource["host"] = json!(host);
        pg.bed.put_resource(workspace(1), PG, ("postgresql", 1, resource));
        let outcome = run(&pg.bed, run_of(1), &json!([["open", PG], ["query", 0, "SELECT 1 AS n"]])).await;
        let results = crate::testing::json(&outcome);
        let text = results[1]["denied"].as_str().or(results[1]["unavailable"].as_str()).unwrap().to_owned();
        assert!(host == "127.1" || results[1]["denied"].is_string(), "{host}: {results}");
        assert!(
            !text.contains("pa55word")
                && (host == "127.1" || outcome.log.iter().any(|line| line.stream == LogStream::Host && line.message == text))
        );
        pg.bed.databases = {
            let mut options = sql_options(&dir);
            options.allows = Arc::new(|address| !address.is_loopback());
            Databases::new(options)
        };
    }
}

#[tokio::test]
async fn resources_that_are_no_database_are_told_without_their_secrets() {
    let Some(pg) = Pg::new("read") else { return };
    let with = |field: &str, value: Value| {
        let mut resource = pg.resource();
        resource[field] = value;
        resource
    };
    for (kind, resource) in [
        ("account", pg.resource()),
        ("postgresql", with("host", json!("/var/run/postgresql"))),
        ("postgresql", with("host", json!(""))),
        ("postgresql", with("host", json!("a,b"))),
        ("postgresql", with("user", json!("a\0database\0postgres"))),
        ("postgresql", with("database", json!("a\0options\0-c x=y"))),
        ("postgresql", with("port", json!("pa55word"))),
        ("postgresql", with("tls", json!("pa55word"))),
        ("postgresql", json!({ "password": "pa55word" })),
        ("sqlite", json!({ "name": "../pa55word" })),
    ] {
        pg.bed.put_resource(workspace(1), PG, (kind, 3, resource.clone()));
        let results = pg.calls(&json!([["query", 0, "SELECT 1 AS n"], ["begin", 0]])).await;
        assert!(results[0]["invalid"].is_string() && results[1]["invalid"].is_string(), "{resource}: {results}");
        assert!(!results.to_string().contains("pa55word"), "{results}");
    }
    for (field, value) in [("user", json!("nobody_such")), ("database", json!("none_such")), ("tls", json!("require")), ("port", json!(1))]
    {
        pg.bed.put_resource(workspace(1), PG, ("postgresql", 4, with(field, value)));
        pg.bed
            .ports
            .resources
            .lock()
            .unwrap()
            .iter_mut()
            .for_each(|(_, (_, revealed))| revealed.revision += i64::try_from(field.len()).unwrap());
        let results = pg.calls(&json!([["query", 0, "SELECT 1 AS n"]])).await;
        assert!(
            (results[0]["database"].is_string() || results[0]["unavailable"].is_string()) && !results.to_string().contains("pa55word"),
            "{results}"
        );
    }
}

#[tokio::test]
async fn what_is_not_granted_is_denied_and_said_in_the_log() {
    let Some(mut pg) = Pg::new("write") else { return };
    pg.bed.grants.sql.clear();
    pg.bed.grants.resources = vec![PG.parse().unwrap()];
    let calls = json!([["open", PG], ["query", 0, "SELECT 1 AS n"], ["execute", 0, "SELECT 1"], ["begin", 0]]);
    let outcome = run(&pg.bed, run_of(1), &calls).await;
    let results = crate::testing::json(&outcome);
    for number in 1..4 {
        let text = results[number]["denied"].as_str().unwrap();
        assert!(text.contains("sql = [\"read f/test/pg\"]"), "{text}");
        assert_eq!((outcome.log[number - 1].stream, outcome.log[number - 1].message.as_str()), (LogStream::Host, text));
    }
}

#[tokio::test]
async fn transactions_that_nobody_began_end_the_run() {
    let Some(pg) = Pg::new("write") else { return };
    for calls in
        [json!([["open", PG], ["forge", 1]]), json!([["open", PG], ["begin", 0], ["drop", 0], ["forge", 2]]), json!([["forge", 9999]])]
    {
        let outcome = run(&pg.bed, run_of(1), &calls).await;
        assert_eq!(outcome.kind, OutcomeKind::Trap, "{calls}: {outcome:?}");
    }
}
