//! State of scripts. Whoever adds or deletes a key locks its scope first and the key's row after it; whoever replaces a value locks the row alone.
//! With that order nobody waits in a circle.

use std::future::ready;

use sandmill_model::{BoxFuture, Digest, JsonText, RunId, Timestamp, WorkspaceId};

use super::{
    Sql,
    canonical::canonical_digest,
    db::Db,
    dialect::Conn,
    turns::Turns,
    value::{Row, Value, values},
};
use crate::{
    StoreError,
    state::{Expected, KEYS_MAX, STAGED_KEYS_MAX, Staging, State, StateScope, Written},
};

const REPLACE: &str = "UPDATE state SET value = $5, digest = $6, updated_at = $7 \
     WHERE workspace = $1 AND path = $2 AND trigger = $3 AND key = $4 AND ($8 IS NULL OR digest = $8)";

/// Bytes of a value that is written on the thread that asks; a longer one takes its time on another.
const AT_ONCE_BYTES_MAX: usize = 64 * 1024;

/// A write with what can be worked out before the transaction.
struct Put {
    scope: StateScope,
    key: String,
    /// Outer none: whatever is there. Inner none: nothing may be there.
    expected: Option<Option<Digest>>,
    value: Option<(JsonText, Digest)>,
    now: Timestamp,
}

impl State for Sql {
    fn get<'a>(&'a self, scope: &'a StateScope, key: &'a str) -> BoxFuture<'a, Result<Option<JsonText>, StoreError>> {
        const VALUE: &str = "SELECT value FROM state WHERE workspace = $1 AND path = $2 AND trigger = $3 AND key = $4";
        if let Some(found) = self.db.text_at_once(VALUE, &key_values(scope, key)) {
            return Box::pin(ready(Ok(found.map(JsonText::trusted))));
        }
        Box::pin(self.db.read((scope.clone(), key.to_owned()), |(scope, key), mut conn| {
            Box::pin(async move {
                let row = conn.row(VALUE, key_values(scope, key)).await?;
                row.map(|row| row.json(0)).transpose()
            })
        }))
    }

    fn put<'a>(
        &'a self,
        scope: &'a StateScope,
        key: &'a str,
        expected: Option<Expected>,
        value: Option<JsonText>,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Written, StoreError>> {
        let put = Put {
            scope: scope.clone(),
            key: key.to_owned(),
            expected: expected.map(|Expected(value)| value.as_ref().map(canonical_digest)),
            value: value.map(|value| {
                let digest = canonical_digest(&value);
                (value, digest)
            }),
            now,
        };
        if let Some(written) = put.at_once(&self.db) {
            return Box::pin(ready(Ok(written)));
        }
        let turns = Turns::state(scope);
        Box::pin(self.db.share(put, turns, |put, mut conn| Box::pin(async move { put.run(&mut conn).await })))
    }

    fn keys<'a>(
        &'a self,
        scope: &'a StateScope,
        prefix: &'a str,
        after: Option<&'a str>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<String>, StoreError>> {
        let listed = Listed::new(scope, prefix, after, limit);
        Box::pin(self.db.read(listed, |listed, mut conn| Box::pin(async move { listed.run(&mut conn).await })))
    }

    fn get_staged<'a>(&'a self, of: &'a Staging, key: &'a str) -> BoxFuture<'a, Result<Option<JsonText>, StoreError>> {
        Box::pin(async move {
            let staged =
                self.db.read((of.clone(), key.to_owned()), |(of, key), mut conn| Box::pin(async move { staged(&mut conn, of, key).await }));
            match staged.await? {
                Some(staged) => Ok(staged),
                None => self.get(&of.scope, key).await,
            }
        })
    }

    fn stage<'a>(
        &'a self,
        of: &'a Staging,
        key: &'a str,
        expected: Option<Expected>,
        value: Option<JsonText>,
    ) -> BoxFuture<'a, Result<Written, StoreError>> {
        let expected = expected.map(|Expected(value)| value.as_ref().map(canonical_digest));
        let stage = Stage { of: of.clone(), key: key.to_owned(), expected, value };
        let turns = Turns::state(&of.scope);
        Box::pin(self.db.share(stage, turns, |stage, mut conn| Box::pin(async move { stage.run(&mut conn).await })))
    }

    fn keys_staged<'a>(
        &'a self,
        of: &'a Staging,
        prefix: &'a str,
        after: Option<&'a str>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<String>, StoreError>> {
        let listed = Listed::new(&of.scope, prefix, after, limit);
        Box::pin(self.db.read((listed, of.run), |(listed, run), mut conn| Box::pin(async move { listed.staged_by(*run, &mut conn).await })))
    }
}

