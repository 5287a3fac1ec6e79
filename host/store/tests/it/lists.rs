//! Lists of folders and of single paths: what they may hold, and how many there are.

use std::collections::BTreeMap;

use sandmill_model::{
    lent::{ItemKind, ItemList, Lent},
    people::{Level, Who},
    role::Role,
};
use sandmill_store::access::{AccessList, AccessRefused, FOLDERS_MAX, ITEMS_MAX, ITEMS_OF_ONE_MAX, LIST_MAX, Listed, NewFolder};

use crate::{
    fixture::{Database, deployment, on_both, path, tick, workspace},
    people::{folder, group, items, list, member, name, user},
};

on_both![
    entries_of_a_path_speak_of_kinds,
    lists_are_checked_and_bounded,
    a_list_takes_the_place_of_the_one_that_was_read,
    of_two_lists_that_are_put_at_once_one_is_there,
];

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
    store.folders.put_item(own, &shown, items(&entries), None).await.unwrap().unwrap();
    store.folders.put_item(own, &path("f/closed/whole"), items(&[("g/ops", Level::Reader)]), None).await.unwrap().unwrap();
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
    store.folders.put_item(own, &shown, items(&[("u/ann:resources", Level::Reader)]), None).await.unwrap().unwrap();
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
        assert_eq!(store.folders.put_item(own, &path("f/x/y"), items(&entries), None).await.unwrap(), Err(unknown), "{stranger}");
    }
    assert!(matches!(store.groups.put(group(own, "ops", &["bob"])).await.unwrap(), Err(AccessRefused::Unknown(_))));
    assert_eq!(store.folders.list(own, None, 10).await.unwrap(), []);
    assert_eq!(store.folders.item(own, &path("f/x/y")).await.unwrap(), BTreeMap::new());
    let long: ItemList = (0..=LIST_MAX).map(|number| (Who::User(name(&format!("u{number}"))).into(), Level::Reader)).collect();
    assert!(matches!(store.folders.put_item(own, &path("f/x/y"), long, None).await.unwrap(), Err(AccessRefused::TooMany(_))));
    for number in 0..FOLDERS_MAX {
        store.folders.put(folder(own, &format!("f{number}"), &[])).await.unwrap().unwrap();
    }
    assert!(matches!(store.folders.put(folder(own, "one-more", &[])).await.unwrap(), Err(AccessRefused::TooMany(_))));
    store.folders.put(folder(own, "f0", &[("u/ann", Level::Owner)])).await.unwrap().unwrap();
    let reader = || items(&[("u/ann", Level::Reader)]);
    let nothing = store.folders.put_item(own, &path("f/x0/nothing"), reader(), None).await.unwrap();
    assert_eq!(nothing, Err(AccessRefused::NothingThere));
    let share = async |at: String| {
        store.scripts.deploy(deployment(own, &at, "x")).await.unwrap();
        store.folders.put_item(own, &path(&at), reader(), None).await.unwrap()
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
    store.folders.put_item(own, &path("f/x0/i0"), ItemList::new(), None).await.unwrap().unwrap();
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

async fn a_list_takes_the_place_of_the_one_that_was_read(database: Database) {
    let store = database.open().await;
    let (own, at) = (workspace(), path("f/x/y"));
    for called in ["ann", "bob"] {
        user(&store, called).await;
        member(&store, own, called, Role::Developer).await;
    }
    store.scripts.deploy(deployment(own, "f/x/y", "x")).await.unwrap();
    let (first, second) = ([("u/ann", Level::Reader)], [("u/ann", Level::Writer), ("u/bob", Level::Reader)]);
    let put = async |present: &[(&str, Level)], all: &[(&str, Level)]| {
        let new = NewFolder { present: Some(list(present)), ..folder(own, "x", all) };
        let of_folder = store.folders.put(new).await.unwrap().map(drop);
        let of_path = store.folders.put_item(own, &at, items(all), Some(items(present))).await.unwrap();
        assert_eq!(of_folder, of_path);
        of_path
    };
    assert_eq!(put(&first, &second).await, Err(AccessRefused::Changed), "nothing is there");
    assert_eq!(store.folders.find(own, &name("x")).await.unwrap(), None);
    assert_eq!(put(&[], &first).await, Ok(()));
    let others: [&[(&str, Level)]; 3] = [&[], &second, &[("u/ann", Level::Writer)]];
    for other in others {
        assert_eq!(put(other, &second).await, Err(AccessRefused::Changed), "{other:?}");
    }
    assert_eq!(store.folders.find(own, &name("x")).await.unwrap().unwrap().1, list(&first));
    assert_eq!(store.folders.item(own, &at).await.unwrap(), items(&first));
    assert_eq!(put(&first, &second).await, Ok(()));
    assert_eq!(put(&second, &[]).await, Ok(()));
    assert_eq!(store.folders.item(own, &at).await.unwrap(), ItemList::new());
}

async fn of_two_lists_that_are_put_at_once_one_is_there(database: Database) {
    let (one, other) = (database.open().await, database.open().await);
    let own = one.workspaces.ensure(workspace(), "lists", tick()).await.unwrap().id;
    for called in ["ann", "bob"] {
        user(&one, called).await;
        member(&one, own, called, Role::Developer).await;
    }
    let (ann, bob) = ([("u/ann", Level::Reader)], [("u/bob", Level::Reader)]);
    for _ in 0..20 {
        one.folders.put(folder(own, "x", &[])).await.unwrap().unwrap();
        let new = |all: &[(&str, Level)]| NewFolder { present: Some(AccessList::new()), ..folder(own, "x", all) };
        let (of_ann, of_bob) = tokio::join!(one.folders.put(new(&ann)), other.folders.put(new(&bob)));
        let expected = match (of_ann.unwrap().map(drop), of_bob.unwrap().map(drop)) {
            (Ok(()), Err(AccessRefused::Changed)) => list(&ann),
            (Err(AccessRefused::Changed), Ok(())) => list(&bob),
            both => panic!("{both:?}"),
        };
        assert_eq!(one.folders.find(own, &name("x")).await.unwrap().unwrap().1, expected);
    }
}
