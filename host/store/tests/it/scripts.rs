//! Scripts, versions, deployments, components.

use bytes::Bytes;
use sandmill_model::{
    Digest, Language, Timestamp, WorkspaceId,
    version::{ComponentModel, Entry, ProgramSpec, Selector},
};
use sandmill_store::{Store, scripts::NewDeployment};

use crate::fixture::{Database, deployment, on_both, path, workspace};

on_both![
    a_deployment_is_found_by_every_selector,
    deploying_the_same_again_writes_nothing,
    whoever_deploys_what_runs_as_another_answers_for_it,
    going_back_is_a_new_deployment,
    two_at_once_get_consecutive_numbers,
    the_same_from_many_is_one_deployment,
    a_component_is_stored_once,
    odd_and_large_sources,
    listing_scripts,
    listing_deployments,
    another_workspace_sees_nothing,
];

async fn find(store: &Store, of: &NewDeployment, selector: Selector) -> Option<i64> {
    let found = store.scripts.find(of.workspace, &of.path, selector).await.unwrap();
    found.map(|(deployment, version)| {
        assert_eq!(deployment.version, version.digest);
        deployment.number
    })
}

async fn a_deployment_is_found_by_every_selector(database: Database) {
    let store = database.open().await;
    let (one, two) = (deployment(workspace(), "f/demo/hello", "one"), deployment(workspace(), "f/demo/hello", "two"));
    let two = NewDeployment { workspace: one.workspace, ..two };
    assert_eq!(store.scripts.find(one.workspace, &one.path, Selector::Newest).await.unwrap(), None);
    let first = store.scripts.deploy(one.clone()).await.unwrap();
    assert_eq!((first.number, first.version, first.created_at, &*first.created_by), (1, one.version.digest, one.now, "u/admin"));
    let second = store.scripts.deploy(two.clone()).await.unwrap();
    assert_eq!(second.number, 2);
    assert_eq!(store.scripts.find(one.workspace, &one.path, Selector::Newest).await.unwrap(), Some((second, two.version.clone())));
    assert_eq!(store.scripts.find(one.workspace, &one.path, Selector::Number(1)).await.unwrap(), Some((first, one.version.clone())));
    assert_eq!(find(&store, &one, Selector::Digest(one.version.digest)).await, Some(1));
    assert_eq!(find(&store, &one, Selector::Number(3)).await, None);
    assert_eq!(find(&store, &one, Selector::Digest(Digest::of(b"other"))).await, None);
    assert_eq!(store.scripts.version(one.workspace, one.version.digest).await.unwrap(), Some(one.version));
    assert_eq!(store.scripts.version(two.workspace, Digest::of(b"other")).await.unwrap(), None);
}

async fn deploying_the_same_again_writes_nothing(database: Database) {
    let store = database.open().await;
    let new = deployment(workspace(), "f/demo/hello", "one");
    let first = store.scripts.deploy(new.clone()).await.unwrap();
    let again = deployment(new.workspace, "f/demo/hello", "one");
    assert_eq!(store.scripts.deploy(again).await.unwrap(), first);
    assert_eq!(store.scripts.deployments(new.workspace, &new.path, None, 10).await.unwrap(), [first]);
    assert_eq!(store.scripts.version(new.workspace, new.version.digest).await.unwrap(), Some(new.version));
}

async fn whoever_deploys_what_runs_as_another_answers_for_it(database: Database) {
    let store = database.open().await;
    let mut new = deployment(workspace(), "f/demo/hello", "one");
    new.version.manifest.run_as = Some("s/deployer".parse().unwrap());
    let by = |who: &str| NewDeployment { created_by: who.into(), ..new.clone() };
    let ann = store.scripts.deploy(by("u/ann")).await.unwrap();
    assert_eq!(store.scripts.deploy(by("u/ann")).await.unwrap(), ann);
    let bob = store.scripts.deploy(by("u/bob")).await.unwrap();
    assert_eq!((bob.number, bob.version, &*bob.created_by), (ann.number + 1, ann.version, "u/bob"));
    let (found, _) = store.scripts.find(new.workspace, &new.path, Selector::Newest).await.unwrap().unwrap();
    assert_eq!(found, bob);
}

async fn going_back_is_a_new_deployment(database: Database) {
    let store = database.open().await;
    let of = workspace();
    for source in ["one", "two", "one"] {
        store.scripts.deploy(deployment(of, "f/demo/hello", source)).await.unwrap();
    }
    let one = deployment(of, "f/demo/hello", "one");
    assert_eq!(find(&store, &one, Selector::Newest).await, Some(3));
    assert_eq!(find(&store, &one, Selector::Digest(one.version.digest)).await, Some(3), "the newest with this version");
}

async fn two_at_once_get_consecutive_numbers(database: Database) {
    let (one, other) = (database.open().await, database.open().await);
    let of = workspace();
    let calls = (0..24).map(|index| {
        let store = if index % 2 == 0 { &one } else { &other };
        store.scripts.deploy(deployment(of, "f/demo/hello", &format!("source {index}")))
    });
    let mut numbers: Vec<i64> = futures_util::future::try_join_all(calls).await.unwrap().iter().map(|each| each.number).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=24).collect::<Vec<_>>());
}

async fn the_same_from_many_is_one_deployment(database: Database) {
    let (one, other) = (database.open().await, database.open().await);
    let new = deployment(workspace(), "f/demo/hello", "one");
    let calls = (0..12).map(|index| if index % 2 == 0 { &one } else { &other }.scripts.deploy(new.clone()));
    let made = futures_util::future::try_join_all(calls).await.unwrap();
    assert!(made.iter().all(|each| *each == made[0] && each.number == 1), "{made:?}");
}

