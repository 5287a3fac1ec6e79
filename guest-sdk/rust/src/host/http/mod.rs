//! `wasi:http/outgoing-handler`

mod codes;

use wasip2::{
    http::{
        outgoing_handler,
        types::{
            ErrorCode, Fields, FutureIncomingResponse, IncomingResponse, Method, OutgoingBody, OutgoingRequest, RequestOptions, Scheme,
        },
    },
    io::streams::{OutputStream, StreamError},
};

use crate::{
    Error, Result,
    http::{Request, Response},
};

const CHUNK_BYTES: u64 = 64 * 1024;

pub(crate) fn send(request: Request) -> Result<Response> {
    let told = |code| codes::told(&request.url, code);
    let outgoing = outgoing(&request)?;
    let body = match request.body {
        Some(_) => Some(outgoing.body().map_err(|()| told(ErrorCode::InternalError(None)))?),
        None => None,
    };
    let future = outgoing_handler::handle(outgoing, options(&request)).map_err(told)?;
    let sent = match body.zip(request.body.as_deref()) {
        Some((body, bytes)) => send_body(body, bytes),
        None => Ok(()),
    };
    // Whoever answers early may end the body, too; the answer counts.
    match (wait(&future), sent) {
        (Ok(response), _) => read(&request.url, &response),
        (Err(_), Err(Some(code))) | (Err(code), _) => Err(told(code)),
    }
}

fn outgoing(request: &Request) -> Result<OutgoingRequest> {
    let (is_secure, authority, path) = request.parts()?;
    let headers = Fields::new();
    for (name, value) in &request.headers {
        let refused = || Error::new("HTTP-request-header", ["the header `", name, "` cannot be set to this value"].concat());
        headers.append(name, value.as_bytes()).map_err(|_| refused())?;
    }
    let outgoing = OutgoingRequest::new(headers);
    let invalid = |()| codes::told(&request.url, ErrorCode::HttpRequestUriInvalid);
    let scheme = if is_secure { Scheme::Https } else { Scheme::Http };
    outgoing.set_method(&method(&request.method)).map_err(|()| codes::told(&request.url, ErrorCode::HttpRequestMethodInvalid))?;
    outgoing.set_scheme(Some(&scheme)).map_err(invalid)?;
    outgoing.set_authority(Some(authority)).map_err(invalid)?;
    outgoing.set_path_with_query(Some(&path)).map_err(invalid)?;
    Ok(outgoing)
}

fn method(name: &str) -> Method {
    match name {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "DELETE" => Method::Delete,
        "OPTIONS" => Method::Options,
        "PATCH" => Method::Patch,
        other => Method::Other(other.to_owned()),
    }
}

fn options(request: &Request) -> Option<RequestOptions> {
    let timeout_ns = u64::try_from(request.timeout?.as_nanos()).unwrap_or(u64::MAX);
    let options = RequestOptions::new();
    // A host that does not know one of them has bounds of its own.
    let _ = options.set_connect_timeout(Some(timeout_ns));
    let _ = options.set_first_byte_timeout(Some(timeout_ns));
    let _ = options.set_between_bytes_timeout(Some(timeout_ns));
    Some(options)
}

/// The code, if the host gave one.
fn send_body(body: OutgoingBody, bytes: &[u8]) -> Result<(), Option<ErrorCode>> {
    let stream = body.write().map_err(|()| None)?;
    let written = write(&stream, bytes);
    drop(stream);
    OutgoingBody::finish(body, None).map_err(Some)?;
    written.map_err(|_| None)
}

fn write(stream: &OutputStream, mut bytes: &[u8]) -> Result<(), StreamError> {
    while !bytes.is_empty() {
        let permitted = usize::try_from(stream.check_write()?).unwrap_or(usize::MAX);
        if permitted == 0 {
            stream.subscribe().block();
            continue;
        }
        let (now, later) = bytes.split_at_checked(permitted).unwrap_or((bytes, &[]));
        stream.write(now)?;
        bytes = later;
    }
    Ok(())
}

fn wait(future: &FutureIncomingResponse) -> Result<IncomingResponse, ErrorCode> {
    future.subscribe().block();
    match future.get() {
        Some(Ok(answer)) => answer,
        _ => Err(ErrorCode::InternalError(None)),
    }
}

fn read(url: &str, response: &IncomingResponse) -> Result<Response> {
    let headers = response.headers().entries();
    let headers = headers.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), String::from_utf8_lossy(&value).into_owned()));
    let mut answer = Response { status: response.status(), headers: headers.collect(), body: Vec::new() };
    let internal = |()| codes::told(url, ErrorCode::InternalError(None));
    let body = response.consume().map_err(internal)?;
    let stream = body.stream().map_err(internal)?;
    loop {
        match stream.blocking_read(CHUNK_BYTES) {
            Ok(chunk) => answer.body.extend(chunk),
            Err(StreamError::Closed) => return Ok(answer),
            Err(StreamError::LastOperationFailed(error)) => return Err(codes::of_stream(url, &error)),
        }
    }
}
