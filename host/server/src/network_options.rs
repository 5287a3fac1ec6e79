//! What the operator says about the network: TLS, proxies, host names.

use std::{net::IpAddr, path::PathBuf};

use anyhow::Context;
use clap::{Args, ValueEnum};
use ipnet::IpNet;
use sandmill_api::{ENDPOINT_REQUESTS_PER_S_MAX, ForwardedField, Proxies, REQUESTS_PER_S_MAX, RoutesHost};

use crate::tls;

#[derive(Clone, Debug, Args)]
pub(crate) struct NetworkOptions {
    /// PEM file with the server's certificate, followed by those between it and its authority: then connections are TLS. It is read again
    /// when it changes, and on SIGHUP.
    #[arg(long, env = "SANDMILL_TLS_CERT", requires = "tls_key")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// PEM file with the private key of --tls-cert.
    #[arg(long, env = "SANDMILL_TLS_KEY", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,
    /// Address or CIDR block of proxies that are believed when they say for whom they ask. May be given more than once, or be a list with
    /// commas.
    #[arg(long, env = "SANDMILL_TRUSTED_PROXY", value_delimiter = ',', value_parser = block)]
    pub(crate) trusted_proxy: Vec<IpNet>,
    /// The field in which they say it: `x-forwarded-for` (with `X-Forwarded-Proto`) or `forwarded` (RFC 7239). The other is not believed.
    #[arg(long, env = "SANDMILL_FORWARDED_FIELD", value_enum, default_value_t = Field::XForwardedFor)]
    pub(crate) forwarded_field: Field,
    /// Host name for what scripts answer: requests to it reach the endpoints of triggers and nothing else, and those to any other reach
    /// everything else.
    #[arg(long, env = "SANDMILL_ROUTES_HOST", value_parser = routes_host)]
    pub(crate) routes_host: Option<RoutesHost>,
    /// Requests to the API that one address may send in a second, twice as many at once after a silence; past it they are answered 429.
    /// 0: as many as come. Endpoints of triggers are counted apart.
    #[arg(long, env = "SANDMILL_REQUESTS_PER_S_MAX", default_value_t = REQUESTS_PER_S_MAX)]
    pub(crate) requests_per_s_max: u32,
    /// Requests to the endpoints of triggers that one address may send in a second, twice as many at once after a silence; past it they are
    /// answered 429. 0: as many as come. What they start is bounded by the limits of its workspace, if it has any.
    #[arg(long, env = "SANDMILL_ENDPOINT_REQUESTS_PER_S_MAX", default_value_t = ENDPOINT_REQUESTS_PER_S_MAX)]
    pub(crate) endpoint_requests_per_s_max: u32,
    /// Connections that one address (of IPv6: one network of 64 bits) may have open; more are closed at once. By default half of
    /// --connections-max, at least 64. Proxies that are trusted are not counted.
    #[arg(long, env = "SANDMILL_CONNECTIONS_PER_ADDRESS_MAX", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) connections_per_address_max: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Field {
    XForwardedFor,
    Forwarded,
}

impl NetworkOptions {
    /// Where the certificate is, if connections are TLS.
    pub(crate) fn tls(&self) -> Option<tls::Files> {
        Some(tls::Files { certificate: self.tls_cert.clone()?, key: self.tls_key.clone()? })
    }

    pub(crate) fn proxies(&self) -> Proxies {
        let field = match self.forwarded_field {
            Field::XForwardedFor => ForwardedField::XForwardedFor,
            Field::Forwarded => ForwardedField::Forwarded,
        };
        Proxies { trusted: self.trusted_proxy.clone(), field }
    }
}

fn routes_host(text: &str) -> Result<RoutesHost, String> {
    text.parse()
}

/// A block, or one address.
fn block(text: &str) -> Result<IpNet, String> {
    checked(text).map_err(|error| format!("{error:#}"))
}

fn checked(text: &str) -> anyhow::Result<IpNet> {
    let block = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    let block = block.context("it is neither a CIDR block like 10.0.0.0/8 nor an address")?;
    anyhow::ensure!(block == block.trunc(), "it has bits beyond its length; is {} meant?", block.trunc());
    Ok(block)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Options {
        #[command(flatten)]
        network: NetworkOptions,
    }

    fn parsed(arguments: &[&str]) -> Result<NetworkOptions, clap::Error> {
        Options::try_parse_from(["x"].iter().chain(arguments)).map(|options| options.network)
    }

    #[test]
    fn proxies_are_blocks_or_addresses() {
        let options = parsed(&["--trusted-proxy", "10.0.0.0/8,::1", "--trusted-proxy", "192.0.2.1"]).unwrap();
        let trusted: Vec<String> = options.proxies().trusted.iter().map(ToString::to_string).collect();
        assert_eq!(trusted, ["10.0.0.0/8", "::1/128", "192.0.2.1/32"]);
        assert_eq!(options.proxies().field, ForwardedField::XForwardedFor);
        assert_eq!(parsed(&["--forwarded-field", "forwarded"]).unwrap().proxies().field, ForwardedField::Forwarded);
        for bad in ["", "10", "10.0.0.1/8", "10.0.0.0/33", "localhost"] {
            assert!(parsed(&["--trusted-proxy", bad]).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_certificate_needs_a_key() {
        assert!(parsed(&[]).unwrap().tls().is_none());
        assert!(parsed(&["--tls-cert", "a"]).is_err() && parsed(&["--tls-key", "a"]).is_err());
        assert!(parsed(&["--tls-cert", "a", "--tls-key", "b"]).unwrap().tls().is_some());
    }

    #[test]
    fn a_host_for_routes_is_a_name() {
        assert!(parsed(&["--routes-host", "Run.Example.org"]).unwrap().routes_host.is_some());
        for bad in ["", "https://run.example.org", "run.example.org:443", "run.example.org/x", "u@run.example.org", "a b"] {
            assert!(parsed(&["--routes-host", bad]).is_err(), "{bad:?}");
        }
    }
}
