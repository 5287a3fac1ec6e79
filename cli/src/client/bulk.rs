//! Steering many runs: page by page, each of which can be asked for again.

use reqwest::Method;
use sandmill_model::random;
use serde_json::Value;

use super::{BulkReceipt, Server, events::PAUSE};
use crate::error::CliError;

/// How often one page is asked for: an answer that was lost is had again by its key.
const TRIES: u32 = 3;

impl Server {
    /// Asks until all are done; each answer tells where the next goes on. `each` hears of what came of all so far, also where the next page
    /// then fails.
    pub(crate) async fn steer_many(&self, rest: &str, mut body: Value, mut each: impl FnMut(BulkReceipt)) -> Result<(), CliError> {
        loop {
            let receipt = self.steer_page(rest, &body).await?;
            let next = receipt.next.clone();
            each(receipt);
            match next {
                Some(next) => body["cursor"] = next.into(),
                None => return Ok(()),
            }
        }
    }

    async fn steer_page(&self, rest: &str, body: &Value) -> Result<BulkReceipt, CliError> {
        let key = u128::from_be_bytes(random::bytes());
        for _ in 1..TRIES {
            match self.read(self.request(Method::POST, rest).header("idempotency-key", format!("{key:032x}")).json(body)).await {
                Err(error) if error.is_passing() => tokio::time::sleep(PAUSE).await,
                receipt => return receipt,
            }
        }
        self.read(self.request(Method::POST, rest).header("idempotency-key", format!("{key:032x}")).json(body)).await
    }
}
