//! Users as issuers of single sign-on know them.

use std::sync::Arc;

use sandmill_model::{BoxFuture, Timestamp, WorkspaceId, path::SEGMENT_BYTES_MAX, people::Name, random, role::Role};

use super::{Sql, dialect::Conn, members, users, value::values, workspaces::read_status};
use crate::{
    StoreError,
    members::{MemberPut, NewMember, RoleChange},
    subjects::{BY_GROUPS, Came, Linked, Stranger, Subject, SubjectLogin, SubjectRefused, SubjectUser, Subjects},
    users::{Link, NewUser, User, UserRefused},
    workspaces::Status,
};

/// Names that are tried for a new user before a random one: `ann`, `ann-2`, ….
const NAMES_TRIED_MAX: usize = 50;
/// Bytes of a name that are kept where random characters follow.
const START_BYTES_MAX: usize = SEGMENT_BYTES_MAX - "-01234567".len();
/// How often a name is looked for that is free, where others take what was found.
const LOOKS_MAX: usize = 5;

/// The name of a user who may have to be made. It is looked for before the write begins, which others wait for; the write checks it again.
enum Named {
    /// Nobody has to be made.
    NotNeeded,
    Free(Name),
    /// All that are tried are taken.
    Taken,
}

/// The user of somebody who was not known, or why there is none.
type Admitted = Result<(User, Came), SubjectRefused>;

