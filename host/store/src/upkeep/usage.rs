//! What workspaces keep is measured now and then: from it bills are made.

use sandmill_model::WorkspaceId;
use tokio_util::sync::CancellationToken;

use super::{Instant, PAUSE_MAX, SIGN, Service};
use crate::{
    StoreError,
    usage::day_of,
    workspaces::{Status, Workspace},
};

/// Signs that a node gives while it lists the objects of one workspace: ten minutes.
const LISTING_SIGNS_MAX: u32 = 60;

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
            let now = self.clock.now();
            if self.store.usage.sample(workspace.id, now).await? {
                self.sample_objects(workspace.id, day_of(now), shutdown).await?;
                tokio::select! {
                    () = tokio::time::sleep(began.elapsed().min(PAUSE_MAX)) => {}
                    () = shutdown.cancelled() => return Ok(()),
                }
            }
        }
        Ok(())
    }
    /// Lists the objects of a workspace, for as long as this is the node's own work. What cannot be listed in time is not known of this hour.
    async fn sample_objects(&self, workspace: WorkspaceId, day: i64, shutdown: &CancellationToken) -> Result<(), StoreError> {
        let Some(objects) = &self.objects else { return Ok(()) };
        let mut listing = objects.bytes(workspace);
        for _ in 0..LISTING_SIGNS_MAX {
            tokio::select! {
                listed = &mut listing => return match listed {
                    Ok(bytes) => self.store.usage.sample_objects(workspace, day, bytes).await,
                    Err(why) => {
                        tracing::warn!(%workspace, why, "the objects of a workspace could not be measured");
                        Ok(())
                    }
                },
                () = tokio::time::sleep(SIGN) => {}
                () = shutdown.cancelled() => return Ok(()),
            }
            if !self.hold().await? {
                return Ok(());
            }
        }
        tracing::warn!(%workspace, "the objects of a workspace are too many to be measured");
        Ok(())
    }
}
