//! Messages as a guest sends them, to a broker that remembers.

use std::sync::{Arc, Mutex};

use sandmill_capabilities::Publishers;
use sandmill_model::{
    Attempt, BoxFuture, Input, JsonText,
    trigger::{
        DynListener, Kind, KindInfo, Kinds, Message, Network, Nowhere, PublishError, Published, Publisher, Ready, ResourceKind, publisher,
    },
};
use serde_json::{Value, json};

use crate::testing::{Testbed, attempt, json, testbed, workspace};

const BROKER: &str = "f/test/broker";
/// What was sent, by the name of the broker: tests run at once.
static SENT: Mutex<Vec<(String, Message)>> = Mutex::new(Vec::new());
static CONNECTED: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Pigeon;

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Coop {
    name: String,
    password: Option<String>,
}

impl Publisher for Pigeon {
    const RESOURCE: ResourceKind = ResourceKind { name: "coop", schema: "{}" };
    type Connection = Coop;
    type Link = Coop;

    fn connect(coop: Coop, network: Arc<dyn Network>) -> BoxFuture<'static, Result<Coop, PublishError>> {
        Box::pin(async move {
            CONNECTED.lock().unwrap().push(coop.name.clone());
            if coop.name == "far" {
                network.addresses("far").await?;
            }
            Ok(coop)
        })
    }

    fn publish(coop: &Coop, message: Message) -> BoxFuture<'_, Result<Published, PublishError>> {
        Box::pin(async move {
            match message.to.as_str() {
                "nowhere" => return Err(PublishError::Invalid(format!("no such place, {}", coop.password.as_deref().unwrap_or_default()))),
                "never" => std::future::pending().await,
                _ => {}
            }
            SENT.lock().unwrap().push((coop.name.clone(), message));
            Ok(Published(JsonText::trusted("{\"flown\":true}")))
        })
    }
}

/// A row of the registry that only sends.
struct Silent;

impl DynListener for Silent {
    fn info(&self) -> KindInfo {
        KindInfo {
            name: "pigeon",
            summary: "A pigeon.",
            config: Value::Null,
            event: Value::Null,
            resource_types: &[],
            prefix: None,
            listens: true,
            is_shared: false,
            is_of_every_script: false,
        }
    }

    fn configure(&self, _: &JsonText) -> Result<Box<dyn Ready>, sandmill_model::trigger::ConfigError> {
        Err(sandmill_model::trigger::ConfigError::new("", "it hears nothing"))
    }
}

pub(crate) fn bed() -> Testbed {
    let kinds = Kinds::from_iter([Kind::listener(Arc::new(Silent)).with_publisher(publisher::<Pigeon>())]);
    let mut bed = testbed("publish");
    bed.publishers = Publishers::new(&kinds, Nowhere::shared());
    bed.grants.publish = vec!["f/test/*".parse().unwrap()];
    bed
}

fn with(name: &str) -> Testbed {
    let bed = bed();
    bed.put_resource(workspace(1), BROKER, ("coop", 1, json!({"name": name, "password": "correct-horse"})));
    bed
}

fn sent(name: &str) -> Vec<Message> {
    SENT.lock().unwrap().iter().filter(|(to, _)| to == name).map(|(_, message)| message.clone()).collect()
}

fn run(wall_ms: u64) -> Attempt {
    let of_test = attempt(Input::Arguments(JsonText::empty_object()));
    Attempt { limits: sandmill_model::Limits { wall_ms, ..of_test.limits }, ..of_test }
}

#[tokio::test]
async fn a_message_arrives_as_it_is() {
    let bed = with("whole");
    let (results, _) =
        bed.calls(&json!([["publish", BROKER, "a.b", "hellö", {"x": "1"}, "id-1", true], ["publish", BROKER, "c", ""]]).to_string()).await;
    assert_eq!(results, json!([{"flown": true}, {"flown": true}]));
    let sent = sent("whole");
    let headers = vec![("x".to_owned(), "1".to_owned())];
    let first = Message { to: "a.b".to_owned(), payload: "hellö".into(), headers, id: Some("id-1".to_owned()), is_kept: true };
    let second = Message { to: "c".to_owned(), payload: "".into(), headers: Vec::new(), id: None, is_kept: false };
    assert_eq!(sent, [first, second]);
    assert_eq!(CONNECTED.lock().unwrap().iter().filter(|name| *name == "whole").count(), 1, "one link for both");
}

