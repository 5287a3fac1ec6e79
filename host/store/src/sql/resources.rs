//! Resources. A value is checked against its type before the transaction that writes it, because that may take long; the transaction then sees
//! that neither the type nor the resource has changed since.

use std::{collections::BTreeMap, sync::Arc};

use sandmill_model::{
    BoxFuture, JsonText, Opening, ResourceType, ScriptPath, Timestamp, WorkspaceId,
    resource_type::{self, Parts, VALUE_BYTES_MAX},
    schema::Fault,
};
use serde_json::Value as Json;

use super::{
    AFTER_ALL_PATHS, Sql, claims,
    data_keys::{self, Sealed},
    database_names,
    dialect::Conn,
    resource_types::{self, KnownType},
    value::{Row, Value, to_json, values},
};
use crate::{
    StoreError,
    resources::{DESCRIPTION_CHARS_MAX, NewResource, RESOURCES_MAX, Resource, ResourceSummary, Resources, Revealed, Unfit},
    seal::{DataKey, Place, SealedKind, Seals},
};

/// How often a value is checked again because its type or the resource changed meanwhile.
const TRIES_MAX: usize = 8;

/// Secret leaves by pointer.
pub(super) type Secrets = BTreeMap<String, Json>;

impl Resources for Sql {
    fn put(&self, new: NewResource) -> BoxFuture<'_, Result<Result<Resource, Unfit>, StoreError>> {
        Box::pin(async move {
            if let Err(unfit) = check_description(&new.description) {
                return Ok(Err(unfit));
            }
            if new.value.as_str().len() > VALUE_BYTES_MAX {
                return Ok(Err(Unfit::Invalid(format!("the value has more than {VALUE_BYTES_MAX} bytes"))));
            }
            for _ in 0..TRIES_MAX {
                if let Some(done) = self.try_put(&new).await? {
                    return Ok(done);
                }
            }
            Err(StoreError::Contended(format!("{} or its type changes all the time", new.path)))
        })
    }

    fn find<'a>(&'a self, workspace: WorkspaceId, path: &'a ScriptPath) -> BoxFuture<'a, Result<Option<Resource>, StoreError>> {
        Box::pin(async move { Ok(self.stored(workspace, path).await?.map(|stored| stored.resource)) })
    }

    fn reveal<'a>(&'a self, workspace: WorkspaceId, path: &'a ScriptPath) -> BoxFuture<'a, Result<Option<Revealed>, StoreError>> {
        Box::pin(async move {
            let Some(stored) = self.stored(workspace, path).await? else { return Ok(None) };
            let value = stored.whole(workspace, self.seals.as_deref())?;
            let Resource { kind, revision, secrets, .. } = stored.resource;
            Ok(Some(Revealed { kind, value: JsonText::trusted(to_json(&value)?), secrets, revision }))
        })
    }

    fn list<'a>(
        &'a self,
        workspace: WorkspaceId,
        prefix: &'a str,
        after: Option<&'a ScriptPath>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<ResourceSummary>, StoreError>> {
        let after = after.map_or_else(String::new, ToString::to_string);
        Box::pin(self.db.read((workspace, prefix.to_owned(), after, limit), |(workspace, prefix, after, limit), mut conn| {
            Box::pin(async move {
                if prefix.contains('\0') {
                    return Ok(Vec::new());
                }
                let rows = conn
                    .rows(
                        "SELECT path, kind, description, revision, updated_at, updated_by FROM resources
                         WHERE workspace = $1 AND path >= $2 AND path < $3 AND path > $4 ORDER BY path LIMIT $5",
                        values![*workspace, prefix.as_str(), format!("{prefix}{AFTER_ALL_PATHS}"), after.as_str(), *limit],
                    )
                    .await?;
                rows.iter().map(read_summary).collect()
            })
        }))
    }

    fn delete<'a>(&'a self, workspace: WorkspaceId, path: &'a ScriptPath) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(self.db.write((workspace, path.clone()), |(workspace, path), conn| Box::pin(delete(*workspace, path, conn))))
    }

    fn open_database(&self, opening: Opening) -> BoxFuture<'_, Result<bool, StoreError>> {
        Box::pin(async move {
            let known = self
                .db
                .read(opening.clone(), |opening, mut conn| Box::pin(async move { database_names::was_opened(&mut conn, opening).await }));
            match known.await? {
                Some(false) => {
                    let open =
                        self.db.write(opening, |opening, mut conn| Box::pin(async move { database_names::open(&mut conn, opening).await }));
                    open.await
                }
                known => Ok(known.is_some()),
            }
        })
    }
}

