//! The peer that does nothing but HTTP.

use axum::{Json, Router, routing::post};
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
struct Request {
    name: String,
}

#[derive(Serialize)]
struct Response {
    hello: String,
    n: [u32; 3],
}

async fn hello(Json(request): Json<Request>) -> Json<Response> {
    Json(Response { hello: request.name, n: [1, 2, 3].map(|x| x * 2) })
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let port = std::env::args().nth(1).and_then(|port| port.parse::<u16>().ok()).unwrap_or(0);
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    axum::serve(listener, Router::new().route("/", post(hello))).await
}
