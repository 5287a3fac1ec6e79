//! An event as a kind makes it; the host adds from which trigger it is.

use bytes::Bytes;

use crate::{
    clock::Timestamp,
    event::{Event, TriggerRef},
    json::JsonText,
};

/// What becomes of an event while a run of the same trigger has not ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overlap {
    /// Both go on.
    #[default]
    Allow,
    /// The new one is recorded as skipped.
    Skip,
    /// The new one waits for the end of the others.
    Queue,
    /// The others are cancelled.
    CancelPrevious,
}

/// One delivery. Its payload is never altered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEvent {
    /// A JSON object: what the kind documents, without the payload.
    pub metadata: JsonText,
    pub payload: Bytes,
    /// Only where the source has a true one: a wrong one swallows events.
    pub dedup_key: Option<String>,
    /// Whoever sent it chose the key for what it says: with another payload it is refused. A source sends the same event in other words.
    pub is_callers_key: bool,
    /// Runs with equal keys execute one after another. A trigger's own setting goes before it.
    pub ordering_key: Option<String>,
    pub overlap: Overlap,
    /// When it happened at its source, where that says so: for lag.
    pub occurred_at: Option<Timestamp>,
    /// Nothing executes: it is recorded as a run that was skipped, for this reason.
    pub skip: Option<String>,
}

impl NewEvent {
    #[must_use]
    pub fn new(metadata: JsonText, payload: Bytes) -> Self {
        Self {
            metadata,
            payload,
            dedup_key: None,
            is_callers_key: false,
            ordering_key: None,
            overlap: Overlap::Allow,
            occurred_at: None,
            skip: None,
        }
    }

    /// As it is kept with its run.
    #[must_use]
    pub fn of(self, trigger: TriggerRef) -> Event {
        let Self { metadata, payload, dedup_key, ordering_key, .. } = self;
        Event { trigger, metadata, payload, dedup_key, ordering_key }
    }

    /// Bytes of what it holds in memory.
    #[must_use]
    pub fn len_bytes(&self) -> usize {
        let of_keys: usize = [&self.dedup_key, &self.ordering_key].into_iter().flatten().map(String::len).sum();
        self.payload.len() + self.metadata.as_str().len() + of_keys
    }
}

/// A file that came with an event. The host keeps it among the objects of the workspace before the run is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// The object's key: the kind has written it into the event.
    pub key: String,
    /// A media type; empty: nothing was said.
    pub content_type: String,
    pub data: Bytes,
}
