//! Keys: lost, wrong, changed while others read and write; and what a thief finds in the database.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicBool, Ordering},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sandmill_model::WorkspaceId;
use sandmill_store::{
    Store, StoreError,
    resources::{NewResource, Sharing},
    seal::KeySource,
    variables::NewVariable,
};
use serde_json::{Value, json};

use crate::fixture::{Database, key_text, on_both, path, tick, workspace};

on_both![
    a_lost_key_is_told,
    nodes_have_one_key,
    keys_change_while_in_use,
    a_key_that_was_moved_is_refused,
    another_node_finds_the_new_key,
    a_stolen_database_shows_nothing,
];

const SECRET: &str = "correct horse battery staple";

async fn put_secret(store: &Store, workspace: WorkspaceId, at: &str, text: &str) {
    let by = "u/ann".into();
    let new = NewVariable { workspace, path: path(at), secret: true, text: Some(text.into()), description: String::new(), by, now: tick() };
    store.variables.put(new).await.unwrap().unwrap();
}

async fn put_database(store: &Store, workspace: WorkspaceId, at: &str, password: &str) {
    let value = json!({"host": "h", "database": "d", "user": "u", "password": password});
    let (kind, value) = ("postgresql".parse().unwrap(), sandmill_model::JsonText::of(&value).unwrap());
    let (description, sharing) = (String::new(), Sharing::None);
    let new = NewResource { workspace, path: path(at), kind, value, description, sharing, by: "u/ann".into(), now: tick() };
    store.resources.put(new).await.unwrap().unwrap();
}

async fn secret(store: &Store, workspace: WorkspaceId, at: &str) -> String {
    store.variables.reveal(workspace, &path(at)).await.unwrap().unwrap().text
}

async fn password(store: &Store, workspace: WorkspaceId, at: &str) -> String {
    let revealed = store.resources.reveal(workspace, &path(at)).await.unwrap().unwrap();
    revealed.value.read::<Value>().unwrap()["password"].as_str().unwrap().to_owned()
}

fn why(result: Result<Store, StoreError>) -> String {
    match result {
        Err(StoreError::Keys(why)) => why,
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it opens"),
    }
}

async fn a_lost_key_is_told(database: Database) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("instance-key");
    let source = || KeySource::File(file.clone());
    let own = workspace();
    let store = database.open_from(source()).await.unwrap();
    put_secret(&store, own, "f/a/b", SECRET).await;
    let id = store.keys.reload().await.unwrap();
    store.health.close().await;

    let key = std::fs::read(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    let before = database.keys().await;
    let lost = why(database.open_from(source()).await);
    assert!(lost.contains(&id) && lost.contains("there is no file") && lost.contains("--instance-key-file"), "{lost}");
    assert!(!file.exists(), "nothing is made in its place");
    let wrong = why(database.open_with(&key_text(9)).await);
    assert!(wrong.contains(&id), "{wrong}");
    std::fs::write(&file, "not a key").unwrap();
    why(database.open_from(source()).await);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "not a key");
    assert_eq!(database.keys().await, before, "nothing is changed");

    std::fs::write(&file, key).unwrap();
    assert_eq!(secret(&database.open_from(source()).await.unwrap(), own, "f/a/b").await, SECRET);
}

