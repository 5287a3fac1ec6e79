//! Scripts, versions, deployments, components.

use bytes::Bytes;
use sandmill_model::{
    BoxFuture, Digest, Language, Manifest, ScriptPath, WorkspaceId,
    version::{Deployment, Selector, Version},
};

use super::{
    AFTER_ALL_PATHS, Sql,
    dialect::Conn,
    value::{Row, to_json, values},
};
use crate::{
    StoreError,
    scripts::{NewDeployment, ScriptSummary, Scripts},
};

impl Scripts for Sql {
    fn deploy(&self, new: NewDeployment) -> BoxFuture<'_, Result<Deployment, StoreError>> {
        Box::pin(self.db.write(new, |new, conn| Box::pin(deploy(new, conn))))
    }

    fn find<'a>(
        &'a self,
        workspace: WorkspaceId,
        path: &'a ScriptPath,
        selector: Selector,
    ) -> BoxFuture<'a, Result<Option<(Deployment, Version)>, StoreError>> {
        Box::pin(self.db.read((workspace, path.clone(), selector), |(workspace, path, selector), conn| {
            Box::pin(find(*workspace, path, *selector, conn))
        }))
    }

    fn version(&self, workspace: WorkspaceId, digest: Digest) -> BoxFuture<'_, Result<Option<Version>, StoreError>> {
        Box::pin(self.db.read((workspace, digest), |(workspace, digest), mut conn| {
            Box::pin(async move {
                let row = conn
                    .row(
                        "SELECT digest, language, source, manifest, schema, program, created_at FROM versions WHERE workspace = $1 AND digest = $2",
                        values![*workspace, *digest],
                    )
                    .await?;
                row.as_ref().map(|row| read_version(row, 0)).transpose()
            })
        }))
    }

    fn component(&self, workspace: WorkspaceId, digest: Digest) -> BoxFuture<'_, Result<Option<Bytes>, StoreError>> {
        Box::pin(self.db.read((workspace, digest), |(workspace, digest), mut conn| {
            Box::pin(async move {
                let row =
                    conn.row("SELECT bytes FROM components WHERE workspace = $1 AND digest = $2", values![*workspace, *digest]).await?;
                row.map(|row| row.bytes(0).map(Bytes::copy_from_slice)).transpose()
            })
        }))
    }

    fn has_component(&self, workspace: WorkspaceId, digest: Digest) -> BoxFuture<'_, Result<bool, StoreError>> {
        Box::pin(self.db.read((workspace, digest), |(workspace, digest), mut conn| {
            Box::pin(async move {
                let row = conn.row("SELECT 1 FROM components WHERE workspace = $1 AND digest = $2", values![*workspace, *digest]).await?;
                Ok(row.is_some())
            })
        }))
    }

    fn list<'a>(
        &'a self,
        workspace: WorkspaceId,
        prefix: &'a str,
        after: Option<&'a ScriptPath>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<ScriptSummary>, StoreError>> {
        let after = after.map_or_else(String::new, ToString::to_string);
        Box::pin(self.db.read((workspace, prefix.to_owned(), after, limit), |(workspace, prefix, after, limit), conn| {
            Box::pin(list(*workspace, prefix, after, *limit, conn))
        }))
    }

    fn deployments<'a>(
        &'a self,
        workspace: WorkspaceId,
        path: &'a ScriptPath,
        before: Option<i64>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<Deployment>, StoreError>> {
        let before = before.unwrap_or(i64::MAX);
        Box::pin(self.db.read((workspace, path.clone(), before, limit), |(workspace, path, before, limit), mut conn| {
            Box::pin(async move {
                let rows = conn
                    .rows(
                        "SELECT path, number, version, created_at, created_by FROM deployments
                         WHERE workspace = $1 AND path = $2 AND number < $3 ORDER BY number DESC LIMIT $4",
                        values![*workspace, path, *before, *limit],
                    )
                    .await?;
                rows.iter().map(read_deployment).collect()
            })
        }))
    }
}

async fn deploy(new: &NewDeployment, mut conn: Conn<'_>) -> Result<Deployment, StoreError> {
    let (workspace, path) = (new.workspace, &new.path);
    conn.execute("INSERT INTO scripts (workspace, path, newest) VALUES ($1, $2, 0) ON CONFLICT DO NOTHING", values![workspace, path])
        .await?;
    let locked = conn.row("SELECT newest FROM scripts WHERE workspace = $1 AND path = $2 {lock scripts}", values![workspace, path]).await?;
    let newest = locked.ok_or_else(|| StoreError::Conflict(format!("{path} is being deleted")))?.int(0)?;
    let present = conn
        .row(
            "SELECT path, number, version, created_at, created_by FROM deployments WHERE workspace = $1 AND path = $2 AND number = $3",
            values![workspace, path, newest],
        )
        .await?;
    if let Some(present) = present {
        let present = read_deployment(&present)?;
        // As whom runs act is up to whoever deployed it.
        let is_of_another = new.version.manifest.run_as.is_some() && present.created_by != new.created_by;
        if present.version == new.version.digest && !is_of_another {
            return Ok(present);
        }
    }
    insert_contents(new, &mut conn).await?;
    let deployment = Deployment {
        path: path.clone(),
        number: newest + 1,
        version: new.version.digest,
        created_at: new.now,
        created_by: new.created_by.clone(),
    };
    conn.execute(
        "INSERT INTO deployments (workspace, path, number, version, created_at, created_by) VALUES ($1, $2, $3, $4, $5, $6)",
        values![workspace, path, deployment.number, deployment.version, deployment.created_at, &deployment.created_by],
    )
    .await?;
    conn.execute("UPDATE scripts SET newest = $3 WHERE workspace = $1 AND path = $2", values![workspace, path, deployment.number]).await?;
    Ok(deployment)
}

