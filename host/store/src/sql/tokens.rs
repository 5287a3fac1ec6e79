//! API tokens.

use sandmill_model::{
    BoxFuture, Timestamp, TokenId, WorkspaceId,
    auth::{Access, Principal, Scope, TokenHash, TokenKind, effective},
};
use uuid::Uuid;

use super::{
    Sql, codes,
    dialect::Conn,
    value::{Row, to_json, values},
};
use crate::{
    StoreError,
    tokens::{Known, Maker, NewToken, Rotation, TOKENS_MAX, Token, TokenRefusal, Tokens},
};

/// Tokens forgotten in one step.
const FORGOTTEN_MAX: u32 = 500;

/// What [`read`] reads; conditions come after it.
macro_rules! select_token {
    () => {
        "SELECT id, prefix, identity, kind, is_read_only, scopes, label, created_at, created_by, expires_at, last_used_at, old_until
         FROM tokens "
    };
}

/// Whether a token is one of the workspace `$2`, or of the installation where that is NULL.
macro_rules! is_of {
    () => {
        "(workspace = $2 OR ($2 IS NULL AND workspace IS NULL))"
    };
}

/// A token that acts as a user is good as long as they may log in and, unless they administer the installation, belong to its workspace.
macro_rules! of_nobody_else {
    () => {
        " AND NOT EXISTS (
             SELECT 1 FROM users u WHERE substr(t.identity, 1, 2) = 'u/' AND u.name = substr(t.identity, 3) AND (
                 u.disabled = 1 OR (u.instance_admin = 0 AND NOT EXISTS (
                     SELECT 1 FROM members m WHERE m.workspace = t.workspace AND m.user_name = u.name
                 ))
             )
         )"
    };
}

impl Tokens for Sql {
    fn put<'a>(
        &'a self,
        hash: TokenHash,
        principal: &'a Principal,
        label: &'a str,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<TokenId, StoreError>> {
        let new = (hash, principal.clone(), label.to_owned(), now);
        Box::pin(self.db.write(new, |(hash, principal, label, now), mut conn| {
            Box::pin(async move {
                let row = conn
                    .row(
                        "INSERT INTO tokens (hash, id, workspace, identity, scopes, label, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7)
                         ON CONFLICT (hash) DO UPDATE SET workspace = excluded.workspace, identity = excluded.identity,
                             scopes = excluded.scopes, kind = 0, is_read_only = 0, expires_at = NULL RETURNING id",
                        values![
                            hash.0,
                            principal.token,
                            principal.workspace,
                            &principal.identity,
                            written(listed(principal)?)?,
                            label.as_str(),
                            *now
                        ],
                    )
                    .await?;
                let row = row.ok_or_else(|| StoreError::Other("a token that was kept is not there".to_owned()))?;
                Ok(TokenId(row.uuid(0)?))
            })
        }))
    }

    fn create(&self, new: NewToken) -> BoxFuture<'_, Result<Result<Token, TokenRefusal>, StoreError>> {
        Box::pin(self.db.write(new, |new, conn| Box::pin(create(new, conn))))
    }

    fn by_hash(&self, hash: TokenHash) -> BoxFuture<'_, Result<Option<Known>, StoreError>> {
        Box::pin(self.db.read(hash, |hash, mut conn| {
            Box::pin(async move {
                let row = conn
                    .row(
                        concat!(
                            "SELECT t.id, t.workspace, t.identity, t.scopes, t.kind, t.is_read_only, t.last_used_at, t.expires_at,
                                 CAST(NULL AS BIGINT)
                             FROM tokens t WHERE t.hash = $1",
                            of_nobody_else!(),
                            " UNION ALL
                             SELECT t.id, t.workspace, t.identity, t.scopes, t.kind, t.is_read_only, t.last_used_at, t.expires_at,
                                 t.old_until
                             FROM tokens t WHERE t.old_hash = $1",
                            of_nobody_else!()
                        ),
                        values![hash.0],
                    )
                    .await?;
                row.as_ref().map(read_known).transpose()
            })
        }))
    }

    fn any(&self) -> BoxFuture<'_, Result<bool, StoreError>> {
        Box::pin(
            self.db
                .read((), |(), mut conn| Box::pin(async move { Ok(conn.row("SELECT 1 FROM tokens LIMIT 1", values![]).await?.is_some()) })),
        )
    }

    fn list(&self, of: Option<WorkspaceId>, after: Option<TokenId>, limit: u32) -> BoxFuture<'_, Result<Vec<Token>, StoreError>> {
        let after = after.unwrap_or(TokenId(Uuid::nil()));
        Box::pin(self.db.read((of, after, limit), |(of, after, limit), mut conn| {
            Box::pin(async move {
                let (after, limit) = (*after, *limit);
                // Two statements: by one with an OR no index would be used.
                let rows = match *of {
                    Some(of) => {
                        let own = concat!(select_token!(), "WHERE workspace = $1 AND id > $2 ORDER BY id LIMIT $3");
                        conn.rows(own, values![of, after, limit]).await?
                    }
                    None => {
                        let own = concat!(select_token!(), "WHERE workspace IS NULL AND id > $1 ORDER BY id LIMIT $2");
                        conn.rows(own, values![after, limit]).await?
                    }
                };
                rows.iter().map(read).collect()
            })
        }))
    }

    fn find(&self, of: Option<WorkspaceId>, id: TokenId) -> BoxFuture<'_, Result<Option<Token>, StoreError>> {
        Box::pin(self.db.read((of, id), |(of, id), mut conn| Box::pin(async move { find(*of, *id, &mut conn).await })))
    }

    fn rotate(&self, rotation: Rotation) -> BoxFuture<'_, Result<Result<Token, TokenRefusal>, StoreError>> {
        Box::pin(self.db.write(rotation, |rotation, conn| Box::pin(rotate(rotation, conn))))
    }

    fn revoke(&self, of: Option<WorkspaceId>, id: TokenId) -> BoxFuture<'_, Result<bool, StoreError>> {
        Box::pin(self.db.write((of, id), |(of, id), mut conn| {
            Box::pin(async move {
                let revoked = conn.execute(concat!("DELETE FROM tokens WHERE id = $1 AND ", is_of!()), values![*id, *of]).await?;
                Ok(revoked > 0)
            })
        }))
    }

    fn note_use(&self, id: TokenId, at: Timestamp) {
        self.token_uses.note(id, at);
    }

    fn write_uses(&self) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(self.write_token_uses())
    }

    fn forget_expired(&self, before: Timestamp) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(self.db.write(before, |before, mut conn| {
            Box::pin(async move {
                conn.execute(
                    "DELETE FROM tokens WHERE id IN (SELECT id FROM tokens WHERE expires_at < $1 ORDER BY id LIMIT $2)",
                    values![*before, FORGOTTEN_MAX],
                )
                .await
            })
        }))
    }
}

