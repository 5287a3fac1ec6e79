//! Lists of folders and of single paths: what they may hold, and how many there are.

use std::collections::BTreeMap;

use sandmill_model::{
    lent::{ItemKind, ItemList, Lent},
    people::{Level, Who},
    role::Role,
};
use sandmill_store::access::{AccessRefused, FOLDERS_MAX, ITEMS_MAX, ITEMS_OF_ONE_MAX, LIST_MAX, Listed};

use crate::{
    fixture::{Database, deployment, on_both, path, workspace},
    people::{folder, group, items, member, name, user},
};

on_both![entries_of_a_path_speak_of_kinds, lists_are_checked_and_bounded];

async fn entries_of_a_path_speak_of_kinds(database: Database) {
    let store = database.open().await;
    let own = workspace();
    for called in ["ann", "bob"] {
        user(&store, called).await;
        member(&store, own, called, Role::Developer).await;
    }
    store.groups.put(group(own, "ops", &["ann"])).await.unwrap().unwrap();
    let shown = path("f/closed/shown");
    for at in ["f/closed/shown", "f/closed/whole"] {
        store.scripts.deploy(deployment(own, at, "x")).await.unwrap();
    }
    let entries = [
        ("u/ann:scripts", Level::Writer),
        ("u/ann:variables", Level::Reader),
        ("g/ops:scripts", Level::Reader),
        ("g/ops:variables", Level::Writer),
        ("u/bob", Level::Reader),
        ("u/bob:blobs", Level::Writer),
    ];
    store.folders.put_item(own, &shown, items(&entries)).await.unwrap().unwrap();
    store.folders.put_item(own, &path("f/closed/whole"), items(&[("g/ops", Level::Reader)])).await.unwrap().unwrap();
    assert_eq!(store.folders.item(own, &shown).await.unwrap(), items(&entries));
    assert_eq!(store.folders.items(own, None, 1).await.unwrap(), [(shown.clone(), items(&entries))]);
    let standing = async |of: &str| store.members.standing(own, &name(of)).await.unwrap().unwrap().items;
    let of_ann = Lent::default().with(Some(ItemKind::Scripts), Level::Writer).with(Some(ItemKind::Variables), Level::Writer);
    assert_eq!(standing("ann").await, [(shown.clone(), of_ann), (path("f/closed/whole"), Lent::default().with(None, Level::Reader))]);
    let of_bob = Lent::default().with(None, Level::Reader).with(Some(ItemKind::Blobs), Level::Writer);
    assert_eq!(standing("bob").await, [(shown.clone(), of_bob)]);
    let listed = |path: &str, kind, level| Listed { path: path.to_owned(), kind, level };
    assert_eq!(
        store.groups.lists_with(own, &name("ops")).await.unwrap(),
        [
            listed("f/closed/shown", Some(ItemKind::Scripts), Level::Reader),
            listed("f/closed/shown", Some(ItemKind::Variables), Level::Writer),
            listed("f/closed/whole", None, Level::Reader),
        ]
    );
    store.folders.put_item(own, &shown, items(&[("u/ann:resources", Level::Reader)])).await.unwrap().unwrap();
    assert_eq!(standing("bob").await, [], "what is put replaces all that was there");
}

async fn lists_are_checked_and_bounded(database: Database) {
    let store = database.open().await;
    let (own, other) = (workspace(), workspace());
    user(&store, "ann").await;
    user(&store, "bob").await;
    member(&store, own, "ann", Role::Viewer).await;
    member(&store, other, "bob", Role::Viewer).await;
    store.groups.put(group(other, "ops", &["bob"])).await.unwrap().unwrap();
    for stranger in ["u/bob", "g/ops", "u/nobody"] {
        let unknown = AccessRefused::Unknown(stranger.parse::<Who>().unwrap());
        let entries = [("u/ann", Level::Reader), (stranger, Level::Reader)];
        assert_eq!(store.folders.put(folder(own, "x", &entries)).await.unwrap(), Err(unknown.clone()), "{stranger}");
        assert_eq!(store.folders.put_item(own, &path("f/x/y"), items(&entries)).await.unwrap(), Err(unknown), "{stranger}");
    }
    assert!(matches!(store.groups.put(group(own, "ops", &["bob"])).await.unwrap(), Err(AccessRefused::Unknown(_))));
    assert_eq!(store.folders.list(own, None, 10).await.unwrap(), []);
    assert_eq!(store.folders.item(own, &path("f/x/y")).await.unwrap(), BTreeMap::new());
    let long: ItemList = (0..=LIST_MAX).map(|number| (Who::User(name(&format!("u{number}"))).into(), Level::Reader)).collect();
    assert!(matches!(store.folders.put_item(own, &path("f/x/y"), long).await.unwrap(), Err(AccessRefused::TooMany(_))));
    for number in 0..FOLDERS_MAX {
        store.folders.put(folder(own, &format!("f{number}"), &[])).await.unwrap().unwrap();
    }
    assert!(matches!(store.folders.put(folder(own, "one-more", &[])).await.unwrap(), Err(AccessRefused::TooMany(_))));
    store.folders.put(folder(own, "f0", &[("u/ann", Level::Owner)])).await.unwrap().unwrap();
    let reader = || items(&[("u/ann", Level::Reader)]);
    let nothing = store.folders.put_item(own, &path("f/x0/nothing"), reader()).await.unwrap();
    assert_eq!(nothing, Err(AccessRefused::NothingThere));
    let share = async |at: String| {
        store.scripts.deploy(deployment(own, &at, "x")).await.unwrap();
        store.folders.put_item(own, &path(&at), reader()).await.unwrap()
    };
    for folder in 0..ITEMS_MAX / ITEMS_OF_ONE_MAX {
        for number in 0..ITEMS_OF_ONE_MAX {
            assert_eq!(share(format!("f/x{folder}/i{number}")).await, Ok(()));
        }
        // No folder has the places of others.
        assert!(matches!(share(format!("f/x{folder}/one-more")).await, Err(AccessRefused::TooMany(_))));
    }
    assert!(matches!(share("f/y/one-more".to_owned()).await, Err(AccessRefused::TooMany(_))));
    // Nor has whoever lends what is theirs.
    for number in 0..ITEMS_OF_ONE_MAX {
        assert_eq!(share(format!("u/cy/i{number}")).await, Ok(()));
    }
    assert!(matches!(share("u/cy/one-more".to_owned()).await, Err(AccessRefused::TooMany(_))));
    assert_eq!(share("u/cyx/x".to_owned()).await, Ok(()));
    store.folders.put_item(own, &path("f/x0/i0"), ItemList::new()).await.unwrap().unwrap();
    assert_eq!(share("f/y/one-more".to_owned()).await, Ok(()));

    let (mut after, mut found) = (None, Vec::new());
    loop {
        let page = store.folders.items(own, after.as_ref(), 7).await.unwrap();
        after = page.last().map(|(path, _)| path.clone());
        assert!(page.len() <= 7 && page.iter().all(|(_, entries)| *entries == reader()));
        found.extend(page.into_iter().map(|(path, _)| path.to_string()));
        if after.is_none() {
            break;
        }
    }
    assert_eq!(found.len(), usize::try_from(ITEMS_MAX + ITEMS_OF_ONE_MAX + 1).unwrap());
    assert!(found.is_sorted() && found.contains(&"f/y/one-more".to_owned()) && !found.contains(&"f/x0/i0".to_owned()));
    assert_eq!(store.folders.items(other, None, 7).await.unwrap(), []);
}
