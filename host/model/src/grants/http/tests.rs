use super::*;

fn grant(text: &str) -> HttpGrant {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn covers(text: &str, method: &str, url: &str) -> bool {
    let (origin, path) = url.split_at(url[8..].find('/').map_or(url.len(), |at| at + 8));
    grant(text).covers(method, &origin.parse().unwrap(), if path.is_empty() { "/" } else { path })
}

#[test]
fn one_form_for_each() {
    for (text, form) in [
        ("https://api.github.com", "https://api.github.com"),
        (
            "  get,post,GET   https://API.github.com:443/repos/  with  f/github/main ",
            "GET,POST https://api.github.com/repos with f/github/main",
        ),
        ("https://*.Example.com:8443/", "https://*.example.com:8443"),
        ("GET https://*", "GET https://*"),
        ("http://*:8080/a", "http://*:8080/a"),
        ("http://[::0001]:80/a%20b", "http://[::1]/a%20b"),
        ("M-SEARCH http://10.0.0.1", "M-SEARCH http://10.0.0.1"),
    ] {
        assert_eq!(grant(text).to_string(), form);
        assert_eq!(grant(form), grant(text));
        assert_eq!(serde_json::from_str::<HttpGrant>(&serde_json::to_string(&grant(text)).unwrap()).unwrap(), grant(text));
    }
}

#[test]
fn what_is_no_grant() {
    let long = format!("https://a/{}", "x".repeat(GRANT_BYTES_MAX));
    for (text, told) in [
        ("", "no origin"),
        ("GET", "no origin"),
        ("api.github.com", "no origin"),
        ("GET api.github.com", "is no URL"),
        ("ftp://a", "neither"),
        ("G=T https://a", "no method"),
        (", https://a", "no method"),
        ("GET,CONNECT https://a", "never"),
        ("trace https://a", "never"),
        ("GET POST https://a", "what follows"),
        ("https://a f/x/y", "what follows"),
        ("https://a with", "what follows"),
        ("https://a with f/x/y more", "what follows"),
        ("https://a with x/y", "the resource"),
        ("https://a with f/x/../y", "the resource"),
        ("https://user:pass@a", "user"),
        ("https://user@a/b", "user"),
        ("https://a?b=c", "query"),
        ("https://a/b?c", "query"),
        ("https://a/b#c", "query"),
        ("https://a*.b", "neither for all"),
        ("https://*a.b", "neither for all"),
        ("https://a.*", "neither for all"),
        ("https://*.*.a", "no part"),
        ("https://**", "neither"),
        ("https://*.10.0.0.1", "nothing is under"),
        ("https://*.", "no part"),
        ("https://2130706433", "IPv4"),
        ("https://0x7f.1/", "IPv4"),
        ("https://bücher.example", "punycode"),
        ("https://a./b", "dot"),
        ("https://a:0", "port"),
        ("https://a:*", "port"),
        ("https://a/b/*", "`*`"),
        ("https://a/../b", "segments"),
        ("https://a/b/./c", "segments"),
        ("https://a/%2e%2E/b", "segments"),
        ("https://a/b%2Fc", "segments"),
        ("https://a/b%5cc", "segments"),
        ("https://a/b\\c", "segments"),
        ("https://a\\b", "segments"),
        ("https://a//b", "segments"),
        ("https://a/ä", "segments"),
        (&long, "more than"),
    ] {
        let error = text.parse::<HttpGrant>().expect_err(text).to_string();
        assert!(error.contains(told) && error.contains("[METHOD,"), "{text}: {error}");
    }
}

#[test]
fn requests_that_are_covered_and_not() {
    for (text, method, url, covered) in [
        ("https://a.b", "GET", "https://a.b", true),
        ("https://a.b", "DELETE", "https://a.b/x/../y", true),
        ("https://a.b", "CONNECT", "https://a.b/", false),
        ("https://a.b", "TRACE", "https://a.b/", false),
        ("GET,POST https://a.b", "POST", "https://a.b/", true),
        ("GET,POST https://a.b", "PUT", "https://a.b/", false),
        ("GET https://a.b", "get", "https://a.b/", false),
        ("https://a.b", "GET", "http://a.b/", false),
        ("https://a.b", "GET", "http://a.b:443/", false),
        ("https://a.b", "GET", "https://a.b:8443/", false),
        ("https://a.b:8443", "GET", "https://a.b:8443/", true),
        ("https://a.b", "GET", "https://x.a.b/", false),
        ("https://a.b", "GET", "https://a.b.evil.com/", false),
        ("https://*.a.b", "GET", "https://x.a.b/", true),
        ("https://*.a.b", "GET", "https://y.x.a.b/", true),
        ("https://*.a.b", "GET", "https://a.b/", false),
        ("https://*.a.b", "GET", "https://xa.b/", false),
        ("https://*.a.b", "GET", "https://evila.b/", false),
        ("https://*", "GET", "https://anything.at.all/", true),
        ("https://*", "GET", "https://[::1]/", true),
        ("https://*", "GET", "http://anything/", false),
        ("https://*.b", "GET", "https://10.0.0.1/", false),
        ("https://a/repos", "GET", "https://a/repos", true),
        ("https://a/repos", "GET", "https://a/repos/x/y%20z", true),
        ("https://a/repos/", "GET", "https://a/repos", true),
        ("https://a/repos", "GET", "https://a/reposx", false),
        ("https://a/repos", "GET", "https://a/Repos", false),
        ("https://a/repos", "GET", "https://a/", false),
        ("https://a/repos", "GET", "https://a/repos/../admin", false),
        ("https://a/repos", "GET", "https://a/repos/..;/admin", false),
        ("https://a/repos", "GET", "https://a/repos/%2e%2e/admin", false),
        ("https://a/repos", "GET", "https://a/repos/.%2E/admin", false),
        ("https://a/repos", "GET", "https://a/repos/%252e%252e/admin", false),
        ("https://a/repos", "GET", "https://a/repos/..%2fadmin", false),
        ("https://a/repos", "GET", "https://a/repos/..%5Cadmin", false),
        ("https://a/repos", "GET", "https://a/repos\\..\\admin", false),
        ("https://a/repos", "GET", "https://a/repos/x\ny", false),
        ("https://a/repos", "GET", "https://a/repos/...", true),
        ("https://a/repos", "GET", "https://a/repos/%25%32%65%25%32%65/admin", false),
        ("https://a/repos", "GET", "https://a/repos/%25252e%25252e/admin", false),
        ("https://a/repos", "GET", "https://a/repos/%25%35%63x", false),
        ("https://a/repos", "GET", "https://a/repos/..%20/admin", false),
        ("https://a/repos", "GET", "https://a/repos/..%3b/admin", false),
        ("https://a/repos", "GET", "https://a/repos/x%0a", false),
        ("https://a/repos", "GET", "https://a/repos/100%25/%C3%A4%2525", true),
        ("https://a/repos", "GET", "https://a/repos/%25252525252541", false),
        ("https://a", "trace", "https://a/", false),
        ("https://a", "Connect", "https://a/", false),
        ("https://a", "PRI", "https://a/", false),
    ] {
        assert_eq!(covers(text, method, url), covered, "{text}: {method} {url}");
    }
}

#[test]
fn grants_that_ask_for_nothing_more() {
    for (wide, narrow, covered) in [
        ("https://*", "GET https://a.b/c", true),
        ("https://*", "https://*.b", true),
        ("https://*.b", "https://*.a.b", true),
        ("https://*.b", "https://a.b", true),
        ("https://*.b", "https://*.b/x", true),
        ("https://*.a.b", "https://*.b", false),
        ("https://*.b", "https://b", false),
        ("https://*.b", "https://*", false),
        ("https://a.b", "https://*.b", false),
        ("GET,POST https://a", "POST https://a", true),
        ("GET https://a", "GET,POST https://a", false),
        ("GET https://a", "https://a", false),
        ("https://a/x", "https://a/x/y", true),
        ("https://a/x", "https://a/xy", false),
        ("https://a/x", "https://a", false),
        ("https://a", "http://a", false),
        ("https://a", "https://a:1", false),
        ("https://a", "https://a with f/x/y", false),
        ("https://a with f/x/y", "https://a", true),
        ("https://a with f/x/y", "https://a with f/x/y", true),
        ("https://a with f/x/y", "https://a with f/x/z", false),
    ] {
        assert_eq!(grant(wide).covers_grant(&grant(narrow)), covered, "{wide} and {narrow}");
        assert!(grant(narrow).covers_grant(&grant(narrow)));
    }
}

#[test]
fn grants_that_some_request_is_common_to() {
    for (asked, given, overlap) in [
        ("https://a", "https://a", true),
        ("GET https://a", "https://a/x", true),
        ("GET,PUT https://*.b/x", "POST,PUT https://a.b/x/y", true),
        ("GET https://a", "POST https://a", false),
        ("https://a", "http://a", false),
        ("https://a", "https://a:1", false),
        ("https://*.a.b", "https://*.b", true),
        ("https://*.a.b", "https://*.c.b", false),
        ("https://*.a.b", "https://*", true),
        ("https://a", "https://*.a", false),
        ("https://a/x", "https://a/xy", false),
        ("https://a/x/y", "https://a/x", true),
        ("https://a", "https://a with f/x/y", true),
        ("https://a with f/x/y", "https://a", false),
        ("https://a with f/x/y", "GET https://a/x with f/x/y", true),
        ("https://a with f/x/y", "https://a with f/x/z", false),
    ] {
        assert_eq!(grant(asked).overlaps(&grant(given)), overlap, "{asked} and {given}");
    }
}
