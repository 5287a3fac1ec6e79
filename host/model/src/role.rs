//! Roles of people in a workspace: each a fixed set of scopes. Lists of folders and of single paths narrow what a role gives, and open
//! what is in closed folders and in homes of others; nothing gives more than the role.

use std::sync::Arc;

use crate::{
    auth::{Action, Domain, Scope},
    lent::{ItemKind, Lent},
    path::ScriptPath,
    people::{Level, Name},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Everything in the workspace.
    Admin,
    /// Deploys and changes what is at paths.
    Developer,
    /// Starts and cancels runs.
    Operator,
    /// Looks.
    Viewer,
}

/// What is at paths.
const AT_PATHS: [Domain; 6] = [Domain::Scripts, Domain::Runs, Domain::Resources, Domain::Variables, Domain::Blobs, Domain::Triggers];

impl Role {
    pub const ALL: [Self; 4] = [Self::Admin, Self::Developer, Self::Operator, Self::Viewer];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Developer => "developer",
            Self::Operator => "operator",
            Self::Viewer => "viewer",
        }
    }

    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }

    /// The scopes of one who has it and is on no list: what somebody must have who gives it to `name`.
    #[must_use]
    pub fn scopes(self, name: &Name) -> Vec<Scope> {
        Standing { role: self, folders: Vec::new(), items: Vec::new() }.scopes(name)
    }

    /// What it may do to what is at a path.
    const fn actions(self) -> &'static [Action] {
        match self {
            Self::Admin | Self::Developer => &[Action::Read, Action::Start, Action::Cancel, Action::Write],
            Self::Operator => &[Action::Read, Action::Start, Action::Cancel],
            Self::Viewer => &[Action::Read],
        }
    }
}

impl Level {
    const fn allows(self, action: Action) -> bool {
        match self {
            Self::Reader => !matches!(action, Action::Write),
            Self::Writer | Self::Owner => true,
        }
    }
}

/// What an entry of a list at `path` gives at most: of a folder, `f/NAME`, of a service account, `s/NAME`, or of a single path, where it
/// may speak of one kind.
#[must_use]
pub fn given(path: &str, kind: Option<ItemKind>, level: Level) -> Vec<Scope> {
    if path.starts_with("s/") {
        return vec![Scope::on(Domain::Identities, Action::Start, path)];
    }
    let is_folder = path.matches('/').count() == 1;
    let glob = if is_folder { format!("{path}/*") } else { path.to_owned() };
    let mut scopes = Vec::new();
    for action in Role::Developer.actions().iter().copied().filter(|action| level.allows(*action)) {
        let domains = AT_PATHS.into_iter().filter(|domain| kind.is_none_or(|kind| ItemKind::of(*domain) == Some(kind)));
        scopes.extend(domains.map(|domain| Scope::on(domain, action, &glob)));
    }
    if level == Level::Owner {
        scopes.extend([Action::Read, Action::Write].map(|action| Scope::on(Domain::Members, action, &glob)));
    }
    scopes
}

/// All that a workspace says of one of its members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    pub role: Role,
    /// Every folder that has a record, and what its list gives this member. What is in the others is governed by the role alone.
    pub folders: Vec<(Name, Option<Level>)>,
    /// Single paths whose lists name this member or a group of theirs.
    pub items: Vec<(ScriptPath, Lent)>,
}

impl Standing {
    /// The scopes of the member called `name`: at most 51, two for each folder they own and up to 24 for each single path.
    #[must_use]
    pub fn scopes(&self, name: &Name) -> Vec<Scope> {
        if self.role == Role::Admin {
            return vec![Scope::all()];
        }
        // Each text once, however many scopes it is in.
        let (all, of_folders, home): (Arc<str>, Arc<str>, Arc<str>) = ("*".into(), "f/*".into(), format!("u/{name}/*").into());
        let items: Vec<(Arc<str>, Lent)> = self.items.iter().map(|(path, lent)| (path.as_str().into(), *lent)).collect();
        let mut scopes = Vec::new();
        for action in self.role.actions().iter().copied() {
            let allows = |level: &Option<Level>| level.is_some_and(|level| level.allows(action));
            let closed: Arc<[Box<str>]> =
                self.folders.iter().filter(|(_, level)| !allows(level)).map(|(folder, _)| format!("f/{folder}/").into()).collect();
            // Keys of objects are no paths, and those that look like paths are governed as these are.
            let closed_keys: Arc<[Box<str>]> = closed.iter().cloned().chain(std::iter::once("u/".into())).collect();
            for domain in AT_PATHS {
                scopes.push(match domain {
                    Domain::Blobs => Scope::on_shared(domain, action, &all).except(&closed_keys),
                    _ => Scope::on_shared(domain, action, &of_folders).except(&closed),
                });
                scopes.push(Scope::on_shared(domain, action, &home));
                let given = items.iter().filter(|(_, lent)| lent.level(domain).is_some_and(|level| level.allows(action)));
                scopes.extend(given.map(|(path, _)| Scope::on_shared(domain, action, path)));
            }
        }
        // Who may use what is there: whoever it belongs to says that.
        let owned = self
            .folders
            .iter()
            .filter(|(_, level)| *level == Some(Level::Owner))
            .map(|(folder, _)| Arc::<str>::from(format!("f/{folder}/*")));
        for glob in owned.chain(std::iter::once(home)) {
            scopes.extend([Action::Read, Action::Write].map(|action| Scope::on_shared(Domain::Members, action, &glob)));
        }
        // As whom their runs may act is said by lists of service accounts and by groups; this is the right to ask.
        if self.role.actions().contains(&Action::Start) {
            scopes.push(Scope::on(Domain::Identities, Action::Start, "*"));
        }
        scopes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Timestamp, TokenId, WorkspaceId, auth::Principal};