#[tokio::test]
async fn another_value_of_the_resource_is_another_link() {
    let bed = with("before");
    let send = json!([["publish", BROKER, "a", "1"]]).to_string();
    bed.calls(&send).await;
    bed.put_resource(workspace(1), BROKER, ("coop", 2, json!({"name": "after"})));
    bed.calls(&send).await;
    assert_eq!((sent("before").len(), sent("after").len()), (1, 1));
}

#[tokio::test]
async fn what_is_not_granted_is_denied() {
    let mut bed = with("denied");
    bed.grants.publish = vec!["f/test/other".parse().unwrap()];
    bed.grants.resources = vec!["f/test/*".parse().unwrap()];
    let (results, outcome) = bed.calls(&json!([["publish", BROKER, "a", "1"]]).to_string()).await;
    let text = results[0]["denied"].as_str().unwrap();
    assert!(text.contains("`publish:f/test/broker`"), "{text}");
    assert_eq!(outcome.log[0].message, text);
    assert!(sent("denied").is_empty());
}

#[tokio::test]
async fn errors_show_no_secret() {
    let bed = with("errors");
    let (results, outcome) = bed.calls(&json!([["publish", BROKER, "nowhere", ""], ["publish", "f/test/none", "a", ""]]).to_string()).await;
    let text = results[0]["invalid"].as_str().unwrap();
    assert!(text.contains("f/test/broker: no such place") && !text.contains("correct-horse"), "{text}");
    assert!(results[1]["error"].is_string(), "{results}");
    assert!(!format!("{outcome:?}").contains("correct-horse"));
    bed.put_resource(workspace(1), BROKER, ("http", 3, json!({"name": "x"})));
    let (results, _) = bed.calls(&json!([["publish", BROKER, "a", ""]]).to_string()).await;
    assert!(results[0]["invalid"].as_str().unwrap().contains("those are: coop"), "{results}");
}

#[tokio::test]
async fn the_rules_of_addresses_hold() {
    let (results, _) = with("far").calls(&json!([["publish", BROKER, "a", ""]]).to_string()).await;
    assert!(results[0]["invalid"].as_str().unwrap().contains("cannot be reached from here"), "{results}");
}

#[tokio::test]
async fn limits() {
    let bed = with("limits");
    let most = 8 * 1024 * 1024;
    let (results, _) = bed.calls(&json!([["bytes", BROKER, most], ["bytes", BROKER, most + 1]]).to_string()).await;
    assert_eq!(results[0], json!({"flown": true}));
    assert!(results[1]["too_large"].is_string(), "{results}");
    let (results, _) =
        bed.calls(&json!([["publish", BROKER, "x".repeat(64 * 1024 + 1), ""], ["publish", BROKER, "a", "", {}, ""]]).to_string()).await;
    assert!(results[0]["too_large"].is_string() && results[1]["invalid"].is_string(), "{results}");
    let outcome = bed.attempt(run(2_000), &json!([["publish", BROKER, "never", ""]]).to_string()).await;
    assert!(json(&outcome)[0]["unavailable"].is_string(), "{outcome:?}");
}

#[tokio::test]
async fn no_other_workspace_is_reached() {
    let bed = bed();
    bed.put_resource(workspace(2), BROKER, ("coop", 1, json!({"name": "foreign"})));
    let (results, _) = bed.calls(&json!([["publish", BROKER, "a", ""]]).to_string()).await;
    assert!(results[0]["error"].is_string() && sent("foreign").is_empty(), "{results}");
}
