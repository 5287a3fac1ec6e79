//! Users.

use sandmill_model::{BoxFuture, WorkspaceId, people::Name};

use super::{
    Sql,
    dialect::Conn,
    subjects,
    value::{Row, values},
};
use crate::{
    StoreError,
    subjects::Subject,
    users::{BROUGHT_MAX, Login, NewUser, USERS_MAX, User, UserChange, UserRefused, Users},
};

/// What [`read`] reads; conditions come after it.
macro_rules! user_columns {
    () => {
        "u.name, u.email, u.display_name, CAST(CASE WHEN u.password IS NULL THEN 0 ELSE 1 END AS BIGINT), u.instance_admin, u.disabled,
         u.created_at, u.created_by"
    };
}
pub(super) use user_columns;

/// Columns that [`read`] reads.
pub(super) const USER_COLUMNS: usize = 8;

impl Users for Sql {
    fn create(&self, new: NewUser) -> BoxFuture<'_, Result<Result<User, UserRefused>, StoreError>> {
        Box::pin(self.db.write(new, |new, mut conn| Box::pin(async move { create(new, Way::Admin, &mut conn).await })))
    }

    fn is_free<'a>(&'a self, name: &'a Name) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(self.db.read(name.clone(), |name, mut conn| Box::pin(async move { is_free(name, &mut conn).await })))
    }

    fn find<'a>(&'a self, name: &'a Name) -> BoxFuture<'a, Result<Option<User>, StoreError>> {
        Box::pin(self.db.read(name.clone(), |name, mut conn| Box::pin(async move { find(name, &mut conn).await })))
    }

    fn by_login<'a>(&'a self, login: &'a str) -> BoxFuture<'a, Result<Option<Login>, StoreError>> {
        Box::pin(self.db.read(login.to_owned(), |login, mut conn| {
            Box::pin(async move {
                if login.contains('\0') {
                    return Ok(None);
                }
                // A name has no `@`, and an address has one: no user is another's namesake.
                let row = conn
                    .row(
                        concat!("SELECT ", user_columns!(), ", u.password FROM users u WHERE u.name = $1 OR u.email = $1"),
                        values![login.as_str()],
                    )
                    .await?;
                row.map(|row| Ok((read(&row)?, row.opt_text(USER_COLUMNS)?.map(str::to_owned)))).transpose()
            })
        }))
    }

    fn list<'a>(&'a self, after: Option<&'a Name>, limit: u32) -> BoxFuture<'a, Result<Vec<User>, StoreError>> {
        let after = after.map_or_else(String::new, ToString::to_string);
        Box::pin(self.db.read((after, limit), |(after, limit), mut conn| {
            Box::pin(async move {
                let rows = conn
                    .rows(
                        concat!("SELECT ", user_columns!(), " FROM users u WHERE u.name > $1 ORDER BY u.name LIMIT $2"),
                        values![after.as_str(), *limit],
                    )
                    .await?;
                rows.iter().map(read).collect()
            })
        }))
    }

    fn change(&self, name: Name, change: UserChange) -> BoxFuture<'_, Result<Result<Option<User>, UserRefused>, StoreError>> {
        Box::pin(
            self.db.write((name, change), |(name, change), mut conn| Box::pin(async move { self::change(name, change, &mut conn).await })),
        )
    }
}

/// How a user comes.
#[derive(Clone, Copy)]
pub(super) enum Way {
    /// An instance admin makes them.
    Admin,
    /// By an invitation to a workspace.
    Invitation(WorkspaceId),
    /// By single sign-on.
    Issuer,
}

pub(super) async fn create(new: &NewUser, way: Way, conn: &mut Conn<'_>) -> Result<Result<User, UserRefused>, StoreError> {
    let brought_by = match way {
        Way::Invitation(workspace) => Some(workspace),
        Way::Admin | Way::Issuer => None,
    };
    let (count, max) = match brought_by {
        Some(workspace) => (conn.row("SELECT COUNT(*) FROM users WHERE brought_by = $1", values![workspace]).await?, BROUGHT_MAX),
        None => (conn.row("SELECT COUNT(*) FROM users WHERE brought_by IS NULL", values![]).await?, USERS_MAX),
    };
    if let Some(row) = count
        && row.int(0)? >= i64::from(max)
    {
        return Ok(Err(UserRefused::TooMany));
    }
    let is_taken = match way {
        Way::Admin => conn.row("SELECT 1 FROM users WHERE name = $1", values![new.name.as_str()]).await?.is_some(),
        Way::Invitation(_) | Way::Issuer => !is_free(&new.name, conn).await?,
    };
    if is_taken {
        return Ok(Err(UserRefused::NameTaken));
    }
    let written = conn
        .execute(
            "INSERT INTO users (name, email, display_name, password, instance_admin, disabled, created_at, created_by, brought_by)
             VALUES ($1, $2, $3, $4, $5, 0, $6, $7, $8) ON CONFLICT DO NOTHING",
            values![
                new.name.as_str(),
                new.email.clone(),
                new.display_name.as_str(),
                new.password.clone(),
                i64::from(new.is_instance_admin),
                new.now,
                &new.by,
                brought_by
            ],
        )
        .await?;
    if written == 0 {
        // The name was free a moment ago.
        return Ok(Err(UserRefused::EmailTaken));
    }
    let gone = || StoreError::Other("a user that was just made is not there".to_owned());
    find(&new.name, conn).await?.map(Ok).ok_or_else(gone)
}

