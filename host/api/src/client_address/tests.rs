//! What hostile and honest proxies say.

use http::HeaderValue;

use super::*;

const PROXY: &str = "10.0.0.9";
const STRANGER: &str = "198.51.100.7";
/// What is refused.
const UNCLEAR: &str = "unclear";

fn proxies(field: ForwardedField) -> Proxies {
    Proxies { trusted: vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()], field }
}

fn of(field: ForwardedField, peer: &str, fields: &[(&'static str, &str)]) -> (String, bool) {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    let client = ClientAddress::of(&headers, peer.parse().unwrap(), false, &proxies(field));
    client.map_or((UNCLEAR.to_owned(), false), |client| (client.address.to_string(), client.is_secure))
}

fn check_x(peer: &str, values: &[&str], expected: &str) {
    let fields: Vec<_> = values.iter().map(|value| ("x-forwarded-for", *value)).collect();
    assert_eq!(of(ForwardedField::XForwardedFor, peer, &fields).0, expected, "{peer}: {values:?}");
}

#[test]
fn only_trusted_peers_are_believed() {
    check_x(STRANGER, &["192.0.2.1"], STRANGER);
    check_x("::ffff:198.51.100.7", &["192.0.2.1"], STRANGER);
    check_x(PROXY, &["192.0.2.1"], "192.0.2.1");
    check_x("::ffff:10.0.0.9", &["192.0.2.1"], "192.0.2.1");
    check_x("fd00::1", &["192.0.2.1"], "192.0.2.1");
    check_x(PROXY, &[], PROXY);
    let nobody = ClientAddress::of(&HeaderMap::new(), PROXY.parse().unwrap(), true, &Proxies::default());
    assert_eq!(nobody, Ok(ClientAddress { address: PROXY.parse().unwrap(), is_secure: true }));
}

#[test]
fn the_rightmost_address_that_is_no_proxy_counts() {
    check_x(PROXY, &["203.0.113.5, 192.0.2.1"], "192.0.2.1");
    check_x(PROXY, &["203.0.113.5, 192.0.2.1, 10.0.0.7"], "192.0.2.1");
    check_x(PROXY, &["203.0.113.5", "192.0.2.1", "10.0.0.7"], "192.0.2.1");
    check_x(PROXY, &["127.0.0.1, 192.0.2.1"], "192.0.2.1");
    check_x(PROXY, &["10.0.0.1, 10.0.0.2"], "10.0.0.1");
    check_x(PROXY, &["[2001:db8::1]:443, fd00::2"], "2001:db8::1");
    check_x(PROXY, &["192.0.2.1:1234"], "192.0.2.1");
}

#[test]
fn who_is_hidden_ends_the_search() {
    for hidden in ["unknown", "_hidden", "", " ", ",", "192.0.2.1, unknown", "192.0.2.1, _hidden,"] {
        check_x(PROXY, &[hidden], PROXY);
    }
    check_x(PROXY, &["192.0.2.1, unknown, 10.0.0.2"], "10.0.0.2");
    check_x(PROXY, &["192.0.2.1,"], "192.0.2.1");
    check_x(PROXY, &["192.0.2.1", ""], "192.0.2.1");
}

/// Nobody is counted as the proxy, or as all who come by it, by having it say what makes no sense.
#[test]
fn what_cannot_be_read_is_refused() {
    for odd in ["a b", "<script>", "192.0.2.1\t;x", "192.0.2.1, x", "x, 10.0.0.2", "fe80::1%eth0", "192.0.2.1, \u{fc}", "\"192.0.2.1"] {
        check_x(PROXY, &[odd], UNCLEAR);
        check_x(STRANGER, &[odd], STRANGER);
    }
    // What a stranger wrote is not looked at.
    check_x(PROXY, &["<script>, 192.0.2.1"], "192.0.2.1");
    let headers = HeaderMap::from_iter([(X_FORWARDED_FOR, HeaderValue::from_static("x, 10.0.0.2"))]);
    let unclear = ClientAddress::of(&headers, PROXY.parse().unwrap(), true, &proxies(ForwardedField::XForwardedFor)).unwrap_err();
    assert_eq!(unclear.nearest, ClientAddress { address: "10.0.0.2".parse().unwrap(), is_secure: true });
}

#[test]
fn what_is_far_to_the_left_is_not_looked_at() {
    let long = ["10.0.0.2"; HOPS_MAX + 1].join(",");
    check_x(PROXY, &[format!("192.0.2.1,{long}").as_str()], "10.0.0.2");
    check_x(PROXY, &["203.0.113.5,".repeat(10_000).as_str(), "192.0.2.2"], "192.0.2.2");
}

#[test]
fn the_protocol_is_what_the_nearest_proxy_says() {
    let check = |peer: &str, values: &[&str], expected: bool| {
        let fields: Vec<_> = values.iter().map(|value| ("x-forwarded-proto", *value)).chain([("x-forwarded-for", "192.0.2.1")]).collect();
        assert_eq!(of(ForwardedField::XForwardedFor, peer, &fields).1, expected, "{peer}: {values:?}");
    };
    check(PROXY, &["https"], true);
    check(PROXY, &["HTTPS"], true);
    check(PROXY, &["http, https"], true);
    check(PROXY, &["https", "http"], false);
    check(PROXY, &["https, http"], false);
    check(PROXY, &["ftp"], false);
    check(PROXY, &[], false);
    check(STRANGER, &["https"], false);
}

#[test]
fn forwarded_is_read_in_the_same_way() {
    let check = |peer: &str, values: &[&str], expected: (&str, bool)| {
        let fields: Vec<_> = values.iter().map(|value| ("forwarded", *value)).collect();
        let (address, is_secure) = of(ForwardedField::Forwarded, peer, &fields);
        assert_eq!((address.as_str(), is_secure), expected, "{peer}: {values:?}");
    };
    check(PROXY, &["for=192.0.2.1;proto=https"], ("192.0.2.1", true));
    check(STRANGER, &["for=192.0.2.1;proto=https"], (STRANGER, false));
    check(PROXY, &["for=203.0.113.5, for=\"[2001:db8::1]:80\";proto=https, for=10.0.0.2"], ("2001:db8::1", true));
    check(PROXY, &["for=203.0.113.5", "for=192.0.2.1"], ("192.0.2.1", false));
    check(PROXY, &["for=unknown;proto=https"], (PROXY, false));
    check(PROXY, &["for=192.0.2.1, for=_secret"], (PROXY, false));
    check(PROXY, &["for=192.0.2.1, proto=https"], (PROXY, false));
    check(PROXY, &["for=192.0.2.1, ,"], ("192.0.2.1", false));
    check(PROXY, &["for=192.0.2.1;for=192.0.2.2"], (UNCLEAR, false));
    check(PROXY, &["for=x"], (UNCLEAR, false));
    check(PROXY, &["for"], (UNCLEAR, false));
    // A quote without an end hides nothing behind it, and does not hide what a proxy added in a field of its own.
    check(PROXY, &["for=\"203.0.113.5", "for=192.0.2.1"], ("192.0.2.1", false));
    check(PROXY, &["for=\"203.0.113.5, for=192.0.2.1"], (UNCLEAR, false));
    check(PROXY, &["for=10.0.0.2,".repeat(FIELD_BYTES_MAX).as_str()], (UNCLEAR, false));
    let long = ["for=10.0.0.2"; HOPS_MAX].join(",");
    check(PROXY, &[format!("for=192.0.2.1,{long}").as_str()], ("10.0.0.2", false));
}

#[test]
fn the_field_that_the_proxies_do_not_write_is_a_strangers() {
    let both = [("forwarded", "for=192.0.2.1;proto=https"), ("x-forwarded-for", "192.0.2.2"), ("x-forwarded-proto", "http")];
    assert_eq!(of(ForwardedField::XForwardedFor, PROXY, &both), ("192.0.2.2".to_owned(), false));
    assert_eq!(of(ForwardedField::Forwarded, PROXY, &both), ("192.0.2.1".to_owned(), true));
}

#[test]
fn a_network_of_ipv6_counts_as_one_client() {
    let network = |text: &str| ClientAddress::of(&HeaderMap::new(), text.parse().unwrap(), false, &Proxies::default()).unwrap().network();
    for (one, other, expected) in [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", true),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", false),
        ("192.0.2.1", "::ffff:192.0.2.1", true),
        ("192.0.2.1", "192.0.2.2", false),
    ] {
        assert_eq!(network(one) == network(other), expected, "{one} {other}");
    }
}