    fn standing(role: Role) -> Standing {
        let folder = |name: &str, level| (name.parse().unwrap(), level);
        Standing {
            role,
            folders: vec![
                folder("closed", None),
                folder("read", Some(Level::Reader)),
                folder("written", Some(Level::Writer)),
                folder("owned", Some(Level::Owner)),
            ],
            items: vec![
                ("f/closed/shown".parse().unwrap(), Lent::default().with(None, Level::Reader)),
                ("u/bob/lent".parse().unwrap(), Lent::default().with(None, Level::Writer)),
            ],
        }
    }

    /// The first letters of all that may be done to a script's path.
    fn may(role: Role, path: &str) -> String {
        let at = Timestamp::from_micros(0);
        let workspace = WorkspaceId::new(at);
        let scopes = standing(role).scopes(&"ann".parse().unwrap());
        let principal = Principal { token: TokenId::new(at), workspace: Some(workspace), identity: "u/ann".into(), scopes: scopes.into() };
        let actions = [Action::Read, Action::Write, Action::Start, Action::Cancel];
        for domain in AT_PATHS {
            for action in actions {
                assert_eq!(
                    principal.may(workspace, domain, action, Some(path)),
                    principal.may(workspace, Domain::Scripts, action, Some(path)),
                    "{domain:?} {action:?} {path}"
                );
            }
        }
        actions
            .into_iter()
            .filter(|action| principal.may(workspace, Domain::Scripts, *action, Some(path)))
            .map(|action| &action.name()[..1])
            .collect()
    }

    #[test]
    fn roles_and_lists_say_what_may_be_done() {
        for (path, developer, operator, viewer) in [
            ("f/open/x", "rwsc", "rsc", "r"),
            ("f/closed/x", "", "", ""),
            ("f/closed/shown", "rsc", "rsc", "r"),
            ("f/closed/shown/x", "", "", ""),
            ("f/read/x", "rsc", "rsc", "r"),
            ("f/written/x", "rwsc", "rsc", "r"),
            ("f/owned/x", "rwsc", "rsc", "r"),
            ("f/closed2/x", "rwsc", "rsc", "r"),
            ("u/ann/x", "rwsc", "rsc", "r"),
            ("u/bob/x", "", "", ""),
            ("u/bob/lent", "rwsc", "rsc", "r"),
            ("u/anna/x", "", "", ""),
        ] {
            assert_eq!(may(Role::Admin, path), "rwsc", "{path}");
            assert_eq!(may(Role::Developer, path), developer, "{path}");
            assert_eq!(may(Role::Operator, path), operator, "{path}");
            assert_eq!(may(Role::Viewer, path), viewer, "{path}");
        }
    }

    #[test]
    fn whoever_gives_a_role_has_it() {
        let at = Timestamp::from_micros(0);
        let name: Name = "ann".parse().unwrap();
        let gives = |scopes: &[&str], given: &[Scope]| {
            let scopes = scopes.iter().map(|scope| scope.parse().unwrap()).collect();
            Principal { token: TokenId::new(at), workspace: None, identity: "u/bob".into(), scopes }.includes(given)
        };
        for role in Role::ALL {
            assert!(gives(&["*:*"], &role.scopes(&name)), "{role:?}");
            assert!(!gives(&["members:write"], &role.scopes(&name)), "{role:?}");
        }
        let all_but_admin = ["scripts:*", "runs:*", "resources:*", "variables:*", "blobs:*", "triggers:*", "members:*", "identities:start"];
        assert!(gives(&all_but_admin, &Role::Developer.scopes(&name)) && !gives(&all_but_admin, &Role::Admin.scopes(&name)));

        let at_paths = ["scripts:*:f/a/*", "runs:*:f/a/*", "resources:*:f/a/*", "variables:*:f/a/*", "blobs:*:f/a/*", "triggers:*:f/a/*"];
        for (path, level, expected) in [
            ("f/a", Level::Reader, true),
            ("f/a", Level::Writer, true),
            ("f/a", Level::Owner, false),
            ("f/a/x", Level::Writer, true),
            ("f/b", Level::Reader, false),
            ("f/ab/x", Level::Reader, false),
            ("s/a", Level::Reader, false),
        ] {
            assert_eq!(gives(&at_paths, &given(path, None, level)), expected, "{path} {level:?}");
        }
        assert!(gives(&["identities:start:s/*"], &given("s/a", None, Level::Reader)));
        let of_scripts = given("f/a/x", Some(ItemKind::Scripts), Level::Writer);
        assert!(gives(&at_paths[..2], &of_scripts) && !gives(&at_paths[..1], &of_scripts));
    }

