//! Types of resources. Whoever changes one looks at all its resources first; the transaction then sees that none of them has changed since.

use std::sync::Arc;

use sandmill_model::{
    BoxFuture, JsonText, ResourceType, ScriptPath, TypeName, WorkspaceId,
    resource_type::{BuiltIn, all_built_in, built_in, split},
};
use serde_json::Value as Json;

use super::{
    Sql,
    dialect::Conn,
    resources::{Stored, check_description, next_revision, select_stored},
    value::{Row, values},
};
use crate::{
    StoreError,
    resource_types::{NewType, ResourceTypes, TYPES_MAX, TypeDeleted, TypeRecord, TypeRefusal},
    resources::Unfit,
};

/// How often the resources of a type are looked through again because they changed meanwhile.
const TRIES_MAX: usize = 4;
/// Resources that are looked at together.
const PAGE_ROWS: u32 = 100;

/// What [`read`] reads.
macro_rules! select_type {
    () => {
        "SELECT name, schema, description, updated_at, updated_by FROM resource_types WHERE workspace = $1 "
    };
}

/// A type as a resource is checked against it.
#[derive(Clone)]
pub(super) struct KnownType {
    pub(super) schema: JsonText,
    /// None: it is part of the binary, and never changes.
    revision: Option<i64>,
}

/// What was there when the resources of a type were looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Seen {
    revision: i64,
    uses: i64,
}

struct Put {
    new: NewType,
    seen: Option<Seen>,
}

/// Notes that a resource comes to have the type, and that the type is as it was when the value was checked; false if it is not.
pub(super) async fn use_type(conn: &mut Conn<'_>, workspace: WorkspaceId, name: &TypeName, known: &KnownType) -> Result<bool, StoreError> {
    let Some(revision) = known.revision else { return Ok(true) };
    let used = conn
        .execute(
            "UPDATE resource_types SET uses = uses + 1 WHERE workspace = $1 AND name = $2 AND revision = $3",
            values![workspace, name.as_str(), revision],
        )
        .await?;
    Ok(used > 0)
}

impl Sql {
    pub(super) async fn known_type(&self, workspace: WorkspaceId, name: &TypeName) -> Result<Option<KnownType>, StoreError> {
        if let Some(own) = built_in(name.as_str()) {
            return Ok(Some(KnownType { schema: JsonText::trusted(own.schema), revision: None }));
        }
        let find = self.db.read((workspace, name.clone()), |(workspace, name), mut conn| {
            Box::pin(async move {
                conn.row(
                    "SELECT schema, revision FROM resource_types WHERE workspace = $1 AND name = $2",
                    values![*workspace, name.as_str()],
                )
                .await?
                .map(|row| Ok(KnownType { schema: row.json(0)?, revision: Some(row.int(1)?) }))
                .transpose()
            })
        });
        find.await
    }

    /// None: something has changed meanwhile.
    async fn try_put_type(&self, new: &NewType) -> Result<Option<Result<TypeRecord, TypeRefusal>>, StoreError> {
        let find = self.db.read((new.workspace, new.name.clone()), |(workspace, name), mut conn| {
            Box::pin(async move {
                let count = conn.row("SELECT COUNT(*) FROM resource_types WHERE workspace = $1", values![*workspace]).await?;
                let count = count.map_or(Ok(0), |row| row.int(0))?;
                Ok((count, seen("", &mut conn, *workspace, name).await?))
            })
        });
        let (count, seen) = find.await?;
        if seen.is_none() && count >= i64::from(TYPES_MAX) {
            return Ok(Some(Err(TypeRefusal::TooMany(format!("a workspace has at most {TYPES_MAX} types of its own")))));
        }
        if seen.is_some()
            && let Some(why) = self.unfitting(new).await?
        {
            return Ok(Some(Err(TypeRefusal::InUse(why))));
        }
        let put = Put { new: new.clone(), seen };
        let written = self.db.write(put, |put, mut conn| Box::pin(async move { put.write(&mut conn).await })).await?;
        Ok(written.map(Ok))
    }

