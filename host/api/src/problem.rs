//! Errors as callers see them: RFC 9457 problem details with a stable code, a page for each, and the request's id.
//!
//! A handler returns a [`Problem`]; it becomes a body in [`crate::observe`], which knows the request's id and logs the cause.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use sandmill_model::{
    Code, RunError, RunId,
    build::{self, BuildError},
    code::Refusal,
};
use sandmill_store::StoreError;
use serde::Serialize;
use utoipa::ToSchema;

use crate::request::headers::RUN_ID;

/// What a caller should wait before it tries again, where we cannot know better.
const RETRY_AFTER_S: &str = "1";

#[derive(Clone, Debug)]
pub(crate) struct Problem(Box<Details>);

#[derive(Clone, Debug)]
struct Details {
    code: Code,
    /// None: the code's.
    status: Option<StatusCode>,
    detail: String,
    run: Option<RunId>,
    faults: Vec<Fault>,
    diagnostics: Vec<Diagnostic>,
    error: Option<ScriptError>,
    allow: Option<HeaderValue>,
    /// None: [`RETRY_AFTER_S`], where the code asks for one.
    retry_after_s: Option<u64>,
    /// It says that something is not there, because the caller may not know of it.
    denied: bool,
    /// For the log, never for the caller.
    cause: Option<String>,
}

/// An argument that does not fit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, serde::Deserialize, ToSchema)]
pub(crate) struct Fault {
    /// JSON pointer into the arguments.
    pub(crate) pointer: String,
    pub(crate) message: String,
}

/// One fault in a source file. Lines and columns count from 1; columns count characters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Diagnostic {
    file: String,
    line: u32,
    column: u32,
    message: String,
    source_line: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<String>,
}

impl From<build::Diagnostic> for Diagnostic {
    fn from(diagnostic: build::Diagnostic) -> Self {
        let build::Diagnostic { file, line, column, message, source_line, help } = diagnostic;
        Self { file, line, column, message, source_line, help }
    }
}

/// The error that a script threw; only for tokens that may read runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct ScriptError {
    pub(crate) name: String,
    pub(crate) message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stack: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    pub(crate) details: Option<sandmill_model::JsonText>,
}

impl From<RunError> for ScriptError {
    fn from(RunError { name, message, stack, details, rejects: _ }: RunError) -> Self {
        Self { name, message, stack, details }
    }
}

/// Problem details (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemBody {
    /// Where the code is explained.
    #[serde(rename = "type")]
    kind: String,
    title: &'static str,
    status: u16,
    detail: String,
    /// Stable; what a program should look at.
    code: &'static str,
    request_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    run_id: Option<String>,
    /// With `invalid_arguments`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    faults: Vec<Fault>,
    /// With `compile_failed`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    diagnostics: Vec<Diagnostic>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ScriptError>,
}

impl Problem {
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Self {
        Self(Box::new(Details {
            code,
            status: None,
            detail: detail.into(),
            run: None,
            faults: Vec::new(),
            diagnostics: Vec::new(),
            error: None,
            allow: None,
            retry_after_s: None,
            denied: false,
            cause: None,
        }))
    }

    /// Our own fault: the caller learns that, the log learns why.
    pub(crate) fn internal(cause: impl Into<String>) -> Self {
        let mut problem = Self::new(Code::Internal, "the server's log has the cause under this request id");
        problem.0.cause = Some(cause.into());
        problem
    }

    pub(crate) fn run(mut self, run: RunId) -> Self {
        self.0.run = Some(run);
        self
    }

    /// With this status instead of its code's, if it is one of a client's faults.
    pub(crate) fn status(mut self, status: u16) -> Self {
        self.0.status = StatusCode::from_u16(status).ok().filter(StatusCode::is_client_error);
        self
    }

    /// With its code's status after all: a caller of the API did nothing wrong who asks how a run ended.
    pub(crate) fn of_its_code(mut self) -> Self {
        self.0.status = None;
        self
    }

    pub(crate) fn faults(mut self, faults: Vec<Fault>) -> Self {
        self.0.faults = faults;
        self
    }

    pub(crate) fn error(mut self, error: ScriptError) -> Self {
        self.0.error = Some(error);
        self
    }

    pub(crate) fn allow(mut self, methods: HeaderValue) -> Self {
        self.0.allow = Some(methods);
        self
    }

