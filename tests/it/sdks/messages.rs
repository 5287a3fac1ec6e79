//! What scripts in the languages of the SDKs send, at a real broker.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use reqwest::Method;
use sandmill_testkit::{binary::root, foreign::zig, nats::Nats, server::Server, toolchain::is_here};
use serde_json::{Value, json};

use super::{check, deployed_on, encoded, of_go};
use crate::site::ALLOWED;

/// The example that tells a broker of an order: it returns the number under which the broker keeps it.
pub(super) async fn arrive(component: &Path) {
    let Some(nats) = Nats::start() else { return };
    let server = Server::start(&ALLOWED).unwrap();
    let broker = json!({"type": "nats", "value": {"servers": [nats.url()]}});
    let put = server.request(Method::PUT, "/api/w/default/resources/f/demo/broker").json(&broker).send().await.unwrap();
    assert_eq!(put.status(), 200, "{:?}", put.text().await);
    deployed_on(&server, component, "f/demo/orders", json!({"publish": ["f/demo/broker"]})).await;

    // Nobody keeps it yet, and the script asks for that.
    let order = |id: &str| json!({"id": id, "total": 3});
    let refused = server.start_run("f/demo/orders", &order("7")).await.unwrap();
    let refused = server.ended_run(&refused).await.unwrap();
    assert_eq!(refused["outcome"], "error", "{refused}");
    assert!(refused["error"].to_string().contains("invalid"), "{refused}");

    let mut client = nats.client().unwrap();
    client.make_stream("ORDERS", "orders.>").unwrap();
    for (id, sequence) in [("7", 1), ("8", 2), ("7", 1)] {
        let answer = server.call("f/demo/orders", &order(id)).await.unwrap();
        assert_eq!((answer.status, answer.json().unwrap()), (200, json!(sequence)), "{id}");
    }
    let kept = client.api("STREAM.MSG.GET.ORDERS", &json!({"seq": 1})).unwrap();
    let text = |name: &str| String::from_utf8(STANDARD.decode(kept["message"][name].as_str().unwrap()).unwrap()).unwrap();
    assert_eq!(kept["message"]["subject"], "orders.new", "{kept}");
    assert_eq!(serde_json::from_str::<Value>(&text("data")).unwrap(), order("7"));
    let headers = text("hdrs").to_lowercase();
    assert!(headers.contains("x-shop: eu") && headers.contains("nats-msg-id: 7"), "{headers}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_scripts_in_go() {
    if is_here("go", &["version"]) {
        let folder = tempfile::tempdir().unwrap();
        arrive(&of_go("orders", folder.path())).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_scripts_in_c() {
    if let Some(zig) = zig() {
        let folder = tempfile::tempdir().unwrap();
        arrive(&of_c("orders", &zig, folder.path())).await;
    }
}

/// An example of the SDK for C as a component, compiled as its read-me has it.
fn of_c(example: &str, compiler: &str, folder: &Path) -> PathBuf {
    let (sdk, core) = (root().join("guest-sdk/c"), folder.join("script.core.wasm"));
    let mut words = compiler.split(' ');
    let mut compile = Command::new(words.next().unwrap());
    compile.args(words).args(["-target", "wasm32-wasi", "-mexec-model=reactor", "-std=c17", "-Os", "-s", "-Wl,-z,stack-size=1048576"]);
    compile.arg("-I").arg(sdk.join("include")).arg("-o").arg(&core).arg(sdk.join(format!("examples/{example}.c")));
    let sources = fs::read_dir(sdk.join("src")).unwrap().map(|entry| entry.unwrap().path());
    compile.args(sources.filter(|path| path.extension().is_some_and(|extension| extension == "c"))).arg(sdk.join("bindings/imports.c"));
    check(compile);
    encoded(&core, folder)
}
