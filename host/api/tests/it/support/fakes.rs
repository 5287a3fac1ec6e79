//! What the API works with, played: an executor that does what the path says, a builder that does what the source says, a kind of trigger.

use bytes::Bytes;
use http::{Method, Response};
use sandmill_api::{DownloadForm, Downloads};
use sandmill_dispatch::Files;
use sandmill_model::{
    Attempt, BoxFuture, Code, Digest, Executor, Input, JsonText, Language, LogEntry, LogLevel, LogStream, Outcome, OutcomeKind, Output,
    RunError, RunId, ScriptPath, Timestamp, Usage, WorkspaceId,
    build::{BuildError, BuildRequest, Builder, Built, Diagnostic},
    code::Refusal,
    idempotency,
    trigger::{
        Address, ConfigError, Endpoint, EndpointKey, File, Head, Inbox, Incoming, ListenError, Listener, NewEvent, Operation, Reception,
        Reply, Shutdown, To,
    },
    version::{ComponentModel, Entry, HostedModule, ProgramSpec, Selector, Version},
};
use std::{sync::Mutex, time::Duration};
use tokio::sync::watch;

/// Executor, builder and downloads.
pub(crate) struct Stage {
    /// `f/t/gate` waits until this is true.
    gate: watch::Sender<bool>,
    cancelled: watch::Sender<Vec<RunId>>,
    pub(crate) attempts: Mutex<Vec<Attempt>>,
    pub(crate) builds: Mutex<Vec<BuildRequest>>,
}

impl Default for Stage {
    fn default() -> Self {
        Self {
            gate: watch::Sender::new(false),
            cancelled: watch::Sender::new(Vec::new()),
            attempts: Mutex::default(),
            builds: Mutex::default(),
        }
    }
}

impl Stage {
    pub(crate) fn open_gate(&self) {
        self.gate.send_replace(true);
    }

    pub(crate) fn last_attempt(&self) -> Attempt {
        self.attempts.lock().unwrap().last().unwrap().clone()
    }

