//! Kinds that HTTP requests start: whoever sends is told whether it was taken.

use futures_util::future::join_all;
use reqwest::Method;
use sandmill_testkit::server::Server;

/// Requests that are under way at once.
const AT_ONCE: usize = 16;

/// Posts each, and returns those that were not accepted: with the same key they can be sent again.
pub(crate) async fn post(server: &Server, path: &str, payloads: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut left = Vec::new();
    for some in payloads.chunks(AT_ONCE) {
        let answers = some.iter().map(|payload| async move {
            let request = server.request(Method::POST, path).header("idempotency-key", key(payload));
            // Whatever it is, it passes as it is.
            let request = request.header("content-type", "application/octet-stream").body(payload.clone());
            let is_taken = request.send().await.is_ok_and(|answer| answer.status().is_success());
            (!is_taken).then(|| payload.clone())
        });
        left.extend(join_all(answers).await.into_iter().flatten());
    }
    left
}

/// The same for the same payload.
fn key(payload: &[u8]) -> String {
    // FNV-1a: it only has to tell payloads of one test apart.
    let hash = payload.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{hash:x}-{}", payload.len())
}
