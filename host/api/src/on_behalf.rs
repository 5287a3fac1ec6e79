//! What a connection learns of whom it serves, from the requests that come over it.

use std::sync::{Arc, Mutex, PoisonError};

use http::Extensions;
use sandmill_model::WorkspaceId;

/// The workspace of the last request that was let in. Whoever accepts connections puts one, the same for all requests of a connection,
/// among the extensions of each.
#[derive(Clone, Debug, Default)]
pub struct OnBehalf(Arc<Mutex<Option<WorkspaceId>>>);

impl OnBehalf {
    #[must_use]
    pub fn workspace(&self) -> Option<WorkspaceId> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn set(&self, workspace: WorkspaceId) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(workspace);
    }

    /// Only once the token was found to be good for it: nobody is counted as somebody else.
    pub(crate) fn note(extensions: &Extensions, workspace: WorkspaceId) {
        if let Some(this) = extensions.get::<Self>() {
            this.set(workspace);
        }
    }
}
