//! Invitations to workspaces.

use sandmill_model::{BoxFuture, Timestamp, TokenId, WorkspaceId, auth::TokenHash};

use super::{
    Sql,
    dialect::Conn,
    members::{self, read_role},
    service_accounts::administers,
    users,
    value::{Row, values},
};
use crate::{
    StoreError,
    members::{
        INVITATIONS_MAX, Invitation, InvitationRefused, Invitations, Invited, Joined, MemberPut, NewInvitation, NewMember, RoleChange,
    },
};

/// The one of the hash `$1`, if it is good at `$2`: nobody comes into a workspace that is archived or being deleted.
macro_rules! is_good {
    () => {
        "hash = $1 AND expires_at > $2 AND used_by IS NULL
         AND NOT EXISTS (SELECT 1 FROM workspaces w WHERE w.id = invitations.workspace AND w.status <> 0)"
    };
}

impl Invitations for Sql {
    fn invite(&self, new: NewInvitation) -> BoxFuture<'_, Result<bool, StoreError>> {
        Box::pin(self.db.write(new, |new, mut conn| Box::pin(async move { invite(new, &mut conn).await })))
    }

    fn invitations(
        &self,
        workspace: WorkspaceId,
        before: Option<TokenId>,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<Invitation>, StoreError>> {
        // Greater than every id.
        let before = before.map_or_else(|| vec![0xff; 16], |id| id.0.as_bytes().to_vec());
        Box::pin(self.db.read((workspace, before, limit), |(workspace, before, limit), mut conn| {
            Box::pin(async move {
                let rows = conn
                    .rows(
                        "SELECT id, role, created_at, created_by, expires_at, used_by FROM invitations
                         WHERE workspace = $1 AND id < $2 ORDER BY id DESC LIMIT $3",
                        values![*workspace, before.clone(), *limit],
                    )
                    .await?;
                rows.iter().map(read).collect()
            })
        }))
    }

    fn find(&self, workspace: WorkspaceId, id: TokenId) -> BoxFuture<'_, Result<Option<Invitation>, StoreError>> {
        Box::pin(self.db.read((workspace, id), |(workspace, id), mut conn| {
            Box::pin(async move {
                let row = conn
                    .row(
                        "SELECT id, role, created_at, created_by, expires_at, used_by FROM invitations WHERE workspace = $1 AND id = $2",
                        values![*workspace, *id],
                    )
                    .await?;
                row.as_ref().map(read).transpose()
            })
        }))
    }

    fn withdraw(&self, workspace: WorkspaceId, id: TokenId) -> BoxFuture<'_, Result<bool, StoreError>> {
        Box::pin(self.db.write((workspace, id), |(workspace, id), mut conn| {
            Box::pin(async move {
                Ok(conn.execute("DELETE FROM invitations WHERE workspace = $1 AND id = $2", values![*workspace, *id]).await? > 0)
            })
        }))
    }

    fn is_good(&self, hash: TokenHash, now: Timestamp) -> BoxFuture<'_, Result<bool, StoreError>> {
        Box::pin(self.db.read((hash, now), |(hash, now), mut conn| {
            Box::pin(async move {
                let sql = concat!("SELECT workspace, created_by, by_operator FROM invitations WHERE ", is_good!());
                let Some(row) = conn.row(sql, values![hash.0, *now]).await? else { return Ok(false) };
                may_invite(WorkspaceId(row.uuid(0)?), row.text(1)?, row.int(2)? != 0, &mut conn).await
            })
        }))
    }

    fn accept(
        &self,
        hash: TokenHash,
        invited: Invited,
        now: Timestamp,
    ) -> BoxFuture<'_, Result<Result<Joined, InvitationRefused>, StoreError>> {
        Box::pin(self.db.write((hash, invited, now), |(hash, invited, now), mut conn| {
            Box::pin(async move { accept(*hash, invited, *now, &mut conn).await })
        }))
    }
}

