//! What is sent before a body, in the host's words.

use super::super::answer::Refusal;
use super::codes;
use wasip2::http::types::{ErrorCode, Fields, HeaderError, Method, OutgoingRequest, Scheme};

/// What the host lets the headers of a request take; more of them would end the run.
const HEADER_BYTES_MAX: usize = 32 * 1024;
/// What a header takes at the host beside its letters.
const HEADER_BYTES: usize = 72;

pub struct Outgoing {
    pub method: String,
    pub scheme: String,
    pub authority: String,
    /// Path with query.
    pub target: String,
    pub headers: Vec<(String, Vec<u8>)>,
}

impl Outgoing {
    pub fn request(&self) -> Result<OutgoingRequest, Refusal> {
        let bytes: usize = self.headers.iter().map(|(name, value)| name.len() + value.len() + HEADER_BYTES).sum();
        if bytes > HEADER_BYTES_MAX {
            return Err(codes::refusal(ErrorCode::HttpRequestHeaderSectionSize(None)));
        }
        let headers = Fields::from_list(&self.headers).map_err(|_| self.refused_header())?;
        let request = OutgoingRequest::new(headers);
        let invalid = |()| codes::refusal(ErrorCode::HttpRequestUriInvalid);
        request.set_method(&method(&self.method)).map_err(|()| codes::refusal(ErrorCode::HttpRequestMethodInvalid))?;
        request.set_scheme(Some(if self.scheme == "http" { &Scheme::Http } else { &Scheme::Https })).map_err(invalid)?;
        request.set_authority(Some(&self.authority)).map_err(invalid)?;
        request.set_path_with_query(Some(&self.target)).map_err(invalid)?;
        Ok(request)
    }

    /// The host says only that it refuses one of them.
    fn refused_header(&self) -> Refusal {
        for header in &self.headers {
            let name = &header.0;
            match Fields::from_list(std::slice::from_ref(header)) {
                Ok(_) => {}
                Err(HeaderError::Forbidden) => return ("forbidden", format!("the header {name} is not a script's to set")),
                Err(_) => return ("invalid-syntax", format!("the header {name} has characters that no header may have")),
            }
        }
        ("invalid-syntax", "its headers do not go together".to_owned())
    }
}

fn method(name: &str) -> Method {
    match name {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "DELETE" => Method::Delete,
        "CONNECT" => Method::Connect,
        "OPTIONS" => Method::Options,
        "TRACE" => Method::Trace,
        "PATCH" => Method::Patch,
        other => Method::Other(other.to_owned()),
    }
}