/// Version and component, where they are new.
async fn insert_contents(new: &NewDeployment, conn: &mut Conn<'_>) -> Result<(), StoreError> {
    let version = &new.version;
    if let Some((digest, bytes)) = &new.component {
        conn.execute(
            "INSERT INTO components (workspace, digest, bytes) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
            values![new.workspace, *digest, bytes],
        )
        .await?;
    }
    conn.execute(
        "INSERT INTO versions (workspace, digest, language, source, manifest, schema, program, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         ON CONFLICT DO NOTHING",
        values![
            new.workspace,
            version.digest,
            version.language.name(),
            version.source.as_deref().map(str::as_bytes),
            to_json(&version.manifest)?,
            &version.schema,
            to_json(&version.program)?,
            version.created_at,
        ],
    )
    .await?;
    Ok(())
}

async fn find(
    workspace: WorkspaceId,
    path: &ScriptPath,
    selector: Selector,
    mut conn: Conn<'_>,
) -> Result<Option<(Deployment, Version)>, StoreError> {
    const FOUND: &str = "SELECT d.path, d.number, d.version, d.created_at, d.created_by,
            v.digest, v.language, v.source, v.manifest, v.schema, v.program, v.created_at
         FROM deployments d JOIN versions v ON v.workspace = d.workspace AND v.digest = d.version
         WHERE d.workspace = $1 AND d.path = $2";
    let (condition, values) = match selector {
        Selector::Newest => ("", values![workspace, path]),
        Selector::Number(number) => (" AND d.number = $3", values![workspace, path, number]),
        Selector::Digest(digest) => (" AND d.version = $3", values![workspace, path, digest]),
    };
    let rows = conn.rows(format!("{FOUND}{condition} ORDER BY d.number DESC LIMIT 1"), values).await?;
    rows.first().map(|row| Ok((read_deployment(row)?, read_version(row, 5)?))).transpose()
}

async fn list(workspace: WorkspaceId, prefix: &str, after: &str, limit: u32, mut conn: Conn<'_>) -> Result<Vec<ScriptSummary>, StoreError> {
    if prefix.contains('\0') {
        return Ok(Vec::new());
    }
    let rows = conn
        .rows(
            "SELECT d.path, d.number, d.version, d.created_at, d.created_by, v.language, v.manifest
             FROM scripts s
             JOIN deployments d ON d.workspace = s.workspace AND d.path = s.path AND d.number = s.newest
             JOIN versions v ON v.workspace = d.workspace AND v.digest = d.version
             WHERE s.workspace = $1 AND s.path >= $2 AND s.path < $3 AND s.path > $4 ORDER BY s.path LIMIT $5",
            values![workspace, prefix, format!("{prefix}{AFTER_ALL_PATHS}"), after, limit],
        )
        .await?;
    let read = |row: &Row| {
        let manifest: Manifest = row.parsed(6)?;
        Ok(ScriptSummary { deployment: read_deployment(row)?, language: read_language(row.text(5)?)?, description: manifest.description })
    };
    rows.iter().map(read).collect()
}

fn read_deployment(row: &Row) -> Result<Deployment, StoreError> {
    Ok(Deployment {
        path: row.path(0)?,
        number: row.int(1)?,
        version: row.digest(2)?,
        created_at: row.time(3)?,
        created_by: row.text(4)?.into(),
    })
}

fn read_version(row: &Row, first: usize) -> Result<Version, StoreError> {
    let source = row.opt_bytes(first + 2)?.map(|bytes| String::from_utf8(bytes.to_vec()));
    Ok(Version {
        digest: row.digest(first)?,
        language: read_language(row.text(first + 1)?)?,
        source: source.transpose().map_err(|error| StoreError::Corrupt(format!("a source: {error}")))?,
        manifest: row.parsed(first + 3)?,
        schema: row.json(first + 4)?,
        program: row.parsed(first + 5)?,
        created_at: row.time(first + 6)?,
    })
}

fn read_language(name: &str) -> Result<Language, StoreError> {
    Language::from_name(name).ok_or_else(|| StoreError::Corrupt(format!("a script's language {name}")))
}
