//! The contract of a trigger kind. A kind sees its HTTP request or its broker and its own config; rights, limits, storage, retries
//! and the run itself are the host's.
//!
//! A kind implements [`Endpoint`] (HTTP requests start its runs) or [`Listener`] (it reaches out to a broker, a clock, a database), and may
//! bring a [`Publisher`]. The registry holds each as a [`Kind`].

mod endpoint;
mod event;
mod inbox;
mod kind;
mod listener;
mod network;
mod options;
mod pattern;
mod publisher;
mod status;

pub use endpoint::{
    Access, Address, Configured, DynEndpoint, Endpoint, Head, Incoming, Mounted, Operation, REQUEST_METADATA_BYTES_MAX, Received,
    Reception, Reply, To, Verbatim,
};
pub use event::{File, NewEvent, Overlap};
pub use inbox::{Answered, Ask, Cursor, Delivery, Host, Inbox, Receipt, Shutdown};
pub use kind::{Config, ConfigError, Kind, KindInfo, Kinds, ListenError, ResourceKind};
pub use listener::{DynListener, Listener, Listening, Ready};
pub use network::{Network, Nowhere, Unreachable};
pub use options::{Alert, Batch, Dedup, Filter, KEY_BYTES_MAX, Mode, TriggerOptions, short_key};
pub use pattern::{EndpointKey, Found, InvalidPattern, Pattern, Table};
pub use publisher::{DynPublisher, Message, PublishError, Published, Publisher, Publishing, publisher};
pub use status::{SeatState, SeatStatus};
