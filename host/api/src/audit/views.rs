//! What there is before and after a change, as far as the log shows it. What is not in the list has entries without values.

use sandmill_model::{JsonText, ScriptPath, TypeName, audit, version::Selector};
use sandmill_store::workspaces::Workspace;
use serde_json::{Value, json};

use super::operation::Operation;
use crate::{app::App, problem::Problem};

/// None if there is nothing, or nothing that is shown.
///
/// # Errors
/// If the store cannot tell.
pub(super) async fn view(app: &App, operation: &Operation, workspace: &Workspace) -> Result<Option<JsonText>, Problem> {
    let (store, of) = (&app.store, workspace.id);
    let path = || operation.target.parse::<ScriptPath>().ok();
    let value = match operation.action.as_str() {
        "scripts.deploy" => match path() {
            Some(path) => {
                // A deployment may take grants away.
                let given = given(app, workspace, &path).await?;
                store.scripts.find(of, &path, Selector::Newest).await?.map(|(deployment, version)| {
                    let (version, language) = (deployment.version.to_string(), version.language.name());
                    json!({"number": deployment.number, "version": version, "language": language, "given": given})
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
        "settings.change" => {
            let present = store.workspaces.by_name(&workspace.name).await?;
            present.and_then(|present| serde_json::to_value(&*present.settings).ok())
        }
        _ => None,
    };
    Ok(value.as_ref().and_then(audit::shown))
}

/// Grants of the script at a path.
async fn given(app: &App, workspace: &Workspace, path: &ScriptPath) -> Result<Vec<String>, Problem> {
    Ok(app.store.grants.list(workspace.id, path).await?.into_iter().map(|row| row.granted).collect())
}
