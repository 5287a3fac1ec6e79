//! Which addresses may be connected to. What is not on the open Internet is denied unless the operator allows it, whoever asks and by
//! whatever name.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Why an address is denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Denied(&'static str);

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// What the operator allows beside the open Internet. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct AddressPolicy {
    allowed: std::sync::Arc<[IpNet]>,
}

impl AddressPolicy {
    #[must_use]
    pub fn allowing(blocks: &[IpNet]) -> Self {
        Self { allowed: blocks.into() }
    }

    /// # Errors
    /// Why the address may not be connected to.
    pub fn check(&self, address: IpAddr) -> Result<(), Denied> {
        let Some(denied) = denied(address) else { return Ok(()) };
        // A block of IPv4 addresses stands for them in whatever form they come.
        let inner = embedded(address).map(IpAddr::V4);
        let is_allowed = self.allowed.iter().any(|block| block.contains(&address) || inner.is_some_and(|inner| block.contains(&inner)));
        if is_allowed { Ok(()) } else { Err(denied) }
    }
}

const fn v4(a: u8, b: u8, c: u8, d: u8, length: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), length)
}

const fn v6(a: u16, b: u16, c: u16, length: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0), length)
}

const V4: [(Ipv4Net, Denied); 17] = [
    (v4(0, 0, 0, 0, 8), Denied("unspecified")),
    (v4(10, 0, 0, 0, 8), Denied("private")),
    (v4(100, 64, 0, 0, 10), Denied("shared by a carrier (CGNAT)")),
    (v4(127, 0, 0, 0, 8), Denied("loopback")),
    (v4(169, 254, 0, 0, 16), Denied("link-local, metadata of clouds among it")),
    (v4(172, 16, 0, 0, 12), Denied("private")),
    (v4(192, 0, 0, 0, 24), Denied("for protocols")),
    (v4(192, 0, 2, 0, 24), Denied("for documentation")),
    (v4(192, 31, 196, 0, 24), Denied("for protocols")),
    (v4(192, 52, 193, 0, 24), Denied("for protocols")),
    (v4(192, 88, 99, 0, 24), Denied("for protocols")),
    (v4(192, 168, 0, 0, 16), Denied("private")),
    (v4(198, 18, 0, 0, 15), Denied("for benchmarks")),
    (v4(198, 51, 100, 0, 24), Denied("for documentation")),
    (v4(203, 0, 113, 0, 24), Denied("for documentation")),
    (v4(224, 0, 0, 0, 4), Denied("multicast")),
    // The broadcast address among it.
    (v4(240, 0, 0, 0, 4), Denied("reserved")),
];

/// All outside of 2000::/3 is denied anyway; these name the reason, or are in it.
const V6: [(Ipv6Net, Denied); 10] = [
    (v6(0xfc00, 0, 0, 7), Denied("private")),
    (v6(0xfe80, 0, 0, 10), Denied("link-local")),
    (v6(0xfec0, 0, 0, 10), Denied("site-local")),
    (v6(0xff00, 0, 0, 8), Denied("multicast")),
    (v6(0x0100, 0, 0, 64), Denied("for discarding")),
    (v6(0x5f00, 0, 0, 16), Denied("for protocols")),
    (v6(0x2001, 0xdb8, 0, 32), Denied("for documentation")),
    (v6(0x3fff, 0, 0, 20), Denied("for documentation")),
    // Teredo is judged by what is embedded; the rest of this block are benchmarks, ORCHID and other protocols.
    (v6(0x2001, 0, 0, 23), Denied("for protocols")),
    (v6(0x64, 0xff9b, 1, 48), Denied("for local translation (NAT64)")),
];

const GLOBAL: Ipv6Net = v6(0x2000, 0, 0, 3);
const NAT64: Ipv6Net = v6(0x64, 0xff9b, 0, 96);
const SIX_TO_FOUR: Ipv6Net = v6(0x2002, 0, 0, 16);
const TEREDO: Ipv6Net = v6(0x2001, 0, 0, 32);

fn denied(address: IpAddr) -> Option<Denied> {
    match address {
        IpAddr::V4(address) => denied_v4(address),
        IpAddr::V6(address) if address.is_unspecified() => Some(Denied("unspecified")),
        IpAddr::V6(address) if address.is_loopback() => Some(Denied("loopback")),
        IpAddr::V6(address) => match embedded(IpAddr::V6(address)) {
            // The server that Teredo goes through is embedded, too.
            Some(inner) if TEREDO.contains(&address) => denied_v4(inner).or_else(|| denied_v4(teredo_server(address))),
            Some(inner) => denied_v4(inner),
            None => {
                let found = V6.iter().find(|(block, _)| block.contains(&address)).map(|(_, denied)| *denied);
                found.or_else(|| (!GLOBAL.contains(&address)).then_some(Denied("reserved")))
            }
        },
    }
}

fn denied_v4(address: Ipv4Addr) -> Option<Denied> {
    V4.iter().find(|(block, _)| block.contains(&address)).map(|(_, denied)| *denied)
}

