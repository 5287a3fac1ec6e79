//! Messages that scripts send.

use std::{
    borrow::Cow,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use sandmill_model::{
    BoxFuture, JsonText,
    trigger::{Message, Network, PublishError, Published, Publisher, ResourceKind},
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    Nats, RESOURCE,
    client::{Client, Fault, NO_RESPONDERS},
    config::Connection,
    subject,
};

/// Connections that one link keeps open for whoever comes next.
const IDLE_MAX: usize = 4;
/// A connection that was idle for so long is asked whether it is there.
const BELIEVED: Duration = Duration::from_secs(1);
/// Headers of a message.
const HEADERS_MAX: usize = 128;
/// Bytes of all of them.
const HEADERS_BYTES_MAX: usize = 16 * 1024;
/// By what a stream knows a repetition.
const ID: &str = "Nats-Msg-Id";
/// Answers are short.
const ANSWER_BYTES_KEPT: usize = 64 * 1024;

/// Open connections to the servers of one resource. One is used by one message at a time, and dropped if anything is wrong with it.
pub(crate) struct Link {
    connection: Connection,
    network: Arc<dyn Network>,
    idle: Mutex<Vec<(Client, Instant)>>,
}

impl Link {
    async fn take(&self) -> Result<Client, Fault> {
        loop {
            let kept = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some((mut client, since)) = kept else {
                return Client::connect(&self.connection, &*self.network, ANSWER_BYTES_KEPT).await;
            };
            if since.elapsed() < BELIEVED || client.settle().await.is_ok() {
                return Ok(client);
            }
        }
    }

    fn give_back(&self, client: Client) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_MAX {
            idle.push((client, Instant::now()));
        }
    }
}

/// What a stream answers.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Kept {
    stream: String,
    seq: u64,
    duplicate: bool,
    error: Option<Complaint>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Complaint {
    code: u16,
    description: String,
}

impl Publisher for Nats {
    const RESOURCE: ResourceKind = RESOURCE;
    type Connection = Connection;
    type Link = Link;

    fn connect(connection: Connection, network: Arc<dyn Network>) -> BoxFuture<'static, Result<Link, PublishError>> {
        Box::pin(async move {
            connection.check().map_err(|error| PublishError::Invalid(error.message))?;
            let client = Client::connect(&connection, &*network, ANSWER_BYTES_KEPT).await?;
            Ok(Link { connection, network, idle: Mutex::new(vec![(client, Instant::now())]) })
        })
    }

    fn publish(link: &Link, message: Message) -> BoxFuture<'_, Result<Published, PublishError>> {
        Box::pin(async move {
            check(&message).map_err(PublishError::Invalid)?;
            let mut client = link.take().await?;
            if message.payload.len() > client.payload_bytes_max() {
                let most = client.payload_bytes_max();
                link.give_back(client);
                return Err(PublishError::Invalid(format!("the server takes messages of {most} bytes at most")));
            }
            // Whoever is dropped here drops the connection, too: nobody knows what is under way on it.
            let published = send(&mut client, &message).await?;
            link.give_back(client);
            published
        })
    }
}

/// The outer error: the connection is of no use any more.
async fn send(client: &mut Client, message: &Message) -> Result<Result<Published, PublishError>, PublishError> {
    let mut headers: Vec<(Cow<'_, str>, Cow<'_, str>)> =
        message.headers.iter().map(|(name, value)| (Cow::Borrowed(name.as_str()), Cow::Borrowed(value.as_str()))).collect();
    headers.extend(message.id.as_deref().map(|id| (Cow::Borrowed(ID), Cow::Borrowed(id))));
    if !message.is_kept && message.id.is_none() {
        client.publish(&message.to, None, &headers, &message.payload);
        client.settle().await?;
        return Ok(published(&json!({})));
    }
    let answer = client.request(&message.to, &headers, &message.payload).await?;
    if answer.headers.status == Some(NO_RESPONDERS) {
        return Ok(Err(PublishError::Invalid(format!("no stream takes `{}`", message.to))));
    }
    let Ok(kept) = serde_json::from_slice::<Kept>(&answer.payload) else { return Ok(Err(no_stream(&message.to))) };
    Ok(match kept.error {
        Some(Complaint { code, description }) => {
            let shown: String = description.chars().filter(|c| !c.is_control()).take(200).collect();
            let text = format!("the stream says: {shown}");
            Err(if (400..500).contains(&code) { PublishError::Invalid(text) } else { PublishError::Transient(text) })
        }
        None if kept.stream.is_empty() => Err(no_stream(&message.to)),
        None => published(&json!({"stream": kept.stream, "sequence": kept.seq, "duplicate": kept.duplicate})),
    })
}

/// Somebody who is no stream has answered.
fn no_stream(to: &str) -> PublishError {
    PublishError::Invalid(format!("no stream has answered at `{to}`"))
}

fn published(said: &Value) -> Result<Published, PublishError> {
    JsonText::of(said).map(Published).map_err(|error| PublishError::Transient(error.to_string()))
}

/// What would end up in the lines of the protocol.
fn check(message: &Message) -> Result<(), String> {
    subject::check(&message.to).map_err(|fault| format!("`to`: {fault}"))?;
    let id = message.id.as_deref().map(|id| (ID, id));
    let headers = || message.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).chain(id);
    if headers().count() > HEADERS_MAX || headers().map(|(name, value)| name.len() + value.len()).sum::<usize>() > HEADERS_BYTES_MAX {
        return Err(format!("a message has at most {HEADERS_MAX} headers of {HEADERS_BYTES_MAX} bytes together"));
    }
    for (name, value) in headers() {
        let is_of_names = |byte: u8| (b'!'..=b'~').contains(&byte) && byte != b':';
        if name.is_empty() || !name.bytes().all(is_of_names) {
            return Err("a header's name is of visible ASCII, without a colon".to_owned());
        }
        if value.contains(['\r', '\n', '\0']) {
            return Err(format!("header `{name}` has a line break or a NUL"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn nothing_breaks_out_of_its_line() {
        let message = |to: &str, name: &str, value: &str, id: Option<&str>| Message {
            to: to.to_owned(),
            payload: Bytes::new(),
            headers: vec![(name.to_owned(), value.to_owned())],
            id: id.map(str::to_owned),
            is_kept: false,
        };
        assert_eq!(check(&message("a.b", "X-Y", "ä b", Some("i d"))), Ok(()));
        for wrong in [
            message("a b", "X", "", None),
            message("a\r\nPUB b 0", "X", "", None),
            message("a.*", "X", "", None),
            message("a", "", "", None),
            message("a", "X:Y", "", None),
            message("a", "X\r\n", "", None),
            message("a", "X", "1\r\nY: 2", None),
            message("a", "X", "", Some("1\r\n")),
            message("a", "X", &"v".repeat(HEADERS_BYTES_MAX), None),
        ] {
            assert!(check(&wrong).is_err(), "{wrong:?}");
        }
    }
}