/// Which keys are listed.
struct Listed {
    scope: StateScope,
    from: Vec<u8>,
    /// None: to the last.
    end: Option<Vec<u8>>,
    after: Option<Vec<u8>>,
    limit: u32,
}

impl Listed {
    fn new(scope: &StateScope, prefix: &str, after: Option<&str>, limit: u32) -> Self {
        let prefix = prefix.as_bytes();
        // The first key after all that begin with the prefix: UTF-8 has no byte 255, so the last byte can always be one more.
        let end = prefix.split_last().map(|(last, first)| [first, &[last + 1]].concat());
        Self { scope: scope.clone(), from: prefix.to_vec(), end, after: after.map(|after| after.as_bytes().to_vec()), limit }
    }

    async fn run(&self, conn: &mut Conn<'_>) -> Result<Vec<String>, StoreError> {
        let Self { scope, from, end, after, limit } = self;
        let rows = conn
            .rows(
                "SELECT key FROM state WHERE workspace = $1 AND path = $2 AND trigger = $3 AND key >= $4 AND ($5 IS NULL OR key < $5) \
                 AND ($6 IS NULL OR key > $6) ORDER BY key LIMIT $7",
                values![scope.workspace, &scope.path, scope.trigger.as_str(), from.as_slice(), end.clone(), after.clone(), *limit],
            )
            .await?;
        rows.iter().map(read_key).collect()
    }

    /// As a run sees them that stages.
    async fn staged_by(&self, run: RunId, conn: &mut Conn<'_>) -> Result<Vec<String>, StoreError> {
        let Self { scope, from, end, after, limit } = self;
        let rows = conn
            .rows(
                "SELECT key FROM (
                     SELECT state.key FROM state WHERE workspace = $1 AND path = $2 AND trigger = $3 AND NOT EXISTS (
                         SELECT 1 FROM staged_state AS own WHERE own.workspace = $1 AND own.run = $8 AND own.key = state.key)
                     UNION ALL SELECT key FROM staged_state WHERE workspace = $1 AND run = $8 AND value IS NOT NULL
                 ) AS seen WHERE key >= $4 AND ($5 IS NULL OR key < $5) AND ($6 IS NULL OR key > $6) ORDER BY key LIMIT $7",
                values![scope.workspace, &scope.path, scope.trigger.as_str(), from.as_slice(), end.clone(), after.clone(), *limit, run],
            )
            .await?;
        rows.iter().map(read_key).collect()
    }
}

fn read_key(row: &Row) -> Result<String, StoreError> {
    String::from_utf8(row.bytes(0)?.to_vec()).map_err(|_| StoreError::Corrupt("a key that is no UTF-8".to_owned()))
}

/// What a run staged for a key; outer none: nothing, inner none: that it is deleted.
async fn staged(conn: &mut Conn<'_>, of: &Staging, key: &str) -> Result<Option<Option<JsonText>>, StoreError> {
    const STAGED: &str = "SELECT value FROM staged_state WHERE workspace = $1 AND run = $2 AND key = $3";
    let row = conn.row(STAGED, values![of.scope.workspace, of.run, key.as_bytes()]).await?;
    row.map(|row| row.opt_json(0)).transpose()
}

/// A write that is kept apart.
struct Stage {
    of: Staging,
    key: String,
    /// As of [`Put`].
    expected: Option<Option<Digest>>,
    value: Option<JsonText>,
}

