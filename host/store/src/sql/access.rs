//! Who may use what is in a folder or at a single path.

use sandmill_model::{
    BoxFuture, ScriptPath, WorkspaceId,
    lent::{Entry, ItemKind, ItemList},
    people::{Level, Name, Who},
};

use super::{
    Sql, claims,
    dialect::Conn,
    members::is_member,
    resources,
    users::read_name,
    value::{Row, values},
};
use crate::{
    StoreError,
    access::{AccessList, AccessRefused, FOLDERS_MAX, Folder, Folders, ITEMS_MAX, ITEMS_OF_ONE_MAX, LIST_MAX, NewFolder},
    resources::Unfit,
};

const COLUMNS: &str = "name, description, updated_at, updated_by";

impl Folders for Sql {
    fn put(&self, new: NewFolder) -> BoxFuture<'_, Result<Result<Folder, AccessRefused>, StoreError>> {
        Box::pin(self.db.write(new, |new, mut conn| Box::pin(async move { put(new, &mut conn).await })))
    }

    fn find<'a>(&'a self, workspace: WorkspaceId, name: &'a Name) -> BoxFuture<'a, Result<Option<(Folder, AccessList)>, StoreError>> {
        Box::pin(self.db.read((workspace, name.clone()), |(workspace, name), mut conn| {
            Box::pin(async move {
                let rows = conn
                    .rows(format!("SELECT {COLUMNS} FROM folders WHERE workspace = $1 AND name = $2"), values![*workspace, name.as_str()])
                    .await?;
                let Some(row) = rows.first() else { return Ok(None) };
                let list = list_of(*workspace, &format!("f/{name}"), &mut conn).await?;
                Ok(Some((read(row)?, list)))
            })
        }))
    }

    fn list<'a>(&'a self, workspace: WorkspaceId, after: Option<&'a Name>, limit: u32) -> BoxFuture<'a, Result<Vec<Folder>, StoreError>> {
        let after = after.map_or_else(String::new, ToString::to_string);
        Box::pin(self.db.read((workspace, after, limit), |(workspace, after, limit), mut conn| {
            Box::pin(async move {
                let rows = conn
                    .rows(
                        format!("SELECT {COLUMNS} FROM folders WHERE workspace = $1 AND name > $2 ORDER BY name LIMIT $3"),
                        values![*workspace, after.as_str(), *limit],
                    )
                    .await?;
                rows.iter().map(read).collect()
            })
        }))
    }

    fn delete<'a>(&'a self, workspace: WorkspaceId, name: &'a Name) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(self.db.write((workspace, name.clone()), |(workspace, name), mut conn| {
            Box::pin(async move {
                claims::lock(&mut conn, *workspace).await?;
                let list = values![*workspace, format!("f/{name}")];
                conn.execute("DELETE FROM access_lists WHERE workspace = $1 AND path = $2", list).await?;
                let own = values![*workspace, name.as_str()];
                Ok(conn.execute("DELETE FROM folders WHERE workspace = $1 AND name = $2", own).await? > 0)
            })
        }))
    }

    fn put_item<'a>(
        &'a self,
        workspace: WorkspaceId,
        path: &'a ScriptPath,
        list: ItemList,
        present: Option<ItemList>,
    ) -> BoxFuture<'a, Result<Result<(), AccessRefused>, StoreError>> {
        Box::pin(self.db.write((workspace, path.clone(), list, present), |(workspace, path, list, present), mut conn| {
            Box::pin(async move { put_item(*workspace, path, list, present.as_ref(), &mut conn).await })
        }))
    }

    fn items<'a>(
        &'a self,
        workspace: WorkspaceId,
        after: Option<&'a ScriptPath>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<(ScriptPath, ItemList)>, StoreError>> {
        let after = after.map_or_else(String::new, ToString::to_string);
        Box::pin(self.db.read((workspace, after, limit), |(workspace, after, limit), mut conn| {
            Box::pin(async move {
                let rows = conn
                    .rows(
                        "SELECT path, who, kind, level FROM access_lists WHERE workspace = $1 AND path IN (
                             SELECT DISTINCT path FROM access_lists WHERE workspace = $1 AND path > $2 AND {path like $3}
                             ORDER BY path LIMIT $4
                         ) ORDER BY path, who, kind",
                        values![*workspace, after.as_str(), "*/*/*", *limit],
                    )
                    .await?;
                let mut items: Vec<(ScriptPath, ItemList)> = Vec::new();
                for row in &rows {
                    let path = row.path(0)?;
                    let (entry, level) = (Entry { who: read_who(row, 1)?, kind: read_kind(row, 2)? }, read_level(row, 3)?);
                    if items.last().is_none_or(|(last, _)| *last != path) {
                        items.push((path, ItemList::new()));
                    }
                    if let Some((_, list)) = items.last_mut() {
                        list.insert(entry, level);
                    }
                }
                Ok(items)
            })
        }))
    }

    fn item<'a>(&'a self, workspace: WorkspaceId, path: &'a ScriptPath) -> BoxFuture<'a, Result<ItemList, StoreError>> {
        Box::pin(self.db.read((workspace, path.clone()), |(workspace, path), mut conn| {
            Box::pin(async move { entries_of(*workspace, path, &mut conn).await })
        }))
    }
}

