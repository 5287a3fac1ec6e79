//! Who listens: takes seats, holds their listeners, starts them anew. It has no input but what is stored: poked by a signal and by a timer it
//! compares the seats that it has with the listeners that run, and converges.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::Inner;

/// One for each process.
pub struct Supervisor {
    #[expect(dead_code, reason = "it will listen with it")]
    inner: Arc<Inner>,
}

impl Supervisor {
    pub(super) fn new(inner: Arc<Inner>) -> Self {
        Self { inner }
    }

    /// Listens until `stop`; then gives its seats back, once every listener has ended or its time is over.
    pub async fn run(self, _stop: CancellationToken) {
        todo!("package D")
    }
}
