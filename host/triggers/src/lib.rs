//! The kinds of trigger: one folder each, one row each in the registry. Nothing outside this crate names a kind.

mod web;
mod webhook;

use std::sync::Arc;

use sandmill_model::trigger::{DynEndpoint, Mounted};

/// Kinds that HTTP requests start. A new kind is a folder, a `mod` line and a row here.
#[must_use]
pub fn endpoints() -> Vec<Arc<dyn DynEndpoint>> {
    vec![Arc::new(Mounted::<webhook::Webhook>::default())]
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    #[test]
    fn each_kind_takes_what_it_says() {
        for endpoint in super::endpoints() {
            assert!(!endpoint.operations().is_empty(), "{}", endpoint.kind());
            for operation in endpoint.operations() {
                let rest = operation.path.replace("{workspace}", "w").replace("{path}", "f/a/b");
                let address = endpoint.address(&operation.method.parse().unwrap(), &rest).unwrap();
                assert_eq!(address.reply, operation.reply, "{operation:?}");
                assert!(operation.summary.ends_with('.') && operation.summary.chars().count() <= 100, "{operation:?}");
            }
        }
    }

    #[test]
    fn kinds_and_prefixes_are_unique_and_fit_a_url() {
        let endpoints = super::endpoints();
        let kinds: HashSet<_> = endpoints.iter().map(|endpoint| endpoint.kind()).collect();
        let prefixes: HashSet<_> = endpoints.iter().map(|endpoint| endpoint.prefix()).collect();
        assert_eq!((kinds.len(), prefixes.len()), (endpoints.len(), endpoints.len()));
        for prefix in prefixes {
            assert!(!prefix.is_empty() && prefix.bytes().all(|byte| byte.is_ascii_lowercase()), "{prefix}");
            assert!(!["api", "errors", "health", "ready", "metrics"].contains(&prefix), "{prefix} is the host's own");
        }
    }
}
