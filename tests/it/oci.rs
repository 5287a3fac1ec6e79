//! Components that are deployed from a registry.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use reqwest::Method;
use sandmill_testkit::{
    binary::binary,
    guests::guest,
    registry::{LOGIN, Registry, Visitors},
};
use serde_json::{Value, json};
use sha2::Digest as _;

use crate::shared::server;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const COMPONENT: &str = "application/wasm";

/// The binary with the shared server, and with the logins in `folder/docker` instead of the user's.
fn sandmill(folder: &Path, arguments: &[&str]) -> Output {
    let server = server();
    let mut command = Command::new(binary());
    command.args(arguments).current_dir(folder);
    command.env("SANDMILL_SERVER", &server.url).env("SANDMILL_TOKEN", &server.token);
    command.env("XDG_CONFIG_HOME", folder.join("config")).env("DOCKER_CONFIG", folder.join("docker"));
    command.output().unwrap()
}

/// What it said, after the exit code was as expected.
fn exits(output: &Output, code: i32) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "stdout: {out}\nstderr: {err}");
    (out, err)
}

fn digest(bytes: &[u8]) -> String {
    let hex: String = sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

/// Puts artifacts into a registry, by the plain requests of the specification.
struct Pusher<'a> {
    registry: &'a Registry,
    repository: &'a str,
    http: reqwest::Client,
}

impl<'a> Pusher<'a> {
    fn new(registry: &'a Registry, repository: &'a str) -> Self {
        Self { registry, repository, http: reqwest::Client::new() }
    }

    fn request(&self, method: Method, url: &str) -> reqwest::RequestBuilder {
        self.http.request(method, url).basic_auth(LOGIN[0], Some(LOGIN[1]))
    }

    fn url(&self, rest: &str) -> String {
        format!("http://{}/v2/{}/{rest}", self.registry.address, self.repository)
    }

    async fn blob(&self, media_type: &str, bytes: &[u8]) -> Value {
        let started = self.request(Method::POST, &self.url("blobs/uploads/")).send().await.unwrap().error_for_status().unwrap();
        let place = started.headers()["location"].to_str().unwrap().to_owned();
        let digest = digest(bytes);
        let stored = self.request(Method::PUT, &place).query(&[("digest", &digest)]).header("content-type", "application/octet-stream");
        stored.body(bytes.to_vec()).send().await.unwrap().error_for_status().unwrap();
        json!({"mediaType": media_type, "digest": digest, "size": bytes.len()})
    }

    /// The digest of what is at the tag now.
    async fn document(&self, tag: &str, media_type: &str, document: &Value) -> String {
        let bytes = document.to_string().into_bytes();
        let digest = digest(&bytes);
        let stored = self.request(Method::PUT, &self.url(&format!("manifests/{tag}"))).header("content-type", media_type);
        let stored = stored.body(bytes).send().await.unwrap();
        let (status, text) = (stored.status(), stored.text().await.unwrap());
        assert!(status.is_success(), "{status}: {text}");
        digest
    }