impl Subjects for Sql {
    fn log_in(&self, login: SubjectLogin) -> BoxFuture<'_, Result<Result<SubjectUser, SubjectRefused>, StoreError>> {
        Box::pin(async move {
            for _ in 0..LOOKS_MAX {
                let named = match &login.stranger {
                    None => Named::NotNeeded,
                    Some(stranger) => self.named(&login.subject, stranger).await?,
                };
                let written = self.db.write((login.clone(), named), |(login, named), mut conn| {
                    Box::pin(async move { log_in(login, named, &mut conn).await })
                });
                if let Some(done) = written.await? {
                    return Ok(done);
                }
            }
            Err(StoreError::Contended("others take all names that were free a moment before".to_owned()))
        })
    }

    fn link(&self, subject: Subject, user: Name, now: Timestamp) -> BoxFuture<'_, Result<Linked, StoreError>> {
        Box::pin(self.db.write((subject, user, now), |(subject, user, now), mut conn| {
            Box::pin(async move {
                if users::find(user, &mut conn).await?.is_none() {
                    return Ok(Linked::NoSuchUser);
                }
                if owner(subject, &mut conn).await?.is_some_and(|owner| owner != *user) {
                    return Ok(Linked::Taken);
                }
                let wanted = Link { issuer: subject.issuer.clone(), subject: Some(subject.subject.clone()), now: *now };
                relink(&wanted, user, &mut conn).await?;
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

impl Sql {
    async fn named(&self, subject: &Subject, stranger: &Stranger) -> Result<Named, StoreError> {
        let who = (subject.clone(), stranger.clone(), random_name(&stranger.name));
        let looked = self.db.read(who, |(subject, stranger, last), mut conn| {
            Box::pin(async move { named(subject, stranger, last.as_ref(), &mut conn).await })
        });
        looked.await
    }
}

/// One that nobody knows before: whoever puts something into homes that nobody has, so that their names are taken, cannot put it into this
/// one. None: it would be no name.
fn random_name(wanted: &Name) -> Option<Name> {
    let start: String = wanted.as_str().chars().take(START_BYTES_MAX).collect();
    format!("{start}-{:08x}", u32::from_be_bytes(random::bytes())).parse().ok()
}

async fn named(subject: &Subject, stranger: &Stranger, last: Option<&Name>, conn: &mut Conn<'_>) -> Result<Named, StoreError> {
    if owner(subject, conn).await?.is_some() {
        return Ok(Named::NotNeeded);
    }
    if let Some(email) = &stranger.email
        && conn.row("SELECT 1 FROM users WHERE email = $1", values![email.as_str()]).await?.is_some()
    {
        return Ok(Named::NotNeeded);
    }
    Ok(free(&stranger.name, last, conn).await?.map_or(Named::Taken, Named::Free))
}

/// Nothing is written before all that could be refused was looked at, for what is refused is committed, too. None, and nothing written:
/// a name has to be looked for, or another has taken it.
async fn log_in(
    login: &SubjectLogin,
    named: &Named,
    conn: &mut Conn<'_>,
) -> Result<Option<Result<SubjectUser, SubjectRefused>>, StoreError> {
    let (user, came) = match owner(&login.subject, conn).await? {
        Some(name) => {
            let gone = || StoreError::Corrupt(format!("a subject of {name}, who is not there"));
            (users::find(&name, conn).await?.ok_or_else(gone)?, Came::Known)
        }
        None => match &login.stranger {
            None => return Ok(Some(Err(SubjectRefused::Unknown))),
            Some(stranger) => match admit(login, stranger, named, conn).await? {
                Some(Ok(admitted)) => admitted,
                Some(Err(refused)) => return Ok(Some(Err(refused))),
                None => return Ok(None),
            },
        },
    };
    if user.is_disabled {
        return Ok(Some(Err(SubjectRefused::Disabled)));
    }
    let roles = match &login.roles {
        Some(roles) => give(&user.name, roles, login.now, conn).await?,
        None => Vec::new(),
    };
    Ok(Some(Ok(SubjectUser { user, came, roles })))
}

/// The user whom a subject is linked with.
pub(super) async fn owner(subject: &Subject, conn: &mut Conn<'_>) -> Result<Option<Name>, StoreError> {
    let row =
        conn.row("SELECT user_name FROM subjects WHERE issuer = $1 AND subject = $2", values![&subject.issuer, &subject.subject]).await?;
    row.map(|row| users::read_name(&row, 0)).transpose()
}

async fn link(subject: &Subject, user: &Name, now: Timestamp, conn: &mut Conn<'_>) -> Result<(), StoreError> {
    note_linked(user, conn).await?;
    let written = conn
        .execute(
            "INSERT INTO subjects (issuer, subject, user_name, linked_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
            values![&subject.issuer, &subject.subject, user.as_str(), now],
        )
        .await?;
    // Another has linked it at this moment: all that was done here is undone, and done again by what is there then.
    if written == 0 { Err(StoreError::Contended("two link one subject at once".to_owned())) } else { Ok(()) }
}

/// Links a user with a subject that is nobody else's, in the place of another of the same issuer; or with none.
pub(super) async fn relink(wanted: &Link, user: &Name, conn: &mut Conn<'_>) -> Result<(), StoreError> {
    if let Some(subject) = &wanted.subject {
        let subject = Subject { issuer: wanted.issuer.clone(), subject: subject.clone() };
        if owner(&subject, conn).await?.as_ref() == Some(user) {
            return Ok(());
        }
        unlink(&wanted.issuer, user, conn).await?;
        return link(&subject, user, wanted.now, conn).await;
    }
    unlink(&wanted.issuer, user, conn).await.map(drop)
}

/// From then on no address links a user: that would undo what an admin does by taking a link away.
async fn note_linked(user: &Name, conn: &mut Conn<'_>) -> Result<(), StoreError> {
    conn.execute("UPDATE users SET was_linked = 1 WHERE name = $1", values![user.as_str()]).await.map(drop)
}

async fn unlink(issuer: &str, user: &Name, conn: &mut Conn<'_>) -> Result<bool, StoreError> {
    note_linked(user, conn).await?;
    let own = values![user.as_str(), issuer];
    Ok(conn.execute("DELETE FROM subjects WHERE user_name = $1 AND issuer = $2", own).await? > 0)
}

/// The user of somebody who was not known until now.
async fn admit(login: &SubjectLogin, stranger: &Stranger, named: &Named, conn: &mut Conn<'_>) -> Result<Option<Admitted>, StoreError> {
    let (subject, now) = (&login.subject, login.now);
    if let Some(email) = &stranger.email {
        let row = conn
            .row(
                "SELECT u.name, CAST(CASE WHEN u.password IS NULL AND u.was_linked = 0 AND u.instance_admin = 0
                     AND NOT EXISTS (SELECT 1 FROM subjects s WHERE s.user_name = u.name) THEN 1 ELSE 0 END AS BIGINT)
                 FROM users u WHERE u.email = $1",
                values![email.as_str()],
            )
            .await?;
        if let Some(row) = row {
            // Whoever has a password chose the address without showing that it is theirs: they would get into the account of its owner. Of
            // whoever was known by a subject, or is so, an admin says who they are; and addresses make nobody an admin of the installation.
            if row.int(1)? == 0 {
                // Unless the subject was linked since it was looked up: then everything is done again.
                return match owner(subject, conn).await? {
                    Some(_) => Err(StoreError::Contended("two log in for the first time at once".to_owned())),
                    None => Ok(Some(Err(SubjectRefused::EmailTaken))),
                };
            }
            let name = users::read_name(&row, 0)?;
            let gone = || StoreError::Contended("a user is gone".to_owned());
            let user = users::find(&name, conn).await?.ok_or_else(gone)?;
            if !user.is_disabled {
                link(subject, &name, now, conn).await?;
            }
            return Ok(Some(Ok((user, Came::Linked))));
        }
    }
    let name = match named {
        Named::Free(name) => name.clone(),
        Named::Taken => return Ok(Some(Err(SubjectRefused::NameTaken))),
        // Somebody had the subject or the address when that was looked at, and has them no more.
        Named::NotNeeded => return Ok(None),
    };
    let Stranger { name: _, email, display_name } = stranger.clone();
    let new = NewUser { name, email, display_name, password: None, is_instance_admin: false, by: BY_GROUPS.into(), now };
    match users::create(&new, users::Way::Issuer, conn).await? {
        Ok(user) => {
            link(subject, &user.name, now, conn).await?;
            Ok(Some(Ok((user, Came::Made))))
        }
        Err(UserRefused::TooMany) => Ok(Some(Err(SubjectRefused::TooMany))),
        Err(UserRefused::NameTaken) => Ok(None),
        // It was free a moment ago.
        Err(_) => Err(StoreError::Contended("two users of one name at once".to_owned())),
    }
}

/// The first of them that is free: the wanted one, with a number after it, and `last`.
async fn free(wanted: &Name, last: Option<&Name>, conn: &mut Conn<'_>) -> Result<Option<Name>, StoreError> {
    let numbered = (2..=NAMES_TRIED_MAX).filter_map(|number| format!("{wanted}-{number}").parse().ok());
    for name in std::iter::once(wanted.clone()).chain(numbered).chain(last.cloned()) {
        if users::is_free(&name, conn).await? {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

/// Makes members what groups say they are, and takes out whom groups put in and do not name any more. Returns whom it made what.
async fn give(user: &Name, roles: &[(Arc<str>, Role)], now: Timestamp, conn: &mut Conn<'_>) -> Result<Vec<RoleChange>, StoreError> {
    let mut wanted: Vec<(WorkspaceId, Role, Status)> = Vec::with_capacity(roles.len());
    for (workspace, role) in roles {
        // One that is not there, or is being deleted, gives nothing.
        if let Some(row) = conn.row("SELECT id, status FROM workspaces WHERE name = $1 AND status <> 2", values![workspace]).await? {
            wanted.push((WorkspaceId(row.uuid(0)?), *role, read_status(&row, 1)?));
        }
    }
    let rows = conn
        .rows(
            "SELECT m.workspace, m.role, m.created_by, w.status FROM members m LEFT JOIN workspaces w ON w.id = m.workspace
             WHERE m.user_name = $1 ORDER BY m.workspace",
            values![user.as_str()],
        )
        .await?;
    let mut present = Vec::with_capacity(rows.len());
    for row in &rows {
        present.push((WorkspaceId(row.uuid(0)?), members::read_role(row, 1)?, row.text(2)? == BY_GROUPS, read_status(row, 3)?));
    }
    let mut changes = Vec::new();
    for (workspace, role, by_groups, status) in &present {
        let is_named = wanted.iter().any(|(id, ..)| id == workspace);
        // What is being deleted has nobody any more to tell it to.
        if *by_groups && !is_named && members::remove(*workspace, user, conn).await? && *status != Status::Deleting {
            changes.push(RoleChange { workspace: *workspace, before: Some(*role), after: None });
        }
    }
    // What is archived is not changed; but nobody goes on to read it whom groups do not name any more.
    for (workspace, role, _) in wanted.into_iter().filter(|(.., status)| *status == Status::Active) {
        let before = present.iter().find(|(id, ..)| *id == workspace);
        if before.is_some_and(|(_, own, by_groups, _)| *own == role || !by_groups) {
            continue;
        }
        let new = NewMember { workspace, user: user.clone(), role, by: BY_GROUPS.into(), now };
        // One that is full takes nobody in; that keeps nobody from logging in.
        if members::put(&new, conn).await? == MemberPut::Done {
            changes.push(RoleChange { workspace, before: before.map(|(_, own, ..)| *own), after: Some(role) });
        }
    }
    Ok(changes)
}