    async fn act(&self, attempt: &Attempt) -> Outcome {
        let arguments = attempt.input.arguments();
        let name = attempt.path.name();
        match name {
            "echo" => ok(Output::Json(arguments)),
            "null" => ok(Output::Json(JsonText::null())),
            "long" => ok(Output::Json(JsonText::trusted(format!("\"{}\"", "x".repeat(100_000))))),
            "talks" => talking(),
            "bytes" => ok(Output::Bytes { content_type: "image/png".into(), data: Bytes::from_static(b"\x89PNG") }),
            "unanswerable" => ok(Output::Json(JsonText::trusted("\"unanswerable\""))),
            "panics" => panic!("the executor panics"),
            "gate" => {
                let mut gate = self.gate.subscribe();
                let mut cancelled = self.cancelled.subscribe();
                tokio::select! {
                    _ = gate.wait_for(|open| *open) => ok(Output::Json(arguments)),
                    _ = cancelled.wait_for(|runs| runs.contains(&attempt.run)) => failed(OutcomeKind::Cancelled),
                }
            }
            "rejects" => {
                let details = Some(JsonText::trusted(r#"{"status":401}"#));
                let error = RunError { details, ..RunError::new("Rejected", "secret message") };
                // What `main` throws with the same details is no rejection.
                let error = if arguments.as_str().contains("main") { error } else { error.of_preprocessor() };
                Outcome::failed(OutcomeKind::Error, error)
            }
            "invalid" => Outcome::failed(OutcomeKind::InvalidArguments, invalid()),
            name => match OutcomeKind::from_name(name) {
                Some(OutcomeKind::Skipped) => Outcome { kind: OutcomeKind::Skipped, output: None, ..ok(Output::Json(JsonText::null())) },
                Some(kind) => failed(kind),
                None => ok(Output::Json(JsonText::null())),
            },
        }
    }
}

/// Ends with more in its log than one page has.
fn talking() -> Outcome {
    let line = || LogEntry {
        at: Timestamp::from_micros(0),
        level: LogLevel::Info,
        stream: LogStream::Log,
        message: "x".repeat(20_000),
        fields: None,
    };
    Outcome { log: std::iter::repeat_with(line).take(100).collect(), ..ok(Output::Json(JsonText::null())) }
}

fn ok(output: Output) -> Outcome {
    Outcome { kind: OutcomeKind::Ok, output: Some(output), error: None, arguments: None, usage: Usage::default(), log: Vec::new() }
}

fn failed(kind: OutcomeKind) -> Outcome {
    let stack = Some("at main (secret.ts:7:1)".to_owned());
    Outcome::failed(kind, RunError { name: "SecretError".into(), message: "secret message".into(), stack, details: None, rejects: None })
}

fn invalid() -> RunError {
    let details = JsonText::trusted(r#"{"faults":[{"pointer":"/n","message":"must be a number"}]}"#);
    RunError { details: Some(details), ..RunError::new("invalid_arguments", "the arguments do not fit: /n must be a number") }
}

impl Executor for Stage {
    fn execute(&self, attempt: Attempt) -> BoxFuture<'_, Outcome> {
        Box::pin(async move {
            self.attempts.lock().unwrap().push(attempt.clone());
            let mut outcome = self.act(&attempt).await;
            let line = |level, message: &str, fields| LogEntry {
                at: attempt.started_at,
                level,
                stream: LogStream::Log,
                message: message.into(),
                fields,
            };
            let first =
                [line(LogLevel::Info, "first", None), line(LogLevel::Warn, "second \"quoted\"", Some(JsonText::trusted(r#"{"n":1}"#)))];
            outcome.log.splice(..0, first);
            outcome.usage = Usage { fuel: 7, memory_peak_bytes: 65_536, cpu_ns: 1_000, wall_ns: 2_000 };
            outcome
        })
    }

    fn check<'a>(&'a self, _: WorkspaceId, _: Digest, input: &'a Input) -> BoxFuture<'a, Result<(), RunError>> {
        let unfit = input.arguments().as_str().contains("unfit");
        Box::pin(async move { if unfit { Err(invalid()) } else { Ok(()) } })
    }

    fn cancel(&self, run: RunId) -> bool {
        self.cancelled.send_modify(|runs| runs.push(run));
        true
    }

    fn log(&self, _: RunId, _: usize, _: usize) -> Vec<LogEntry> {
        Vec::new()
    }

    fn has_free_slot(&self) -> bool {
        true
    }
}

impl Builder for Stage {
    fn build(&self, request: BuildRequest) -> BoxFuture<'_, Result<Built, BuildError>> {
        self.builds.lock().unwrap().push(request.clone());
        let diagnostic = |message: &str| Diagnostic {
            file: request.file_name.clone(),
            line: 1,
            column: 8,
            message: message.into(),
            source_line: "export functoin main() {}".into(),
            help: Some("did you mean `function`?".into()),
        };
        let text = String::from_utf8_lossy(&request.source).into_owned();
        let result = match text.as_str() {
            "FAULTY" => Err(BuildError::Diagnostics(vec![diagnostic("unexpected token")])),
            "LIMIT" => Err(BuildError::LimitReached("the build took more than 60 s".into())),
            "UNAVAILABLE" => Err(BuildError::Unavailable("secret: no worker at /dev/null".into())),
            "PANIC" => panic!("secret: the builder panics"),
            _ if request.language == Language::Component && !text.starts_with("\0asm") => {
                Err(BuildError::InvalidComponent("these bytes are not WebAssembly".into()))
            }
            _ => Ok(Built {
                program: program(&request, text.clone()),
                schema: JsonText::trusted(r#"{"type":"object"}"#),
                warnings: if text.contains("WARN") { vec![diagnostic("this looks odd")] } else { Vec::new() },
            }),
        };
        Box::pin(async move { result })
    }
}

fn program(request: &BuildRequest, source: String) -> ProgramSpec {
    if request.language == Language::Component {
        let entry = Entry::Script { has_preprocessor: false };
        return ProgramSpec::Component { component: Digest::of(&request.source), entry, model: ComponentModel::Sync };
    }
    ProgramSpec::Hosted(HostedModule {
        file_name: request.file_name.clone(),
        source,
        parameters: Vec::new(),
        has_preprocessor: false,
        source_map: None,
    })
}

impl Downloads for Stage {
    fn component(&self, _: WorkspaceId, version: Version, form: DownloadForm) -> BoxFuture<'_, Result<Bytes, Refusal>> {
        Box::pin(async move { Ok(Bytes::from(format!("\0asm {form:?} of {}", version.digest))) })
    }
}

/// A kind of trigger as small as one can be: `POST /probe/{workspace}/{run|start|stream}/{path}`, `GET` on `run`.
pub(crate) struct Probe;

#[derive(Default, serde::Deserialize, schemars::JsonSchema)]
pub(crate) struct ProbeConfig {}

impl Endpoint for Probe {
    const KIND: &'static str = "probe";
    const PREFIX: &'static str = "probe";
    const OPERATIONS: &'static [Operation] = &[
        Operation::new("GET", "{workspace}/run/{path}", Reply::Result, "Runs, and waits."),
        Operation::new("POST", "{workspace}/run/{path}", Reply::Result, "Runs, and waits.").with_body(&["application/json"]),
        Operation::new("POST", "{workspace}/start/{path}", Reply::Receipt, "Runs.").with_body(&["application/json"]),
        Operation::new("POST", "{workspace}/stream/{path}", Reply::Events, "Runs, and tells.").with_body(&["application/json"]),
    ];
    const SUMMARY: &'static str = "For tests.";
    const IS_OF_EVERY_SCRIPT: bool = true;
    type Config = ProbeConfig;
    type Event = ProbeConfig;
    type Ready = ProbeConfig;

    fn prepare(config: ProbeConfig) -> Result<ProbeConfig, ConfigError> {
        Ok(config)
    }

    fn keys(_: &ProbeConfig, target: &ScriptPath) -> Vec<EndpointKey> {
        vec![EndpointKey::Script(target.clone())]
    }

    fn address(head: Head<'_>) -> Result<Address<'_>, Refusal> {
        let Head { method, rest, headers: _ } = head;
        let mut parts = rest.splitn(3, '/');
        let (Some(workspace), Some(verb), Some(target)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(Refusal::new(Code::NotFound, "not the shape of a probe"));
        };
        let reply = match verb {
            "run" => Reply::Result,
            "stream" => Reply::Events,
            _ => Reply::Receipt,
        };
        if *method != Method::POST && !(*method == Method::GET && reply == Reply::Result) {
            return Err(Refusal::new(Code::MethodNotAllowed, "not with this method"));
        }
        let (path, selector) = Selector::from_url(target).map_err(|error| Refusal::new(Code::InvalidPath, error.to_string()))?;
        Ok(Address { workspace, to: To::Script { path, selector, reply } })
    }

    fn receive(_: &ProbeConfig, incoming: Incoming) -> Result<Reception, Refusal> {
        let request = incoming.request;
        let dedup_key = idempotency::key(request.headers())?;
        let payload = request.into_body();
        if payload.starts_with(b"refuse") {
            return Err(Refusal::new(Code::InvalidJson, "the probe refuses this"));
        }
        Ok(NewEvent { dedup_key, ..NewEvent::new(JsonText::empty_object(), payload) }.into())
    }

    fn answer(_: &ProbeConfig, output: &Output) -> Result<Response<Bytes>, Refusal> {
        match output {
            Output::Json(json) if json.as_str().contains("unanswerable") => Err(Refusal::new(Code::RunError, "not an answer")),
            Output::Json(json) => Ok(Response::new(Bytes::from(format!("probe:{}", json.as_str())))),
            Output::Bytes { data, .. } => Ok(Response::new(data.clone())),
            Output::Kept(_) => Err(Refusal::new(Code::Internal, "not fetched")),
        }
    }
}

/// A kind that listens, and knows when it would hear something.
pub(crate) struct Ticker;

#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TickerConfig {
    every_ms: u64,
    /// A secret.
    #[serde(default)]
    token: String,
    #[serde(default)]
    is_down: bool,
}

impl Listener for Ticker {
    const KIND: &'static str = "ticker";
    const SUMMARY: &'static str = "For tests.";
    type Config = TickerConfig;
    type Event = ProbeConfig;

    fn validate(config: &TickerConfig) -> Result<(), ConfigError> {
        if config.every_ms == 0 { Err(ConfigError::new("/every_ms", "it is at least 1")) } else { Ok(()) }
    }

    fn probe(config: TickerConfig) -> BoxFuture<'static, Result<(), ListenError>> {
        let answer =
            if config.is_down || config.token == "wrong" { Err(ListenError::Transient("nobody answers".to_owned())) } else { Ok(()) };
        Box::pin(async move { answer })
    }

    fn listen(_: TickerConfig, _: Inbox, stop: Shutdown) -> BoxFuture<'static, Result<(), ListenError>> {
        Box::pin(async move {
            stop.requested().await;
            Ok(())
        })
    }

    fn preview(config: &TickerConfig, after: Timestamp, limit: usize) -> Result<Vec<Timestamp>, ConfigError> {
        let mut at = after;
        let next = || {
            at = at.plus(Duration::from_millis(config.every_ms));
            at
        };
        Ok(std::iter::repeat_with(next).take(limit).collect())
    }
}

/// Takes no files.
pub(crate) struct NoFiles;

impl Files for NoFiles {
    fn keep(&self, _: WorkspaceId, _: File) -> BoxFuture<'_, Result<(), Refusal>> {
        Box::pin(async { Err(Refusal::new(Code::Unavailable, "no files are kept here")) })
    }

    fn forget(&self, _: WorkspaceId, _: String) -> BoxFuture<'_, Result<(), Refusal>> {
        Box::pin(async { Ok(()) })
    }
}
