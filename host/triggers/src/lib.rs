//! The kinds of trigger: one folder each, one row each in the registry. Nothing outside this crate names a kind.

mod nats;
mod poll;
mod route;
mod schedule;
mod web;
mod webhook;

use sandmill_model::trigger::{Kind, Kinds, Listening, Mounted, publisher};

/// The registry. A new kind is a folder, a `mod` line and a row here.
#[must_use]
pub fn kinds() -> Kinds {
    Kinds::from_iter([
        Kind::endpoint(Mounted::<webhook::Webhook>::shared()),
        Kind::endpoint(Mounted::<route::Route>::shared()),
        Kind::listener(Listening::<schedule::Schedule>::shared()),
        Kind::listener(Listening::<poll::Poll>::shared()),
        Kind::listener(Listening::<nats::Nats>::shared()).with_publisher(publisher::<nats::Nats>()),
    ])
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use http::HeaderMap;
    use sandmill_model::trigger::{Head, To};

    #[test]
    fn each_kind_takes_what_it_says() {
        for endpoint in super::kinds().endpoints() {
            assert_eq!(endpoint.plain().is_some(), endpoint.info().is_of_every_script, "{}", endpoint.kind());
            assert!(!endpoint.operations().is_empty(), "{}", endpoint.kind());
            for operation in endpoint.operations() {
                let rest = operation.path.replace("{workspace}", "w").replace("{path}", "f/a/b");
                let (method, headers) = (operation.method.parse().unwrap(), HeaderMap::new());
                let address = endpoint.address(Head { method: &method, rest: &rest, headers: &headers }).unwrap();
                match address.to {
                    To::Script { reply, .. } => assert_eq!(reply, operation.reply, "{operation:?}"),
                    To::Stored { path, .. } => assert!(path.starts_with('/'), "{operation:?}"),
                }
                assert!(operation.summary.ends_with('.') && operation.summary.chars().count() <= 100, "{operation:?}");
            }
        }
    }

    #[test]
    fn kinds_and_prefixes_are_unique_and_fit_a_url() {
        let kinds = super::kinds();
        let names: HashSet<_> = kinds.all().iter().map(|kind| kind.info.name).collect();
        let prefixes: HashSet<_> = kinds.endpoints().map(|endpoint| endpoint.prefix()).collect();
        assert_eq!((names.len(), prefixes.len()), (kinds.all().len(), kinds.endpoints().count()));
        for prefix in prefixes {
            assert!(!prefix.is_empty() && prefix.bytes().all(|byte| byte.is_ascii_lowercase()), "{prefix}");
            assert!(!["api", "errors", "health", "ready", "metrics"].contains(&prefix), "{prefix} is the host's own");
        }
    }
}
