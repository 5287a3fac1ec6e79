//! What requests change beside what their routes say: whoever logs in by single sign-on, or accepts an invitation, may become a user, and a
//! member with another role or with none.

use sandmill_model::{
    WorkspaceId,
    audit::{Actor, ActorKind},
    people::Name,
};
use sandmill_store::{
    members::{Joined, RoleChange},
    subjects::{Came, SubjectUser},
};
use serde_json::{Value, json};

use crate::routes::users;

/// Changes that have entries of their own: an extension of a response, of one as well that says what went wrong afterwards.
#[derive(Clone, Debug, Default)]
pub(crate) struct Also(pub(super) Vec<Change>);

#[derive(Clone, Debug)]
pub(super) struct Change {
    /// Whose log it is in; none: the installation's.
    pub(super) workspace: Option<WorkspaceId>,
    pub(super) actor: Actor,
    pub(super) action: &'static str,
    pub(super) target: String,
    /// No secrets.
    pub(super) before: Value,
    pub(super) after: Value,
}

impl Also {
    /// What a login by single sign-on has changed; `subject` is who it is to the provider.
    pub(crate) fn of_login(found: &SubjectUser, subject: &str) -> Self {
        let SubjectUser { user, came, roles } = found;
        // There is no session yet.
        let actor = Actor { kind: ActorKind::Session, identity: Some(user.name.identity()), token: None };
        let (before, after) = (users::shown(user, None), users::shown(user, Some(subject)));
        let of_user = match came {
            Came::Known => None,
            Came::Linked => Some(("users.change", before)),
            Came::Made => Some(("users.create", Value::Null)),
        };
        let of_user = of_user.map(|(action, before)| Change {
            workspace: None,
            actor: actor.clone(),
            action,
            target: user.name.to_string(),
            before,
            after,
        });
        let roles = roles.iter().map(|role| of_role(*role, &user.name, &actor, "single sign-on"));
        Self(of_user.into_iter().chain(roles).collect())
    }

    /// What somebody has changed who accepted an invitation.
    pub(crate) fn of_invitation(joined: &Joined, actor: &Actor) -> Self {
        let Joined { user, is_new, invitation, became } = joined;
        let of_user = is_new.then(|| Change {
            workspace: None,
            actor: actor.clone(),
            action: "users.create",
            target: user.name.to_string(),
            before: Value::Null,
            after: users::shown(user, None),
        });
        let role = of_role(*became, &user.name, actor, &format!("invitation {invitation}"));
        Self(of_user.into_iter().chain([role]).collect())
    }
}

/// `by` says on whose account it was, for it is not by a right of their own that somebody comes in.
fn of_role(change: RoleChange, user: &Name, actor: &Actor, by: &str) -> Change {
    let (action, after) = match change.after {
        Some(role) => ("members.put", json!({"role": role.name(), "by": by})),
        None => ("members.delete", json!({ "by": by })),
    };
    let before = change.before.map_or(Value::Null, |role| json!({"role": role.name()}));
    Change { workspace: Some(change.workspace), actor: actor.clone(), action, target: user.to_string(), before, after }
}
