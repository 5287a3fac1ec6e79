//! Faked answers to scripts' requests: two servers of this machine stand in for everybody, one for each scheme.

use std::{
    io,
    net::Ipv4Addr,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use sandmill_capabilities::http::StandIn;
use sandmill_cli::FakeAnswer;
use sandmill_model::grants::origin::Scheme;
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Bytes of a request's body; scripts send no more in a run.
const BODY_BYTES_MAX: usize = 512 * 1024 * 1024;

/// Answers of the case that runs.
#[derive(Clone, Default)]
struct Answers(Arc<Mutex<Vec<Prepared>>>);

struct Prepared {
    answer: FakeAnswer,
    is_used: bool,
}

pub(super) struct Web {
    /// Where all requests go.
    pub(super) stand_in: StandIn,
    answers: Answers,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Web {
    pub(super) async fn open() -> io::Result<Self> {
        let (http, https) = (listener().await?, listener().await?);
        let stand_in = StandIn { http: http.local_addr()?, https: https.local_addr()? };
        let web = Self { stand_in, answers: Answers::default(), tasks: TaskTracker::new(), stop: CancellationToken::new() };
        web.serve(Scheme::Http, http);
        web.serve(Scheme::Https, https);
        Ok(web)
    }

    fn serve(&self, scheme: Scheme, listener: TcpListener) {
        let router = Router::new().fallback(answer).with_state((scheme, self.answers.clone()));
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                _ = axum::serve(listener, router).into_future() => {}
                () = stop.cancelled() => {}
            }
        });
    }

    /// From now on these are the answers, and no others.
    pub(super) fn set(&self, answers: Vec<FakeAnswer>) {
        let answers = answers.into_iter().map(|answer| Prepared { answer, is_used: false }).collect();
        *self.answers.0.lock().unwrap_or_else(PoisonError::into_inner) = answers;
    }

    pub(super) async fn close(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

async fn listener() -> io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await
}

impl Answers {
    /// The first that fits and was not given yet, else the last that fits: so one request can have several answers, one after another.
    fn take(&self, method: &str, (scheme, authority): (Scheme, &str), target: &str) -> Option<FakeAnswer> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |one: &Prepared| {
            let FakeAnswer { method: wanted, origin, path, .. } = &one.answer;
            let target = if path.contains('?') { target } else { target.split('?').next().unwrap_or_default() };
            wanted == method && origin.scheme == scheme && origin.authority() == authority && path == target
        };
        let index = all.iter().position(|one| fits(one) && !one.is_used).or_else(|| all.iter().rposition(fits))?;
        let found = all.get_mut(index)?;
        found.is_used = true;
        Some(found.answer.clone())
    }
}

async fn answer(State((scheme, answers)): State<(Scheme, Answers)>, request: Request) -> Response {
    let authority = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default().to_owned();
    let method = request.method().as_str().to_owned();
    let target = request.uri().path_and_query().map_or_else(|| "/".to_owned(), |target| target.as_str().to_owned());
    // Whoever sends waits until it is taken.
    let _body = to_bytes(request.into_body(), BODY_BYTES_MAX).await;
    let Some(found) = answers.take(&method, (scheme, &authority), &target) else {
        return (StatusCode::NOT_IMPLEMENTED, format!("no fake answers {method} {}://{authority}{target}\n", scheme.name()))
            .into_response();
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

    use sandmill_model::grants::origin::Origin;

    use super::*;

    #[test]
    fn answers_come_in_turn_and_the_last_stays() {
        let one = |scheme, path: &str, status| FakeAnswer {
            method: "GET".to_owned(),
            origin: Origin::of(scheme, "a.example:81").unwrap(),
            path: path.to_owned(),
            status,
            headers: BTreeMap::new(),
            body: Vec::new(),
        };
        let (http, https) = (Scheme::Http, Scheme::Https);
        let all = [one(http, "/x", 503), one(http, "/x", 200), one(http, "/y?a=1", 201), one(https, "/x", 202)];
        let prepared = all.into_iter().map(|answer| Prepared { answer, is_used: false }).collect();
        let answers = Answers(Arc::new(Mutex::new(prepared)));
        let status = |method: &str, origin, target: &str| answers.take(method, origin, target).map(|answer| answer.status);
        for (method, scheme, host, target, expected) in [
            ("GET", http, "a.example:81", "/x?b=2", Some(503)),
            ("GET", http, "a.example:81", "/x", Some(200)),
            ("GET", http, "a.example:81", "/x", Some(200)),
            ("GET", http, "a.example:81", "/y?a=1", Some(201)),
            ("GET", http, "a.example:81", "/y", None),
            ("POST", http, "a.example:81", "/x", None),
            ("GET", http, "a.example", "/x", None),
            ("GET", https, "a.example:81", "/x", Some(202)),
            ("GET", https, "a.example:81", "/y?a=1", None),
        ] {
            assert_eq!(status(method, (scheme, host), target), expected, "{method} {host} {target}");
        }
    }
}