async fn delete(workspace: WorkspaceId, path: &ScriptPath, mut conn: Conn<'_>) -> Result<bool, StoreError> {
    const FIND: &str = "SELECT kind, fields FROM resources WHERE workspace = $1 AND path = $2 {lock resources}";
    let Some(row) = conn.row(FIND, values![workspace, path]).await? else { return Ok(false) };
    let named = database_names::named_in(row.text(0)?, &row.json(1)?)?;
    conn.execute("DELETE FROM resources WHERE workspace = $1 AND path = $2", values![workspace, path]).await?;
    if let Some(name) = named {
        database_names::give_back(&mut conn, workspace, &name).await?;
    }
    Ok(true)
}

pub(super) fn check_description(description: &str) -> Result<(), Unfit> {
    if description.chars().count() > DESCRIPTION_CHARS_MAX {
        return Err(Unfit::Invalid(format!("the description has more than {DESCRIPTION_CHARS_MAX} characters")));
    }
    if description.contains('\0') {
        return Err(Unfit::Invalid("the description has the character NUL, which cannot be kept".to_owned()));
    }
    Ok(())
}

/// Greater than `before`, and than that of what was deleted there: it is a time, too.
pub(super) fn next_revision(before: Option<i64>, now: Timestamp) -> i64 {
    before.map_or(0, |before| before.saturating_add(1)).max(now.micros())
}

fn read_summary(row: &Row) -> Result<ResourceSummary, StoreError> {
    Ok(ResourceSummary {
        path: row.path(0)?,
        kind: row.text(1)?.into(),
        description: row.text(2)?.to_owned(),
        revision: row.int(3)?,
        updated_at: row.time(4)?,
        updated_by: row.text(5)?.into(),
    })
}

/// A resource with what it has sealed.
pub(super) struct Stored {
    pub(super) resource: Resource,
    sealed: Option<Sealed>,
}

/// What [`Stored::read`] reads; conditions come after it.
macro_rules! select_stored {
    () => {
        concat!(
            "SELECT r.path, r.kind, r.description, r.revision, r.updated_at, r.updated_by, r.fields, r.secrets, r.sealed, ",
            $crate::sql::data_keys::wrapped_columns!(),
            " FROM resources r LEFT JOIN workspace_keys k ON k.workspace = r.workspace AND k.number = r.key_number WHERE r.workspace = $1 "
        )
    };
}
pub(super) use select_stored;

impl Stored {
    pub(super) fn read(row: &Row, workspace: WorkspaceId) -> Result<Self, StoreError> {
        let ResourceSummary { path, kind, description, revision, updated_at, updated_by } = read_summary(row)?;
        let (fields, secrets) = (row.json(6)?, row.parsed(7)?);
        let resource = Resource { path, kind, fields, secrets, description, revision, updated_at, updated_by };
        Ok(Self { resource, sealed: Sealed::read(row, workspace, 8)? })
    }

    pub(super) fn secrets(&self, workspace: WorkspaceId, seals: Option<&Seals>) -> Result<Secrets, StoreError> {
        let Some(sealed) = &self.sealed else { return Ok(Secrets::new()) };
        let key = seals.ok_or_else(data_keys::no_keys)?.unwrap(&sealed.key)?;
        let plain = key.open(place(workspace, &self.resource.path), &sealed.bytes)?;
        // The parser's own words may repeat a part of what it reads.
        serde_json::from_slice(&plain).map_err(|_| StoreError::Corrupt(format!("the secrets of {} are not JSON", self.resource.path)))
    }

