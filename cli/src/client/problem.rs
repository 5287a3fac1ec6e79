//! RFC 9457 problem details, as the server writes them.

use reqwest::{Response, header};
use sandmill_model::build::Diagnostic;
use serde::Deserialize;
use serde_json::Value;

use super::RunError;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Problem {
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) title: String,
    pub(crate) detail: String,
    pub(crate) request_id: Option<String>,
    pub(crate) run_id: Option<String>,
    pub(crate) faults: Vec<Fault>,
    pub(crate) diagnostics: Vec<Diagnostic>,
    /// What the script threw.
    pub(crate) error: Option<RunError>,
    /// All of it, for `--json`.
    #[serde(skip)]
    pub(crate) whole: Value,
}

/// An argument that does not fit.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Fault {
    pub(crate) pointer: String,
    pub(crate) message: String,
}

impl Problem {
    pub(crate) fn parse(status: u16, body: &[u8]) -> Self {
        let whole: Value = serde_json::from_slice(body).unwrap_or_default();
        let mut problem: Self = serde_json::from_value(whole.clone()).unwrap_or_default();
        problem.status = status;
        problem.whole = whole;
        problem
    }
}

pub(super) fn is_problem(response: &Response) -> bool {
    let media = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    media.starts_with("application/problem+json")
}
