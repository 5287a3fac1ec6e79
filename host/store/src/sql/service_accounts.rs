//! Service accounts. Their lists are with those of folders and paths, so that whoever leaves is on none of them any more.

use sandmill_model::{
    BoxFuture, RunAs, WorkspaceId,
    people::{Level, Name},
};

use super::{
    Sql,
    access::{check_description, list_of, refused, write},
    dialect::Conn,
    tokens::{read_scopes, written},
    users::read_name,
    value::{Row, values},
};
use crate::{
    StoreError,
    access::{AccessList, AccessRefused},
    service_accounts::{AccountAndUsers, NewServiceAccount, SERVICE_ACCOUNTS_MAX, ServiceAccount, ServiceAccounts},
};

const COLUMNS: &str = "name, description, scopes, updated_at, updated_by";
/// As whom the operator's token acts; no user can be called so.
const OPERATOR: &str = "admin";

/// Where an account's list is.
fn path_of(name: &Name) -> String {
    format!("s/{name}")
}

impl ServiceAccounts for Sql {
    fn put(&self, new: NewServiceAccount) -> BoxFuture<'_, Result<Result<ServiceAccount, AccessRefused>, StoreError>> {
        Box::pin(self.db.write(new, |new, mut conn| Box::pin(async move { put(new, &mut conn).await })))
    }

    fn find<'a>(&'a self, workspace: WorkspaceId, name: &'a Name) -> BoxFuture<'a, Result<Option<AccountAndUsers>, StoreError>> {
        Box::pin(self.db.read((workspace, name.clone()), |(workspace, name), mut conn| {
            Box::pin(async move {
                let own = values![*workspace, name.as_str()];
                let rows = conn.rows(format!("SELECT {COLUMNS} FROM service_accounts WHERE workspace = $1 AND name = $2"), own).await?;
                let Some(row) = rows.first() else { return Ok(None) };
                let list = list_of(*workspace, &path_of(name), &mut conn).await?;
                Ok(Some((read(row)?, list.into_keys().collect())))
            })
        }))
    }

    fn list<'a>(
        &'a self,
        workspace: WorkspaceId,
        after: Option<&'a Name>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<ServiceAccount>, StoreError>> {
        let after = after.map_or_else(String::new, ToString::to_string);
        Box::pin(self.db.read((workspace, after, limit), |(workspace, after, limit), mut conn| {
            Box::pin(async move {
                let rows = conn
                    .rows(
                        format!("SELECT {COLUMNS} FROM service_accounts WHERE workspace = $1 AND name > $2 ORDER BY name LIMIT $3"),
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
                let list = values![*workspace, path_of(name)];
                conn.execute("DELETE FROM access_lists WHERE workspace = $1 AND path = $2", list).await?;
                let own = values![*workspace, name.as_str()];
                Ok(conn.execute("DELETE FROM service_accounts WHERE workspace = $1 AND name = $2", own).await? > 0)
            })
        }))
    }

    fn may_use<'a>(&'a self, workspace: WorkspaceId, wanted: &'a RunAs, who: &'a str) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(self.db.read((workspace, wanted.clone(), who.to_owned()), |(workspace, wanted, who), mut conn| {
            Box::pin(async move { may_use(*workspace, wanted, who, &mut conn).await })
        }))
    }
}

async fn put(new: &NewServiceAccount, conn: &mut Conn<'_>) -> Result<Result<ServiceAccount, AccessRefused>, StoreError> {
    if let Err(refused) = check_description(&new.description) {
        return Ok(Err(refused));
    }
    let list: AccessList = new.users.iter().map(|who| (who.clone(), Level::Reader)).collect();
    if let Some(refused) = refused(new.workspace, &list, conn).await? {
        return Ok(Err(refused));
    }
    let own = values![new.workspace, new.name.as_str()];
    if conn.row("SELECT 1 FROM service_accounts WHERE workspace = $1 AND name = $2", own).await?.is_none()
        && let Some(row) = conn.row("SELECT COUNT(*) FROM service_accounts WHERE workspace = $1", values![new.workspace]).await?
        && row.int(0)? >= i64::from(SERVICE_ACCOUNTS_MAX)
    {
        return Ok(Err(AccessRefused::TooMany(format!("a workspace has at most {SERVICE_ACCOUNTS_MAX} service accounts"))));
    }
    conn.execute(
        "INSERT INTO service_accounts (workspace, name, description, scopes, updated_at, updated_by) VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (workspace, name) DO UPDATE SET description = EXCLUDED.description, scopes = EXCLUDED.scopes,
             updated_at = EXCLUDED.updated_at, updated_by = EXCLUDED.updated_by",
        values![new.workspace, new.name.as_str(), new.description.as_str(), written(&new.scopes)?, new.now, &new.by],
    )
    .await?;
    write(new.workspace, &path_of(&new.name), &list, conn).await?;
    Ok(Ok(ServiceAccount {
        name: new.name.clone(),
        description: new.description.clone(),
        scopes: new.scopes.clone(),
        updated_at: new.now,
        updated_by: new.by.clone(),
    }))
}

