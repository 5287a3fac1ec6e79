//! The vocabulary that every other crate speaks: ids, paths, events, runs, attempts, outcomes, limits,
//! error codes, and the traits that a trigger kind, an executor and a builder implement. Pure: no I/O.

pub mod attempt;
pub mod audit;
pub mod auth;
pub mod build;
pub mod children;
pub mod clock;
pub mod code;
pub mod digest;
pub mod event;
pub mod exports;
pub mod grants;
pub mod idempotency;
pub mod ids;
pub mod json;
pub mod label;
pub mod language;
pub mod lent;
pub mod limits;
pub mod log;
pub mod manifest;
pub mod opening;
pub mod outcome;
pub mod path;
pub mod people;
pub mod policy;
pub mod predicate;
pub mod quota;
pub mod random;
pub mod rate;
pub mod recent;
pub mod resource_type;
pub mod role;
pub mod run;
pub mod run_as;
pub mod schema;
pub mod settings;
pub mod telling;
pub mod trigger;
pub mod version;

pub use attempt::{Attempt, Executor, Input};
pub use clock::{Clock, SystemClock, Timestamp};
pub use code::Code;
pub use digest::Digest;
pub use event::Event;
pub use grants::{Grant, Grants};
pub use ids::{AuditId, ListenerId, RequestId, RunId, TokenId, TriggerEventId, TriggerId, WorkspaceId};
pub use json::JsonText;
pub use label::Labels;
pub use language::Language;
pub use limits::Limits;
pub use log::{LogEntry, LogLevel, LogPosition, LogStream};
pub use manifest::Manifest;
pub use opening::Opening;
pub use outcome::{KeptOutput, Outcome, OutcomeKind, Output, RunError, Usage};
pub use path::ScriptPath;
pub use policy::Policy;
pub use quota::Quotas;
pub use resource_type::{ResourceType, TypeName};
pub use run::{Cause, CauseKind, RunRecord, RunStatus, RunSummary};
pub use run_as::RunAs;
pub use settings::WorkspaceSettings;

/// A boxed future that may borrow: the form in which async calls cross crate borders.
pub type BoxFuture<'a, T> = futures_util::future::BoxFuture<'a, T>;
