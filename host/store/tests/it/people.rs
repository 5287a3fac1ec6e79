//! Users, sessions, members, groups, lists and invitations.

use std::{collections::BTreeMap, time::Duration};

use sandmill_model::{
    Timestamp, TokenId, WorkspaceId,
    auth::{Principal, Scope, TokenHash},
    lent::{ItemList, Lent},
    people::{Level, Name},
    role::{Role, Standing},
};
use sandmill_store::{
    Store,
    access::{AccessList, AccessRefused, Listed, NewFolder, NewGroup},
    members::{InvitationRefused, Invited, MemberPut, NewInvitation, NewMember, RoleChange},
    users::{BROUGHT_MAX, Carrier, NewSession, NewUser, SESSIONS_MAX, User, UserChange, UserRefused, Which},
    workspaces::Status,
};

use crate::fixture::{Database, deployment, on_both, path, tick, workspace};

on_both![
    users_have_names_of_their_own,
    nobody_takes_over_what_others_act_as,
    one_workspace_does_not_fill_the_installation,
    users_change,
    a_password_that_was_reset_stays,
    somebody_administers_the_installation,
    two_admins_take_each_others_right,
    a_session_lives_while_it_is_used,
    sessions_end_with_the_password_and_the_account,
    old_sessions_make_place,
    sessions_are_listed_and_ended,
    what_is_offered_is_taken_once,
    members_belong_to_one_workspace,
    lists_say_what_a_member_may_do,
    whoever_goes_is_on_no_list,
    whoever_goes_at_the_same_moment_is_on_no_list,
    an_invitation_is_good_once,
    an_invitation_is_as_good_as_whoever_made_it,
    nobody_comes_into_an_archived_workspace,
    two_accept_at_once,
    tokens_end_with_whom_they_act_as,
];

pub(crate) fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn new_user(called: &str) -> NewUser {
    NewUser {
        name: name(called),
        email: Some(format!("{called}@example.test")),
        display_name: format!("{called} ✓"),
        password: Some("phc of the first".to_owned()),
        is_instance_admin: false,
        by: "u/admin".into(),
        now: tick(),
    }
}

pub(crate) async fn user(store: &Store, called: &str) -> User {
    store.users.create(new_user(called)).await.unwrap().unwrap()
}

pub(crate) async fn member(store: &Store, workspace: WorkspaceId, called: &str, role: Role) {
    let new = NewMember { workspace, user: name(called), role, by: "u/admin".into(), now: tick() };
    assert_eq!(store.members.put(new).await.unwrap(), MemberPut::Done);
}

fn session(secret: &str, of: &str, now: Timestamp) -> NewSession {
    NewSession {
        hash: TokenHash::of(secret),
        id: TokenId::new(now),
        user: name(of),
        password: Some("phc of the first".to_owned()),
        carrier: Carrier::Cookie,
        now,
        idle_until: now.plus(Duration::from_secs(60)),
        expires_at: now.plus(Duration::from_secs(150)),
    }
}

pub(crate) fn list(all: &[(&str, Level)]) -> AccessList {
    all.iter().map(|(who, level)| (who.parse().unwrap(), *level)).collect()
}

pub(crate) fn items(all: &[(&str, Level)]) -> ItemList {
    all.iter().map(|(entry, level)| (entry.parse().unwrap(), *level)).collect()
}

pub(crate) fn folder(workspace: WorkspaceId, called: &str, all: &[(&str, Level)]) -> NewFolder {
    let (name, description, list) = (name(called), "for all ✓".to_owned(), list(all));
    NewFolder { workspace, name, description, list, present: None, by: "u/admin".into(), now: tick() }
}

pub(crate) fn group(workspace: WorkspaceId, called: &str, members: &[&str]) -> NewGroup {
    let members = members.iter().map(|member| name(member)).collect();
    NewGroup { workspace, name: name(called), description: String::new(), members, by: "u/admin".into(), now: tick() }
}

