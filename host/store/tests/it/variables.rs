//! Variables: plain and secret, their bounds, and that they are kept apart.

use sandmill_model::{ScriptPath, WorkspaceId};
use sandmill_store::{
    Store, StoreError,
    resources::{DESCRIPTION_CHARS_MAX, Unfit},
    variables::{NewVariable, TEXT_BYTES_MAX, Variable},
};

use crate::fixture::{Database, on_both, path, tick, workspace};

on_both![a_text_comes_back, what_is_secret_stays_so, bounds, workspaces_are_apart, lists_in_pages, without_keys];

fn new(workspace: WorkspaceId, at: &str, secret: bool, text: Option<&str>) -> NewVariable {
    NewVariable {
        workspace,
        path: path(at),
        secret,
        text: text.map(str::to_owned),
        description: format!("describes {at}"),
        by: "u/ann".into(),
        now: tick(),
    }
}

async fn put(store: &Store, new: NewVariable) -> Variable {
    store.variables.put(new).await.unwrap().unwrap()
}

async fn unfit(store: &Store, new: NewVariable) -> String {
    match store.variables.put(new).await.unwrap() {
        Err(Unfit::Invalid(why)) => why,
        other => panic!("{other:?}"),
    }
}

/// The text and whether it is secret.
async fn reveal(store: &Store, workspace: WorkspaceId, at: &ScriptPath) -> Option<(String, bool)> {
    store.variables.reveal(workspace, at).await.unwrap().map(|revealed| (revealed.text, revealed.secret))
}

async fn a_text_comes_back(database: Database) {
    let store = database.open_sealed().await;
    let (own, at) = (workspace(), path("f/demo/greeting"));
    assert_eq!((store.variables.find(own, &at).await.unwrap(), reveal(&store, own, &at).await), (None, None));
    let mut last = 0;
    for text in ["hello ✓", "", " \n\"", &"x".repeat(TEXT_BYTES_MAX)] {
        let written = put(&store, new(own, "f/demo/greeting", false, Some(text))).await;
        assert_eq!((written.text.as_deref(), written.secret, &*written.updated_by), (Some(text), false, "u/ann"));
        assert!(written.revision > last);
        last = written.revision;
        assert_eq!(store.variables.find(own, &at).await.unwrap(), Some(written));
        assert_eq!(reveal(&store, own, &at).await, Some((text.to_owned(), false)));
    }
    let kept = put(&store, NewVariable { description: "another".into(), ..new(own, "f/demo/greeting", false, None) }).await;
    assert_eq!((kept.text.map(|text| text.len()), kept.description.as_str()), (Some(TEXT_BYTES_MAX), "another"));
    assert!(store.variables.delete(own, &at).await.unwrap() && !store.variables.delete(own, &at).await.unwrap());
    assert_eq!(store.variables.find(own, &at).await.unwrap(), None);
    assert!(put(&store, new(own, "f/demo/greeting", false, Some("again"))).await.revision > last, "also over deletion");
}

async fn what_is_secret_stays_so(database: Database) {
    let store = database.open_sealed().await;
    let (own, at) = (workspace(), path("f/demo/token"));
    let written = put(&store, new(own, "f/demo/token", true, Some("hunter2"))).await;
    assert_eq!((written.secret, &written.text), (true, &None));
    assert_eq!(store.variables.find(own, &at).await.unwrap(), Some(written));
    assert_eq!(reveal(&store, own, &at).await, Some(("hunter2".into(), true)));
    put(&store, new(own, "f/demo/token", true, None)).await;
    assert_eq!(reveal(&store, own, &at).await, Some(("hunter2".into(), true)), "a text that is left out stays");
    assert!(unfit(&store, new(own, "f/demo/token", false, None)).await.contains("new text"));
    let plain = put(&store, new(own, "f/demo/token", false, Some("open"))).await;
    assert_eq!((plain.text.as_deref(), plain.secret), (Some("open"), false));
    put(&store, new(own, "f/demo/token", true, None)).await;
    assert_eq!(reveal(&store, own, &at).await, Some(("open".into(), true)));
    assert!(unfit(&store, new(own, "f/demo/none", true, None)).await.contains("needs a text"));
}

