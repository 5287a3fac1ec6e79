//! Kinds that reach out: brokers, sockets, databases, clocks.

use std::{marker::PhantomData, sync::Arc};

use serde_json::Value;

use super::{Config, ConfigError, Inbox, KindInfo, ListenError, Network, ResourceKind, Shutdown};
use crate::{BoxFuture, json::JsonText, path::ScriptPath};

/// A kind that listens. One node has each of its seats at a time.
pub trait Listener: Send + Sync + 'static {
    const KIND: &'static str;
    /// One sentence.
    const SUMMARY: &'static str;
    /// See [`KindInfo::is_shared`].
    const IS_SHARED: bool = false;
    /// See [`KindInfo::resource_types`].
    const RESOURCE_TYPES: &'static [ResourceKind] = &[];
    type Config: Config;
    /// The event's own fields, for the docs.
    type Event: schemars::JsonSchema;

    /// What the types do not say. Pure.
    ///
    /// # Errors
    /// What is wrong with it.
    fn validate(config: &Self::Config) -> Result<(), ConfigError>;

    /// Whether it could listen: "test connection". Changes nothing at the source.
    fn probe(config: Self::Config) -> BoxFuture<'static, Result<(), ListenError>>;

    /// Listens until `stop`, then returns `Ok`. The host calls it anew after an error, with what was configured by then. An event is acknowledged
    /// only after its [`Receipt`](super::Receipt), and a delivery that fails acknowledges nothing.
    fn listen(config: Self::Config, inbox: Inbox, stop: Shutdown) -> BoxFuture<'static, Result<(), ListenError>>;

    /// What comes next, where that is known: instants for schedules. At most `limit`, from `after` on. Pure.
    ///
    /// # Errors
    /// What is wrong with the config.
    fn preview(_config: &Self::Config, _after: crate::Timestamp, _limit: usize) -> Result<Vec<crate::Timestamp>, ConfigError> {
        Ok(Vec::new())
    }

    /// Scripts that it [asks](super::Host::ask): whoever saves the trigger must be allowed to start them, as its target. Pure.
    fn asks(_config: &Self::Config) -> Vec<ScriptPath> {
        Vec::new()
    }

    /// [`Listener::probe`] of a kind that connects: only to what `network` gives it. While it listens, that is [`Host::network`](super::Host::network).
    fn probe_by(config: Self::Config, _network: Arc<dyn Network>) -> BoxFuture<'static, Result<(), ListenError>> {
        Self::probe(config)
    }
}

/// A listener with its config.
pub trait Ready: Send + Sync {
    fn probe(self: Box<Self>) -> BoxFuture<'static, Result<(), ListenError>>;
    fn listen(self: Box<Self>, inbox: Inbox, stop: Shutdown) -> BoxFuture<'static, Result<(), ListenError>>;
    /// # Errors
    /// As [`Listener::preview`].
    fn preview(&self, after: crate::Timestamp, limit: usize) -> Result<Vec<crate::Timestamp>, ConfigError>;
    /// As [`Listener::asks`].
    fn asks(&self) -> Vec<ScriptPath> {
        Vec::new()
    }

    /// See [`Listener::probe_by`].
    fn probe_by(self: Box<Self>, _network: Arc<dyn Network>) -> BoxFuture<'static, Result<(), ListenError>> {
        self.probe()
    }
}

/// A listener kind behind a pointer, for the registry.
pub trait DynListener: Send + Sync + 'static {
    fn info(&self) -> KindInfo;

    /// `config` has what it refers to in the place of references.
    ///
    /// # Errors
    /// What is wrong with it.
    fn configure(&self, config: &JsonText) -> Result<Box<dyn Ready>, ConfigError>;
}

/// Carries a kind into the registry.
pub struct Listening<L>(PhantomData<fn() -> L>);

impl<L: Listener> Listening<L> {
    #[must_use]
    pub fn shared() -> Arc<dyn DynListener> {
        Arc::new(Self(PhantomData))
    }
}

impl<L: Listener> DynListener for Listening<L> {
    fn info(&self) -> KindInfo {
        KindInfo {
            name: L::KIND,
            summary: L::SUMMARY,
            config: Value::from(schemars::schema_for!(L::Config)),
            event: Value::from(schemars::schema_for!(L::Event)),
            resource_types: L::RESOURCE_TYPES,
            prefix: None,
            listens: true,
            is_shared: L::IS_SHARED,
            is_of_every_script: false,
        }
    }

    fn configure(&self, config: &JsonText) -> Result<Box<dyn Ready>, ConfigError> {
        let config = ConfigError::parse::<L::Config>(config)?;
        L::validate(&config)?;
        Ok(Box::new(WithConfig::<L>(config)))
    }
}

struct WithConfig<L: Listener>(L::Config);

impl<L: Listener> Ready for WithConfig<L> {
    fn probe(self: Box<Self>) -> BoxFuture<'static, Result<(), ListenError>> {
        L::probe(self.0)
    }

    fn listen(self: Box<Self>, inbox: Inbox, stop: Shutdown) -> BoxFuture<'static, Result<(), ListenError>> {
        L::listen(self.0, inbox, stop)
    }

    fn preview(&self, after: crate::Timestamp, limit: usize) -> Result<Vec<crate::Timestamp>, ConfigError> {
        L::preview(&self.0, after, limit)
    }

    fn asks(&self) -> Vec<ScriptPath> {
        L::asks(&self.0)
    }

    fn probe_by(self: Box<Self>, network: Arc<dyn Network>) -> BoxFuture<'static, Result<(), ListenError>> {
        L::probe_by(self.0, network)
    }
}
