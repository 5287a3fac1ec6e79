use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use sandmill_capabilities::blob::{self, Blobs, Place};
use sandmill_model::{Attempt, Input, JsonText, Limits, LogStream, Outcome, OutcomeKind};
use sandmill_testkit::s3::S3;
use serde_json::{Value, json};

use crate::testing::{Testbed, attempt, json, testbed, workspace};

pub(crate) fn bed() -> Testbed {
    let mut bed = testbed("blob");
    bed.grants.blob = vec!["write *".parse().unwrap()];
    bed
}

/// A bed whose objects are with a service that speaks S3, and the name of their bucket; none where there is no such service.
async fn s3_bed() -> Option<(Testbed, &'static S3, String)> {
    let service = S3::shared()?;
    let bucket = service.bucket().await.unwrap();
    let mut bed = bed();
    bed.blobs = Blobs::open(&s3(&service.endpoint, &bucket)).unwrap();
    Some((bed, service, bucket))
}

fn s3(endpoint: &str, bucket: &str) -> Place {
    Place::S3(blob::S3 {
        bucket: bucket.to_owned(),
        region: "us-east-1".to_owned(),
        endpoint: Some(endpoint.to_owned()),
        access_key_id: "id".to_owned(),
        secret_access_key: "secret".to_owned(),
    })
}

/// Tests of all places.
macro_rules! everywhere {
    ($($test:ident),* $(,)?) => {
        mod in_a_folder {
            $(#[tokio::test]
            async fn $test() {
                super::$test(super::bed()).await;
            })*
        }

        mod with_s3 {
            $(#[tokio::test]
            async fn $test() {
                let Some((bed, _, _)) = super::s3_bed().await else { return };
                super::$test(bed).await;
            })*
        }
    };
}

everywhere! {
    put_get_stat_list_delete,
    large_objects_stream,
    what_was_not_finished_is_not_there,
    lists_are_in_order_and_in_parts,
    no_key_leaves_its_workspace,
}

fn run_of(number: u32) -> Attempt {
    Attempt { workspace: workspace(number), ..attempt(Input::Arguments(JsonText::empty_object())) }
}

async fn run(bed: &Testbed, calls: &Value) -> Outcome {
    let attempt = Attempt { limits: Limits { fuel: 4_000_000_000_000, ..Limits::default() }, ..run_of(1) };
    bed.attempt(attempt, &calls.to_string()).await
}

async fn calls(bed: &Testbed, calls: &Value) -> Value {
    json(&run(bed, calls).await)
}

fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            found.extend(files(&entry.path()));
        } else {
            found.push(entry.path().to_str().unwrap().to_owned());
        }
    }
    found
}

async fn put_get_stat_list_delete(bed: Testbed) {
    let info = json!({ "key": "a/b c.txt", "size": 11, "modified": true, "type": "text/plain" });
    let results = calls(
        &bed,
        &json!([
            ["stat", "a/b c.txt"],
            ["get", "a/b c.txt"],
            ["put", "a/b c.txt", "text/plain"],
            ["write", 0, "hello "],
            ["stat", "a/b c.txt"],
            ["write", 0, "world"],
            ["finish", 0],
            ["finish", 0],
            ["write", 0, "x"],
            ["stat", "a/b c.txt"],
            ["get", "a/b c.txt"],
            ["next", 0, 4],
            ["next", 0, 0],
            ["next", 0, 100],
            ["next", 0, 100],
            ["next", 0, 100],
            ["put", "a/b c.txt"],
            ["finish", 1],
            ["read", "a/b c.txt"],
            ["delete", "a/b c.txt"],
            ["delete", "a/b c.txt"],
            ["stat", "a/b c.txt"]
        ]),
    )
    .await;
    let ended = json!({ "invalid": "the writer has ended" });
    let empty = json!({ "key": "a/b c.txt", "size": 0, "modified": true, "type": null });
    assert_eq!(
        results,
        json!([
            null,
            null,
            0,
            "ok",
            null,
            "ok",
            info,
            ended,
            ended,
            info,
            info,
            "hell",
            "",
            "o world",
            null,
            null,
            1,
            empty,
            [0, 0, 0],
            "ok",
            "ok",
            null
        ])
    );
}

