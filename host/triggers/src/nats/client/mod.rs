//! A connection to a server: dialled where the host lets it, logged in, and read and written by whoever holds it. It has no task of its own, so
//! dropping it ends it.

mod login;
mod tls;
mod wire;

use std::{borrow::Cow, net::SocketAddr, time::Duration};

use sandmill_model::{
    random,
    trigger::{ListenError, Network, PublishError, Unreachable},
};
use serde::Deserialize;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

pub(crate) use self::wire::{Frame, Headers, Message};
use self::wire::{Reader, Writer};
use super::config::{Address, Connection};

/// How long an address may take until it is connected and logged in, and all of them together.
const ADDRESS_MAX: Duration = Duration::from_secs(5);
const CONNECT_MAX: Duration = Duration::from_secs(30);
/// Addresses of one server that are tried.
const ADDRESSES_TRIED: usize = 4;
/// How long a server may leave alone what is sent to it.
const WRITE_MAX: Duration = Duration::from_secs(10);
/// How long a request may wait for its answer.
const REQUEST_MAX: Duration = Duration::from_secs(5);
/// Bytes that are read at once.
const READ_BYTES: usize = 64 * 1024;
/// What a server takes that does not say.
const PAYLOAD_BYTES_DEFAULT: usize = 1024 * 1024;
/// The subscription of answers, and that of what is listened to.
const ANSWERS: u64 = 1;
pub(crate) const SUBJECT: u64 = 2;
/// Messages that are kept while the server says whether it may be listened to.
const EARLY_MAX: usize = 1_000;
const EARLY_BYTES_MAX: usize = 256 * 1024;
/// Status of a message that nobody listens to.
pub(crate) const NO_RESPONDERS: u16 = 503;

/// Why a connection is of no use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    /// Nothing but other settings helps.
    #[error("{0}")]
    Config(String),
    #[error("{0}")]
    Transient(String),
}

impl Fault {
    fn protocol(what: &str) -> Self {
        Self::Transient(format!("the server does not speak NATS: it sent {what}"))
    }

    fn io(error: &std::io::Error) -> Self {
        Self::Transient(format!("the connection is lost: {error}"))
    }

    /// What a server complains of. Most of it is about rights.
    pub(crate) fn complaint(text: &str) -> Self {
        let lower = text.to_ascii_lowercase();
        let of_rights = ["authorization", "authentication", "permissions violation", "invalid subject", "account", "tls required"];
        let text = format!("the server says: {text}");
        if of_rights.iter().any(|word| lower.contains(word)) { Self::Config(text) } else { Self::Transient(text) }
    }
}

impl From<Unreachable> for Fault {
    fn from(error: Unreachable) -> Self {
        match error {
            Unreachable::Denied(text) => Self::Config(text),
            Unreachable::Transient(text) => Self::Transient(text),
        }
    }
}

impl From<Fault> for ListenError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Config(text) => Self::Config(sandmill_model::trigger::ConfigError::new("/connection", text)),
            Fault::Transient(text) => Self::Transient(text),
        }
    }
}

impl From<Fault> for PublishError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Config(text) => Self::Invalid(text),
            Fault::Transient(text) => Self::Transient(text),
        }
    }
}

/// Who a server is.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Info {
    max_payload: usize,
    tls_required: bool,
    tls_available: bool,
    nonce: String,
}

/// Bytes to and from a server, sealed or not.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

pub(crate) struct Client {
    stream: Box<dyn Stream>,
    reader: Reader,
    writer: Writer,
    info: Info,
    /// Subjects of answers begin with it.
    inbox: String,
    requests: u64,
    /// Something was written that may not be on its way yet.
    is_unflushed: bool,
}

impl Client {
    /// Connects to the first server that lets it in. Of a message's payload no more than `payload_bytes_kept` is kept.
    pub(crate) async fn connect(connection: &Connection, network: &dyn Network, payload_bytes_kept: usize) -> Result<Self, Fault> {
        let connected = timeout(CONNECT_MAX, Self::first(connection, network, payload_bytes_kept)).await;
        connected.unwrap_or_else(|_| Err(Fault::Transient("no server answers in time".to_owned())))
    }