async fn create(new: &NewToken, mut conn: Conn<'_>) -> Result<Result<Token, TokenRefusal>, StoreError> {
    match maker_expires(&new.by, new.now, &mut conn).await? {
        Err(refusal) => return Ok(Err(refusal)),
        Ok(Some(at)) if new.expires_at.is_none_or(|own| own > at) => return Ok(Err(TokenRefusal::OutlivesMaker(at))),
        Ok(_) => {}
    }
    let count = match new.workspace {
        Some(workspace) => conn.row("SELECT COUNT(*) FROM tokens WHERE workspace = $1", values![workspace]).await?,
        None => conn.row("SELECT COUNT(*) FROM tokens WHERE workspace IS NULL", values![]).await?,
    };
    if count.map(|row| row.int(0)).transpose()?.unwrap_or(0) >= i64::from(TOKENS_MAX) {
        return Ok(Err(TokenRefusal::TooMany));
    }
    conn.execute(
        "INSERT INTO tokens (hash, id, workspace, identity, scopes, label, created_at, kind, is_read_only, prefix, created_by, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        values![
            new.hash.0,
            new.id,
            new.workspace,
            &new.identity,
            written(&new.scopes)?,
            new.label.as_str(),
            new.now,
            codes::token_kind(new.kind),
            i64::from(new.access == Access::ReadOnly),
            new.prefix.as_str(),
            &new.by.identity,
            new.expires_at
        ],
    )
    .await?;
    Ok(find(new.workspace, new.id, &mut conn).await?.ok_or(TokenRefusal::NotThere))
}

