//! Types: their own grammar, and that no resource is left behind by a change of its type.

use sandmill_model::{JsonText, TypeName, WorkspaceId};
use sandmill_store::{
    Store,
    resource_types::{NewType, TypeDeleted, TypeRecord, TypeRefusal},
    resources::{NewResource, Sharing, Unfit},
};

use crate::fixture::{Database, json, on_both, path, tick, workspace};

on_both![types_come_back, what_is_built_in_stays, a_change_leaves_no_resource_behind, a_type_in_use_stays, changes_and_uses_at_once];

const ACCOUNT: &str =
    r#"{"type": "object", "required": ["user"], "properties": {"user": {"type": "string"}, "key": {"type": "string", "writeOnly": true}}}"#;

fn name(text: &str) -> TypeName {
    text.parse().unwrap()
}

fn new(workspace: WorkspaceId, of: &str, schema: &str) -> NewType {
    NewType { workspace, name: name(of), schema: json(schema), description: format!("describes {of}"), by: "u/ann".into(), now: tick() }
}

async fn put(store: &Store, new: NewType) -> Result<TypeRecord, TypeRefusal> {
    store.resource_types.put(new).await.unwrap()
}

async fn resource(store: &Store, workspace: WorkspaceId, at: &str, kind: &str, value: &str) -> Result<Vec<String>, Unfit> {
    let new = NewResource {
        workspace,
        path: path(at),
        kind: name(kind),
        value: json(value),
        description: String::new(),
        sharing: Sharing::None,
        by: "u/ann".into(),
        now: tick(),
    };
    store.resources.put(new).await.unwrap().map(|resource| resource.secrets)
}

