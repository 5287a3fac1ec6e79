//! A stream: its consumer is found or made, and asked for messages in portions, so that no more come than there is room for.

use std::{collections::VecDeque, time::Duration};

use sandmill_model::trigger::{ConfigError, ListenError};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    client::{Client, Headers, Message, NO_RESPONDERS},
    config::JetStream,
};

/// How long the server keeps a request for messages.
const ASK_EXPIRES: Duration = Duration::from_secs(30);
/// How often it says meanwhile that it is there.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// Bytes that one request asks for.
const ASK_BYTES: u64 = 8 * 1024 * 1024;
/// Requests that wait at the server at once.
const ASKS_MAX: usize = 4;
/// A request that ends so soon without a message was refused: the next one waits.
const REFUSED_WITHIN: Duration = Duration::from_millis(100);
pub(super) const REFUSED_PAUSE: Duration = Duration::from_secs(1);
/// Bytes of an answer of the server's API, and of the moment in it, which becomes a part of each message's key.
const ANSWER_BYTES_MAX: usize = 256 * 1024;
const CREATED_BYTES_MAX: usize = 64;

/// What the server's API answers.
#[derive(Deserialize)]
#[serde(untagged)]
enum Answer<T> {
    Refused { error: Refusal },
    Done(T),
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Refusal {
    code: u16,
    err_code: u32,
    description: String,
}

/// "configuration … can not be updated".
const NOT_UPDATED: u32 = 10_012;

#[derive(Deserialize)]
struct StreamInfo {
    /// RFC 3339; a stream that is made anew counts from 1 again.
    created: String,
}

#[derive(Deserialize)]
struct ConsumerInfo {
    #[serde(default)]
    num_pending: u64,
    config: ConsumerConfig,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ConsumerConfig {
    ack_policy: String,
    deliver_subject: Option<String>,
    /// Nanoseconds.
    ack_wait: u64,
    max_batch: u64,
    max_bytes: u64,
    /// Nanoseconds.
    max_expires: u64,
}

/// A request for messages that waits at the server.
struct Asked {
    /// Where its answers go.
    reply: String,
    left: usize,
    had_any: bool,
    at: Instant,
}

/// A consumer, and what was asked of it.
pub(super) struct Consumer {
    next: String,
    /// Of dedup keys: names the stream for all times.
    pub(super) scope: String,
    pub(super) ack_wait: Duration,
    /// Messages that it had when it was found.
    pub(super) pending: u64,
    batch: usize,
    bytes: u64,
    expires: Duration,
    asked: VecDeque<Asked>,
    /// The next message is larger than what was asked for: it is asked for alone.
    is_next_large: bool,
}

/// What a status means.
pub(super) enum Status {
    GoOn,
    /// The server refuses at present.
    Refused,
}

impl Consumer {
    /// Finds the consumer, or makes the trigger's own, `name`. At most `batch` messages are asked for at once.
    pub(super) async fn open(
        client: &mut Client,
        config: &JetStream,
        subject: Option<&str>,
        (name, batch): (&str, usize),
    ) -> Result<Self, ListenError> {
        let (api, stream) = (config.api(), &config.stream);
        let info: StreamInfo = ask(client, &format!("{api}.STREAM.INFO.{stream}"), &json!({})).await?;
        if info.created.len() > CREATED_BYTES_MAX {
            return Err(unreadable());
        }
        let name = config.consumer.as_deref().unwrap_or(name);
        let consumer: ConsumerInfo = if config.consumer.is_some() {
            ask(client, &format!("{api}.CONSUMER.INFO.{stream}.{name}"), &json!({})).await?
        } else {
            let wanted = json!({"stream_name": stream, "config": wanted(config, subject, name)});
            ask(client, &format!("{api}.CONSUMER.DURABLE.CREATE.{stream}.{name}"), &wanted).await?
        };
        let ConsumerInfo { num_pending, config: known } = consumer;
        if known.deliver_subject.is_some() || known.ack_policy != "explicit" {
            return Err(
                ConfigError::new("/jetstream/consumer", "the consumer must be a pull consumer with explicit acknowledgements").into()
            );
        }
        let most = |limit: u64, own: u64| if limit == 0 { own } else { own.min(limit) };
        Ok(Self {
            next: format!("{api}.CONSUMER.MSG.NEXT.{stream}.{name}"),
            scope: format!("{stream}:{}", info.created),
            ack_wait: Duration::from_nanos(known.ack_wait).max(Duration::from_millis(1)),
            pending: num_pending,
            batch: usize::try_from(most(known.max_batch, batch as u64)).unwrap_or(batch),
            bytes: most(known.max_bytes, ASK_BYTES),
            expires: if known.max_expires == 0 { ASK_EXPIRES } else { ASK_EXPIRES.min(Duration::from_nanos(known.max_expires)) },
            asked: VecDeque::new(),
            is_next_large: false,
        })
    }

