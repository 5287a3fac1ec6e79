//! Whereto kinds may connect. A broker is no way round the rules that hold for what scripts send.

use std::{net::IpAddr, sync::Arc};

use super::{ConfigError, ListenError, PublishError};
use crate::BoxFuture;

/// Why a host is not connected to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreachable {
    /// One of its addresses may not be connected to.
    #[error("{0}")]
    Denied(String),
    /// Its name cannot be resolved at present.
    #[error("{0}")]
    Transient(String),
}

/// What the operator lets kinds reach, and whom to believe there.
pub trait Network: Send + Sync + 'static {
    /// Addresses of a host, which is a name or an address itself; at least one. With one that is denied there is none: a kind connects to what it was given
    /// here, and never resolves a name itself.
    ///
    /// # Errors
    /// See [`Unreachable`].
    fn addresses<'a>(&'a self, host: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, Unreachable>>;

    /// Certificates, as PEM, that the operator trusts beside Mozilla's.
    fn authorities(&self) -> Option<Arc<[u8]>> {
        None
    }
}

/// Where nothing can be reached: what holds as long as nobody says otherwise.
#[derive(Clone, Copy, Debug)]
pub struct Nowhere;

impl Nowhere {
    #[must_use]
    pub fn shared() -> Arc<dyn Network> {
        Arc::new(Self)
    }
}

impl Network for Nowhere {
    fn addresses<'a>(&'a self, host: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, Unreachable>> {
        Box::pin(async move { Err(Unreachable::Denied(format!("{host} cannot be reached from here"))) })
    }
}

impl From<Unreachable> for ListenError {
    fn from(error: Unreachable) -> Self {
        match error {
            Unreachable::Denied(text) => Self::Config(ConfigError::new("", text)),
            Unreachable::Transient(text) => Self::Transient(text),
        }
    }
}

impl From<Unreachable> for PublishError {
    fn from(error: Unreachable) -> Self {
        match error {
            Unreachable::Denied(text) => Self::Invalid(text),
            Unreachable::Transient(text) => Self::Transient(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn nothing_is_reached_where_nobody_allowed_it() {
        let denied = Nowhere.addresses("broker").now_or_never().unwrap().unwrap_err();
        assert!(matches!(&denied, Unreachable::Denied(text) if text.contains("broker")));
        assert!(matches!(ListenError::from(denied), ListenError::Config(_)));
    }
}
