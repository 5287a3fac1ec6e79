//! Users as issuers of single sign-on know them.

use sandmill_model::{
    TokenId, WorkspaceId,
    auth::{Principal, Scope, TokenHash},
    people::Name,
    role::Role,
};
use sandmill_store::{
    Store,
    members::{NewMember, RoleChange},
    subjects::{BY_GROUPS, Came, Linked, Stranger, Subject, SubjectLogin, SubjectRefused},
    users::{Link, NewUser, User, UserChange, UserRefused},
    variables::NewVariable,
    workspaces::Status,
};

use crate::fixture::{Database, deployment, on_both, path, tick};

on_both![
    a_user_is_known_by_issuer_and_subject,
    a_change_that_is_refused_links_nobody,
    a_stranger_becomes_a_user_if_that_is_allowed,
    an_address_links_only_whoever_has_no_password,
    whoever_is_unlinked_stays_so,
    no_address_makes_an_admin_of_the_installation,
    no_stranger_takes_over_what_others_act_as,
    groups_make_members_and_take_them_out,
    a_login_tells_what_it_changed,
    two_log_in_for_the_first_time,
    many_who_are_called_alike_get_names_of_their_own,
];

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn subject(issuer: &str, subject: &str) -> Subject {
    Subject { issuer: issuer.into(), subject: subject.into() }
}

fn login(of: &str) -> SubjectLogin {
    SubjectLogin { subject: subject("https://id.test", of), stranger: None, roles: None, now: tick() }
}

fn stranger(of: &str, called: &str, email: Option<&str>) -> SubjectLogin {
    let stranger = Stranger { name: name(called), email: email.map(str::to_owned), display_name: format!("{called} ✓") };
    SubjectLogin { stranger: Some(stranger), ..login(of) }
}

async fn user(store: &Store, called: &str, password: Option<&str>) -> User {
    let new = NewUser {
        name: name(called),
        email: Some(format!("{called}@example.test")),
        display_name: String::new(),
        password: password.map(str::to_owned),
        is_instance_admin: false,
        by: "u/admin".into(),
        now: tick(),
    };
    store.users.create(new).await.unwrap().unwrap()
}

async fn logged_in(store: &Store, login: SubjectLogin) -> Result<String, SubjectRefused> {
    store.subjects.log_in(login).await.unwrap().map(|found| found.user.name.to_string())
}

async fn a_user_is_known_by_issuer_and_subject(database: Database) {
    let store = database.open().await;
    let (ann, bob) = (user(&store, "ann", Some("phc")).await, user(&store, "bob", Some("phc")).await);
    assert_eq!(logged_in(&store, login("1")).await, Err(SubjectRefused::Unknown));
    let link = async |of: Subject, user: &Name| store.subjects.link(of, user.clone(), tick()).await.unwrap();
    assert_eq!(link(subject("https://id.test", "1"), &name("nobody")).await, Linked::NoSuchUser);
    for _ in 0..2 {
        assert_eq!(link(subject("https://id.test", "1"), &ann.name).await, Linked::Done);
    }
    assert_eq!(link(subject("https://id.test", "1"), &bob.name).await, Linked::Taken);
    assert_eq!(link(subject("https://other.test", "1"), &bob.name).await, Linked::Done);
    assert_eq!(logged_in(&store, login("1")).await.as_deref(), Ok("ann"));
    let other = SubjectLogin { subject: subject("https://other.test", "1"), ..login("1") };
    assert_eq!(logged_in(&store, other).await.as_deref(), Ok("bob"));
    // Another takes the place of the one before.
    assert_eq!(link(subject("https://id.test", "2"), &ann.name).await, Linked::Done);
    assert_eq!(logged_in(&store, login("1")).await, Err(SubjectRefused::Unknown));
    assert_eq!(store.subjects.of_user("https://id.test", &ann.name).await.unwrap().as_deref(), Some("2"));
    let disabled = UserChange { is_disabled: Some(true), ..UserChange::default() };
    store.users.change(ann.name.clone(), disabled).await.unwrap().unwrap();
    assert_eq!(logged_in(&store, login("2")).await, Err(SubjectRefused::Disabled));
    for there in [true, false] {
        assert_eq!(store.subjects.unlink("https://id.test", &ann.name).await.unwrap(), there);
    }
    assert_eq!(store.subjects.of_user("https://id.test", &ann.name).await.unwrap(), None);
}