async fn a_component_is_stored_once(database: Database) {
    let store = database.open().await;
    let bytes = Bytes::from((0..3_000_000_u32).map(|at| at.to_le_bytes()[0] ^ at.to_le_bytes()[1]).collect::<Vec<u8>>());
    let component = Digest::of(&bytes);
    let mut new = deployment(workspace(), "f/demo/hello", "component");
    new.version.language = Language::Component;
    new.version.source = None;
    new.version.program =
        ProgramSpec::Component { component, entry: Entry::Script { has_preprocessor: true }, model: ComponentModel::Sync };
    new.component = Some((component, bytes.clone()));
    assert_eq!(store.scripts.component(new.workspace, component).await.unwrap(), None);
    store.scripts.deploy(new.clone()).await.unwrap();
    let elsewhere = NewDeployment { path: path("f/demo/other"), ..new.clone() };
    store.scripts.deploy(elsewhere).await.unwrap();
    assert!(store.scripts.component(new.workspace, component).await.unwrap() == Some(bytes), "the bytes that were stored");
    let of_nobody = WorkspaceId::new(Timestamp::from_micros(1));
    assert!(store.scripts.has_component(new.workspace, component).await.unwrap());
    assert!(!store.scripts.has_component(of_nobody, component).await.unwrap(), "it is another workspace's");
    assert_eq!(store.scripts.version(new.workspace, new.version.digest).await.unwrap(), Some(new.version));
}

async fn odd_and_large_sources(database: Database) {
    let store = database.open().await;
    let of = workspace();
    for source in ["", "// nul \0 and ✓ 😀\r\n\"'\\", &"x".repeat(8 * 1024 * 1024)] {
        let new = deployment(of, "f/demo/odd", source);
        store.scripts.deploy(new.clone()).await.unwrap();
        let (_, version) = store.scripts.find(of, &new.path, Selector::Newest).await.unwrap().unwrap();
        assert!(version == new.version, "{}", &source[..source.len().min(30)]);
    }
}

async fn listing_scripts(database: Database) {
    let store = database.open().await;
    let of = workspace();
    let paths = ["f/demo/a", "f/demo/a.b", "f/demo/a_b", "f/demo/aXb", "f/Demo/z", "u/ann/x", "f/demo/a/b"];
    for at in paths {
        store.scripts.deploy(deployment(of, at, at)).await.unwrap();
        store.scripts.deploy(deployment(of, at, "two")).await.unwrap();
    }
    let list = async |prefix: &str, after: Option<&str>, limit: u32| -> Vec<String> {
        let after = after.map(path);
        let listed = store.scripts.list(of, prefix, after.as_ref(), limit).await.unwrap();
        assert!(listed.iter().all(|each| each.deployment.number == 2 && each.description.as_deref() == Some("describes two")));
        listed.into_iter().map(|each| each.deployment.path.to_string()).collect()
    };
    // By bytes, whatever the database's locale.
    let sorted = ["f/Demo/z", "f/demo/a", "f/demo/a.b", "f/demo/a/b", "f/demo/aXb", "f/demo/a_b", "u/ann/x"];
    assert_eq!(list("", None, 100).await, sorted);
    assert_eq!(list("", None, 3).await, sorted[..3]);
    assert_eq!(list("", Some("f/demo/a.b"), 2).await, sorted[3..5]);
    assert_eq!(list("f/demo/", Some("f/demo/aXb"), 100).await, ["f/demo/a_b"]);
    assert_eq!(list("f/demo/a_", None, 100).await, ["f/demo/a_b"], "_ is no wildcard");
    for nothing in ["%", "f/demo/a%", "f/demo/zz", "a\0", "ü"] {
        assert_eq!(list(nothing, None, 100).await, [""; 0], "{nothing:?}");
    }
}

async fn listing_deployments(database: Database) {
    let store = database.open().await;
    let of = workspace();
    for source in ["1", "2", "3", "4", "5"] {
        store.scripts.deploy(deployment(of, "f/demo/hello", source)).await.unwrap();
    }
    let list = async |before, limit| -> Vec<i64> {
        let listed = store.scripts.deployments(of, &path("f/demo/hello"), before, limit).await.unwrap();
        listed.into_iter().map(|each| each.number).collect()
    };
    assert_eq!(list(None, 2).await, [5, 4]);
    assert_eq!(list(Some(4), 2).await, [3, 2]);
    assert_eq!(list(Some(2), 2).await, [1]);
    assert_eq!(list(Some(1), 2).await, [0; 0]);
    assert_eq!(store.scripts.deployments(of, &path("f/demo/other"), None, 2).await.unwrap(), []);
}

async fn another_workspace_sees_nothing(database: Database) {
    let store = database.open().await;
    let (mut new, other) = (deployment(workspace(), "f/demo/hello", "one"), workspace());
    let digest = Digest::of(b"bytes");
    new.component = Some((digest, Bytes::from_static(b"bytes")));
    store.scripts.deploy(new.clone()).await.unwrap();
    for selector in [Selector::Newest, Selector::Number(1), Selector::Digest(new.version.digest)] {
        assert_eq!(store.scripts.find(other, &new.path, selector).await.unwrap(), None);
    }
    assert_eq!(store.scripts.version(other, new.version.digest).await.unwrap(), None);
    assert_eq!(store.scripts.component(other, digest).await.unwrap(), None);
    assert_eq!(store.scripts.list(other, "", None, 10).await.unwrap(), []);
    assert_eq!(store.scripts.deployments(other, &new.path, None, 10).await.unwrap(), []);
    let own = store.scripts.deploy(NewDeployment { workspace: other, ..new }).await.unwrap();
    assert_eq!(own.number, 1, "numbers count for each workspace");
}
