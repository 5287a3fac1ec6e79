//! Whom a webhook's URL means: `{workspace}/{run|start|stream}/{path}[@N|@digest]`.

use http::Method;
use sandmill_model::{
    Code,
    code::Refusal,
    trigger::{Address, Head, Reply, To},
    version::Selector,
};

/// The second segment of a URL, and what its caller waits for.
pub(super) const VERBS: [(&str, Reply); 3] = [("run", Reply::Result), ("start", Reply::Receipt), ("stream", Reply::Events)];

pub(super) fn parse(head: Head<'_>) -> Result<Address<'_>, Refusal> {
    let Head { method, rest, headers: _ } = head;
    let shape = || {
        Refusal::new(
            Code::NotFound,
            "a webhook is called at /hooks/{workspace}/run/{path}, /hooks/{workspace}/start/{path} or /hooks/{workspace}/stream/{path}",
        )
    };
    let (workspace, rest) = rest.split_once('/').ok_or_else(shape)?;
    let (verb, target) = rest.split_once('/').ok_or_else(shape)?;
    let (_, reply) = VERBS.into_iter().find(|(known, _)| *known == verb).ok_or_else(shape)?;
    let allowed = *method == Method::POST || *method == Method::GET && reply == Reply::Result;
    if !allowed {
        return Err(Refusal::new(Code::MethodNotAllowed, format!("{method} does not go with `{verb}`")));
    }
    let (path, selector) = Selector::from_url(target).map_err(|error| Refusal::new(Code::InvalidPath, error.to_string()))?;
    Ok(Address { workspace, to: To::Script { path, selector, reply } })
}
