//! From the other side to runs: all of it, once, as it was, and acknowledged no sooner than it is durable.

use std::time::{Duration, Instant};

use futures_util::future::join;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::{
    shared::Database,
    triggers::{
        rig::{Carries, Rig, TooLarge},
        world::{self, as_an_event_has_it, body, numbered},
    },
};

/// Within which a server stops that has listeners and runs: a listener's own time, and room for a machine that is busy.
const STOP_MAX: Duration = Duration::from_secs(15);

pub(crate) async fn delivers_one<R: Rig>(database: Database) {
    let (Some(rig), Some(server)) = (R::start().await, world::shared(database)) else { return };
    let name = world::named::<R>("one");
    world::place(&rig, server, &name, &json!({})).await;
    let sent = numbered(0, 1);
    world::send_all(&rig, server, &name, &sent).await;
    let runs = world::ended::<R>(server, &name, 1).await;
    R::hold(&runs, &sent);
    for run in &runs {
        let event = &run["arguments"]["event"];
        assert_eq!((&run["status"], &run["trigger"], &run["attempt"]), (&json!("succeeded"), &json!(R::KIND), &json!(1)), "{run}");
        assert_eq!((&event["kind"], &event["trigger"]), (&json!(R::KIND), &json!(world::path(&name))), "{run}");
        // What the preprocessor saw is kept beside what it made of it, byte for byte.
        assert_eq!(run["event"]["raw"], event["raw"], "{run}");
    }
    world::delete(server, &name).await;
}

pub(crate) async fn delivers_a_burst<R: Rig>(database: Database) {
    let (Some(rig), Some(server)) = (R::start().await, world::shared(database)) else { return };
    let name = world::named::<R>("burst");
    world::place(&rig, server, &name, &json!({})).await;
    let sent = numbered(0, R::BURST);
    world::send_all(&rig, server, &name, &sent).await;
    let runs = world::ended::<R>(server, &name, R::BURST).await;
    R::hold(&runs, &sent);
    let status = world::status(server, &name).await;
    for seat in status["seats"].as_array().unwrap() {
        assert!(seat["last_event_at"].is_string() && seat["error"].is_null(), "{status}");
    }
    world::delete(server, &name).await;
}

pub(crate) async fn knows_a_repetition_after_a_restart<R: Rig>(database: Database) {
    let (Some(rig), Some(mut server)) = (R::start().await, world::own(database)) else { return };
    let name = world::named::<R>("repetition");
    world::place(&rig, &server, &name, &json!({})).await;
    let (first, then) = (numbered(0, 1), numbered(1, 1));
    world::send_all(&rig, &server, &name, &first).await;
    world::ended::<R>(&server, &name, 1).await;
    server.kill().unwrap();
    server.restart().unwrap();
    world::listening(&server, &name).await;
    if R::CARRIES != Carries::Nothing {
        rig.repeat(&server, &name, &first[0]).await;
    }
    // Once what came after it is there, it has been there, too.
    world::send_all(&rig, &server, &name, &then).await;
    let runs = world::ended::<R>(&server, &name, 2).await;
    R::hold(&runs, &[first, then].concat());
}

pub(crate) async fn keeps_what_is_too_large_apart<R: Rig>(database: Database) {
    const BYTES_MAX: usize = 1_000;
    let (Some(rig), Some(server)) = (R::start().await, world::shared(database)) else { return };
    let name = world::named::<R>("large");
    world::place(&rig, server, &name, &json!({"payload_bytes_max": BYTES_MAX})).await;
    let payload = |bytes: usize| {
        let text = json!({"id": format!("large {bytes}"), "text": ""}).to_string();
        text.replace("\"text\":\"\"", &format!("\"text\":\"{}\"", "x".repeat(bytes - text.len()))).into_bytes()
    };
    let (fits, large) = (payload(BYTES_MAX), payload(BYTES_MAX + 1));
    assert_eq!((fits.len(), large.len()), (BYTES_MAX, BYTES_MAX + 1));
    let left = rig.send(server, &name, std::slice::from_ref(&large)).await;
    assert_eq!(left, if R::TOO_LARGE == TooLarge::Refused { vec![large] } else { Vec::new() });
    // What comes after it is not held up.
    world::send_all(&rig, server, &name, std::slice::from_ref(&fits)).await;
    let runs = world::ended::<R>(server, &name, 1).await;
    R::hold(&runs, &[fits]);
    let kept = world::kept(server, &name).await;
    match R::TOO_LARGE {
        TooLarge::Refused => assert_eq!(kept, Vec::<serde_json::Value>::new()),
        TooLarge::Kept => {
            assert_eq!(kept.len(), 1, "{kept:?}");
            assert_eq!(kept[0]["payload_bytes"], BYTES_MAX + 1, "{kept:?}");
        }
    }
    world::delete(server, &name).await;
}

