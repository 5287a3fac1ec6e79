//! What is told of what cannot work, and of what does.

use std::time::Duration;

use serde_json::json;

use crate::{
    shared::Database,
    triggers::{
        rig::{Carries, Rig},
        world::{self, numbered},
    },
};

/// Within which a listener that cannot reach its source has said so.
const FAILS_WITHIN: Duration = Duration::from_secs(30);

pub(crate) async fn says_what_is_wrong_with_its_config<R: Rig>(database: Database) {
    let (Some(rig), Some(server)) = (R::start().await, world::shared(database)) else { return };
    let name = world::named::<R>("wrong");
    world::place(&rig, server, &name, &json!({})).await;
    let good = world::body_of::<R>(&name, &rig.config(server, &name).await, &json!({}));

    // What can never work is refused, and what was there stays.
    let (wrong, part) = rig.wrong();
    let refused = world::put(server, &name, &world::body_of::<R>(&name, &wrong, &json!({}))).await;
    assert_eq!(refused.status, 422, "{refused:?}");
    let problem = refused.json().unwrap();
    assert_eq!(problem["code"], "invalid_trigger", "{problem}");
    assert!(refused.text().contains(part), "{problem}");
    let refused = world::put(server, &name, &world::body_of::<R>(&name, &json!({"no such setting": 1}), &json!({}))).await;
    assert_eq!((refused.status, refused.json().unwrap()["code"].as_str()), (422, Some("invalid_trigger")), "{refused:?}");
    world::listening(server, &name).await;

    // What may work some day is tried for ever, and says why it does not.
    if let Some(unreachable) = rig.unreachable(server, &name).await {
        let put = world::put(server, &name, &world::body_of::<R>(&name, &unreachable, &json!({}))).await;
        assert!(matches!(put.status, 200 | 201), "{put:?}");
        let fails = |status: &serde_json::Value| {
            status["seats"].as_array().unwrap().iter().all(|seat| {
                matches!(seat["state"].as_str(), Some("backing_off" | "misconfigured"))
                    && seat["error"].as_str().is_some_and(|error| !error.is_empty())
                    && seat["failing_since"].is_string()
            })
        };
        let status = world::until(server, &name, FAILS_WITHIN, "failing", fails).await;
        assert_eq!(status["mode"], "on", "it does not switch itself off");
        let log = server.log();
        let told = log.lines().any(|line| line.contains(&world::path(&name)) && line.contains(R::KIND));
        assert!(told, "the log says which trigger of which kind fails:\n{log}");
        // A change is tried at once, however long the pause had become.
        let put = world::put(server, &name, &good).await;
        assert!(matches!(put.status, 200 | 201), "{put:?}");
        world::until(server, &name, Duration::from_secs(10), "listened to again", |status| {
            status["seats"].as_array().unwrap().iter().all(|seat| seat["state"] == "listening" && seat["failing_since"].is_null())
        })
        .await;
    }
    let sent = numbered(0, 1);
    world::send_all(&rig, server, &name, &sent).await;
    R::hold(&world::ended::<R>(server, &name, 1).await, &sent);
    world::delete(server, &name).await;
}

pub(crate) async fn tells_what_a_probe_finds<R: Rig>(database: Database) {
    let (Some(rig), Some(server)) = (R::start().await, world::shared(database)) else { return };
    let name = world::named::<R>("probe");
    world::place(&rig, server, &name, &json!({})).await;
    let body = world::body_of::<R>(&name, &rig.config(server, &name).await, &json!({}));
    let found = world::probe(server, &name, body).await;
    let (wrong, _) = rig.wrong();
    let refused = world::probe(server, &name, world::body_of::<R>(&name, &wrong, &json!({}))).await;
    if let Some(unreachable) = rig.unreachable(server, &name).await {
        assert!(matches!(found.status, 200 | 204), "{found:?}");
        assert_eq!((refused.status, refused.json().unwrap()["code"].as_str()), (422, Some("invalid_trigger")), "{refused:?}");
        let refused = world::probe(server, &name, world::body_of::<R>(&name, &unreachable, &json!({}))).await;
        let problem = refused.json().unwrap();
        assert_eq!((refused.status, problem["code"].as_str()), (422, Some("invalid_trigger")), "{problem}");
        assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{problem}");
    } else {
        // A test that finds nothing wrong because there is nothing to connect to may say either.
        assert!(matches!(found.status, 200 | 204 | 400), "{found:?}");
        assert!(matches!(refused.status, 400 | 422), "{refused:?}");
    }
    let runs = world::runs(server, &name).await;
    assert!(R::CARRIES == Carries::Nothing || runs.is_empty(), "a test of the connection starts nothing: {runs:?}");
    world::delete(server, &name).await;
}

/// Lists and the run itself say which trigger it was.
pub(crate) async fn says_where_it_comes_from<R: Rig>(database: Database) {
    let (Some(rig), Some(server)) = (R::start().await, world::shared(database)) else { return };
    let name = world::named::<R>("fields");
    world::place(&rig, server, &name, &json!({})).await;
    let sent = numbered(0, 2);
    world::send_all(&rig, server, &name, &sent).await;
    for run in world::ended::<R>(server, &name, 2).await {
        assert_eq!((&run["trigger"], &run["trigger_path"]), (&json!(R::KIND), &json!(world::path(&name))), "{run}");
    }
    let of_kind = server.get_json(&format!("/api/w/default/runs?trigger={}&trigger_path={}", R::KIND, world::path(&name))).await.unwrap();
    assert!(of_kind["items"].as_array().unwrap().len() >= 2, "{of_kind}");
    let of_another = server.get_json(&format!("/api/w/default/runs?trigger_path={}_other", world::path(&name))).await.unwrap();
    assert_eq!(of_another["items"], json!([]));
    world::delete(server, &name).await;
}
