//! What takes requests, compiled: for each workspace a table by kind, looked up without a query.

use std::sync::Arc;

use http::Method;
use sandmill_model::{ScriptPath, WorkspaceId, code::Refusal};

use super::{Armed, Routed};
use crate::Inner;

#[derive(Default)]
pub(crate) struct Book {}

impl Book {
    pub(super) async fn route(&self, _inner: &Inner, _of: WorkspaceId, _kind: &str, _request: (&Method, &str)) -> Result<Routed, Refusal> {
        todo!("package H")
    }

    pub(super) async fn of_script(
        &self,
        _inner: &Inner,
        _of: WorkspaceId,
        _kind: &str,
        _script: &ScriptPath,
    ) -> Result<Option<Arc<Armed>>, Refusal> {
        todo!("package H")
    }

    /// What was compiled of these workspaces is not believed any more.
    pub(super) fn outdate(&self, _workspaces: &[WorkspaceId]) {}
}
