//! Faked answers to scripts' requests: one address of this machine stands for every name, and a server on each port that a fake needs.

use std::{
    collections::BTreeSet,
    io,
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use sandmill_capabilities::http::{OutboundOptions, Resolver};
use sandmill_cli::{FakeAnswer, LocalRunError};
use sandmill_model::BoxFuture;
use tokio::{net::TcpListener, sync::OwnedSemaphorePermit};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Where no other program listens, if there is such an address: of loopback, Linux has all of 127.0.0.0/8, and each process takes one of its own.
fn address() -> Ipv4Addr {
    if !cfg!(target_os = "linux") {
        return Ipv4Addr::LOCALHOST;
    }
    let [.., high, low] = std::process::id().to_be_bytes();
    // Not the first and the last of 256, which others may take for the net's own.
    Ipv4Addr::new(127, 83, high, low.clamp(1, 254))
}
/// Bytes of a request's body; scripts send no more in a run.
const BODY_BYTES_MAX: usize = 512 * 1024 * 1024;

/// Answers of the case that runs.
#[derive(Clone, Default)]
struct Answers(Arc<Mutex<Vec<Prepared>>>);

struct Prepared {
    answer: FakeAnswer,
    is_used: bool,
}

#[derive(Default)]
pub(super) struct Web {
    answers: Answers,
    ports: BTreeSet<u16>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// All names are here: a script is granted requests to faked origins only.
struct Here;

impl Resolver for Here {
    fn resolve(&self, _name: String, permit: OwnedSemaphorePermit) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        drop(permit);
        Box::pin(async { Ok(vec![IpAddr::V4(address())]) })
    }
}

/// What the user allows, with all names at the faked answers.
pub(super) fn directed(mut given: sandmill_cli::Outbound) -> anyhow::Result<OutboundOptions> {
    given.outbound_allow.push(address().to_string());
    Ok(OutboundOptions { resolver: Arc::new(Here), ..crate::outbound::options(&given)? })
}

impl Web {
    /// From now on these are the answers, and no others.
    pub(super) async fn set(&mut self, answers: Vec<FakeAnswer>) -> Result<(), LocalRunError> {
        for answer in &answers {
            self.listen(answer.origin.port).await.map_err(|error| {
                LocalRunError::Input(format!(
                    "fakes: http: nothing can listen on {}:{} to answer for {}: {error}; ports below 1024 may need rights that you do not have",
                    address(),
                    answer.origin.port,
                    answer.origin.authority()
                ))
            })?;
        }
        let answers = answers.into_iter().map(|answer| Prepared { answer, is_used: false }).collect();
        *self.answers.0.lock().unwrap_or_else(PoisonError::into_inner) = answers;
        Ok(())
    }

    async fn listen(&mut self, port: u16) -> io::Result<()> {
        if self.ports.contains(&port) {
            return Ok(());
        }
        let listener = TcpListener::bind((address(), port)).await?;
        self.ports.insert(port);
        let router = Router::new().fallback(answer).with_state(self.answers.clone());
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                _ = axum::serve(listener, router).into_future() => {}
                () = stop.cancelled() => {}
            }
        });
        Ok(())
    }

    pub(super) async fn close(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Answers {
    /// The first that fits and was not given yet, else the last that fits: so one request can have several answers, one after another.
    fn take(&self, method: &str, authority: &str, target: &str) -> Option<FakeAnswer> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |one: &Prepared| {
            let FakeAnswer { method: wanted, origin, path, .. } = &one.answer;
            let target = if path.contains('?') { target } else { target.split('?').next().unwrap_or_default() };
            wanted == method && origin.authority() == authority && path == target
        };
        let index = all.iter().position(|one| fits(one) && !one.is_used).or_else(|| all.iter().rposition(fits))?;
        let found = all.get_mut(index)?;
        found.is_used = true;
        Some(found.answer.clone())
    }
}

async fn answer(State(answers): State<Answers>, request: Request) -> Response {
    let authority = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default().to_owned();
    let method = request.method().as_str().to_owned();
    let target = request.uri().path_and_query().map_or_else(|| "/".to_owned(), |target| target.as_str().to_owned());
    // Whoever sends waits until it is taken.
    let _body = to_bytes(request.into_body(), BODY_BYTES_MAX).await;
    let Some(found) = answers.take(&method, &authority, &target) else {
        return (StatusCode::NOT_IMPLEMENTED, format!("no fake answers {method} http://{authority}{target}\n")).into_response();
    };
    let mut response = Response::builder().status(found.status);
    for (name, value) in &found.headers {
        response = response.header(name, value);
    }
    let impossible =
        |error: axum::http::Error| (StatusCode::INTERNAL_SERVER_ERROR, format!("the fake is no answer: {error}\n")).into_response();
    response.body(Body::from(found.body)).unwrap_or_else(impossible)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use sandmill_model::grants::origin::{Origin, Scheme};

    use super::*;

    #[test]
    fn answers_come_in_turn_and_the_last_stays() {
        let one = |path: &str, status| FakeAnswer {
            method: "GET".to_owned(),
            origin: Origin::of(Scheme::Http, "a.example:81").unwrap(),
            path: path.to_owned(),
            status,
            headers: BTreeMap::new(),
            body: Vec::new(),
        };
        let all = [one("/x", 503), one("/x", 200), one("/y?a=1", 201)];
        let prepared = all.into_iter().map(|answer| Prepared { answer, is_used: false }).collect();
        let answers = Answers(Arc::new(Mutex::new(prepared)));
        let status = |method: &str, host: &str, target: &str| answers.take(method, host, target).map(|answer| answer.status);
        for (method, host, target, expected) in [
            ("GET", "a.example:81", "/x?b=2", Some(503)),
            ("GET", "a.example:81", "/x", Some(200)),
            ("GET", "a.example:81", "/x", Some(200)),
            ("GET", "a.example:81", "/y?a=1", Some(201)),
            ("GET", "a.example:81", "/y", None),
            ("POST", "a.example:81", "/x", None),
            ("GET", "a.example", "/x", None),
        ] {
            assert_eq!(status(method, host, target), expected, "{method} {host} {target}");
        }
    }
}