    /// The value with its secrets.
    pub(super) fn whole(&self, workspace: WorkspaceId, seals: Option<&Seals>) -> Result<Json, StoreError> {
        let fields = self.resource.fields.read().map_err(|error| StoreError::Corrupt(error.to_string()))?;
        Ok(resource_type::join(Parts { fields, secrets: self.secrets(workspace, seals)? }))
    }
}

fn place(workspace: WorkspaceId, path: &ScriptPath) -> Place<'_> {
    Place { workspace, kind: SealedKind::Resource, path: path.as_str() }
}

/// A value that fits, taken apart.
struct Fitting {
    new: NewResource,
    parts: Parts,
    kind: KnownType,
    /// Revision of the resource that was there.
    before: Option<i64>,
    /// Name of a database that it is to have, and that the resource had not before.
    takes: Option<String>,
    /// One that it had before, and is not to have.
    gives: Option<String>,
    seals: Option<Arc<Seals>>,
}

impl Sql {
    async fn stored(&self, workspace: WorkspaceId, path: &ScriptPath) -> Result<Option<Stored>, StoreError> {
        let find = self.db.read((workspace, path.clone()), |(workspace, path), mut conn| {
            Box::pin(async move {
                let row = conn.row(concat!(select_stored!(), "AND r.path = $2"), values![*workspace, path]).await?;
                row.map(|row| Stored::read(&row, *workspace)).transpose()
            })
        });
        find.await
    }

    /// None: something has changed meanwhile.
    async fn try_put(&self, new: &NewResource) -> Result<Option<Result<Resource, Unfit>>, StoreError> {
        let Some(kind) = self.known_type(new.workspace, &new.kind).await? else { return Ok(Some(Err(Unfit::NoSuchType))) };
        let present = self.stored(new.workspace, &new.path).await?;
        if present.is_none() && self.count(new.workspace).await? >= i64::from(RESOURCES_MAX) {
            return Ok(Some(Err(Unfit::TooMany(format!("a workspace has at most {RESOURCES_MAX} resources")))));
        }
        let kept = match present.as_ref().filter(|present| &*present.resource.kind == new.kind.as_str()) {
            Some(present) => present.secrets(new.workspace, self.seals.as_deref())?,
            None => Secrets::new(),
        };
        let (schema, value) = (kind.schema.clone(), new.value.clone());
        let parts = match self.check(move || fit(&schema, &value, &kept)).await? {
            Ok(parts) => parts,
            Err(unfit) => return Ok(Some(Err(unfit))),
        };
        if !parts.secrets.is_empty() {
            self.seals()?;
        }
        let had = match &present {
            Some(present) => database_names::named_in(&present.resource.kind, &present.resource.fields)?,
            None => None,
        };
        let named = database_names::named(new.kind.as_str(), &parts.fields);
        let takes = named.filter(|name| had.as_deref() != Some(*name)).map(str::to_owned);
        let gives = had.filter(|had| named != Some(had.as_str()));
        let before = present.map(|present| present.resource.revision);
        let fitting = Fitting { new: new.clone(), parts, kind, before, takes, gives, seals: self.seals.clone() };
        self.db.write(fitting, |fitting, mut conn| Box::pin(async move { fitting.write(&mut conn).await })).await
    }

    async fn count(&self, workspace: WorkspaceId) -> Result<i64, StoreError> {
        let count = self.db.read(workspace, |workspace, mut conn| {
            Box::pin(async move { conn.row("SELECT COUNT(*) FROM resources WHERE workspace = $1", values![*workspace]).await })
        });
        count.await?.map_or(Ok(0), |row| row.int(0))
    }
}

