//! Answers that may be larger than memory, piece by piece.

use reqwest::RequestBuilder;

use super::{
    Server,
    events::{SILENCE_MAX, STREAM_MAX},
};
use crate::error::CliError;

impl Server {
    /// Hands over what comes. An answer that breaks off is an error, after what came.
    pub(crate) async fn stream(&self, request: RequestBuilder, mut each: impl FnMut(&[u8])) -> Result<(), CliError> {
        let mut response = self.send(request.timeout(STREAM_MAX)).await?;
        loop {
            match tokio::time::timeout(SILENCE_MAX, response.chunk()).await {
                Ok(Ok(Some(bytes))) => each(&bytes),
                Ok(Ok(None)) => return Ok(()),
                Ok(Err(_)) => return Err(CliError::Unreachable("the answer broke off: this is not all of it".to_owned())),
                Err(_) => return Err(CliError::Unreachable("the server sends no more: this is not all of it".to_owned())),
            }
        }
    }
}