async fn rotate(rotation: &Rotation, mut conn: Conn<'_>) -> Result<Result<Token, TokenRefusal>, StoreError> {
    let maker = match maker_expires(&rotation.by, rotation.now, &mut conn).await? {
        Err(refusal) => return Ok(Err(refusal)),
        Ok(at) => at,
    };
    let Some(token) = find(rotation.workspace, rotation.id, &mut conn).await? else { return Ok(Err(TokenRefusal::NotThere)) };
    if token.expires_at.is_some_and(|at| at <= rotation.now) {
        return Ok(Err(TokenRefusal::Expired));
    }
    // A secret that is good for longer than one's own would be a way to stay.
    if let Some(at) = maker.filter(|at| token.expires_at.is_none_or(|own| own > *at)) {
        return Ok(Err(TokenRefusal::OutlivesMaker(at)));
    }
    // Without an overlap nothing of the old secret stays.
    let overlaps = rotation.old_until > rotation.now;
    let row = values![
        rotation.id,
        rotation.workspace,
        rotation.hash.0,
        rotation.prefix.as_str(),
        overlaps.then_some(rotation.old_until),
        i64::from(overlaps)
    ];
    conn.execute(
        concat!(
            "UPDATE tokens SET old_hash = CASE WHEN $6 = 1 THEN hash ELSE NULL END, old_until = $5, hash = $3, prefix = $4
             WHERE id = $1 AND ",
            is_of!()
        ),
        row,
    )
    .await?;
    Ok(find(rotation.workspace, rotation.id, &mut conn).await?.ok_or(TokenRefusal::NotThere))
}

/// When the token expires by which something is made. It stays until the transaction ends.
async fn maker_expires(by: &Maker, now: Timestamp, conn: &mut Conn<'_>) -> Result<Result<Option<Timestamp>, TokenRefusal>, StoreError> {
    let Some(token) = by.token else { return Ok(Ok(None)) };
    let row = conn.row("SELECT expires_at FROM tokens WHERE id = $1 {lock present tokens}", values![token]).await?;
    let Some(row) = row else { return Ok(Err(TokenRefusal::NoMaker)) };
    Ok(match row.opt_time(0)? {
        Some(at) if at <= now => Err(TokenRefusal::NoMaker),
        at => Ok(at),
    })
}

async fn find(of: Option<WorkspaceId>, id: TokenId, conn: &mut Conn<'_>) -> Result<Option<Token>, StoreError> {
    let row = conn.row(concat!(select_token!(), "WHERE id = $1 AND ", is_of!()), values![id, of]).await?;
    row.as_ref().map(read).transpose()
}

/// What is kept is one list.
fn listed(principal: &Principal) -> Result<&[Scope], StoreError> {
    let scopes = principal.scopes.one_list();
    scopes.ok_or_else(|| StoreError::Other("what two lists of scopes bound is no token that is kept".to_owned()))
}

/// A JSON array of scopes as text.
pub(super) fn written(scopes: &[Scope]) -> Result<String, StoreError> {
    to_json(&scopes.iter().map(ToString::to_string).collect::<Vec<_>>())
}

pub(super) fn read_scopes(row: &Row, column: usize) -> Result<Vec<Scope>, StoreError> {
    let scopes: Vec<String> = row.parsed(column)?;
    scopes.iter().map(|scope| scope.parse().map_err(|_| StoreError::Corrupt(format!("a scope {scope}")))).collect()
}

fn read_access(row: &Row, column: usize) -> Result<Access, StoreError> {
    Ok(if row.int(column)? == 0 { Access::Full } else { Access::ReadOnly })
}

fn read_kind(row: &Row, column: usize) -> Result<TokenKind, StoreError> {
    codes::read_token_kind(row.int(column)?)
}

fn read(row: &Row) -> Result<Token, StoreError> {
    Ok(Token {
        id: TokenId(row.uuid(0)?),
        prefix: row.text(1)?.to_owned(),
        identity: row.text(2)?.into(),
        kind: read_kind(row, 3)?,
        access: read_access(row, 4)?,
        scopes: read_scopes(row, 5)?,
        label: row.text(6)?.to_owned(),
        created_at: row.time(7)?,
        created_by: row.opt_text(8)?.map(Into::into),
        expires_at: row.opt_time(9)?,
        last_used_at: row.opt_time(10)?,
        old_until: row.opt_time(11)?,
    })
}

fn read_known(row: &Row) -> Result<Known, StoreError> {
    let principal = Principal {
        token: TokenId(row.uuid(0)?),
        workspace: row.opt_bytes(1)?.map(|_| row.uuid(1)).transpose()?.map(WorkspaceId),
        identity: row.text(2)?.into(),
        scopes: effective(read_kind(row, 4)?, read_access(row, 5)?, read_scopes(row, 3)?).into(),
    };
    let (expires_at, old_until) = (row.opt_time(7)?, row.opt_time(8)?);
    Ok(Known { principal, expires_at: expires_at.into_iter().chain(old_until).min(), last_used_at: row.opt_time(6)? })
}
