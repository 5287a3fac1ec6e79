//! Reading requests: bodies, URLs, paging; and names of headers.

pub(crate) mod body;
pub(crate) mod headers;
pub(crate) mod json;
pub(crate) mod paging;
pub(crate) mod room;
pub(crate) mod secret;
pub(crate) mod url;