/// The IPv4 address that a packet to this IPv6 address ends at, or may.
fn embedded(address: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(address) = address else { return None };
    let [.., a, b, c, d] = address.octets();
    let last = Ipv4Addr::new(a, b, c, d);
    if address.is_unspecified() || address.is_loopback() {
        return None;
    }
    if let [0, 0, 0, 0, 0, 0 | 0xffff, ..] = address.segments() {
        return Some(last);
    }
    // Translated without state (RFC 2765): ::ffff:0:a.b.c.d.
    if let [0, 0, 0, 0, 0xffff, 0, ..] = address.segments() {
        return Some(last);
    }
    if NAT64.contains(&address) {
        return Some(last);
    }
    if SIX_TO_FOUR.contains(&address) {
        let [_, _, a, b, c, d, ..] = address.octets();
        return Some(Ipv4Addr::new(a, b, c, d));
    }
    // The client's, with all bits turned.
    TEREDO.contains(&address).then(|| Ipv4Addr::new(!a, !b, !c, !d))
}

fn teredo_server(address: Ipv6Addr) -> Ipv4Addr {
    let [_, _, _, _, a, b, c, d, ..] = address.octets();
    Ipv4Addr::new(a, b, c, d)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(blocks: &[&str], address: &str) -> Result<(), Denied> {
        let blocks: Vec<IpNet> = blocks.iter().map(|block| block.parse().unwrap()).collect();
        AddressPolicy::allowing(&blocks).check(address.parse().unwrap())
    }

    #[test]
    fn what_is_not_on_the_open_internet_is_denied() {
        for (address, why) in [
            ("0.0.0.0", "unspecified"),
            ("0.1.2.3", "unspecified"),
            ("127.0.0.1", "loopback"),
            ("127.255.255.255", "loopback"),
            ("10.0.0.0", "private"),
            ("10.255.255.255", "private"),
            ("172.16.0.0", "private"),
            ("172.31.255.255", "private"),
            ("192.168.0.0", "private"),
            ("192.168.255.255", "private"),
            ("169.254.0.1", "link-local"),
            ("169.254.169.254", "metadata"),
            ("100.64.0.0", "CGNAT"),
            ("100.127.255.255", "CGNAT"),
            ("100.100.100.200", "CGNAT"),
            ("198.18.0.0", "benchmarks"),
            ("198.19.255.255", "benchmarks"),
            ("192.0.2.1", "documentation"),
            ("198.51.100.1", "documentation"),
            ("203.0.113.255", "documentation"),
            ("224.0.0.1", "multicast"),
            ("239.255.255.255", "multicast"),
            ("240.0.0.1", "reserved"),
            ("255.255.255.255", "reserved"),
            ("192.0.0.1", "protocols"),
            ("192.0.0.192", "protocols"),
            ("192.88.99.1", "protocols"),
            ("::", "unspecified"),
            ("::1", "loopback"),
            ("fc00::1", "private"),
            ("fdff::1", "private"),
            ("fd00:ec2::254", "private"),
            ("fe80::1", "link-local"),
            ("febf::1", "link-local"),
            ("fec0::1", "site-local"),
            ("ff02::1", "multicast"),
            ("2001:db8::1", "documentation"),
            ("3fff::1", "documentation"),
            ("100::1", "discarding"),
            ("2001:10::1", "protocols"),
            ("2001:20::1", "protocols"),
            ("2001:2::1", "protocols"),
            ("5f00::1", "protocols"),
            ("4000::1", "reserved"),
            ("1::", "reserved"),
            ("64:ff9b:1::1", "NAT64"),
            ("64:ff9b:1:fffe::8.8.8.8", "NAT64"),
            ("::ffff:127.0.0.1", "loopback"),
            ("::ffff:10.1.2.3", "private"),
            ("::ffff:169.254.169.254", "metadata"),
            ("::127.0.0.1", "loopback"),
            ("::0.0.0.2", "unspecified"),
            ("::ffff:0:127.0.0.1", "loopback"),
            ("64:ff9b::127.0.0.1", "loopback"),
            ("64:ff9b::a9fe:a9fe", "metadata"),
            ("2002:7f00:1::", "loopback"),
            ("2002:a00:1::1", "private"),
            // The bits of 10.0.0.1 turned; and a server at 127.0.0.1 before a client that is none.
            ("2001:0:808:808::f5ff:fffe", "private"),
            ("2001:0:7f00:1::f7f7:f7f7", "loopback"),
        ] {
            let denied = check(&[], address).expect_err(address).to_string();
            assert!(denied.contains(why), "{address}: {denied}");
        }
    }

    #[test]
    fn the_open_internet_is_not() {
        for address in [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2606:4700::1111",
            "2a00:1450::1",
            "2001:4860:4860::8888",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
            "2002:808:808::1",
            "2001:0:808:808::f7f7:f7f7",
        ] {
            assert_eq!(check(&[], address), Ok(()), "{address}");
        }
    }

    #[test]
    fn what_the_operator_allows() {
        for (block, address, allowed) in [
            ("127.0.0.0/8", "127.0.0.1", true),
            ("127.0.0.0/8", "::ffff:127.0.0.1", true),
            ("127.0.0.0/8", "64:ff9b::127.0.0.1", true),
            ("127.0.0.0/8", "2002:7f00:1::", true),
            ("127.0.0.0/8", "::1", false),
            ("127.0.0.0/8", "10.0.0.1", false),
            ("10.1.0.0/16", "10.1.255.255", true),
            ("10.1.0.0/16", "10.2.0.0", false),
            ("::1/128", "::1", true),
            ("::1/128", "127.0.0.1", false),
            ("fd00::/8", "fd00:ec2::254", true),
            ("0.0.0.0/0", "169.254.169.254", true),
            ("0.0.0.0/0", "fe80::1", false),
        ] {
            assert_eq!(check(&[block], address).is_ok(), allowed, "{block}: {address}");
        }
    }
}
