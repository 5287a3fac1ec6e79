//! API tokens.

use sandmill_model::{
    BoxFuture, Timestamp, TokenId, WorkspaceId,
    auth::{Principal, TokenHash},
};

use super::{
    Sql,
    value::{Row, to_json, values},
};
use crate::{StoreError, tokens::Tokens};

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
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        let new = (hash, principal.clone(), label.to_owned(), now);
        Box::pin(self.db.write(new, |(hash, principal, label, now), mut conn| {
            Box::pin(async move {
                let scopes: Vec<String> = principal.scopes.iter().map(ToString::to_string).collect();
                conn.execute(
                    "INSERT INTO tokens (hash, id, workspace, identity, scopes, label, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7)
                     ON CONFLICT (hash) DO UPDATE SET workspace = excluded.workspace, identity = excluded.identity, scopes = excluded.scopes",
                    values![hash.0, principal.token, principal.workspace, &principal.identity, to_json(&scopes)?, label.as_str(), *now],
                )
                .await
                .map(drop)
            })
        }))
    }

    fn by_hash(&self, hash: TokenHash) -> BoxFuture<'_, Result<Option<Principal>, StoreError>> {
        Box::pin(self.db.read(hash, |hash, mut conn| {
            Box::pin(async move {
                let row = conn
                    .row(
                        concat!("SELECT t.id, t.workspace, t.identity, t.scopes FROM tokens t WHERE t.hash = $1", of_nobody_else!()),
                        values![hash.0],
                    )
                    .await?;
                row.as_ref().map(read).transpose()
            })
        }))
    }

    fn any(&self) -> BoxFuture<'_, Result<bool, StoreError>> {
        Box::pin(
            self.db
                .read((), |(), mut conn| Box::pin(async move { Ok(conn.row("SELECT 1 FROM tokens LIMIT 1", values![]).await?.is_some()) })),
        )
    }

    fn delete(&self, id: TokenId) -> BoxFuture<'_, Result<bool, StoreError>> {
        Box::pin(self.db.write(id, |id, mut conn| {
            Box::pin(async move { Ok(conn.execute("DELETE FROM tokens WHERE id = $1", values![*id]).await? > 0) })
        }))
    }
}

fn read(row: &Row) -> Result<Principal, StoreError> {
    let scopes: Vec<String> = row.parsed(3)?;
    let scopes = scopes.iter().map(|scope| scope.parse().map_err(|_| StoreError::Corrupt(format!("a token's scope {scope}"))));
    Ok(Principal {
        token: TokenId(row.uuid(0)?),
        workspace: row.opt_bytes(1)?.map(|_| row.uuid(1)).transpose()?.map(WorkspaceId),
        identity: row.text(2)?.into(),
        scopes: scopes.collect::<Result<_, _>>()?,
    })
}