async fn a_change_that_is_refused_links_nobody(database: Database) {
    let store = database.open().await;
    let (ann, bob) = (user(&store, "ann", Some("phc")).await, user(&store, "bob", Some("phc")).await);
    let link = |subject: Option<&str>| Link { issuer: "https://id.test".into(), subject: subject.map(Into::into), now: tick() };
    let change = async |user: &Name, change: UserChange| store.users.change(user.clone(), change).await.unwrap();
    let linked = async || store.subjects.of_user("https://id.test", &ann.name).await.unwrap();
    let taken = UserChange { email: Some(bob.email.clone()), link: Some(link(Some("1"))), ..UserChange::default() };
    assert_eq!(change(&ann.name, taken).await, Err(UserRefused::EmailTaken));
    assert_eq!(linked().await, None, "all of it or nothing");
    assert_eq!(logged_in(&store, login("1")).await, Err(SubjectRefused::Unknown));
    for _ in 0..2 {
        let good = UserChange { link: Some(link(Some("1"))), ..UserChange::default() };
        assert_eq!(change(&ann.name, good).await, Ok(Some(ann.clone())));
        assert_eq!(linked().await.as_deref(), Some("1"));
    }
    let of_ann = UserChange { display_name: Some("Bob".to_owned()), link: Some(link(Some("1"))), ..UserChange::default() };
    assert_eq!(change(&bob.name, of_ann).await, Err(UserRefused::SubjectTaken));
    assert_eq!(store.users.find(&bob.name).await.unwrap(), Some(bob));
    change(&ann.name, UserChange { link: Some(link(None)), ..UserChange::default() }).await.unwrap();
    assert_eq!(linked().await, None);
}

async fn a_stranger_becomes_a_user_if_that_is_allowed(database: Database) {
    let store = database.open().await;
    user(&store, "ann", Some("phc")).await;
    assert_eq!(logged_in(&store, stranger("1", "ann", Some("ann@id.test"))).await.as_deref(), Ok("ann-2"));
    // From then on it is the subject that counts.
    assert_eq!(logged_in(&store, stranger("1", "other", None)).await.as_deref(), Ok("ann-2"));
    assert_eq!(logged_in(&store, login("1")).await.as_deref(), Ok("ann-2"));
    let made = store.users.find(&name("ann-2")).await.unwrap().unwrap();
    assert_eq!((made.email.as_deref(), made.has_password, made.is_instance_admin), (Some("ann@id.test"), false, false));
    assert_eq!((made.display_name.as_str(), &*made.created_by), ("ann ✓", BY_GROUPS));
}

async fn an_address_links_only_whoever_has_no_password(database: Database) {
    let store = database.open().await;
    user(&store, "ann", None).await;
    user(&store, "bob", Some("phc")).await;
    assert_eq!(logged_in(&store, stranger("1", "x", Some("ann@example.test"))).await.as_deref(), Ok("ann"));
    // Another subject that says it has the same address.
    assert_eq!(logged_in(&store, stranger("2", "x", Some("ann@example.test"))).await, Err(SubjectRefused::EmailTaken));
    assert_eq!(logged_in(&store, stranger("3", "x", Some("bob@example.test"))).await, Err(SubjectRefused::EmailTaken));
    assert_eq!(store.users.find(&name("x")).await.unwrap(), None, "nothing is left of it");
    assert_eq!(logged_in(&store, login("3")).await, Err(SubjectRefused::Unknown));
}

