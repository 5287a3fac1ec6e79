//! Whom a URL means: `{workspace}/{path}`, where the path is looked up among the stored routes of the workspace.

use std::borrow::Cow;

use http::{Method, header::ACCESS_CONTROL_REQUEST_METHOD};
use sandmill_model::{
    Code,
    code::Refusal,
    trigger::{Address, Head, To},
};

/// Methods that a preflight can be for.
const ASKED: [Method; 5] = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];

pub(super) fn parse(head: Head<'_>) -> Result<Address<'_>, Refusal> {
    let (workspace, path) = head.rest.find('/').map_or((head.rest, "/"), |at| head.rest.split_at(at));
    if workspace.is_empty() {
        return Err(Refusal::new(Code::NotFound, "a route is called at /r/{workspace}/{path}"));
    }
    Ok(Address { workspace, to: To::Stored { method: looked_up(head), path: Cow::Borrowed(path) } })
}

/// `HEAD` is answered where `GET` is, a preflight where what it asks for is.
fn looked_up(head: Head<'_>) -> Method {
    match *head.method {
        Method::HEAD => Method::GET,
        Method::OPTIONS => {
            let asked = head.headers.get(ACCESS_CONTROL_REQUEST_METHOD).map(http::HeaderValue::as_bytes);
            let asked = ASKED.into_iter().find(|method| asked == Some(method.as_str().as_bytes()));
            asked.unwrap_or(Method::OPTIONS)
        }
        ref method => method.clone(),
    }
}
