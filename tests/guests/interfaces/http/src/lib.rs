//! Makes requests, all at once: `{"requests": [{"authority": "a", "path": "/x", …}, …]}` -> what came of each.

use serde::Deserialize;
use serde_json::{Value, json};
use wasip2::{
    http::{
        outgoing_handler,
        types::{ErrorCode, Fields, FutureIncomingResponse, IncomingResponse, Method, OutgoingBody, OutgoingRequest, RequestOptions, Scheme},
    },
    io::{
        poll::{self, Pollable},
        streams::{OutputStream, StreamError},
    },
};

wit_bindgen::generate!({
    path: ["../../../../wit/script"],
    inline: "
        package test:guest;

        world guest {
            export sandmill:script/main@0.1.0;
        }
    ",
    world: "test:guest/guest",
    generate_all,
});

use exports::sandmill::script::main::{Error, Guest, Output};

const CHUNK_BYTES: u64 = 64 * 1024;
const MS_NS: u64 = 1_000_000;

#[derive(Deserialize)]
struct Arguments {
    requests: Vec<Asked>,
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Asked {
    method: String,
    scheme: String,
    authority: Option<String>,
    path: Option<String>,
    headers: Vec<(String, String)>,
    body: Option<String>,
    /// Sends the body so many times.
    body_times: u32,
    /// Leaves the body without an end.
    unfinished: bool,
    connect_ms: Option<u64>,
    first_byte_ms: Option<u64>,
    between_ms: Option<u64>,
    /// `text`, `count` or `nothing`.
    read: String,
    /// Makes so many of it; only how each ended is told, and how often.
    times: Option<u32>,
    /// Waits for it before the next one begins.
    alone: bool,
}

impl Default for Asked {
    fn default() -> Self {
        Self {
            method: "GET".into(),
            scheme: "http".into(),
            authority: None,
            path: Some("/".into()),
            headers: Vec::new(),
            body: None,
            body_times: 1,
            unfinished: false,
            connect_ms: None,
            first_byte_ms: None,
            between_ms: None,
            read: "text".into(),
            times: None,
            alone: false,
        }
    }
}

struct Http;

impl Guest for Http {
    fn run(args: String) -> Result<Output, Error> {
        let fault = |message: String| Error { name: "TypeError".into(), message, stack: None, details: None };
        let arguments: Arguments = serde_json::from_str(&args).map_err(|error| fault(error.to_string()))?;
        let begun: Vec<Vec<Begun>> = arguments
            .requests
            .iter()
            .map(|asked| (0..asked.times.unwrap_or(1)).map(|_| if asked.alone { Begun::Ended(begin(asked).end(asked)) } else { begin(asked) }).collect())
            .collect();
        let mut results = Vec::new();
        for (asked, begun) in arguments.requests.iter().zip(begun) {
            let mut ended = all(begun, asked);
            results.push(if asked.times.is_some() { counted(&ended) } else { ended.remove(0) });
        }
        Ok(Output::Json(Value::from(results).to_string()))
    }
}

/// How each ended. Each is read as it comes: one that is answered and not read has a connection that the next may need.
fn all(begun: Vec<Begun>, asked: &Asked) -> Vec<Value> {
    let mut ended = vec![Value::Null; begun.len()];
    let mut waiting: Vec<(usize, Begun)> = begun.into_iter().enumerate().collect();
    while !waiting.is_empty() {
        let mut is_ready = ready(&waiting).into_iter();
        let (now, later): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|_| is_ready.next() == Some(true));
        for (index, begun) in now {
            ended[index] = begun.end(asked);
        }
        waiting = later;
    }
    ended
}

/// Which of them need not be waited for, once there is one at least.
fn ready(waiting: &[(usize, Begun)]) -> Vec<bool> {
    let pollables: Vec<Pollable> = waiting
        .iter()
        .filter_map(|(_, begun)| match begun {
            Begun::Ended(_) => None,
            Begun::UnderWay(future, _) => Some(future.subscribe()),
        })
        .collect();
    if pollables.len() < waiting.len() {
        return waiting.iter().map(|(_, begun)| matches!(begun, Begun::Ended(_))).collect();
    }
    let ready = poll::poll(&pollables.iter().collect::<Vec<_>>());
    let mut is_ready = vec![false; waiting.len()];
    for index in ready {
        is_ready[usize::try_from(index).expect("it is an index")] = true;
    }
    is_ready
}

/// How often each status and each error was seen.
fn counted(ended: &[Value]) -> Value {
    let mut counts = serde_json::Map::new();
    for one in ended {
        let name = one["error"].as_str().map_or_else(|| one["status"].to_string(), str::to_owned);
        let count = counts.get(&name).and_then(Value::as_u64).unwrap_or(0);
        counts.insert(name, json!(count + 1));
    }
    Value::Object(counts)
}

