//! `/api/w/{workspace}/folders` and `…/access`: who may use what is in a folder, or at a single path. For admins of the workspace, owners
//! of the folder, and whoever's home it is.

use std::{
    collections::{BTreeMap, BTreeSet},
    str::FromStr,
    sync::Arc,
};

use axum::{Json, extract::State};
use http::StatusCode;
use sandmill_model::{
    Code, ScriptPath,
    auth::{Action, Domain, Scope},
    lent::{ItemKind, ItemList},
    people::{InvalidPerson, Level, Name},
    role,
};
use sandmill_store::access::{AccessList, AccessRefused, Folder, NewFolder};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::members::must;
use crate::{
    app::App,
    auth::Caller,
    problem::Problem,
    request::{
        body::JsonBody,
        paging::{self, NameQuery},
        url::{NameRef, Query, WholePath},
    },
};

/// A page of folders that have lists, in order of their names; those of which the caller may know.
#[derive(Serialize, ToSchema)]
pub(crate) struct FolderList {
    items: Vec<FolderItem>,
    /// Where the next page starts; null on the last.
    next: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct FolderItem {
    name: String,
    description: String,
    updated_at: String,
    updated_by: String,
}

/// Users, `u/NAME`, and groups, `g/NAME`; each is named once.
#[derive(Serialize, ToSchema)]
pub(crate) struct FolderBody {
    name: String,
    description: String,
    owners: Vec<String>,
    writers: Vec<String>,
    readers: Vec<String>,
    updated_at: String,
    updated_by: String,
}

/// Users, `u/NAME`, and groups, `g/NAME`. Who is named more than once has the most of it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FolderRequest {
    #[serde(default)]
    description: String,
    /// They say who the others are, too.
    #[serde(default)]
    owners: Vec<String>,
    #[serde(default)]
    writers: Vec<String>,
    #[serde(default)]
    readers: Vec<String>,
}

/// Who may use what is at a single path, beside those who may anyway: users, `u/NAME`, and groups, `g/NAME`, all that is there; or one
/// kind of it: `u/NAME:scripts` (the script and its runs), `:resources`, `:variables`, `:blobs`, `:triggers`. What is named more than once has the most.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ItemAccess {
    #[serde(default)]
    writers: Vec<String>,
    #[serde(default)]
    readers: Vec<String>,
}

/// A page of single paths that have lists, in their order.
#[derive(Serialize, ToSchema)]
pub(crate) struct PathAccessList {
    items: Vec<PathAccess>,
    /// Where the next page starts; null on the last.
    next: Option<String>,
}

/// A single path, and who may use what is there, beside those who may anyway: `u/NAME` and `g/NAME` all of it, `u/NAME:scripts` one kind.
#[derive(Serialize, ToSchema)]
pub(crate) struct PathAccess {
    path: String,
    writers: Vec<String>,
    readers: Vec<String>,
}

impl From<Folder> for FolderItem {
    fn from(Folder { name, description, updated_at, updated_by }: Folder) -> Self {
        Self { name: name.to_string(), description, updated_at: updated_at.to_string(), updated_by: updated_by.to_string() }
    }
}

fn body(folder: Folder, list: &AccessList) -> Json<FolderBody> {
    let FolderItem { name, description, updated_at, updated_by } = folder.into();
    let [owners, writers, readers] = [Level::Owner, Level::Writer, Level::Reader].map(|level| of_level(list, level));
    Json(FolderBody { name, description, owners, writers, readers, updated_at, updated_by })
}

fn of_level(list: &BTreeMap<impl ToString, Level>, wanted: Level) -> Vec<String> {
    list.iter().filter(|(_, level)| **level == wanted).map(|(who, _)| who.to_string()).collect()
}

/// What all who are named have, the greatest last.
fn read<Entry>(all: [(Level, Vec<String>); 3]) -> Result<BTreeMap<Entry, Level>, Problem>
where
    Entry: FromStr<Err = InvalidPerson> + Ord,
{
    let mut list = BTreeMap::new();
    for (level, names) in all {
        for name in names {
            let who = name.parse::<Entry>().map_err(|error| Problem::new(Code::BadRequest, format!("{name:?}: {error}")))?;
            list.insert(who, level);
        }
    }
    Ok(list)
}

pub(super) fn refused(why: AccessRefused) -> Problem {
    match why {
        AccessRefused::Unknown(who) => Problem::new(Code::BadRequest, format!("{who} is no member or group of this workspace")),
        AccessRefused::Invalid(why) => Problem::new(Code::BadRequest, why),
        AccessRefused::NothingThere => Problem::new(Code::NotFound, "there is no script, resource, variable or trigger at this path"),
        AccessRefused::TooMany(why) => Problem::new(Code::Conflict, why),
        AccessRefused::Changed => Problem::new(Code::Conflict, "somebody changed this list at the same moment: read it, and put it again"),
    }
}

