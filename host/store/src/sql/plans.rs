//! Plans. Whoever gives a workspace a plan keeps that plan's row from being deleted meanwhile.

use std::sync::Arc;

use sandmill_model::{BoxFuture, Quotas};

use super::{
    Sql,
    dialect::Conn,
    value::{Row, to_json, values},
};
use crate::{
    StoreError,
    plans::{PLANS_MAX, Plan, PlanDeleted, Plans},
};

/// What [`read`] reads; conditions come after it.
macro_rules! select_plan {
    () => {
        "SELECT name, quotas, description, updated_at, updated_by FROM plans "
    };
}

impl Plans for Sql {
    fn put(&self, plan: Plan) -> BoxFuture<'_, Result<bool, StoreError>> {
        Box::pin(self.db.write(plan, |plan, conn| Box::pin(put(plan, conn))))
    }

    fn find<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Plan>, StoreError>> {
        let name: Arc<str> = name.into();
        Box::pin(self.db.read(name, |name, mut conn| {
            Box::pin(async move {
                if name.contains('\0') {
                    return Ok(None);
                }
                conn.row(concat!(select_plan!(), "WHERE name = $1"), values![name]).await?.as_ref().map(read).transpose()
            })
        }))
    }

    fn page<'a>(&'a self, after: Option<&'a str>, limit: u32) -> BoxFuture<'a, Result<Vec<Plan>, StoreError>> {
        Box::pin(self.db.read((after.unwrap_or_default().to_owned(), limit), |(after, limit), mut conn| {
            Box::pin(async move {
                if after.contains('\0') {
                    return Ok(Vec::new());
                }
                let rows =
                    conn.rows(concat!(select_plan!(), "WHERE name > $1 ORDER BY name LIMIT $2"), values![after.as_str(), *limit]).await?;
                rows.iter().map(read).collect()
            })
        }))
    }

    fn delete<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<PlanDeleted, StoreError>> {
        let name: Arc<str> = name.into();
        Box::pin(self.db.write(name, |name, conn| Box::pin(delete(name, conn))))
    }
}

async fn put(plan: &Plan, mut conn: Conn<'_>) -> Result<bool, StoreError> {
    let others = conn.row("SELECT COUNT(*) FROM plans WHERE name <> $1", values![&plan.name]).await?.map_or(Ok(0), |row| row.int(0))?;
    if others >= i64::from(PLANS_MAX) {
        return Ok(false);
    }
    conn.execute(
        "INSERT INTO plans (name, quotas, description, updated_at, updated_by) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (name) DO UPDATE SET quotas = excluded.quotas, description = excluded.description,
             updated_at = excluded.updated_at, updated_by = excluded.updated_by",
        values![&plan.name, to_json(&plan.quotas)?, plan.description.as_str(), plan.updated_at, &plan.updated_by],
    )
    .await?;
    Ok(true)
}

async fn delete(name: &Arc<str>, mut conn: Conn<'_>) -> Result<PlanDeleted, StoreError> {
    if name.contains('\0') || conn.row("SELECT 1 FROM plans WHERE name = $1 {lock plans}", values![name]).await?.is_none() {
        return Ok(PlanDeleted::Absent);
    }
    if conn.row("SELECT 1 FROM workspaces WHERE plan = $1 LIMIT 1", values![name]).await?.is_some() {
        return Ok(PlanDeleted::InUse);
    }
    conn.execute("DELETE FROM plans WHERE name = $1", values![name]).await?;
    Ok(PlanDeleted::Yes)
}

fn read(row: &Row) -> Result<Plan, StoreError> {
    let quotas = Quotas::stored(Some(row.text(1)?), "{}").map_err(|error| StoreError::Corrupt(format!("a plan's quotas: {error}")))?;
    Ok(Plan {
        name: row.text(0)?.into(),
        quotas,
        description: row.text(2)?.to_owned(),
        updated_at: row.time(3)?,
        updated_by: row.text(4)?.into(),
    })
}
