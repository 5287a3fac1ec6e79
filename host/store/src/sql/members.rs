//! Members of workspaces.

use std::collections::HashMap;

use sandmill_model::{
    BoxFuture, ScriptPath, WorkspaceId,
    lent::Lent,
    people::Name,
    role::{Role, Standing},
};

use super::{
    Sql,
    access::{read_kind, read_level},
    dialect::Conn,
    users::read_name,
    value::{Row, values},
};
use crate::{
    StoreError,
    members::{MEMBERS_MAX, Member, MemberPut, Members, NewMember},
};

/// What [`read`] reads; conditions come after it.
macro_rules! select_member {
    () => {
        "SELECT m.user_name, u.display_name, m.role, u.disabled, m.created_at, m.created_by
         FROM members m JOIN users u ON u.name = m.user_name "
    };
}

impl Members for Sql {
    fn put(&self, new: NewMember) -> BoxFuture<'_, Result<MemberPut, StoreError>> {
        Box::pin(self.db.write(new, |new, mut conn| Box::pin(async move { put(new, &mut conn).await })))
    }

    fn remove<'a>(&'a self, workspace: WorkspaceId, user: &'a Name) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(self.db.write((workspace, user.clone()), |(workspace, user), mut conn| {
            Box::pin(async move { remove(*workspace, user, &mut conn).await })
        }))
    }

    fn find<'a>(&'a self, workspace: WorkspaceId, user: &'a Name) -> BoxFuture<'a, Result<Option<Member>, StoreError>> {
        Box::pin(self.db.read((workspace, user.clone()), |(workspace, user), mut conn| {
            Box::pin(async move {
                let row = conn
                    .row(concat!(select_member!(), "WHERE m.workspace = $1 AND m.user_name = $2"), values![*workspace, user.as_str()])
                    .await?;
                row.as_ref().map(read).transpose()
            })
        }))
    }

    fn list<'a>(&'a self, workspace: WorkspaceId, after: Option<&'a Name>, limit: u32) -> BoxFuture<'a, Result<Vec<Member>, StoreError>> {
        let after = after.map_or_else(String::new, ToString::to_string);
        Box::pin(self.db.read((workspace, after, limit), |(workspace, after, limit), mut conn| {
            Box::pin(async move {
                let rows = conn
                    .rows(
                        concat!(select_member!(), "WHERE m.workspace = $1 AND m.user_name > $2 ORDER BY m.user_name LIMIT $3"),
                        values![*workspace, after.as_str(), *limit],
                    )
                    .await?;
                rows.iter().map(read).collect()
            })
        }))
    }

    fn workspaces_of<'a>(&'a self, user: &'a Name, limit: u32) -> BoxFuture<'a, Result<Vec<(String, Role)>, StoreError>> {
        Box::pin(self.db.read((user.clone(), limit), |(user, limit), mut conn| {
            Box::pin(async move {
                let rows = conn
                    .rows(
                        "SELECT w.name, m.role FROM members m JOIN workspaces w ON w.id = m.workspace
                         WHERE m.user_name = $1 AND w.status <> 2 ORDER BY w.name LIMIT $2",
                        values![user.as_str(), *limit],
                    )
                    .await?;
                rows.iter().map(|row| Ok((row.text(0)?.to_owned(), read_role(row, 1)?))).collect()
            })
        }))
    }

    fn standing<'a>(&'a self, workspace: WorkspaceId, user: &'a Name) -> BoxFuture<'a, Result<Option<Standing>, StoreError>> {
        Box::pin(self.db.read((workspace, user.clone()), |(workspace, user), mut conn| {
            Box::pin(async move { standing(*workspace, user, &mut conn).await })
        }))
    }
}

pub(super) async fn put(new: &NewMember, conn: &mut Conn<'_>) -> Result<MemberPut, StoreError> {
    if conn.row("SELECT 1 FROM users WHERE name = $1", values![new.user.as_str()]).await?.is_none() {
        return Ok(MemberPut::NoSuchUser);
    }
    if is_full(new.workspace, conn).await? && !is_member(new.workspace, &new.user, conn).await? {
        return Ok(MemberPut::TooMany);
    }
    conn.execute(
        "INSERT INTO members (workspace, user_name, role, created_at, created_by) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (workspace, user_name) DO UPDATE SET role = EXCLUDED.role",
        values![new.workspace, new.user.as_str(), new.role.name(), new.now, &new.by],
    )
    .await?;
    Ok(MemberPut::Done)
}

