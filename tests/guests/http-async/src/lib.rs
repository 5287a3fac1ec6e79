//! A handler of WASI 0.3, which does what its path says: what handlers do, and what they should not do.

use wasip3::{
    cli::stdout,
    clocks::monotonic_clock,
    exports::http::handler::Guest,
    http::{
        client,
        types::{ErrorCode, Fields, Method, Request, Response, Scheme},
    },
    random::random,
    spawn_local, wit_bindgen, wit_future, wit_stream,
};

const SECOND_NS: u64 = 1_000_000_000;

struct Handler;

impl Guest for Handler {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let path = request.get_path_with_query().unwrap_or_default();
        let (path, query) = path.split_once('?').unwrap_or((&path, ""));
        match path {
            "/" => Ok(respond(200, body_of(request).await)),
            "/method" => Ok(respond(200, format!("{:?} {:?}", request.get_method(), request.get_authority()).into_bytes())),
            "/random" => Ok(respond(200, random::get_random_bytes(u64::MAX).len().to_string().into_bytes())),
            "/both" => both().await,
            "/print" => {
                print(b"a line\nand another\n").await;
                Ok(respond(200, Vec::new()))
            }
            "/later" => {
                spawn_local(async {
                    monotonic_clock::wait_for(SECOND_NS / 10).await;
                    print(b"after the answer\n").await;
                });
                Ok(respond(200, b"the answer".to_vec()))
            }
            "/fetch" => fetch(query).await,
            "/large" => Ok(respond(200, vec![b'x'; query.parse().unwrap_or(0)])),
            "/broken" => Err(ErrorCode::InternalError(Some("as it was asked to be".to_owned()))),
            "/trap" => panic!("as it was asked to"),
            "/loop" => loop {
                std::hint::black_box(0);
            },
            "/yield" => loop {
                wit_bindgen::yield_async().await;
            },
            "/sleep" => {
                monotonic_clock::wait_for(3600 * SECOND_NS).await;
                Ok(respond(200, Vec::new()))
            }
            "/streams" => {
                let mut kept = Vec::new();
                loop {
                    kept.push(wit_stream::new::<u8>());
                }
            }
            "/sleeps" => {
                for _ in 0..1_000_000 {
                    spawn_local(monotonic_clock::wait_for(3600 * SECOND_NS));
                    wit_bindgen::yield_async().await;
                }
                Ok(respond(200, Vec::new()))
            }
            "/copies" => copies().await,
            _ => Ok(respond(404, Vec::new())),
        }
    }
}

async fn body_of(request: Request) -> Vec<u8> {
    let (done, result) = wit_future::new(|| Ok(()));
    let (body, _trailers) = Request::consume_body(request, result);
    let bytes = body.collect().await;
    drop(done);
    bytes
}

fn respond(status: u16, content: Vec<u8>) -> Response {
    let headers = Fields::new();
    headers.append("content-type", b"text/plain").expect("a header that may be set");
    let (mut body, contents) = wit_stream::new();
    let (no_trailers, trailers) = wit_future::new(|| Ok(None));
    let (response, _sent) = Response::new(headers, Some(contents), trailers);
    response.set_status_code(status).expect("a status that there is");
    drop(no_trailers);
    spawn_local(async move {
        // Whoever reads may stop early.
        let _left = body.write_all(content).await;
    });
    response
}

/// Waits for two things at once.
async fn both() -> Result<Response, ErrorCode> {
    let began = monotonic_clock::now();
    let (tell, mut told) = wit_stream::new::<u8>();
    let mut tell = tell;
    spawn_local(async move {
        monotonic_clock::wait_for(SECOND_NS / 5).await;
        tell.write_one(1).await;
    });
    monotonic_clock::wait_for(SECOND_NS / 5).await;
    told.next().await;
    let took_ms = (monotonic_clock::now() - began) / (SECOND_NS / 1000);
    Ok(respond(200, took_ms.to_string().into_bytes()))
}

async fn print(text: &[u8]) {
    let (mut lines, stream) = wit_stream::new();
    let printed = stdout::write_via_stream(stream);
    lines.write_all(text.to_vec()).await;
    drop(lines);
    printed.await.expect("it is printed");
}

/// `authority` is what the query is.
async fn fetch(authority: &str) -> Result<Response, ErrorCode> {
    let (no_trailers, trailers) = wit_future::new(|| Ok(None));
    let (mut body, contents) = wit_stream::new();
    let (request, _sent) = Request::new(Fields::new(), Some(contents), trailers, None);
    drop(no_trailers);
    request.set_method(&Method::Post).expect("a method");
    request.set_scheme(Some(&Scheme::Http)).expect("a scheme");
    request.set_authority(Some(authority)).expect("an authority");
    request.set_path_with_query(Some("/from-a-handler")).expect("a path");
    spawn_local(async move {
        let _left = body.write_all(b"asked".to_vec()).await;
    });
    let answer = client::send(request).await?;
    let status = answer.get_status_code();
    let (done, result) = wit_future::new(|| Ok(()));
    let (body, _trailers) = Response::consume_body(answer, result);
    let bytes = body.collect().await;
    drop(done);
    Ok(respond(status, bytes))
}

/// Moves its own memory through a stream of its own, again and again.
async fn copies() -> Result<Response, ErrorCode> {
    const BYTES: usize = 32 * 1024 * 1024;
    let (mut to, mut from) = wit_stream::new::<u8>();
    spawn_local(async move {
        loop {
            to.write_all(vec![1; BYTES]).await;
        }
    });
    loop {
        from.read(Vec::with_capacity(BYTES)).await;
    }
}

wasip3::http::service::export!(Handler);
