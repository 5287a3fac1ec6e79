use std::{
    fs,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use sandmill_capabilities::sql::{Databases, FilesPort};
use sandmill_model::{BoxFuture, Opening, OutcomeKind, WorkspaceId};
use serde_json::{Value, json};

use super::{LITE, calls, calls_of, lite, quick, run, run_of};
use crate::testing::{Testbed, sql_options, workspace};

async fn one(bed: &Testbed, statement: &str) -> Value {
    calls(bed, LITE, &json!([["query", 0, statement]])).await[0].clone()
}

#[tokio::test]
async fn writes_and_reads_values_of_all_kinds() {
    let bed = lite();
    let results = calls(
        &bed,
        LITE,
        &json!([
            ["execute", 0, "CREATE TABLE t (id INTEGER PRIMARY KEY, v ANY, doc JSON)"],
            [
                "execute",
                0,
                "INSERT INTO t (v) VALUES ($1), (?), (?), (?), (?), (?), (?)",
                "[null, true, 1.5, 9223372036854775807, \"ä\", [1,\"x\"], 3]"
            ],
            ["query", 0, "SELECT v, typeof(v) AS t FROM t ORDER BY id"],
            ["execute", 0, "UPDATE t SET doc = ? WHERE id = 1", "[{\"a\": 12345678901234567890}]"],
            ["query", 0, "SELECT doc, x'00ff' AS b, 9007199254740991 AS s, 9e999 AS inf FROM t WHERE id = 1"],
            ["query", 0, "SELECT id, doc FROM t WHERE 0"],
            ["query", 0, "SELECT ?", "[9223372036854775808]"],
            ["query", 0, "SELECT 1 AS a, 2 AS a"],
            ["query", 0, "INSERT INTO t (v) VALUES (1) RETURNING id"],
            ["execute", 0, "INSERT INTO t (id) VALUES (1)"],
            ["query", 0, "SELECT \"nothing\" FROM t"],
            ["query", 0, "PRAGMA table_info(t)"]
        ]),
    )
    .await;
    assert_eq!((&results[0], &results[1], &results[3]), (&json!(0), &json!(7), &json!(1)));
    let values: Vec<Value> = results[2].as_array().unwrap().iter().map(|row| row["v"].clone()).collect();
    assert_eq!(values, [json!(null), json!(1), json!(1.5), json!("9223372036854775807"), json!("ä"), json!("[1,\"x\"]"), json!(3)]);
    assert_eq!(
        results[4],
        json!([{ "doc": { "a": 12_345_678_901_234_567_890_u64 }, "b": "AP8=", "s": 9_007_199_254_740_991_i64, "inf": "Infinity" }])
    );
    assert_eq!(results[5], json!({ "columns": ["id integer", "doc json"] }));
    assert!(results[6]["invalid"].is_string() && results[7]["invalid"].as_str().unwrap().contains("`a`"), "{results}");
    assert_eq!(results[8], json!([{ "id": 8 }]));
    assert_eq!((&results[9]["database"], &results[10]["position"]), (&json!("1555"), &json!(8)), "{results}");
    assert_eq!(results[11][0]["name"], "id");
}

/// To SQLite `$2` is a name like any other, and the first that comes has the first place.
#[tokio::test]
async fn parameters_have_the_numbers_that_they_say() {
    let bed = lite();
    let results = calls(
        &bed,
        LITE,
        &json!([
            ["query", 0, "SELECT $2 AS b, $1 AS a", "[\"one\", \"two\"]"],
            ["query", 0, "SELECT $1 AS a, $1 || $2 AS b", "[\"x\", \"y\"]"],
            ["query", 0, "SELECT ?2 AS b, ?1 AS a", "[\"one\", \"two\"]"],
            ["query", 0, "SELECT $3 AS c", "[1, 2, 3]"],
            ["query", 0, "SELECT $3 AS c", "[1]"],
            ["query", 0, "SELECT :name", "[1]"],
            ["query", 0, "SELECT $0", "[1]"],
            ["query", 0, "SELECT $99999999999999999999", "[1]"]
        ]),
    )
    .await;
    let both = json!([{ "a": "one", "b": "two" }]);
    assert_eq!((&results[0], &results[2]), (&both, &both));
    assert_eq!((&results[1], &results[3]), (&json!([{ "a": "x", "b": "xy" }]), &json!([{ "c": 3 }])));
    assert!(results[4]["invalid"].as_str().unwrap().contains("has 3 parameters; 1 were given"), "{results}");
    for at in 5..8 {
        assert!(results[at]["invalid"].as_str().unwrap().contains("parameters are `$1`"), "{results}");
    }
}

#[tokio::test]
async fn a_transaction_is_all_or_nothing() {
    let bed = lite();
    calls(&bed, LITE, &json!([["execute", 0, "CREATE TABLE t (id INTEGER PRIMARY KEY)"]])).await;
    let insert = |n: i32| json!(["in.execute", 0, "INSERT INTO t VALUES (?)", format!("[{n}]")]);
    let sum = json!(["query", 0, "SELECT coalesce(sum(id), 0) AS n FROM t"]);
    let results = calls(&bed, LITE, &json!([["begin", 0], insert(1), sum, ["commit", 0], insert(5), sum])).await;
    assert_eq!((&results[2], &results[3], &results[5]), (&json!([{ "n": 0 }]), &json!("ok"), &json!([{ "n": 1 }])));
    assert_eq!(results[4]["invalid"], "the transaction has ended");
    for end in [json!(["rollback", 0]), json!(["drop", 0]), json!(["query", 0, "SELECT 1"])] {
        calls(&bed, LITE, &json!([["begin", 0], insert(2), end])).await;
        assert_eq!(calls(&bed, LITE, &json!([sum])).await, json!([[{ "n": 1 }]]), "{end}");
    }
    let results = calls(&bed, LITE, &json!([["begin", 0], insert(2), insert(1), ["commit", 0], sum])).await;
    assert!(results[2]["database"] == "1555" && results[3]["invalid"].as_str().unwrap().contains("undone"), "{results}");
    assert_eq!(results[4], json!([{ "n": 1 }]));
}

#[tokio::test]
async fn hostile_statements_do_nothing() {
    let bed = lite();
    let outside = bed.dir.path().join("outside.db");
    let outside = outside.to_str().unwrap();
    calls(&bed, LITE, &json!([["execute", 0, "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)"]])).await;
    for statement in [
        &format!("ATTACH '{outside}' AS o"),
        &format!("/* */ ATTACH 'file:{outside}?mode=rwc' AS o"),
        &format!("VACUUM INTO '{outside}'"),
        "VACUUM",
        "DETACH main",
        "PRAGMA journal_mode = OFF",
        "PRAGMA writable_schema = ON",
        "EXPLAIN PRAGMA query_only = OFF",
        "PRAGMA max_page_count = 1000000000",
        "PRAGMA database_list",
        "PRAGMA temp_store_directory = '/tmp'",
        "SELECT load_extension('/tmp/x.so')",
        "SELECT fts3_tokenizer('x', x'00')",
        "SELECT * FROM pragma_database_list",
        "SELECT readfile('/etc/passwd')",
        "SELECT writefile('/tmp/x', 'x')",
        "SELECT edit('x')",
        "BEGIN",
        "SAVEPOINT a",
        "SELECT 1; SELECT 2",
        "SELECT 1; DROP TABLE t",
        "UPDATE sqlite_schema SET sql = 'x'",
        "DELETE FROM sqlite_schema",
        "CREATE VIRTUAL TABLE x USING dbstat",
        "SELECT * FROM sqlite_dbpage",
        "CREATE VIRTUAL TABLE x USING fts3(a, tokenize=x)",
        "",
        "-- only this",
    ] {
        let results = calls(&bed, LITE, &json!([["query", 0, statement], ["begin", 0], ["in.query", 0, statement]])).await;
        for result in [&results[0], &results[2]] {
            assert!(result["invalid"].is_string() || result["database"].is_string(), "{statement}: {results}");
        }
    }
    assert!(!std::path::Path::new(outside).exists());
    assert_eq!(one(&bed, "SELECT count(*) AS n FROM t").await, json!([{ "n": 0 }]));
    // What is no attack works.
    for statement in [
        "CREATE VIRTUAL TABLE f USING fts5(a)",
        "CREATE TRIGGER r AFTER INSERT ON t BEGIN INSERT INTO f VALUES (new.v); SELECT 1; END",
        "INSERT INTO t VALUES (1, 'word')",
    ] {
        assert!(calls(&bed, LITE, &json!([["execute", 0, statement]])).await[0].is_u64(), "{statement}");
    }
    assert_eq!(one(&bed, "SELECT count(*) AS n FROM f('word')").await, json!([{ "n": 1 }]));
}

#[tokio::test]
async fn what_may_be_read_only_cannot_be_written() {
    let mut bed = lite();
    calls(&bed, LITE, &json!([["execute", 0, "CREATE TABLE t (id INTEGER)"]])).await;
    bed.grants.sql = vec![format!("read {LITE}").parse().unwrap()];
    for statement in [
        "WITH x AS (SELECT 1 AS id) INSERT INTO t SELECT * FROM x",
        "EXPLAIN PRAGMA query_only = 0",
        "WITH x AS (SELECT 1) DELETE FROM t RETURNING id",
    ] {
        let results = calls(&bed, LITE, &json!([["query", 0, statement], ["begin", 0], ["in.query", 0, statement], ["commit", 0]])).await;
        assert!(results[0]["denied"].is_string() || results[0]["database"].is_string(), "{statement}: {results}");
        assert!(results[2]["denied"].is_string() || results[2]["database"].is_string(), "{statement}: {results}");
    }
    for statement in ["INSERT INTO t VALUES (1)", "CREATE TABLE u (a)", "CREATE TEMP TABLE u (a)", "DROP TABLE t", "REINDEX", "ANALYZE"] {
        assert!(one(&bed, statement).await["denied"].as_str().unwrap().contains("write f/test/lite"), "{statement}");
    }
    assert_eq!(one(&bed, "SELECT count(*) AS n FROM t").await, json!([{ "n": 0 }]));
}

#[tokio::test]
async fn who_asks_for_writing_and_was_given_reading_may_read() {
    let bed = lite();
    calls(&bed, LITE, &json!([["execute", 0, "CREATE TABLE t (id INTEGER)"]])).await;
    *bed.ports.given.lock().unwrap() = Some(Ok(vec![format!("sql:read {LITE}").parse().unwrap()]));
    assert_eq!(one(&bed, "SELECT count(*) AS n FROM t").await, json!([{ "n": 0 }]));
    let insert = "INSERT INTO t VALUES (1)";
    let hidden = "WITH x AS (SELECT 1 AS id) INSERT INTO t SELECT * FROM x";
    let results = calls(&bed, LITE, &json!([["execute", 0, insert], ["begin", 0], ["in.execute", 0, insert], ["commit", 0]])).await;
    let denied = "INSERT is not for reading; f/test/script asks for `sql:write f/test/lite`, and nobody has granted it, or not all of it: \
                  `sandmill grants give f/test/script \"sql:write f/test/lite\"` does, for somebody who may do that themselves";
    assert_eq!((&results[0]["denied"], &results[2]["denied"]), (&json!(denied), &json!(denied)));
    let result = one(&bed, hidden).await;
    assert!(result["denied"].is_string() || result["database"].is_string(), "{result}");
    assert_eq!(one(&bed, "SELECT count(*) AS n FROM t").await, json!([{ "n": 0 }]));
}

#[tokio::test]
async fn each_limit() {
    let bed = lite();
    let many = |count: &str| format!("WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT {count}) SELECT x FROM c");
    let results = calls(
        &bed,
        LITE,
        &json!([
            ["size", 0, many("100000")],
            ["size", 0, many("1000000000")],
            [
                "size",
                0,
                "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 100000) SELECT printf('%.*c', 1000, 'x') AS v FROM c"
            ],
            ["size", 0, "SELECT zeroblob(1000000000) AS v"],
            ["size", 0, "WITH RECURSIVE c(x) AS (SELECT 'xxxx' UNION ALL SELECT x || x FROM c) SELECT length(x) AS v FROM c LIMIT 28"],
            ["long", 0, 1024 * 1024, 1]
        ]),
    )
    .await;
    assert!(results[0].is_u64(), "{results}");
    for number in [1, 2, 5] {
        assert!(results[number]["too_large"].is_string(), "{number}: {results}");
    }
    for number in [3, 4] {
        assert_eq!(results[number]["database"], "18", "{number}: {results}");
    }
}

/// What no other statement is stopped in the middle of: functions whose time is the product of their arguments' lengths, and values that are made
/// without a row being looked at.
#[tokio::test]
async fn nothing_takes_time_or_memory_without_end() {
    let bed = lite();
    let long = |letter: &str, last: &str| format!("(replace(hex(zeroblob(900000)), '00', '{letter}') || '{last}')");
    let began = Instant::now();
    for slow in [
        format!("SELECT instr({}, {}) AS v", long("a", ""), long("a", "b")),
        format!("SELECT length(replace({}, {}, 'x')) AS v", long("a", ""), long("a", "b")),
        format!("SELECT length(trim({}, {})) AS v", long("b", ""), long("a", "b")),
    ] {
        let result = one(&bed, &slow).await;
        assert!(result[0]["v"].is_u64(), "{result}");
    }
    let pattern = one(&bed, &format!("SELECT 'a' LIKE {} AS v", long("%a", ""))).await;
    assert!(pattern["database"].is_string(), "{pattern}");
    let columns: Vec<String> = (0..1_000).map(|n| format!("randomblob(2000000) AS c{n}")).collect();
    let wide = one(&bed, &format!("SELECT {}", columns.join(", "))).await;
    assert!(wide["database"].is_string(), "{wide}");
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_log_that_readers_keep_long_takes_no_more() {
    let bed = lite();
    calls(&bed, LITE, &json!([["execute", 0, "CREATE TABLE t (v BLOB)"], ["execute", 0, "INSERT INTO t VALUES (zeroblob(2000000))"]]))
        .await;
    let file = bed.dir.path().join("sqlite").join(workspace(1).to_string()).join("main.db-wal");
    fs::File::create(&file).unwrap().set_len(300 * 1024 * 1024).unwrap();
    let refused = calls(&bed, LITE, &json!([["execute", 0, "INSERT INTO t VALUES (1)"], ["begin", 0]])).await;
    assert!(refused[0]["unavailable"].is_string() && refused[1]["unavailable"].is_string(), "{refused}");
}

#[tokio::test]
async fn a_database_has_a_size() {
    let mut bed = lite();
    let mut options = sql_options(&bed.dir);
    options.sqlite_bytes_max = 1024 * 1024;
    bed.databases = Databases::new(options);
    let results =
        calls(&bed, LITE, &json!([["execute", 0, "CREATE TABLE t (v BLOB)"], ["execute", 0, "INSERT INTO t VALUES (zeroblob(2000000))"]]))
            .await;
    assert_eq!(results[1]["database"], "13", "{results}");
}

/// What a workspace may keep, what was opened, and whether resources change as they are opened.
#[derive(Default)]
struct Files {
    room: AtomicU64,
    opened: Mutex<Vec<String>>,
    changes: AtomicBool,
}

impl FilesPort for Files {
    fn room(&self, _: WorkspaceId) -> BoxFuture<'_, Result<Option<u64>, String>> {
        Box::pin(async move { Ok(Some(self.room.load(Ordering::SeqCst))) })
    }

    fn open(&self, opening: Opening) -> BoxFuture<'_, Result<bool, String>> {
        Box::pin(async move {
            self.opened.lock().unwrap().push(opening.name);
            Ok(!self.changes.load(Ordering::SeqCst))
        })
    }
}