pub(super) async fn remove(workspace: WorkspaceId, user: &Name, conn: &mut Conn<'_>) -> Result<bool, StoreError> {
    let own = values![workspace, user.as_str()];
    // First: whoever is putting them into a group or on a list at this moment holds it, and what they put is there afterwards.
    let removed = conn.execute("DELETE FROM members WHERE workspace = $1 AND user_name = $2", own.clone()).await? > 0;
    conn.execute("DELETE FROM group_members WHERE workspace = $1 AND user_name = $2", own).await?;
    let lists = values![workspace, format!("u/{user}")];
    conn.execute("DELETE FROM access_lists WHERE workspace = $1 AND who = $2", lists).await?;
    // What they lent of their home. `0` comes after `/`.
    let home = values![workspace, format!("u/{user}/"), format!("u/{user}0")];
    conn.execute("DELETE FROM access_lists WHERE workspace = $1 AND path >= $2 AND path < $3", home).await?;
    Ok(removed)
}

pub(super) async fn is_full(workspace: WorkspaceId, conn: &mut Conn<'_>) -> Result<bool, StoreError> {
    let row = conn.row("SELECT COUNT(*) FROM members WHERE workspace = $1", values![workspace]).await?;
    Ok(row.map_or(Ok(0), |row| row.int(0))? >= i64::from(MEMBERS_MAX))
}

/// Whether somebody is a member, and stays so until the transaction ends.
pub(super) async fn is_member(workspace: WorkspaceId, user: &Name, conn: &mut Conn<'_>) -> Result<bool, StoreError> {
    let own = values![workspace, user.as_str()];
    let row = conn.row("SELECT 1 FROM members WHERE workspace = $1 AND user_name = $2 {lock present members}", own).await?;
    Ok(row.is_some())
}

/// One list may give both something to a user and to groups of theirs: the greatest counts.
async fn standing(workspace: WorkspaceId, user: &Name, conn: &mut Conn<'_>) -> Result<Option<Standing>, StoreError> {
    let row = conn.row("SELECT role FROM members WHERE workspace = $1 AND user_name = $2", values![workspace, user.as_str()]).await?;
    let Some(row) = row else { return Ok(None) };
    let role = read_role(&row, 0)?;
    let given = conn
        .rows(
            "SELECT path, kind, CAST(MAX(level) AS BIGINT) FROM access_lists WHERE workspace = $1 AND (who = $2 OR who IN (
                 SELECT 'g/' || group_name FROM group_members WHERE workspace = $1 AND user_name = $3
             )) GROUP BY path, kind ORDER BY path, kind",
            values![workspace, format!("u/{user}"), user.as_str()],
        )
        .await?;
    let folders = conn.rows("SELECT name FROM folders WHERE workspace = $1 ORDER BY name", values![workspace]).await?;
    let mut standing = Standing { role, folders: Vec::with_capacity(folders.len()), items: Vec::new() };
    let mut of_folders = HashMap::new();
    for row in &given {
        let (path, kind, level) = (row.text(0)?, read_kind(row, 1)?, read_level(row, 2)?);
        match path.parse::<ScriptPath>() {
            Ok(path) => {
                if standing.items.last().is_none_or(|(last, _)| *last != path) {
                    standing.items.push((path, Lent::default()));
                }
                if let Some((_, lent)) = standing.items.last_mut() {
                    *lent = lent.with(kind, level);
                }
            }
            // A folder, `f/NAME`, is no path of a script.
            Err(_) => {
                of_folders.insert(path, level);
            }
        }
    }
    for row in &folders {
        let name = read_name(row, 0)?;
        let level = of_folders.get(format!("f/{name}").as_str()).copied();
        standing.folders.push((name, level));
    }
    Ok(Some(standing))
}

pub(super) fn read_role(row: &Row, column: usize) -> Result<Role, StoreError> {
    let name = row.text(column)?;
    Role::from_name(name).ok_or_else(|| StoreError::Corrupt(format!("a role {name}")))
}

fn read(row: &Row) -> Result<Member, StoreError> {
    Ok(Member {
        user: read_name(row, 0)?,
        display_name: row.text(1)?.to_owned(),
        role: read_role(row, 2)?,
        is_disabled: row.int(3)? != 0,
        created_at: row.time(4)?,
        created_by: row.text(5)?.into(),
    })
}
