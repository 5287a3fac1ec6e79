//! Bodies: whole, within a limit, and in time; while they are under way, within what there is for all.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    body::{Body, HttpBody as _},
    extract::{FromRequest, Request},
};
use bytes::Bytes;
use http::{HeaderMap, header, request::Parts};
use http_body_util::BodyExt as _;
use sandmill_model::Code;
use serde::de::DeserializeOwned;

use super::room::{self, Bodies, LOGIN_BYTES_MAX, PIECE_BYTES, Room, Whose};
use crate::{app::App, problem::Problem};

/// How long a body may take to arrive: whoever sends slower only holds memory.
const ARRIVAL_MAX: Duration = Duration::from_secs(120);
/// A body that takes longer is late.
const LATE: Duration = Duration::from_millis(500);

/// Reads a request's body. Whoever sent it is looked up once more if it was long on its way: a token may have been revoked since its head
/// came.
pub(crate) async fn read(app: &App, parts: &Parts, body: Body, bytes_max: usize) -> Result<Bytes, Problem> {
    read_held(app, parts, body, bytes_max).await.map(|(bytes, _)| bytes)
}

/// The same, with the room that it has: for who keeps it longer than it takes to read it.
pub(crate) async fn read_held(app: &App, parts: &Parts, body: Body, bytes_max: usize) -> Result<(Bytes, Room), Problem> {
    read_of(app, parts, body, bytes_max, Whose::of(parts)).await
}

/// The same of somebody who is known already.
pub(crate) async fn read_of(app: &App, parts: &Parts, body: Body, bytes_max: usize, whose: Whose) -> Result<(Bytes, Room), Problem> {
    let bytes_max = if room::is_login(parts) { bytes_max.min(LOGIN_BYTES_MAX) } else { bytes_max };
    announced(&parts.headers, bytes_max)?;
    let began = Instant::now();
    let length = Length { announced: length(&parts.headers), bytes_max };
    let held = arrived(&app.bodies, whose, body, length).await?;
    if began.elapsed() >= LATE {
        app.still_valid(parts).await?;
    }
    Ok(held)
}

fn too_large(bytes_max: usize) -> Problem {
    Problem::new(Code::PayloadTooLarge, format!("the body has more than {bytes_max} bytes"))
}

/// # Errors
/// If the request says that its body has more bytes: then nothing of it is read.
pub(crate) fn announced(headers: &HeaderMap, bytes_max: usize) -> Result<(), Problem> {
    if length(headers).is_some_and(|length| length > bytes_max as u64) { Err(too_large(bytes_max)) } else { Ok(()) }
}

fn length(headers: &HeaderMap) -> Option<u64> {
    // With a transfer encoding, a length says nothing.
    if headers.contains_key(header::TRANSFER_ENCODING) {
        return None;
    }
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// How many bytes there are.
#[derive(Clone, Copy)]
struct Length {
    /// None: whoever sends them does not say.
    announced: Option<u64>,
    bytes_max: usize,
}

async fn arrived(bodies: &Bodies, whose: Whose, body: Body, length: Length) -> Result<(Bytes, Room), Problem> {
    match tokio::time::timeout(ARRIVAL_MAX, whole(bodies, whose, body, length)).await {
        Ok(whole) => whole,
        Err(_) => Err(Problem::new(Code::BadRequest, format!("the body did not arrive within {} s", ARRIVAL_MAX.as_secs()))),
    }
}

/// What comes at once, as most bodies do, is taken as it is and costs nothing. Else there is one copy: kept as they come, many small pieces
/// would take many times the memory of what is in them.
async fn whole(bodies: &Bodies, whose: Whose, mut body: Body, length: Length) -> Result<(Bytes, Room), Problem> {
    let Length { announced, bytes_max } = length;
    let mut room = Room::default();
    let (mut first, mut copied) = (Bytes::new(), Vec::new());
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Problem::new(Code::BadRequest, format!("the body did not arrive whole: {error}")))?;
        // Nobody looks at trailers.
        let Ok(data) = frame.into_data() else { continue };
        let bytes = first.len() + copied.len() + data.len();
        if bytes > bytes_max {
            return Err(too_large(bytes_max));
        }
        // Not every body tells that it is at its end before it is asked for more.
        let is_whole = body.is_end_stream() || announced == Some(bytes as u64);
        if bytes > PIECE_BYTES || !is_whole {
            room.hold(bodies, whose, bytes).await?;
        }
        if first.is_empty() && copied.is_empty() {
            first = data;
        } else {
            copied.extend_from_slice(&first);
            copied.extend_from_slice(&data);
            first = Bytes::new();
        }
        // Nobody waits for the end of what is all there: who sends all of it and no end would have memory without room. More than was
        // announced never comes: with a length, HTTP/1 ends there, and of HTTP/2 it is an error of the stream.
        if is_whole {
            break;
        }
    }
    Ok((if copied.is_empty() { first } else { Bytes::from(copied) }, room))
}

/// Media type without parameters, lower-case; empty if there is none.
pub(crate) fn media_type(headers: &HeaderMap) -> String {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// A JSON body of a known shape.
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Arc<App>> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let media_type = media_type(&parts.headers);
        if !matches!(media_type.as_str(), "" | "application/json") {
            return Err(Problem::new(Code::UnsupportedMediaType, "send `application/json`"));
        }
        parse(&read(app, &parts, body, app.options.body_bytes_max).await?).map(Self)
    }
}

/// The same, or nothing at all, or null: then everything is as if left out.
pub(crate) struct OptionalJson<T>(pub(crate) T);