#[tokio::test]
async fn a_workspace_keeps_no_more_in_databases_than_it_may() {
    const OTHER: &str = "f/test/other";
    let (mut bed, files) = (lite(), Arc::new(Files::default()));
    let mut options = sql_options(&bed.dir);
    options.files = Some(files.clone());
    bed.databases = Databases::new(options);
    bed.grants.sql.push(format!("write {OTHER}").parse().unwrap());
    bed.put_resource(workspace(1), OTHER, ("sqlite", 1, json!({ "name": "other" })));
    files.room.store(1024 * 1024, Ordering::SeqCst);
    let insert = |bytes: u32| json!(["execute", 0, format!("INSERT INTO t VALUES (zeroblob({bytes}))")]);
    let is_full = |result: &Value| result["too_large"].as_str().is_some_and(|text| text.contains("stored_bytes"));
    let results = calls(&bed, LITE, &json!([["execute", 0, "CREATE TABLE t (v BLOB)"], insert(2_000_000), insert(100_000)])).await;
    assert!(is_full(&results[1]) && results[2] == 1, "{results}");
    // Nothing more may be kept: what is there can be read, deleted and put in the place of what was deleted.
    files.room.store(0, Ordering::SeqCst);
    let count = json!(["query", 0, "SELECT count(*) AS n FROM t"]);
    let results = calls(&bed, LITE, &json!([insert(500_000), count, ["execute", 0, "DELETE FROM t"], insert(50_000), count])).await;
    assert!(is_full(&results[0]), "{results}");
    assert_eq!((&results[1], &results[2], &results[3], &results[4]), (&json!([{"n": 1}]), &json!(1), &json!(1), &json!([{"n": 1}])));
    // Nor is another database made, by whoever only reads either.
    let file = bed.dir.path().join("sqlite").join(workspace(1).to_string()).join("other.db");
    let results =
        calls(&bed, OTHER, &json!([["execute", 0, "CREATE TABLE t (v BLOB)"], ["query", 0, "SELECT 1 AS v"], ["begin", 0]])).await;
    assert!(results.as_array().unwrap().iter().all(is_full) && !file.exists(), "{results}");
    assert_eq!(*files.opened.lock().unwrap(), ["main", "other"], "each once, and before there is a file");
    // A resource that is changed as it is opened makes no file, which would be another's.
    files.room.store(1024 * 1024, Ordering::SeqCst);
    files.changes.store(true, Ordering::SeqCst);
    bed.put_resource(workspace(1), OTHER, ("sqlite", 2, json!({ "name": "other" })));
    let results = calls(&bed, OTHER, &json!([["query", 0, "SELECT 1 AS v"]])).await;
    assert!(results[0]["unavailable"].is_string() && !file.exists(), "{results}");
    files.changes.store(false, Ordering::SeqCst);
    let results = calls(&bed, OTHER, &json!([["query", 0, "SELECT 1 AS v"]])).await;
    assert_eq!(results, json!([[{"v": 1}]]));
}

