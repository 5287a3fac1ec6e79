//! Names of databases of the type `sqlite`. A database is a file that has its name and no path, so each name belongs to the path that had it
//! first, and other paths have it only by leave of whoever may write there.

use sandmill_model::JsonText;
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

/// Takes the name for a resource that did not have it before, after its row is locked. None: somebody else took it meanwhile.
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
                "INSERT INTO database_names (workspace, name, path) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
                values![new.workspace, name, &new.path],
            )
            .await?;
        return Ok((taken > 0).then_some(Ok(())));
    };
    if holder == new.path {
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
    if used.as_deref() != Some(name) {
        conn.execute("UPDATE database_names SET path = $3 WHERE workspace = $1 AND name = $2", values![new.workspace, name, &new.path])
            .await?;
    }
    Ok(Some(Ok(())))
}
