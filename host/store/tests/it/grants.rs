//! Grants: given and taken in one step, kept apart by workspace and path.

use sandmill_model::Digest;
use sandmill_store::{
    Store,
    grants::{GrantChange, GrantRow},
};

use crate::fixture::{Database, deployment, on_both, path, tick, workspace};

on_both![grants_are_given_and_taken, what_was_deployed_before_has_nothing_of_it, two_change_the_same];

fn change(give: &[&str], take: &[&str], by: &str) -> GrantChange {
    let texts = |texts: &[&str]| texts.iter().map(ToString::to_string).collect();
    GrantChange { give: texts(give), take: texts(take), by: by.into(), now: tick() }
}

fn texts(rows: &[GrantRow]) -> Vec<(&str, &str)> {
    rows.iter().map(|row| (row.granted.as_str(), &*row.granted_by)).collect()
}

async fn grants_are_given_and_taken(database: Database) {
    let store = database.open().await;
    let (own, at) = (workspace(), path("f/demo/hello"));
    assert_eq!(store.grants.list(own, &at).await.unwrap(), []);
    let given = store.grants.change(own, &at, change(&["runs:f/*", "http:GET https://a/"], &["none"], "u/ann")).await.unwrap();
    assert_eq!(texts(&given), [("http:GET https://a/", "u/ann"), ("runs:f/*", "u/ann")]);
    let again = store.grants.change(own, &at, change(&["runs:f/*", "state:x"], &["http:GET https://a/"], "u/bob")).await.unwrap();
    assert_eq!(texts(&again), [("runs:f/*", "u/ann"), ("state:x", "u/bob")], "who gave it first is kept");
    assert_eq!(again, store.grants.list(own, &at).await.unwrap());
    let both = store.grants.change(own, &at, change(&["state:x"], &["state:x", "runs:f/*"], "u/eve")).await.unwrap();
    assert_eq!(texts(&both), [("state:x", "u/bob")], "what is in both is given");
    for (workspace, path) in [(workspace(), at.clone()), (own, path("f/demo/hello2"))] {
        assert_eq!(store.grants.list(workspace, &path).await.unwrap(), []);
        store.grants.change(workspace, &path, change(&[], &["state:x"], "u/eve")).await.unwrap();
    }
    assert_eq!(texts(&store.grants.list(own, &at).await.unwrap()), [("state:x", "u/bob")]);
}

async fn what_was_deployed_before_has_nothing_of_it(database: Database) {
    let store = database.open().await;
    let (own, at) = (workspace(), path("f/demo/hello"));
    let deploy = async |source: &str| {
        let new = deployment(own, at.as_str(), source);
        let version = new.version.digest;
        store.scripts.deploy(new).await.unwrap();
        version
    };
    let given = async |version| store.grants.given(own, &at, version).await.unwrap();
    let give = async |grant: &str| store.grants.change(own, &at, change(&[grant], &[], "u/ann")).await.unwrap();
    give("runs:early").await;
    let one = deploy("one").await;
    assert_eq!(given(one).await, ["runs:early"]);
    let two = deploy("two").await;
    give("runs:late").await;
    let three = deploy("three").await;
    assert_eq!(given(one).await, ["runs:early"], "nobody judged it");
    assert_eq!((given(two).await, given(three).await), (vec!["runs:early".to_owned(), "runs:late".to_owned()], given(two).await));
    // The same source, deployed again, is a deployment like any.
    assert_eq!(deploy("one").await, one);
    assert_eq!(given(one).await, ["runs:early", "runs:late"]);
    // What is given twice is given as it was first.
    give("runs:early").await;
    assert_eq!(given(two).await, ["runs:early", "runs:late"]);
    for (workspace, path, version) in
        [(workspace(), at.clone(), one), (own, path("f/demo/other"), one), (own, at.clone(), Digest::of(b"x"))]
    {
        assert!(store.grants.given(workspace, &path, version).await.unwrap().is_empty());
    }
}

async fn two_change_the_same(database: Database) {
    let (one, other) = (database.open().await, database.open().await);
    let (own, at) = (workspace(), path("f/demo/hello"));
    let all: Vec<String> = (0..20).map(|n| format!("g{n:02}")).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    let backwards: Vec<&str> = all.iter().rev().copied().collect();
    let work = async |store: &Store, texts: &[&str]| {
        for _ in 0..20 {
            store.grants.change(own, &at, change(texts, &[], "u/ann")).await.unwrap();
            store.grants.change(own, &at, change(&[], texts, "u/ann")).await.unwrap();
        }
        store.grants.change(own, &at, change(texts, &[], "u/ann")).await.unwrap();
    };
    tokio::join!(work(&one, &all), work(&other, &backwards));
    let left = one.grants.list(own, &at).await.unwrap();
    assert!(left.len() <= all.len());
    assert_eq!(database.deadlocks().await, 0);
}
