//! `/api/w/{workspace}/resource-types`: what resources can be.

use std::sync::Arc;

use axum::{Json, extract::State};
use http::StatusCode;
use sandmill_model::{
    Code, JsonText, TypeName,
    auth::{Action, Domain},
};
use sandmill_store::resource_types::{NewType, TypeDeleted, TypeRecord, TypeRefusal};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    app::App,
    auth::{Caller, forbidden},
    problem::Problem,
    request::{
        body::JsonBody,
        paging,
        url::{Query, TypeRef},
    },
};

/// A type of resources.
#[derive(Serialize, ToSchema)]
pub(crate) struct TypeBody {
    name: String,
    /// JSON Schema of an object; secret fields are `"writeOnly": true`.
    #[schema(value_type = Object)]
    schema: JsonText,
    description: String,
    /// Every workspace has it, and nobody can change it.
    is_built_in: bool,
    updated_at: Option<String>,
    updated_by: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct TypeList {
    items: Vec<TypeBody>,
    /// Where the next page starts; null on the last.
    next: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TypeRequest {
    /// JSON Schema of an object; secret fields are `"writeOnly": true`.
    #[schema(value_type = Object)]
    schema: JsonText,
    #[serde(default)]
    description: String,
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageQuery {
    /// `next` of the page before.
    cursor: Option<String>,
    /// 1 to 200; 50 if left out.
    limit: Option<u32>,
}

impl From<TypeRecord> for TypeBody {
    fn from(record: TypeRecord) -> Self {
        let TypeRecord { name, schema, description, updated } = record;
        let (updated_at, updated_by) = updated.map(|(at, by)| (at.to_string(), by.to_string())).unzip();
        Self { name: name.to_string(), schema, description, is_built_in: updated_at.is_none(), updated_at, updated_by }
    }
}

/// Lists the types that resources can have: those that every workspace has, and the workspace's own.
#[utoipa::path(get, path = "/api/w/{workspace}/resource-types", tag = "resources",
    params(("workspace" = String, Path), PageQuery), responses((status = 200, body = TypeList)))]
pub(crate) async fn list(State(app): State<Arc<App>>, caller: Caller, Query(query): Query<PageQuery>) -> Result<Json<TypeList>, Problem> {
    caller.must_somewhere(Domain::Resources, Action::Read)?;
    let limit = paging::limit(query.limit)?;
    let after: Option<TypeName> = paging::decode(query.cursor.as_deref())?;
    let mut found = app.store.resource_types.list(caller.workspace.id, after.as_ref(), limit + 1).await?;
    let next = paging::cut(&mut found, limit, |found| found.name.to_string());
    Ok(Json(TypeList { items: found.into_iter().map(TypeBody::from).collect(), next }))
}

/// Shows a type with its schema.
#[utoipa::path(get, path = "/api/w/{workspace}/resource-types/{name}", tag = "resources",
    params(("workspace" = String, Path), ("name" = String, Path)), responses((status = 200, body = TypeBody)))]
pub(crate) async fn show(State(app): State<Arc<App>>, caller: Caller, TypeRef(name): TypeRef) -> Result<Json<TypeBody>, Problem> {
    caller.must_somewhere(Domain::Resources, Action::Read)?;
    let found = app.store.resource_types.find(caller.workspace.id, &name).await?;
    found.map(|found| Json(found.into())).ok_or_else(|| no_type(&name))
}

/// Makes a type, or changes it if every resource of it stays valid and keeps the same secrets. Needs `resources:write` of all paths.
#[utoipa::path(put, path = "/api/w/{workspace}/resource-types/{name}", tag = "resources",
    params(("workspace" = String, Path), ("name" = String, Path)), request_body = TypeRequest, responses((status = 200, body = TypeBody)))]
pub(crate) async fn put(
    State(app): State<Arc<App>>,
    caller: Caller,
    TypeRef(name): TypeRef,
    JsonBody(request): JsonBody<TypeRequest>,
) -> Result<Json<TypeBody>, Problem> {
    must_write(&caller)?;
    let TypeRequest { schema, description } = request;
    let by = Arc::clone(&caller.principal.identity);
    let new = NewType { workspace: caller.workspace.id, name, schema, description, by, now: app.clock.now() };
    match app.store.resource_types.put(new).await? {
        Ok(record) => Ok(Json(record.into())),
        Err(TypeRefusal::Invalid(fault)) => Err(Problem::new(Code::InvalidResourceType, fault)),
        Err(TypeRefusal::BuiltIn) => Err(built_in()),
        Err(TypeRefusal::InUse(why) | TypeRefusal::TooMany(why)) => Err(Problem::new(Code::Conflict, why)),
    }
}

/// Deletes a type of which there are no resources. Needs `resources:write` of all paths.
#[utoipa::path(delete, path = "/api/w/{workspace}/resource-types/{name}", tag = "resources",
    params(("workspace" = String, Path), ("name" = String, Path)), responses((status = 204, description = "It is deleted")))]
pub(crate) async fn delete(State(app): State<Arc<App>>, caller: Caller, TypeRef(name): TypeRef) -> Result<StatusCode, Problem> {
    must_write(&caller)?;
    match app.store.resource_types.delete(caller.workspace.id, &name).await? {
        TypeDeleted::Yes => Ok(StatusCode::NO_CONTENT),
        TypeDeleted::No => Err(no_type(&name)),
        TypeDeleted::BuiltIn => Err(built_in()),
        TypeDeleted::InUse(path) => {
            Err(Problem::new(Code::Conflict, format!("there are resources of the type {name}, {path} among them: delete them first")))
        }
    }
}

/// A type is of all paths.
fn must_write(caller: &Caller) -> Result<(), Problem> {
    if caller.may(Domain::Resources, Action::Write, None) { Ok(()) } else { Err(forbidden(Domain::Resources, Action::Write, None)) }
}

fn built_in() -> Problem {
    Problem::new(Code::Conflict, "every workspace has this type, and nobody can change it: take another name")
}

fn no_type(name: &TypeName) -> Problem {
    Problem::new(Code::NotFound, format!("there is no resource type {name} in this workspace"))
}
