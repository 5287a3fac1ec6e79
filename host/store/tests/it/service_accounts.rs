//! Service accounts, and who may have runs act as somebody.

use std::collections::BTreeSet;

use sandmill_model::{
    RunAs, WorkspaceId,
    people::{Name, Who},
    role::Role,
};
use sandmill_store::{
    Store,
    access::{AccessRefused, NewGroup},
    members::{MemberPut, NewMember},
    service_accounts::{NewServiceAccount, SERVICE_ACCOUNTS_MAX},
    users::{NewUser, UserChange},
};

use crate::fixture::{Database, on_both, tick, workspace};

on_both![
    accounts_belong_to_one_workspace,
    accounts_are_checked_and_bounded,
    lists_and_groups_say_who_may_use_what,
    whoever_goes_may_use_nothing,
    a_list_gives_no_more_than_a_role,
];

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

async fn member(store: &Store, workspace: WorkspaceId, called: &str, role: Role) {
    let new = NewUser {
        name: name(called),
        email: None,
        display_name: called.to_owned(),
        password: None,
        is_instance_admin: false,
        by: "u/admin".into(),
        now: tick(),
    };
    store.users.create(new).await.unwrap().unwrap();
    let new = NewMember { workspace, user: name(called), role, by: "u/admin".into(), now: tick() };
    assert_eq!(store.members.put(new).await.unwrap(), MemberPut::Done);
}

async fn group(store: &Store, workspace: WorkspaceId, called: &str, members: &[&str]) {
    let members = members.iter().map(|member| name(member)).collect();
    let new = NewGroup { workspace, name: name(called), description: String::new(), members, by: "u/admin".into(), now: tick() };
    store.groups.put(new).await.unwrap().unwrap();
}

fn account(workspace: WorkspaceId, called: &str, users: &[&str]) -> NewServiceAccount {
    NewServiceAccount {
        workspace,
        name: name(called),
        description: "for all ✓".to_owned(),
        scopes: vec!["runs:start:f/*!f/closed/".parse().unwrap(), "variables:read:f/a/*".parse().unwrap()],
        users: users.iter().map(|who| who.parse().unwrap()).collect(),
        by: "u/admin".into(),
        now: tick(),
    }
}

async fn may(store: &Store, workspace: WorkspaceId, wanted: &str, who: &str) -> bool {
    store.service_accounts.may_use(workspace, &wanted.parse::<RunAs>().unwrap(), who).await.unwrap()
}

