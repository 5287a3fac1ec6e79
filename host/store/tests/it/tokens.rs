//! Tokens.

use sandmill_model::{
    TokenId,
    auth::{Principal, Scope, TokenHash},
};
use sandmill_store::StoreError;

use crate::fixture::{Database, on_both, tick, workspace};

on_both![a_token_is_found_by_its_hash, a_hash_keeps_its_row, deleting];

fn principal() -> Principal {
    Principal {
        token: TokenId::new(tick()),
        workspace: Some(workspace()),
        identity: "u/ann".into(),
        scopes: vec![Scope::all(), "runs:start:f/billing/*".parse().unwrap()],
    }
}

async fn a_token_is_found_by_its_hash(database: Database) {
    let store = database.open().await;
    assert!(!store.tokens.any().await.unwrap());
    let (of_workspace, of_instance) = (principal(), Principal { workspace: None, scopes: Vec::new(), ..principal() });
    store.tokens.put(TokenHash::of("one"), &of_workspace, "läbel", tick()).await.unwrap();
    store.tokens.put(TokenHash::of("two"), &of_instance, "", tick()).await.unwrap();
    assert!(store.tokens.any().await.unwrap());
    assert_eq!(store.tokens.by_hash(TokenHash::of("one")).await.unwrap(), Some(of_workspace.clone()));
    assert_eq!(store.tokens.by_hash(TokenHash::of("two")).await.unwrap(), Some(of_instance));
    assert_eq!(store.tokens.by_hash(TokenHash::of("three")).await.unwrap(), None);
    let same_id = store.tokens.put(TokenHash::of("three"), &of_workspace, "", tick()).await;
    assert!(matches!(same_id, Err(StoreError::Conflict(_))), "{same_id:?}");
}

async fn a_hash_keeps_its_row(database: Database) {
    let store = database.open().await;
    let (first, second) = (principal(), Principal { workspace: None, identity: "u/bob".into(), scopes: vec![Scope::all()], ..principal() });
    store.tokens.put(TokenHash::of("one"), &first, "label", tick()).await.unwrap();
    store.tokens.put(TokenHash::of("one"), &second, "label", tick()).await.unwrap();
    let kept = Principal { token: first.token, ..second };
    assert_eq!(store.tokens.by_hash(TokenHash::of("one")).await.unwrap(), Some(kept));
}

async fn deleting(database: Database) {
    let store = database.open().await;
    let token = principal();
    store.tokens.put(TokenHash::of("one"), &token, "", tick()).await.unwrap();
    assert!(store.tokens.delete(token.token).await.unwrap());
    assert!(!store.tokens.delete(token.token).await.unwrap());
    assert_eq!(store.tokens.by_hash(TokenHash::of("one")).await.unwrap(), None);
    assert!(!store.tokens.any().await.unwrap());
}
