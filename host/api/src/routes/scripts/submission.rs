//! What is handed in for deployment: source as JSON, or the bytes of a component with its manifest beside it.

use std::sync::Arc;

use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use http::{HeaderMap, Uri};
use sandmill_model::{Code, JsonText, Language, Manifest};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{
    app::App,
    problem::Problem,
    request::{body, headers::MANIFEST, room::Room},
};

/// Bytes of a file's name.
const FILE_NAME_BYTES_MAX: usize = 255;

/// The source of a script.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SourceSubmission {
    /// `typescript` or `javascript`; may be left out if `file_name` tells.
    language: Option<String>,
    source: String,
    #[schema(value_type = Option<Object>)]
    manifest: Option<JsonText>,
    /// Shown in diagnostics and stack traces; the last segment of the path with the language's extension if it is left out.
    file_name: Option<String>,
}

/// What a component is uploaded with.
#[derive(Default, Deserialize)]
struct ComponentQuery {
    manifest: Option<String>,
    file_name: Option<String>,
}

pub(crate) struct Submission {
    pub(super) language: Language,
    pub(super) source: Bytes,
    /// The same as text, if it is text.
    pub(super) text: Option<String>,
    pub(super) manifest: Manifest,
    pub(super) file_name: Option<String>,
    /// Of the body, which is in memory until it is built and kept.
    pub(super) room: Room,
}

impl FromRequest<Arc<App>> for Submission {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let options = &app.options;
        match body::media_type(&parts.headers).as_str() {
            "application/wasm" => {
                let (body, room) = body::read_held(app, &parts, body, options.component_bytes_max).await?;
                of_component(&parts.headers, &parts.uri, body, room)
            }
            "" | "application/json" => {
                let (body, room) = body::read_held(app, &parts, body, options.body_bytes_max).await?;
                of_source(body::parse(&body)?, room)
            }
            _ => Err(Problem::new(
                Code::UnsupportedMediaType,
                "send source as `application/json` ({language, source, manifest}), or a component as `application/wasm`",
            )),
        }
    }
}

fn of_component(headers: &HeaderMap, uri: &Uri, source: Bytes, room: Room) -> Result<Submission, Problem> {
    let query = axum::extract::Query::<ComponentQuery>::try_from_uri(uri);
    let query = query.map_err(|_| Problem::new(Code::BadRequest, "the query has a value of the wrong form"))?.0;
    let header = headers.get(MANIFEST).map(|value| std::str::from_utf8(value.as_bytes())).transpose();
    let header = header.map_err(|_| Problem::new(Code::InvalidManifest, format!("the header `{MANIFEST}` is not UTF-8")))?;
    Ok(Submission {
        language: Language::Component,
        source,
        text: None,
        manifest: manifest(header.or(query.manifest.as_deref()))?,
        file_name: query.file_name.map(checked_name).transpose()?,
        room,
    })
}

fn of_source(submission: SourceSubmission, room: Room) -> Result<Submission, Problem> {
    let file_name = submission.file_name.map(checked_name).transpose()?;
    let language = match (&submission.language, &file_name) {
        (Some(name), _) => Language::from_name(name),
        (None, Some(file)) => Language::of_file(file.as_ref()),
        (None, None) => None,
    };
    let language = match language {
        Some(Language::Component) => {
            return Err(Problem::new(Code::UnsupportedMediaType, "send a component's bytes as `application/wasm`, not in JSON"));
        }
        Some(language) => language,
        None => return Err(Problem::new(Code::BadRequest, "`language` is `typescript`, `javascript` or `identity`")),
    };
    Ok(Submission {
        language,
        source: Bytes::from(submission.source.clone()),
        text: Some(submission.source),
        manifest: manifest(submission.manifest.as_ref().map(JsonText::as_str))?,
        file_name,
        room,
    })
}

fn manifest(text: Option<&str>) -> Result<Manifest, Problem> {
    let Some(text) = text else { return Ok(Manifest::default()) };
    let invalid = |fault: &dyn std::fmt::Display| Problem::new(Code::InvalidManifest, format!("the manifest: {fault}"));
    let mut reader = serde_json::Deserializer::from_str(text);
    // It says which key is wrong, as the parser alone does not.
    let manifest: Option<Manifest> = serde_path_to_error::deserialize(&mut reader).map_err(|error| invalid(&error))?;
    reader.end().map_err(|error| invalid(&error))?;
    let manifest = manifest.unwrap_or_default();
    manifest.check().map_err(|fault| invalid(&fault))?;
    Ok(manifest)
}

/// It comes back in diagnostics and stack traces, so it must be a name and nothing else.
fn checked_name(name: String) -> Result<String, Problem> {
    let is_name = (1..=FILE_NAME_BYTES_MAX).contains(&name.len()) && !name.contains(|c: char| c.is_control() || matches!(c, '/' | '\\'));
    if is_name { Ok(name) } else { Err(Problem::new(Code::BadRequest, "`file_name` is a name without folders, of at most 255 bytes")) }
}