    async fn first(connection: &Connection, network: &dyn Network, payload_bytes_kept: usize) -> Result<Self, Fault> {
        let servers = connection.addresses().map_err(|error| Fault::Config(error.message))?;
        let mut fault = Fault::Transient("no server can be reached".to_owned());
        for server in &servers {
            let addresses = match network.addresses(&server.host).await {
                Ok(addresses) => addresses,
                Err(Unreachable::Denied(text)) => return Err(Fault::Config(text)),
                Err(Unreachable::Transient(text)) => {
                    fault = Fault::Transient(text);
                    continue;
                }
            };
            for address in addresses.into_iter().take(ADDRESSES_TRIED) {
                let opened = Self::open(connection, network, (server, SocketAddr::new(address, server.port)), payload_bytes_kept);
                match timeout(ADDRESS_MAX, opened).await {
                    Ok(Ok(client)) => return Ok(client),
                    Ok(Err(other)) => fault = named(server, other),
                    Err(_) => fault = Fault::Transient(format!("{} does not answer in time", server.host)),
                }
            }
        }
        Err(fault)
    }

    async fn open(
        connection: &Connection,
        network: &dyn Network,
        (server, address): (&Address, SocketAddr),
        payload_bytes_kept: usize,
    ) -> Result<Self, Fault> {
        let stream = TcpStream::connect(address).await.map_err(|error| Fault::Transient(format!("no connection: {error}")))?;
        // A hint; what is slower without is no fault.
        let _ = stream.set_nodelay(true);
        let inbox = format!("_INBOX.{:032x}", u128::from_be_bytes(random::bytes()));
        let (reader, writer) = (Reader::new(payload_bytes_kept), Writer::default());
        let mut client = Self { stream: Box::new(stream), reader, writer, info: Info::default(), inbox, requests: 0, is_unflushed: false };
        let Frame::Info(info) = client.next().await? else { return Err(Fault::protocol("no word of who it is")) };
        client.info = serde_json::from_slice(&info).map_err(|_| Fault::protocol("no JSON of who it is"))?;
        let needs_tls = server.needs_tls || connection.root_certificate.is_some() || connection.client_certificate.is_some();
        if needs_tls || client.info.tls_required {
            client = client.sealed(connection, network, &server.host).await?;
        }
        client.log_in(connection, needs_tls).await?;
        Ok(client)
    }

    /// From here on all is sealed.
    async fn sealed(mut self, connection: &Connection, network: &dyn Network, host: &str) -> Result<Self, Fault> {
        if !self.info.tls_required && !self.info.tls_available {
            return Err(Fault::Config("the server does not speak TLS".to_owned()));
        }
        // What came before the seal would be believed as if it had come after it.
        if self.reader.has_more() {
            return Err(Fault::protocol("more than who it is, before TLS"));
        }
        self.stream = tls::seal(self.stream, connection, network.authorities().as_deref(), host).await?;
        Ok(self)
    }

    async fn log_in(&mut self, connection: &Connection, needs_tls: bool) -> Result<(), Fault> {
        let connect = login::connect(connection, &self.info.nonce, needs_tls)?;
        self.writer.line(&format!("CONNECT {connect}"));
        self.subscribe(ANSWERS, &format!("{}.*", self.inbox), None);
        self.settle().await
    }

    /// Until the server has dealt with all that was sent.
    pub(crate) async fn settle(&mut self) -> Result<(), Fault> {
        self.settled().await.map(drop)
    }

    /// The same; what came meanwhile is given back.
    pub(crate) async fn settled(&mut self) -> Result<Vec<Message>, Fault> {
        self.ping();
        let settled = timeout(REQUEST_MAX, async {
            let (mut early, mut bytes) = (Vec::new(), 0);
            loop {
                match self.next().await? {
                    Frame::Pong => return Ok(early),
                    Frame::Complaint(text) => return Err(Fault::complaint(&text)),
                    Frame::Message(message) => {
                        bytes += message.len_bytes();
                        early.push(message);
                    }
                    Frame::Info(_) | Frame::Ping | Frame::Ok => {}
                }
                if early.len() >= EARLY_MAX || bytes >= EARLY_BYTES_MAX {
                    return Ok(early);
                }
            }
        });
        settled.await.unwrap_or_else(|_| Err(Fault::Transient("the server does not answer in time".to_owned())))
    }

    /// A server answers by a frame.
    pub(crate) fn ping(&mut self) {
        self.writer.line("PING");
    }

    pub(crate) fn subscribe(&mut self, sid: u64, subject: &str, queue: Option<&str>) {
        self.writer.line(&match queue {
            Some(queue) => format!("SUB {subject} {queue} {sid}"),
            None => format!("SUB {subject} {sid}"),
        });
    }