    /// An artifact of one layer; its digest.
    async fn artifact(&self, tag: &str, media_type: &str, bytes: &[u8]) -> String {
        let config = self.blob("application/vnd.wasm.config.v0+json", br#"{"architecture":"wasm","os":"wasip2"}"#).await;
        let layer = self.blob(media_type, bytes).await;
        let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]});
        self.document(tag, MANIFEST, &manifest).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_is_deployed_from_a_registry() {
    let Some(registry) = Registry::start(Visitors::Anybody) else { return };
    let folder = tempfile::tempdir().unwrap();
    let pusher = Pusher::new(&registry, "team/hello");
    let digest = pusher.artifact("1.2.0", COMPONENT, &fs::read(guest("hello")).unwrap()).await;
    let repository = format!("{}/team/hello", registry.address);
    let tagged = format!("oci://{repository}:1.2.0");
    let push = |arguments: &[&str]| sandmill(folder.path(), &[&["push"], arguments].concat());

    let (out, _) = exits(&push(&[&tagged, "--path", "f/oci/hello"]), 0);
    assert_eq!(out, format!("f/oci/hello@1\nfrom {repository}@{digest}\n"));
    let answer = server().call("f/oci/hello", &json!({"name": "bob"})).await.unwrap();
    assert_eq!(answer.json().unwrap()["hello"], "bob");

    // By its digest it is the same.
    let (out, _) = exits(&push(&[&format!("oci://{repository}@{digest}"), "--path", "f/oci/hello", "--json"]), 0);
    let answer: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&answer["number"], &answer["artifact"]), (&json!(1), &json!(format!("{repository}@{digest}"))));

    fs::write(folder.path().join("hello.toml"), "description = \"from a registry\"\n").unwrap();
    exits(&push(&[&tagged, "--path", "f/oci/hello", "--manifest", "hello.toml"]), 0);
    let (out, _) = exits(&sandmill(folder.path(), &["scripts", "show", "f/oci/hello", "--json"]), 0);
    assert!(out.contains("from a registry"), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_leads_to_the_component() {
    let Some(registry) = Registry::start(Visitors::Anybody) else { return };
    let folder = tempfile::tempdir().unwrap();
    let pusher = Pusher::new(&registry, "hello");
    let bytes = fs::read(guest("hello")).unwrap();
    let wasm = pusher.artifact("wasm", "application/vnd.wasm.content.layer.v1+wasm", &bytes).await;
    let other = pusher.artifact("linux", "application/vnd.oci.image.layer.v1.tar", b"x").await;
    let entry = |digest: &str, os: &str, architecture: &str| json!({"mediaType": MANIFEST, "digest": digest, "size": 1, "platform": {"os": os, "architecture": architecture}});
    let entries = [entry(&other, "linux", "amd64"), entry(&wasm, "wasip2", "wasm")];
    let index = pusher.document("latest", INDEX, &json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries})).await;
    // No tag is `latest`; the digest that pins it is the index's.
    let reference = format!("oci://{}/hello", registry.address);
    let (out, _) = exits(&sandmill(folder.path(), &["push", &reference, "--path", "f/oci/index"]), 0);
    assert_eq!(out, format!("f/oci/index@1\nfrom {}/hello@{index}\n", registry.address));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_pulled_is_said_with_what_to_do() {
    let Some(registry) = Registry::start(Visitors::Anybody) else { return };
    let folder = tempfile::tempdir().unwrap();
    let pusher = Pusher::new(&registry, "team/hello");
    let tar = "application/vnd.oci.image.layer.v1.tar";
    pusher.artifact("image", tar, b"x").await;
    pusher.artifact("text", COMPONENT, b"no component").await;
    let at = |end: &str| format!("oci://{}/team/{end}", registry.address);
    for (reference, more, code, says) in [
        (at("hello:1.2.0"), None, 2, vec!["no tag", "1.2.0", "image", "text"]),
        (at(&format!("hello@{}", digest(b"none"))), None, 2, vec!["no manifest"]),
        (at("none"), None, 2, vec!["team/none", "check the name"]),
        (at("hello:image"), None, 2, vec!["no component", tar]),
        (at("hello:text"), None, 2, vec!["component"]),
        (at("Hello"), None, 2, vec!["no repository"]),
        ("oci://127.0.0.1:1/hello".to_owned(), None, 3, vec!["127.0.0.1:1"]),
        (at("hello:image"), Some(["--manifest", "missing.toml"]), 2, vec!["missing.toml"]),
        ("hello.ts".to_owned(), Some(["--manifest", "x.toml"]), 2, vec!["--manifest is for"]),
    ] {
        let mut arguments = vec!["push", reference.as_str(), "--path", "f/oci/none"];
        arguments.extend(more.into_iter().flatten());
        let (out, err) = exits(&sandmill(folder.path(), &arguments), code);
        assert_eq!(out, "", "{reference}");
        for part in says {
            assert!(err.contains(part), "{reference} says {part}: {err}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_may_want_a_login() {
    let Some(registry) = Registry::start(Visitors::Known) else { return };
    let folder = tempfile::tempdir().unwrap();
    Pusher::new(&registry, "hello").artifact("1", COMPONENT, &fs::read(guest("hello")).unwrap()).await;
    let push = || sandmill(folder.path(), &["push", &format!("oci://{}/hello:1", registry.address), "--path", "f/oci/login"]);
    let (_, err) = exits(&push(), 3);
    assert!(err.contains(&format!("docker login {}", registry.address)), "{err}");

    fs::create_dir(folder.path().join("docker")).unwrap();
    // ann:wrong, then ann:let-me-pull
    for (auth, code) in [("YW5uOndyb25n", 3), ("YW5uOmxldC1tZS1wdWxs", 0)] {
        let config = json!({"auths": {&registry.address: {"auth": auth}}});
        fs::write(folder.path().join("docker/config.json"), config.to_string()).unwrap();
        let (out, err) = exits(&push(), code);
        assert!(!out.contains(auth) && !err.contains(auth) && !err.contains("wrong"), "{out}{err}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_tls_a_login_is_sent_only_if_that_is_said() {
    let Some(registry) = Registry::start(Visitors::Known) else { return };
    let folder = tempfile::tempdir().unwrap();
    Pusher::new(&registry, "hello").artifact("1", COMPONENT, &fs::read(guest("hello")).unwrap()).await;
    // It leads here, and is no address of loopback.
    let elsewhere = registry.address.replace("127.0.0.1", "0.0.0.0");
    fs::create_dir(folder.path().join("docker")).unwrap();
    let config = json!({"auths": {&elsewhere: {"auth": "YW5uOmxldC1tZS1wdWxs"}}});
    fs::write(folder.path().join("docker/config.json"), config.to_string()).unwrap();
    let reference = format!("oci://{elsewhere}/hello:1");
    for (flags, code, says) in [
        (&["--insecure-registry"][..], 3, "--insecure-login"),
        (&[], 3, "0.0.0.0"),
        (&["--insecure-login"], 2, "--insecure-registry"),
        (&["--insecure-registry", "--insecure-login"], 0, ""),
    ] {
        let arguments = [&["push", reference.as_str(), "--path", "f/oci/insecure"], flags].concat();
        let (_, err) = exits(&sandmill(folder.path(), &arguments), code);
        assert!(err.contains(says), "{flags:?}: {err}");
    }
}
