//! What there is before and after a change, as far as the log shows it. What is not in the list has entries without values.

use std::collections::BTreeMap;

use sandmill_model::{
    JsonText, ScriptPath, TokenId, TypeName, WorkspaceId, audit,
    auth::{Action, Domain, Principal},
    people::{Level, Name, Who},
    version::Selector,
};
use sandmill_store::{service_accounts::ServiceAccount, workspaces::Workspace};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::operation::Operation;
use crate::{
    app::App,
    problem::Problem,
    routes::{members::InvitationBody, plans::PlanBody, tokens::TokenBody, users, workspaces::WorkspaceBody},
};

/// None if there is nothing, or nothing that is shown.
///
/// # Errors
/// If the store cannot tell.
pub(super) async fn view(
    app: &App,
    operation: &Operation,
    workspace: Option<&Workspace>,
    principal: Option<&Principal>,
) -> Result<Option<JsonText>, Problem> {
    match (workspace, principal) {
        (Some(workspace), _) => of_workspace(app, operation, workspace).await,
        (None, Some(principal)) => Ok(of_installation(app, operation, principal).await?.as_ref().and_then(audit::shown)),
        (None, None) => Ok(None),
    }
}

/// Of what the installation has. Only for who may change it: to others it must make no difference what is there, not in time either.
async fn of_installation(app: &App, operation: &Operation, principal: &Principal) -> Result<Option<Value>, Problem> {
    let (store, target) = (&app.store, operation.target.as_str());
    if operation.action.starts_with("tokens.") {
        let may = principal.may_everywhere(Domain::Tokens, Action::Write);
        return if may { of_token(app, None, target).await } else { Ok(None) };
    }
    if !principal.may_instance(Action::Write) {
        return Ok(None);
    }
    Ok(match operation.action.as_str() {
        "plans.put" | "plans.delete" => store.plans.find(target).await?.and_then(|plan| as_json(&PlanBody::from(plan))),
        "workspaces.change" | "workspaces.archive" | "workspaces.unarchive" | "workspaces.delete" => {
            store.workspaces.by_name(target).await?.and_then(|workspace| as_json(&WorkspaceBody::from(workspace)))
        }
        "users.change" => match Name::of_user(target) {
            Ok(name) => match store.users.find(&name).await? {
                Some(user) => as_json(&users::whole(app, user).await?),
                None => None,
            },
            Err(_) => None,
        },
        _ => None,
    })
}

/// A token as the API shows it: without its secret.
async fn of_token(app: &App, of: Option<WorkspaceId>, id: &str) -> Result<Option<Value>, Problem> {
    let Ok(id) = id.parse::<TokenId>() else { return Ok(None) };
    Ok(app.store.tokens.find(of, id).await?.and_then(|token| as_json(&TokenBody::from(token))))
}

fn as_json<T: Serialize>(body: &T) -> Option<Value> {
    serde_json::to_value(body).ok()
}

async fn of_workspace(app: &App, operation: &Operation, workspace: &Workspace) -> Result<Option<JsonText>, Problem> {
    let (store, of) = (&app.store, workspace.id);
    let path = || operation.target.parse::<ScriptPath>().ok();
    let value = match operation.action.as_str() {
        "scripts.deploy" => match path() {
            Some(path) => {
                // A deployment may take grants away.
                let given = given(app, workspace, &path).await?;
                store.scripts.find(of, &path, Selector::Newest).await?.map(|(deployment, version)| {
                    let (digest, language, run_as) = (deployment.version.to_string(), version.language.name(), version.manifest.run_as);
                    json!({"number": deployment.number, "version": digest, "language": language, "given": given, "run_as": run_as})
                })
            }
            None => None,
        },
        "grants.change" => match path() {
            Some(path) => Some(json!({ "given": given(app, workspace, &path).await? })),
            None => None,
        },
        "variables.put" | "variables.delete" => match path() {
            Some(path) => return Ok(store.shown.variable(of, &path).await?),
            None => None,
        },
        "resources.put" | "resources.delete" => match path() {
            Some(path) => return Ok(store.shown.resource(of, &path).await?),
            None => None,
        },
        "resource-types.put" | "resource-types.delete" => match operation.target.parse::<TypeName>() {
            Ok(name) => store.resource_types.find(of, &name).await?.map(|record| {
                let schema: Value = record.schema.read().unwrap_or_default();
                json!({"schema": schema, "description": record.description})
            }),
            Err(_) => None,
        },
        "tokens.delete" | "tokens.rotate" => of_token(app, Some(of), &operation.target).await?,
        "access.put" => match path() {
            Some(path) => Some(Value::Object(levels(&store.folders.item(of, &path).await?))),
            None => None,
        },
        "settings.change" => {
            let present = store.workspaces.by_name(&workspace.name).await?;
            present.and_then(|present| serde_json::to_value(&*present.settings).ok())
        }
        _ => of_people(app, operation, of).await?,
    };
    Ok(value.as_ref().and_then(audit::shown))
}

/// Who belongs to a workspace, and may do what.
async fn of_people(app: &App, operation: &Operation, of: WorkspaceId) -> Result<Option<Value>, Problem> {
    let store = &app.store;
    Ok(match operation.action.as_str() {
        "members.put" | "members.delete" => match operation.target.parse::<Name>() {
            Ok(user) => store.members.find(of, &user).await?.map(|member| json!({"role": member.role.name()})),
            Err(_) => None,
        },
        "groups.put" | "groups.delete" => match operation.target.parse::<Name>() {
            Ok(name) => store.groups.find(of, &name).await?.map(|(group, members)| {
                let members: Vec<String> = members.iter().map(Name::to_string).collect();
                json!({"members": members, "description": group.description})
            }),
            Err(_) => None,
        },
        "folders.put" | "folders.delete" => match operation.target.parse::<Name>() {
            Ok(name) => store.folders.find(of, &name).await?.map(|(folder, list)| {
                let mut shown = levels(&list);
                shown.insert("description".to_owned(), folder.description.into());
                Value::Object(shown)
            }),
            Err(_) => None,
        },
        "service-accounts.put" | "service-accounts.delete" => match operation.target.parse::<Name>() {
            Ok(name) => store.service_accounts.find(of, &name).await?.map(|(account, users)| of_account(&account, &users)),
            Err(_) => None,
        },
        "invitations.delete" => match operation.target.parse::<TokenId>() {
            Ok(id) => store.invitations.find(of, id).await?.and_then(|invitation| as_json(&InvitationBody::from(invitation))),
            Err(_) => None,
        },
        _ => None,
    })
}

fn of_account(account: &ServiceAccount, users: &[Who]) -> Value {
    let scopes: Vec<String> = account.scopes.iter().map(ToString::to_string).collect();
    let users: Vec<String> = users.iter().map(ToString::to_string).collect();
    json!({"scopes": scopes, "users": users, "description": account.description})
}

/// Who has what: `{"u/ann": "owner"}`; at a single path perhaps of one kind: `{"u/ann:scripts": "reader"}`.
fn levels(list: &BTreeMap<impl ToString, Level>) -> Map<String, Value> {
    list.iter().map(|(who, level)| (who.to_string(), level.name().into())).collect()
}

/// Grants of the script at a path.
async fn given(app: &App, workspace: &Workspace, path: &ScriptPath) -> Result<Vec<String>, Problem> {
    Ok(app.store.grants.list(workspace.id, path).await?.into_iter().map(|row| row.granted).collect())
}
