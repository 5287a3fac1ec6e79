//! Starting runs, and waiting for their ends.

use std::time::Duration;

use reqwest::{Method, RequestBuilder, Response, Url, header};
use sandmill_model::{Event, JsonText, RunAs};
use serde::Serialize;

use super::{Receipt, Server, is_pending};
use crate::{error::CliError, event::SentEvent};

/// Between two looks at a run that takes longer than the server lets a caller wait.
const POLL_MIN: Duration = Duration::from_millis(100);
const POLL_MAX: Duration = Duration::from_secs(2);
const RUN_ID: &str = "sandmill-run-id";

/// What a finished run answered.
pub(crate) struct Answer {
    pub(crate) run_id: Option<String>,
    pub(crate) content_type: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn is_json(&self) -> bool {
        let media = self.content_type.split(';').next().unwrap_or_default().trim();
        media == "application/json" || media.ends_with("+json")
    }
}

/// What is asked of a run beside its arguments.
#[derive(Clone, Debug, Default, Serialize, clap::Args)]
pub(crate) struct Terms {
    /// Milliseconds after its acceptance at which the run is due
    #[arg(long, value_name = "MILLISECONDS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    delay_ms: Option<u64>,
    /// Time at which the run is due, e.g. 2026-01-31T12:00:00Z, instead of --delay-ms
    #[arg(long = "at", value_name = "TIME", conflicts_with = "delay_ms")]
    #[serde(skip_serializing_if = "Option::is_none")]
    scheduled_for: Option<String>,
    /// Of what is due, the greater goes first: -1000 to 1000; by default what the manifest says
    #[arg(long, allow_negative_numbers = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    priority: Option<i32>,
    /// Only nodes that serve the tag execute the run; by default what the manifest says
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    tag: Option<String>,
    /// As whom the run acts: a service account, s/NAME, or a group, g/NAME, that you may use; by default as the manifest says, else as you
    #[arg(long, value_name = "IDENTITY")]
    #[serde(skip_serializing_if = "Option::is_none")]
    run_as: Option<RunAs>,
    /// The same key for the same script within 24 hours is the same run, however often the command is given
    #[arg(long, value_name = "KEY", value_parser = idempotency_key)]
    #[serde(skip)]
    idempotency_key: Option<String>,
}

/// What can stand in a header; the server says how long it may be.
fn idempotency_key(text: &str) -> Result<String, String> {
    let is_plain = !text.is_empty() && text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    if is_plain { Ok(text.to_owned()) } else { Err("a key has 1 to 255 characters, printable ones of ASCII".to_owned()) }
}

impl Terms {
    pub(crate) fn has_delay(&self) -> bool {
        self.delay_ms.is_some() || self.scheduled_for.is_some()
    }

    pub(crate) fn is_empty(&self) -> bool {
        let Self { delay_ms, scheduled_for, priority, tag, run_as, idempotency_key } = self;
        let has_place = delay_ms.is_some() || scheduled_for.is_some() || priority.is_some() || tag.is_some();
        !has_place && run_as.is_none() && idempotency_key.is_none()
    }
}

/// A run that is asked for.
pub(crate) struct Order<'a> {
    pub(crate) target: &'a str,
    pub(crate) arguments: &'a JsonText,
    /// In their place.
    pub(crate) event: Option<&'a Event>,
    pub(crate) terms: &'a Terms,
}

#[derive(Serialize)]
struct Submission<'a> {
    path: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    args: Option<&'a JsonText>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<SentEvent<'a>>,
    wait: bool,
    #[serde(flatten)]
    terms: &'a Terms,
}

impl Server {
    /// Starts a run and returns its id once it is durable.
    pub(crate) async fn start(&self, order: &Order<'_>) -> Result<String, CliError> {
        let receipt: Receipt = self.read(self.submission(order, false)).await?;
        Ok(receipt.run_id)
    }

    /// Starts a run and waits for its end, however long it takes. `waiting` hears of a run that takes long.
    pub(crate) async fn run(&self, order: &Order<'_>, waiting: impl FnOnce(&str)) -> Result<Answer, CliError> {
        let response = self.submission(order, true).send().await.map_err(|error| self.unreachable(&error))?;
        if !is_pending(&response) {
            return self.read_answer(response).await;
        }
        let Some(location) = location(&response) else {
            return Err(CliError::Unreachable(format!("{} does not say where the result will be", self.base)));
        };
        waiting(&run_id(&response).unwrap_or_default());
        self.wait(&location).await
    }

    fn submission(&self, order: &Order<'_>, wait: bool) -> RequestBuilder {
        let Order { target, arguments, event, terms } = *order;
        let args = event.is_none().then_some(arguments);
        let request =
            self.request(Method::POST, "runs").json(&Submission { path: target, args, event: event.map(Into::into), wait, terms });
        match &terms.idempotency_key {
            Some(key) => request.header("idempotency-key", key),
            None => request,
        }
    }

    async fn wait(&self, location: &str) -> Result<Answer, CliError> {
        let mut pause = POLL_MIN;
        loop {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(POLL_MAX);
            let response = self.request_at(Method::GET, location).send().await.map_err(|error| self.unreachable(&error))?;
            if !is_pending(&response) {
                return self.read_answer(response).await;
            }
        }
    }

    pub(super) async fn answer(&self, request: RequestBuilder) -> Result<Answer, CliError> {
        let response = self.send(request).await?;
        self.read_answer(response).await
    }

    async fn read_answer(&self, response: Response) -> Result<Answer, CliError> {
        if !response.status().is_success() {
            return Err(self.refused(response).await);
        }
        let run_id = run_id(&response);
        let content_type =
            response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        let body = response.bytes().await.map_err(|error| self.unreachable(&error))?.to_vec();
        Ok(Answer { run_id, content_type, body })
    }
}

fn run_id(response: &Response) -> Option<String> {
    response.headers().get(RUN_ID)?.to_str().ok().map(ToOwned::to_owned)
}

/// The path of the `Location`, without its slash at the start. Its host does not count: the token goes to our server only.
fn location(response: &Response) -> Option<String> {
    let text = response.headers().get(header::LOCATION)?.to_str().ok()?;
    path_of(text)
}

fn path_of(location: &str) -> Option<String> {
    let path = match Url::parse(location) {
        Ok(url) => url.path().to_owned(),
        Err(_) => location.to_owned(),
    };
    path.strip_prefix('/').filter(|path| path.starts_with("api/")).map(ToOwned::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_path_of_a_location_counts() {
        for (location, expected) in [
            ("/api/w/default/runs/1/result", Some("api/w/default/runs/1/result")),
            ("http://other.test/api/w/default/runs/1/result", Some("api/w/default/runs/1/result")),
            ("//other.test/x", None),
            ("/elsewhere", None),
            ("relative", None),
        ] {
            assert_eq!(path_of(location).as_deref(), expected, "{location}");
        }
    }
}