async fn invite(new: &NewInvitation, conn: &mut Conn<'_>) -> Result<bool, StoreError> {
    if !may_invite(new.workspace, &new.by, new.is_by_operator, conn).await? {
        return Ok(false);
    }
    conn.execute(
        "DELETE FROM invitations WHERE workspace = $1 AND id IN (
             SELECT id FROM invitations WHERE workspace = $1 ORDER BY id DESC LIMIT $2 OFFSET $3
         )",
        values![new.workspace, i64::from(INVITATIONS_MAX), i64::from(INVITATIONS_MAX) - 1],
    )
    .await?;
    conn.execute(
        "INSERT INTO invitations (workspace, id, hash, role, created_at, created_by, expires_at, by_operator)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        values![new.workspace, new.id, new.hash.0, new.role.name(), new.now, &new.by, new.expires_at, i64::from(new.is_by_operator)],
    )
    .await?;
    Ok(true)
}

/// Whether who is called `by` may invite somebody to a workspace: nobody whom it has lost brings others in.
async fn may_invite(workspace: WorkspaceId, by: &str, is_by_operator: bool, conn: &mut Conn<'_>) -> Result<bool, StoreError> {
    // What holds NUL is nobody.
    let Some(user) = by.strip_prefix("u/").filter(|user| !user.contains('\0')) else { return Ok(is_by_operator) };
    if administers(workspace, user, conn).await? {
        return Ok(true);
    }
    Ok(is_by_operator && conn.row("SELECT 1 FROM users WHERE name = $1", values![user]).await?.is_none())
}

/// Nothing is written before all that could be refused was looked at, for what is refused is committed, too.
async fn accept(
    hash: TokenHash,
    invited: &Invited,
    now: Timestamp,
    conn: &mut Conn<'_>,
) -> Result<Result<Joined, InvitationRefused>, StoreError> {
    // Of two that accept at once, one waits here and finds it used.
    let row = conn
        .row(
            concat!("SELECT workspace, id, role, created_by, by_operator FROM invitations WHERE ", is_good!(), " {lock invitations}"),
            values![hash.0, now],
        )
        .await?;
    let Some(row) = row else { return Ok(Err(InvitationRefused::NotGood)) };
    let (workspace, id, role) = (WorkspaceId(row.uuid(0)?), TokenId(row.uuid(1)?), read_role(&row, 2)?);
    if !may_invite(workspace, row.text(3)?, row.int(4)? != 0, conn).await? {
        return Ok(Err(InvitationRefused::NotGood));
    }
    if members::is_full(workspace, conn).await? {
        return Ok(Err(InvitationRefused::TooMany));
    }
    let user = match invited {
        Invited::Known(name) => {
            if members::is_member(workspace, name, conn).await? {
                return Ok(Err(InvitationRefused::IsMember));
            }
            match users::find(name, conn).await? {
                Some(user) if !user.is_disabled => user,
                _ => return Ok(Err(InvitationRefused::NotGood)),
            }
        }
        Invited::New(new) => match users::create(new, users::Way::Invitation(workspace), conn).await? {
            Ok(user) => user,
            Err(refused) => return Ok(Err(InvitationRefused::User(refused))),
        },
    };
    let member = NewMember { workspace, user: user.name.clone(), role, by: row.text(3)?.into(), now };
    if members::put(&member, conn).await? != MemberPut::Done {
        return Err(StoreError::Conflict("the user is gone".to_owned()));
    }
    conn.execute("UPDATE invitations SET used_by = $3 WHERE workspace = $1 AND id = $2", values![workspace, id, user.name.as_str()])
        .await?;
    let became = RoleChange { workspace, before: None, after: Some(role) };
    Ok(Ok(Joined { user, is_new: matches!(invited, Invited::New(_)), invitation: id, became }))
}

fn read(row: &Row) -> Result<Invitation, StoreError> {
    Ok(Invitation {
        id: TokenId(row.uuid(0)?),
        role: read_role(row, 1)?,
        created_at: row.time(2)?,
        created_by: row.text(3)?.into(),
        expires_at: row.time(4)?,
        used_by: row.opt_text(5)?.map(|_| users::read_name(row, 5)).transpose()?,
    })
}
