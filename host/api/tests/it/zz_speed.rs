use crate::support::{ADMIN, Api};
use axum::body::Body;
use http::Request;
use tower::ServiceExt;
#[tokio::test]
async fn speed() {
    let api = Api::new().await;
    api.deploy("f/t/null").await;
    for round in 0..4 {
        for (name, uri, path) in [("run", "/probe/w/run/f/t/null", true), ("404", "/probe/w/runx", true), ("health", "/health", false)] {
            let _ = path;
            let n = 5_000;
            let started = std::time::Instant::now();
            for _ in 0..n {
                let request = Request::post(uri)
                    .header(
                        "authorization",
                        format!(
                            "Bearer {ADMIN}xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
                                .replace("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "")
                        ),
                    )
                    .header("content-type", "application/json")
                    .header("host", "localhost:8000")
                    .body(Body::from("{\"name\":\"bob\"}"))
                    .unwrap();
                let response = api.router.clone().oneshot(request).await.unwrap();
                std::hint::black_box(response);
            }
            println!("{round} {name}: {:?}", started.elapsed() / n);
        }
    }
    api.stop().await;
}
