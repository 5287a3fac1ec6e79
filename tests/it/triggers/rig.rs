//! What a kind brings to be tested as all others are.

use std::time::Duration;

use sandmill_testkit::server::Server;
use serde_json::Value;

use super::world::{as_an_event_has_it, body};

/// How much of what its other side sends a kind delivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carries {
    /// Any bytes, and not one of them changed.
    Bytes,
    /// Values of JSON.
    Json,
    /// Nothing: that it happens is all.
    Nothing,
}

/// What becomes of an event with a payload that is too large.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TooLarge {
    /// Whoever sent it is told so.
    Refused,
    /// It is kept without its payload, as a dead letter.
    Kept,
}

/// The other side of a kind, and how it is made to send.
pub(crate) trait Rig: Sized {
    const KIND: &'static str;
    /// In the names of its triggers; rigs of one kind have names of their own.
    const NAME: &'static str = Self::KIND;
    const CARRIES: Carries = Carries::Bytes;
    const TOO_LARGE: TooLarge = TooLarge::Kept;
    /// Whether what nobody hears is there for whoever listens next, or is refused to whoever sends it. Else it is gone.
    const KEEPS: bool = true;
    /// Events of a burst.
    const BURST: usize = 200;
    /// Within which all that was sent is a run.
    const PATIENCE: Duration = Duration::from_secs(60);

    /// The other side, ready. None, with a loud line, where it cannot be had.
    async fn start() -> Option<Self>;

    /// Settings of a trigger by which all that is sent under this name arrives. What they refer to is made.
    async fn config(&self, server: &Server, name: &str) -> Value;

    /// Settings that no type or check lets pass, and a part of what is said of them.
    fn wrong(&self) -> (Value, &'static str);

    /// Settings that may be right, of another side that is not there. None: there is nothing to reach.
    async fn unreachable(&self, _server: &Server, _name: &str) -> Option<Value> {
        None
    }

    /// Sends each of these, and returns those of which it is not said that they are taken: they have to be sent again. Of a side that keeps what it has until it
    /// is acknowledged these are none.
    async fn send(&self, server: &Server, name: &str, payloads: &[Vec<u8>]) -> Vec<Vec<u8>>;

    /// Sends once more what was sent before, as the same event by its source's own key.
    async fn repeat(&self, server: &Server, name: &str, payload: &[u8]) {
        let left = self.send(server, name, &[payload.to_vec()]).await;
        assert!(left.is_empty(), "a repetition is taken, too");
    }

    /// The other side goes away and comes back with what it had.
    async fn restart(&mut self, _server: &Server, _name: &str) {
        panic!("{} has nothing to restart", Self::KIND);
    }

    /// Whether these runs are just what was sent, each of it once.
    fn hold(runs: &[Value], sent: &[Vec<u8>]) {
        let mut expected: Vec<String> = sent.iter().map(|payload| as_an_event_has_it(payload).to_string()).collect();
        let mut found: Vec<String> = runs.iter().map(|run| body(run).to_string()).collect();
        expected.sort_unstable();
        found.sort_unstable();
        assert_eq!(found, expected);
    }
}

/// Makes tests of cases for a rig, on both databases.
macro_rules! conforms {
    ($rig:ty: $($case:ident),* $(,)?) => {
        $(
            async fn $case(database: crate::shared::Database) {
                crate::triggers::cases::$case::<$rig>(database).await;
            }
        )*
        crate::shared::on_both!($($case),*);
    };
}
pub(crate) use conforms;