/// Lists of a workspace are put one after the other: so what is there is what it is replaced for, and two that are put at once are not both
/// there.
async fn put(new: &NewFolder, conn: &mut Conn<'_>) -> Result<Result<Folder, AccessRefused>, StoreError> {
    if let Err(refused) = check_description(&new.description) {
        return Ok(Err(refused));
    }
    claims::lock(conn, new.workspace).await?;
    if let Some(present) = &new.present
        && *present != list_of(new.workspace, &format!("f/{}", new.name), conn).await?
    {
        return Ok(Err(AccessRefused::Changed));
    }
    if let Some(refused) = refused(new.workspace, &new.list, conn).await? {
        return Ok(Err(refused));
    }
    let own = values![new.workspace, new.name.as_str()];
    if conn.row("SELECT 1 FROM folders WHERE workspace = $1 AND name = $2", own).await?.is_none()
        && let Some(row) = conn.row("SELECT COUNT(*) FROM folders WHERE workspace = $1", values![new.workspace]).await?
        && row.int(0)? >= i64::from(FOLDERS_MAX)
    {
        return Ok(Err(AccessRefused::TooMany(format!("a workspace has at most {FOLDERS_MAX} folders with lists"))));
    }
    conn.execute(
        "INSERT INTO folders (workspace, name, description, updated_at, updated_by) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (workspace, name) DO UPDATE SET description = EXCLUDED.description, updated_at = EXCLUDED.updated_at,
             updated_by = EXCLUDED.updated_by",
        values![new.workspace, new.name.as_str(), new.description.as_str(), new.now, &new.by],
    )
    .await?;
    write(new.workspace, &format!("f/{}", new.name), &new.list, conn).await?;
    Ok(Ok(Folder { name: new.name.clone(), description: new.description.clone(), updated_at: new.now, updated_by: new.by.clone() }))
}

async fn put_item(
    workspace: WorkspaceId,
    path: &ScriptPath,
    list: &ItemList,
    present: Option<&ItemList>,
    conn: &mut Conn<'_>,
) -> Result<Result<(), AccessRefused>, StoreError> {
    if list.len() > LIST_MAX {
        return Ok(Err(AccessRefused::TooMany(format!("the list of a single path has at most {LIST_MAX} entries"))));
    }
    claims::lock(conn, workspace).await?;
    if let Some(present) = present
        && *present != entries_of(workspace, path, conn).await?
    {
        return Ok(Err(AccessRefused::Changed));
    }
    let named: AccessList = list.iter().map(|(entry, level)| (entry.who.clone(), *level)).collect();
    if let Some(refused) = refused(workspace, &named, conn).await? {
        return Ok(Err(refused));
    }
    if !list.is_empty()
        && let Some(refused) = no_room(workspace, path, conn).await?
    {
        return Ok(Err(refused));
    }
    write_entries(workspace, path.as_str(), list, conn).await.map(Ok)
}

/// Why a single path has no list, whatever is on it.
async fn no_room(workspace: WorkspaceId, path: &ScriptPath, conn: &mut Conn<'_>) -> Result<Option<AccessRefused>, StoreError> {
    let there = conn
        .row(
            "SELECT CAST(CASE WHEN EXISTS (SELECT 1 FROM scripts WHERE workspace = $1 AND path = $2)
                 OR EXISTS (SELECT 1 FROM resources WHERE workspace = $1 AND path = $2)
                 OR EXISTS (SELECT 1 FROM variables WHERE workspace = $1 AND path = $2)
                 OR EXISTS (SELECT 1 FROM triggers WHERE workspace = $1 AND path = $2) THEN 1 ELSE 0 END AS BIGINT)",
            values![workspace, path],
        )
        .await?;
    if there.map_or(Ok(0), |row| row.int(0))? == 0 {
        return Ok(Some(AccessRefused::NothingThere));
    }
    let mut segments = path.as_str().split('/');
    let (kind, one) = (segments.next().unwrap_or_default(), segments.next().unwrap_or_default());
    // Lists of folders have one slash, those of single paths more.
    for (like, max, what) in [
        (format!("{kind}/{one}/*"), ITEMS_OF_ONE_MAX, "a folder, and a home,"),
        (format!("{kind}/*/*"), ITEMS_MAX, "the folders of a workspace, and its homes,"),
    ] {
        let others = conn
            .row(
                "SELECT COUNT(DISTINCT path) FROM access_lists WHERE workspace = $1 AND path <> $2 AND {path like $3}",
                values![workspace, path, like],
            )
            .await?;
        if others.map_or(Ok(0), |row| row.int(0))? >= i64::from(max) {
            return Ok(Some(AccessRefused::TooMany(format!("{what} have at most {max} single paths with lists"))));
        }
    }
    Ok(None)
}

