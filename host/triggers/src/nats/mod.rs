//! NATS: a subject, shared out among those who listen, or a stream, of which nothing is lost.
//!
//! The client is our own (ADR 25): it dials only what the host gives it, its memory is bounded whoever the server is, and it ends with its listener.

mod client;
mod config;
mod event;
mod jetstream;
mod listen;
mod publish;
mod room;
mod subject;

use std::sync::Arc;

use sandmill_model::{
    BoxFuture,
    trigger::{ConfigError, Inbox, ListenError, Listener, Network, Nowhere, ResourceKind, Shutdown},
};

use self::{client::Client, config::Config, event::Metadata};

pub(crate) struct Nats;

/// Where servers are, and who we are to them.
const RESOURCE: ResourceKind = ResourceKind { name: "nats", schema: include_str!("resource.json") };
/// A probe gets no messages.
const PROBE_BYTES_KEPT: usize = 64 * 1024;

impl Listener for Nats {
    const KIND: &'static str = "nats";
    const SUMMARY: &'static str = "Messages of NATS: of a subject, or of a JetStream stream.";
    const IS_SHARED: bool = true;
    const RESOURCE_TYPES: &'static [ResourceKind] = &[RESOURCE];
    type Config = Config;
    type Event = Metadata<'static>;

    fn validate(config: &Config) -> Result<(), ConfigError> {
        config.check()
    }

    fn probe(config: Config) -> BoxFuture<'static, Result<(), ListenError>> {
        Self::probe_by(config, Nowhere::shared())
    }

    fn listen(config: Config, inbox: Inbox, stop: Shutdown) -> BoxFuture<'static, Result<(), ListenError>> {
        Box::pin(listen::listen(config, inbox, stop))
    }

    fn probe_by(config: Config, network: Arc<dyn Network>) -> BoxFuture<'static, Result<(), ListenError>> {
        Box::pin(async move {
            let mut client = Client::connect(&config.connection, &*network, PROBE_BYTES_KEPT).await?;
            match &config.jetstream {
                Some(jetstream) => jetstream::probe(&mut client, jetstream).await,
                None => {
                    let subject = config.subject.as_deref().unwrap_or_default();
                    // Whether it may be listened to; nobody else of a group of this name gets less.
                    client.subscribe(client::SUBJECT, subject, None);
                    Ok(client.settle().await?)
                }
            }
        })
    }
}

#[cfg(test)]
mod tests;