impl<T: DeserializeOwned + Default> FromRequest<Arc<App>> for OptionalJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let body = read(app, &parts, body, app.options.body_bytes_max).await?;
        if body.is_empty() {
            return Ok(Self(T::default()));
        }
        let request = Request::from_parts(parts, Body::from(body));
        JsonBody::<Option<T>>::from_request(request, app).await.map(|JsonBody(value)| Self(value.unwrap_or_default()))
    }
}

pub(crate) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let text = std::str::from_utf8(body).map_err(|_| Problem::new(Code::InvalidJson, "the body is not UTF-8"))?;
    serde_json::from_str(text).map_err(|error| {
        let code = if error.is_data() { Code::BadRequest } else { Code::InvalidJson };
        Problem::new(code, format!("the body: {error}"))
    })
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, future::poll_fn, task::Poll};

    use futures_util::{FutureExt as _, StreamExt as _, stream};
    use http::HeaderValue;
    use sandmill_model::{Timestamp, WorkspaceId};

    use super::*;
    use crate::request::room::BodyRoom;

    fn bodies() -> Bodies {
        Bodies::new(BodyRoom { bytes: 4 * PIECE_BYTES, share_bytes: 2 * PIECE_BYTES, wait: Duration::from_millis(1) }, 0, 0)
    }

    fn at_most(bytes_max: usize) -> Length {
        Length { announced: None, bytes_max }
    }

    fn streamed(parts: &[&'static [u8]]) -> Body {
        let parts: Vec<Result<Bytes, Infallible>> = parts.iter().map(|part| Ok(Bytes::from_static(part))).collect();
        Body::from_stream(stream::iter(parts))
    }

    #[tokio::test]
    async fn a_body_is_put_together() {
        let (bodies, whose) = (bodies(), Whose::Workspace(WorkspaceId::new(Timestamp::from_micros(0))));
        let cases: [(&[&'static [u8]], &[u8]); 4] =
            [(&[], b""), (&[b"abc"], b"abc"), (&[b"abc", b"", b"d", b"ef"], b"abcdef"), (&[b"", b"abc", b"def"], b"abcdef")];
        for (parts, expected) in cases {
            let (bytes, _) = whole(&bodies, whose, streamed(parts), at_most(6)).await.unwrap();
            assert_eq!(&*bytes, expected);
        }
        let refused = whole(&bodies, whose, streamed(&[b"abc", b"defg"]), at_most(6)).await.unwrap_err();
        assert_eq!(refused.code(), Code::PayloadTooLarge);
    }

    #[tokio::test]
    async fn nobody_waits_for_the_end_of_what_is_all_there() {
        let (bodies, whose) = (bodies(), Whose::Workspace(WorkspaceId::new(Timestamp::from_micros(0))));
        for (announced, is_whole) in [(Some(3), true), (Some(4), false), (None, false)] {
            let pieces = [b"a".as_slice(), b"bc"].map(|piece| Ok::<_, Infallible>(Bytes::from_static(piece)));
            let body = Body::from_stream(stream::iter(pieces).chain(stream::pending()));
            let read = whole(&bodies, whose, body, Length { announced, bytes_max: 100 }).now_or_never();
            assert_eq!(read.map(|read| read.unwrap().0), is_whole.then(|| Bytes::from_static(b"abc")), "{announced:?}");
        }
    }

    #[test]
    fn a_length_beside_a_transfer_encoding_says_nothing() {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("3"));
        assert_eq!(length(&headers), Some(3));
        headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        assert_eq!(length(&headers), None);
    }

    #[tokio::test]
    async fn what_comes_at_once_takes_no_room_and_what_is_under_way_does() {
        let (bodies, whose) = (bodies(), Whose::Workspace(WorkspaceId::new(Timestamp::from_micros(0))));
        let (_, room) = whole(&bodies, whose, Body::from("abc"), at_most(100)).await.unwrap();
        assert!(room.is_empty());
        // One that is handed on piece by piece does not tell that it is whole; its length does.
        for (announced, expected) in [(Some(3), true), (Some(4), false), (None, false)] {
            let (_, room) = whole(&bodies, whose, streamed(&[b"abc"]), Length { announced, bytes_max: 100 }).await.unwrap();
            assert_eq!(room.is_empty(), expected, "{announced:?}");
        }
        let (_, room) = whole(&bodies, whose, Body::from(vec![0_u8; PIECE_BYTES + 1]), at_most(2 * PIECE_BYTES)).await.unwrap();
        assert!(!room.is_empty());
        let refused = whole(&bodies, whose, streamed(&[b"a", b"b"]), at_most(100)).await.unwrap_err();
        assert_eq!(refused.code(), Code::TooManyRequests, "both pieces are taken");
        drop(room);
        // One that stops in its middle has room as long as somebody waits for the rest.
        let slow = || {
            let mut parts = vec![Ok::<_, Infallible>(Bytes::from_static(b"a"))];
            Body::from_stream(stream::poll_fn(move |_| parts.pop().map_or(Poll::Pending, |part| Poll::Ready(Some(part)))))
        };
        let mut waiting = [Box::pin(whole(&bodies, whose, slow(), at_most(100))), Box::pin(whole(&bodies, whose, slow(), at_most(100)))];
        for whole in &mut waiting {
            poll_fn(|context| {
                assert!(whole.as_mut().poll(context).is_pending());
                Poll::Ready(())
            })
            .await;
        }
        assert!(whole(&bodies, whose, slow(), at_most(100)).await.is_err());
        drop(waiting);
        assert!(whole(&bodies, whose, streamed(&[b"a", b"b"]), at_most(100)).await.is_ok());
    }
}
