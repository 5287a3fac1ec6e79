//! Settings: where the servers are and who we are to them, and what is listened to.

use std::{fmt, time::Duration};

use sandmill_model::trigger::ConfigError;
use schemars::JsonSchema;
use serde::Deserialize;

use super::subject;

/// Servers of one connection.
const SERVERS_MAX: usize = 16;
/// Bytes of a URL of a server.
const URL_BYTES_MAX: usize = 512;
/// The port of a URL that names none.
const PORT: u16 = 4222;
/// Bytes of a name of a stream, a consumer or a queue group, as the server has it.
const NAME_BYTES_MAX: usize = 255;
/// How long a message may wait for its acknowledgement.
const ACK_WAIT: std::ops::RangeInclusive<u64> = 1_000..=3_600_000;
const ACK_WAIT_DEFAULT_MS: u64 = 30_000;
/// Messages without acknowledgement.
const MAX_ACK_PENDING: std::ops::RangeInclusive<u32> = 1..=65_536;
const MAX_ACK_PENDING_DEFAULT: u32 = 4_000;
/// How long nobody asks a consumer for messages until the server may forget it: longer than any pause of a listener, which is a minute.
const INACTIVE_THRESHOLD: std::ops::RangeInclusive<u64> = 300_000..=31 * 24 * 3_600_000;

/// What to connect to, and as whom: a resource of the type `nats`.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Connection {
    /// `nats://host:4222`, or `tls://host:4222` to insist on TLS; they are tried in this order.
    pub(crate) servers: Vec<String>,
    #[serde(default)]
    pub(crate) user: Option<String>,
    #[serde(default)]
    pub(crate) password: Option<String>,
    #[serde(default)]
    pub(crate) token: Option<String>,
    /// Seed of a user's nkey.
    #[serde(default)]
    pub(crate) nkey_seed: Option<String>,
    /// What is in a `.creds` file.
    #[serde(default)]
    pub(crate) credentials: Option<String>,
    /// PEM of the authority that signed the servers' certificates.
    #[serde(default)]
    pub(crate) root_certificate: Option<String>,
    /// PEM of this client's certificate.
    #[serde(default)]
    pub(crate) client_certificate: Option<String>,
    /// PEM of its private key.
    #[serde(default)]
    pub(crate) client_key: Option<String>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("servers", &self.servers).finish_non_exhaustive()
    }
}

/// One server of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Whether it must speak TLS.
    pub(crate) needs_tls: bool,
}

impl Connection {
    /// # Errors
    /// What is wrong with it, with a pointer into the connection; never with a value that is secret.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        self.addresses()?;
        let ways = [
            ("user", self.user.is_some()),
            ("token", self.token.is_some()),
            ("nkey_seed", self.nkey_seed.is_some()),
            ("credentials", self.credentials.is_some()),
        ];
        let given: Vec<&str> = ways.iter().filter(|(_, is_given)| *is_given).map(|(name, _)| *name).collect();
        if given.len() > 1 {
            return Err(ConfigError::new("", format!("one way to log in is enough: {} are given", given.join(" and "))));
        }
        if self.user.is_some() != self.password.is_some() {
            return Err(ConfigError::new("", "`user` and `password` belong together"));
        }
        if self.client_certificate.is_some() != self.client_key.is_some() {
            return Err(ConfigError::new("", "`client_certificate` and `client_key` belong together"));
        }
        Ok(())
    }

    /// # Errors
    /// The first server that is none.
    pub(crate) fn addresses(&self) -> Result<Vec<Address>, ConfigError> {
        if self.servers.is_empty() || self.servers.len() > SERVERS_MAX {
            return Err(ConfigError::new("/servers", format!("there are 1 to {SERVERS_MAX} servers")));
        }
        let parsed = self.servers.iter().enumerate().map(|(at, url)| {
            let fault = "a server is `nats://host:port` or `tls://host:port`; who logs in is said in fields of their own";
            address(url).ok_or_else(|| ConfigError::new(format!("/servers/{at}"), fault))
        });
        parsed.collect()
    }
}

/// Credentials in a URL are refused: URLs are shown.
fn address(url: &str) -> Option<Address> {
    if url.len() > URL_BYTES_MAX {
        return None;
    }
    let (needs_tls, rest) = match url.split_once("://") {
        None => (false, url),
        Some(("nats", rest)) => (false, rest),
        Some(("tls", rest)) => (true, rest),
        Some(_) => return None,
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let (host, port) = if let Some(bracketed) = rest.strip_prefix('[') {
        let (host, after) = bracketed.split_once(']')?;
        host.parse::<std::net::Ipv6Addr>().ok()?;
        (host, after.strip_prefix(':').or_else(|| after.is_empty().then_some(""))?)
    } else {
        rest.split_once(':').unwrap_or((rest, ""))
    };
    let is_of_hosts = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':');
    if host.is_empty() || !host.bytes().all(is_of_hosts) {
        return None;
    }
    let port = if port.is_empty() { PORT } else { port.parse().ok().filter(|port| *port != 0)? };
    Some(Address { host: host.to_owned(), port, needs_tls })
}

