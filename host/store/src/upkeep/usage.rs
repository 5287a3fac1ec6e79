//! What workspaces keep is measured now and then: from it bills are made.

use tokio_util::sync::CancellationToken;

use super::{Instant, PAUSE_MAX, SIGN, Service};
use crate::{
    StoreError,
    workspaces::{Status, Workspace},
};

impl Service {
    pub(super) async fn sample(&self, workspaces: &[Workspace], shutdown: &CancellationToken) -> Result<(), StoreError> {
        let mut signed = Instant::now();
        for workspace in workspaces.iter().filter(|workspace| workspace.status != Status::Deleting) {
            let began = Instant::now();
            if began.duration_since(signed) >= SIGN {
                if !self.hold().await? {
                    return Ok(());
                }
                signed = began;
            }
            if self.store.usage.sample(workspace.id, self.clock.now()).await? {
                tokio::select! {
                    () = tokio::time::sleep(began.elapsed().min(PAUSE_MAX)) => {}
                    () = shutdown.cancelled() => return Ok(()),
                }
            }
        }
        Ok(())
    }
}
