//! Workspaces.

use std::sync::Arc;

use sandmill_model::{
    BoxFuture, Quotas, Timestamp, WorkspaceId, WorkspaceSettings,
    quota::{Overrides, patched},
    settings::{InvalidSettings, Patch},
};

use super::{
    Sql,
    dialect::Conn,
    value::{Row, to_json, values},
};
use crate::{
    StoreError,
    workspaces::{Allotment, Change, NewWorkspace, Status, Unmade, WORKSPACES_MAX, Workspace, Workspaces},
};

/// What [`read`] reads; conditions come after it.
macro_rules! select_workspace {
    () => {
        "SELECT workspaces.id, workspaces.name, workspaces.created_at, workspaces.settings, workspaces.status, workspaces.status_since,
             workspaces.plan, workspaces.overrides, plans.quotas
         FROM workspaces LEFT JOIN plans ON plans.name = workspaces.plan "
    };
}

impl Workspaces for Sql {
    fn ensure<'a>(&'a self, id: WorkspaceId, name: &'a str, now: Timestamp) -> BoxFuture<'a, Result<Workspace, StoreError>> {
        let new = NewWorkspace { id, name: name.into(), allotment: Change::default(), now };
        Box::pin(self.db.write(new, |new, conn| Box::pin(ensure(new, conn))))
    }

    fn create(&self, new: NewWorkspace) -> BoxFuture<'_, Result<Result<Workspace, Unmade>, StoreError>> {
        Box::pin(self.db.write(new, |new, conn| Box::pin(create(new, conn))))
    }

    fn by_name<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Workspace>, StoreError>> {
        let name: Arc<str> = name.into();
        Box::pin(self.db.read(name, |name, mut conn| Box::pin(async move { by_name(name, &mut conn).await })))
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<Workspace>, StoreError>> {
        Box::pin(self.db.read((), |(), mut conn| {
            Box::pin(async move {
                let rows = conn.rows(concat!(select_workspace!(), "ORDER BY workspaces.created_at, workspaces.id"), values![]).await?;
                rows.iter().map(read).collect()
            })
        }))
    }

    fn page<'a>(&'a self, after: Option<&'a str>, limit: u32) -> BoxFuture<'a, Result<Vec<Workspace>, StoreError>> {
        Box::pin(self.db.read((after.unwrap_or_default().to_owned(), limit), |(after, limit), mut conn| {
            Box::pin(async move {
                if after.contains('\0') {
                    return Ok(Vec::new());
                }
                const PAGE: &str = concat!(select_workspace!(), "WHERE workspaces.name > $1 ORDER BY workspaces.name LIMIT $2");
                let rows = conn.rows(PAGE, values![after.as_str(), *limit]).await?;
                rows.iter().map(read).collect()
            })
        }))
    }

    fn set(&self, id: WorkspaceId, patch: Patch) -> BoxFuture<'_, Result<Result<WorkspaceSettings, InvalidSettings>, StoreError>> {
        Box::pin(self.db.write((id, patch), |(id, patch), conn| Box::pin(set(*id, patch, conn))))
    }

    fn allot(&self, id: WorkspaceId, change: Change) -> BoxFuture<'_, Result<Result<Workspace, Unmade>, StoreError>> {
        Box::pin(self.db.write((id, change), |(id, change), conn| Box::pin(allot(*id, change, conn))))
    }

    fn change_status(&self, id: WorkspaceId, status: Status, now: Timestamp) -> BoxFuture<'_, Result<Option<Workspace>, StoreError>> {
        Box::pin(self.db.write((id, status, now), |(id, status, now), conn| Box::pin(change_status(*id, *status, *now, conn))))
    }

    fn by_id(&self, id: WorkspaceId) -> BoxFuture<'_, Result<Option<Workspace>, StoreError>> {
        Box::pin(self.db.read(id, |id, mut conn| {
            Box::pin(async move {
                let row = conn.row(concat!(select_workspace!(), "WHERE workspaces.id = $1"), values![*id]).await?;
                row.as_ref().map(read).transpose()
            })
        }))
    }
}