enum Begun {
    Ended(Value),
    UnderWay(FutureIncomingResponse, Option<OutgoingBody>),
}

fn begin(asked: &Asked) -> Begun {
    match try_begin(asked) {
        Ok(begun) => begun,
        Err(error) => Begun::Ended(json!({ "error": error })),
    }
}

fn try_begin(asked: &Asked) -> Result<Begun, String> {
    let headers = Fields::new();
    for (name, value) in &asked.headers {
        headers.append(name, value.as_bytes()).map_err(|error| format!("header {error:?}"))?;
    }
    let request = OutgoingRequest::new(headers);
    request.set_method(&method(&asked.method)).map_err(|()| "method")?;
    request.set_scheme(Some(&scheme(&asked.scheme))).map_err(|()| "scheme")?;
    request.set_authority(asked.authority.as_deref()).map_err(|()| "authority")?;
    request.set_path_with_query(asked.path.as_deref()).map_err(|()| "path")?;
    let options = RequestOptions::new();
    options.set_connect_timeout(asked.connect_ms.map(|ms| ms * MS_NS)).map_err(|()| "connect timeout")?;
    options.set_first_byte_timeout(asked.first_byte_ms.map(|ms| ms * MS_NS)).map_err(|()| "first byte timeout")?;
    options.set_between_bytes_timeout(asked.between_ms.map(|ms| ms * MS_NS)).map_err(|()| "between bytes timeout")?;
    let body = match asked.body {
        Some(_) => Some(request.body().map_err(|()| "body")?),
        None => None,
    };
    let future = outgoing_handler::handle(request, Some(options)).map_err(|error| name(&error))?;
    let Some((body, text)) = body.zip(asked.body.as_ref()) else { return Ok(Begun::UnderWay(future, None)) };
    let stream = body.write().map_err(|()| "stream")?;
    let mut written = Ok(());
    for _ in 0..asked.body_times {
        written = write(&stream, text.as_bytes());
        if written.is_err() {
            break;
        }
    }
    drop(stream);
    if asked.unfinished {
        return Ok(Begun::UnderWay(future, Some(body)));
    }
    // Whoever answers early may end the body, too; the answer counts.
    match OutgoingBody::finish(body, None) {
        Err(error) if written.is_ok() => Err(name(&error)),
        _ => Ok(Begun::UnderWay(future, None)),
    }
}

fn write(stream: &OutputStream, mut bytes: &[u8]) -> Result<(), StreamError> {
    while !bytes.is_empty() {
        let permitted = usize::try_from(stream.check_write()?).unwrap_or(usize::MAX);
        if permitted == 0 {
            stream.subscribe().block();
            continue;
        }
        let (now, later) = bytes.split_at(permitted.min(bytes.len()));
        stream.write(now)?;
        bytes = later;
    }
    Ok(())
}

impl Begun {
    fn end(self, asked: &Asked) -> Value {
        match self {
            Self::Ended(value) => value,
            Self::UnderWay(future, body) => {
                future.subscribe().block();
                let ended = match future.get() {
                    Some(Ok(Ok(response))) => read(&response, &asked.read),
                    Some(Ok(Err(error))) => json!({ "error": name(&error) }),
                    other => json!({ "error": format!("{other:?}") }),
                };
                drop(body);
                ended
            }
        }
    }
}

fn read(response: &IncomingResponse, how: &str) -> Value {
    let headers: Vec<(String, String)> =
        response.headers().entries().into_iter().map(|(name, value)| (name, String::from_utf8_lossy(&value).into_owned())).collect();
    let mut answer = json!({ "status": response.status(), "headers": headers });
    if how == "nothing" {
        return answer;
    }
    let body = response.consume().expect("the body is read once");
    let stream = body.stream().expect("the stream is taken once");
    let (mut bytes, mut count) = (Vec::new(), 0);
    loop {
        match stream.blocking_read(CHUNK_BYTES) {
            Ok(chunk) => {
                count += chunk.len();
                if how == "text" {
                    bytes.extend(chunk);
                }
            }
            Err(StreamError::Closed) => break,
            Err(StreamError::LastOperationFailed(error)) => {
                let code = wasip2::http::types::http_error_code(&error);
                answer["error"] = json!(code.map_or_else(|| error.to_debug_string(), |code| name(&code)));
                break;
            }
        }
    }
    answer["bytes"] = json!(count);
    answer["body"] = json!(String::from_utf8_lossy(&bytes));
    answer
}

/// The name of the code alone.
fn name(code: &ErrorCode) -> String {
    let text = format!("{code:?}");
    let text = text.strip_prefix("ErrorCode::").unwrap_or(&text);
    text.split(['(', ' ']).next().unwrap_or_default().to_owned()
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

fn scheme(name: &str) -> Scheme {
    match name {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        other => Scheme::Other(other.to_owned()),
    }
}

export!(Http);
