//! Names of databases of the type `sqlite`. A database is a file that has its name and no path, so each name belongs to the path that had it
//! first, and other paths have it only by leave of whoever may write there. A name whose database was opened stays, as the file does; one that
//! no run ever opened goes with the last resource that has it.

use sandmill_model::{JsonText, Opening, ScriptPath, WorkspaceId};
use serde_json::Value as Json;

use super::{dialect::Conn, value::values};
use crate::{
    StoreError,
    resources::{DATABASE_NAMES_MAX, NewResource, Sharing, Unfit},
};

/// The built-in type whose resources name a database.
const KIND: &str = "sqlite";

/// The name of the database that a resource is about; None if it is about none.
pub(super) fn named<'a>(kind: &str, fields: &'a Json) -> Option<&'a str> {
    if kind == KIND { fields.get("name").and_then(Json::as_str) } else { None }
}

/// As [`named`], of fields as they are stored.
pub(super) fn named_in(kind: &str, fields: &JsonText) -> Result<Option<String>, StoreError> {
    if kind != KIND {
        return Ok(None);
    }
    let fields: Json = fields.read().map_err(|error| StoreError::Corrupt(error.to_string()))?;
    Ok(named(kind, &fields).map(str::to_owned))
}

/// Takes the name for a resource that did not have it before, after the workspace and the resource's row are locked. None: somebody else took
/// it meanwhile.
pub(super) async fn take(conn: &mut Conn<'_>, new: &NewResource, name: &str) -> Result<Option<Result<(), Unfit>>, StoreError> {
    let holder = conn
        .row("SELECT path FROM database_names WHERE workspace = $1 AND name = $2 {lock database_names}", values![new.workspace, name])
        .await?;
    let Some(holder) = holder.map(|row| row.path(0)).transpose()? else {
        let count = conn.row("SELECT COUNT(*) FROM database_names WHERE workspace = $1", values![new.workspace]).await?;
        if count.map_or(Ok(0), |row| row.int(0))? >= i64::from(DATABASE_NAMES_MAX) {
            return Ok(Some(Err(Unfit::TooMany(format!("a workspace has at most {DATABASE_NAMES_MAX} names of databases")))));
        }
        let taken = conn
            .execute(
                "INSERT INTO database_names (workspace, name, path, opened, uses) VALUES ($1, $2, $3, 0, 1) ON CONFLICT DO NOTHING",
                values![new.workspace, name, &new.path],
            )
            .await?;
        return Ok((taken > 0).then_some(Ok(())));
    };
    if holder == new.path {
        use_by(conn, new, name, &holder).await?;
        return Ok(Some(Ok(())));
    }
    let may = match &new.sharing {
        Sharing::None => false,
        Sharing::With(path) => *path == holder,
        Sharing::All => true,
    };
    if !may {
        return Ok(Some(Err(Unfit::NameTaken)));
    }
    // Where nobody uses it any more, it moves on with its database.
    let of_holder =
        conn.row("SELECT kind, fields FROM resources WHERE workspace = $1 AND path = $2", values![new.workspace, &holder]).await?;
    let used = match of_holder {
        Some(row) => named_in(row.text(0)?, &row.json(1)?)?,
        None => None,
    };
    let belongs_to = if used.as_deref() == Some(name) { &holder } else { &new.path };
    use_by(conn, new, name, belongs_to).await?;
    Ok(Some(Ok(())))
}

/// One more resource has the name, which belongs to `path`.
async fn use_by(conn: &mut Conn<'_>, new: &NewResource, name: &str, path: &ScriptPath) -> Result<(), StoreError> {
    const USE: &str = "UPDATE database_names SET path = $3, uses = uses + 1 WHERE workspace = $1 AND name = $2";
    conn.execute(USE, values![new.workspace, name, path]).await.map(drop)
}

/// A resource that had the name has it no more. Where none has it, and its database was never opened, it is free again.
pub(super) async fn give_back(conn: &mut Conn<'_>, workspace: WorkspaceId, name: &str) -> Result<(), StoreError> {
    const LESS: &str = "UPDATE database_names SET uses = uses - 1 WHERE workspace = $1 AND name = $2";
    const FREE: &str = "DELETE FROM database_names WHERE workspace = $1 AND name = $2 AND opened = 0 AND uses <= 0";
    conn.execute(LESS, values![workspace, name]).await?;
    conn.execute(FREE, values![workspace, name]).await.map(drop)
}

/// Whether the name is known to have been opened; None: the resource is not as it was, or the name belongs to nobody.
pub(super) async fn was_opened(conn: &mut Conn<'_>, opening: &Opening) -> Result<Option<bool>, StoreError> {
    const OPENED: &str = "SELECT opened FROM database_names WHERE workspace = $1 AND name = $2
        AND EXISTS (SELECT 1 FROM resources WHERE workspace = $1 AND path = $3 AND revision = $4)";
    let Opening { workspace, path, revision, name } = opening;
    let row = conn.row(OPENED, values![*workspace, name.as_str(), path, *revision]).await?;
    row.map(|row| Ok(row.int(0)? != 0)).transpose()
}

/// From now on the name stays. False as [`was_opened`] has none: whoever changes the resource at this moment is waited for, or waits.
pub(super) async fn open(conn: &mut Conn<'_>, opening: &Opening) -> Result<bool, StoreError> {
    const OPEN: &str = "UPDATE database_names SET opened = 1 WHERE workspace = $1 AND name = $2
        AND EXISTS (SELECT 1 FROM resources WHERE workspace = $1 AND path = $3 AND revision = $4)";
    let Opening { workspace, path, revision, name } = opening;
    Ok(conn.execute(OPEN, values![*workspace, name.as_str(), path, *revision]).await? > 0)
}
