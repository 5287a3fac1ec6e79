//! The audit log: what an entry says, and how entries are chained so that none is changed, taken out or put in without notice.
//!
//! Each workspace has a chain of its own, and the installation has one. Store, API and command line check chains with the same code.

mod chain;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    Digest, JsonText, Timestamp,
    ids::{AuditId, TokenId, WorkspaceId},
};

pub use chain::{Broken, InvalidLink, Link, Verifier};

/// Bytes of the JSON that an entry shows from before a change, and the same after it.
pub const VALUE_BYTES_MAX: usize = 8 * 1024;
/// Bytes of what an entry is about, and of what a caller calls its program.
pub const TARGET_BYTES_MAX: usize = 512;
pub const USER_AGENT_BYTES_MAX: usize = 200;
/// Days for which entries are kept, unless the operator or a workspace says otherwise.
pub const DAYS_DEFAULT: u32 = 365;

/// The form of the bytes that are hashed.
const FORM: &[u8] = b"sandmill audit entry 1";

/// As what somebody acted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActorKind {
    /// Nobody that is known.
    Anonymous,
    /// Whoever has an API token.
    Token,
    /// A person who has logged in.
    Session,
    /// A run, by its own token.
    Run,
    /// The server itself.
    System,
    /// Whoever starts the server, by what they tell it.
    Operator,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuditOutcome {
    Done,
    /// Whoever asked may not do it.
    Denied,
    /// Something went wrong on the server's side; some of it may be done.
    Failed,
    /// It was begun, and its end was not recorded: the server ended before.
    Unknown,
}

macro_rules! names {
    ($type:ident: $($variant:ident $name:literal)*) => {
        impl $type {
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

names!(ActorKind: Anonymous "anonymous" Token "token" Session "session" Run "run" System "system" Operator "operator");
names!(AuditOutcome: Done "done" Denied "denied" Failed "failed" Unknown "unknown");

/// Who acted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    pub kind: ActorKind,
    /// E.g. `u/ann`.
    pub identity: Option<Arc<str>>,
    pub token: Option<TokenId>,
}

impl Actor {
    /// The server itself, or nobody that is known.
    #[must_use]
    pub const fn nameless(kind: ActorKind) -> Self {
        Self { kind, identity: None, token: None }
    }
}

/// From where.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// IP address of the caller.
    pub address: Option<String>,
    /// What its program calls itself.
    pub user_agent: Option<String>,
}

/// What is recorded, before it has a place in a chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its time is that of the beginning.
    pub id: AuditId,
    /// Whose chain it is in; none: the installation's.
    pub workspace: Option<WorkspaceId>,
    pub actor: Actor,
    pub origin: Origin,
    pub request_id: String,
    /// E.g. `scripts.deploy`.
    pub action: String,
    /// A path, a name or an id; empty where the action says it all.
    pub target: String,
    pub outcome: AuditOutcome,
    /// More than 1: so many attempts of one actor, which had too many to be recorded one by one.
    pub attempts: u32,
    /// What was there, and what is there now; secrets as keyed digests.
    pub before: Option<JsonText>,
    pub after: Option<JsonText>,
}

/// A record in its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Wire", into = "Wire")]
pub struct Entry {
    /// In its chain, from 1.
    pub number: u64,
    /// When it was recorded.
    pub at: Timestamp,
    pub record: Record,
    /// Hash of the entry before it; of the first one zeros.
    pub previous: Digest,
    pub hash: Digest,
}

impl Entry {
    /// The entry that follows `last`.
    #[must_use]
    pub fn after(last: Link, at: Timestamp, record: Record) -> Self {
        let mut entry = Self { number: last.number + 1, at, record, previous: last.hash, hash: last.hash };
        entry.hash = entry.computed();
        entry
    }

