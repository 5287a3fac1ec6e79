//! Sends what is pushed, and shows how far that is to whoever waits.

use std::{
    convert::Infallible,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::stream;
use reqwest::{Body, RequestBuilder, header};

use crate::{
    Session,
    client::Server,
    error::CliError,
    render::{self, Upload},
};

/// What is handed to the connection at once.
const PIECE_BYTES: usize = 64 * 1024;
/// Between two looks at how far it is.
const TICK: Duration = Duration::from_millis(100);

/// A body on its way, and what people call it.
pub(super) struct Parcel {
    pub(super) request: RequestBuilder,
    pub(super) name: String,
    pub(super) body: Vec<u8>,
}

/// The server's answer.
pub(super) async fn send(server: &Server, parcel: Parcel, session: &mut Session<'_>) -> Result<Vec<u8>, CliError> {
    let Parcel { request, name, body } = parcel;
    let (sent, total_bytes) = (Arc::new(AtomicU64::new(0)), body.len() as u64);
    // A stream has no length of its own; with this header it is sent with one, and the server can refuse it before it is sent.
    let request = request.header(header::CONTENT_LENGTH, total_bytes).body(counted(body, Arc::clone(&sent)));
    let began = Instant::now();
    let mut whole_since = None;
    let mut answer = pin!(server.bytes(request));
    let mut ticks = tokio::time::interval(TICK);
    loop {
        tokio::select! {
            answer = &mut answer => {
                session.console.status_ends();
                return answer;
            }
            _ = ticks.tick() => {
                let sent_bytes = sent.load(Ordering::Relaxed);
                if sent_bytes >= total_bytes && whole_since.is_none() {
                    whole_since = Some(Instant::now());
                }
                let compiling = whole_since.map(|since| since.elapsed());
                let upload = Upload { name: &name, sent_bytes, total_bytes, elapsed: began.elapsed(), compiling };
                if let Some(line) = render::upload(&upload) {
                    session.console.status(&line);
                }
            }
        }
    }
}

/// The bytes in pieces, each of which counts as sent when the connection takes it.
fn counted(bytes: Vec<u8>, sent: Arc<AtomicU64>) -> Body {
    let bytes = bytes::Bytes::from(bytes);
    let total = bytes.len();
    let pieces = (0..total).step_by(PIECE_BYTES).map(move |from| {
        let to = total.min(from + PIECE_BYTES);
        sent.store(to as u64, Ordering::Relaxed);
        Ok::<_, Infallible>(bytes.slice(from..to))
    });
    Body::wrap_stream(stream::iter(pieces))
}