    /// Asks for more, if little is under way and there is `room` for as many.
    pub(super) fn ask(&mut self, client: &mut Client, room: usize) {
        let under_way: usize = self.asked.iter().map(|asked| asked.left).sum();
        let batch = if self.is_next_large { 1 } else { self.batch };
        if under_way > self.batch / 2 || self.asked.len() >= ASKS_MAX || room < under_way + batch {
            return;
        }
        let mut request = json!({"batch": batch, "expires": nanos(self.expires)});
        if self.expires >= HEARTBEAT * 2 {
            request["idle_heartbeat"] = nanos(HEARTBEAT).into();
        }
        if !self.is_next_large {
            request["max_bytes"] = self.bytes.into();
        }
        self.is_next_large = false;
        let reply = client.answer_to();
        client.publish(&self.next, Some(&reply), &[], request.to_string().as_bytes());
        self.asked.push_back(Asked { reply, left: batch, had_any: false, at: Instant::now() });
    }

    /// A message has come. The server serves those who asked in their order.
    pub(super) fn count(&mut self) {
        if let Some(first) = self.asked.front_mut() {
            first.had_any = true;
            first.left = first.left.saturating_sub(1);
            if first.left == 0 {
                self.asked.pop_front();
            }
        }
    }

    /// What the server says of a request.
    pub(super) fn status(&mut self, message: &Message) -> Result<Status, ListenError> {
        let Headers { status, description, .. } = &message.headers;
        let text = description.to_ascii_lowercase();
        match status {
            // It is there.
            Some(100) => return Ok(Status::GoOn),
            Some(NO_RESPONDERS) => return Err(ListenError::Transient("JetStream does not answer".to_owned())),
            Some(409) if text.contains("deleted") => return Err(ListenError::Transient("the consumer was deleted".to_owned())),
            Some(409) if text.contains("push based") => {
                return Err(ConfigError::new("/jetstream/consumer", "the consumer is no pull consumer").into());
            }
            Some(409) if text.contains("shutdown") || text.contains("leadership") => {
                return Err(ListenError::Transient(format!("the server says: {description}")));
            }
            _ => {}
        }
        let ended = self.asked.iter().position(|asked| asked.reply == message.subject).and_then(|at| self.asked.remove(at));
        let Some(ended) = ended else { return Ok(Status::GoOn) };
        if *status == Some(409) && text.contains("message size exceeds") && !ended.had_any {
            self.is_next_large = true;
            return Ok(Status::GoOn);
        }
        Ok(if !ended.had_any && ended.at.elapsed() < REFUSED_WITHIN { Status::Refused } else { Status::GoOn })
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The trigger's own consumer, as the server's API has it.
fn wanted(config: &JetStream, subject: Option<&str>, name: &str) -> Value {
    let mut wanted = json!({
        "durable_name": name,
        "description": "of a Sandmill trigger",
        "deliver_policy": config.deliver.policy(),
        "ack_policy": "explicit",
        "ack_wait": nanos(config.ack_wait()),
        "max_deliver": config.max_deliver.map_or(-1, i64::from),
        "max_ack_pending": config.max_ack_pending(),
        "replay_policy": "instant",
        "inactive_threshold": nanos(Duration::from_millis(config.inactive_threshold_ms.unwrap_or(0))),
    });
    if let Some(subject) = subject {
        wanted["filter_subject"] = subject.into();
    }
    wanted
}

async fn ask<T: DeserializeOwned>(client: &mut Client, subject: &str, request: &Value) -> Result<T, ListenError> {
    let message = client.request(subject, &[], request.to_string().as_bytes()).await?;
    if message.headers.status == Some(NO_RESPONDERS) {
        return Err(ListenError::Transient("JetStream does not answer: it is not enabled, or restarts".to_owned()));
    }
    if message.payload.len() > ANSWER_BYTES_MAX {
        return Err(unreadable());
    }
    match serde_json::from_slice(&message.payload) {
        Ok(Answer::Done(done)) => Ok(done),
        Ok(Answer::Refused { error }) => Err(refused(error)),
        Err(_) => Err(unreadable()),
    }
}

fn unreadable() -> ListenError {
    ListenError::Transient("JetStream answers what cannot be read".to_owned())
}

fn refused(error: Refusal) -> ListenError {
    let shown: String = error.description.chars().filter(|c| !c.is_control()).take(200).collect();
    let text = format!("JetStream says: {shown}");
    if (400..500).contains(&error.code) || error.err_code == NOT_UPDATED {
        return ConfigError::new("/jetstream", text).into();
    }
    ListenError::Transient(text)
}

/// Whether a probe may go on: the stream, and the consumer if it is to be there. Nothing is made.
pub(super) async fn probe(client: &mut Client, config: &JetStream) -> Result<(), ListenError> {
    let (api, stream) = (config.api(), &config.stream);
    let _: StreamInfo = ask(client, &format!("{api}.STREAM.INFO.{stream}"), &json!({})).await?;
    if let Some(consumer) = &config.consumer {
        let _: ConsumerInfo = ask(client, &format!("{api}.CONSUMER.INFO.{stream}.{consumer}"), &json!({})).await?;
    }
    Ok(())
}
