//! Events of a run, as they happen: a stream that breaks off is taken up where it was.

mod parser;

use std::time::{Duration, Instant};

use reqwest::{Method, Response, header};
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::{json, value::RawValue};

use self::parser::{Event, Parser};
use super::{Answer, LogLine, RunError, Server};
use crate::error::CliError;

/// The server sends something every 15 s; a line that is silent for longer is dead.
pub(super) const SILENCE_MAX: Duration = Duration::from_secs(50);
/// One stream; the server ends it sooner.
pub(super) const STREAM_MAX: Duration = Duration::from_secs(24 * 3600);
/// Before the same is asked for again.
pub(super) const PAUSE: Duration = Duration::from_millis(500);
/// For so long the server may be away.
const AWAY_MAX: Duration = Duration::from_secs(60);

/// How a run ended.
#[derive(Debug, Deserialize)]
pub(crate) struct End {
    pub(crate) outcome: Option<String>,
    /// What it returned, digits and all; none if that is bytes, or too long to be told here: then it is read apart.
    #[serde(default, deserialize_with = "given")]
    pub(crate) result: Option<Box<RawValue>>,
    pub(crate) error: Option<RunError>,
}

/// Whatever is there, null as well.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Deserialize::deserialize(deserializer).map(Some)
}

/// Why a stream ended.
enum Broken {
    /// It can be asked for again.
    Off,
    /// The server says no.
    For(CliError),
}

#[derive(Deserialize)]
struct Progress {
    at: String,
    percent: f64,
    text: String,
}

#[derive(Deserialize)]
struct Chunk {
    at: String,
    text: Option<String>,
    base64: Option<String>,
}

impl Server {
    /// Hands over every line of a run's log, progress and partial results among them, until its end. The first connection must succeed.
    pub(crate) async fn follow(&self, run: &str, mut each: impl FnMut(LogLine)) -> Result<End, CliError> {
        let mut last_id: Option<String> = None;
        let mut response = self.events(run, last_id.as_deref()).await?;
        loop {
            match self.read_events(response, &mut last_id, &mut each).await {
                Ok(end) => return Ok(end),
                Err(Broken::For(error)) => return Err(error),
                Err(Broken::Off) => response = self.again(run, last_id.as_deref()).await?,
            }
        }
    }

    async fn events(&self, run: &str, last_id: Option<&str>) -> Result<Response, CliError> {
        let mut request = self.request(Method::GET, &format!("runs/{run}/events")).timeout(STREAM_MAX);
        if let Some(id) = last_id {
            request = request.header("last-event-id", id);
        }
        self.send(request.header(header::ACCEPT, "text/event-stream")).await
    }

    /// The result of a run that has ended. The end was seen, so whatever is in the way of this may pass.
    pub(crate) async fn result(&self, run: &str) -> Result<Answer, CliError> {
        let since = Instant::now();
        loop {
            match self.answer(self.request(Method::GET, &format!("runs/{run}/result"))).await {
                Err(error) if since.elapsed() < AWAY_MAX && error.is_passing() => tokio::time::sleep(PAUSE).await,
                answer => return answer,
            }
        }
    }

    /// Asks again until the server is back.
    async fn again(&self, run: &str, last_id: Option<&str>) -> Result<Response, CliError> {
        let since = Instant::now();
        loop {
            tokio::time::sleep(PAUSE).await;
            match self.events(run, last_id).await {
                Ok(response) => return Ok(response),
                Err(error) if since.elapsed() < AWAY_MAX && error.is_passing() => {}
                Err(error) => return Err(error),
            }
        }
    }

    async fn read_events(
        &self,
        mut response: Response,
        last_id: &mut Option<String>,
        each: &mut impl FnMut(LogLine),
    ) -> Result<End, Broken> {
        let mut parser = Parser::default();
        loop {
            let bytes = match tokio::time::timeout(SILENCE_MAX, response.chunk()).await {
                Ok(Ok(Some(bytes))) => bytes,
                Ok(Ok(None) | Err(_)) | Err(_) => return Err(Broken::Off),
            };
            let events = parser.feed(&bytes).map_err(|why| Broken::For(self.strange(why)))?;
            for Event { name, id, data } in events {
                let strange = |error: serde_json::Error| Broken::For(self.strange(&error.to_string()));
                match name.as_str() {
                    "end" => return parse(&data).map_err(strange),
                    "log" => each(parse(&data).map_err(strange)?),
                    "progress" => each(progress(parse(&data).map_err(strange)?)),
                    "chunk" => each(chunk(parse(&data).map_err(strange)?)),
                    // Of a later release, or of no interest here.
                    _ => {}
                }
                *last_id = id.or_else(|| last_id.take());
            }
        }
    }

    fn strange(&self, why: &str) -> CliError {
        CliError::Unreachable(format!("{} sent events of another form than expected: {why}", self.base))
    }
}

fn parse<T: DeserializeOwned>(data: &str) -> Result<T, serde_json::Error> {
    serde_json::from_str(data)
}

/// As the log has it.
fn progress(Progress { at, percent, text }: Progress) -> LogLine {
    LogLine { at, level: "info".to_owned(), stream: "progress".to_owned(), message: text, fields: Some(json!({"percent": percent})) }
}

fn chunk(Chunk { at, text, base64 }: Chunk) -> LogLine {
    let fields = base64.is_some().then(|| json!({"encoding": "base64"}));
    LogLine { at, level: "info".to_owned(), stream: "output".to_owned(), message: text.or(base64).unwrap_or_default(), fields }
}