/// A transaction that does nothing any more has them still.
#[tokio::test]
async fn temporary_tables_have_a_size() {
    let bed = lite();
    let keep = |count: u32| {
        format!(
            "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT {count}) INSERT INTO kept SELECT zeroblob(1000000) FROM c"
        )
    };
    let results = calls(
        &bed,
        LITE,
        &json!([
            ["begin", 0],
            ["in.execute", 0, "CREATE TEMP TABLE kept (v BLOB)"],
            ["in.execute", 0, keep(8)],
            ["in.execute", 0, keep(16)]
        ]),
    )
    .await;
    assert_eq!((&results[2], &results[3]["database"]), (&json!(8), &json!("13")), "{results}");
}

#[tokio::test]
async fn the_transaction_of_another_run_is_nobodys() {
    let bed = lite();
    let forever = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) AS n FROM c";
    let attempt = quick(60_000);
    let id = attempt.run;
    // Its first handle is the resource, the next the transaction; both are open while the others try.
    let owner_calls = json!([["open", LITE], ["begin", 0], ["in.query", 0, forever]]);
    let owner = run(&bed, attempt, &owner_calls);
    let thieves = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        for workspace in [1, 2] {
            for number in 0..4 {
                let thief = run(&bed, run_of(workspace), &json!([["forge", number]])).await;
                assert_eq!(thief.kind, OutcomeKind::Trap, "{workspace} {number}: {thief:?}");
            }
        }
        assert!(bed.sandbox.cancel(id));
        for number in 0..4 {
            assert_eq!(run(&bed, run_of(1), &json!([["forge", number]])).await.kind, OutcomeKind::Trap, "after it ended: {number}");
        }
    };
    let (owner, ()) = tokio::join!(owner, thieves);
    assert_eq!(owner.kind, OutcomeKind::Cancelled, "{owner:?}");
}

