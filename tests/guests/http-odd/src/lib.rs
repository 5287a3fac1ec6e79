//! A `wasi:http` handler that answers as its path says: well, late, not at all, or too much.

use serde_json::json;
use wasip2::{
    exports::http::incoming_handler::Guest,
    http::types::{ErrorCode, Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam},
    io::streams::{OutputStream, StreamError},
};

struct Odd;

impl Guest for Odd {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let target = request.path_with_query().unwrap_or_default();
        match target.split('?').next().unwrap_or_default() {
            "/status" => respond(out, 418, "text/plain", b"short and stout"),
            "/binary" => respond(out, 200, "image/png", &[0xff, 0, 1]),
            "/empty" => respond(out, 204, "text/plain", b""),
            "/silent" => {}
            // Kept until the instance is gone.
            "/forgetful" => std::mem::forget(out),
            "/code" => ResponseOutparam::set(out, Err(ErrorCode::InternalError(Some("no database".to_owned())))),
            "/unfinished" => {
                let (body, stream) = start(out, 200, "text/plain");
                stream.blocking_write_and_flush(b"half of it").expect("it is taken");
                std::mem::forget((stream, body));
            }
            "/endless" => {
                let (_body, stream) = start(out, 200, "text/plain");
                while stream.blocking_write_and_flush(&[b'x'; 4096]).is_ok() {}
                panic!("nobody takes it any more");
            }
            "/after" => {
                respond(out, 200, "application/json", b"true");
                println!("after the answer");
            }
            "/trap" => panic!("asked to"),
            "/trap-after" => {
                respond(out, 200, "application/json", b"true");
                panic!("too late");
            }
            "/loop" => loop {
                std::hint::spin_loop();
            },
            "/split" => {
                let headers = Fields::new();
                let refused = headers.append("x-split", b"a\r\nset-cookie: b=c").is_err();
                respond(out, 200, "application/json", refused.to_string().as_bytes());
            }
            _ => respond(out, 200, "application/json", echo(&request).as_bytes()),
        }
    }
}

/// What the handler was given.
fn echo(request: &IncomingRequest) -> String {
    let headers: Vec<(String, String)> =
        request.headers().entries().into_iter().map(|(name, value)| (name, String::from_utf8_lossy(&value).into_owned())).collect();
    let body = read(request);
    json!({
        "method": format!("{:?}", request.method()),
        "target": request.path_with_query(),
        "authority": request.authority(),
        "headers": headers,
        "body": String::from_utf8_lossy(&body),
    })
    .to_string()
}

fn read(request: &IncomingRequest) -> Vec<u8> {
    let body = request.consume().expect("the body is read once");
    let stream = body.stream().expect("the stream is taken once");
    let mut bytes = Vec::new();
    loop {
        match stream.blocking_read(64 * 1024) {
            Ok(chunk) => bytes.extend(chunk),
            Err(StreamError::Closed) => return bytes,
            Err(error) => panic!("{error}"),
        }
    }
}

fn start(out: ResponseOutparam, status: u16, content_type: &str) -> (OutgoingBody, OutputStream) {
    let headers = Fields::new();
    headers.append("content-type", content_type.as_bytes()).expect("a header that may be set");
    let response = OutgoingResponse::new(headers);
    response.set_status_code(status).expect("a status that there is");
    let body = response.body().expect("the body is taken once");
    ResponseOutparam::set(out, Ok(response));
    let stream = body.write().expect("the stream is taken once");
    (body, stream)
}

fn respond(out: ResponseOutparam, status: u16, content_type: &str, content: &[u8]) {
    let (body, stream) = start(out, status, content_type);
    for chunk in content.chunks(4096) {
        stream.blocking_write_and_flush(chunk).expect("it is taken");
    }
    drop(stream);
    OutgoingBody::finish(body, None).expect("as long as it said");
}

wasip2::http::proxy::export!(Odd);