async fn ensure(new: &NewWorkspace, mut conn: Conn<'_>) -> Result<Workspace, StoreError> {
    if let Some(present) = by_name(&new.name, &mut conn).await? {
        return Ok(present);
    }
    conn.execute(
        "INSERT INTO workspaces (id, name, created_at) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING",
        values![new.id, &new.name, new.now],
    )
    .await?;
    by_name(&new.name, &mut conn).await?.ok_or_else(|| StoreError::Conflict(format!("the workspace {} is being deleted", new.name)))
}

async fn create(new: &NewWorkspace, mut conn: Conn<'_>) -> Result<Result<Workspace, Unmade>, StoreError> {
    let present = conn.row("SELECT COUNT(*) FROM workspaces", values![]).await?.map_or(Ok(0), |row| row.int(0))?;
    if present >= i64::from(WORKSPACES_MAX) {
        return Ok(Err(Unmade::TooMany));
    }
    let allotment = match changed(&Allotment::default(), &new.allotment, &mut conn).await? {
        Ok(allotment) => allotment,
        Err(unmade) => return Ok(Err(unmade)),
    };
    let made = conn
        .execute(
            "INSERT INTO workspaces (id, name, created_at, plan, overrides) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (name) DO NOTHING",
            values![new.id, &new.name, new.now, allotment.plan.as_deref(), to_json(&allotment.overrides)?],
        )
        .await?;
    if made == 0 {
        return Ok(Err(Unmade::Taken));
    }
    Ok(Ok(Workspace {
        id: new.id,
        name: Arc::clone(&new.name),
        created_at: new.now,
        settings: Arc::default(),
        status: Status::Active,
        status_since: new.now,
        allotted: Arc::new(allotment),
    }))
}

async fn by_name(name: &Arc<str>, conn: &mut Conn<'_>) -> Result<Option<Workspace>, StoreError> {
    if name.contains('\0') {
        return Ok(None);
    }
    conn.row(concat!(select_workspace!(), "WHERE workspaces.name = $1"), values![name]).await?.as_ref().map(read).transpose()
}

/// The workspace, which nobody else changes until the transaction ends.
async fn lock(id: WorkspaceId, conn: &mut Conn<'_>) -> Result<Option<Workspace>, StoreError> {
    conn.row(concat!(select_workspace!(), "WHERE workspaces.id = $1 {lock workspaces}"), values![id]).await?.as_ref().map(read).transpose()
}

fn gone() -> StoreError {
    StoreError::Conflict("the workspace is gone".to_owned())
}

async fn set(id: WorkspaceId, patch: &Patch, mut conn: Conn<'_>) -> Result<Result<WorkspaceSettings, InvalidSettings>, StoreError> {
    let workspace = lock(id, &mut conn).await?.ok_or_else(gone)?;
    let settings = match workspace.settings.patched(patch) {
        Ok(settings) => settings,
        Err(invalid) => return Ok(Err(invalid)),
    };
    conn.execute("UPDATE workspaces SET settings = $2 WHERE id = $1", values![id, to_json(&settings)?]).await?;
    Ok(Ok(settings))
}

async fn allot(id: WorkspaceId, change: &Change, mut conn: Conn<'_>) -> Result<Result<Workspace, Unmade>, StoreError> {
    let workspace = lock(id, &mut conn).await?.ok_or_else(gone)?;
    let allotment = match changed(&workspace.allotted, change, &mut conn).await? {
        Ok(allotment) => allotment,
        Err(unmade) => return Ok(Err(unmade)),
    };
    conn.execute(
        "UPDATE workspaces SET plan = $2, overrides = $3 WHERE id = $1",
        values![id, allotment.plan.as_deref(), to_json(&allotment.overrides)?],
    )
    .await?;
    Ok(Ok(Workspace { allotted: Arc::new(allotment), ..workspace }))
}

