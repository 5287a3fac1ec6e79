//! The seam through which `run FILE` and `test` reach a sandbox in this process.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use sandmill_model::{
    BoxFuture, Grant, Input, JsonText, Language, Manifest, Outcome, ScriptPath, TypeName, build::BuildError, code::Refusal,
    grants::origin::Origin,
};

use crate::error::CliError;

/// Where scripts' requests may go beside the open Internet, and whom their TLS trusts; for whoever operates the sandbox.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Outbound {
    /// Addresses that scripts' requests may go to although they are private, loopback or the like: CIDR blocks, separated by commas
    #[arg(long, env = "SANDMILL_OUTBOUND_ALLOW", value_name = "CIDR", value_delimiter = ',')]
    pub outbound_allow: Vec<String>,
    /// A PEM file of certificates that scripts' requests trust beside the well-known ones
    #[arg(long, env = "SANDMILL_OUTBOUND_CA", value_name = "FILE")]
    pub outbound_ca: Option<PathBuf>,
}

/// A file to build and run once.
#[derive(Clone, Debug)]
pub struct LocalRunRequest {
    /// As the user named it; its last part is the file name in diagnostics and stack traces.
    pub file: PathBuf,
    pub language: Language,
    /// UTF-8 source, or the bytes of a component.
    pub source: Vec<u8>,
    pub manifest: Manifest,
    /// What of the manifest's wishes it is given.
    pub given: Vec<Grant>,
    /// Its arguments, or an event for its preprocessor.
    pub input: Input,
    pub outbound: Outbound,
}

/// Why a local run did not begin.
#[derive(Debug)]
pub enum LocalRunError {
    Build(BuildError),
    /// What it is given cannot be: what is wrong and what to do.
    Input(String),
    /// The sandbox could not be set up; the text says why.
    Setup(String),
}

impl From<LocalRunError> for CliError {
    fn from(error: LocalRunError) -> Self {
        match error {
            LocalRunError::Build(BuildError::Diagnostics(faults)) => Self::Diagnostics(faults),
            LocalRunError::Build(error) => Self::input(error.to_string()),
            LocalRunError::Input(text) => Self::Input(text),
            LocalRunError::Setup(text) => Self::Unreachable(text),
        }
    }
}

/// Builds and runs a file without any server. Whatever the script did is an outcome, its log included.
pub trait LocalRunner: Sync {
    fn run(&self, request: LocalRunRequest) -> BoxFuture<'_, Result<Outcome, LocalRunError>>;

    /// A sandbox for many runs, one after another.
    fn open(&self, outbound: Outbound) -> BoxFuture<'_, Result<Box<dyn LocalSession>, LocalRunError>>;
}

/// A script to build once and deploy as often as it is needed.
#[derive(Clone, Debug)]
pub struct LocalScript {
    /// Its last part is the file name in diagnostics and stack traces.
    pub file: PathBuf,
    pub language: Language,
    /// UTF-8 source, or the bytes of a component.
    pub source: Vec<u8>,
    pub manifest: Manifest,
}

/// A script that a session has built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalScriptId(pub usize);

/// Where a script is found while a case runs, and what it was given.
#[derive(Clone, Debug)]
pub struct LocalDeployment {
    pub script: LocalScriptId,
    pub path: ScriptPath,
    pub given: Vec<Grant>,
}

/// What stands in for the world outside of the sandbox. Not `Debug`: there are secrets in it.
#[derive(Clone, Default)]
pub struct LocalFakes {
    pub variables: BTreeMap<ScriptPath, String>,
    pub secrets: BTreeMap<ScriptPath, String>,
    pub resources: BTreeMap<ScriptPath, FakeResource>,
    /// Of the script that runs.
    pub state: BTreeMap<String, JsonText>,
    /// Scripts that return this, whatever they are given.
    pub runs: BTreeMap<ScriptPath, JsonText>,
    pub http: Vec<FakeAnswer>,
}

/// Not `Debug`: there are secrets in it.
#[derive(Clone)]
pub struct FakeResource {
    pub kind: TypeName,
    /// A JSON object.
    pub value: JsonText,
}

/// The answer to one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FakeAnswer {
    pub method: String,
    pub origin: Origin,
    /// With `?` and a query, for that query only.
    pub path: String,
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

/// In what a case runs.
pub enum LocalSetting {
    /// A workspace of its own: no state, no objects, nothing but this.
    Fresh { deployments: Vec<LocalDeployment>, fakes: Box<LocalFakes> },
    /// That of the case before, as it was left.
    Same,
}

/// One run.
pub struct LocalCase {
    pub setting: LocalSetting,
    pub path: ScriptPath,
    pub input: Input,
    pub idempotency_key: Option<String>,
    /// Keys whose state is of interest afterwards.
    pub state_keys: Vec<String>,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct LocalCaseEnd {
    /// With its log; or why there was no run.
    pub outcome: Result<Outcome, Refusal>,
    pub state: BTreeMap<String, Option<JsonText>>,
    pub took: Duration,
}

/// A sandbox in this process that stays until it is closed.
pub trait LocalSession: Send {
    fn build(&mut self, script: LocalScript) -> BoxFuture<'_, Result<LocalScriptId, LocalRunError>>;

    fn run(&mut self, case: LocalCase) -> BoxFuture<'_, Result<LocalCaseEnd, LocalRunError>>;

    fn close(self: Box<Self>) -> BoxFuture<'static, Result<(), LocalRunError>>;
}
