//! Upkeep of the audit log: what was begun and never ended gets its entry, old entries are let go, and heads are told to the log of the
//! server, so that whoever keeps that notices when a chain is cut off.

use std::{collections::HashMap, sync::PoisonError};

use sandmill_model::WorkspaceId;
use tokio_util::sync::CancellationToken;

use super::{Duration, Instant, PAUSE_MAX, PAUSE_MIN, Service, before, days_before};
use crate::{StoreError, audit::Chain, workspaces::Workspace};

/// Longer than any request takes: what was begun before has lost its server or its caller.
const ENDS_WITHIN: Duration = Duration::from_secs(900);
/// Steps of one chain in one look; what is left is for the next.
const STEPS_MAX: usize = 1_000;

/// Numbers of the heads that were told last.
pub(super) type Told = HashMap<Option<WorkspaceId>, u64>;

impl Service {
    pub(super) async fn keep_audit(&self, workspaces: &[Workspace], shutdown: &CancellationToken) -> Result<(), StoreError> {
        let now = self.clock.now();
        let mut closed = 0;
        for _ in 0..STEPS_MAX {
            let step = self.store.audit.close(before(now, ENDS_WITHIN), now).await?;
            closed += step;
            if step == 0 || shutdown.is_cancelled() {
                break;
            }
        }
        if closed > 0 {
            tracing::warn!(closed, "changes were begun of which the end is not known; the audit log has them as `unknown`");
        }
        let installation = (None, "", None);
        let chains = workspaces.iter().map(|each| (Some(each.id), &*each.name, each.settings.audit_days));
        for (chain, name, days) in chains.chain([installation]) {
            let days = days.unwrap_or(self.options.audit_days);
            if days > 0 && !self.forget_entries(chain, days, shutdown).await? {
                return Ok(());
            }
            self.tell_head(chain, name).await?;
        }
        Ok(())
    }

    /// False if there is no going on.
    async fn forget_entries(&self, chain: Chain, days: u32, shutdown: &CancellationToken) -> Result<bool, StoreError> {
        let recorded_before = days_before(self.clock.now(), days);
        for _ in 0..STEPS_MAX {
            let began = Instant::now();
            if self.store.audit.forget(chain, recorded_before).await? == 0 {
                break;
            }
            tokio::select! {
                () = tokio::time::sleep(began.elapsed().clamp(PAUSE_MIN, PAUSE_MAX)) => {}
                () = shutdown.cancelled() => return Ok(false),
            }
        }
        Ok(true)
    }

    async fn tell_head(&self, chain: Chain, name: &str) -> Result<(), StoreError> {
        let head = self.store.audit.ends(chain).await?.head;
        let before = self.told.lock().unwrap_or_else(PoisonError::into_inner).insert(chain, head.number);
        if head.number > 0 && before != Some(head.number) {
            tracing::info!(workspace = name, %head, "the head of the audit log");
        }
        Ok(())
    }
}