    /// A resource that the changed type would not fit, and why.
    async fn unfitting(&self, new: &NewType) -> Result<Option<String>, StoreError> {
        let mut after = String::new();
        loop {
            let page = self.db.read((new.workspace, new.name.clone(), after), |(workspace, name, after), mut conn| {
                Box::pin(async move {
                    let rows = conn
                        .rows(
                            concat!(select_stored!(), "AND r.kind = $2 AND r.path > $3 ORDER BY r.path LIMIT $4"),
                            values![*workspace, name.as_str(), after.as_str(), PAGE_ROWS],
                        )
                        .await?;
                    rows.iter().map(|row| Stored::read(row, *workspace)).collect::<Result<Vec<_>, _>>()
                })
            });
            let page = page.await?;
            let Some(last) = page.last() else { return Ok(None) };
            after = last.resource.path.to_string();
            let (schema, workspace, seals) = (new.schema.clone(), new.workspace, self.seals.clone());
            let looked = self.check(move || {
                let kind = ResourceType::compile(&schema).map_err(StoreError::Other)?;
                for stored in &page {
                    if let Some(why) = unfit(&kind, stored, stored.whole(workspace, seals.as_deref())?) {
                        return Ok(Some(why));
                    }
                }
                Ok::<_, StoreError>(None)
            });
            if let Some(why) = looked.await?? {
                return Ok(Some(why));
            }
        }
    }
}

fn unfit(kind: &ResourceType, stored: &Stored, whole: Json) -> Option<String> {
    let path = &stored.resource.path;
    if let Some(fault) = kind.faults(&whole).first() {
        return Some(format!("{path} would not be valid: {}: {}", fault.pointer, fault.message));
    }
    let secrets: Vec<String> = split(whole, kind.secrets()).secrets.into_keys().collect();
    let differing =
        secrets.iter().find(|pointer| !stored.resource.secrets.contains(pointer)).map(|pointer| (pointer, "secret, and is not"));
    let differing = differing.or_else(|| {
        stored.resource.secrets.iter().find(|pointer| !secrets.contains(pointer)).map(|pointer| (pointer, "readable, and is secret"))
    });
    differing.map(|(pointer, how)| format!("{pointer} of {path} would be {how} at present: put the resource under another type first"))
}

/// What changes with the type and with its resources; `lock` for whoever changes it.
async fn seen(lock: &str, conn: &mut Conn<'_>, workspace: WorkspaceId, name: &TypeName) -> Result<Option<Seen>, StoreError> {
    let rows = conn
        .rows(
            format!("SELECT revision, uses FROM resource_types WHERE workspace = $1 AND name = $2 {lock}"),
            values![workspace, name.as_str()],
        )
        .await?;
    rows.first().map(|row| Ok(Seen { revision: row.int(0)?, uses: row.int(1)? })).transpose()
}

const LOCK: &str = "{lock resource_types}";

impl Put {
    /// None: something has changed meanwhile.
    async fn write(&self, conn: &mut Conn<'_>) -> Result<Option<TypeRecord>, StoreError> {
        let new = &self.new;
        if seen(LOCK, conn, new.workspace, &new.name).await? != self.seen {
            return Ok(None);
        }
        let revision = next_revision(self.seen.map(|seen| seen.revision), new.now);
        let row = values![new.workspace, new.name.as_str(), &new.schema, new.description.as_str(), revision, new.now, &new.by];
        let written = match self.seen {
            None => {
                conn.execute(
                    "INSERT INTO resource_types (workspace, name, schema, description, revision, uses, updated_at, updated_by)
                     VALUES ($1, $2, $3, $4, $5, 0, $6, $7) ON CONFLICT DO NOTHING",
                    row,
                )
                .await?
            }
            Some(_) => {
                conn.execute(
                    "UPDATE resource_types SET schema = $3, description = $4, revision = $5, updated_at = $6, updated_by = $7
                     WHERE workspace = $1 AND name = $2",
                    row,
                )
                .await?
            }
        };
        let record = TypeRecord {
            name: new.name.clone(),
            schema: new.schema.clone(),
            description: new.description.clone(),
            updated: Some((new.now, Arc::clone(&new.by))),
        };
        Ok((written > 0).then_some(record))
    }
}

