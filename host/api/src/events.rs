//! What happens in a run, as server-sent events: `log`, `progress`, `chunk`, `attempt` and at last `end`.
//!
//! The id of an event says where in the run it stands, so that whoever comes back with it, to any node, gets what it has missed. Nothing is
//! made before the connection takes it: a slow reader costs one page.

use std::{
    convert::Infallible,
    fmt::Write,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use axum::{body::Body, response::Response};
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use sandmill_dispatch::{Followed, Follower};
use sandmill_model::{
    Code, LogEntry, LogPosition, LogStream, RunId, RunRecord, ScriptPath,
    auth::{Action, Domain},
};
use tokio::time::{Instant, Sleep};

use crate::{
    answers,
    app::App,
    auth::Caller,
    problem::Problem,
    request::{headers, json::one_line},
};

mod data;

pub(crate) use data::EventData;

/// How often something is sent where nothing happens: else proxies take the connection for dead.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// After this long the client has to come back, with a token or a session that is still valid.
const STREAM_MAX: Duration = Duration::from_secs(30 * 60);
/// How often it is looked whether the token is valid still, or the session, and its user may what they might: who follows is cut off within
/// a second after that has ended.
const RECHECK: Duration = Duration::from_millis(500);
/// What browsers wait before they come back.
const HEAD: &str = "retry: 1000\n\n";
const NOTHING: &str = ": \n\n";

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Tells a proxy in front of us not to gather what is sent.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Where a client that was here before goes on.
pub(crate) fn last_event_id(headers: &HeaderMap) -> Result<Option<LogPosition>, Problem> {
    // An EventSource that has seen no id yet sends none, or an empty one.
    let Some(value) = headers.get(LAST_EVENT_ID).filter(|value| !value.is_empty()) else { return Ok(None) };
    let number = value.to_str().ok().and_then(|text| text.parse().ok());
    position(number.unwrap_or(-1)).map(Some)
}

/// The position behind the event with this id.
pub(crate) fn position(id: i64) -> Result<LogPosition, Problem> {
    LogPosition::from_number(id).ok_or_else(|| Problem::new(Code::BadRequest, "the last event's id is not one that this run's events have"))
}

/// For whom a run is followed.
pub(crate) struct View {
    pub(crate) app: Arc<App>,
    pub(crate) caller: Caller,
    pub(crate) path: ScriptPath,
    pub(crate) run: RunId,
    /// Where the client begins.
    pub(crate) from: LogPosition,
}

impl View {
    /// Lines of the log are for those who may read runs, as a failed run's message is.
    fn sees_log(&self) -> bool {
        self.caller.may(Domain::Runs, Action::Read, Some(self.path.as_str()))
    }
}

/// 200 with the events, as they happen.
pub(crate) fn answer(follower: Follower, view: View) -> Response {
    let run = view.run;
    let sees_log = view.sees_log();
    let (until, recheck) = (Box::pin(tokio::time::sleep(STREAM_MAX)), Box::pin(tokio::time::sleep(RECHECK)));
    let state = Streamed { follower, view, sees_log, stands: Stands::AtHead, until, recheck };
    let mut response = Response::new(Body::from_stream(stream::unfold(state, Streamed::step)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
    headers::sandbox(headers);
    answers::name_run(headers, run);
    response
}

/// How far a stream is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stands {
    AtHead,
    Within,
    AtEnd,
}

struct Streamed {
    follower: Follower,
    view: View,
    sees_log: bool,
    stands: Stands,
    until: Pin<Box<Sleep>>,
    recheck: Pin<Box<Sleep>>,
}

impl Streamed {
    /// The next bytes, once there are some.
    async fn step(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        let text = match self.stands {
            Stands::AtHead => {
                self.stands = Stands::Within;
                HEAD.to_owned()
            }
            Stands::Within => self.wait().await?,
            Stands::AtEnd => return None,
        };
        Some((Ok(Bytes::from(text)), self))
    }

    async fn wait(&mut self) -> Option<String> {
        let mut alarm = pin!(tokio::time::sleep(KEEP_ALIVE));
        loop {
            let followed = tokio::select! {
                followed = self.follower.next() => Some(followed),
                () = self.recheck.as_mut() => None,
                () = alarm.as_mut() => return Some(NOTHING.to_owned()),
                () = self.until.as_mut() => return None,
            };
            let Some(followed) = followed else {
                if !self.view.app.is_as_before(&self.view.caller, RECHECK).await {
                    return None;
                }
                self.recheck.as_mut().reset(Instant::now() + RECHECK);
                continue;
            };
            match followed {
                Followed::Entries(entries) => {
                    let text = self.write(entries);
                    // Of a page nothing may be for this caller.
                    if !text.is_empty() {
                        return Some(text);
                    }
                }
                Followed::Ended(record) => {
                    self.stands = Stands::AtEnd;
                    return Some(self.end(*record));
                }
                Followed::Stopped => return None,
            }
        }
    }

    fn write(&self, entries: Vec<(LogPosition, LogEntry)>) -> String {
        let mut text = String::new();
        for (position, entry) in entries {
            // Each is told once: one that was seen before is what the client began with.
            if position.entry() == 0 && position.begun() > 1 && position > self.view.from {
                event(&mut text, position.number(), "attempt", &data::attempt(position.begun()));
            }
            // The client has seen all before the next position.
            let id = position.plus(1).number();
            match entry.stream {
                LogStream::Progress => event(&mut text, id, "progress", &data::progress(entry)),
                LogStream::Output => event(&mut text, id, "chunk", &data::chunk(entry)),
                LogStream::Log | LogStream::Stdout | LogStream::Stderr | LogStream::Host => {
                    if self.sees_log {
                        event(&mut text, id, "log", &data::log(entry));
                    }
                }
            }
        }
        text
    }

    fn end(&self, record: RunRecord) -> String {
        let mut text = String::new();
        let data = data::end(record, &self.view.caller.workspace.name, self.sees_log);
        event(&mut text, LogPosition::END.number(), "end", &data);
        text
    }
}

fn event(text: &mut String, id: i64, name: &str, data: &str) {
    // Writing to a String cannot fail. What a script wrote as JSON may have line breaks of its own, which would end the event.
    let _ = write!(text, "id: {id}\nevent: {name}\ndata: {}\n\n", one_line(data));
}