impl Stage {
    async fn run(&self, conn: &mut Conn<'_>) -> Result<Written, StoreError> {
        const PRESENT: &str = "SELECT digest FROM state WHERE workspace = $1 AND path = $2 AND trigger = $3 AND key = $4";
        const COUNT: &str = "SELECT COUNT(*) FROM staged_state WHERE workspace = $1 AND run = $2";
        const WRITE: &str = "INSERT INTO staged_state (workspace, run, path, trigger, key, value) VALUES ($1, $2, $3, $4, $5, $6)
            ON CONFLICT (workspace, run, key) DO UPDATE SET value = excluded.value";
        let Staging { scope, run } = &self.of;
        let before = staged(conn, &self.of, &self.key).await?;
        if let Some(expected) = self.expected {
            let present = match &before {
                Some(staged) => staged.as_ref().map(canonical_digest),
                None => conn.row(PRESENT, key_values(scope, &self.key)).await?.map(|row| row.digest(0)).transpose()?,
            };
            if present != expected {
                return Ok(Written::No);
            }
        }
        if before.is_none() {
            let staged = conn.row(COUNT, values![scope.workspace, *run]).await?.map_or(Ok(0), |row| row.int(0))?;
            if staged >= i64::from(STAGED_KEYS_MAX) {
                return Ok(Written::TooManyKeys);
            }
        }
        let row = values![scope.workspace, *run, &scope.path, scope.trigger.as_str(), self.key.as_bytes(), self.value.as_ref()];
        conn.execute(WRITE, row).await?;
        Ok(Written::Yes)
    }
}

/// Whose state it is to be that a run stages; none: it staged nothing.
pub(super) async fn scope_of(conn: &mut Conn<'_>, workspace: WorkspaceId, run: RunId) -> Result<Option<StateScope>, StoreError> {
    const SCOPE: &str = "SELECT path, trigger FROM staged_state WHERE workspace = $1 AND run = $2 LIMIT 1";
    let row = conn.row(SCOPE, values![workspace, run]).await?;
    row.map(|row| Ok(StateScope { workspace, path: row.path(0)?, trigger: row.text(1)?.to_owned() })).transpose()
}

/// What a run staged becomes the state of its scope, whose turn the transaction has.
pub(super) async fn adopt(conn: &mut Conn<'_>, workspace: WorkspaceId, run: RunId, now: Timestamp) -> Result<(), StoreError> {
    let Some(scope) = scope_of(conn, workspace, run).await? else { return Ok(()) };
    let rows =
        conn.rows("SELECT key, value FROM staged_state WHERE workspace = $1 AND run = $2 ORDER BY key", values![workspace, run]).await?;
    for row in &rows {
        let value = row.opt_json(1)?.map(|value| {
            let digest = canonical_digest(&value);
            (value, digest)
        });
        let put = Put { scope: scope.clone(), key: read_key(row)?, expected: None, value, now };
        if put.run(conn).await? == Written::TooManyKeys {
            let path = &scope.path;
            return Err(StoreError::Conflict(format!("the state of {path} would have more than {KEYS_MAX} keys")));
        }
    }
    conn.execute("DELETE FROM staged_state WHERE workspace = $1 AND run = $2", values![workspace, run]).await.map(drop)
}

fn key_values(scope: &StateScope, key: &str) -> Vec<Value> {
    values![scope.workspace, &scope.path, scope.trigger.as_str(), key.as_bytes()]
}

impl Put {
    /// What nearly every write is, as one statement: a value where one is already. None if it is another.
    fn replacement(&self) -> Option<Vec<Value>> {
        let (value, digest) = self.value.as_ref()?;
        let expected = match self.expected {
            None => None,
            // It adds.
            Some(None) => return None,
            Some(expected) => expected,
        };
        let mut row = key_values(&self.scope, &self.key);
        row.extend(values![value, *digest, self.now, expected]);
        Some(row)
    }

