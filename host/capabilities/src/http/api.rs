//! The platform's own API, as runs reach it: at a host name that leads nowhere else. The host sends the request to this node, with the
//! run's token, which no guest ever sees (ADR 20).

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use http::{HeaderMap, HeaderName, HeaderValue, header};
use sandmill_model::{
    BoxFuture, Grant, RunId,
    auth::SharedScopes,
    grants::{
        Granted, denial,
        http::is_plain_path,
        origin::{Host, Origin, Scheme},
    },
};

use super::{addresses::AddressPolicy, fault::Fault, target::Target};
use crate::host::RunFacts;

/// Where scripts ask for it, by `http`. Names under `internal` are nobody's on the Internet.
const HOST: &str = "sandmill.internal";
/// Headers that would tell the API who asks, or for whom.
const FOR_OTHERS: [HeaderName; 4] =
    [header::COOKIE, header::FORWARDED, HeaderName::from_static("x-forwarded-for"), HeaderName::from_static("x-forwarded-host")];

/// How a run calls the API.
#[derive(Clone)]
pub struct ApiAccess {
    /// Of this node, by plain HTTP and on loopback.
    pub address: SocketAddr,
    pub token: String,
}

/// Where runs are known.
pub trait ApiPort: Send + Sync + 'static {
    /// For a run that executes here, with no more than these scopes.
    ///
    /// # Errors
    /// Why it cannot call the API at present.
    fn access(&self, run: RunId, scopes: SharedScopes) -> BoxFuture<'_, Result<ApiAccess, String>>;
}

/// What connections to the API may be made to.
pub(super) fn policy() -> AddressPolicy {
    AddressPolicy::allowing(&[IpAddr::from(Ipv4Addr::LOCALHOST).into()])
}

/// Whether a request is for the API.
pub(super) fn is_meant(origin: &Origin) -> bool {
    let port = Scheme::Http.default_port();
    origin.scheme == Scheme::Http && origin.port == port && matches!(&origin.host, Host::Name(name) if name == HOST)
}

/// What a run may ask the API, by what its script was granted.
pub(super) fn scopes(run: &RunFacts, granted: &Granted, target: &Target) -> Result<SharedScopes, Fault> {
    let scopes = run.api_scopes(granted);
    if scopes.is_empty() {
        return Err(Fault::Denied(match run.asked.api.first() {
            Some(asked) => denial(&run.attempt.path, &[Grant::Api(asked.clone())], &run.asked),
            None => format!(
                "{} may not call the API: add what it may do there to `[grants]`, as scopes of tokens (api = [\"runs:start:f/demo/*\"]), \
                 and deploy the script again with --grant \"api:runs:start:f/demo/*\"",
                run.attempt.path
            ),
        }));
    }
    let own = format!("/api/w/{}/", run.attempt.workspace_name);
    if !target.path().starts_with(&own) || !is_plain_path(target.path()) {
        return Err(Fault::Denied(format!("a run calls the API of its own workspace: what is below http://{HOST}{own}")));
    }
    Ok(scopes)
}

impl ApiAccess {
    /// Turns a request for the API into one that this node takes.
    pub(super) fn address(&self, target: &mut Target, headers: &mut HeaderMap) -> Result<(), Fault> {
        target.origin = Origin { scheme: Scheme::Http, host: Host::Address(self.address.ip()), port: self.address.port() };
        for name in FOR_OTHERS {
            headers.remove(name);
        }
        let invalid = |_| Fault::Secrets("the run's token is no header".to_owned());
        let mut value = HeaderValue::try_from(format!("Bearer {}", self.token)).map_err(invalid)?;
        value.set_sensitive(true);
        headers.insert(header::AUTHORIZATION, value);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(uri: &str) -> Target {
        Target::of(&uri.parse().unwrap()).unwrap()
    }

    #[test]
    fn one_origin_is_the_api() {
        for (uri, expected) in [
            ("http://sandmill.internal/api/w/a/runs", true),
            ("http://SANDMILL.internal:80/", true),
            ("https://sandmill.internal/", false),
            ("http://sandmill.internal:8000/", false),
            ("http://a.sandmill.internal/", false),
            ("http://127.0.0.1/", false),
        ] {
            assert_eq!(is_meant(&target(uri).origin), expected, "{uri}");
        }
    }

    #[test]
    fn a_request_goes_to_this_node_as_the_run() {
        let access = ApiAccess { address: "127.0.0.1:7000".parse().unwrap(), token: "sr_a_b".to_owned() };
        let mut target = target("http://sandmill.internal/api/w/a/runs?x");
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("authorization", "Bearer sm_other"),
            ("cookie", "a=b"),
            ("x-forwarded-for", "10.0.0.1"),
            ("forwarded", "for=a"),
            ("x-own", "1"),
        ] {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        access.address(&mut target, &mut headers).unwrap();
        assert_eq!(target.uri().unwrap().to_string(), "http://127.0.0.1:7000/api/w/a/runs?x");
        assert_eq!(headers.get(header::AUTHORIZATION).unwrap(), "Bearer sr_a_b");
        assert_eq!((headers.len(), headers.get("x-own").is_some()), (2, true));
    }

    #[test]
    fn connections_go_to_this_node() {
        assert!(policy().check("127.0.0.1".parse().unwrap()).is_ok());
        for other in ["127.0.0.2", "10.0.0.1", "::1", "169.254.169.254"] {
            assert!(policy().check(other.parse().unwrap()).is_err(), "{other}");
        }
    }
}