    #[test]
    fn what_is_lent_is_kept_once_however_many_scopes_it_is_in() {
        let lent = Lent::default().with(None, Level::Owner);
        let items = (0..200).map(|number| (format!("u/bob/lent-{number}").parse().unwrap(), lent)).collect();
        let scopes = Standing { items, ..standing(Role::Developer) }.scopes(&"ann".parse().unwrap());
        // Their own, what concerns the folder that they own, and the lent.
        assert_eq!(scopes.len(), 51 + 2 + 200 * 24);
        let texts: std::collections::HashSet<*const u8> = scopes.iter().filter_map(Scope::glob_at).collect();
        assert!(texts.len() < 220, "{}", texts.len());
    }

    #[test]
    fn who_shares_a_script_does_not_share_what_else_is_at_its_path() {
        let at = Timestamp::from_micros(0);
        let workspace = WorkspaceId::new(at);
        let lent = Lent::default().with(Some(ItemKind::Scripts), Level::Writer).with(Some(ItemKind::Variables), Level::Reader);
        let items = vec![("f/closed/x".parse().unwrap(), lent)];
        let may = |role, domain, action| {
            let scopes = Standing { items: items.clone(), ..standing(role) }.scopes(&"ann".parse().unwrap());
            let principal =
                Principal { token: TokenId::new(at), workspace: Some(workspace), identity: "u/ann".into(), scopes: scopes.into() };
            principal.may(workspace, domain, action, Some("f/closed/x"))
        };
        for (domain, reads, writes) in [
            (Domain::Scripts, true, true),
            (Domain::Runs, true, true),
            (Domain::Variables, true, false),
            (Domain::Resources, false, false),
            (Domain::Blobs, false, false),
            (Domain::Triggers, false, false),
        ] {
            assert_eq!(may(Role::Developer, domain, Action::Read), reads, "{domain:?}");
            assert_eq!(may(Role::Developer, domain, Action::Write), writes, "{domain:?}");
            assert!(!may(Role::Viewer, domain, Action::Write), "{domain:?}");
        }
        assert!(may(Role::Operator, Domain::Runs, Action::Start) && !may(Role::Viewer, Domain::Runs, Action::Start));
    }

    #[test]
    fn keys_of_objects_are_governed_by_roles() {
        let at = Timestamp::from_micros(0);
        let workspace = WorkspaceId::new(at);
        let scopes = standing(Role::Developer).scopes(&"ann".parse().unwrap());
        let principal = Principal { token: TokenId::new(at), workspace: Some(workspace), identity: "u/ann".into(), scopes: scopes.into() };
        let check = |key: &str, expected| {
            assert_eq!(principal.may(workspace, Domain::Blobs, Action::Write, Some(key)), expected, "{key}");
        };
        check("reports/*", true);
        check("f/written/*", true);
        check("u/ann/*", true);
        // Of these some are others'.
        for key in ["*", "f*", "f/*", "f/closed/*", "f/closed/x*", "u/*", "u*", "u/bob/*"] {
            check(key, false);
        }
    }

    #[test]
    fn what_has_no_path_is_for_admins() {
        let at = Timestamp::from_micros(0);
        let workspace = WorkspaceId::new(at);
        for role in Role::ALL {
            assert_eq!(Role::from_name(role.name()), Some(role));
            let scopes = standing(role).scopes(&"ann".parse().unwrap());
            assert!(scopes.iter().all(|scope| scope.to_string().parse::<Scope>().as_ref() == Ok(scope)));
            let principal =
                Principal { token: TokenId::new(at), workspace: Some(workspace), identity: "u/ann".into(), scopes: scopes.into() };
            for domain in AT_PATHS.into_iter().chain([Domain::Members, Domain::Identities, Domain::Tokens, Domain::Audit, Domain::Instance])
            {
                assert_eq!(principal.may(workspace, domain, Action::Read, None), role == Role::Admin, "{role:?} {domain:?}");
            }
            assert!(!principal.may_instance(Action::Read));
            for (path, expected) in
                [("f/owned/*", true), ("f/owned/x", true), ("f/written/*", false), ("u/ann/x", true), ("f/open/x", false)]
            {
                assert_eq!(principal.may(workspace, Domain::Members, Action::Write, Some(path)), expected || role == Role::Admin, "{path}");
            }
        }
    }
}