#[tokio::test]
async fn a_statement_ends_with_its_run() {
    let bed = lite();
    let forever = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) AS n FROM c";
    let began = Instant::now();
    let outcome = run(&bed, quick(3_000), &json!([["open", LITE], ["query", 0, forever]])).await;
    assert!(crate::testing::json(&outcome)[1]["timeout"].is_string(), "{outcome:?}");
    // Cancelled in the middle, in a transaction that has the lock.
    calls(&bed, LITE, &json!([["execute", 0, "CREATE TABLE t (a)"]])).await;
    let attempt = quick(60_000);
    let id = attempt.run;
    let calls_of_it = json!([["open", LITE], ["begin", 0], ["in.execute", 0, "INSERT INTO t VALUES (1)"], ["in.query", 0, forever]]);
    let running = run(&bed, attempt, &calls_of_it);
    let cancel = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert!(bed.sandbox.cancel(id));
        std::future::pending::<()>().await;
    };
    let outcome = tokio::select! { outcome = running => outcome, () = cancel => unreachable!() };
    assert_eq!(outcome.kind, OutcomeKind::Cancelled, "{outcome:?}");
    tokio::time::timeout(Duration::from_secs(10), bed.databases.settled()).await.expect("the statement has ended");
    assert_eq!(
        calls(&bed, LITE, &json!([["execute", 0, "INSERT INTO t VALUES (2)"], ["query", 0, "SELECT a FROM t"]])).await,
        json!([1, [{ "a": 2 }]])
    );
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

