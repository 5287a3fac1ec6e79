//! Users as issuers of single sign-on know them.

use std::sync::Arc;

use sandmill_model::{BoxFuture, Timestamp, WorkspaceId, people::Name, role::Role};

use super::{Sql, dialect::Conn, members, users, value::values};
use crate::{
    StoreError,
    members::NewMember,
    subjects::{BY_GROUPS, Linked, Stranger, Subject, SubjectLogin, SubjectRefused, Subjects},
    users::{NewUser, User, UserRefused},
};

/// Names that are tried for a new user: `ann`, `ann-2`, ….
const NAMES_TRIED_MAX: usize = 50;

impl Subjects for Sql {
    fn log_in(&self, login: SubjectLogin) -> BoxFuture<'_, Result<Result<User, SubjectRefused>, StoreError>> {
        Box::pin(self.db.write(login, |login, mut conn| Box::pin(async move { log_in(login, &mut conn).await })))
    }

    fn link(&self, subject: Subject, user: Name, now: Timestamp) -> BoxFuture<'_, Result<Linked, StoreError>> {
        Box::pin(self.db.write((subject, user, now), |(subject, user, now), mut conn| {
            Box::pin(async move {
                if users::find(user, &mut conn).await?.is_none() {
                    return Ok(Linked::NoSuchUser);
                }
                match owner(subject, &mut conn).await? {
                    Some(owner) if owner == *user => return Ok(Linked::Done),
                    Some(_) => return Ok(Linked::Taken),
                    None => {}
                }
                unlink(&subject.issuer, user, &mut conn).await?;
                link(subject, user, *now, &mut conn).await?;
                Ok(Linked::Done)
            })
        }))
    }

    fn unlink<'a>(&'a self, issuer: &'a str, user: &'a Name) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(self.db.write((issuer.to_owned(), user.clone()), |(issuer, user), mut conn| {
            Box::pin(async move { unlink(issuer, user, &mut conn).await })
        }))
    }

    fn of_user<'a>(&'a self, issuer: &'a str, user: &'a Name) -> BoxFuture<'a, Result<Option<String>, StoreError>> {
        Box::pin(self.db.read((issuer.to_owned(), user.clone()), |(issuer, user), mut conn| {
            Box::pin(async move {
                let row = conn
                    .row("SELECT subject FROM subjects WHERE user_name = $1 AND issuer = $2", values![user.as_str(), issuer.as_str()])
                    .await?;
                row.map(|row| row.text(0).map(str::to_owned)).transpose()
            })
        }))
    }
}

/// Nothing is written before all that could be refused was looked at, for what is refused is committed, too.
async fn log_in(login: &SubjectLogin, conn: &mut Conn<'_>) -> Result<Result<User, SubjectRefused>, StoreError> {
    let user = match owner(&login.subject, conn).await? {
        Some(name) => {
            let gone = || StoreError::Corrupt(format!("a subject of {name}, who is not there"));
            users::find(&name, conn).await?.ok_or_else(gone)?
        }
        None => match &login.stranger {
            None => return Ok(Err(SubjectRefused::Unknown)),
            Some(stranger) => match admit(&login.subject, stranger, login.now, conn).await? {
                Ok(user) => user,
                Err(refused) => return Ok(Err(refused)),
            },
        },
    };
    if user.is_disabled {
        return Ok(Err(SubjectRefused::Disabled));
    }
    if let Some(roles) = &login.roles {
        give(&user.name, roles, login.now, conn).await?;
    }
    Ok(Ok(user))
}

/// The user whom a subject is linked with.
async fn owner(subject: &Subject, conn: &mut Conn<'_>) -> Result<Option<Name>, StoreError> {
    let row =
        conn.row("SELECT user_name FROM subjects WHERE issuer = $1 AND subject = $2", values![&subject.issuer, &subject.subject]).await?;
    row.map(|row| users::read_name(&row, 0)).transpose()
}

async fn link(subject: &Subject, user: &Name, now: Timestamp, conn: &mut Conn<'_>) -> Result<(), StoreError> {
    let written = conn
        .execute(
            "INSERT INTO subjects (issuer, subject, user_name, linked_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
            values![&subject.issuer, &subject.subject, user.as_str(), now],
        )
        .await?;
    // Another has linked it at this moment: all that was done here is undone, and done again by what is there then.
    if written == 0 { Err(StoreError::Contended("two link one subject at once".to_owned())) } else { Ok(()) }
}