async fn whoever_is_unlinked_stays_so(database: Database) {
    let store = database.open().await;
    let (ann, bob, cy) = (user(&store, "ann", None).await, user(&store, "bob", None).await, user(&store, "cy", None).await);
    let back = async |called: &str| logged_in(&store, stranger(called, "x", Some(&format!("{called}@example.test")))).await;
    assert_eq!(back("ann").await.as_deref(), Ok("ann"));
    assert!(store.subjects.unlink("https://id.test", &ann.name).await.unwrap());
    assert_eq!(back("ann").await, Err(SubjectRefused::EmailTaken));
    // Also of whom another issuer knows, and of whom an admin has said that no issuer does.
    store.subjects.link(subject("https://other.test", "1"), bob.name, tick()).await.unwrap();
    assert_eq!(back("bob").await, Err(SubjectRefused::EmailTaken));
    let none = Link { issuer: "https://id.test".into(), subject: None, now: tick() };
    store.users.change(cy.name, UserChange { link: Some(none), ..UserChange::default() }).await.unwrap().unwrap();
    assert_eq!(back("cy").await, Err(SubjectRefused::EmailTaken));
    store.subjects.link(subject("https://id.test", "ann"), ann.name, tick()).await.unwrap();
    assert_eq!(back("ann").await.as_deref(), Ok("ann"), "an admin may link them again");
}

async fn no_address_makes_an_admin_of_the_installation(database: Database) {
    let store = database.open().await;
    let ann = user(&store, "ann", None).await;
    let admin = UserChange { is_instance_admin: Some(true), ..UserChange::default() };
    store.users.change(ann.name, admin).await.unwrap().unwrap();
    assert_eq!(logged_in(&store, stranger("1", "x", Some("ann@example.test"))).await, Err(SubjectRefused::EmailTaken));
    assert_eq!(logged_in(&store, login("1")).await, Err(SubjectRefused::Unknown));
}

async fn no_stranger_takes_over_what_others_act_as(database: Database) {
    let store = database.open().await;
    let principal = Principal { token: TokenId::new(tick()), workspace: None, identity: "u/robot".into(), scopes: [Scope::all()].into() };
    store.tokens.put(TokenHash::of("robot"), &principal, "", tick()).await.unwrap();
    assert_eq!(logged_in(&store, stranger("1", "robot", None)).await.as_deref(), Ok("robot-2"));
}

async fn groups_make_members_and_take_them_out(database: Database) {
    let store = database.open().await;
    let mut ids = Vec::new();
    for workspace in ["one", "two", "three"] {
        let now = tick();
        ids.push(store.workspaces.ensure(WorkspaceId::new(now), workspace, now).await.unwrap().id);
    }
    let ann = user(&store, "ann", None).await.name;
    store.subjects.link(subject("https://id.test", "1"), ann.clone(), tick()).await.unwrap();
    let by_hand = NewMember { workspace: ids[2], user: ann.clone(), role: Role::Viewer, by: "u/admin".into(), now: tick() };
    store.members.put(by_hand).await.unwrap();
    let roles = async |given: Option<&[(&str, Role)]>| {
        let roles = given.map(|given| given.iter().map(|(workspace, role)| ((*workspace).into(), *role)).collect());
        store.subjects.log_in(SubjectLogin { roles, ..login("1") }).await.unwrap().unwrap();
        let found = store.members.workspaces_of(&ann, 10).await.unwrap();
        found.into_iter().map(|(workspace, role)| format!("{workspace}:{}", role.name())).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        roles(Some(&[("one", Role::Developer), ("three", Role::Admin), ("nowhere", Role::Admin)])).await,
        "one:developer three:viewer",
        "what people say of a member counts more than what groups do"
    );
    assert_eq!(roles(None).await, "one:developer three:viewer");
    assert_eq!(roles(Some(&[("one", Role::Viewer), ("two", Role::Admin)])).await, "one:viewer three:viewer two:admin");
    assert_eq!(roles(Some(&[])).await, "three:viewer");
}