async fn types_come_back(database: Database) {
    let store = database.open().await;
    let (own, other) = (workspace(), workspace());
    let written = put(&store, new(own, "account", ACCOUNT)).await.unwrap();
    assert_eq!((written.schema.as_str(), written.description.as_str()), (ACCOUNT, "describes account"));
    assert_eq!(store.resource_types.find(own, &name("account")).await.unwrap(), Some(written));
    assert_eq!(store.resource_types.find(other, &name("account")).await.unwrap(), None);
    let list = async |of, after: Option<&str>, limit| {
        let after = after.map(name);
        let found = store.resource_types.list(of, after.as_ref(), limit).await.unwrap();
        found.into_iter().map(|found| found.name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(list(own, None, 10).await, ["account", "http", "postgresql", "s3", "sqlite"]);
    assert_eq!(list(own, None, 2).await, ["account", "http"]);
    assert_eq!(list(own, Some("http"), 2).await, ["postgresql", "s3"]);
    assert_eq!(list(other, Some("account"), 1).await, ["http"]);
    assert_eq!(store.resource_types.delete(other, &name("account")).await.unwrap(), TypeDeleted::No);
    assert_eq!(store.resource_types.delete(own, &name("account")).await.unwrap(), TypeDeleted::Yes);
    assert_eq!(resource(&store, own, "f/a/b", "account", r#"{"user": "u"}"#).await, Err(Unfit::NoSuchType));
    for bad in
        ["true", r#"{"type": "string"}"#, r#"{"type": "object", "writeOnly": true}"#, r#"{"type": "object", "$ref": "http://127.0.0.1/"}"#]
    {
        assert!(matches!(put(&store, new(own, "bad", bad)).await, Err(TypeRefusal::Invalid(_))), "{bad}");
    }
    let described = NewType { description: "x\0".into(), ..new(own, "bad", ACCOUNT) };
    assert!(matches!(put(&store, described).await, Err(TypeRefusal::Invalid(_))));
}

async fn what_is_built_in_stays(database: Database) {
    let store = database.open().await;
    let own = workspace();
    assert_eq!(put(&store, new(own, "http", ACCOUNT)).await, Err(TypeRefusal::BuiltIn));
    assert_eq!(store.resource_types.delete(own, &name("http")).await.unwrap(), TypeDeleted::BuiltIn);
    let found = store.resource_types.find(own, &name("http")).await.unwrap().unwrap();
    assert!(found.updated.is_none() && found.schema.as_str().contains("bearer") && !found.description.is_empty());
}

async fn a_change_leaves_no_resource_behind(database: Database) {
    let store = database.open_sealed().await;
    let (own, other) = (workspace(), workspace());
    for of in [own, other] {
        put(&store, new(of, "account", ACCOUNT)).await.unwrap();
    }
    // More than are looked at together.
    for n in 0..120 {
        let value = if n == 110 { r#"{"user": "u", "key": "hunter2", "old": 7}"# } else { r#"{"user": "u"}"# };
        resource(&store, own, &format!("f/a/r{n:03}"), "account", value).await.unwrap();
    }
    let in_use = async |schema: &str| match put(&store, new(own, "account", schema)).await {
        Err(TypeRefusal::InUse(why)) => why,
        done => panic!("{done:?}"),
    };
    let why =
        in_use(r#"{"type": "object", "properties": {"user": {"type": "string"}, "key": {"type": "integer", "writeOnly": true}}}"#).await;
    assert!(why.contains("f/a/r110") && why.contains("/key") && !why.contains("hunter2"), "{why}");
    let why = in_use(r#"{"type": "object", "properties": {"user": {"type": "string"}, "key": {"type": "string"}}}"#).await;
    assert!(why.contains("f/a/r110") && why.contains("/key") && why.contains("readable"), "{why}");
    let hides = ACCOUNT.replace(r#"{"user":"#, r#"{"old": {"writeOnly": true}, "user":"#);
    let why = in_use(&hides).await;
    assert!(why.contains("f/a/r110") && why.contains("/old"), "{why}");
    assert!(in_use(&ACCOUNT.replace(r#"["user"]"#, r#"["user", "key"]"#)).await.contains("f/a/r000"));
    assert_eq!(store.resource_types.find(own, &name("account")).await.unwrap().unwrap().schema.as_str(), ACCOUNT);
    let wider = ACCOUNT.replace(r#"{"user":"#, r#"{"more": {"type": "string", "writeOnly": true}, "user":"#);
    put(&store, new(own, "account", &wider)).await.unwrap();
    assert_eq!(resource(&store, own, "f/a/r000", "account", r#"{"user": "u", "more": "s"}"#).await.unwrap(), ["/more"]);
    put(&store, new(other, "account", &hides)).await.unwrap();
}

async fn a_type_in_use_stays(database: Database) {
    let store = database.open().await;
    let own = workspace();
    put(&store, new(own, "account", ACCOUNT)).await.unwrap();
    for at in ["f/b/x", "f/a/x"] {
        resource(&store, own, at, "account", r#"{"user": "u"}"#).await.unwrap();
    }
    assert_eq!(store.resource_types.delete(own, &name("account")).await.unwrap(), TypeDeleted::InUse(path("f/a/x")));
    for at in ["f/b/x", "f/a/x"].map(path) {
        store.resources.delete(own, &at).await.unwrap();
    }
    assert_eq!(store.resource_types.delete(own, &name("account")).await.unwrap(), TypeDeleted::Yes);
}

/// Whatever comes first, in the end every resource fits its type.
async fn changes_and_uses_at_once(database: Database) {
    let (one, other) = (database.open().await, database.open().await);
    for round in 0..12 {
        let own = workspace();
        put(&one, new(own, "kind", r#"{"type": "object"}"#)).await.unwrap();
        let narrow = r#"{"type": "object", "required": ["a"]}"#;
        let (changed, used) = tokio::join!(put(&one, new(own, "kind", narrow)), resource(&other, own, "f/a/b", "kind", "{}"));
        let schema: JsonText = one.resource_types.find(own, &name("kind")).await.unwrap().unwrap().schema;
        let stands = one.resources.find(own, &path("f/a/b")).await.unwrap().is_some();
        match (changed, used) {
            (Ok(_), Err(Unfit::Value(_))) => assert!(schema.as_str() == narrow && !stands, "{round}"),
            (Err(TypeRefusal::InUse(_)), Ok(_)) => assert!(schema.as_str() != narrow && stands, "{round}"),
            done => panic!("{done:?}"),
        }
        let kind = name("kind");
        let (deleted, used) = tokio::join!(one.resource_types.delete(own, &kind), resource(&other, own, "f/a/c", "kind", r#"{"a": 1}"#));
        match (deleted.unwrap(), used) {
            (TypeDeleted::Yes, Err(Unfit::NoSuchType)) | (TypeDeleted::InUse(_), Ok(_)) => {}
            done => panic!("{done:?}"),
        }
    }
}