    /// The hash of all that it says, and of the hash before it. Each part has its length before it; what is not there differs from what is
    /// empty.
    #[must_use]
    pub fn computed(&self) -> Digest {
        let Record { id, workspace, actor, origin, request_id, action, target, outcome, attempts, before, after } = &self.record;
        let json = |value: &Option<JsonText>| optional(value.as_ref().map(|value| value.as_str().as_bytes()));
        Digest::of_parts(&[
            FORM,
            self.previous.as_bytes(),
            &self.number.to_be_bytes(),
            &self.at.micros().to_be_bytes(),
            id.0.as_bytes(),
            &optional(workspace.as_ref().map(|workspace| &workspace.0.as_bytes()[..])),
            actor.kind.name().as_bytes(),
            &optional(actor.identity.as_deref().map(str::as_bytes)),
            &optional(actor.token.as_ref().map(|token| &token.0.as_bytes()[..])),
            &optional(origin.address.as_deref().map(str::as_bytes)),
            &optional(origin.user_agent.as_deref().map(str::as_bytes)),
            request_id.as_bytes(),
            action.as_bytes(),
            target.as_bytes(),
            outcome.name().as_bytes(),
            &attempts.to_be_bytes(),
            &json(before),
            &json(after),
        ])
    }

    /// By which the entry after it is tied to this one.
    #[must_use]
    pub const fn link(&self) -> Link {
        Link { number: self.number, hash: self.hash }
    }
}

fn optional(bytes: Option<&[u8]>) -> Vec<u8> {
    bytes.map(|bytes| [&[1_u8], bytes].concat()).unwrap_or_default()
}

/// `value` as an entry shows it: on one line; none for null; of what is too large only its size and digest.
#[must_use]
pub fn shown(value: &serde_json::Value) -> Option<JsonText> {
    if value.is_null() {
        return None;
    }
    let text = value.to_string();
    Some(if text.len() <= VALUE_BYTES_MAX { JsonText::trusted(text) } else { left_out(&text) })
}

/// What stands for a value that an entry does not show: its size and its digest.
#[must_use]
pub fn left_out(text: &str) -> JsonText {
    let digest = Digest::of(text.as_bytes()).to_string();
    JsonText::trusted(serde_json::json!({"left_out_bytes": text.len(), "digest": digest}).to_string())
}

/// `text` without control characters, and no longer than so many bytes.
#[must_use]
pub fn bounded(text: &str, bytes_max: usize) -> String {
    let mut bounded = String::with_capacity(text.len().min(bytes_max));
    for character in text.chars().filter(|character| !character.is_control()) {
        if bounded.len() + character.len_utf8() > bytes_max {
            break;
        }
        bounded.push(character);
    }
    bounded
}

/// An entry as one JSON object without nesting, so that its values stay as they were written.
#[derive(Serialize, Deserialize)]
struct Wire {
    number: u64,
    #[serde(with = "rfc3339")]
    at: Timestamp,
    id: AuditId,
    workspace: Option<WorkspaceId>,
    actor: Actor,
    origin: Origin,
    request_id: String,
    action: String,
    target: String,
    outcome: AuditOutcome,
    attempts: u32,
    before: Option<JsonText>,
    after: Option<JsonText>,
    previous: Digest,
    hash: Digest,
}

impl From<Wire> for Entry {
    fn from(wire: Wire) -> Self {
        let Wire { number, at, id, workspace, actor, origin, request_id, action, target, outcome, attempts, before, after, previous, hash } =
            wire;
        let record = Record { id, workspace, actor, origin, request_id, action, target, outcome, attempts, before, after };
        Self { number, at, record, previous, hash }
    }
}

impl From<Entry> for Wire {
    fn from(Entry { number, at, record, previous, hash }: Entry) -> Self {
        let Record { id, workspace, actor, origin, request_id, action, target, outcome, attempts, before, after } = record;
        Self { number, at, id, workspace, actor, origin, request_id, action, target, outcome, attempts, before, after, previous, hash }
    }
}

/// Times as the API writes them.
mod rfc3339 {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::Timestamp;

    pub(super) fn serialize<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(at)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}