async fn accounts_belong_to_one_workspace(database: Database) {
    let store = database.open().await;
    let (own, other) = (workspace(), workspace());
    member(&store, own, "ann", Role::Developer).await;
    let made = store.service_accounts.put(account(own, "b", &["u/ann"])).await.unwrap().unwrap();
    let ann: Who = "u/ann".parse().unwrap();
    assert_eq!(store.service_accounts.find(own, &name("b")).await.unwrap(), Some((made.clone(), vec![ann])));
    assert_eq!(store.service_accounts.find(other, &name("b")).await.unwrap(), None);
    for called in ["a", "c"] {
        store.service_accounts.put(account(own, called, &[])).await.unwrap().unwrap();
    }
    let names = async |of, after: Option<&str>, limit| {
        let after = after.map(name);
        let found = store.service_accounts.list(of, after.as_ref(), limit).await.unwrap();
        found.into_iter().map(|account| account.name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(names(own, None, 2).await, ["a", "b"]);
    assert_eq!(names(own, Some("b"), 2).await, ["c"]);
    assert!(names(other, None, 2).await.is_empty());
    let changed = NewServiceAccount { scopes: vec!["runs:read".parse().unwrap()], ..account(own, "b", &[]) };
    let changed = store.service_accounts.put(changed).await.unwrap().unwrap();
    assert_eq!(store.service_accounts.find(own, &name("b")).await.unwrap(), Some((changed, vec![])), "what was there is gone");
    assert!(!store.service_accounts.delete(other, &name("b")).await.unwrap());
    assert!(store.service_accounts.delete(own, &name("b")).await.unwrap());
    assert!(!store.service_accounts.delete(own, &name("b")).await.unwrap());
    assert_eq!(names(own, None, 5).await, ["a", "c"]);
}

async fn accounts_are_checked_and_bounded(database: Database) {
    let store = database.open().await;
    let own = workspace();
    let put = async |new: NewServiceAccount| store.service_accounts.put(new).await.unwrap();
    for who in ["u/nobody", "g/nobodies"] {
        assert_eq!(put(account(own, "a", &[who])).await, Err(AccessRefused::Unknown(who.parse().unwrap())), "{who}");
    }
    for bad in ["\0".to_owned(), "x".repeat(100_000)] {
        let refused = put(NewServiceAccount { description: bad, ..account(own, "a", &[]) }).await;
        assert!(matches!(refused, Err(AccessRefused::Invalid(_))), "{refused:?}");
    }
    let users: BTreeSet<Who> = (0..101).map(|n| format!("u/x{n}").parse().unwrap()).collect();
    assert!(matches!(put(NewServiceAccount { users, ..account(own, "a", &[]) }).await, Err(AccessRefused::TooMany(_))));
    for n in 0..SERVICE_ACCOUNTS_MAX {
        put(account(own, &format!("a{n}"), &[])).await.unwrap();
    }
    assert!(matches!(put(account(own, "b", &[])).await, Err(AccessRefused::TooMany(_))));
    put(account(own, "a0", &[])).await.unwrap();
}

async fn lists_and_groups_say_who_may_use_what(database: Database) {
    let store = database.open().await;
    let (own, other) = (workspace(), workspace());
    for (called, role) in [("ann", Role::Developer), ("bob", Role::Developer), ("cy", Role::Admin), ("dan", Role::Developer)] {
        member(&store, own, called, role).await;
    }
    member(&store, other, "eve", Role::Admin).await;
    group(&store, own, "ops", &["bob"]).await;
    store.service_accounts.put(account(own, "deployer", &["u/ann", "g/ops"])).await.unwrap().unwrap();
    for (wanted, who, expected) in [
        ("s/deployer", "u/ann", true),
        ("s/deployer", "u/bob", true),
        ("s/deployer", "u/cy", true),
        ("s/deployer", "u/admin", true),
        ("s/deployer", "u/dan", false),
        ("s/deployer", "u/eve", false),
        ("s/deployer", "u/nobody", false),
        ("s/deployer", "s/deployer", false),
        ("s/deployer", "g/ops", false),
        ("s/deployer", "u/ann\0", false),
        ("s/deployer", "", false),
        ("s/other", "u/cy", false),
        ("s/other", "u/admin", false),
        ("g/ops", "u/bob", true),
        ("g/ops", "u/ann", false),
        ("g/ops", "u/cy", true),
        ("g/other", "u/cy", false),
        ("u/ann", "u/ann", true),
        // Not even admins act as somebody else.
        ("u/ann", "u/cy", false),
        ("u/ann", "u/admin", false),
        ("u/admin", "u/admin", true),
        ("u/admin", "u/cy", false),
    ] {
        assert_eq!(may(&store, own, wanted, who).await, expected, "{who} as {wanted}");
    }
    for who in ["u/ann", "u/cy", "u/eve", "u/admin"] {
        assert!(!may(&store, other, "s/deployer", who).await, "{who}");
    }
    // An account is no path, and no folder.
    let standing = store.members.standing(own, &name("ann")).await.unwrap().unwrap();
    assert!(standing.folders.is_empty() && standing.items.is_empty(), "{standing:?}");
}

async fn whoever_goes_may_use_nothing(database: Database) {
    let store = database.open().await;
    let own = workspace();
    for called in ["ann", "bob", "cy", "dan"] {
        member(&store, own, called, Role::Developer).await;
    }
    group(&store, own, "ops", &["bob", "cy"]).await;
    store.service_accounts.put(account(own, "deployer", &["u/ann", "u/dan", "g/ops"])).await.unwrap().unwrap();
    let check = async |who: &str, expected: bool| assert_eq!(may(&store, own, "s/deployer", who).await, expected, "{who}");
    for who in ["u/ann", "u/bob", "u/cy", "u/dan"] {
        check(who, true).await;
    }
    store.members.remove(own, &name("ann")).await.unwrap();
    check("u/ann", false).await;
    assert!(!may(&store, own, "u/ann", "u/ann").await, "not even as themselves");
    let disabled = UserChange { is_disabled: Some(true), ..UserChange::default() };
    store.users.change(name("dan"), disabled.clone()).await.unwrap().unwrap();
    store.users.change(name("cy"), disabled).await.unwrap().unwrap();
    for who in ["u/dan", "u/cy"] {
        check(who, false).await;
        assert!(!may(&store, own, who, who).await && !may(&store, own, "g/ops", who).await, "{who}");
    }
    check("u/bob", true).await;
    store.groups.delete(own, &name("ops")).await.unwrap();
    check("u/bob", false).await;
    // A new one of the same name has a list of its own.
    store.service_accounts.delete(own, &name("deployer")).await.unwrap();
    store.service_accounts.put(account(own, "deployer", &[])).await.unwrap().unwrap();
    for who in ["u/ann", "u/bob", "u/cy", "u/dan"] {
        check(who, false).await;
    }
}

async fn a_list_gives_no_more_than_a_role(database: Database) {
    let store = database.open().await;
    let own = workspace();
    member(&store, own, "ann", Role::Developer).await;
    group(&store, own, "ops", &["ann"]).await;
    store.service_accounts.put(account(own, "listed", &["u/ann"])).await.unwrap().unwrap();
    store.service_accounts.put(account(own, "grouped", &["g/ops"])).await.unwrap().unwrap();
    for (role, expected) in
        [(Role::Operator, true), (Role::Viewer, false), (Role::Developer, true), (Role::Viewer, false), (Role::Admin, true)]
    {
        let new = NewMember { workspace: own, user: name("ann"), role, by: "u/admin".into(), now: tick() };
        assert_eq!(store.members.put(new).await.unwrap(), MemberPut::Done);
        for wanted in ["s/listed", "s/grouped", "g/ops"] {
            assert_eq!(may(&store, own, wanted, "u/ann").await, expected, "{role:?} {wanted}");
        }
        assert!(may(&store, own, "u/ann", "u/ann").await, "{role:?}");
    }
    let ann: Who = "u/ann".parse().unwrap();
    let (_, users) = store.service_accounts.find(own, &name("listed")).await.unwrap().unwrap();
    assert_eq!(users, [ann], "she stays on the list");
}
