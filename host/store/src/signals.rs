//! What nodes tell each other at once, so that nobody waits for a timer. A signal may be lost: whoever hears one also looks by itself
//! now and then.

use futures_util::stream::BoxStream;
use sandmill_model::{BoxFuture, ListenerId, RunId, TokenId, WorkspaceId, people::Name};

use crate::StoreError;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Runs became ready.
    Ready,
    /// These runs ended.
    Ended(Vec<RunId>),
    /// More of the logs of these runs is written.
    Logged(Vec<RunId>),
    /// Somebody wants these runs to end; whoever executes one ends it.
    Cancel(Vec<RunId>),
    /// These tokens were revoked, or have other secrets.
    Revoked(Vec<TokenId>),
    /// These users changed, or sessions of theirs ended.
    People(Vec<Name>),
    /// Who may do what in these workspaces changed.
    Members(Vec<WorkspaceId>),
    /// Triggers of these workspaces changed, or what they refer to.
    Triggers(Vec<WorkspaceId>),
    /// Somebody listens: who sent this and hears it has heard all that was sent before.
    Beat { of: ListenerId, number: u64 },
}

/// Signals of other nodes, and one's own.
pub type Heard = BoxStream<'static, Result<Signal, StoreError>>;

pub trait Signals: Send + Sync + 'static {
    /// Whether there can be other nodes: a database in a file has only one.
    fn reach_others(&self) -> bool;

    /// Only where there can be others. By a way of its own: what else the database is at does not hold it up.
    fn send(&self, signal: Signal) -> BoxFuture<'_, Result<(), StoreError>>;

    /// What is sent from now on, until the stream ends or fails. Only where there can be others.
    fn listen(&self) -> BoxFuture<'_, Result<Heard, StoreError>>;
}
