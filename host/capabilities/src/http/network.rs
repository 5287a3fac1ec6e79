//! Where brokers are: the same addresses that requests of scripts may go to, and the same authorities.

use std::{net::IpAddr, sync::Arc, time::Duration};

use sandmill_model::{
    BoxFuture,
    trigger::{Network, Unreachable},
};
use tokio::{sync::Semaphore, time::timeout};

use super::{
    addresses::AddressPolicy,
    limits::{ADDRESSES_MAX, LOOKUPS_OF_BROKERS},
    resolve::Resolver,
};

/// How long a name may take, the wait for other names included.
const LOOKUP_MAX: Duration = Duration::from_secs(10);

/// What an operator lets trigger kinds reach.
pub(super) struct Brokers {
    policy: AddressPolicy,
    resolver: Arc<dyn Resolver>,
    authorities: Option<Arc<[u8]>>,
    lookups: Arc<Semaphore>,
}

impl Brokers {
    pub(super) fn new(policy: AddressPolicy, resolver: Arc<dyn Resolver>, authorities: Option<&[u8]>) -> Self {
        let lookups = Arc::new(Semaphore::new(LOOKUPS_OF_BROKERS));
        Self { policy, resolver, authorities: authorities.map(Arc::from), lookups }
    }

    async fn resolve(&self, host: &str) -> Result<Vec<IpAddr>, Unreachable> {
        if let Ok(address) = host.parse() {
            return Ok(vec![address]);
        }
        let fault = |text: &dyn std::fmt::Display| Unreachable::Transient(format!("the name {host} cannot be resolved: {text}"));
        let lookup = async {
            let permit = Arc::clone(&self.lookups).acquire_owned().await.map_err(|error| fault(&error))?;
            self.resolver.resolve(host.to_owned(), permit).await.map_err(|error| fault(&error))
        };
        let addresses = timeout(LOOKUP_MAX, lookup).await.map_err(|_| fault(&"it takes too long"))??;
        match addresses.len() {
            0 => Err(fault(&"it has no address")),
            1..=ADDRESSES_MAX => Ok(addresses),
            _ => Err(fault(&format_args!("it has more than {ADDRESSES_MAX} addresses"))),
        }
    }
}

impl Network for Brokers {
    fn addresses<'a>(&'a self, host: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, Unreachable>> {
        Box::pin(async move {
            let addresses = self.resolve(host).await?;
            // As for requests: an answer that mixes denied addresses with others is an attack or a mistake.
            for address in &addresses {
                let denied = |denied| {
                    Unreachable::Denied(format!(
                        "{host} is {address}, which is {denied}: this installation does not let it be connected to"
                    ))
                };
                self.policy.check(*address).map_err(denied)?;
            }
            Ok(addresses)
        })
    }

    fn authorities(&self) -> Option<Arc<[u8]>> {
        self.authorities.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use tokio::sync::OwnedSemaphorePermit;

    use super::*;

    struct Played(Vec<IpAddr>);

    impl Resolver for Played {
        fn resolve(&self, name: String, _: OwnedSemaphorePermit) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
            let found = if name == "unknown" { Err(io::Error::other("no such name")) } else { Ok(self.0.clone()) };
            Box::pin(async move { found })
        }
    }

    fn brokers(addresses: &[&str], allowed: &[&str]) -> Brokers {
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        let blocks: Vec<ipnet::IpNet> = allowed.iter().map(|block| block.parse().unwrap()).collect();
        Brokers::new(AddressPolicy::allowing(&blocks), Arc::new(Played(addresses)), Some(b"pem"))
    }

    #[tokio::test]
    async fn a_broker_is_where_requests_may_go() {
        assert_eq!(brokers(&["8.8.8.8"], &[]).addresses("broker").await.unwrap().len(), 1);
        assert_eq!(brokers(&[], &["127.0.0.0/8"]).addresses("127.0.0.1").await.unwrap().len(), 1);
        for (found, host) in [
            (&["10.0.0.1"][..], "broker"),
            (&["8.8.8.8", "169.254.169.254"], "broker"),
            (&[], "127.0.0.1"),
            (&[], "::1"),
            (&[], "::ffff:10.0.0.1"),
        ] {
            let denied = brokers(found, &[]).addresses(host).await.unwrap_err();
            assert!(matches!(denied, Unreachable::Denied(_)), "{host}: {denied:?}");
        }
        for host in ["unknown", "empty"] {
            assert!(matches!(brokers(&[], &[]).addresses(host).await, Err(Unreachable::Transient(_))), "{host}");
        }
        assert_eq!(brokers(&[], &[]).authorities().as_deref(), Some(&b"pem"[..]));
    }
}
