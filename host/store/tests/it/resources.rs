//! Resources: taken apart and put together, checked, kept apart.

use sandmill_model::{Opening, ScriptPath, WorkspaceId, resource_type::VALUE_BYTES_MAX};
use sandmill_store::{
    Store, StoreError,
    resources::{NewResource, Resource, Sharing, Unfit},
};
use serde_json::{Value, json};

use crate::fixture::{Database, on_both, path, tick, workspace};

on_both![
    secrets_are_apart_from_fields,
    a_secret_that_is_left_out_stays,
    what_does_not_fit_is_told,
    workspaces_are_apart,
    lists_in_pages,
    without_keys,
    many_change_one,
    a_database_belongs_to_the_path_that_named_it_first,
    a_database_outlives_its_resource,
    a_name_that_was_never_opened_is_given_back,
    one_of_many_takes_a_name,
    a_sealed_row_opens_in_its_place_alone,
];

fn new(workspace: WorkspaceId, at: &str, kind: &str, value: &Value) -> NewResource {
    NewResource {
        workspace,
        path: path(at),
        kind: kind.parse().unwrap(),
        value: sandmill_model::JsonText::of(value).unwrap(),
        description: format!("describes {at}"),
        sharing: Sharing::None,
        by: "u/ann".into(),
        now: tick(),
    }
}

async fn put(store: &Store, new: NewResource) -> Resource {
    store.resources.put(new).await.unwrap().unwrap()
}

async fn reveal(store: &Store, workspace: WorkspaceId, at: &ScriptPath) -> Option<Value> {
    store.resources.reveal(workspace, at).await.unwrap().map(|revealed| revealed.value.read().unwrap())
}

fn database_of(password: &str) -> Value {
    json!({"host": "db", "database": "d", "user": "u", "password": password})
}

async fn secrets_are_apart_from_fields(database: Database) {
    let store = database.open_sealed().await;
    let (own, at) = (workspace(), path("f/db/main"));
    assert_eq!((store.resources.find(own, &at).await.unwrap(), reveal(&store, own, &at).await), (None, None));
    let written = put(&store, new(own, "f/db/main", "postgresql", &database_of("hunter2"))).await;
    assert_eq!(written.fields.read::<Value>().unwrap(), json!({"host": "db", "database": "d", "user": "u"}));
    assert_eq!((&*written.kind, written.secrets.as_slice()), ("postgresql", ["/password".to_owned()].as_slice()));
    assert_eq!(store.resources.find(own, &at).await.unwrap(), Some(written.clone()));
    assert_eq!(reveal(&store, own, &at).await, Some(database_of("hunter2")));
    let revealed = store.resources.reveal(own, &at).await.unwrap().unwrap();
    assert_eq!((&*revealed.kind, revealed.revision), ("postgresql", written.revision));

    let basic = json!({"origin": "https://a.test", "basic": {"username": "u", "password": "p"}});
    let other = put(&store, new(own, "f/db/main", "http", &basic)).await;
    assert!(other.revision > written.revision);
    assert_eq!(other.secrets, ["/basic/password"], "nothing of another type is kept");
    assert_eq!(reveal(&store, own, &at).await, Some(basic));
    assert!(store.resources.delete(own, &at).await.unwrap() && !store.resources.delete(own, &at).await.unwrap());
    let again = put(&store, new(own, "f/db/main", "sqlite", &json!({"name": "x"}))).await;
    assert!(again.revision > other.revision && again.secrets.is_empty());
}

async fn a_secret_that_is_left_out_stays(database: Database) {
    let store = database.open_sealed().await;
    let (own, at) = (workspace(), path("f/db/main"));
    put(&store, new(own, "f/db/main", "postgresql", &database_of("hunter2"))).await;
    let mut value = json!({"host": "other", "database": "d", "user": "u"});
    put(&store, new(own, "f/db/main", "postgresql", &value)).await;
    assert_eq!(reveal(&store, own, &at).await.unwrap()["password"], "hunter2");
    value["password"] = Value::Null;
    assert!(put(&store, new(own, "f/db/main", "postgresql", &value)).await.secrets.is_empty());
    value.as_object_mut().unwrap().remove("password");
    assert_eq!(reveal(&store, own, &at).await, Some(value));
}

