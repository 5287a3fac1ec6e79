//! State: values, compare-and-swap, its races and its bounds.

use futures_util::StreamExt as _;
use sandmill_model::{JsonText, limits::STATE_VALUE_BYTES_MAX};
use sandmill_store::{
    Store,
    state::{Expected, KEYS_MAX, StateScope, Written},
};

use crate::fixture::{Database, json, on_both, path, tick, workspace};

on_both![
    values_come_back_as_written,
    scopes_are_apart,
    compare_and_swap,
    values_are_compared_as_json,
    one_of_many_wins,
    counters_lose_nothing,
    adding_and_deleting_at_once,
    a_scope_holds_so_many_keys,
    keys_are_listed_in_the_order_of_their_bytes,
];

fn scope() -> StateScope {
    StateScope { workspace: workspace(), path: path("f/demo/counter"), trigger: String::new() }
}

async fn put(store: &Store, scope: &StateScope, key: &str, value: Option<&str>) -> Written {
    store.state.put(scope, key, None, value.map(json), tick()).await.unwrap()
}

async fn swap(store: &Store, scope: &StateScope, expected: Option<&str>, value: Option<&str>) -> Written {
    store.state.put(scope, "key", Some(Expected(expected.map(json))), value.map(json), tick()).await.unwrap()
}

async fn get(store: &Store, scope: &StateScope, key: &str) -> Option<JsonText> {
    store.state.get(scope, key).await.unwrap()
}

async fn values_come_back_as_written(database: Database) {
    let store = database.open().await;
    let scope = scope();
    assert_eq!(get(&store, &scope, "key").await, None);
    let long = format!("\"{}\"", "x".repeat(STATE_VALUE_BYTES_MAX - 2));
    for value in ["1", " {\"b\": 1.50,\n\"a\": \"\\u0000 ✓\"} ", "null", "12345678901234567890123", &long] {
        assert_eq!(put(&store, &scope, "key", Some(value)).await, Written::Yes);
        assert_eq!(get(&store, &scope, "key").await, Some(json(value)));
    }
    for key in ["", "a\0b", "ключ", &"k".repeat(512)] {
        assert_eq!(put(&store, &scope, key, Some("1")).await, Written::Yes);
        assert_eq!(get(&store, &scope, key).await, Some(json("1")), "{key:?}");
        assert_eq!(put(&store, &scope, key, None).await, Written::Yes);
        assert_eq!(get(&store, &scope, key).await, None, "{key:?}");
    }
    assert_eq!(put(&store, &scope, "absent", None).await, Written::Yes, "deleting what is not there");
}

async fn scopes_are_apart(database: Database) {
    let store = database.open().await;
    let one = scope();
    let others = [
        StateScope { workspace: workspace(), ..one.clone() },
        StateScope { path: path("f/demo/counter2"), ..one.clone() },
        StateScope { trigger: "f/demo/hourly".to_owned(), ..one.clone() },
    ];
    put(&store, &one, "key", Some("1")).await;
    for other in &others {
        assert_eq!(get(&store, other, "key").await, None);
        put(&store, other, "key", Some("2")).await;
        put(&store, other, "key", None).await;
    }
    assert_eq!(get(&store, &one, "key").await, Some(json("1")));
}

async fn compare_and_swap(database: Database) {
    let store = database.open().await;
    let scope = scope();
    for (expected, value, written, after) in [
        (Some("1"), Some("2"), Written::No, None),
        (None, Some("1"), Written::Yes, Some("1")),
        (None, Some("2"), Written::No, Some("1")),
        (Some("2"), Some("3"), Written::No, Some("1")),
        (Some("1"), Some("2"), Written::Yes, Some("2")),
        (Some("1"), None, Written::No, Some("2")),
        (None, None, Written::No, Some("2")),
        (Some("2"), None, Written::Yes, None),
        (Some("2"), None, Written::No, None),
        (None, None, Written::Yes, None),
        (Some("null"), Some("1"), Written::No, None),
        (None, Some("null"), Written::Yes, Some("null")),
        (None, Some("1"), Written::No, Some("null")),
        (Some("null"), Some("1"), Written::Yes, Some("1")),
    ] {
        assert_eq!(swap(&store, &scope, expected, value).await, written, "{expected:?} {value:?}");
        assert_eq!(get(&store, &scope, "key").await, after.map(json), "{expected:?} {value:?}");
    }
}