/// What a list gives, and of which kind of things; none: of all.
type Given = BTreeSet<(Option<ItemKind>, Level)>;

/// What a list gives to those to whom the one that is there gives less.
fn raised<Entry: Ord>(present: &BTreeMap<Entry, Level>, list: &BTreeMap<Entry, Level>, kind: impl Fn(&Entry) -> Option<ItemKind>) -> Given {
    let is_raised = |(entry, level): &(&Entry, &Level)| present.get(*entry).is_none_or(|present| present < *level);
    list.iter().filter(is_raised).map(|(entry, level)| (kind(entry), *level)).collect()
}

/// Nobody gives others what they have not, at the path of a list.
fn must_have(caller: &Caller, path: &str, given: &Given) -> Result<(), Problem> {
    let scopes: Vec<Scope> = given.iter().flat_map(|(kind, level)| role::given(path, *kind, *level)).collect();
    if caller.principal.includes(&scopes) {
        return Ok(());
    }
    let what =
        "whoever puts somebody on a list, or deletes the list of a folder, may do all that is given so: the token lacks some of that";
    Err(Problem::new(Code::Forbidden, what))
}

/// As lists of folders are known.
fn path_of(folder: &Name) -> String {
    format!("f/{folder}")
}

/// All that is in a folder.
fn within(folder: &Name) -> String {
    format!("f/{folder}/*")
}

fn no_folder() -> Problem {
    Problem::new(Code::NotFound, "there is no list for this folder: roles alone say who may use what is in it")
}

/// Lists the folders that have lists, as far as the caller may see these.
#[utoipa::path(get, path = "/api/w/{workspace}/folders", tag = "people", params(("workspace" = String, Path), NameQuery),
    responses((status = 200, body = FolderList)))]
pub(crate) async fn list(State(app): State<Arc<App>>, caller: Caller, Query(query): Query<NameQuery>) -> Result<Json<FolderList>, Problem> {
    caller.must_somewhere(Domain::Members, Action::Read)?;
    let (mut after, limit) = query.read::<Name>()?;
    let mut shown: Vec<Folder> = Vec::new();
    // There are few, and a page ends with one that is shown.
    loop {
        let found = app.store.folders.list(caller.workspace.id, after.as_ref(), paging::LIMIT_MAX).await?;
        let is_last = found.len() < paging::LIMIT_MAX as usize;
        after = found.last().map(|last| last.name.clone());
        shown.extend(found.into_iter().filter(|folder| caller.may(Domain::Members, Action::Read, Some(&within(&folder.name)))));
        if is_last || shown.len() > limit as usize {
            break;
        }
    }
    let next = paging::cut(&mut shown, limit, |folder| folder.name.to_string());
    Ok(Json(FolderList { items: shown.into_iter().map(FolderItem::from).collect(), next }))
}

/// Shows who may use what is in a folder.
#[utoipa::path(get, path = "/api/w/{workspace}/folders/{name}", tag = "people",
    params(("workspace" = String, Path), ("name" = String, Path)), responses((status = 200, body = FolderBody)))]
pub(crate) async fn show(State(app): State<Arc<App>>, caller: Caller, NameRef(name): NameRef) -> Result<Json<FolderBody>, Problem> {
    caller.must(Domain::Members, Action::Read, &within(&name))?;
    let found = app.store.folders.find(caller.workspace.id, &name).await?;
    found.map(|(folder, list)| body(folder, &list)).ok_or_else(no_folder)
}

/// Says who may use what is in a folder: from then on nobody else but admins.
#[utoipa::path(put, path = "/api/w/{workspace}/folders/{name}", tag = "people",
    params(("workspace" = String, Path), ("name" = String, Path)), request_body = FolderRequest,
    responses((status = 200, body = FolderBody)))]
pub(crate) async fn put(
    State(app): State<Arc<App>>,
    caller: Caller,
    NameRef(name): NameRef,
    JsonBody(request): JsonBody<FolderRequest>,
) -> Result<Json<FolderBody>, Problem> {
    caller.must(Domain::Members, Action::Write, &within(&name))?;
    let FolderRequest { description, owners, writers, readers } = request;
    let list: AccessList = read([(Level::Reader, readers), (Level::Writer, writers), (Level::Owner, owners)])?;
    let present = app.store.folders.find(caller.workspace.id, &name).await?.map(|(_, list)| list).unwrap_or_default();
    must_have(&caller, &path_of(&name), &raised(&present, &list, |_| None))?;
    let by = Arc::clone(&caller.principal.identity);
    let present = Some(present);
    let new = NewFolder { workspace: caller.workspace.id, name, description, list: list.clone(), present, by, now: app.clock.now() };
    let folder = app.store.folders.put(new).await?.map_err(refused)?;
    app.outdate_members(caller.workspace.id);
    tracing::info!(by = &*caller.principal.identity, folder = %folder.name, "the list of a folder was put");
    Ok(body(folder, &list))
}