async fn a_login_tells_what_it_changed(database: Database) {
    let store = database.open().await;
    let mut ids = Vec::new();
    for workspace in ["one", "two"] {
        let now = tick();
        ids.push(store.workspaces.ensure(WorkspaceId::new(now), workspace, now).await.unwrap().id);
    }
    let by = async |login: SubjectLogin, given: &[(&str, Role)]| {
        let roles = Some(given.iter().map(|(workspace, role)| ((*workspace).into(), *role)).collect());
        let found = store.subjects.log_in(SubjectLogin { roles, ..login }).await.unwrap().unwrap();
        (found.came, found.roles)
    };
    let ann = || stranger("1", "ann", None);
    let change = |workspace, before, after| RoleChange { workspace, before, after };
    let (viewer, admin) = (Some(Role::Viewer), Some(Role::Admin));
    assert_eq!(by(ann(), &[("one", Role::Viewer)]).await, (Came::Made, vec![change(ids[0], None, viewer)]));
    assert_eq!(by(ann(), &[("one", Role::Viewer)]).await, (Came::Known, Vec::new()));
    let both = [("one", Role::Admin), ("two", Role::Viewer)];
    assert_eq!(by(ann(), &both).await.1, [change(ids[0], viewer, admin), change(ids[1], None, viewer)]);
    // What is archived gives nothing new. Whom groups name stays what they were, and who is named no more goes.
    for id in &ids {
        store.workspaces.change_status(*id, Status::Archived, tick()).await.unwrap().unwrap();
    }
    assert_eq!(by(ann(), &[("one", Role::Viewer)]).await.1, [change(ids[1], viewer, None)]);
    assert_eq!(by(ann(), &both).await.1, []);
    assert_eq!(store.members.find(ids[0], &name("ann")).await.unwrap().unwrap().role, Role::Admin);

    user(&store, "bob", None).await;
    assert_eq!(by(stranger("2", "x", Some("bob@example.test")), &[]).await, (Came::Linked, Vec::new()));
}

async fn two_log_in_for_the_first_time(database: Database) {
    let store = database.open().await;
    let once = || logged_in(&store, stranger("1", "ann", Some("ann@id.test")));
    let (one, other) = tokio::join!(once(), once());
    assert_eq!((one.as_deref(), other.as_deref()), (Ok("ann"), Ok("ann")));
    assert_eq!(store.users.list(None, 10).await.unwrap().len(), 1);
}

async fn many_who_are_called_alike_get_names_of_their_own(database: Database) {
    let store = database.open().await;
    let one = |of: usize| {
        let store = store.clone();
        async move { logged_in(&store, stranger(&of.to_string(), "ann", None)).await.unwrap() }
    };
    let (first, second, third, fourth) = tokio::join!(one(1), one(2), one(3), one(4));
    let mut names = vec![first, second, third, fourth];
    names.sort();
    assert_eq!(names, ["ann", "ann-2", "ann-3", "ann-4"]);
    for of in 5..=50 {
        assert_eq!(one(of).await, format!("ann-{of}"));
    }
    // Nobody takes all names like one.
    let other = logged_in(&store, stranger("51", "ann", None)).await.unwrap();
    assert!(other.starts_with("ann-") && other.len() == "ann-01234567".len(), "{other}");
    assert_eq!(logged_in(&store, stranger("51", "ann", None)).await, Ok(other));
    let (long, cut) = ("a".repeat(64), format!("{}-", "a".repeat(55)));
    for (of, start) in [("long", &long), ("longer", &cut)] {
        let name = logged_in(&store, stranger(of, &long, None)).await.unwrap();
        assert!(name.starts_with(start.as_str()) && name.len() == 64, "{name}");
    }
    assert_eq!(logged_in(&store, stranger("7", "ann", None)).await.as_deref(), Ok("ann-7"), "who is known needs no name");
    // What is in a home takes its name, whatever it is and in whichever workspace.
    let of = WorkspaceId::new(tick());
    store.workspaces.ensure(of, "some", tick()).await.unwrap();
    let (path, text) = (path("u/bob/x"), Some("1".to_owned()));
    let variable = NewVariable { workspace: of, path, secret: false, text, description: String::new(), by: "u/eve".into(), now: tick() };
    store.variables.put(variable).await.unwrap().unwrap();
    store.scripts.deploy(deployment(of, "u/bob-2/x", "1")).await.unwrap();
    assert_eq!(logged_in(&store, stranger("52", "bob", None)).await.as_deref(), Ok("bob-3"));
    assert_eq!(logged_in(&store, stranger("53", "bo", None)).await.as_deref(), Ok("bo"));
}