impl ResourceTypes for Sql {
    fn put(&self, new: NewType) -> BoxFuture<'_, Result<Result<TypeRecord, TypeRefusal>, StoreError>> {
        Box::pin(async move {
            if built_in(new.name.as_str()).is_some() {
                return Ok(Err(TypeRefusal::BuiltIn));
            }
            if let Err(Unfit::Invalid(fault)) = check_description(&new.description) {
                return Ok(Err(TypeRefusal::Invalid(fault)));
            }
            let schema = new.schema.clone();
            if let Err(fault) = self.check(move || ResourceType::compile(&schema).map(drop)).await? {
                return Ok(Err(TypeRefusal::Invalid(fault)));
            }
            for _ in 0..TRIES_MAX {
                if let Some(done) = self.try_put_type(&new).await? {
                    return Ok(done);
                }
            }
            Err(StoreError::Contended(format!("resources of type {} change all the time", new.name)))
        })
    }

    fn find<'a>(&'a self, workspace: WorkspaceId, name: &'a TypeName) -> BoxFuture<'a, Result<Option<TypeRecord>, StoreError>> {
        Box::pin(async move {
            if let Some(own) = built_in(name.as_str()) {
                return read_built_in(own).map(Some);
            }
            let find = self.db.read((workspace, name.clone()), |(workspace, name), mut conn| {
                Box::pin(async move {
                    let row = conn.row(concat!(select_type!(), "AND name = $2"), values![*workspace, name.as_str()]).await?;
                    row.as_ref().map(read).transpose()
                })
            });
            find.await
        })
    }

    fn list<'a>(
        &'a self,
        workspace: WorkspaceId,
        after: Option<&'a TypeName>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<TypeRecord>, StoreError>> {
        let after = after.map_or_else(String::new, ToString::to_string);
        Box::pin(async move {
            let mut all: Vec<TypeRecord> = all_built_in().filter(|own| *own.name > *after).map(read_built_in).collect::<Result<_, _>>()?;
            let own = self.db.read((workspace, after, limit), |(workspace, after, limit), mut conn| {
                Box::pin(async move {
                    let rows = conn
                        .rows(concat!(select_type!(), "AND name > $2 ORDER BY name LIMIT $3"), values![*workspace, after.as_str(), *limit])
                        .await?;
                    rows.iter().map(read).collect::<Result<Vec<_>, _>>()
                })
            });
            all.extend(own.await?);
            all.sort_by(|one, other| one.name.cmp(&other.name));
            all.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
            Ok(all)
        })
    }

    fn delete<'a>(&'a self, workspace: WorkspaceId, name: &'a TypeName) -> BoxFuture<'a, Result<TypeDeleted, StoreError>> {
        Box::pin(async move {
            if built_in(name.as_str()).is_some() {
                return Ok(TypeDeleted::BuiltIn);
            }
            let delete = self.db.write((workspace, name.clone()), |(workspace, name), mut conn| {
                Box::pin(async move { delete(&mut conn, *workspace, name).await })
            });
            delete.await
        })
    }
}

fn read(row: &Row) -> Result<TypeRecord, StoreError> {
    Ok(TypeRecord {
        name: row.text(0)?.parse().map_err(|_| StoreError::Corrupt("a name of a type".to_owned()))?,
        schema: row.json(1)?,
        description: row.text(2)?.to_owned(),
        updated: Some((row.time(3)?, row.text(4)?.into())),
    })
}

fn read_built_in(own: &BuiltIn) -> Result<TypeRecord, StoreError> {
    let schema = JsonText::trusted(own.schema);
    let described: Json = schema.read().map_err(|error| StoreError::Other(error.to_string()))?;
    Ok(TypeRecord {
        name: own.name.parse().map_err(|_| StoreError::Other("a name of a type".to_owned()))?,
        description: described["description"].as_str().unwrap_or_default().to_owned(),
        schema,
        updated: None,
    })
}

/// Whoever puts a resource of the type waits for the row of the type, or is waited for.
async fn delete(conn: &mut Conn<'_>, workspace: WorkspaceId, name: &TypeName) -> Result<TypeDeleted, StoreError> {
    if seen(LOCK, conn, workspace, name).await?.is_none() {
        return Ok(TypeDeleted::No);
    }
    let used = conn
        .row("SELECT path FROM resources WHERE workspace = $1 AND kind = $2 ORDER BY path LIMIT 1", values![workspace, name.as_str()])
        .await?;
    if let Some(row) = used {
        let path: ScriptPath = row.path(0)?;
        return Ok(TypeDeleted::InUse(path));
    }
    conn.execute("DELETE FROM resource_types WHERE workspace = $1 AND name = $2", values![workspace, name.as_str()]).await?;
    Ok(TypeDeleted::Yes)
}
