//! Why a request failed: the names that WIT has for it, and what they mean.

use wasip2::{
    http::types::{self, ErrorCode},
    io::error::Error as StreamError,
};

use crate::Error;

pub(super) fn told(url: &str, error: ErrorCode) -> Error {
    let (name, text) = describe(&error);
    let more = match error {
        ErrorCode::DnsError(payload) => payload.rcode,
        ErrorCode::TlsAlertReceived(payload) => payload.alert_message,
        ErrorCode::HttpResponseTransferCoding(text) | ErrorCode::HttpResponseContentCoding(text) | ErrorCode::InternalError(text) => text,
        _ => None,
    };
    // What is behind `?` may be a secret of the script's own.
    let place = url.split(['?', '#']).next().unwrap_or_default();
    let mut message = ["request to ", place, ": ", text].concat();
    if let Some(more) = more {
        message.push_str(": ");
        message.push_str(&more);
    }
    Error::new(name, message)
}

/// Of a body that broke off. What the host does not name is a fault of the connection.
pub(super) fn of_stream(url: &str, error: &StreamError) -> Error {
    told(url, types::http_error_code(error).unwrap_or(ErrorCode::ConnectionTerminated))
}

fn describe(error: &ErrorCode) -> (&'static str, &'static str) {
    match error {
        ErrorCode::DnsTimeout => ("DNS-timeout", "its host name was not looked up in time"),
        ErrorCode::DnsError(_) => ("DNS-error", "its host name cannot be looked up"),
        ErrorCode::DestinationNotFound => ("destination-not-found", "there is no such destination"),
        ErrorCode::DestinationUnavailable => ("destination-unavailable", "the destination is not available"),
        ErrorCode::DestinationIpProhibited => {
            ("destination-IP-prohibited", "its address is not on the open Internet, and whoever operates the server has not allowed it")
        }
        ErrorCode::DestinationIpUnroutable => ("destination-IP-unroutable", "no route leads to its address"),
        ErrorCode::ConnectionRefused => ("connection-refused", "the connection was refused"),
        ErrorCode::ConnectionTerminated => ("connection-terminated", "the connection ended"),
        ErrorCode::ConnectionTimeout => ("connection-timeout", "there was no connection in time"),
        ErrorCode::ConnectionReadTimeout => ("connection-read-timeout", "nothing more arrived in time"),
        ErrorCode::ConnectionWriteTimeout => ("connection-write-timeout", "nothing more could be sent in time"),
        ErrorCode::ConnectionLimitReached => ("connection-limit-reached", "too many requests are under way"),
        ErrorCode::TlsProtocolError => ("TLS-protocol-error", "TLS failed"),
        ErrorCode::TlsCertificateError => ("TLS-certificate-error", "the certificate of the server is not trusted"),
        ErrorCode::TlsAlertReceived(_) => ("TLS-alert-received", "the server refused TLS"),
        ErrorCode::HttpRequestDenied => ("HTTP-request-denied", "no grant covers it; the log says which one to ask for"),
        ErrorCode::HttpRequestLengthRequired => ("HTTP-request-length-required", "the length of its body must be said beforehand"),
        ErrorCode::HttpRequestBodySize(_) => {
            ("HTTP-request-body-size", "its body is not as long as its Content-Length, or the run has sent as much as it may")
        }
        ErrorCode::HttpRequestMethodInvalid => ("HTTP-request-method-invalid", "no request is made with its method"),
        ErrorCode::HttpRequestUriInvalid => ("HTTP-request-URI-invalid", "its URL is not one that requests go to"),
        ErrorCode::HttpRequestUriTooLong => ("HTTP-request-URI-too-long", "its URL is too long"),
        ErrorCode::HttpRequestHeaderSectionSize(_) => ("HTTP-request-header-section-size", "its headers are too large"),
        ErrorCode::HttpRequestHeaderSize(_) => ("HTTP-request-header-size", "one of its headers is too large"),
        ErrorCode::HttpRequestTrailerSectionSize(_) => ("HTTP-request-trailer-section-size", "its trailers are too large"),
        ErrorCode::HttpRequestTrailerSize(_) => ("HTTP-request-trailer-size", "one of its trailers is too large"),
        other => describe_answer(other),
    }
}

/// As `describe`, for faults of answers and the rest.
fn describe_answer(error: &ErrorCode) -> (&'static str, &'static str) {
    match error {
        ErrorCode::HttpResponseIncomplete => ("HTTP-response-incomplete", "its answer broke off"),
        ErrorCode::HttpResponseHeaderSectionSize(_) => ("HTTP-response-header-section-size", "the headers of its answer are too large"),
        ErrorCode::HttpResponseHeaderSize(_) => ("HTTP-response-header-size", "a header of its answer is too large"),
        ErrorCode::HttpResponseBodySize(_) => ("HTTP-response-body-size", "the run has received as much as it may"),
        ErrorCode::HttpResponseTrailerSectionSize(_) => ("HTTP-response-trailer-section-size", "the trailers of its answer are too large"),
        ErrorCode::HttpResponseTrailerSize(_) => ("HTTP-response-trailer-size", "a trailer of its answer is too large"),
        ErrorCode::HttpResponseTransferCoding(_) => ("HTTP-response-transfer-coding", "its answer has an unknown transfer coding"),
        ErrorCode::HttpResponseContentCoding(_) => ("HTTP-response-content-coding", "its answer has an unknown content coding"),
        ErrorCode::HttpResponseTimeout => ("HTTP-response-timeout", "there was no answer in time"),
        ErrorCode::HttpUpgradeFailed => ("HTTP-upgrade-failed", "the upgrade failed"),
        ErrorCode::HttpProtocolError => ("HTTP-protocol-error", "the other side does not speak HTTP as it should"),
        ErrorCode::LoopDetected => ("loop-detected", "the request came back to where it was"),
        ErrorCode::ConfigurationError => ("configuration-error", "credentials cannot be added to it; the log says why"),
        _ => ("internal-error", "the host failed"),
    }
}