async fn users_have_names_of_their_own(database: Database) {
    let store = database.open().await;
    let ann = user(&store, "ann").await;
    assert_eq!((ann.name.as_str(), ann.email.as_deref(), ann.has_password), ("ann", Some("ann@example.test"), true));
    assert_eq!(store.users.find(&ann.name).await.unwrap(), Some(ann.clone()));
    assert_eq!(store.users.create(new_user("ann")).await.unwrap(), Err(UserRefused::NameTaken));
    let namesake = NewUser { email: ann.email.clone(), ..new_user("bob") };
    assert_eq!(store.users.create(namesake).await.unwrap(), Err(UserRefused::EmailTaken));
    for called in ["bob", "cy"] {
        store.users.create(NewUser { email: None, password: None, ..new_user(called) }).await.unwrap().unwrap();
    }
    for login in ["ann", "ann@example.test"] {
        let (found, password) = store.users.by_login(login).await.unwrap().unwrap();
        assert_eq!((found, password.as_deref()), (ann.clone(), Some("phc of the first")), "{login}");
    }
    for nobody in ["", "an", "Ann", "ann@example.tes", "a\0nn", "%"] {
        assert!(store.users.by_login(nobody).await.unwrap().is_none(), "{nobody:?}");
    }
    let names = async |after: Option<&str>, limit| {
        let after = after.map(name);
        let found = store.users.list(after.as_ref(), limit).await.unwrap();
        found.into_iter().map(|user| user.name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(names(None, 2).await, ["ann", "bob"]);
    assert_eq!(names(Some("bob"), 2).await, ["cy"]);
}

async fn nobody_takes_over_what_others_act_as(database: Database) {
    let store = database.open().await;
    let (own, other) = (workspace(), workspace());
    for (id, called) in [(own, "own"), (other, "other")] {
        store.workspaces.ensure(id, called, tick()).await.unwrap();
    }
    let principal =
        Principal { token: TokenId::new(tick()), workspace: Some(other), identity: "u/robot".into(), scopes: [Scope::all()].into() };
    store.tokens.put(TokenHash::of("robot"), &principal, "", tick()).await.unwrap();
    store.scripts.deploy(deployment(other, "u/home/x", "1")).await.unwrap();
    let accept = async |called: &str| {
        store.invitations.invite(invitation(own, called, tick())).await.unwrap();
        let accepted = store.invitations.accept(TokenHash::of(called), Invited::New(new_user(called)), tick()).await.unwrap();
        accepted.map(|joined| joined.user.name.to_string())
    };
    for taken in ["robot", "home"] {
        assert!(!store.users.is_free(&name(taken)).await.unwrap(), "{taken}");
        assert_eq!(accept(taken).await, Err(InvitationRefused::User(UserRefused::NameTaken)), "{taken}");
        assert_eq!(store.users.find(&name(taken)).await.unwrap(), None, "{taken}");
    }
    for free in ["robo", "ho", "home2", "robot.x"] {
        assert!(store.users.is_free(&name(free)).await.unwrap(), "{free}");
        assert_eq!(accept(free).await.as_deref(), Ok(free));
    }
    // Whoever administers the installation knows what they do.
    user(&store, "robot").await;
    user(&store, "home").await;
}

async fn one_workspace_does_not_fill_the_installation(database: Database) {
    let store = database.open().await;
    let (own, other) = (workspace(), workspace());
    let accept = async |of: WorkspaceId, called: &str| {
        store.invitations.invite(invitation(of, called, tick())).await.unwrap();
        let new = NewUser { email: None, ..new_user(called) };
        store.invitations.accept(TokenHash::of(called), Invited::New(new), tick()).await.unwrap().map(drop)
    };
    for number in 0..BROUGHT_MAX {
        assert_eq!(accept(own, &format!("u{number}")).await, Ok(()));
    }
    // Out of the workspace is not out of the installation.
    store.members.remove(own, &name("u0")).await.unwrap();
    assert_eq!(accept(own, "one-more").await, Err(InvitationRefused::User(UserRefused::TooMany)));
    assert_eq!(accept(other, "of-others").await, Ok(()));
    user(&store, "ann").await;
}

async fn users_change(database: Database) {
    let store = database.open().await;
    let ann = user(&store, "ann").await;
    user(&store, "bob").await;
    let change = async |change: UserChange| store.users.change(name("ann"), change).await.unwrap();
    assert_eq!(change(UserChange::default()).await, Ok(Some(ann.clone())));
    let taken = UserChange { email: Some(Some("bob@example.test".to_owned())), ..UserChange::default() };
    assert_eq!(change(taken).await, Err(UserRefused::EmailTaken));
    let changed = UserChange {
        email: Some(None),
        display_name: Some("Anna".to_owned()),
        is_instance_admin: Some(true),
        is_disabled: Some(true),
        ..UserChange::default()
    };
    let expected = User { email: None, display_name: "Anna".to_owned(), is_instance_admin: true, is_disabled: true, ..ann };
    assert_eq!(change(changed).await, Ok(Some(expected)));
    assert_eq!(store.users.by_login("ann").await.unwrap().unwrap().1.as_deref(), Some("phc of the first"), "what is not named stays");
    assert_eq!(store.users.change(name("nobody"), UserChange::default()).await.unwrap(), Ok(None));
}

async fn a_password_that_was_reset_stays(database: Database) {
    let store = database.open().await;
    user(&store, "ann").await;
    let kept = async || store.users.by_login("ann").await.unwrap().unwrap().1;
    let change = async |password: &str, was: Option<&str>| {
        let (password, password_was) = (Some(password.to_owned()), was.map(str::to_owned));
        store.users.change(name("ann"), UserChange { password, password_was, ..UserChange::default() }).await.unwrap()
    };
    change("phc of the admin", None).await.unwrap().unwrap();
    assert_eq!(change("phc of a thief", Some("phc of the first")).await, Err(UserRefused::PasswordChanged));
    assert_eq!(kept().await.as_deref(), Some("phc of the admin"));
    change("phc of the second", Some("phc of the admin")).await.unwrap().unwrap();
    assert_eq!(kept().await.as_deref(), Some("phc of the second"));
}

fn admin(is_instance_admin: bool) -> UserChange {
    UserChange { is_instance_admin: Some(is_instance_admin), ..UserChange::default() }
}

fn disabled(is_disabled: bool) -> UserChange {
    UserChange { is_disabled: Some(is_disabled), ..UserChange::default() }
}

async fn somebody_administers_the_installation(database: Database) {
    let store = database.open().await;
    for called in ["ann", "bob", "cy"] {
        user(&store, called).await;
    }
    let change = async |of: &str, change: UserChange| store.users.change(name(of), change).await.unwrap().map(drop);
    for of in ["ann", "bob"] {
        assert_eq!(change(of, admin(true)).await, Ok(()));
    }
    assert_eq!(change("bob", disabled(true)).await, Ok(()));
    for change_of_ann in [admin(false), disabled(true)] {
        assert_eq!(change("ann", change_of_ann).await, Err(UserRefused::LastAdmin), "bob cannot log in");
    }
    assert!(store.users.find(&name("ann")).await.unwrap().is_some_and(|ann| ann.is_instance_admin && !ann.is_disabled));
    // Who administers nothing, or stays as they are, is no matter.
    assert_eq!((change("cy", disabled(true)).await, change("ann", admin(true)).await), (Ok(()), Ok(())));
    assert_eq!(change("bob", disabled(false)).await, Ok(()));
    assert_eq!((change("ann", admin(false)).await, change("bob", admin(false)).await), (Ok(()), Err(UserRefused::LastAdmin)));
}

async fn two_admins_take_each_others_right(database: Database) {
    let (one, other) = (database.open().await, database.open().await);
    for called in ["ann", "bob"] {
        one.users.create(NewUser { is_instance_admin: true, ..new_user(called) }).await.unwrap().unwrap();
    }
    let (ann, bob) = tokio::join!(one.users.change(name("ann"), admin(false)), other.users.change(name("bob"), disabled(true)));
    let (ann, bob) = (ann.unwrap(), bob.unwrap());
    assert_ne!(ann.is_ok(), bob.is_ok(), "{ann:?} {bob:?}");
}

async fn a_session_lives_while_it_is_used(database: Database) {
    let store = database.open().await;
    let ann = user(&store, "ann").await;
    let (now, hash) = (tick(), TokenHash::of("secret"));
    let at = |seconds| now.plus(Duration::from_secs(seconds));
    assert!(store.sessions.open(session("secret", "ann", now)).await.unwrap());
    let found = store.sessions.find(hash, now).await.unwrap().unwrap();
    assert_eq!((found.user, found.carrier, found.expires_at), (ann, Carrier::Cookie, at(150)));
    assert_eq!(store.sessions.find(TokenHash::of("other"), now).await.unwrap(), None);
    assert!(store.sessions.find(hash, at(59)).await.unwrap().is_some() && store.sessions.find(hash, at(60)).await.unwrap().is_none());
    store.sessions.prolong(hash, at(50), Duration::from_secs(60)).await.unwrap();
    store.sessions.prolong(hash, at(40), Duration::from_secs(60)).await.unwrap();
    assert!(store.sessions.find(hash, at(109)).await.unwrap().is_some() && store.sessions.find(hash, at(110)).await.unwrap().is_none());
    store.sessions.prolong(hash, at(100), Duration::from_secs(600)).await.unwrap();
    assert!(store.sessions.find(hash, at(149)).await.unwrap().is_some(), "used");
    assert_eq!(store.sessions.find(hash, at(150)).await.unwrap(), None, "however much it is used");
    assert!(store.sessions.end(hash).await.unwrap() && !store.sessions.end(hash).await.unwrap());
    assert_eq!(store.sessions.find(hash, now).await.unwrap(), None);
}

async fn sessions_end_with_the_password_and_the_account(database: Database) {
    let store = database.open().await;
    user(&store, "ann").await;
    user(&store, "bob").await;
    let now = tick();
    let lives = async |secret: &str| store.sessions.find(TokenHash::of(secret), now).await.unwrap().is_some();
    for (secret, of) in [("one", "ann"), ("two", "ann"), ("of bob", "bob")] {
        assert!(store.sessions.open(session(secret, of, now)).await.unwrap());
    }
    let change = async |change: UserChange| drop(store.users.change(name("ann"), change).await.unwrap().unwrap().unwrap());
    change(UserChange { display_name: Some("Anna".to_owned()), ..UserChange::default() }).await;
    assert!(lives("one").await);
    change(UserChange { password: Some("phc of the second".to_owned()), ..UserChange::default() }).await;
    assert!(!lives("one").await && !lives("two").await && lives("of bob").await);
    assert!(!store.sessions.open(session("late", "ann", now)).await.unwrap(), "the password that was shown is not hers any more");
    let with_new = || NewSession { password: Some("phc of the second".to_owned()), ..session("three", "ann", now) };
    assert!(store.sessions.open(with_new()).await.unwrap() && lives("three").await);
    change(UserChange { is_disabled: Some(true), ..UserChange::default() }).await;
    assert!(!lives("three").await && !store.sessions.open(with_new()).await.unwrap());
    assert!(!store.sessions.open(session("of nobody", "nobody", now)).await.unwrap());
    change(UserChange { is_disabled: Some(false), ..UserChange::default() }).await;
    assert!(!lives("three").await, "what has ended does not come back");
}

async fn old_sessions_make_place(database: Database) {
    let store = database.open().await;
    user(&store, "ann").await;
    let began = tick();
    for number in 0..=SESSIONS_MAX {
        assert!(store.sessions.open(session(&number.to_string(), "ann", tick())).await.unwrap());
    }
    let lives = async |number: u32| store.sessions.find(TokenHash::of(&number.to_string()), began).await.unwrap().is_some();
    assert!(!lives(0).await && lives(1).await && lives(SESSIONS_MAX).await);
}

async fn sessions_are_listed_and_ended(database: Database) {
    let store = database.open().await;
    for called in ["ann", "bob"] {
        user(&store, called).await;
    }
    let mut ids = Vec::new();
    let began = tick();
    for (secret, of) in [("one", "ann"), ("two", "ann"), ("of bob", "bob"), ("three", "ann")] {
        let new = session(secret, of, tick());
        ids.push(new.id);
        assert!(store.sessions.open(new).await.unwrap());
    }
    let [one, two, of_bob, three] = ids[..] else { panic!("{ids:?}") };
    let listed = async |of: &str, before: Option<TokenId>, limit: u32, now: Timestamp| {
        let found = store.sessions.of_user(&name(of), before, limit, now).await.unwrap();
        found.into_iter().map(|session| session.id).collect::<Vec<_>>()
    };
    assert_eq!(listed("ann", None, 10, began).await, [three, two, one]);
    assert_eq!(listed("ann", None, 1, began).await, [three]);
    assert_eq!(listed("ann", Some(three), 10, began).await, [two, one]);
    assert_eq!(listed("bob", None, 10, began).await, [of_bob]);
    assert!(listed("nobody", None, 10, began).await.is_empty());
    assert!(listed("ann", None, 10, began.plus(Duration::from_secs(300))).await.is_empty(), "they have ended by themselves");
    let end = async |of: &str, which: Which| store.sessions.end_of(name(of), which).await.unwrap();
    assert!(end("bob", Which::One(one)).await.is_empty(), "it is another's");
    assert_eq!(end("ann", Which::One(one)).await, [TokenHash::of("one")]);
    assert!(end("ann", Which::One(one)).await.is_empty());
    assert_eq!(end("ann", Which::AllBut(three)).await, [TokenHash::of("two")]);
    assert_eq!(listed("ann", None, 10, began).await, [three]);
    assert!(store.sessions.find(TokenHash::of("two"), began).await.unwrap().is_none());
    assert_eq!(end("ann", Which::All).await, [TokenHash::of("three")]);
    assert_eq!(listed("bob", None, 10, began).await, [of_bob]);
}

async fn what_is_offered_is_taken_once(database: Database) {
    let store = database.open().await;
    user(&store, "ann").await;
    let now = tick();
    let (code, at) = (TokenHash::of("code"), |seconds| now.plus(Duration::from_secs(seconds)));
    let offer = async |of: &str| store.sessions.offer(NewSession { password: None, ..session("code", of, now) }).await.unwrap();
    assert!(offer("ann").await && !offer("nobody").await);
    assert_eq!(store.sessions.find(code, now).await.unwrap(), None, "it is no session");
    assert!(store.sessions.of_user(&name("ann"), None, 10, now).await.unwrap().is_empty());
    assert_eq!(store.sessions.take(TokenHash::of("other"), now).await.unwrap(), None);
    assert_eq!(store.sessions.take(code, at(150)).await.unwrap(), None, "too late");
    let (one, other) = tokio::join!(store.sessions.take(code, at(149)), store.sessions.take(code, at(149)));
    let taken: Vec<Name> = [one.unwrap(), other.unwrap()].into_iter().flatten().collect();
    assert_eq!(taken, [name("ann")], "once");
    // A session is no code, and ends of sessions are ends of what was offered.
    assert!(store.sessions.open(session("secret", "ann", now)).await.unwrap());
    assert_eq!(store.sessions.take(TokenHash::of("secret"), now).await.unwrap(), None);
    assert!(offer("ann").await);
    store.sessions.end_of(name("ann"), Which::All).await.unwrap();
    assert_eq!(store.sessions.take(code, now).await.unwrap(), None);
}

async fn members_belong_to_one_workspace(database: Database) {
    let store = database.open().await;
    let (own, other) = (workspace(), workspace());
    for (id, called) in [(own, "own"), (other, "other")] {
        store.workspaces.ensure(id, called, tick()).await.unwrap();
    }
    user(&store, "ann").await;
    user(&store, "bob").await;
    member(&store, own, "ann", Role::Viewer).await;
    member(&store, own, "ann", Role::Developer).await;
    member(&store, other, "ann", Role::Admin).await;
    member(&store, own, "bob", Role::Operator).await;
    let nobody = NewMember { workspace: own, user: name("nobody"), role: Role::Admin, by: "u/admin".into(), now: tick() };
    assert_eq!(store.members.put(nobody).await.unwrap(), MemberPut::NoSuchUser);
    let found = store.members.find(own, &name("ann")).await.unwrap().unwrap();
    assert_eq!((found.role, found.display_name.as_str(), found.is_disabled), (Role::Developer, "ann ✓", false));
    assert_eq!(store.members.find(other, &name("bob")).await.unwrap(), None);
    assert_eq!(store.members.standing(other, &name("bob")).await.unwrap(), None);
    let listed = store.members.list(own, None, 10).await.unwrap();
    assert_eq!(listed.iter().map(|member| member.user.as_str()).collect::<Vec<_>>(), ["ann", "bob"]);
    assert_eq!(store.members.list(own, Some(&name("ann")), 10).await.unwrap(), listed[1..]);
    let of_ann = store.members.workspaces_of(&name("ann"), 10).await.unwrap();
    assert_eq!(of_ann, [("other".to_owned(), Role::Admin), ("own".to_owned(), Role::Developer)]);
    assert!(store.members.remove(own, &name("ann")).await.unwrap() && !store.members.remove(own, &name("ann")).await.unwrap());
    assert!(store.members.find(other, &name("ann")).await.unwrap().is_some());
}

async fn lists_say_what_a_member_may_do(database: Database) {
    let store = database.open().await;
    let (own, other) = (workspace(), workspace());
    for called in ["ann", "bob"] {
        user(&store, called).await;
        member(&store, own, called, Role::Developer).await;
        member(&store, other, called, Role::Developer).await;
    }
    store.groups.put(group(own, "ops", &["ann"])).await.unwrap().unwrap();
    for new in [
        folder(own, "billing", &[("u/ann", Level::Reader), ("g/ops", Level::Writer)]),
        folder(own, "closed", &[("u/bob", Level::Owner)]),
        folder(other, "of-others", &[("u/ann", Level::Owner)]),
    ] {
        store.folders.put(new).await.unwrap().unwrap();
    }
    store.scripts.deploy(deployment(own, "f/closed/shown", "x")).await.unwrap();
    store.folders.put_item(own, &path("f/closed/shown"), items(&[("g/ops", Level::Reader)]), None).await.unwrap().unwrap();
    let standing = async |of: &str| store.members.standing(own, &name(of)).await.unwrap().unwrap();
    let expected = Standing {
        role: Role::Developer,
        folders: vec![(name("billing"), Some(Level::Writer)), (name("closed"), None)],
        items: vec![(path("f/closed/shown"), Lent::default().with(None, Level::Reader))],
    };
    assert_eq!(standing("ann").await, expected);
    let expected = Standing { folders: vec![(name("billing"), None), (name("closed"), Some(Level::Owner))], items: Vec::new(), ..expected };
    assert_eq!(standing("bob").await, expected);

    let with = store.groups.lists_with(own, &name("ops")).await.unwrap();
    let listed = |path: &str, level| Listed { path: path.to_owned(), kind: None, level };
    assert_eq!(with, [listed("f/billing", Level::Writer), listed("f/closed/shown", Level::Reader)]);
    assert_eq!(store.groups.lists_with(other, &name("ops")).await.unwrap(), []);
    let (found, entries) = store.folders.find(own, &name("billing")).await.unwrap().unwrap();
    assert_eq!((found.description.as_str(), entries), ("for all ✓", list(&[("u/ann", Level::Reader), ("g/ops", Level::Writer)])));
    assert_eq!(store.folders.find(other, &name("billing")).await.unwrap(), None);
    assert_eq!(store.folders.list(own, Some(&name("billing")), 10).await.unwrap().len(), 1);
    assert_eq!(store.folders.item(other, &path("f/closed/shown")).await.unwrap(), BTreeMap::new());
    assert_eq!(store.folders.item(own, &path("f/closed/shown")).await.unwrap(), items(&[("g/ops", Level::Reader)]));

    store.groups.put(group(own, "ops", &["bob"])).await.unwrap().unwrap();
    assert_eq!(standing("ann").await.folders[0].1, Some(Level::Reader), "no longer as one of the group");
    assert!(store.groups.delete(own, &name("ops")).await.unwrap() && !store.groups.delete(own, &name("ops")).await.unwrap());
    store.groups.put(group(own, "ops", &["bob"])).await.unwrap().unwrap();
    assert_eq!(standing("bob").await.folders[0].1, None, "a new group of the same name is on no list");
    assert!(store.folders.delete(own, &name("closed")).await.unwrap() && !store.folders.delete(own, &name("closed")).await.unwrap());
    assert_eq!(standing("bob").await.folders, [(name("billing"), None)]);
    assert_eq!(store.members.standing(other, &name("ann")).await.unwrap().unwrap().folders, [(name("of-others"), Some(Level::Owner))]);
}

async fn whoever_goes_is_on_no_list(database: Database) {
    let store = database.open().await;
    let own = workspace();
    user(&store, "ann").await;
    member(&store, own, "ann", Role::Developer).await;
    store.groups.put(group(own, "ops", &["ann"])).await.unwrap().unwrap();
    store.folders.put(folder(own, "billing", &[("u/ann", Level::Owner), ("g/ops", Level::Writer)])).await.unwrap().unwrap();
    user(&store, "bob").await;
    member(&store, own, "bob", Role::Developer).await;
    for at in ["u/ann/x", "u/ann2/x"] {
        store.scripts.deploy(deployment(own, at, "x")).await.unwrap();
        store.folders.put_item(own, &path(at), items(&[("u/bob", Level::Reader)]), None).await.unwrap().unwrap();
    }
    store.members.remove(own, &name("ann")).await.unwrap();
    assert_eq!(store.folders.item(own, &path("u/ann/x")).await.unwrap(), BTreeMap::new(), "what she lent");
    assert_eq!(store.folders.item(own, &path("u/ann2/x")).await.unwrap().len(), 1);
    member(&store, own, "ann", Role::Developer).await;
    assert_eq!(store.members.standing(own, &name("ann")).await.unwrap().unwrap().folders, [(name("billing"), None)]);
    assert_eq!(store.groups.find(own, &name("ops")).await.unwrap().unwrap().1, []);
}

async fn whoever_goes_at_the_same_moment_is_on_no_list(database: Database) {
    let (one, other) = (database.open().await, database.open().await);
    let own = workspace();
    user(&one, "ann").await;
    user(&one, "bob").await;
    member(&one, own, "bob", Role::Viewer).await;
    for _ in 0..20 {
        member(&one, own, "ann", Role::Developer).await;
        one.groups.put(group(own, "lent", &[])).await.unwrap().unwrap();
        let (put, shared, lent, removed, deleted) = tokio::join!(
            one.groups.put(group(own, "ops", &["ann", "bob"])),
            one.folders.put(folder(own, "billing", &[("u/ann", Level::Owner), ("u/bob", Level::Reader)])),
            one.folders.put(folder(own, "lent", &[("g/lent", Level::Owner)])),
            async { other.members.remove(own, &name("ann")).await },
            async { other.groups.delete(own, &name("lent")).await },
        );
        let ann = AccessRefused::Unknown("u/ann".parse().unwrap());
        for refused in [put.unwrap().err(), shared.unwrap().err()].into_iter().flatten() {
            assert_eq!(refused, ann);
        }
        let refused = lent.unwrap().err();
        assert!(refused.is_none_or(|refused| refused == AccessRefused::Unknown("g/lent".parse().unwrap())));
        assert!(removed.unwrap() && deleted.unwrap());
        if let Some((_, members)) = one.groups.find(own, &name("ops")).await.unwrap() {
            assert!(!members.contains(&name("ann")), "{members:?}");
        }
        for called in ["billing", "lent"] {
            if let Some((_, entries)) = one.folders.find(own, &name(called)).await.unwrap() {
                assert!(entries.keys().all(|who| who.to_string() == "u/bob"), "{entries:?}");
            }
        }
    }
}

fn invitation(workspace: WorkspaceId, secret: &str, now: Timestamp) -> NewInvitation {
    let (id, expires_at) = (TokenId::new(now), now.plus(Duration::from_secs(60)));
    let (hash, by) = (TokenHash::of(secret), "u/admin".into());
    NewInvitation { workspace, id, hash, role: Role::Operator, by, is_by_operator: false, now, expires_at }
}

async fn an_invitation_is_good_once(database: Database) {
    let store = database.open().await;
    let (own, now) = (workspace(), tick());
    user(&store, "ann").await;
    let accept = async |secret: &str, invited, now| store.invitations.accept(TokenHash::of(secret), invited, now).await.unwrap();
    store.invitations.invite(invitation(own, "one", now)).await.unwrap();
    assert!(store.invitations.is_good(TokenHash::of("one"), now).await.unwrap());
    assert_eq!(accept("none", Invited::New(new_user("bob")), now).await, Err(InvitationRefused::NotGood));
    let late = now.plus(Duration::from_secs(60));
    assert_eq!(accept("one", Invited::New(new_user("bob")), late).await, Err(InvitationRefused::NotGood));
    assert_eq!(accept("one", Invited::New(new_user("ann")), now).await, Err(InvitationRefused::User(UserRefused::NameTaken)));
    assert_eq!(accept("one", Invited::Known(name("nobody")), now).await, Err(InvitationRefused::NotGood));
    assert_eq!(store.users.find(&name("bob")).await.unwrap(), None, "nothing is left of what was refused");
    let bob = accept("one", Invited::New(new_user("bob")), now).await.unwrap();
    assert!(!bob.user.is_instance_admin && bob.is_new);
    assert_eq!(bob.became, RoleChange { workspace: own, before: None, after: Some(Role::Operator) });
    assert_eq!(store.invitations.find(own, bob.invitation).await.unwrap().unwrap().used_by, Some(name("bob")));
    assert_eq!(store.members.find(own, &name("bob")).await.unwrap().unwrap().role, Role::Operator);
    assert!(!store.invitations.is_good(TokenHash::of("one"), now).await.unwrap());
    assert_eq!(accept("one", Invited::New(new_user("cy")), now).await, Err(InvitationRefused::NotGood));
    assert_eq!(store.users.find(&name("cy")).await.unwrap(), None);

    let second = invitation(own, "two", tick());
    store.invitations.invite(second.clone()).await.unwrap();
    assert_eq!(accept("two", Invited::Known(name("bob")), now).await, Err(InvitationRefused::IsMember));
    let ann = accept("two", Invited::Known(name("ann")), now).await.unwrap();
    assert_eq!((ann.user.name, ann.is_new, ann.invitation), (name("ann"), false, second.id));
    let third = invitation(own, "three", tick());
    store.invitations.invite(third.clone()).await.unwrap();
    let listed = store.invitations.invitations(own, None, 10).await.unwrap();
    let used: Vec<_> = listed.iter().map(|each| each.used_by.as_ref().map(Name::as_str)).collect();
    assert_eq!(used, [None, Some("ann"), Some("bob")]);
    assert_eq!(store.invitations.invitations(own, Some(second.id), 10).await.unwrap(), listed[2..]);
    assert_eq!(store.invitations.invitations(workspace(), None, 10).await.unwrap(), []);
    assert_eq!(store.invitations.find(own, third.id).await.unwrap().as_ref(), listed.iter().find(|listed| listed.id == third.id));
    assert_eq!(store.invitations.find(workspace(), third.id).await.unwrap(), None);
    assert!(!store.invitations.withdraw(workspace(), third.id).await.unwrap());
    assert!(store.invitations.withdraw(own, third.id).await.unwrap());
    assert_eq!(accept("three", Invited::New(new_user("cy")), now).await, Err(InvitationRefused::NotGood));
}

async fn an_invitation_is_as_good_as_whoever_made_it(database: Database) {
    let store = database.open().await;
    let (own, other) = (workspace(), workspace());
    for called in ["ann", "bob", "cy", "boss"] {
        user(&store, called).await;
    }
    store.users.change(name("boss"), admin(true)).await.unwrap().unwrap();
    member(&store, own, "ann", Role::Admin).await;
    member(&store, own, "bob", Role::Developer).await;
    member(&store, other, "cy", Role::Admin).await;
    let by = |secret: &str, by: &str, is_by_operator| NewInvitation { by: by.into(), is_by_operator, ..invitation(own, secret, tick()) };
    let is_good = async |secret: &str| store.invitations.is_good(TokenHash::of(secret), tick()).await.unwrap();
    for (of, is_by_operator, expected) in [
        ("u/ann", false, true),
        ("u/boss", false, true),
        ("u/admin", false, true),
        ("u/bob", false, false),
        ("u/bob", true, false),
        ("u/cy", false, false),
        ("u/nobody", false, false),
        ("u/nobody", true, true),
        ("s/deployer", false, false),
        ("s/deployer", true, true),
        ("u/a\0", false, false),
    ] {
        let secret = format!("{of} {is_by_operator}");
        assert_eq!(store.invitations.invite(by(&secret, of, is_by_operator)).await.unwrap(), expected, "{secret:?}");
        assert_eq!(is_good(&secret).await, expected, "{secret:?}");
    }
    // Nobody who is put out comes back by what they left behind, nor with a lesser role, nor disabled.
    let comes_back = async || {
        let (hash, invited) = (TokenHash::of("u/ann false"), Invited::New(new_user("mallory")));
        (is_good("u/ann false").await, store.invitations.accept(hash, invited, tick()).await.unwrap().map(drop))
    };
    let refused = (false, Err(InvitationRefused::NotGood));
    store.members.remove(own, &name("ann")).await.unwrap();
    assert_eq!(comes_back().await, refused, "removed");
    member(&store, own, "ann", Role::Developer).await;
    assert_eq!(comes_back().await, refused, "a developer");
    member(&store, own, "ann", Role::Admin).await;
    store.users.change(name("ann"), disabled(true)).await.unwrap().unwrap();
    assert_eq!(comes_back().await, refused, "disabled");
    assert_eq!(store.users.find(&name("mallory")).await.unwrap(), None);
    // Whoever is a user from now on needs the right as one.
    user(&store, "nobody").await;
    assert!(!is_good("u/nobody true").await && is_good("u/boss false").await);
}

async fn nobody_comes_into_an_archived_workspace(database: Database) {
    let store = database.open().await;
    let (own, now) = (workspace(), tick());
    store.workspaces.ensure(own, "own", now).await.unwrap();
    store.invitations.invite(invitation(own, "one", now)).await.unwrap();
    let accept = async || {
        let invited = Invited::New(new_user("bob"));
        store.invitations.accept(TokenHash::of("one"), invited, now).await.unwrap().map(|joined| joined.is_new)
    };
    store.workspaces.change_status(own, Status::Archived, now).await.unwrap().unwrap();
    assert!(!store.invitations.is_good(TokenHash::of("one"), now).await.unwrap());
    assert_eq!(accept().await, Err(InvitationRefused::NotGood));
    assert_eq!(store.users.find(&name("bob")).await.unwrap(), None);
    store.workspaces.change_status(own, Status::Active, now).await.unwrap().unwrap();
    assert_eq!(accept().await, Ok(true), "it was not used up");
}

async fn two_accept_at_once(database: Database) {
    let (one, other) = (database.open().await, database.open().await);
    let (own, now) = (workspace(), tick());
    one.invitations.invite(invitation(own, "secret", now)).await.unwrap();
    let accept = |store: &Store, called: &str| {
        let (invitations, invited) = (store.invitations.clone(), Invited::New(new_user(called)));
        async move { invitations.accept(TokenHash::of("secret"), invited, now).await.unwrap() }
    };
    let (ann, bob) = tokio::join!(accept(&one, "ann"), accept(&other, "bob"));
    assert_ne!(ann.is_ok(), bob.is_ok(), "{ann:?} {bob:?}");
    assert_eq!(one.members.list(own, None, 10).await.unwrap().len(), 1);
    assert_eq!(one.users.list(None, 10).await.unwrap().len(), 1);
}

async fn tokens_end_with_whom_they_act_as(database: Database) {
    let store = database.open().await;
    let (own, other) = (workspace(), workspace());
    let put = async |secret: &str, identity: &str, workspace: Option<WorkspaceId>| {
        let principal = Principal { token: TokenId::new(tick()), workspace, identity: identity.into(), scopes: [Scope::all()].into() };
        store.tokens.put(TokenHash::of(secret), &principal, "", tick()).await.unwrap();
    };
    put("own", "u/ann", Some(own)).await;
    put("of the installation", "u/ann", None).await;
    put("of a group", "g/ann", Some(own)).await;
    put("of the operator", "u/admin", None).await;
    let good = async || {
        let mut good = Vec::new();
        for secret in ["own", "of the installation", "of a group", "of the operator"] {
            good.extend(store.tokens.by_hash(TokenHash::of(secret)).await.unwrap().map(|_| secret));
        }
        good
    };
    let all = ["own", "of the installation", "of a group", "of the operator"];
    let others = ["of a group", "of the operator"];
    let change = async |change: UserChange| drop(store.users.change(name("ann"), change).await.unwrap().unwrap().unwrap());
    assert_eq!(good().await, all, "there is no such user");
    user(&store, "ann").await;
    assert_eq!(good().await, others);
    member(&store, other, "ann", Role::Admin).await;
    assert_eq!(good().await, others, "a member of another workspace");
    member(&store, own, "ann", Role::Viewer).await;
    assert_eq!(good().await, ["own", "of a group", "of the operator"]);
    change(UserChange { is_instance_admin: Some(true), ..UserChange::default() }).await;
    store.members.remove(own, &name("ann")).await.unwrap();
    assert_eq!(good().await, all);
    // The last one stays.
    store.users.create(NewUser { is_instance_admin: true, ..new_user("boss") }).await.unwrap().unwrap();
    change(UserChange { is_disabled: Some(true), ..UserChange::default() }).await;
    assert_eq!(good().await, others);
}
