//! Who is logged in.

use std::time::Duration;

use sandmill_model::{BoxFuture, Timestamp, TokenId, auth::TokenHash, people::Name};

use super::{
    Sql,
    dialect::Conn,
    users::{self, USER_COLUMNS, user_columns},
    value::{Row, values},
};
use crate::{
    StoreError,
    users::{Carrier, NewSession, OpenSession, SESSIONS_MAX, Session, Sessions, Which},
};

/// In the place of a carrier: a session that was offered and that nobody has.
const OFFERED: i64 = 2;

impl Sessions for Sql {
    fn open(&self, new: NewSession) -> BoxFuture<'_, Result<bool, StoreError>> {
        Box::pin(self.db.write(new, |new, mut conn| Box::pin(async move { open(new, carrier(new.carrier), &mut conn).await })))
    }

    fn offer(&self, new: NewSession) -> BoxFuture<'_, Result<bool, StoreError>> {
        Box::pin(self.db.write(new, |new, mut conn| Box::pin(async move { open(new, OFFERED, &mut conn).await })))
    }

    fn take(&self, code: TokenHash, now: Timestamp) -> BoxFuture<'_, Result<Option<Name>, StoreError>> {
        Box::pin(self.db.write((code, now), |(code, now), mut conn| {
            Box::pin(async move {
                let row = conn
                    .row(
                        "DELETE FROM sessions WHERE hash = $1 AND carrier = $2 AND expires_at > $3 RETURNING user_name",
                        values![code.0, OFFERED, *now],
                    )
                    .await?;
                row.map(|row| users::read_name(&row, 0)).transpose()
            })
        }))
    }

    fn find(&self, hash: TokenHash, now: Timestamp) -> BoxFuture<'_, Result<Option<Session>, StoreError>> {
        Box::pin(self.db.read((hash, now), |(hash, now), mut conn| {
            Box::pin(async move {
                let row = conn
                    .row(
                        concat!(
                            "SELECT ",
                            user_columns!(),
                            ", s.id, s.carrier, s.idle_until, s.expires_at FROM sessions s JOIN users u ON u.name = s.user_name
                             WHERE s.hash = $1 AND s.idle_until > $2 AND s.expires_at > $2 AND s.carrier <> $3 AND u.disabled = 0"
                        ),
                        values![hash.0, *now, OFFERED],
                    )
                    .await?;
                row.as_ref().map(read).transpose()
            })
        }))
    }

    fn prolong(&self, hash: TokenHash, now: Timestamp, idle: Duration) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(self.db.write((hash, now.plus(idle)), |(hash, until), mut conn| {
            Box::pin(async move {
                // It only ever grows: of two that use it at once the later one counts.
                conn.execute("UPDATE sessions SET idle_until = $2 WHERE hash = $1 AND idle_until < $2", values![hash.0, *until])
                    .await
                    .map(drop)
            })
        }))
    }

    fn end(&self, hash: TokenHash) -> BoxFuture<'_, Result<bool, StoreError>> {
        Box::pin(self.db.write(hash, |hash, mut conn| {
            Box::pin(async move { Ok(conn.execute("DELETE FROM sessions WHERE hash = $1", values![hash.0]).await? > 0) })
        }))
    }

    fn of_user<'a>(
        &'a self,
        user: &'a Name,
        before: Option<TokenId>,
        limit: u32,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Vec<OpenSession>, StoreError>> {
        // Greater than every id.
        let before = before.map_or_else(|| vec![0xff; 16], |id| id.0.as_bytes().to_vec());
        Box::pin(self.db.read((user.clone(), before, limit, now), |(user, before, limit, now), mut conn| {
            Box::pin(async move {
                let rows = conn
                    .rows(
                        "SELECT id, carrier, created_at, idle_until, expires_at FROM sessions
                         WHERE user_name = $1 AND id < $2 AND idle_until > $3 AND expires_at > $3 AND carrier <> $5
                         ORDER BY id DESC LIMIT $4",
                        values![user.as_str(), before.clone(), *now, *limit, OFFERED],
                    )
                    .await?;
                rows.iter().map(read_open).collect()
            })
        }))
    }

    fn end_of(&self, user: Name, which: Which) -> BoxFuture<'_, Result<Vec<TokenHash>, StoreError>> {
        Box::pin(self.db.write((user, which), |(user, which), mut conn| {
            Box::pin(async move {
                let user = user.as_str();
                let rows = match *which {
                    Which::All => conn.rows("DELETE FROM sessions WHERE user_name = $1 RETURNING hash", values![user]).await?,
                    Which::One(id) => {
                        conn.rows("DELETE FROM sessions WHERE user_name = $1 AND id = $2 RETURNING hash", values![user, id]).await?
                    }
                    Which::AllBut(id) => {
                        conn.rows("DELETE FROM sessions WHERE user_name = $1 AND id <> $2 RETURNING hash", values![user, id]).await?
                    }
                };
                rows.iter().map(|row| row.digest(0).map(TokenHash)).collect()
            })
        }))
    }
}

async fn open(new: &NewSession, carrier: i64, conn: &mut Conn<'_>) -> Result<bool, StoreError> {
    let user = conn.row("SELECT disabled, password FROM users WHERE name = $1 {lock users}", values![new.user.as_str()]).await?;
    let Some(user) = user else { return Ok(false) };
    if user.int(0)? != 0 || (new.password.is_some() && user.opt_text(1)? != new.password.as_deref()) {
        return Ok(false);
    }
    conn.execute("DELETE FROM sessions WHERE expires_at <= $1", values![new.now]).await?;
    conn.execute(
        "DELETE FROM sessions WHERE hash IN (
             SELECT hash FROM sessions WHERE user_name = $1 ORDER BY created_at DESC, hash LIMIT $2 OFFSET $3
         )",
        values![new.user.as_str(), i64::from(SESSIONS_MAX) * 2, i64::from(SESSIONS_MAX) - 1],
    )
    .await?;
    conn.execute(
        "INSERT INTO sessions (hash, id, user_name, carrier, created_at, idle_until, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7)",
        values![new.hash.0, new.id, new.user.as_str(), carrier, new.now, new.idle_until, new.expires_at],
    )
    .await?;
    Ok(true)
}

const fn carrier(carrier: Carrier) -> i64 {
    match carrier {
        Carrier::Cookie => 0,
        Carrier::Header => 1,
    }
}

fn read_carrier(row: &Row, column: usize) -> Result<Carrier, StoreError> {
    match row.int(column)? {
        0 => Ok(Carrier::Cookie),
        1 => Ok(Carrier::Header),
        other => Err(StoreError::Corrupt(format!("a session that {other} carries"))),
    }
}

fn read_open(row: &Row) -> Result<OpenSession, StoreError> {
    Ok(OpenSession {
        id: TokenId(row.uuid(0)?),
        carrier: read_carrier(row, 1)?,
        created_at: row.time(2)?,
        idle_until: row.time(3)?,
        expires_at: row.time(4)?,
    })
}

fn read(row: &Row) -> Result<Session, StoreError> {
    Ok(Session {
        user: users::read(row)?,
        id: TokenId(row.uuid(USER_COLUMNS)?),
        carrier: read_carrier(row, USER_COLUMNS + 1)?,
        idle_until: row.time(USER_COLUMNS + 2)?,
        expires_at: row.time(USER_COLUMNS + 3)?,
    })
}
