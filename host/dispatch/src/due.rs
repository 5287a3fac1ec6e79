//! What time does: delayed runs become ready, dedup keys are forgotten.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use crate::Inner;

/// How often delayed runs are looked for without anybody having said so: another node may have delayed them.
const NET: Duration = Duration::from_secs(1);
/// How long to wait after a failure.
const RETRY_DELAY: Duration = Duration::from_millis(500);
/// How often dedup keys are looked through.
const FORGET_INTERVAL: Duration = Duration::from_secs(10);

impl Inner {
    /// Wakes what is due until `stop`.
    pub(crate) async fn watch_the_clock(self: Arc<Self>, stop: CancellationToken) {
        let mut forgotten_at = self.clock.now();
        while !stop.is_cancelled() {
            let now = self.clock.now();
            let pause = match self.store.queue.wake_due(now).await {
                Ok(woken) => {
                    if woken.runs > 0 {
                        self.look_for_ready();
                        self.tell_ready();
                    }
                    woken.next.map_or(NET, |next| next.since(now).min(NET))
                }
                Err(error) => {
                    tracing::error!(%error, "delayed runs could not be woken; trying again");
                    RETRY_DELAY
                }
            };
            if now.since(forgotten_at) >= FORGET_INTERVAL {
                forgotten_at = now;
                self.forget_dedup_keys().await;
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.delayed.notified() => {}
                () = stop.cancelled() => {}
            }
        }
    }

    async fn forget_dedup_keys(&self) {
        loop {
            match self.store.queue.forget_dedup_keys(self.clock.now()).await {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) => {
                    tracing::error!(%error, "old dedup keys could not be forgotten");
                    return;
                }
            }
        }
    }
}
