//! Tokens.

use std::time::Duration;

use sandmill_model::{
    Timestamp, TokenId, WorkspaceId,
    auth::{Access, Principal, Scope, TokenHash, TokenKind},
};
use sandmill_store::{
    Store, StoreError,
    tokens::{Known, Maker, NewToken, Rotation, TOKENS_MAX, Token, TokenRefusal},
};

use crate::fixture::{Database, on_both, tick, workspace};

on_both![
    a_token_is_found_by_its_hash,
    a_hash_keeps_its_row,
    a_token_is_made_and_shown,
    what_it_may_is_narrowed,
    workspaces_are_apart,
    lists_in_pages,
    who_is_gone_makes_nothing,
    nothing_outlives_its_maker,
    there_are_only_so_many,
    a_secret_is_rotated,
    a_rotation_overlaps,
    revoking,
    uses_are_written_once_a_minute,
    expired_ones_are_forgotten,
];

fn principal() -> Principal {
    Principal {
        token: TokenId::new(tick()),
        workspace: Some(workspace()),
        identity: "u/ann".into(),
        scopes: [Scope::all(), "runs:start:f/billing/*".parse().unwrap()].into(),
    }
}

fn known(principal: Principal) -> Known {
    Known { principal, expires_at: None, last_used_at: None }
}

fn by(token: Option<TokenId>) -> Maker {
    Maker { token, identity: "u/maker".into() }
}

fn new(workspace: Option<WorkspaceId>, secret: &str) -> NewToken {
    let now = tick();
    NewToken {
        id: TokenId::new(now),
        hash: TokenHash::of(secret),
        prefix: secret.chars().take(3).collect(),
        workspace,
        identity: "u/ann".into(),
        kind: TokenKind::User,
        access: Access::Full,
        scopes: vec!["runs:*:f/billing/*".parse().unwrap()],
        label: format!("läbel of {secret}"),
        expires_at: None,
        by: by(None),
        now,
    }
}

async fn create(store: &Store, new: NewToken) -> Token {
    store.tokens.create(new).await.unwrap().unwrap()
}

async fn find(store: &Store, secret: &str) -> Option<Known> {
    store.tokens.by_hash(TokenHash::of(secret)).await.unwrap()
}

fn rotation(token: &Token, workspace: Option<WorkspaceId>, secret: &str, old_until: Timestamp) -> Rotation {
    let hash = TokenHash::of(secret);
    Rotation { id: token.id, workspace, hash, prefix: "new".into(), old_until, by: by(None), now: tick() }
}

async fn a_token_is_found_by_its_hash(database: Database) {
    let store = database.open().await;
    assert!(!store.tokens.any().await.unwrap());
    let (of_workspace, of_instance) = (principal(), Principal { workspace: None, scopes: Vec::<Scope>::new().into(), ..principal() });
    store.tokens.put(TokenHash::of("one"), &of_workspace, "läbel", tick()).await.unwrap();
    store.tokens.put(TokenHash::of("two"), &of_instance, "", tick()).await.unwrap();
    assert!(store.tokens.any().await.unwrap());
    assert_eq!(find(&store, "one").await, Some(known(of_workspace.clone())));
    assert_eq!(find(&store, "two").await, Some(known(of_instance)));
    assert_eq!(find(&store, "three").await, None);
    let same_id = store.tokens.put(TokenHash::of("three"), &of_workspace, "", tick()).await;
    assert!(matches!(same_id, Err(StoreError::Conflict(_))), "{same_id:?}");
}

async fn a_hash_keeps_its_row(database: Database) {
    let store = database.open().await;
    let (first, second) =
        (principal(), Principal { workspace: None, identity: "u/bob".into(), scopes: [Scope::all()].into(), ..principal() });
    assert_ne!(first.token, second.token);
    for principal in [&first, &second] {
        let id = store.tokens.put(TokenHash::of("one"), principal, "label", tick()).await.unwrap();
        assert_eq!(id, first.token, "what is returned is what is kept");
    }
    let kept = Principal { token: first.token, ..second };
    assert_eq!(find(&store, "one").await, Some(known(kept)));
}