/// Forgets the list of a folder: from then on roles alone say who may use what is in it. Nothing in it is deleted.
#[utoipa::path(delete, path = "/api/w/{workspace}/folders/{name}", tag = "people",
    params(("workspace" = String, Path), ("name" = String, Path)), responses((status = 204, description = "The list is forgotten")))]
pub(crate) async fn delete(State(app): State<Arc<App>>, caller: Caller, NameRef(name): NameRef) -> Result<StatusCode, Problem> {
    caller.must(Domain::Members, Action::Write, &within(&name))?;
    app.store.folders.find(caller.workspace.id, &name).await?.ok_or_else(no_folder)?;
    // What the list keeps from others is theirs from then on, as far as their roles go.
    must_have(&caller, &path_of(&name), &BTreeSet::from([(None, Level::Writer)]))?;
    let deleted = app.store.folders.delete(caller.workspace.id, &name).await?;
    app.outdate_members(caller.workspace.id);
    if deleted { Ok(StatusCode::NO_CONTENT) } else { Err(no_folder()) }
}

/// Lists the single paths that have lists. For admins of the workspace.
#[utoipa::path(get, path = "/api/w/{workspace}/access", tag = "people", params(("workspace" = String, Path), NameQuery),
    responses((status = 200, body = PathAccessList)))]
pub(crate) async fn items(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(query): Query<NameQuery>,
) -> Result<Json<PathAccessList>, Problem> {
    must(&caller, Action::Read)?;
    let (after, limit) = query.read::<ScriptPath>()?;
    let mut found = app.store.folders.items(caller.workspace.id, after.as_ref(), limit + 1).await?;
    let next = paging::cut(&mut found, limit, |(path, _)| path.to_string());
    let item = |(path, list): (ScriptPath, ItemList)| PathAccess {
        path: path.to_string(),
        writers: of_level(&list, Level::Writer),
        readers: of_level(&list, Level::Reader),
    };
    Ok(Json(PathAccessList { items: found.into_iter().map(item).collect(), next }))
}

/// Shows who may use what is at a single path, beside those who may anyway.
#[utoipa::path(get, path = "/api/w/{workspace}/access/{path}", tag = "people",
    params(("workspace" = String, Path), ("path" = String, Path)), responses((status = 200, body = ItemAccess)))]
pub(crate) async fn item(State(app): State<Arc<App>>, caller: Caller, WholePath(path): WholePath) -> Result<Json<ItemAccess>, Problem> {
    caller.must(Domain::Members, Action::Read, path.as_str())?;
    let list = app.store.folders.item(caller.workspace.id, &path).await?;
    Ok(Json(ItemAccess { writers: of_level(&list, Level::Writer), readers: of_level(&list, Level::Reader) }))
}

/// Says who may use what is at a single path, beside those who may anyway; nobody where all is left out.
#[utoipa::path(put, path = "/api/w/{workspace}/access/{path}", tag = "people",
    params(("workspace" = String, Path), ("path" = String, Path)), request_body = ItemAccess,
    responses((status = 200, body = ItemAccess)))]
pub(crate) async fn put_item(
    State(app): State<Arc<App>>,
    caller: Caller,
    WholePath(path): WholePath,
    JsonBody(request): JsonBody<ItemAccess>,
) -> Result<Json<ItemAccess>, Problem> {
    caller.must(Domain::Members, Action::Write, path.as_str())?;
    let list: ItemList = read([(Level::Reader, request.readers), (Level::Writer, request.writers), (Level::Owner, Vec::new())])?;
    let present = app.store.folders.item(caller.workspace.id, &path).await?;
    must_have(&caller, path.as_str(), &raised(&present, &list, |entry| entry.kind))?;
    app.store.folders.put_item(caller.workspace.id, &path, list.clone(), Some(present)).await?.map_err(refused)?;
    app.outdate_members(caller.workspace.id);
    tracing::info!(by = &*caller.principal.identity, %path, "the list of a path was put");
    Ok(Json(ItemAccess { writers: of_level(&list, Level::Writer), readers: of_level(&list, Level::Reader) }))
}
