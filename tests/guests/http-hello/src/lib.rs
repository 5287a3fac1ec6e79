//! Greets as `hello` does, as a `wasi:http` handler: what other hosts of components are measured with.

use serde::{Deserialize, Serialize};
use wasip2::{
    exports::http::incoming_handler::Guest,
    http::types::{Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam},
    io::streams::StreamError,
};

#[derive(Deserialize)]
struct Arguments {
    name: String,
}

#[derive(Serialize)]
struct Greeting<'a> {
    hello: &'a str,
    n: [u32; 3],
}

struct Hello;

impl Guest for Hello {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let body = read(&request);
        let Ok(arguments) = serde_json::from_slice::<Arguments>(&body) else { return respond(out, 400, b"{}") };
        let greeting = Greeting { hello: &arguments.name, n: [1, 2, 3].map(|n| n * 2) };
        respond(out, 200, &serde_json::to_vec(&greeting).expect("a greeting is JSON"));
    }
}

fn read(request: &IncomingRequest) -> Vec<u8> {
    const CHUNK_BYTES: u64 = 64 * 1024;
    let body = request.consume().expect("the body is read once");
    let stream = body.stream().expect("the stream is taken once");
    let mut bytes = Vec::new();
    loop {
        match stream.blocking_read(CHUNK_BYTES) {
            Ok(chunk) => bytes.extend(chunk),
            Err(StreamError::Closed) => return bytes,
            Err(error) => panic!("{error}"),
        }
    }
}

fn respond(out: ResponseOutparam, status: u16, content: &[u8]) {
    let headers = Fields::new();
    headers.append("content-type", b"application/json").expect("a header that may be set");
    let response = OutgoingResponse::new(headers);
    response.set_status_code(status).expect("a status that there is");
    let body = response.body().expect("the body is taken once");
    ResponseOutparam::set(out, Ok(response));
    let stream = body.write().expect("the stream is taken once");
    stream.blocking_write_and_flush(content).expect("the content is short");
    drop(stream);
    OutgoingBody::finish(body, None).expect("as long as it said");
}

wasip2::http::proxy::export!(Hello);