#[tokio::test]
async fn nothing_of_a_session_is_left_and_workspaces_share_nothing() {
    let bed = lite();
    bed.put_resource(workspace(2), LITE, ("sqlite", 1, json!({ "name": "main" })));
    calls(&bed, LITE, &json!([["execute", 0, "CREATE TABLE t (a)"], ["execute", 0, "CREATE TEMP TABLE left_over (a)"]])).await;
    assert!(one(&bed, "SELECT * FROM left_over").await["database"].is_string());
    let theirs = calls_of(&bed, 2, LITE, &json!([["query", 0, "SELECT count(*) AS n FROM sqlite_schema"]])).await;
    assert_eq!(theirs, json!([[{ "n": 0 }]]));
    for name in ["", "..", "../main", "a/b", "A", "a.db", "ä", "a\0", &"x".repeat(65)] {
        bed.put_resource(workspace(1), LITE, ("sqlite", 2, json!({ "name": name })));
        assert!(one(&bed, "SELECT 1").await["invalid"].is_string(), "{name}");
    }
}

#[tokio::test]
async fn a_lock_is_waited_for_and_then_told() {
    let bed = lite();
    calls(&bed, LITE, &json!([["execute", 0, "CREATE TABLE t (a)"]])).await;
    let results =
        calls(&bed, LITE, &json!([["begin", 0], ["execute", 0, "INSERT INTO t VALUES (1)"], ["query", 0, "SELECT count(*) AS n FROM t"]]))
            .await;
    assert!(results[1]["unavailable"].as_str().unwrap().contains("locked"), "{results}");
    assert_eq!(results[2], json!([{ "n": 0 }]));
}
