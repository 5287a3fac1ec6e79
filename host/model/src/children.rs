//! Runs that runs start: what a script may do with its children, and the port by which it does.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    BoxFuture,
    code::{Code, Refusal},
    grants::Grants,
    ids::{RunId, WorkspaceId},
    json::JsonText,
    outcome::{Outcome, RunError},
    path::ScriptPath,
    version::Selector,
};

/// The run that starts others. It has shown who it is by executing here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    pub run: RunId,
    pub workspace: WorkspaceId,
    pub workspace_name: Arc<str>,
    /// Who its children act as, too.
    pub run_as: Arc<str>,
}

/// A run that is to be started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChildRequest {
    pub path: ScriptPath,
    pub selector: Selector,
    /// A JSON object.
    pub arguments: JsonText,
    /// What the parent's script was granted.
    pub grants: Arc<Grants>,
    pub terms: ChildTerms,
}

/// What is said of a child beside its arguments.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChildTerms {
    pub delay: Option<Duration>,
    pub priority: Option<i32>,
    pub tag: Option<Arc<str>>,
    /// A later start by the same run with the same key is the same child.
    pub key: Option<String>,
}

/// For which of several runs to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Until {
    All,
    Any,
}

/// Why a script did not get what it asked for, in words for its author.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum ChildError {
    /// No grant covers the path.
    #[error("{0}")]
    Denied(String),
    #[error("{0}")]
    Invalid(String),
    /// Nothing is deployed at the path, or the run is no child of this one.
    #[error("{0}")]
    NotFound(String),
    /// They do not fit the schema; details hold the faults.
    #[error("{}", .0.message)]
    InvalidArguments(RunError),
    /// A limit is met; the text names it.
    #[error("{0}")]
    TooMany(String),
    #[error("{0}")]
    Timeout(String),
    /// The call may be tried again.
    #[error("{0}")]
    Unavailable(String),
}

impl From<Refusal> for ChildError {
    fn from(refusal: Refusal) -> Self {
        let Refusal { code, detail, .. } = refusal;
        match code {
            Code::Forbidden => Self::Denied(detail),
            Code::NotFound => Self::NotFound(detail),
            Code::TooManyRequests | Code::QuotaExceeded => Self::TooMany(detail),
            Code::Unavailable | Code::StorageFull | Code::Internal => Self::Unavailable(detail),
            _ => Self::Invalid(detail),
        }
    }
}

/// A run's view of its children. Whatever is no child of `parent` does not exist here.
pub trait Children: Send + Sync + 'static {
    /// Returns once the child is durable.
    fn start(&self, parent: Parent, child: ChildRequest) -> BoxFuture<'_, Result<RunId, ChildError>>;

    /// Waits until all or any of `children` have ended, at most `limit`; returns those that have. Meanwhile the parent occupies no slot.
    fn wait(&self, parent: Parent, children: Vec<RunId>, until: Until, limit: Duration) -> BoxFuture<'_, Result<Vec<RunId>, ChildError>>;

    /// How a child ended, without its log; none if it has not.
    fn outcome(&self, parent: Parent, child: RunId) -> BoxFuture<'_, Result<Option<Outcome>, ChildError>>;

    /// Asks for a child's end; false if it had ended.
    fn cancel(&self, parent: Parent, child: RunId) -> BoxFuture<'_, Result<bool, ChildError>>;
}