    /// With a status that asks for patience: whole seconds, so that nobody comes too early.
    pub(crate) fn retry_after(mut self, time: Duration) -> Self {
        self.0.retry_after_s = Some(time.as_secs() + u64::from(time.subsec_nanos() > 0));
        self
    }

    /// It is a denial, whatever it says: the audit log has it. Nothing else may depend on it, or callers would learn the difference.
    pub(crate) fn denied(mut self) -> Self {
        self.0.denied = true;
        self
    }

    pub(crate) fn is_denial(&self) -> bool {
        self.0.denied || matches!(self.0.code, Code::Unauthorized | Code::Forbidden)
    }

    pub(crate) fn code(&self) -> Code {
        self.0.code
    }

    pub(crate) fn cause(&self) -> Option<&str> {
        self.0.cause.as_deref()
    }

    /// Body and headers.
    pub(crate) fn write(self, request_id: &str, response: &mut Response) {
        let Details { code, status, detail, run, faults, diagnostics, error, allow, retry_after_s, denied: _, cause: _ } = *self.0;
        let status = status.unwrap_or_else(|| code.status());
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        match status {
            StatusCode::UNAUTHORIZED => {
                // A kind of trigger may have said already what else it takes.
                headers.entry(header::WWW_AUTHENTICATE).or_insert(HeaderValue::from_static("Bearer realm=\"sandmill\""));
            }
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                let after = retry_after_s.map_or(HeaderValue::from_static(RETRY_AFTER_S), HeaderValue::from);
                headers.insert(header::RETRY_AFTER, after);
            }
            _ => {}
        }
        if let Some(methods) = allow {
            headers.insert(header::ALLOW, methods);
        }
        if let Some(run) = run.and_then(|run| HeaderValue::from_maybe_shared(run.to_string()).ok()) {
            headers.insert(RUN_ID, run);
        }
        let body = ProblemBody {
            kind: format!("/errors/{}", code.name()),
            title: code.title(),
            status: status.as_u16(),
            detail,
            code: code.name(),
            request_id: request_id.to_owned(),
            run_id: run.map(|run| run.to_string()),
            faults,
            diagnostics,
            error,
        };
        *response.body_mut() = serde_json::to_vec(&body).unwrap_or_default().into();
    }
}

/// The status now, the body once the request's id is known.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.0.status.unwrap_or_else(|| self.0.code.status()).into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let mut problem = Self::new(refusal.code, refusal.detail);
        problem.0.retry_after_s = refusal.retry_after_s;
        problem
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let (code, detail) = match &error {
            StoreError::Conflict(text) => return Self::new(Code::Conflict, text.clone()),
            StoreError::Gone(_) => (Code::ResultGone, "it is not where it was kept"),
            StoreError::Full(_) => (Code::StorageFull, "nothing was written; try again once the operator has made space"),
            StoreError::Unavailable(_) | StoreError::Contended(_) => {
                (Code::Unavailable, "the database cannot be reached at present; try again")
            }
            StoreError::Keys(_) => {
                (Code::Unavailable, "the keys that secrets are sealed with are not to be had at present; the operator is told which")
            }
            StoreError::ObjectsUnavailable(_) => (Code::Unavailable, "the folder of large results cannot be reached at present; try again"),
            StoreError::Corrupt(_) | StoreError::Other(_) => return Self::internal(error.to_string()),
        };
        let mut problem = Self::new(code, detail);
        problem.0.cause = Some(error.to_string());
        problem
    }
}

impl From<BuildError> for Problem {
    fn from(error: BuildError) -> Self {
        let text = error.to_string();
        match error {
            BuildError::Diagnostics(diagnostics) => {
                let mut problem = Self::new(Code::CompileFailed, text);
                problem.0.diagnostics = diagnostics.into_iter().map(Diagnostic::from).collect();
                problem
            }
            BuildError::InvalidComponent(_) => Self::new(Code::InvalidComponent, text),
            BuildError::LimitReached(_) => Self::new(Code::BuildLimit, text),
            BuildError::Unavailable(_) => {
                let mut problem = Self::new(Code::Unavailable, "no build worker is available at present; try again");
                problem.0.cause = Some(text);
                problem
            }
        }
    }
}