    pub(crate) fn unsubscribe(&mut self, sid: u64) {
        self.writer.line(&format!("UNSUB {sid}"));
    }

    /// It is sent with the next [`Client::flush`] or [`Client::next`].
    pub(crate) fn publish(&mut self, subject: &str, reply: Option<&str>, headers: &[(Cow<'_, str>, Cow<'_, str>)], payload: &[u8]) {
        self.writer.publish(subject, reply, headers, payload);
    }

    /// A subject for the answers to one request; they come as messages to `ANSWERS`.
    pub(crate) fn answer_to(&mut self) -> String {
        self.requests += 1;
        format!("{}.{}", self.inbox, self.requests)
    }

    /// The answer to a request. What else comes meanwhile is lost: nobody else may be listened to.
    pub(crate) async fn request(
        &mut self,
        subject: &str,
        headers: &[(Cow<'_, str>, Cow<'_, str>)],
        payload: &[u8],
    ) -> Result<Message, Fault> {
        let reply = self.answer_to();
        self.publish(subject, Some(&reply), headers, payload);
        let answered = timeout(REQUEST_MAX, async {
            loop {
                match self.next().await? {
                    Frame::Message(message) if message.sid == ANSWERS && message.subject == reply => return Ok(message),
                    Frame::Complaint(text) => return Err(Fault::complaint(&text)),
                    Frame::Message(_) | Frame::Info(_) | Frame::Ping | Frame::Pong | Frame::Ok => {}
                }
            }
        });
        answered.await.unwrap_or_else(|_| Err(Fault::Transient(format!("nobody answers at {subject} in time"))))
    }

    /// Bytes of a payload that the server takes.
    pub(crate) fn payload_bytes_max(&self) -> usize {
        if self.info.max_payload == 0 { PAYLOAD_BYTES_DEFAULT } else { self.info.max_payload }
    }

    /// What the server itself says of a request, rather than a message of a stream.
    pub(crate) fn is_answer(&self, message: &Message) -> bool {
        message.sid == ANSWERS && message.subject.starts_with(self.inbox.as_str())
    }

    /// Answers are listened to no more.
    pub(crate) fn unsubscribe_answers(&mut self) {
        self.unsubscribe(ANSWERS);
    }

    /// The next frame that has come already. Whatever answers a ping is sent later.
    pub(crate) fn ready(&mut self) -> Result<Option<Frame>, Fault> {
        while let Some(frame) = self.reader.next()? {
            match frame {
                Frame::Ping => self.writer.line("PONG"),
                Frame::Ok => {}
                other => return Ok(Some(other)),
            }
        }
        Ok(None)
    }

    /// The next frame; what was to be sent is sent before. Whoever stops waiting loses nothing.
    pub(crate) async fn next(&mut self) -> Result<Frame, Fault> {
        loop {
            if let Some(frame) = self.ready()? {
                return Ok(frame);
            }
            self.flush().await?;
            let buffer = self.reader.buffer();
            buffer.reserve(READ_BYTES);
            let read = self.stream.read_buf(buffer).await.map_err(|error| Fault::io(&error))?;
            if read == 0 {
                return Err(Fault::Transient("the server has closed the connection".to_owned()));
            }
        }
    }

    /// Sends what is to be sent. Whoever stops waiting loses nothing.
    pub(crate) async fn flush(&mut self) -> Result<(), Fault> {
        if self.writer.buffer.is_empty() && !self.is_unflushed {
            return Ok(());
        }
        self.is_unflushed = true;
        let sent = timeout(WRITE_MAX, async {
            while !self.writer.buffer.is_empty() {
                if self.stream.write_buf(&mut self.writer.buffer).await? == 0 {
                    return Err(std::io::ErrorKind::WriteZero.into());
                }
            }
            self.stream.flush().await
        });
        let sent = sent.await.map_err(|_| Fault::Transient("the server takes nothing any more".to_owned()))?;
        sent.map_err(|error| Fault::io(&error))?;
        self.is_unflushed = false;
        Ok(())
    }
}

fn named(server: &Address, fault: Fault) -> Fault {
    match fault {
        Fault::Config(text) => Fault::Config(format!("{}: {text}", server.host)),
        Fault::Transient(text) => Fault::Transient(format!("{}: {text}", server.host)),
    }
}

#[cfg(test)]
mod tests;
