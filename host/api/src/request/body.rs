//! Bodies: whole, within a limit, and in time.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    body::Body,
    extract::{FromRequest, Request},
};
use bytes::Bytes;
use http::{HeaderMap, header, request::Parts};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use sandmill_model::Code;
use serde::de::DeserializeOwned;

use crate::{app::App, problem::Problem};

/// How long a body may take to arrive: whoever sends slower only holds memory.
const ARRIVAL_MAX: Duration = Duration::from_secs(120);
/// A body that takes longer is late.
const LATE: Duration = Duration::from_millis(500);

/// Reads a request's body. Whoever sent it is looked up once more if it was long on its way: a token may have been revoked since its head
/// came.
pub(crate) async fn read(app: &App, parts: &Parts, body: Body, bytes_max: usize) -> Result<Bytes, Problem> {
    let began = Instant::now();
    let bytes = arrived(&parts.headers, body, bytes_max).await?;
    if began.elapsed() >= LATE {
        app.still_valid(parts).await?;
    }
    Ok(bytes)
}

fn too_large(bytes_max: usize) -> Problem {
    Problem::new(Code::PayloadTooLarge, format!("the body has more than {bytes_max} bytes"))
}

/// # Errors
/// If the request says that its body has more bytes: then nothing of it is read.
pub(crate) fn announced(headers: &HeaderMap, bytes_max: usize) -> Result<(), Problem> {
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > bytes_max as u64) { Err(too_large(bytes_max)) } else { Ok(()) }
}

async fn arrived(headers: &HeaderMap, body: Body, bytes_max: usize) -> Result<Bytes, Problem> {
    announced(headers, bytes_max)?;
    match tokio::time::timeout(ARRIVAL_MAX, Limited::new(body, bytes_max).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large(bytes_max)),
        Ok(Err(error)) => Err(Problem::new(Code::BadRequest, format!("the body did not arrive whole: {error}"))),
        Err(_) => Err(Problem::new(Code::BadRequest, format!("the body did not arrive within {} s", ARRIVAL_MAX.as_secs()))),
    }
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