async fn bounds(database: Database) {
    let store = database.open_sealed().await;
    let own = workspace();
    assert!(unfit(&store, new(own, "f/a/b", false, Some(&"x".repeat(TEXT_BYTES_MAX + 1)))).await.contains("bytes"));
    assert!(unfit(&store, new(own, "f/a/b", true, Some("a\0b"))).await.contains("NUL"));
    for description in ["x".repeat(DESCRIPTION_CHARS_MAX + 1), "a\0".to_owned()] {
        unfit(&store, NewVariable { description, ..new(own, "f/a/b", false, Some("x")) }).await;
    }
    assert_eq!(store.variables.list(own, "", None, 10).await.unwrap(), []);
}

async fn workspaces_are_apart(database: Database) {
    let store = database.open_sealed().await;
    let (one, other) = (workspace(), workspace());
    put(&store, new(one, "f/demo/token", true, Some("of one"))).await;
    for at in ["f/demo/token", "f/demo/Token", "f/demo/token2"].map(path) {
        assert_eq!(reveal(&store, other, &at).await, None);
        assert!(!store.variables.delete(other, &at).await.unwrap());
    }
    put(&store, new(other, "f/demo/token", true, Some("of other"))).await;
    assert_eq!(reveal(&store, one, &path("f/demo/token")).await, Some(("of one".into(), true)));
    assert_eq!(store.variables.list(other, "", None, 10).await.unwrap().len(), 1);
}

async fn lists_in_pages(database: Database) {
    let store = database.open_sealed().await;
    let own = workspace();
    for (index, at) in ["f/b/c", "f/a/b", "u/ann/x", "f/b/B", "f/b/a"].into_iter().enumerate() {
        put(&store, new(own, at, index % 2 == 0, Some("text"))).await;
    }
    let list = async |prefix: &str, after: Option<&str>, limit| {
        let after = after.map(path);
        let found = store.variables.list(own, prefix, after.as_ref(), limit).await.unwrap();
        assert!(found.iter().all(|variable| variable.text.is_none()));
        found.into_iter().map(|variable| format!("{}{}", variable.path, if variable.secret { "*" } else { "" })).collect::<Vec<_>>()
    };
    assert_eq!(list("", None, 10).await, ["f/a/b", "f/b/B", "f/b/a*", "f/b/c*", "u/ann/x*"]);
    assert_eq!(list("f/b/", None, 2).await, ["f/b/B", "f/b/a*"]);
    assert_eq!(list("f/b/", Some("f/b/a"), 2).await, ["f/b/c*"]);
    assert_eq!(list("f/b/%", None, 2).await, [""; 0]);
    assert_eq!(list("f\0", None, 2).await, [""; 0]);
}

async fn without_keys(database: Database) {
    let bare = database.open().await;
    let own = workspace();
    put(&bare, new(own, "f/a/plain", false, Some("x"))).await;
    assert!(matches!(bare.variables.put(new(own, "f/a/secret", true, Some("x"))).await, Err(StoreError::Keys(_))));
    let sealed = database.open_sealed().await;
    put(&sealed, new(own, "f/a/secret", true, Some("x"))).await;
    assert!(bare.variables.find(own, &path("f/a/secret")).await.unwrap().unwrap().secret);
    assert!(matches!(bare.variables.reveal(own, &path("f/a/secret")).await, Err(StoreError::Keys(_))));
    assert_eq!(reveal(&bare, own, &path("f/a/plain")).await, Some(("x".into(), false)));
    assert!(matches!(bare.keys.rotate(tick()).await, Err(StoreError::Keys(_))));
}