/// What comes of a change. The plan that is named cannot be deleted until the transaction ends.
async fn changed(before: &Allotment, change: &Change, conn: &mut Conn<'_>) -> Result<Result<Allotment, Unmade>, StoreError> {
    let plan = change.plan.clone().unwrap_or_else(|| before.plan.clone());
    let of_plan = match &plan {
        None => None,
        Some(plan) if plan.contains('\0') => return Ok(Err(Unmade::NoSuchPlan)),
        Some(plan) => match conn.row("SELECT quotas FROM plans WHERE name = $1 {lock present plans}", values![plan]).await? {
            Some(row) => Some(row.text(0)?.to_owned()),
            None => return Ok(Err(Unmade::NoSuchPlan)),
        },
    };
    let overrides = match patched(&before.overrides, &change.overrides) {
        Ok(overrides) => overrides,
        Err(invalid) => return Ok(Err(invalid.into())),
    };
    let quotas = effective(of_plan.as_deref(), &to_json(&overrides)?)?;
    Ok(Ok(Allotment { plan, overrides, quotas }))
}

async fn change_status(id: WorkspaceId, status: Status, now: Timestamp, mut conn: Conn<'_>) -> Result<Option<Workspace>, StoreError> {
    let Some(workspace) = lock(id, &mut conn).await? else { return Ok(None) };
    if workspace.status == Status::Deleting {
        return Ok(None);
    }
    if workspace.status == status {
        return Ok(Some(workspace));
    }
    conn.execute("UPDATE workspaces SET status = $2, status_since = $3 WHERE id = $1", values![id, code(status), now]).await?;
    Ok(Some(Workspace { status, status_since: now, ..workspace }))
}

/// None are set for a workspace that is not there.
pub(super) fn read_settings(row: &Row, column: usize) -> Result<WorkspaceSettings, StoreError> {
    match row.opt_text(column)? {
        None | Some("{}") => Ok(WorkspaceSettings::default()),
        Some(text) => WorkspaceSettings::stored(text).map_err(|error| StoreError::Corrupt(format!("settings: {error}"))),
    }
}

/// From two columns: overrides, and the plan's quotas. There are none for a workspace that is not there.
pub(super) fn read_quotas(row: &Row, first: usize) -> Result<Quotas, StoreError> {
    effective(row.opt_text(first + 1)?, row.opt_text(first)?.unwrap_or("{}"))
}

fn effective(plan: Option<&str>, overrides: &str) -> Result<Quotas, StoreError> {
    match (plan, overrides) {
        (None, "{}") => Ok(Quotas::default()),
        _ => Quotas::stored(plan, overrides).map_err(|error| StoreError::Corrupt(format!("quotas: {error}"))),
    }
}

const fn code(status: Status) -> i64 {
    match status {
        Status::Active => 0,
        Status::Archived => 1,
        Status::Deleting => 2,
    }
}

/// A workspace that is not there is in nobody's way.
pub(super) fn read_status(row: &Row, column: usize) -> Result<Status, StoreError> {
    match row.opt_int(column)? {
        None | Some(0) => Ok(Status::Active),
        Some(1) => Ok(Status::Archived),
        Some(2) => Ok(Status::Deleting),
        Some(other) => Err(StoreError::Corrupt(format!("a workspace's status {other}"))),
    }
}

fn read(row: &Row) -> Result<Workspace, StoreError> {
    let created_at = row.time(2)?;
    let overrides: Overrides = match row.text(7)? {
        "{}" => Overrides::new(),
        _ => row.parsed(7)?,
    };
    let plan: Option<Arc<str>> = row.opt_text(6)?.map(Into::into);
    Ok(Workspace {
        id: WorkspaceId(row.uuid(0)?),
        name: row.text(1)?.into(),
        created_at,
        settings: read_settings(row, 3)?.into(),
        status: read_status(row, 4)?,
        status_since: row.opt_time(5)?.unwrap_or(created_at),
        allotted: Arc::new(Allotment { plan, overrides, quotas: read_quotas(row, 7)? }),
    })
}