/// The node is killed while it takes what is sent: all of it is a run in the end, and nothing is one twice.
pub(crate) async fn acknowledges_only_what_is_durable<R: Rig>(database: Database) {
    let (Some(rig), Some(mut server)) = (R::start().await, world::own(database)) else { return };
    let name = world::named::<R>("killed");
    world::place(&rig, &server, &name, &json!({})).await;
    let sent = numbered(0, R::BURST);
    let mut left = sent.clone();
    for taken in [1, R::BURST / 3] {
        let id = Pid::from_raw(i32::try_from(server.id()).unwrap()).unwrap();
        let kill = async {
            // In the midst of it.
            world::until_runs::<R>(&server, &name, taken).await;
            kill_process(id, Signal::KILL).unwrap();
        };
        (left, ()) = join(rig.send(&server, &name, &left), kill).await;
        server.kill().unwrap();
        server.restart().unwrap();
    }
    world::listening(&server, &name).await;
    world::send_all(&rig, &server, &name, &left).await;
    let last = numbered(R::BURST, 1);
    world::send_all(&rig, &server, &name, &last).await;
    let runs = world::ended::<R>(&server, &name, R::BURST + 1).await;
    R::hold(&runs, &[sent, last].concat());
}

pub(crate) async fn outlives_its_source<R: Rig>(database: Database) {
    let (Some(mut rig), Some(server)) = (R::start().await, world::shared(database)) else { return };
    let name = world::named::<R>("source");
    world::place(&rig, server, &name, &json!({})).await;
    let (before, after) = (numbered(0, 5), numbered(5, 5));
    world::send_all(&rig, server, &name, &before).await;
    world::ended::<R>(server, &name, before.len()).await;
    rig.restart(server, &name).await;
    // It was heard again, and nobody had to do anything for that.
    world::listening(server, &name).await;
    world::send_all(&rig, server, &name, &after).await;
    let runs = world::ended::<R>(server, &name, 10).await;
    R::hold(&runs, &[before, after].concat());
    world::delete(server, &name).await;
}

pub(crate) async fn stops_in_time<R: Rig>(database: Database) {
    let (Some(rig), Some(mut server)) = (R::start().await, world::own(database)) else { return };
    let name = world::named::<R>("stops");
    world::place(&rig, &server, &name, &json!({})).await;
    let sent = numbered(0, R::BURST);
    let id = Pid::from_raw(i32::try_from(server.id()).unwrap()).unwrap();
    let stop = async {
        world::until_runs::<R>(&server, &name, 1).await;
        kill_process(id, Signal::TERM).unwrap();
        Instant::now()
    };
    let (left, asked) = join(rig.send(&server, &name, &sent), stop).await;
    let (ended, mut server) = tokio::task::spawn_blocking(move || (server.ended(), server)).await.unwrap();
    assert!(ended.unwrap().success(), "{}", server.log());
    assert!(asked.elapsed() < STOP_MAX, "{:?}\n{}", asked.elapsed(), server.log());
    server.restart().unwrap();
    world::listening(&server, &name).await;
    world::send_all(&rig, &server, &name, &left).await;
    let runs = world::ended::<R>(&server, &name, R::BURST).await;
    R::hold(&runs, &sent);
}

pub(crate) async fn alters_no_payload<R: Rig>(database: Database) {
    let (Some(rig), Some(server)) = (R::start().await, world::shared(database)) else { return };
    let name = world::named::<R>("payloads");
    world::place(&rig, server, &name, &json!({})).await;
    let mut sent: Vec<Vec<u8>> =
        [r#"{"id": 1, "text": "ü ✓ 🦀 \u0000 \" \\"}"#, r#" { "id" : 2 , "half": 0.5 } "#, r#"{"id": "é", "nested": [[[{"a": null}]]]}"#]
            .map(|text| text.as_bytes().to_vec())
            .to_vec();
    if R::CARRIES == Carries::Bytes {
        sent.extend(["not JSON: ü 🦀 \"quoted\"\r\n", "{\"broken\": ", "\u{feff}{}", "[1,2]"].map(|text| text.as_bytes().to_vec()));
        sent.extend([b"\xff\xfe\x00\x01".to_vec(), b"half a character \xc3".to_vec(), (0..=255).collect()]);
    }
    world::send_all(&rig, server, &name, &sent).await;
    let runs = world::ended::<R>(server, &name, sent.len()).await;
    R::hold(&runs, &sent);
    for payload in sent.iter().filter(|_| R::CARRIES == Carries::Bytes) {
        let run = runs.iter().find(|run| *body(run) == as_an_event_has_it(payload)).unwrap();
        let event = &run["arguments"]["event"];
        match std::str::from_utf8(payload) {
            Ok(text) => assert_eq!((&event["raw"], &run["event"]["raw"], &event["encoding"]), (&json!(text), &json!(text), &json!(null))),
            Err(_) => {
                assert_eq!((&event["raw"], &event["encoding"]), (&json!(null), &json!("base64")));
                assert_eq!((&run["event"]["body"], &run["event"]["encoding"]), (&as_an_event_has_it(payload), &json!("base64")));
            }
        }
    }
    world::delete(server, &name).await;
}
