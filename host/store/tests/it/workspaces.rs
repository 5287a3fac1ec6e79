//! Workspaces.

use sandmill_model::WorkspaceSettings;
use sandmill_store::{StoreError, workspaces::Status};
use serde_json::json;

use crate::fixture::{Database, heads, new_run, on_both, tick, workspace};

on_both![
    ensure_keeps_the_first,
    two_at_once_make_one,
    names_and_ids_are_unique,
    list_is_oldest_first,
    pages_are_in_the_order_of_names,
    what_waits_in_an_archived_one_waits_on,
    settings,
];

async fn ensure_keeps_the_first(database: Database) {
    let store = database.open().await;
    let (id, now) = (workspace(), tick());
    let made = store.workspaces.ensure(id, "défaut", now).await.unwrap();
    assert_eq!((made.id, &*made.name, made.created_at), (id, "défaut", now));
    assert_eq!(store.workspaces.ensure(workspace(), "défaut", tick()).await.unwrap(), made);
    assert_eq!(store.workspaces.by_id(id).await.unwrap().as_ref(), Some(&made));
    assert_eq!(store.workspaces.by_id(workspace()).await.unwrap(), None);
    assert_eq!(store.workspaces.by_name("défaut").await.unwrap(), Some(made));
    for absent in ["default", "", "a\0b", "DÉFAUT"] {
        assert_eq!(store.workspaces.by_name(absent).await.unwrap(), None, "{absent:?}");
    }
}

async fn two_at_once_make_one(database: Database) {
    let (one, other) = (database.open().await, database.open().await);
    let calls = (0..20).map(|index| if index % 2 == 0 { &one } else { &other }.workspaces.ensure(workspace(), "default", tick()));
    let made = futures_util::future::try_join_all(calls).await.unwrap();
    assert!(made.iter().all(|each| *each == made[0]), "{made:?}");
    assert_eq!(one.workspaces.list().await.unwrap(), made[..1]);
}

async fn names_and_ids_are_unique(database: Database) {
    let store = database.open().await;
    let id = workspace();
    store.workspaces.ensure(id, "a", tick()).await.unwrap();
    let again = store.workspaces.ensure(id, "b", tick()).await;
    assert!(matches!(again, Err(StoreError::Conflict(_))), "{again:?}");
    let nul = store.workspaces.ensure(workspace(), "a\0b", tick()).await;
    assert!(matches!(nul, Err(StoreError::Other(_))), "{nul:?}");
    assert_eq!(store.workspaces.list().await.unwrap().len(), 1);
}

async fn list_is_oldest_first(database: Database) {
    let store = database.open().await;
    assert_eq!(store.workspaces.list().await.unwrap(), []);
    for name in ["c", "a", "b"] {
        store.workspaces.ensure(workspace(), name, tick()).await.unwrap();
    }
    let names: Vec<_> = store.workspaces.list().await.unwrap().into_iter().map(|each| each.name).collect();
    assert_eq!(names.iter().map(|name| &**name).collect::<Vec<_>>(), ["c", "a", "b"]);
}

async fn pages_are_in_the_order_of_names(database: Database) {
    let store = database.open().await;
    for name in ["c", "a", "b"] {
        store.workspaces.ensure(workspace(), name, tick()).await.unwrap();
    }
    let page = async |after: Option<&str>, limit: u32| -> Vec<String> {
        let page = store.workspaces.page(after, limit).await.unwrap();
        page.into_iter().map(|each| each.name.to_string()).collect()
    };
    assert_eq!(page(None, 2).await, ["a", "b"]);
    assert_eq!(page(Some("b"), 2).await, ["c"]);
    assert_eq!(page(Some("c"), 2).await, [""; 0]);
    assert_eq!(page(Some("a\0"), 2).await, [""; 0]);
}

async fn what_waits_in_an_archived_one_waits_on(database: Database) {
    let store = database.open().await;
    let made = store.workspaces.ensure(workspace(), "a", tick()).await.unwrap();
    assert_eq!((made.status, made.status_since), (Status::Active, made.created_at));
    store.queue.enqueue(vec![new_run(made.id)]).await.unwrap();
    let at = tick();
    let archived = store.workspaces.change_status(made.id, Status::Archived, at).await.unwrap().unwrap();
    assert_eq!((archived.status, archived.status_since), (Status::Archived, at));
    assert_eq!(store.workspaces.change_status(made.id, Status::Archived, tick()).await.unwrap(), Some(archived), "once");
    assert_eq!(heads(&store).await, []);
    let active = store.workspaces.change_status(made.id, Status::Active, tick()).await.unwrap().unwrap();
    assert_eq!(store.workspaces.by_name("a").await.unwrap(), Some(active));
    assert_eq!(heads(&store).await.len(), 1);
    assert_eq!(store.workspaces.change_status(workspace(), Status::Active, tick()).await.unwrap(), None);
}

async fn settings(database: Database) {
    let store = database.open().await;
    let (one, other) = (workspace(), workspace());
    for (id, name) in [(one, "one"), (other, "other")] {
        assert_eq!(*store.workspaces.ensure(id, name, tick()).await.unwrap().settings, WorkspaceSettings::default());
    }
    let patch = |value: serde_json::Value| value.as_object().unwrap().clone();
    let set = store.workspaces.set(one, patch(json!({"retention_days": 7}))).await.unwrap().unwrap();
    assert_eq!(set.retention_days, Some(7));
    assert_eq!(store.workspaces.set(one, patch(json!({}))).await.unwrap().unwrap(), set);
    let refused = store.workspaces.set(one, patch(json!({"retention_days": -7}))).await.unwrap();
    assert!(refused.is_err(), "{refused:?}");
    let kept: Vec<_> = store.workspaces.list().await.unwrap().into_iter().map(|each| each.settings.retention_days).collect();
    assert_eq!(kept, [Some(7), None], "of one alone");
    assert_eq!(*store.workspaces.by_name("one").await.unwrap().unwrap().settings, set);
    assert_eq!(*store.workspaces.ensure(one, "one", tick()).await.unwrap().settings, set);
    let nobody = store.workspaces.set(workspace(), patch(json!({}))).await;
    assert!(matches!(nobody, Err(StoreError::Conflict(_))), "{nobody:?}");
}