/// A trigger.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// `"$res:PATH"` of a resource of the type `nats`, or what would be in it.
    pub(crate) connection: Connection,
    /// What is listened to, with `*` and `>`; of a stream, where that is given, else everything of it.
    #[serde(default)]
    pub(crate) subject: Option<String>,
    /// Core NATS: those who listen with the same name share the messages. One of the trigger's own where nothing is said.
    #[serde(default)]
    pub(crate) queue: Option<String>,
    /// From a stream, where no message is lost while nobody listens. Without it, core NATS: whoever does not listen hears nothing.
    #[serde(default)]
    pub(crate) jetstream: Option<JetStream>,
    /// Runs of one subject execute one after another, in the order of their messages.
    #[serde(default)]
    pub(crate) ordered: bool,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct JetStream {
    pub(crate) stream: String,
    /// A durable pull consumer that is there; else one of the trigger's own is made, with the settings below.
    #[serde(default)]
    pub(crate) consumer: Option<String>,
    /// Where a new consumer begins.
    #[serde(default)]
    pub(crate) deliver: Deliver,
    /// After so long without an acknowledgement a message is delivered again: 30 s where nothing is said.
    #[serde(default)]
    pub(crate) ack_wait_ms: Option<u64>,
    /// How often a message is delivered at most; for ever where nothing is said.
    #[serde(default)]
    pub(crate) max_deliver: Option<u32>,
    /// Messages that wait for their acknowledgement at once; with that many the server pauses. 4,000 where nothing is said.
    #[serde(default)]
    pub(crate) max_ack_pending: Option<u32>,
    /// The server removes the trigger's own consumer once nobody has listened for so long, e.g. because the trigger was deleted; whoever listens again
    /// begins where `deliver` says. Never where nothing is said.
    #[serde(default)]
    pub(crate) inactive_threshold_ms: Option<u64>,
    /// Domain of the stream, in the case of leaf nodes.
    #[serde(default)]
    pub(crate) domain: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Deliver {
    /// At the first message that the stream has.
    #[default]
    All,
    /// At what comes from then on.
    New,
    /// At the last message.
    Last,
    /// At the last message of each subject.
    LastPerSubject,
}

impl Deliver {
    /// As the server's API has it.
    pub(crate) const fn policy(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::New => "new",
            Self::Last => "last",
            Self::LastPerSubject => "last_per_subject",
        }
    }
}

impl JetStream {
    pub(crate) fn ack_wait(&self) -> Duration {
        Duration::from_millis(self.ack_wait_ms.unwrap_or(ACK_WAIT_DEFAULT_MS))
    }

    pub(crate) fn max_ack_pending(&self) -> u32 {
        self.max_ack_pending.unwrap_or(MAX_ACK_PENDING_DEFAULT)
    }

    /// Where its API is.
    pub(crate) fn api(&self) -> String {
        self.domain.as_ref().map_or_else(|| "$JS.API".to_owned(), |domain| format!("$JS.{domain}.API"))
    }

    fn check(&self) -> Result<(), ConfigError> {
        name("/jetstream/stream", &self.stream)?;
        self.consumer.as_deref().map_or(Ok(()), |consumer| name("/jetstream/consumer", consumer))?;
        self.domain.as_deref().map_or(Ok(()), |domain| name("/jetstream/domain", domain))?;
        if self.ack_wait_ms.is_some_and(|wait| !ACK_WAIT.contains(&wait)) {
            let text = format!("ack_wait_ms is from {} to {}", ACK_WAIT.start(), ACK_WAIT.end());
            return Err(ConfigError::new("/jetstream/ack_wait_ms", text));
        }
        if self.max_ack_pending.is_some_and(|most| !MAX_ACK_PENDING.contains(&most)) {
            let text = format!("max_ack_pending is from {} to {}", MAX_ACK_PENDING.start(), MAX_ACK_PENDING.end());
            return Err(ConfigError::new("/jetstream/max_ack_pending", text));
        }
        if self.inactive_threshold_ms.is_some_and(|threshold| !INACTIVE_THRESHOLD.contains(&threshold)) {
            let text = format!("inactive_threshold_ms is from {} to {}", INACTIVE_THRESHOLD.start(), INACTIVE_THRESHOLD.end());
            return Err(ConfigError::new("/jetstream/inactive_threshold_ms", text));
        }
        if self.max_deliver == Some(0) {
            return Err(ConfigError::new("/jetstream/max_deliver", "max_deliver is at least 1"));
        }
        let says_more = self.deliver != Deliver::All || self.ack_wait_ms.is_some() || self.max_deliver.is_some();
        if self.consumer.is_some() && (says_more || self.max_ack_pending.is_some() || self.inactive_threshold_ms.is_some()) {
            return Err(ConfigError::new("/jetstream/consumer", "a consumer that is there has settings of its own: leave out the others"));
        }
        Ok(())
    }
}

impl Config {
    /// # Errors
    /// What the types do not say.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        self.connection.check().map_err(|error| ConfigError::new(format!("/connection{}", error.pointer), error.message))?;
        if let Some(subject) = &self.subject {
            subject::check_pattern(subject).map_err(|fault| ConfigError::new("/subject", fault))?;
        }
        if let Some(queue) = &self.queue {
            name("/queue", queue)?;
        }
        match &self.jetstream {
            None if self.subject.is_none() => Err(ConfigError::new("/subject", "core NATS needs a subject")),
            None => Ok(()),
            Some(_) if self.queue.is_some() => {
                Err(ConfigError::new("/queue", "those who listen to a stream share a consumer, not a queue group"))
            }
            Some(jetstream) if jetstream.consumer.is_some() && self.subject.is_some() => {
                Err(ConfigError::new("/subject", "a consumer that is there has its own subject"))
            }
            Some(jetstream) => jetstream.check(),
        }
    }
}

/// It becomes a token of subjects.
fn name(pointer: &str, name: &str) -> Result<(), ConfigError> {
    let is_of_names = |c: char| !c.is_whitespace() && !c.is_control() && !matches!(c, '.' | '*' | '>' | '/' | '\\');
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.chars().all(is_of_names) {
        let text = format!("a name has 1 to {NAME_BYTES_MAX} bytes, without spaces, `.`, `*`, `>`, `/` and `\\`");
        return Err(ConfigError::new(pointer, text));
    }
    Ok(())
}