/// Whether there is neither such a user, nor a token that acts so, nor something in such a home of any workspace: whoever gets the name
/// gets all of these.
pub(super) async fn is_free(name: &Name, conn: &mut Conn<'_>) -> Result<bool, StoreError> {
    if conn.row("SELECT 1 FROM users WHERE name = $1", values![name.as_str()]).await?.is_some()
        || conn.row("SELECT 1 FROM tokens WHERE identity = $1 LIMIT 1", values![name.identity()]).await?.is_some()
    {
        return Ok(false);
    }
    // `0` comes after `/`. The indexes of homes are for all workspaces, and are used where their own condition is said, too.
    let home = conn
        .row(
            "SELECT 1 WHERE EXISTS (SELECT 1 FROM scripts WHERE substr(path, 1, 2) = 'u/' AND path >= $1 AND path < $2)
                 OR EXISTS (SELECT 1 FROM resources WHERE substr(path, 1, 2) = 'u/' AND path >= $1 AND path < $2)
                 OR EXISTS (SELECT 1 FROM variables WHERE substr(path, 1, 2) = 'u/' AND path >= $1 AND path < $2)
                 OR EXISTS (SELECT 1 FROM triggers WHERE substr(path, 1, 2) = 'u/' AND path >= $1 AND path < $2)",
            values![format!("u/{name}/"), format!("u/{name}0")],
        )
        .await?;
    Ok(home.is_none())
}

pub(super) async fn find(name: &Name, conn: &mut Conn<'_>) -> Result<Option<User>, StoreError> {
    let row = conn.row(concat!("SELECT ", user_columns!(), " FROM users u WHERE u.name = $1"), values![name.as_str()]).await?;
    row.as_ref().map(read).transpose()
}

/// Nothing is written before all that could be refused was looked at, for what is refused is committed, too.
async fn change(name: &Name, change: &UserChange, conn: &mut Conn<'_>) -> Result<Result<Option<User>, UserRefused>, StoreError> {
    let takes_admin = change.is_instance_admin == Some(false) || change.is_disabled == Some(true);
    // Of two admins who take each other's right away, one waits here and finds nobody else. Before the user: all lock in the same order.
    let admins = if takes_admin {
        conn.rows("SELECT name FROM users WHERE instance_admin = 1 AND disabled = 0 ORDER BY name {lock users}", values![]).await?
    } else {
        Vec::new()
    };
    // Whoever logs in at this moment locks it, too.
    let locked = conn
        .row(
            "SELECT email, display_name, password, instance_admin, disabled FROM users WHERE name = $1 {lock users}",
            values![name.as_str()],
        )
        .await?;
    let Some(row) = locked else { return Ok(Ok(None)) };
    if change.password_was.is_some() && row.opt_text(2)? != change.password_was.as_deref() {
        return Ok(Err(UserRefused::PasswordChanged));
    }
    if let [last] = &*admins
        && last.text(0)? == name.as_str()
    {
        return Ok(Err(UserRefused::LastAdmin));
    }
    let email = change.email.clone().map_or_else(|| row.opt_text(0).map(|email| email.map(str::to_owned)), Ok)?;
    if let Some(email) = &email
        && conn.row("SELECT 1 FROM users WHERE email = $1 AND name <> $2", values![email.as_str(), name.as_str()]).await?.is_some()
    {
        return Ok(Err(UserRefused::EmailTaken));
    }
    if let Some(link) = &change.link
        && let Some(subject) = &link.subject
        && subjects::owner(&Subject { issuer: link.issuer.clone(), subject: subject.clone() }, conn)
            .await?
            .is_some_and(|owner| owner != *name)
    {
        return Ok(Err(UserRefused::SubjectTaken));
    }
    let display_name = change.display_name.clone().map_or_else(|| row.text(1).map(str::to_owned), Ok)?;
    let password = match &change.password {
        Some(password) => Some(password.clone()),
        None => row.opt_text(2)?.map(str::to_owned),
    };
    let is_instance_admin = change.is_instance_admin.map_or_else(|| row.int(3), |is_admin| Ok(i64::from(is_admin)))?;
    let is_disabled = change.is_disabled.map_or_else(|| row.int(4), |is_disabled| Ok(i64::from(is_disabled)))?;
    conn.execute(
        "UPDATE users SET email = $2, display_name = $3, password = $4, instance_admin = $5, disabled = $6 WHERE name = $1",
        values![name.as_str(), email, display_name, password, is_instance_admin, is_disabled],
    )
    .await?;
    if change.password.is_some() || change.is_disabled == Some(true) {
        conn.execute("DELETE FROM sessions WHERE user_name = $1", values![name.as_str()]).await?;
    }
    if let Some(link) = &change.link {
        subjects::relink(link, name, conn).await?;
    }
    find(name, conn).await.map(Ok)
}

/// A name that was checked before it was kept.
pub(super) fn read_name(row: &Row, column: usize) -> Result<Name, StoreError> {
    row.text(column)?.parse().map_err(|error| StoreError::Corrupt(format!("a name: {error}")))
}

pub(super) fn read(row: &Row) -> Result<User, StoreError> {
    Ok(User {
        name: read_name(row, 0)?,
        email: row.opt_text(1)?.map(str::to_owned),
        display_name: row.text(2)?.to_owned(),
        has_password: row.int(3)? != 0,
        is_instance_admin: row.int(4)? != 0,
        is_disabled: row.int(5)? != 0,
        created_at: row.time(6)?,
        created_by: row.text(7)?.into(),
    })
}