/// Why a list is not kept. Who is on it stays there until the transaction ends.
pub(super) async fn refused(workspace: WorkspaceId, list: &AccessList, conn: &mut Conn<'_>) -> Result<Option<AccessRefused>, StoreError> {
    if list.len() > LIST_MAX {
        return Ok(Some(AccessRefused::TooMany(format!("a list names at most {LIST_MAX} users and groups"))));
    }
    for who in list.keys() {
        let is_known = match who {
            Who::User(name) => is_member(workspace, name, conn).await?,
            Who::Group(name) => {
                let own = values![workspace, name.as_str()];
                let sql = "SELECT 1 FROM people_groups WHERE workspace = $1 AND name = $2 {lock present people_groups}";
                conn.row(sql, own).await?.is_some()
            }
        };
        if !is_known {
            return Ok(Some(AccessRefused::Unknown(who.clone())));
        }
    }
    Ok(None)
}

pub(super) async fn write(workspace: WorkspaceId, path: &str, list: &AccessList, conn: &mut Conn<'_>) -> Result<(), StoreError> {
    let list: ItemList = list.iter().map(|(who, level)| (Entry::from(who.clone()), *level)).collect();
    write_entries(workspace, path, &list, conn).await
}

async fn write_entries(workspace: WorkspaceId, path: &str, list: &ItemList, conn: &mut Conn<'_>) -> Result<(), StoreError> {
    conn.execute("DELETE FROM access_lists WHERE workspace = $1 AND path = $2", values![workspace, path]).await?;
    for (Entry { who, kind }, level) in list {
        conn.execute(
            "INSERT INTO access_lists (workspace, path, who, kind, level) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (workspace, path, who, kind) DO UPDATE SET level = EXCLUDED.level",
            values![workspace, path, who.to_string(), kind.map_or("", ItemKind::name), number(*level)],
        )
        .await?;
    }
    Ok(())
}

pub(super) async fn list_of(workspace: WorkspaceId, path: &str, conn: &mut Conn<'_>) -> Result<AccessList, StoreError> {
    let rows =
        conn.rows("SELECT who, level FROM access_lists WHERE workspace = $1 AND path = $2 ORDER BY who", values![workspace, path]).await?;
    rows.iter().map(|row| Ok((read_who(row, 0)?, read_level(row, 1)?))).collect()
}

async fn entries_of(workspace: WorkspaceId, path: &ScriptPath, conn: &mut Conn<'_>) -> Result<ItemList, StoreError> {
    let rows = conn
        .rows(
            "SELECT who, kind, level FROM access_lists WHERE workspace = $1 AND path = $2 ORDER BY who, kind",
            values![workspace, path.as_str()],
        )
        .await?;
    rows.iter().map(|row| Ok((Entry { who: read_who(row, 0)?, kind: read_kind(row, 1)? }, read_level(row, 2)?))).collect()
}

fn read_who(row: &Row, column: usize) -> Result<Who, StoreError> {
    row.text(column)?.parse().map_err(|error| StoreError::Corrupt(format!("a list: {error}")))
}

/// An empty one is none.
pub(super) fn read_kind(row: &Row, column: usize) -> Result<Option<ItemKind>, StoreError> {
    match row.text(column)? {
        "" => Ok(None),
        name => ItemKind::from_name(name).map(Some).ok_or_else(|| StoreError::Corrupt(format!("a list speaks of {name}"))),
    }
}

pub(super) fn check_description(description: &str) -> Result<(), AccessRefused> {
    resources::check_description(description).map_err(|unfit| match unfit {
        Unfit::Invalid(why) => AccessRefused::Invalid(why),
        _ => AccessRefused::Invalid("the description cannot be kept".to_owned()),
    })
}

const fn number(level: Level) -> i64 {
    match level {
        Level::Reader => 1,
        Level::Writer => 2,
        Level::Owner => 3,
    }
}

pub(super) fn read_level(row: &Row, column: usize) -> Result<Level, StoreError> {
    Ok(match row.int(column)? {
        1 => Level::Reader,
        2 => Level::Writer,
        3 => Level::Owner,
        other => return Err(StoreError::Corrupt(format!("a level {other}"))),
    })
}

fn read(row: &Row) -> Result<Folder, StoreError> {
    Ok(Folder { name: read_name(row, 0)?, description: row.text(1)?.to_owned(), updated_at: row.time(2)?, updated_by: row.text(3)?.into() })
}
