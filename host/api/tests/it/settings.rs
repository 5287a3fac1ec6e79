//! What is set for a workspace, and by whom.

use serde_json::json;

use crate::support::{Api, get, patch};

const SETTINGS: &str = "/api/w/w/settings";

#[tokio::test]
async fn a_patch_changes_what_it_names() {
    let api = Api::new().await;
    let before = get(SETTINGS).to(&api).await;
    assert_eq!((before.status.as_u16(), before.value()["retention_days"].clone()), (200, json!(null)));
    let changed = patch(SETTINGS).json(json!({"retention_days": 7})).to(&api).await;
    assert_eq!((changed.status.as_u16(), changed.value()["retention_days"].clone()), (200, json!(7)));
    assert_eq!(get(SETTINGS).to(&api).await.value(), changed.value(), "at once");
    assert_eq!(patch(SETTINGS).json(json!({})).to(&api).await.value(), changed.value());
    let back = patch(SETTINGS).json(json!({"retention_days": null})).to(&api).await;
    assert_eq!(back.value(), before.value());
    api.stop().await;
}

#[tokio::test]
async fn what_is_not_possible_is_refused() {
    let api = Api::new().await;
    for body in [json!({"retention_days": -1}), json!({"retention_days": 1_000_000}), json!({"retention_dayz": 1}), json!([]), json!(1)] {
        patch(SETTINGS).json(body).to(&api).await.is_problem(400, "bad_request");
    }
    patch(SETTINGS)
        .json(json!({"retention_days": 1}))
        .header("content-type", "text/plain")
        .to(&api)
        .await
        .is_problem(415, "unsupported_media_type");
    assert_eq!(get(SETTINGS).to(&api).await.value()["retention_days"], json!(null));
    api.stop().await;
}

#[tokio::test]
async fn a_workspace_reads_its_own_and_changes_none() {
    let api = Api::new().await;
    let other = api.workspace("other").await;
    api.token("sm_own", Some(api.workspace), &["*:*"]).await;
    api.token("sm_little", Some(api.workspace), &["runs:*", "scripts:*"]).await;
    api.token("sm_other", Some(other), &["*:*"]).await;
    assert_eq!(get(SETTINGS).token("sm_own").to(&api).await.status, 200);
    get(SETTINGS).token("sm_little").to(&api).await.is_problem(403, "forbidden");
    get(SETTINGS).token("sm_other").to(&api).await.is_problem(404, "not_found");
    let raise = || patch(SETTINGS).json(json!({"retention_days": 0}));
    raise().token("sm_own").to(&api).await.is_problem(403, "forbidden");
    raise().token("sm_other").to(&api).await.is_problem(404, "not_found");
    raise().no_token().to(&api).await.is_problem(401, "unauthorized");
    api.stop().await;
}

#[tokio::test]
async fn an_error_handler_is_set_by_whoever_may_start_it() {
    let api = Api::new().await;
    api.token("sm_operator", None, &["instance:write", "runs:start:f/ops/*"]).await;
    let name = |handler: &str| patch(SETTINGS).json(json!({"error_handler": handler})).token("sm_operator");
    let refused = name("f/billing/pay").to(&api).await.is_problem(403, "forbidden");
    assert!(refused["detail"].as_str().unwrap().contains("runs:start:f/billing/pay"), "{refused}");
    name("../pay").to(&api).await.is_problem(400, "bad_request");
    assert_eq!(name("f/ops/failed").to(&api).await.value()["error_handler"], json!("f/ops/failed"));
    let back = patch(SETTINGS).json(json!({"error_handler": null})).token("sm_operator").to(&api).await;
    assert_eq!(back.value()["error_handler"], json!(null), "taking it back starts nothing");
    api.stop().await;
}