async fn large_objects_stream(bed: Testbed) {
    let mib = 1024 * 1024;
    let results = calls(
        &bed,
        &json!([["put", "large"], ["fill", 0, 23, mib], ["finish", 0], ["read", "large"], ["get", "large"], ["fill", 0, 1, 1]]),
    )
    .await;
    assert_eq!(results[2]["size"], 23 * mib);
    let sum: u64 = (0..23).map(|byte| byte * u64::try_from(mib).unwrap()).sum();
    assert_eq!(results[3], json!([23 * mib, sum, mib]));
    let outcome = run(&bed, &json!([["put", "large"], ["fill", 0, 1, mib + 1]])).await;
    assert!(json(&outcome)[1]["too_large"].is_string(), "{outcome:?}");
}

async fn what_was_not_finished_is_not_there(bed: Testbed) {
    let results = calls(
        &bed,
        &json!([["put", "a"], ["write", 0, "old"], ["finish", 0], ["put", "a"], ["fill", 1, 12, 1_000_000], ["drop", 1], ["stat", "a"]]),
    )
    .await;
    assert_eq!(results[6]["size"], 3);
    // At the end of the run, too.
    calls(&bed, &json!([["put", "b"], ["fill", 0, 12, 1_000_000]])).await;
    bed.blobs.settled().await;
    assert_eq!(calls(&bed, &json!([["stat", "b"], ["list", ""]])).await, json!([null, ["a"]]));
}

#[tokio::test]
async fn nothing_is_left_of_what_was_not_finished() {
    let begun = json!([["put", "a"], ["finish", 0], ["put", "b"], ["fill", 1, 12, 1_000_000]]);
    let bed = bed();
    calls(&bed, &begun).await;
    bed.blobs.settled().await;
    let left = files(&bed.dir.path().join("blobs"));
    assert_eq!(left.len(), 1, "{left:?}");

    let Some((bed, service, bucket)) = s3_bed().await else { return };
    calls(&bed, &begun).await;
    bed.blobs.settled().await;
    let uploads = service.get(&bucket, "?uploads").await.unwrap();
    assert!(uploads.contains("ListMultipartUploadsResult") && !uploads.contains("<Upload>"), "{uploads}");
}

#[tokio::test]
async fn objects_with_s3_are_where_other_clients_find_them() {
    let Some((bed, service, bucket)) = s3_bed().await else { return };
    calls(&bed, &json!([["put", "a/b c.txt", "text/plain"], ["write", 0, "hello"], ["finish", 0]])).await;
    let listed = service.get(&bucket, "?list-type=2").await.unwrap();
    assert!(listed.contains(&format!("<Key>{}/a/b c.txt</Key>", workspace(1))) && listed.contains("<Size>5</Size>"), "{listed}");
}

#[tokio::test]
async fn a_service_that_is_gone_is_told_soon() {
    let mut bed = bed();
    // A port that nobody listens on.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    bed.blobs = Blobs::open(&s3(&format!("http://127.0.0.1:{port}"), "bucket")).unwrap();
    // The guest is compiled.
    calls(&bed, &json!([])).await;
    let began = Instant::now();
    let results = calls(&bed, &json!([["stat", "a"], ["list", ""], ["put", "a"], ["finish", 0], ["delete", "a"]])).await;
    for number in [0, 1, 3, 4] {
        assert!(results[number]["unavailable"].is_string(), "{results}");
    }
    assert!(!results.to_string().contains("127.0.0.1"), "the operator's service is nobody's business: {results}");
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
}