async fn a_token_is_made_and_shown(database: Database) {
    let store = database.open().await;
    for of in [Some(workspace()), None] {
        let secret = format!("secret of {of:?}");
        let asked = NewToken { expires_at: Some(tick().plus(Duration::from_secs(60))), ..new(of, &secret) };
        let made = create(&store, asked.clone()).await;
        let expected = Token {
            id: asked.id,
            prefix: "sec".into(),
            identity: "u/ann".into(),
            kind: TokenKind::User,
            access: Access::Full,
            scopes: asked.scopes.clone(),
            label: asked.label.clone(),
            created_at: asked.now,
            created_by: Some("u/maker".into()),
            expires_at: asked.expires_at,
            last_used_at: None,
            old_until: None,
        };
        assert_eq!(made, expected);
        assert_eq!(store.tokens.find(of, asked.id).await.unwrap(), Some(expected));
        let principal = Principal { token: asked.id, workspace: of, identity: "u/ann".into(), scopes: asked.scopes.into() };
        assert_eq!(find(&store, &secret).await, Some(Known { expires_at: asked.expires_at, ..known(principal) }));
    }
    let twice = store.tokens.create(new(None, "secret of None")).await;
    assert!(matches!(twice, Err(StoreError::Conflict(_))), "{twice:?}");
}

async fn what_it_may_is_narrowed(database: Database) {
    let store = database.open().await;
    let of = Some(workspace());
    let scopes = || ["*:*", "runs:start:f/a/b", "runs:read:f/c/*"].map(|scope| scope.parse::<Scope>().unwrap()).to_vec();
    for (kind, access, expected) in [
        (TokenKind::User, Access::ReadOnly, &["*:read", "runs:read:f/c/*"][..]),
        (TokenKind::Start, Access::Full, &["runs:start:f/a/b"]),
        (TokenKind::Run, Access::Full, &["*:*", "runs:start:f/a/b", "runs:read:f/c/*"]),
    ] {
        let secret = format!("{kind:?}");
        let made = create(&store, NewToken { kind, access, scopes: scopes(), ..new(of, &secret) }).await;
        assert_eq!((made.kind, made.access, made.scopes), (kind, access, scopes()), "as it was asked for");
        let may: Vec<String> =
            find(&store, &secret).await.unwrap().principal.scopes.one_list().into_iter().flatten().map(ToString::to_string).collect();
        assert_eq!(may, expected, "{kind:?}");
    }
}

async fn workspaces_are_apart(database: Database) {
    let store = database.open().await;
    let (one, other) = (Some(workspace()), Some(workspace()));
    let own = create(&store, new(one, "one")).await;
    for of in [other, None] {
        assert_eq!(store.tokens.find(of, own.id).await.unwrap(), None);
        assert_eq!(store.tokens.list(of, None, 10).await.unwrap(), []);
        assert!(!store.tokens.revoke(of, own.id).await.unwrap());
        let refused = store.tokens.rotate(rotation(&own, of, "stolen", tick())).await.unwrap();
        assert_eq!(refused, Err(TokenRefusal::NotThere));
    }
    assert!(find(&store, "one").await.is_some() && find(&store, "stolen").await.is_none());
    let installations = create(&store, new(None, "all")).await;
    assert_eq!(store.tokens.find(one, installations.id).await.unwrap(), None);
    assert!(!store.tokens.revoke(one, installations.id).await.unwrap());
}

async fn lists_in_pages(database: Database) {
    let store = database.open().await;
    for of in [Some(workspace()), None] {
        create(&store, new(Some(workspace()), &format!("stranger to {of:?}"))).await;
        let mut made = Vec::new();
        for n in 0..5 {
            made.push(create(&store, new(of, &format!("{n} of {of:?}"))).await);
        }
        let first = store.tokens.list(of, None, 3).await.unwrap();
        assert_eq!(first, made[..3]);
        assert_eq!(store.tokens.list(of, Some(first[2].id), 3).await.unwrap(), made[3..]);
    }
}