/// Checks a whole value, kept secrets among it.
fn fit(schema: &JsonText, value: &JsonText, kept: &Secrets) -> Result<Parts, Unfit> {
    let whole = |message: &str| Unfit::Value(vec![Fault { pointer: String::new(), message: message.to_owned() }]);
    let kind = ResourceType::compile(schema).map_err(|fault| Unfit::Invalid(format!("its type is not valid any more: {fault}")))?;
    // The parser's own words may repeat a part of what it reads.
    let value: Json = value.read().map_err(|_| whole("the value cannot be read as JSON"))?;
    if !value.is_object() {
        return Err(whole("the value must be a JSON object"));
    }
    let parts = resource_type::keep(value, kind.secrets(), kept);
    let faults = kind.faults(&resource_type::join(parts.clone()));
    if faults.is_empty() { Ok(parts) } else { Err(Unfit::Value(faults)) }
}

impl Fitting {
    /// None: something has changed meanwhile. The type comes first, then the key, then the row, then the name of its database; before all of them
    /// the workspace, where a name is taken: so names are counted by one after the other.
    async fn write(&self, conn: &mut Conn<'_>) -> Result<Option<Result<Resource, Unfit>>, StoreError> {
        let new = &self.new;
        if self.takes.is_some() {
            claims::lock(conn, new.workspace).await?;
        }
        if !resource_types::use_type(conn, new.workspace, &new.kind, &self.kind).await? {
            return Ok(None);
        }
        let key = match &self.seals {
            Some(seals) if !self.parts.secrets.is_empty() => Some(data_keys::active(conn, seals, new.workspace, new.now).await?),
            _ => None,
        };
        let locked = conn
            .row("SELECT revision FROM resources WHERE workspace = $1 AND path = $2 {lock resources}", values![new.workspace, &new.path])
            .await?;
        if locked.map(|row| row.int(0)).transpose()? != self.before {
            return Ok(None);
        }
        if let Some(name) = &self.takes {
            match database_names::take(conn, new, name).await? {
                Some(Ok(())) => {}
                Some(Err(unfit)) => return Ok(Some(Err(unfit))),
                None => return Ok(None),
            }
        }
        let resource = self.resource()?;
        let is_written = self.write_row(conn, &resource, key.as_ref()).await?;
        // Where it is not written, the name that was taken for it is not its own.
        let gives = if is_written { &self.gives } else { &self.takes };
        if let Some(name) = gives {
            database_names::give_back(conn, new.workspace, name).await?;
        }
        Ok(is_written.then_some(Ok(resource)))
    }

    /// False: there is one meanwhile.
    async fn write_row(&self, conn: &mut Conn<'_>, resource: &Resource, key: Option<&DataKey>) -> Result<bool, StoreError> {
        let new = &self.new;
        let sealed = match key {
            Some(key) => vec![
                Value::from(key.number),
                Value::from(key.seal(place(new.workspace, &new.path), to_json(&self.parts.secrets)?.as_bytes())?),
            ],
            None => vec![Value::Int(None), Value::Bytes(None)],
        };
        let mut row = values![new.workspace, &new.path, &resource.kind, &resource.fields, to_json(&resource.secrets)?];
        row.extend(sealed);
        row.extend(values![new.description.as_str(), resource.revision, new.now, &new.by]);
        let written = match self.before {
            None => {
                conn.execute(
                    "INSERT INTO resources (workspace, path, kind, fields, secrets, key_number, sealed, description, revision, updated_at, updated_by)
                     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT DO NOTHING",
                    row,
                )
                .await?
            }
            Some(_) => {
                conn.execute(
                    "UPDATE resources SET kind = $3, fields = $4, secrets = $5, key_number = $6, sealed = $7, description = $8, revision = $9,
                         updated_at = $10, updated_by = $11 WHERE workspace = $1 AND path = $2",
                    row,
                )
                .await?
            }
        };
        Ok(written > 0)
    }

    fn resource(&self) -> Result<Resource, StoreError> {
        let new = &self.new;
        Ok(Resource {
            path: new.path.clone(),
            kind: new.kind.as_str().into(),
            fields: JsonText::trusted(to_json(&self.parts.fields)?),
            secrets: self.parts.secrets.keys().cloned().collect(),
            description: new.description.clone(),
            revision: next_revision(self.before, new.now),
            updated_at: new.now,
            updated_by: Arc::clone(&new.by),
        })
    }
}