async fn lists_are_in_order_and_in_parts(bed: Testbed) {
    let keys = ["a", "b!", "b/", "b0", "bä", "b/x", "b/y", "b/z%", "b~", "c"];
    let mut puts: Vec<Value> = Vec::new();
    for (number, key) in keys.iter().filter(|key| !key.ends_with('/')).enumerate() {
        puts.extend([json!(["put", key]), json!(["finish", number]), json!(["drop", number])]);
    }
    calls(&bed, &Value::from(puts)).await;
    let lists = json!([
        ["list", ""],
        ["list", "b"],
        ["list", "b/"],
        ["list", "b", "b/x", 2],
        ["list", "b/x"],
        ["list", "nothing/"],
        ["list", "", null, 0],
        ["list", "", "zzz"],
        ["list", "b/", "b/y"]
    ]);
    let all = ["a", "b!", "b/x", "b/y", "b/z%", "b0", "b~", "bä", "c"];
    assert_eq!(calls(&bed, &lists).await, json!([all, &all[1..8], &all[2..5], &all[3..5], ["b/x"], [], [], [], ["b/z%"]]));
}

async fn no_key_leaves_its_workspace(bed: Testbed) {
    calls(&bed, &json!([["put", "mine", "text/secret"], ["write", 0, "secret"], ["finish", 0]])).await;
    let mine = workspace(1).to_string();
    for key in [
        format!("../{mine}/mine"),
        format!("/{mine}/mine"),
        format!("..\\{mine}\\mine"),
        format!("a/../../{mine}/mine"),
        "mine\0".to_owned(),
        "./mine".to_owned(),
        "//mine".to_owned(),
    ] {
        let theirs = json(
            &bed.attempt(
                run_of(2),
                &json!([["stat", key], ["get", key], ["put", key], ["delete", key], ["list", format!("{key}/")]]).to_string(),
            )
            .await,
        );
        assert!(theirs.as_array().unwrap().iter().all(|result| result["invalid"].is_string()), "{key}: {theirs}");
    }
    for key in [
        format!("%2e%2e/{mine}/mine"),
        format!("..%2f{mine}%2fmine"),
        format!("．．/{mine}/mine"),
        format!("{mine}/mine"),
        "Mine".to_owned(),
        "minе".to_owned(),
        format!(".types/{mine}/mine"),
    ] {
        let theirs = json(
            &bed.attempt(
                run_of(2),
                &json!([["stat", key], ["read", key], ["put", key], ["write", 0, "x"], ["finish", 0], ["delete", key]]).to_string(),
            )
            .await,
        );
        assert!(theirs[0].is_null() && theirs[1].is_null() && theirs[4]["size"] == 1, "{key}: {theirs}");
    }
    let theirs = json(&bed.attempt(run_of(2), r#"[["list",""]]"#).await);
    assert_eq!(theirs, json!([[]]));
    let results = calls(&bed, &json!([["stat", "mine"], ["list", ""]])).await;
    assert_eq!((&results[0]["size"], &results[0]["type"], &results[1]), (&json!(6), &json!("text/secret"), &json!(["mine"])));
    assert!(files(bed.dir.path()).iter().filter(|file| !file.contains("/code/")).all(|file| file.contains("/blobs/")));
}

#[tokio::test]
async fn grants_say_what_may_be_done() {
    let mut bed = bed();
    calls(&bed, &json!([["put", "reports/a"], ["finish", 0], ["put", "other/a"], ["finish", 1]])).await;
    bed.grants.blob = vec!["read reports/".parse().unwrap(), "write reports/daily/".parse().unwrap()];
    let results = calls(
        &bed,
        &json!([
            ["stat", "reports/a"],
            ["list", "reports/"],
            ["put", "reports/daily/b"],
            ["finish", 0],
            ["get", "reports/daily/b"],
            ["delete", "reports/daily/b"]
        ]),
    )
    .await;
    assert!(results.as_array().unwrap().iter().all(|result| result.get("denied").is_none()), "{results}");
    let denied = json!([
        ["stat", "other/a"],
        ["get", "other/a"],
        ["list", ""],
        ["list", "reports"],
        ["list", "other/"],
        ["put", "reports/a"],
        ["delete", "reports/a"],
        ["put", "reports/dailyx"],
        ["stat", "Reports/a"],
        ["stat", "reports"]
    ]);
    let outcome = run(&bed, &denied).await;
    let results = json(&outcome);
    for (number, result) in results.as_array().unwrap().iter().enumerate() {
        let text = result["denied"].as_str().unwrap_or_else(|| panic!("{number}: {results}"));
        assert!(text.contains("blob = [\""), "{text}");
        assert_eq!((outcome.log[number].stream, outcome.log[number].message.as_str()), (LogStream::Host, text));
    }
}

#[tokio::test]
async fn less_than_is_asked_for_may_be_given() {
    let bed = bed();
    let given = vec!["blob:write reports/".parse().unwrap(), "blob:read other/".parse().unwrap()];
    *bed.ports.given.lock().unwrap() = Some(Ok(given));
    let works = json!([["put", "reports/a"], ["finish", 0], ["list", "reports/"], ["stat", "other/a"]]);
    let results = calls(&bed, &works).await;
    assert!(results[1]["size"] == 0 && results[2] == json!(["reports/a"]) && results[3].is_null(), "{results}");
    let results = calls(&bed, &json!([["put", "other/a"], ["list", ""], ["stat", "else"], ["delete", "other/a"]])).await;
    for result in results.as_array().unwrap() {
        assert!(result["denied"].as_str().unwrap().contains("sandmill grants give f/test/script \"blob:write *\""), "{results}");
    }
}

#[tokio::test]
async fn a_denial_names_what_is_asked_for_and_else_the_key() {
    let mut bed = bed();
    bed.grants.blob = vec!["write data.csv".parse().unwrap(), "read reports/".parse().unwrap()];
    *bed.ports.given.lock().unwrap() = Some(Ok(Vec::new()));
    for (call, told) in [
        (json!(["put", "data.csv"]), "sandmill grants give f/test/script \"blob:write data.csv\""),
        (json!(["stat", "data.csv"]), "sandmill grants give f/test/script \"blob:write data.csv\""),
        (json!(["list", "reports/"]), "sandmill grants give f/test/script \"blob:read reports/\""),
        (json!(["stat", "reports/a*"]), "sandmill grants give f/test/script \"blob:read reports/\""),
        (json!(["put", "reports/a"]), "blob = [\"write reports/\"]"),
        (json!(["get", "other.csv"]), "blob = [\"read other.csv\"]"),
        // No other prefix is that of all these keys.
        (json!(["list", "rep"]), "blob = [\"read *\"]"),
    ] {
        let results = calls(&bed, &json!([call])).await;
        assert!(results[0]["denied"].as_str().unwrap().contains(told), "{results}");
    }
}

#[tokio::test]
async fn a_run_has_so_many_open_and_no_more() {
    let bed = bed();
    let mut list: Vec<Value> = vec![json!(["put", "a"]), json!(["finish", 0]), json!(["drop", 0])];
    list.extend((0..5).map(|number| json!(["put", format!("b{number}")])));
    list.extend((0..17).map(|_| json!(["get", "a"])));
    list.extend([json!(["drop", 1]), json!(["drop_reader", 0]), json!(["put", "c"]), json!(["get", "a"])]);
    let results = calls(&bed, &Value::from(list)).await;
    for (number, result) in results.as_array().unwrap().iter().enumerate() {
        assert_eq!(result["too_large"].is_string(), matches!(number, 7 | 24), "{number}: {results}");
    }
}

#[tokio::test]
async fn handles_that_nobody_gave_end_the_run() {
    let bed = bed();
    for number in [0, 1, 5, 99_999] {
        assert_eq!(run(&bed, &json!([["put", "a"], ["forge", number]])).await.kind, OutcomeKind::Trap, "{number}");
    }
}

#[tokio::test]
async fn types_of_media_are_checked() {
    let bed = bed();
    for bad in ["", "a\nb", "ä", &"x".repeat(256)] {
        assert!(calls(&bed, &json!([["put", "a", bad]])).await[0]["invalid"].is_string(), "{bad:?}");
    }
    // With a folder a key cannot be the folder of another.
    let results = calls(&bed, &json!([["put", "a"], ["finish", 0], ["put", "a/b"], ["finish", 1], ["stat", "a/b"], ["stat", "a"]])).await;
    assert!(results[3]["invalid"].is_string() && results[5]["size"] == 0, "{results}");
}