/// Who is a viewer starts nothing, and answers for no start: no list and no group gives more than a role.
async fn may_use(workspace: WorkspaceId, wanted: &RunAs, who: &str, conn: &mut Conn<'_>) -> Result<bool, StoreError> {
    // Nobody but people has a list or a group; and what holds NUL is nobody.
    let Some(user) = who.strip_prefix("u/").filter(|user| !user.contains('\0')) else { return Ok(false) };
    match wanted {
        RunAs::User(name) => Ok(name.as_str() == user && is_good(workspace, user, conn).await?),
        RunAs::Group(name) => {
            let own = values![workspace, name.as_str()];
            if conn.row("SELECT 1 FROM people_groups WHERE workspace = $1 AND name = $2", own).await?.is_none() {
                return Ok(false);
            }
            if administers(workspace, user, conn).await? {
                return Ok(true);
            }
            let of_group = conn
                .row(
                    "SELECT 1 FROM group_members g JOIN users u ON u.name = g.user_name
                         JOIN members m ON m.workspace = g.workspace AND m.user_name = g.user_name
                     WHERE g.workspace = $1 AND g.group_name = $2 AND g.user_name = $3 AND u.disabled = 0 AND m.role <> 'viewer'",
                    values![workspace, name.as_str(), user],
                )
                .await?;
            Ok(of_group.is_some())
        }
        RunAs::ServiceAccount(name) => {
            let own = values![workspace, name.as_str()];
            if conn.row("SELECT 1 FROM service_accounts WHERE workspace = $1 AND name = $2", own).await?.is_none() {
                return Ok(false);
            }
            if administers(workspace, user, conn).await? {
                return Ok(true);
            }
            let on_list = conn
                .row(
                    "SELECT 1 FROM access_lists l JOIN users u ON u.name = $4
                         JOIN members m ON m.workspace = l.workspace AND m.user_name = u.name
                     WHERE l.workspace = $1 AND l.path = $2 AND u.disabled = 0 AND m.role <> 'viewer' AND (l.who = $3 OR l.who IN (
                         SELECT 'g/' || group_name FROM group_members WHERE workspace = $1 AND user_name = $4
                     )) LIMIT 1",
                    values![workspace, path_of(name), who, user],
                )
                .await?;
            Ok(on_list.is_some())
        }
    }
}

/// Whether somebody may log in and administers the workspace or the installation.
pub(super) async fn administers(workspace: WorkspaceId, user: &str, conn: &mut Conn<'_>) -> Result<bool, StoreError> {
    if user == OPERATOR {
        return Ok(true);
    }
    let admin = conn
        .row(
            "SELECT 1 FROM users u WHERE u.name = $2 AND u.disabled = 0 AND (u.instance_admin = 1 OR EXISTS (
                 SELECT 1 FROM members m WHERE m.workspace = $1 AND m.user_name = u.name AND m.role = 'admin'
             ))",
            values![workspace, user],
        )
        .await?;
    Ok(admin.is_some())
}

/// Whether nothing speaks against acting as `user`: one who is disabled, or belongs to the workspace no more, is nobody. Tokens may act as
/// somebody who is no user, and are good as they are.
async fn is_good(workspace: WorkspaceId, user: &str, conn: &mut Conn<'_>) -> Result<bool, StoreError> {
    let bad = conn
        .row(
            "SELECT 1 FROM users u WHERE u.name = $2 AND (u.disabled = 1 OR (u.instance_admin = 0 AND NOT EXISTS (
                 SELECT 1 FROM members m WHERE m.workspace = $1 AND m.user_name = u.name
             )))",
            values![workspace, user],
        )
        .await?;
    Ok(bad.is_none())
}

fn read(row: &Row) -> Result<ServiceAccount, StoreError> {
    Ok(ServiceAccount {
        name: read_name(row, 0)?,
        description: row.text(1)?.to_owned(),
        scopes: read_scopes(row, 2)?,
        updated_at: row.time(3)?,
        updated_by: row.text(4)?.into(),
    })
}
