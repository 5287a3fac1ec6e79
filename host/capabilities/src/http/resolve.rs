//! Names to addresses.

use std::{
    io,
    net::{IpAddr, ToSocketAddrs},
};

use sandmill_model::BoxFuture;
use tokio::sync::OwnedSemaphorePermit;

pub trait Resolver: Send + Sync + 'static {
    /// All addresses of `name`. The permit is kept for as long as the lookup takes, also if nobody waits for it any more.
    fn resolve(&self, name: String, permit: OwnedSemaphorePermit) -> BoxFuture<'static, io::Result<Vec<IpAddr>>>;
}

/// As other programs on this machine do.
#[derive(Clone, Copy, Debug)]
pub struct SystemResolver;

impl Resolver for SystemResolver {
    fn resolve(&self, name: String, permit: OwnedSemaphorePermit) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let lookup = tokio::task::spawn_blocking(move || {
            let found = (name.as_str(), 0).to_socket_addrs().map(|addresses| addresses.map(|address| address.ip()).collect());
            drop(permit);
            found
        });
        Box::pin(async move { lookup.await.map_err(io::Error::other)? })
    }
}
