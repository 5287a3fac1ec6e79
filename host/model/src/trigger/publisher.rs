//! Kinds by which scripts send.

use std::{marker::PhantomData, sync::Arc};

use bytes::Bytes;

use super::{Config, ConfigError, Network, kind::ResourceKind};
use crate::{BoxFuture, json::JsonText};

/// What a script sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Subject, topic, queue: as the kind calls it.
    pub to: String,
    pub payload: Bytes,
    /// In the order in which they were given; a name may be there several times.
    pub headers: Vec<(String, String)>,
    /// By it the broker knows a repetition, if it can.
    pub id: Option<String>,
    /// It is sent only once the broker says that it keeps it; one that cannot say so refuses.
    pub is_kept: bool,
}

/// What the broker said; a JSON object that the kind documents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published(pub JsonText);

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// The resource or the message cannot be right.
    #[error("{0}")]
    Invalid(String),
    /// It may help to try again; it is not known whether the message arrived.
    #[error("{0}")]
    Transient(String),
}

pub trait Publisher: Send + Sync + 'static {
    /// Type of the resource by which a script sends.
    const RESOURCE: ResourceKind;
    /// Its value.
    type Connection: Config;
    /// An open connection. The host keeps some for each workspace and resource revision, and drops those that nobody uses.
    type Link: Send + Sync + 'static;

    /// What `network` does not give is not connected to, also later.
    fn connect(connection: Self::Connection, network: Arc<dyn Network>) -> BoxFuture<'static, Result<Self::Link, PublishError>>;

    /// Answers once the broker has the message, as far as it says so.
    fn publish(link: &Self::Link, message: Message) -> BoxFuture<'_, Result<Published, PublishError>>;
}

/// An open connection.
pub trait Publishing: Send + Sync + 'static {
    fn publish(&self, message: Message) -> BoxFuture<'_, Result<Published, PublishError>>;
}

/// A publisher behind a pointer, for the registry.
pub trait DynPublisher: Send + Sync + 'static {
    fn resource(&self) -> ResourceKind;
    fn connect(&self, connection: &JsonText, network: Arc<dyn Network>) -> BoxFuture<'static, Result<Arc<dyn Publishing>, PublishError>>;
}

struct Kept<P>(PhantomData<fn() -> P>);

struct Open<P: Publisher>(P::Link);

/// Carries a publisher into the registry.
#[must_use]
pub fn publisher<P: Publisher>() -> Arc<dyn DynPublisher> {
    Arc::new(Kept::<P>(PhantomData))
}

impl<P: Publisher> DynPublisher for Kept<P> {
    fn resource(&self) -> ResourceKind {
        P::RESOURCE
    }

    fn connect(&self, connection: &JsonText, network: Arc<dyn Network>) -> BoxFuture<'static, Result<Arc<dyn Publishing>, PublishError>> {
        let parsed = ConfigError::parse::<P::Connection>(connection);
        Box::pin(async move {
            let connection = parsed.map_err(|error| PublishError::Invalid(error.message))?;
            Ok(Arc::new(Open::<P>(P::connect(connection, network).await?)) as Arc<dyn Publishing>)
        })
    }
}

impl<P: Publisher> Publishing for Open<P> {
    fn publish(&self, message: Message) -> BoxFuture<'_, Result<Published, PublishError>> {
        P::publish(&self.0, message)
    }
}
