//! Credentials that the host adds to requests, so that no guest ever has them.

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};
use sandmill_model::{BoxFuture, ScriptPath, WorkspaceId, grants::origin::Origin};
use sandmill_sandbox::RunLog;

/// What a resource adds to requests that go to its origin.
#[derive(Clone)]
pub struct HttpCredentials {
    /// The only one that they are sent to.
    pub origin: Origin,
    /// Names and secret values; they replace the guest's of the same names.
    pub headers: Vec<(String, String)>,
    /// Names and secret values, not encoded yet; they replace the guest's of the same names.
    pub query: Vec<(String, String)>,
}

impl HttpCredentials {
    /// Whoever is asked may repeat them in its answer.
    pub(super) fn conceal(&self, log: &RunLog) {
        for (_, value) in self.headers.iter().chain(&self.query) {
            log.conceal_whole(value);
            // `Bearer <token>`, `Basic <base64>`
            let Some((scheme, token)) = value.split_once(' ') else { continue };
            log.conceal_whole(token);
            let decoded = scheme.eq_ignore_ascii_case("basic").then(|| STANDARD.decode(token).ok()).flatten();
            if let Some((_, password)) = decoded.as_deref().and_then(|pair| std::str::from_utf8(pair).ok()?.split_once(':')) {
                log.conceal_whole(password);
            }
        }
    }
}

impl fmt::Debug for HttpCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HttpCredentials for {}", self.origin)
    }
}

/// Where credentials of resources are had.
pub trait CredentialsPort: Send + Sync + 'static {
    /// None: there is no such resource, or it is not one that HTTP knows credentials of. The error is told to the script's author.
    fn credentials(&self, workspace: WorkspaceId, path: &ScriptPath) -> BoxFuture<'_, Result<Option<HttpCredentials>, String>>;
}

/// For nodes without resources: no request gets anything.
#[derive(Clone, Copy, Debug)]
pub struct NoCredentials;

impl CredentialsPort for NoCredentials {
    fn credentials(&self, _: WorkspaceId, _: &ScriptPath) -> BoxFuture<'_, Result<Option<HttpCredentials>, String>> {
        Box::pin(std::future::ready(Ok(None)))
    }
}