async fn who_is_gone_makes_nothing(database: Database) {
    let store = database.open().await;
    let of = Some(workspace());
    let maker = create(&store, new(of, "maker")).await;
    let other = create(&store, NewToken { by: by(Some(maker.id)), ..new(of, "other") }).await;
    assert!(store.tokens.revoke(of, maker.id).await.unwrap());
    let late = store.tokens.create(NewToken { by: by(Some(maker.id)), ..new(of, "late") }).await.unwrap();
    assert_eq!(late, Err(TokenRefusal::NoMaker));
    let late = store.tokens.rotate(Rotation { by: by(Some(maker.id)), ..rotation(&other, of, "late", tick()) }).await.unwrap();
    assert_eq!(late, Err(TokenRefusal::NoMaker));
    assert_eq!(find(&store, "late").await, None);
    let expired = create(&store, NewToken { expires_at: Some(tick()), ..new(of, "expired") }).await;
    let late = store.tokens.create(NewToken { by: by(Some(expired.id)), ..new(of, "late") }).await.unwrap();
    assert_eq!(late, Err(TokenRefusal::NoMaker));
}

async fn nothing_outlives_its_maker(database: Database) {
    let store = database.open().await;
    let (of, until) = (Some(workspace()), tick().plus(Duration::from_secs(3600)));
    let maker = create(&store, NewToken { expires_at: Some(until), ..new(of, "maker") }).await;
    let later = until.plus(Duration::from_micros(1));
    for expires_at in [None, Some(later)] {
        let made = store.tokens.create(NewToken { by: by(Some(maker.id)), expires_at, ..new(of, "child") }).await.unwrap();
        assert_eq!(made, Err(TokenRefusal::OutlivesMaker(until)));
    }
    create(&store, NewToken { by: by(Some(maker.id)), expires_at: Some(until), ..new(of, "child") }).await;
}

async fn there_are_only_so_many(database: Database) {
    let store = database.open().await;
    let of = workspace();
    create(&store, new(Some(of), "first")).await;
    let many = TOKENS_MAX - 1;
    database
        .execute(&format!(
            "INSERT INTO tokens (hash, id, workspace, identity, scopes, label, created_at)
             WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {many})
             SELECT {hash}, {id}, (SELECT workspace FROM tokens LIMIT 1), 'u/ann', '[]', '', 0 FROM n",
            hash = database.bytes_of("'hash ' || n"),
            id = database.bytes_of("'id ' || n"),
        ))
        .await;
    assert_eq!(store.tokens.create(new(Some(of), "one more")).await.unwrap(), Err(TokenRefusal::TooMany));
    create(&store, new(Some(workspace()), "another's")).await;
    create(&store, new(None, "of all")).await;
}

async fn a_secret_is_rotated(database: Database) {
    let store = database.open().await;
    let of = Some(workspace());
    let token = create(&store, new(of, "old")).await;
    let now = tick();
    let rotated = store.tokens.rotate(Rotation { now, ..rotation(&token, of, "new", now) }).await.unwrap().unwrap();
    assert_eq!(rotated, Token { prefix: "new".into(), ..token.clone() });
    assert_eq!(find(&store, "old").await, None, "at once");
    assert_eq!(find(&store, "new").await.unwrap().principal.token, token.id);
    let expiring = create(&store, NewToken { expires_at: Some(tick()), ..new(of, "expiring") }).await;
    let late = store.tokens.rotate(rotation(&expiring, of, "late", tick())).await.unwrap();
    assert_eq!(late, Err(TokenRefusal::Expired));
}