async fn values_are_compared_as_json(database: Database) {
    let store = database.open().await;
    let scope = scope();
    put(&store, &scope, "key", Some(r#"{"a": 1, "b": [1, 2]}"#)).await;
    assert_eq!(swap(&store, &scope, Some(r#"{"a":1,"b":[2,1]}"#), Some("0")).await, Written::No);
    assert_eq!(swap(&store, &scope, Some(r#"{"b":[1,2.0],"a":1e0}"#), Some("9007199254740993")).await, Written::Yes);
    assert_eq!(swap(&store, &scope, Some("9007199254740992"), Some("0")).await, Written::No, "no rounding");
    assert_eq!(swap(&store, &scope, Some("9007199254740993"), Some("0")).await, Written::Yes);
}

async fn one_of_many_wins(database: Database) {
    let stores = [database.open().await, database.open().await];
    let scope = scope();
    for (round, present) in [None, Some("\"a\""), None].into_iter().enumerate() {
        put(&stores[0], &scope, "key", present).await;
        let calls = (0..20).map(|index| {
            let (store, scope) = (&stores[index % 2], &scope);
            async move { swap(store, scope, present, Some(&index.to_string())).await }
        });
        let written = futures_util::future::join_all(calls).await;
        let winners: Vec<usize> = (0..20).filter(|index| written[*index] == Written::Yes).collect();
        assert_eq!(winners.len(), 1, "round {round}: {written:?}");
        assert_eq!(get(&stores[0], &scope, "key").await, Some(json(&winners[0].to_string())));
    }
}

async fn counters_lose_nothing(database: Database) {
    let stores = [database.open().await, database.open().await];
    let scope = scope();
    let counters = (0..6).map(|index| {
        let (store, scope) = (&stores[index % 2], &scope);
        async move {
            for _ in 0..20 {
                loop {
                    let present = get(store, scope, "key").await;
                    let next = present.as_ref().map_or(1, |text| text.read::<u32>().unwrap() + 1);
                    if swap(store, scope, present.as_ref().map(JsonText::as_str), Some(&next.to_string())).await == Written::Yes {
                        break;
                    }
                }
            }
        }
    });
    futures_util::future::join_all(counters).await;
    assert_eq!(get(&stores[0], &scope, "key").await, Some(json("120")));
}

/// Adding, replacing and deleting few keys from many sides must neither deadlock nor lose count.
async fn adding_and_deleting_at_once(database: Database) {
    let stores = [database.open().await, database.open().await];
    let scope = scope();
    let started = tokio::time::Instant::now();
    let calls = (0..400_usize).map(|index| {
        let (store, scope) = (&stores[index % 2], &scope);
        async move { put(store, scope, &format!("key {}", index % 3), (index % 5 < 3).then_some("1")).await }
    });
    let written: Vec<Written> = futures_util::stream::iter(calls).buffer_unordered(32).collect().await;
    assert!(written.iter().all(|each| *each == Written::Yes));
    assert!(started.elapsed().as_secs() < 20, "nobody waited for a deadlock to be found");
    for key in ["key 0", "key 1", "key 2"] {
        put(&stores[0], &scope, key, None).await;
    }
    fill(&stores[0], &scope, KEYS_MAX).await;
    assert_eq!(put(&stores[0], &scope, "one more", Some("1")).await, Written::TooManyKeys, "the count was right");
}

async fn fill(store: &Store, scope: &StateScope, keys: u32) {
    let calls = (0..keys).map(|index| async move { put(store, scope, &format!("filled {index}"), Some("1")).await });
    let written: Vec<Written> = futures_util::stream::iter(calls).buffer_unordered(64).collect().await;
    assert!(written.iter().all(|each| *each == Written::Yes));
}

async fn a_scope_holds_so_many_keys(database: Database) {
    let store = database.open().await;
    let scope = scope();
    fill(&store, &scope, KEYS_MAX - 1).await;
    let calls = (0..10).map(|index| {
        let (store, scope) = (&store, &scope);
        async move { put(store, scope, &format!("last {index}"), Some("1")).await }
    });
    let written = futures_util::future::join_all(calls).await;
    assert_eq!(written.iter().filter(|each| **each == Written::Yes).count(), 1, "{written:?}");
    assert_eq!(put(&store, &scope, "one more", Some("1")).await, Written::TooManyKeys);
    assert_eq!(put(&store, &scope, "filled 0", Some("2")).await, Written::Yes, "replacing adds no key");
    assert_eq!(put(&store, &scope, "filled 0", None).await, Written::Yes);
    assert_eq!(put(&store, &scope, "one more", Some("1")).await, Written::Yes);
    let other = StateScope { trigger: "other".to_owned(), ..scope };
    assert_eq!(put(&store, &other, "key", Some("1")).await, Written::Yes);
}

async fn keys_are_listed_in_the_order_of_their_bytes(database: Database) {
    let store = database.open().await;
    let scope = scope();
    for key in ["b", "a/2", "a/10", "A", "a\u{0}", "a/", "\u{10ffff}", "\u{10ffff}x"] {
        put(&store, &scope, key, Some("1")).await;
    }
    let other = StateScope { trigger: "f/demo/other".to_owned(), ..scope.clone() };
    put(&store, &other, "a/3", Some("1")).await;
    let check = async |prefix: &str, after: Option<&str>, limit: u32, expected: &[&str]| {
        assert_eq!(store.state.keys(&scope, prefix, after, limit).await.unwrap(), expected, "{prefix:?} {after:?}");
    };
    check("", None, 100, &["A", "a\u{0}", "a/", "a/10", "a/2", "b", "\u{10ffff}", "\u{10ffff}x"]).await;
    check("a/", None, 100, &["a/", "a/10", "a/2"]).await;
    check("a/", Some("a/10"), 100, &["a/2"]).await;
    check("a/", None, 2, &["a/", "a/10"]).await;
    check("a/2", Some("b"), 100, &[]).await;
    check("\u{10ffff}", None, 100, &["\u{10ffff}", "\u{10ffff}x"]).await;
    check("a%", None, 100, &[]).await;
    check("", None, 0, &[]).await;
}