async fn unlink(issuer: &str, user: &Name, conn: &mut Conn<'_>) -> Result<bool, StoreError> {
    let own = values![user.as_str(), issuer];
    Ok(conn.execute("DELETE FROM subjects WHERE user_name = $1 AND issuer = $2", own).await? > 0)
}

/// The user of somebody who was not known until now.
async fn admit(
    subject: &Subject,
    stranger: &Stranger,
    now: Timestamp,
    conn: &mut Conn<'_>,
) -> Result<Result<User, SubjectRefused>, StoreError> {
    if let Some(email) = &stranger.email {
        let row = conn
            .row(
                "SELECT u.name, u.password, s.subject FROM users u LEFT JOIN subjects s ON s.user_name = u.name AND s.issuer = $2
                 WHERE u.email = $1",
                values![email.as_str(), &subject.issuer],
            )
            .await?;
        if let Some(row) = row {
            if row.opt_text(2)? == Some(&*subject.subject) {
                // Since it was looked whose the subject is: it is done again.
                return Err(StoreError::Contended("two log in for the first time at once".to_owned()));
            }
            // Whoever has a password chose the address without showing that it is theirs: they would get into the account of its owner.
            if row.opt_text(1)?.is_some() || row.opt_text(2)?.is_some() {
                return Ok(Err(SubjectRefused::EmailTaken));
            }
            let name = users::read_name(&row, 0)?;
            let gone = || StoreError::Contended("a user is gone".to_owned());
            let user = users::find(&name, conn).await?.ok_or_else(gone)?;
            if !user.is_disabled {
                link(subject, &name, now, conn).await?;
            }
            return Ok(Ok(user));
        }
    }
    let Some(name) = free(&stranger.name, conn).await? else { return Ok(Err(SubjectRefused::NameTaken)) };
    let Stranger { name: _, email, display_name } = stranger.clone();
    let new = NewUser { name, email, display_name, password: None, is_instance_admin: false, by: BY_GROUPS.into(), now };
    match users::create(&new, conn).await? {
        Ok(user) => {
            link(subject, &user.name, now, conn).await?;
            Ok(Ok(user))
        }
        Err(UserRefused::TooMany) => Ok(Err(SubjectRefused::TooMany)),
        // Both were free a moment ago.
        Err(UserRefused::NameTaken | UserRefused::EmailTaken) => Err(StoreError::Contended("two users of one name at once".to_owned())),
    }
}

async fn free(wanted: &Name, conn: &mut Conn<'_>) -> Result<Option<Name>, StoreError> {
    let numbered = (2..=NAMES_TRIED_MAX).filter_map(|number| format!("{wanted}-{number}").parse().ok());
    for name in std::iter::once(wanted.clone()).chain(numbered) {
        if users::find(&name, conn).await?.is_none() {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

/// Makes members what groups say they are, and takes out whom groups put in and do not name any more.
async fn give(user: &Name, roles: &[(Arc<str>, Role)], now: Timestamp, conn: &mut Conn<'_>) -> Result<(), StoreError> {
    let mut wanted: Vec<(WorkspaceId, Role)> = Vec::with_capacity(roles.len());
    for (workspace, role) in roles {
        // One that is not there, or is being deleted, gives nothing.
        if let Some(row) = conn.row("SELECT id FROM workspaces WHERE name = $1 AND status <> 2", values![workspace]).await? {
            wanted.push((WorkspaceId(row.uuid(0)?), *role));
        }
    }
    let rows = conn.rows("SELECT workspace, role, created_by FROM members WHERE user_name = $1", values![user.as_str()]).await?;
    let mut present = Vec::with_capacity(rows.len());
    for row in &rows {
        present.push((WorkspaceId(row.uuid(0)?), members::read_role(row, 1)?, row.text(2)? == BY_GROUPS));
    }
    for (workspace, ..) in present.iter().filter(|(workspace, _, by_groups)| *by_groups && wanted.iter().all(|(id, _)| id != workspace)) {
        members::remove(*workspace, user, conn).await?;
    }
    for (workspace, role) in wanted {
        let is_as_it_should = |(id, own, by_groups): &(WorkspaceId, Role, bool)| *id == workspace && (*own == role || !by_groups);
        if !present.iter().any(is_as_it_should) {
            let new = NewMember { workspace, user: user.clone(), role, by: BY_GROUPS.into(), now };
            // One that is full takes nobody in; that keeps nobody from logging in.
            members::put(&new, conn).await?;
        }
    }
    Ok(())
}