async fn a_rotation_overlaps(database: Database) {
    let store = database.open().await;
    let of = Some(workspace());
    let token = create(&store, new(of, "first")).await;
    let until = tick().plus(Duration::from_secs(60));
    let rotated = store.tokens.rotate(rotation(&token, of, "second", until)).await.unwrap().unwrap();
    assert_eq!(rotated.old_until, Some(until));
    let (old, new_one) = (find(&store, "first").await.unwrap(), find(&store, "second").await.unwrap());
    assert_eq!((old.expires_at, new_one.expires_at), (Some(until), None));
    assert_eq!(old.principal, new_one.principal);
    let sooner = tick().plus(Duration::from_secs(1));
    store.tokens.rotate(rotation(&token, of, "third", sooner)).await.unwrap().unwrap();
    assert_eq!(find(&store, "first").await, None, "only one is good beside the new one");
    assert_eq!(find(&store, "second").await.unwrap().expires_at, Some(sooner));
    // An expiry of its own that comes sooner counts.
    let short = tick().plus(Duration::from_secs(2));
    let token = create(&store, NewToken { expires_at: Some(short), ..new(of, "short") }).await;
    store.tokens.rotate(rotation(&token, of, "short again", until)).await.unwrap().unwrap();
    assert_eq!(find(&store, "short").await.unwrap().expires_at, Some(short));
    assert!(store.tokens.revoke(of, token.id).await.unwrap());
    assert_eq!((find(&store, "short").await, find(&store, "short again").await), (None, None), "with all its secrets");
}

async fn revoking(database: Database) {
    let store = database.open().await;
    let token = principal();
    store.tokens.put(TokenHash::of("one"), &token, "", tick()).await.unwrap();
    assert!(store.tokens.revoke(token.workspace, token.token).await.unwrap());
    assert!(!store.tokens.revoke(token.workspace, token.token).await.unwrap());
    assert_eq!(find(&store, "one").await, None);
    assert!(!store.tokens.any().await.unwrap());
}

async fn uses_are_written_once_a_minute(database: Database) {
    let (store, other) = (database.open().await, database.open().await);
    let token = create(&store, new(None, "one")).await;
    let used = async || store.tokens.find(None, token.id).await.unwrap().unwrap().last_used_at;
    assert_eq!((store.tokens.write_uses().await.unwrap(), used().await), (0, None));
    let first = tick();
    store.tokens.note_use(token.id, first);
    store.tokens.note_use(TokenId::new(tick()), first);
    assert_eq!(used().await, None, "only noted");
    assert_eq!((store.tokens.write_uses().await.unwrap(), used().await), (1, Some(first)));
    for seconds in [1, 59] {
        other.tokens.note_use(token.id, first.plus(Duration::from_secs(seconds)));
        assert_eq!((other.tokens.write_uses().await.unwrap(), used().await), (0, Some(first)), "{seconds}");
    }
    let later = first.plus(Duration::from_secs(60));
    other.tokens.note_use(token.id, later);
    store.tokens.note_use(token.id, first.plus(Duration::from_secs(61)));
    assert_eq!(other.tokens.write_uses().await.unwrap(), 1);
    assert_eq!((store.tokens.write_uses().await.unwrap(), used().await), (0, Some(later)));
    assert_eq!(find(&store, "one").await.unwrap().last_used_at, Some(later));
}

async fn expired_ones_are_forgotten(database: Database) {
    let store = database.open().await;
    let (of, now) = (Some(workspace()), tick());
    let seconds = |seconds| Some(now.plus(Duration::from_secs(seconds)));
    for (secret, expires_at) in [("for ever", None), ("soon", seconds(1)), ("later", seconds(3))] {
        create(&store, NewToken { expires_at, ..new(of, secret) }).await;
    }
    assert_eq!(store.tokens.forget_expired(now.plus(Duration::from_secs(2))).await.unwrap(), 1);
    assert_eq!(store.tokens.forget_expired(now.plus(Duration::from_secs(2))).await.unwrap(), 0);
    let left: Vec<String> = store.tokens.list(of, None, 10).await.unwrap().into_iter().map(|token| token.label).collect();
    assert_eq!(left, ["läbel of for ever", "läbel of later"]);
}
