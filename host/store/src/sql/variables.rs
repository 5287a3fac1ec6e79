//! Variables.

use std::sync::Arc;

use sandmill_model::{BoxFuture, ScriptPath, WorkspaceId};

use super::{
    AFTER_ALL_PATHS, Sql,
    data_keys::{self, Sealed, wrapped_columns},
    dialect::Conn,
    resources::{check_description, next_revision},
    value::{Row, Value, values},
};
use crate::{
    StoreError,
    resources::Unfit,
    seal::{DataKey, Place, SealedKind, Seals},
    variables::{NewVariable, RevealedText, TEXT_BYTES_MAX, VARIABLES_MAX, Variable, Variables},
};

/// What [`read`] reads.
const COLUMNS: &str = "path, CAST(CASE WHEN text IS NULL THEN 1 ELSE 0 END AS BIGINT), description, revision, updated_at, updated_by";

struct Put {
    new: NewVariable,
    seals: Option<Arc<Seals>>,
}

impl Variables for Sql {
    fn put(&self, new: NewVariable) -> BoxFuture<'_, Result<Result<Variable, Unfit>, StoreError>> {
        Box::pin(async move {
            if let Err(unfit) = check(&new) {
                return Ok(Err(unfit));
            }
            if new.secret {
                self.seals()?;
            }
            let put = Put { new, seals: self.seals.clone() };
            self.db.write(put, |put, mut conn| Box::pin(async move { put.run(&mut conn).await })).await
        })
    }

    fn find<'a>(&'a self, workspace: WorkspaceId, path: &'a ScriptPath) -> BoxFuture<'a, Result<Option<Variable>, StoreError>> {
        Box::pin(self.db.read((workspace, path.clone()), |(workspace, path), mut conn| {
            Box::pin(async move {
                let rows = conn
                    .rows(format!("SELECT {COLUMNS}, text FROM variables WHERE workspace = $1 AND path = $2"), values![*workspace, path])
                    .await?;
                let read = |row: &Row| Ok(Variable { text: row.opt_text(6)?.map(str::to_owned), ..read(row)? });
                rows.first().map(read).transpose()
            })
        }))
    }

    fn reveal<'a>(&'a self, workspace: WorkspaceId, path: &'a ScriptPath) -> BoxFuture<'a, Result<Option<RevealedText>, StoreError>> {
        Box::pin(async move {
            let found = self.db.read((workspace, path.clone()), |(workspace, path), mut conn| {
                Box::pin(async move { Stored::find(&mut conn, *workspace, path).await })
            });
            let Some(stored) = found.await? else { return Ok(None) };
            let secret = stored.text.is_none();
            let text = stored.text(workspace, path, self.seals.as_deref())?;
            Ok(Some(RevealedText { secret, text, revision: stored.revision }))
        })
    }

    fn list<'a>(
        &'a self,
        workspace: WorkspaceId,
        prefix: &'a str,
        after: Option<&'a ScriptPath>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<Variable>, StoreError>> {
        let after = after.map_or_else(String::new, ToString::to_string);
        Box::pin(self.db.read((workspace, prefix.to_owned(), after, limit), |(workspace, prefix, after, limit), mut conn| {
            Box::pin(async move {
                if prefix.contains('\0') {
                    return Ok(Vec::new());
                }
                let rows = conn
                    .rows(
                        format!(
                            "SELECT {COLUMNS} FROM variables
                             WHERE workspace = $1 AND path >= $2 AND path < $3 AND path > $4 ORDER BY path LIMIT $5"
                        ),
                        values![*workspace, prefix.as_str(), format!("{prefix}{AFTER_ALL_PATHS}"), after.as_str(), *limit],
                    )
                    .await?;
                rows.iter().map(read).collect()
            })
        }))
    }

    fn delete<'a>(&'a self, workspace: WorkspaceId, path: &'a ScriptPath) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(self.db.write((workspace, path.clone()), |(workspace, path), mut conn| {
            Box::pin(async move {
                Ok(conn.execute("DELETE FROM variables WHERE workspace = $1 AND path = $2", values![*workspace, path]).await? > 0)
            })
        }))
    }
}

fn check(new: &NewVariable) -> Result<(), Unfit> {
    check_description(&new.description)?;
    match &new.text {
        Some(text) if text.len() > TEXT_BYTES_MAX => Err(Unfit::Invalid(format!("the text has more than {TEXT_BYTES_MAX} bytes"))),
        Some(text) if text.contains('\0') => Err(Unfit::Invalid("the text has the character NUL, which cannot be kept".to_owned())),
        _ => Ok(()),
    }
}

/// Without its text.
fn read(row: &Row) -> Result<Variable, StoreError> {
    Ok(Variable {
        path: row.path(0)?,
        secret: row.int(1)? != 0,
        text: None,
        description: row.text(2)?.to_owned(),
        revision: row.int(3)?,
        updated_at: row.time(4)?,
        updated_by: row.text(5)?.into(),
    })
}