/// With PostgreSQL a second node needs the key before the first secret is there. A file belongs to one node at a time.
async fn nodes_have_one_key(database: Database) {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (folder.path().join("one"), folder.path().join("other"));
    let first = database.open_from(KeySource::File(one.clone())).await.unwrap();
    let second = database.open_from(KeySource::File(other.clone())).await;
    if database.url.starts_with("sqlite:") {
        assert!(second.is_ok());
        return;
    }
    let id = first.keys.reload().await.unwrap();
    assert!(why(second).contains(&id));
    assert!(!other.exists());
    std::fs::copy(&one, &other).unwrap();
    let second = database.open_from(KeySource::File(other)).await.unwrap();
    let own = workspace();
    put_secret(&first, own, "f/a/b", SECRET).await;
    assert_eq!(secret(&second, own, "f/a/b").await, SECRET);

    // Many that start at once on a new database: one key wins, and who has another is told.
    let Some(fresh) = Database::postgres() else { return };
    let files: Vec<_> = (0..6).map(|n| folder.path().join(format!("node{n}"))).collect();
    let opened = futures_util::future::join_all(files.iter().map(|file| fresh.open_from(KeySource::File(file.clone())))).await;
    assert_eq!(opened.iter().filter(|opened| opened.is_ok()).count(), 1);
    for (file, opened) in files.iter().zip(opened) {
        assert_eq!(file.exists(), opened.is_ok(), "no key is left that is of no use");
    }
}

async fn keys_change_while_in_use(database: Database) {
    const ROWS: usize = 130;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("instance-key");
    std::fs::write(&file, key_text(1)).unwrap();
    let source = || KeySource::File(file.clone());
    let (store, other) = (database.open_from(source()).await.unwrap(), database.open_from(source()).await.unwrap());
    let (own, second) = (workspace(), workspace());
    for n in 0..ROWS {
        put_secret(&store, own, &format!("f/v/n{n}"), "0").await;
    }
    put_database(&store, own, "f/r/db", "0").await;
    put_database(&store, second, "f/r/db", "of the second").await;
    let before = database.keys().await;
    std::fs::write(&file, format!("{}\n{}\n", key_text(2), key_text(1))).unwrap();

    let done = AtomicBool::new(false);
    // Two nodes write and read while a third thing rotates, several times.
    let work = async |store: &Store, of: usize| {
        let mut round = 0;
        while !done.load(Ordering::Relaxed) {
            round += 1;
            let at = format!("f/v/n{}", (round * 7 + of) % ROWS);
            put_secret(store, own, &at, &format!("{round}")).await;
            secret(store, own, &at).await;
            let db = format!("f/r/db{of}");
            put_database(store, own, &db, &round.to_string()).await;
            assert_eq!(password(store, own, &db).await, round.to_string());
            assert_eq!(password(store, second, "f/r/db").await, "of the second");
        }
        round
    };
    let rotate = async {
        let mut resealed = 0;
        for _ in 0..4 {
            let rotation = store.keys.rotate(tick()).await.unwrap();
            assert_eq!(rotation.workspaces, 2);
            resealed += rotation.resealed;
        }
        done.store(true, Ordering::Relaxed);
        resealed
    };
    let (resealed, one, two) = tokio::join!(rotate, work(&store, 1), work(&other, 2));
    assert!(resealed >= 4 * (ROWS as u64 / 2), "{resealed}");
    assert!(one > 0 && two > 0);
    for n in 0..ROWS {
        secret(&store, own, &format!("f/v/n{n}")).await;
    }
    let after = database.keys().await;
    assert_eq!(after.len(), before.len(), "no old key is left: {after:?}");
    let wrapped_by: BTreeSet<&String> = after.iter().map(|(_, by)| by).collect();
    assert_eq!(wrapped_by, BTreeSet::from([&store.keys.reload().await.unwrap()]));
    assert!(before.iter().all(|(_, by)| !wrapped_by.contains(by)));
    assert!(after.iter().all(|(number, _)| *number == 5));

    // The old instance key is of no use any more, and not needed.
    std::fs::write(&file, key_text(2)).unwrap();
    assert_eq!(secret(&database.open_from(source()).await.unwrap(), own, "f/v/n0").await, secret(&store, own, "f/v/n0").await);
    why(database.open_with(&key_text(1)).await);
    assert_eq!(database.deadlocks().await, 0);
}

