//! Bodies with secrets: of what is wrong with one nothing is repeated.

use std::sync::Arc;

use axum::extract::{FromRequest, Request};
use sandmill_model::Code;
use serde::de::DeserializeOwned;

use super::body;
use crate::{app::App, problem::Problem};

/// Bytes of such a body: a value or a text of 64 KiB, each character of which may be written with six.
const BYTES_MAX: usize = 512 * 1024;

/// A JSON body of a known shape, which no log and no problem shows.
pub(crate) struct SecretBody<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Arc<App>> for SecretBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Problem> {
        let (parts, content) = request.into_parts();
        if !matches!(body::media_type(&parts.headers).as_str(), "" | "application/json") {
            return Err(Problem::new(Code::UnsupportedMediaType, "send `application/json`"));
        }
        parse(&body::read(app, &parts, content, BYTES_MAX).await?).map(Self)
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let text = std::str::from_utf8(body).map_err(|_| Problem::new(Code::InvalidJson, "the body is not UTF-8"))?;
    serde_json::from_str(text).map_err(|error| {
        // The parser's own words may repeat a value.
        let place = format!("line {} column {}", error.line(), error.column());
        if error.is_data() {
            Problem::new(Code::BadRequest, format!("the body does not have the right members, or one is of the wrong type: see {place}"))
        } else {
            Problem::new(Code::InvalidJson, format!("the body is not JSON: see {place}"))
        }
    })
}
