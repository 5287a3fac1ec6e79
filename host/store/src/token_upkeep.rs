//! Upkeep of tokens: when they were used is written down beside requests, and those that expired long ago are let go.

use std::{sync::Arc, time::Duration};

use sandmill_model::{Clock, Timestamp};
use tokio_util::sync::CancellationToken;

use crate::{Store, StoreError};

/// How often uses are written down.
pub const INTERVAL: Duration = Duration::from_secs(10);
/// How long a token that expired is listed, so that people see why it works no more.
pub const EXPIRED_KEPT: Duration = Duration::from_secs(30 * 24 * 3600);
/// Steps in which expired tokens are forgotten at one time; what is left waits for the next.
const STEPS_MAX: usize = 10;

pub struct Service {
    store: Store,
    clock: Arc<dyn Clock>,
}

impl Service {
    #[must_use]
    pub fn new(store: Store, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock }
    }

    /// Works until `shutdown`, and writes down what was noted until then.
    pub async fn run(self, shutdown: CancellationToken) {
        loop {
            let stops = tokio::select! {
                () = tokio::time::sleep(INTERVAL) => false,
                () = shutdown.cancelled() => true,
            };
            if let Err(error) = self.look().await {
                tracing::warn!(%error, "when tokens were used is not written down; later uses will be");
            }
            if stops {
                return;
            }
        }
    }

    /// Does what there is to do now.
    ///
    /// # Errors
    /// What the database said.
    pub async fn look(&self) -> Result<(), StoreError> {
        self.store.tokens.write_uses().await?;
        let kept_us = i64::try_from(EXPIRED_KEPT.as_micros()).unwrap_or(i64::MAX);
        let before = Timestamp::from_micros(self.clock.now().micros().saturating_sub(kept_us));
        for _ in 0..STEPS_MAX {
            if self.store.tokens.forget_expired(before).await? == 0 {
                break;
            }
        }
        Ok(())
    }
}