/// A thief gives a wrapped key another number: nothing is sealed with it, and nothing is lost.
async fn a_key_that_was_moved_is_refused(database: Database) {
    let store = database.open_sealed().await;
    let own = workspace();
    put_secret(&store, own, "f/a/old", "old").await;
    store.keys.rotate(tick()).await.unwrap();
    put_secret(&store, own, "f/a/new", "new").await;
    let newer =
        "INSERT INTO workspace_keys SELECT workspace, number + 1, wrapped_by, wrapped, created_at FROM workspace_keys WHERE number = 2";
    let cut = database.open_sealed().await;
    database.execute(newer).await;
    assert!(matches!(cut.keys.rotate(tick()).await, Err(StoreError::Corrupt(_))), "a key that was not wrapped under its number");
    database.execute("DELETE FROM workspace_keys WHERE number = 3").await;
    assert_eq!(secret(&cut, own, "f/a/old").await, "old");
    assert_eq!(cut.keys.rotate(tick()).await.unwrap().resealed, 2);
    assert_eq!((secret(&cut, own, "f/a/old").await, secret(&cut, own, "f/a/new").await), ("old".into(), "new".into()));
}

async fn another_node_finds_the_new_key(database: Database) {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (folder.path().join("one"), folder.path().join("other"));
    for file in [&one, &other] {
        std::fs::write(file, key_text(1)).unwrap();
    }
    let first = database.open_from(KeySource::File(one.clone())).await.unwrap();
    let second = database.open_from(KeySource::File(other.clone())).await.unwrap();
    let own = workspace();
    put_secret(&first, own, "f/a/b", SECRET).await;
    let both = format!("{}\n{}", key_text(2), key_text(1));
    std::fs::write(&one, &both).unwrap();
    first.keys.rotate(tick()).await.unwrap();
    match second.variables.reveal(own, &path("f/a/b")).await {
        Err(StoreError::Keys(why)) => assert!(why.contains(&first.keys.reload().await.unwrap()), "{why}"),
        _ => panic!("its file has no such key"),
    }
    std::fs::write(&other, &both).unwrap();
    assert_eq!(secret(&second, own, "f/a/b").await, SECRET, "without being told");
    // A file that lacks what is needed changes nothing.
    std::fs::write(&other, key_text(3)).unwrap();
    assert!(matches!(second.keys.reload().await, Err(StoreError::Keys(_))));
    assert_eq!(secret(&second, own, "f/a/b").await, SECRET);
}

async fn a_stolen_database_shows_nothing(database: Database) {
    let store = database.open_sealed().await;
    let own = workspace();
    let plain = NewVariable {
        workspace: own,
        path: path("f/a/plain"),
        secret: false,
        text: Some("this can be found".into()),
        description: String::new(),
        by: "u/ann".into(),
        now: tick(),
    };
    store.variables.put(plain).await.unwrap().unwrap();
    put_secret(&store, own, "f/a/b", SECRET).await;
    put_database(&store, own, "f/r/db", SECRET).await;
    // Updates, kept secrets and rotations leave nothing behind either.
    put_secret(&store, own, "f/a/b", SECRET).await;
    put_database(&store, own, "f/r/db", SECRET).await;
    store.keys.rotate(tick()).await.unwrap();
    let dump = database.dump().await;
    let finds = |needle: &[u8]| dump.windows(needle.len()).any(|window| window == needle);
    assert!(finds(b"this can be found"), "what is plain is seen");
    let hex: String = SECRET.bytes().map(|byte| format!("{byte:02x}")).collect();
    for needle in [SECRET.as_bytes(), &SECRET.as_bytes()[..12], hex.as_bytes(), &[1; 32], key_text(1).as_bytes()] {
        assert!(!finds(needle), "{:?}", String::from_utf8_lossy(needle));
    }
    // Whatever comes before it, of its base64 some characters in the middle are the same.
    for skipped in 0..3 {
        let encoded = STANDARD.encode(&SECRET.as_bytes()[skipped..]);
        assert!(!finds(&encoded.as_bytes()[..24]));
    }
}