/// What is there.
struct Stored {
    revision: i64,
    text: Option<String>,
    sealed: Option<Sealed>,
}

impl Stored {
    async fn find(conn: &mut Conn<'_>, workspace: WorkspaceId, path: &ScriptPath) -> Result<Option<Self>, StoreError> {
        let row = conn
            .row(
                concat!(
                    "SELECT v.revision, v.text, v.sealed, ",
                    wrapped_columns!(),
                    " FROM variables v LEFT JOIN workspace_keys k ON k.workspace = v.workspace AND k.number = v.key_number
                     WHERE v.workspace = $1 AND v.path = $2"
                ),
                values![workspace, path],
            )
            .await?;
        let read = |row: &Row| {
            let text = row.opt_text(1)?.map(str::to_owned);
            Ok(Self { revision: row.int(0)?, text, sealed: Sealed::read(row, workspace, 2)? })
        };
        row.as_ref().map(read).transpose()
    }

    fn text(&self, workspace: WorkspaceId, path: &ScriptPath, seals: Option<&Seals>) -> Result<String, StoreError> {
        if let Some(text) = &self.text {
            return Ok(text.clone());
        }
        let broken = || StoreError::Corrupt(format!("the variable {path} has no text"));
        let sealed = self.sealed.as_ref().ok_or_else(broken)?;
        let key = seals.ok_or_else(data_keys::no_keys)?.unwrap(&sealed.key)?;
        let plain = key.open(place(workspace, path), &sealed.bytes)?;
        String::from_utf8(plain.to_vec()).map_err(|_| broken())
    }
}

fn place(workspace: WorkspaceId, path: &ScriptPath) -> Place<'_> {
    Place { workspace, kind: SealedKind::Variable, path: path.as_str() }
}

impl Put {
    async fn run(&self, conn: &mut Conn<'_>) -> Result<Result<Variable, Unfit>, StoreError> {
        let new = &self.new;
        // The key before the row: see data_keys.
        let key = match (new.secret, &self.seals) {
            (false, _) => None,
            (true, None) => return Err(data_keys::no_keys()),
            (true, Some(seals)) => Some(data_keys::active(conn, seals, new.workspace, new.now).await?),
        };
        // In two steps: what is read with a lock may be newer than the key that is joined to it.
        conn.rows("SELECT revision FROM variables WHERE workspace = $1 AND path = $2 {lock variables}", values![new.workspace, &new.path])
            .await?;
        let present = Stored::find(conn, new.workspace, &new.path).await?;
        let text = match (&new.text, &present) {
            (Some(text), _) => text.clone(),
            (None, None) => return Ok(Err(Unfit::Invalid("a new variable needs a text".to_owned()))),
            (None, Some(present)) if present.text.is_none() && !new.secret => {
                return Ok(Err(Unfit::Invalid("a secret variable becomes a plain one only with a new text".to_owned())));
            }
            (None, Some(present)) => present.text(new.workspace, &new.path, self.seals.as_deref())?,
        };
        if present.is_none()
            && let Some(row) = conn.row("SELECT COUNT(*) FROM variables WHERE workspace = $1", values![new.workspace]).await?
            && row.int(0)? >= i64::from(VARIABLES_MAX)
        {
            return Ok(Err(Unfit::TooMany(format!("a workspace has at most {VARIABLES_MAX} variables"))));
        }
        let revision = next_revision(present.as_ref().map(|present| present.revision), new.now);
        self.write(conn, &text, key.as_ref(), revision).await?;
        Ok(Ok(Variable {
            path: new.path.clone(),
            secret: new.secret,
            text: (!new.secret).then_some(text),
            description: new.description.clone(),
            revision,
            updated_at: new.now,
            updated_by: Arc::clone(&new.by),
        }))
    }

    async fn write(&self, conn: &mut Conn<'_>, text: &str, key: Option<&DataKey>, revision: i64) -> Result<(), StoreError> {
        let new = &self.new;
        let mut row = values![new.workspace, &new.path];
        row.extend(match key {
            None => vec![Value::from(text), Value::Int(None), Value::Bytes(None)],
            Some(key) => {
                let sealed = key.seal(place(new.workspace, &new.path), text.as_bytes())?;
                vec![Value::Text(None), Value::from(key.number), Value::from(sealed)]
            }
        });
        row.extend(values![new.description.as_str(), revision, new.now, &new.by]);
        conn.execute(
            "INSERT INTO variables (workspace, path, text, key_number, sealed, description, revision, updated_at, updated_by)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
             ON CONFLICT (workspace, path) DO UPDATE SET text = EXCLUDED.text, key_number = EXCLUDED.key_number, sealed = EXCLUDED.sealed,
                 description = EXCLUDED.description, revision = EXCLUDED.revision, updated_at = EXCLUDED.updated_at,
                 updated_by = EXCLUDED.updated_by",
            row,
        )
        .await
        .map(drop)
    }
}
