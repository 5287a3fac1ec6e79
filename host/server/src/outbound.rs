//! What the operator says about scripts' requests, read.

use std::{fs, net::IpAddr, path::Path};

use anyhow::Context;
use ipnet::IpNet;
use sandmill_capabilities::http::{AddressPolicy, OutboundOptions};
use sandmill_cli::Outbound;

/// # Errors
/// If a block is none or the certificates cannot be read.
pub(crate) fn options(given: &Outbound) -> anyhow::Result<OutboundOptions> {
    let blocks: Vec<IpNet> = given.outbound_allow.iter().map(|text| block(text)).collect::<anyhow::Result<_>>()?;
    let read = |file: &Path| fs::read(file).with_context(|| format!("--outbound-ca {} cannot be read", file.display()));
    let authorities = given.outbound_ca.as_deref().map(read).transpose()?;
    Ok(OutboundOptions { policy: AddressPolicy::allowing(&blocks), authorities, ..OutboundOptions::default() })
}

/// A block, or one address.
fn block(text: &str) -> anyhow::Result<IpNet> {
    let block = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    let block = block.with_context(|| format!("--outbound-allow: `{text}` is neither a CIDR block like 10.0.0.0/8 nor an address"))?;
    anyhow::ensure!(block == block.trunc(), "--outbound-allow: `{text}` has bits beyond its length; is {} meant?", block.trunc());
    Ok(block)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_and_addresses() {
        for (text, read) in [("10.0.0.0/8", "10.0.0.0/8"), ("127.0.0.1", "127.0.0.1/32"), ("::1", "::1/128"), ("fd00::/8", "fd00::/8")] {
            assert_eq!(block(text).unwrap().to_string(), read);
        }
        for bad in ["", "10", "10.0.0.1/8", "10.0.0.0/33", "localhost", "10.0.0.0/8 "] {
            assert!(block(bad).is_err(), "{bad:?}");
        }
        assert!(options(&Outbound::default()).unwrap().stand_in.is_none(), "nothing that an operator says fakes answers");
        let missing = Outbound { outbound_ca: Some("/no/such/file".into()), ..Outbound::default() };
        assert!(options(&missing).err().unwrap().to_string().contains("/no/such/file"));
    }
}