    /// What came of the replacement; none if there was nothing to replace.
    fn replaced(&self, rows: u64) -> Option<Written> {
        match (rows, self.expected) {
            (0, None) => None,
            (0, Some(_)) => Some(Written::No),
            _ => Some(Written::Yes),
        }
    }

    /// None if it takes more, or must wait.
    fn at_once(&self, db: &Db) -> Option<Written> {
        let (value, _) = self.value.as_ref()?;
        if value.as_str().len() > AT_ONCE_BYTES_MAX {
            return None;
        }
        self.replaced(db.execute_at_once(REPLACE, &self.replacement()?)?)
    }

    async fn in_place(&self, conn: &mut Conn<'_>) -> Result<Option<Written>, StoreError> {
        let Some(row) = self.replacement() else { return Ok(None) };
        Ok(self.replaced(conn.execute(REPLACE, row).await?))
    }

    async fn run(&self, conn: &mut Conn<'_>) -> Result<Written, StoreError> {
        if let Some(written) = self.in_place(conn).await? {
            return Ok(written);
        }
        let Some((value, digest)) = &self.value else { return self.delete(conn).await };
        let keys = self.lock_scope(conn).await?;
        // Somebody may have added it before the scope was locked; nobody can now.
        let present = self.lock_row(conn).await?;
        if !self.expects(present) {
            return Ok(Written::No);
        }
        if present.is_some() {
            return Ok(self.in_place(conn).await?.unwrap_or(Written::No));
        }
        if keys >= i64::from(KEYS_MAX) {
            return Ok(Written::TooManyKeys);
        }
        let mut row = key_values(&self.scope, &self.key);
        row.extend(values![value, *digest, self.now]);
        conn.execute(
            "INSERT INTO state (workspace, path, trigger, key, value, digest, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7)",
            row,
        )
        .await?;
        self.count(1, conn).await?;
        Ok(Written::Yes)
    }

    async fn delete(&self, conn: &mut Conn<'_>) -> Result<Written, StoreError> {
        self.lock_scope(conn).await?;
        let present = self.lock_row(conn).await?;
        if !self.expects(present) {
            return Ok(Written::No);
        }
        if present.is_some() {
            conn.execute(
                "DELETE FROM state WHERE workspace = $1 AND path = $2 AND trigger = $3 AND key = $4",
                key_values(&self.scope, &self.key),
            )
            .await?;
            self.count(-1, conn).await?;
        }
        Ok(Written::Yes)
    }

    fn expects(&self, present: Option<Digest>) -> bool {
        self.expected.is_none_or(|expected| expected == present)
    }

    async fn lock_row(&self, conn: &mut Conn<'_>) -> Result<Option<Digest>, StoreError> {
        let row = conn
            .row(
                "SELECT digest FROM state WHERE workspace = $1 AND path = $2 AND trigger = $3 AND key = $4 {lock state}",
                key_values(&self.scope, &self.key),
            )
            .await?;
        row.map(|row| row.digest(0)).transpose()
    }

    /// Locks the scope; returns how many keys it has.
    async fn lock_scope(&self, conn: &mut Conn<'_>) -> Result<i64, StoreError> {
        let scope = || values![self.scope.workspace, &self.scope.path, self.scope.trigger.as_str()];
        conn.execute("INSERT INTO state_scopes (workspace, path, trigger, keys) VALUES ($1, $2, $3, 0) ON CONFLICT DO NOTHING", scope())
            .await?;
        let row = conn
            .row("SELECT keys FROM state_scopes WHERE workspace = $1 AND path = $2 AND trigger = $3 {lock state_scopes}", scope())
            .await?;
        row.ok_or_else(|| StoreError::Conflict("the state's scope is being deleted".to_owned()))?.int(0)
    }

    async fn count(&self, more: i64, conn: &mut Conn<'_>) -> Result<(), StoreError> {
        conn.execute(
            "UPDATE state_scopes SET keys = keys + $4 WHERE workspace = $1 AND path = $2 AND trigger = $3",
            values![self.scope.workspace, &self.scope.path, self.scope.trigger.as_str(), more],
        )
        .await
        .map(drop)
    }
}