async fn what_does_not_fit_is_told(database: Database) {
    let store = database.open_sealed().await;
    let own = workspace();
    let faults = async |kind: &str, value: Value| match store.resources.put(new(own, "f/a/b", kind, &value)).await.unwrap() {
        Err(Unfit::Value(faults)) => {
            assert!(faults.iter().all(|fault| !fault.message.contains("hunter2")), "{faults:?}");
            faults.into_iter().map(|fault| fault.pointer).collect::<Vec<_>>()
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(faults("postgresql", json!({"host": "hunter2", "port": "hunter2", "password": ["hunter2"]})).await.len(), 4);
    assert_eq!(faults("sqlite", json!({"name": "../hunter2"})).await, ["/name"]);
    assert_eq!(faults("sqlite", json!(["hunter2"])).await, [""]);
    assert_eq!(store.resources.put(new(own, "f/a/b", "none", &json!({}))).await.unwrap(), Err(Unfit::NoSuchType));
    let large = json!({"name": "x".repeat(VALUE_BYTES_MAX)});
    assert!(matches!(store.resources.put(new(own, "f/a/b", "sqlite", &large)).await.unwrap(), Err(Unfit::Invalid(_))));
    let described = NewResource { description: "\0".into(), ..new(own, "f/a/b", "sqlite", &json!({"name": "x"})) };
    assert!(matches!(store.resources.put(described).await.unwrap(), Err(Unfit::Invalid(_))));
    assert_eq!(store.resources.list(own, "", None, 10).await.unwrap(), []);
}

async fn workspaces_are_apart(database: Database) {
    let store = database.open_sealed().await;
    let (one, other) = (workspace(), workspace());
    put(&store, new(one, "f/db/main", "postgresql", &database_of("of one"))).await;
    for at in ["f/db/main", "f/db/Main", "f/db/main2"].map(path) {
        assert_eq!(reveal(&store, other, &at).await, None);
        assert!(!store.resources.delete(other, &at).await.unwrap());
    }
    put(&store, new(other, "f/db/main", "postgresql", &database_of("of other"))).await;
    assert_eq!(reveal(&store, one, &path("f/db/main")).await, Some(database_of("of one")));
}

async fn lists_in_pages(database: Database) {
    let store = database.open_sealed().await;
    let own = workspace();
    for (number, at) in ["f/b/c", "f/a/b", "u/ann/x", "f/b/B"].into_iter().enumerate() {
        put(&store, new(own, at, "sqlite", &json!({"name": format!("x{number}")}))).await;
    }
    let list = async |prefix: &str, after: Option<&str>, limit| {
        let after = after.map(path);
        let found = store.resources.list(own, prefix, after.as_ref(), limit).await.unwrap();
        found.into_iter().map(|found| format!("{} {}", found.path, found.kind)).collect::<Vec<_>>()
    };
    assert_eq!(list("", None, 10).await, ["f/a/b sqlite", "f/b/B sqlite", "f/b/c sqlite", "u/ann/x sqlite"]);
    assert_eq!(list("f/b/", None, 1).await, ["f/b/B sqlite"]);
    assert_eq!(list("f/b/", Some("f/b/B"), 9).await, ["f/b/c sqlite"]);
}

async fn without_keys(database: Database) {
    let bare = database.open().await;
    let own = workspace();
    put(&bare, new(own, "f/a/plain", "sqlite", &json!({"name": "x"}))).await;
    let secret = || new(own, "f/a/secret", "postgresql", &database_of("hunter2"));
    assert!(matches!(bare.resources.put(secret()).await, Err(StoreError::Keys(_))));
    put(&database.open_sealed().await, secret()).await;
    assert_eq!(bare.resources.find(own, &path("f/a/secret")).await.unwrap().unwrap().secrets, ["/password"]);
    assert!(matches!(bare.resources.reveal(own, &path("f/a/secret")).await, Err(StoreError::Keys(_))));
    assert!(matches!(bare.resources.put(secret()).await, Err(StoreError::Keys(_))));
}

async fn many_change_one(database: Database) {
    let (one, other) = (database.open_sealed().await, database.open_sealed().await);
    let own = workspace();
    let work = async |store: &Store, name: &str| {
        let mut revisions = Vec::new();
        for n in 0..10 {
            let value = json!({"host": name, "database": "d", "user": n.to_string(), "password": format!("{name} {n}")});
            match store.resources.put(new(own, "f/db/main", "postgresql", &value)).await {
                Ok(done) => revisions.push(done.unwrap().revision),
                Err(StoreError::Contended(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
        revisions
    };
    let (mut all, more) = tokio::join!(work(&one, "one"), work(&other, "other"));
    all.extend(more);
    let count = all.len();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), count, "each change has a number of its own");
    let value = reveal(&one, own, &path("f/db/main")).await.unwrap();
    assert_eq!(value["password"], format!("{} {}", value["host"].as_str().unwrap(), value["user"].as_str().unwrap()), "of one change");
}

async fn name(store: &Store, workspace: WorkspaceId, at: &str, name: &str, sharing: Sharing) -> Result<(), Unfit> {
    let new = NewResource { sharing, ..new(workspace, at, "sqlite", &json!({ "name": name })) };
    store.resources.put(new).await.unwrap().map(drop)
}

async fn a_database_belongs_to_the_path_that_named_it_first(database: Database) {
    const OWN: &str = "f/billing/ledger";
    let store = database.open().await;
    let (own, other) = (workspace(), workspace());
    let with = |at: &str| Sharing::With(path(at));
    assert_eq!(name(&store, own, OWN, "ledger", Sharing::None).await, Ok(()));
    for sharing in [Sharing::None, with("u/eve/x"), with("f/billing/other")] {
        assert_eq!(name(&store, own, "u/eve/x", "ledger", sharing).await, Err(Unfit::NameTaken));
    }
    assert_eq!(store.resources.find(own, &path("u/eve/x")).await.unwrap(), None);
    // Nor by a change of what is there.
    assert_eq!(name(&store, own, "u/eve/x", "mine", Sharing::None).await, Ok(()));
    assert_eq!(name(&store, own, "u/eve/x", "ledger", Sharing::None).await, Err(Unfit::NameTaken));
    assert_eq!(reveal(&store, own, &path("u/eve/x")).await, Some(json!({"name": "mine"})));
    assert_eq!(name(&store, other, "u/eve/x", "ledger", Sharing::None).await, Ok(()), "another workspace's is another");
    // Whoever may write there shares it; then the name stays, and a change of the rest needs nobody's leave.
    assert_eq!(name(&store, own, "f/reports/ledger", "ledger", with(OWN)).await, Ok(()));
    assert_eq!(name(&store, own, "f/reports/ledger", "ledger", Sharing::None).await, Ok(()));
    assert_eq!(name(&store, own, "u/eve/x", "ledger", with("f/reports/ledger")).await, Err(Unfit::NameTaken), "it shares, and has it not");
    assert_eq!(name(&store, own, OWN, "ledger", Sharing::None).await, Ok(()));
    assert_eq!(name(&store, own, "f/local/x", "ledger", Sharing::All).await, Ok(()));
    // Whoever has changed to another name has the leave no more.
    assert_eq!(name(&store, own, "f/reports/ledger", "reports", Sharing::None).await, Ok(()));
    assert_eq!(name(&store, own, "f/reports/ledger", "ledger", Sharing::None).await, Err(Unfit::NameTaken));
    // The type alone makes a name one of a database.
    assert_eq!(store.resources.put(new(own, "u/eve/y", "http", &json!({"origin": "https://a.test"}))).await.unwrap().map(drop), Ok(()));
}

/// As a run is about to open it.
async fn open_database(store: &Store, workspace: WorkspaceId, at: &str, name: &str) -> bool {
    let revision = store.resources.find(workspace, &path(at)).await.unwrap().map_or(0, |found| found.revision);
    store.resources.open_database(Opening { workspace, path: path(at), revision, name: name.to_owned() }).await.unwrap()
}

async fn a_database_outlives_its_resource(database: Database) {
    let store = database.open().await;
    let own = workspace();
    let (first, with_first) = (path("f/billing/ledger"), || Sharing::With(path("f/billing/ledger")));
    name(&store, own, "f/billing/ledger", "ledger", Sharing::None).await.unwrap();
    assert!(open_database(&store, own, "f/billing/ledger", "ledger").await);
    assert!(store.resources.delete(own, &first).await.unwrap());
    assert_eq!(name(&store, own, "u/eve/x", "ledger", Sharing::None).await, Err(Unfit::NameTaken));
    name(&store, own, "f/billing/ledger", "ledger", Sharing::None).await.unwrap();
    // It is shared while it is used, and moves where it is not.
    name(&store, own, "f/new/ledger", "ledger", with_first()).await.unwrap();
    assert_eq!(name(&store, own, "f/third/ledger", "ledger", Sharing::With(path("f/new/ledger"))).await, Err(Unfit::NameTaken));
    name(&store, own, "f/billing/ledger", "other", Sharing::None).await.unwrap();
    assert!(store.resources.delete(own, &path("f/new/ledger")).await.unwrap());
    name(&store, own, "f/new/ledger", "ledger", with_first()).await.unwrap();
    assert_eq!(name(&store, own, "f/billing/ledger", "ledger", Sharing::None).await, Err(Unfit::NameTaken));
    name(&store, own, "f/third/ledger", "ledger", Sharing::With(path("f/new/ledger"))).await.unwrap();
}

async fn a_name_that_was_never_opened_is_given_back(database: Database) {
    let store = database.open().await;
    let (own, other) = (workspace(), workspace());
    let free = async |of: WorkspaceId, text: &str| name(&store, of, "u/eve/x", text, Sharing::None).await;
    // With its resource, and where that comes to have another name or another type.
    for text in ["one", "two", "three"] {
        name(&store, own, "f/a/x", text, Sharing::None).await.unwrap();
        assert_eq!(free(own, text).await, Err(Unfit::NameTaken));
    }
    assert_eq!(free(own, "one").await, Ok(()));
    assert_eq!(free(own, "two").await, Ok(()));
    put(&store, new(own, "f/a/x", "http", &json!({"origin": "https://a.test"}))).await;
    assert_eq!(free(own, "three").await, Ok(()));
    name(&store, own, "f/a/x", "one", Sharing::None).await.unwrap();
    assert!(store.resources.delete(own, &path("f/a/x")).await.unwrap());
    assert_eq!(free(own, "one").await, Ok(()));
    // Not as long as another shares it.
    name(&store, own, "f/a/x", "shared", Sharing::None).await.unwrap();
    name(&store, own, "f/b/x", "shared", Sharing::With(path("f/a/x"))).await.unwrap();
    assert!(store.resources.delete(own, &path("f/a/x")).await.unwrap());
    assert_eq!(free(own, "shared").await, Err(Unfit::NameTaken));
    assert!(store.resources.delete(own, &path("f/b/x")).await.unwrap());
    assert_eq!(free(own, "shared").await, Ok(()));
    // Nor once it was opened, which nobody does for a resource that is not as it was.
    name(&store, own, "f/a/x", "opened", Sharing::None).await.unwrap();
    let before = store.resources.find(own, &path("f/a/x")).await.unwrap().unwrap();
    let opening = |of: WorkspaceId, name: &str| Opening {
        workspace: of,
        path: before.path.clone(),
        revision: before.revision,
        name: name.to_owned(),
    };
    assert!(!store.resources.open_database(opening(other, "opened")).await.unwrap());
    assert!(!store.resources.open_database(opening(own, "nobodys")).await.unwrap());
    for _ in 0..2 {
        assert!(store.resources.open_database(opening(own, "opened")).await.unwrap());
    }
    name(&store, own, "f/a/x", "again", Sharing::None).await.unwrap();
    assert!(!store.resources.open_database(opening(own, "again")).await.unwrap(), "it has changed");
    assert_eq!((free(own, "opened").await, free(own, "again").await), (Err(Unfit::NameTaken), Err(Unfit::NameTaken)));
    assert!(store.resources.delete(own, &path("f/a/x")).await.unwrap());
    assert_eq!((free(own, "opened").await, free(own, "again").await), (Err(Unfit::NameTaken), Ok(())));
}

async fn one_of_many_takes_a_name(database: Database) {
    let (one, other) = (database.open().await, database.open().await);
    let own = workspace();
    for round in 0..10 {
        let free = format!("free{round}");
        let (at_one, at_other) = (format!("f/one/x{round}"), format!("f/other/x{round}"));
        let (first, second) =
            tokio::join!(name(&one, own, &at_one, &free, Sharing::None), name(&other, own, &at_other, &free, Sharing::None));
        assert!(first.is_ok() != second.is_ok(), "{first:?} {second:?}");
    }
}

/// What a thief who writes to the database could try: to have a secret of another workspace, path or kind used as his own.
async fn a_sealed_row_opens_in_its_place_alone(database: Database) {
    let store = database.open_sealed().await;
    let (own, thief) = (workspace(), workspace());
    for (of, at) in [(own, "f/a/one"), (own, "f/a/two"), (thief, "f/a/one")] {
        put(&store, new(of, at, "postgresql", &database_of(&format!("{of} {at}")))).await;
    }
    let id = |of: WorkspaceId| format!("X'{}'", of.to_string().replace('-', ""));
    for (of, at) in [(own, "f/a/two"), (thief, "f/a/one")] {
        let forged = format!(
            "UPDATE resources SET (sealed, key_number) = (SELECT sealed, key_number FROM resources WHERE workspace = {} AND path = 'f/a/one')
             WHERE workspace = {} AND path = '{at}'",
            id(own),
            id(of)
        );
        database.execute(&forged).await;
        assert!(matches!(store.resources.reveal(of, &path(at)).await, Err(StoreError::Corrupt(_))), "{of} {at}");
    }
    // With the other workspace's key moved along, too.
    let stolen = format!(
        "UPDATE workspace_keys SET (wrapped, wrapped_by) = (SELECT wrapped, wrapped_by FROM workspace_keys WHERE workspace = {}) WHERE workspace = {}",
        id(own),
        id(thief)
    );
    database.execute(&stolen).await;
    assert!(matches!(store.resources.reveal(thief, &path("f/a/one")).await, Err(StoreError::Corrupt(_))));
    assert_eq!(reveal(&store, own, &path("f/a/one")).await.unwrap()["password"], format!("{own} f/a/one"));
}
