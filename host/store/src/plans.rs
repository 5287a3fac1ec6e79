//! Plans: named sets of quotas. A change of one is seen by all workspaces that have it, within a second.

use std::sync::Arc;

use sandmill_model::{BoxFuture, Quotas, Timestamp};

use crate::StoreError;

/// Plans of one installation.
pub const PLANS_MAX: u32 = 1_000;
/// Characters of a plan's description.
pub const DESCRIPTION_CHARS_MAX: usize = 1_000;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// As [`sandmill_model::quota::is_name`] asks for.
    pub name: Arc<str>,
    pub quotas: Quotas,
    pub description: String,
    pub updated_at: Timestamp,
    pub updated_by: Arc<str>,
}

/// What came of a request to delete a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlanDeleted {
    Yes,
    /// There is none of that name.
    Absent,
    /// A workspace has it.
    InUse,
}

pub trait Plans: Send + Sync + 'static {
    /// Puts a plan in the place of what is there; false if there are [`PLANS_MAX`] others.
    fn put(&self, plan: Plan) -> BoxFuture<'_, Result<bool, StoreError>>;

    fn find<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Plan>, StoreError>>;

    /// In the order of their names, after `after`, at most `limit`.
    fn page<'a>(&'a self, after: Option<&'a str>, limit: u32) -> BoxFuture<'a, Result<Vec<Plan>, StoreError>>;

    /// Deletes a plan that no workspace has.
    fn delete<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<PlanDeleted, StoreError>>;
}
