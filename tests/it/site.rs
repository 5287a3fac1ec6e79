//! A site on this machine, for scripts that ask others over HTTP.

use std::net::Ipv4Addr;

use axum::Router;
use tokio::{net::TcpListener, task::JoinSet};

/// What a server of the tests must be told, so that scripts may ask the site.
pub(crate) const ALLOWED: [&str; 2] = ["--outbound-allow", "127.0.0.1/32"];

pub(crate) struct Site {
    /// E.g. `http://127.0.0.1:4000`.
    pub(crate) origin: String,
    /// Ends with it.
    _task: JoinSet<()>,
}

impl Site {
    pub(crate) async fn start(router: Router) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let mut task = JoinSet::new();
        task.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { origin, _task: task }
    }
}
