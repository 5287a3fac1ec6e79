//! Groups of members.

use sandmill_model::{
    BoxFuture, WorkspaceId,
    people::{Name, Who},
};

use super::{
    Sql,
    access::{check_description, read_kind, read_level},
    dialect::Conn,
    members::is_member,
    users::read_name,
    value::{Row, values},
};
use crate::{
    StoreError,
    access::{AccessRefused, GROUP_MEMBERS_MAX, GROUPS_MAX, Group, Groups, Listed, Membership, NewGroup},
};

const COLUMNS: &str = "name, description, updated_at, updated_by";

impl Groups for Sql {
    fn put(&self, new: NewGroup) -> BoxFuture<'_, Result<Result<Group, AccessRefused>, StoreError>> {
        Box::pin(self.db.write(new, |new, mut conn| Box::pin(async move { put(new, &mut conn).await })))
    }

    fn find<'a>(&'a self, workspace: WorkspaceId, name: &'a Name) -> BoxFuture<'a, Result<Option<Membership>, StoreError>> {
        Box::pin(self.db.read((workspace, name.clone()), |(workspace, name), mut conn| {
            Box::pin(async move {
                let own = values![*workspace, name.as_str()];
                let rows =
                    conn.rows(format!("SELECT {COLUMNS} FROM people_groups WHERE workspace = $1 AND name = $2"), own.clone()).await?;
                let Some(row) = rows.first() else { return Ok(None) };
                let members = conn
                    .rows("SELECT user_name FROM group_members WHERE workspace = $1 AND group_name = $2 ORDER BY user_name", own)
                    .await?;
                let members = members.iter().map(|row| read_name(row, 0)).collect::<Result<Vec<_>, _>>()?;
                Ok(Some((read(row)?, members)))
            })
        }))
    }

    fn list<'a>(&'a self, workspace: WorkspaceId, after: Option<&'a Name>, limit: u32) -> BoxFuture<'a, Result<Vec<Group>, StoreError>> {
        let after = after.map_or_else(String::new, ToString::to_string);
        Box::pin(self.db.read((workspace, after, limit), |(workspace, after, limit), mut conn| {
            Box::pin(async move {
                let rows = conn
                    .rows(
                        format!("SELECT {COLUMNS} FROM people_groups WHERE workspace = $1 AND name > $2 ORDER BY name LIMIT $3"),
                        values![*workspace, after.as_str(), *limit],
                    )
                    .await?;
                rows.iter().map(read).collect()
            })
        }))
    }

    fn lists_with<'a>(&'a self, workspace: WorkspaceId, name: &'a Name) -> BoxFuture<'a, Result<Vec<Listed>, StoreError>> {
        Box::pin(self.db.read((workspace, name.clone()), |(workspace, name), mut conn| {
            Box::pin(async move {
                let rows = conn
                    .rows(
                        "SELECT path, kind, level FROM access_lists WHERE workspace = $1 AND who = $2 ORDER BY path, kind",
                        values![*workspace, format!("g/{name}")],
                    )
                    .await?;
                rows.iter()
                    .map(|row| Ok(Listed { path: row.text(0)?.to_owned(), kind: read_kind(row, 1)?, level: read_level(row, 2)? }))
                    .collect()
            })
        }))
    }

    fn delete<'a>(&'a self, workspace: WorkspaceId, name: &'a Name) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(self.db.write((workspace, name.clone()), |(workspace, name), mut conn| {
            Box::pin(async move {
                let own = values![*workspace, name.as_str()];
                // First: whoever puts it on a list at this moment holds it, and what they put is there afterwards.
                let deleted = conn.execute("DELETE FROM people_groups WHERE workspace = $1 AND name = $2", own.clone()).await? > 0;
                let lists = values![*workspace, format!("g/{name}")];
                conn.execute("DELETE FROM access_lists WHERE workspace = $1 AND who = $2", lists).await?;
                conn.execute("DELETE FROM group_members WHERE workspace = $1 AND group_name = $2", own).await?;
                Ok(deleted)
            })
        }))
    }
}

async fn put(new: &NewGroup, conn: &mut Conn<'_>) -> Result<Result<Group, AccessRefused>, StoreError> {
    if let Err(refused) = check_description(&new.description) {
        return Ok(Err(refused));
    }
    if new.members.len() > GROUP_MEMBERS_MAX {
        return Ok(Err(AccessRefused::TooMany(format!("a group has at most {GROUP_MEMBERS_MAX} members"))));
    }
    for member in &new.members {
        if !is_member(new.workspace, member, conn).await? {
            return Ok(Err(AccessRefused::Unknown(Who::User(member.clone()))));
        }
    }
    let own = values![new.workspace, new.name.as_str()];
    let is_there = conn.row("SELECT 1 FROM people_groups WHERE workspace = $1 AND name = $2", own.clone()).await?.is_some();
    if !is_there
        && let Some(row) = conn.row("SELECT COUNT(*) FROM people_groups WHERE workspace = $1", values![new.workspace]).await?
        && row.int(0)? >= i64::from(GROUPS_MAX)
    {
        return Ok(Err(AccessRefused::TooMany(format!("a workspace has at most {GROUPS_MAX} groups"))));
    }
    conn.execute(
        "INSERT INTO people_groups (workspace, name, description, updated_at, updated_by) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (workspace, name) DO UPDATE SET description = EXCLUDED.description, updated_at = EXCLUDED.updated_at,
             updated_by = EXCLUDED.updated_by",
        values![new.workspace, new.name.as_str(), new.description.as_str(), new.now, &new.by],
    )
    .await?;
    conn.execute("DELETE FROM group_members WHERE workspace = $1 AND group_name = $2", own).await?;
    for member in &new.members {
        conn.execute(
            "INSERT INTO group_members (workspace, group_name, user_name) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
            values![new.workspace, new.name.as_str(), member.as_str()],
        )
        .await?;
    }
    Ok(Ok(Group { name: new.name.clone(), description: new.description.clone(), updated_at: new.now, updated_by: new.by.clone() }))
}

fn read(row: &Row) -> Result<Group, StoreError> {
    Ok(Group { name: read_name(row, 0)?, description: row.text(1)?.to_owned(), updated_at: row.time(2)?, updated_by: row.text(3)?.into() })
}
