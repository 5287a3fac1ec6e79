//! Pulls from registries that mean well, and from those that do not.

use std::{
    fmt::Write as _,
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use serde_json::{Value, json};

use super::*;

/// What is answered to a path: status, more of the head, body.
type Reply = (u16, String, Vec<u8>);

/// A registry that answers what it is told to, and remembers each request as `path authorization`. It ends with the process.
struct Fake {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Fake {
    fn start(host: &str, answer: impl Fn(&str, &str) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind((host, 0)).unwrap();
        let address = format!("{host}:{}", listener.local_addr().unwrap().port());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let remembered = Arc::clone(&asked);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (path, authorization) = head(&stream);
                remembered.lock().unwrap().push(format!("{path} {authorization}").trim_end().to_owned());
                let _gone = send(&stream, answer(&path, &authorization));
            }
        });
        Self { address, asked }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn head(stream: &TcpStream) -> (String, String) {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty());
    let path = lines.next().and_then(|line| line.split(' ').nth(1).map(str::to_owned)).unwrap_or_default();
    let authorization = lines.filter_map(|line| line.strip_prefix("authorization: ").map(str::to_owned)).last().unwrap_or_default();
    (path, authorization)
}

/// A head that announces `endless` is followed by bytes until nobody takes them.
fn send(mut stream: &TcpStream, (status, more, body): Reply) -> std::io::Result<()> {
    let mut head = format!("HTTP/1.1 {status} X\r\nconnection: close\r\n{more}");
    if more.contains("endless") {
        stream.write_all(format!("{head}\r\n").as_bytes())?;
        let block = vec![0; 64 * 1024];
        loop {
            stream.write_all(&block)?;
        }
    }
    write!(head, "content-length: {}\r\n\r\n", body.len()).unwrap();
    stream.write_all(head.as_bytes())?;
    stream.write_all(&body)
}

fn ok(body: impl Into<Vec<u8>>) -> Reply {
    (200, String::new(), body.into())
}

fn not_found() -> Reply {
    (404, String::new(), b"{}".to_vec())
}

const COMPONENT: &[u8] = b"\0asm component";

fn layer(bytes: &[u8]) -> Value {
    json!({"mediaType": "application/wasm", "digest": Digest::of(bytes), "size": bytes.len()})
}

fn manifest(layer: &Value) -> Vec<u8> {
    json!({"schemaVersion": 2, "config": {"mediaType": "application/vnd.wasm.config.v0+json"}, "layers": [layer]}).to_string().into_bytes()
}

fn blob_path(bytes: &[u8]) -> String {
    format!("/v2/a/hello/blobs/{}", Digest::of(bytes))
}

async fn pull_from(fake: &Fake, end: &str, docker: Option<PathBuf>) -> Result<Artifact, String> {
    pull_at(&fake.address, end, Access { plain: PlainHttp::Local, docker }).await
}

async fn pull_at(address: &str, end: &str, access: Access) -> Result<Artifact, String> {
    let reference: Reference = format!("oci://{address}/a/hello{end}").parse().unwrap();
    pull(&reference, &access).await.map_err(|error| format!("{error:?}"))
}

/// A folder with a login for the registry.
fn logged_in(fake: &Fake) -> tempfile::TempDir {
    logged_in_at(&fake.address)
}

fn logged_in_at(address: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let config = json!({"auths": {address: {"auth": "YW5uOng="}}});
    fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    folder
}

#[tokio::test]
async fn a_component_by_tag_by_digest_and_through_an_index() {
    let document = manifest(&layer(COMPONENT));
    let pinned = Digest::of(&document);
    let index =
        json!({"manifests": [{"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": pinned, "size": 1}]}).to_string();
    let (of_index, sent_index) = (Digest::of(index.as_bytes()), index.clone());
    let fake = Fake::start("127.0.0.1", move |path, _| match path.strip_prefix("/v2/a/hello/").unwrap() {
        "manifests/1.0" => ok(document.clone()),
        "manifests/all" => ok(sent_index.clone()),
        "tags/list" => ok(r#"{"name": "a/hello", "tags": ["1.0", "all"]}"#),
        other if other == format!("manifests/{pinned}") => ok(document.clone()),
        other if other == format!("blobs/{}", Digest::of(COMPONENT)) => ok(COMPONENT),
        _ => not_found(),
    });
    for (end, digest) in [(":1.0".to_owned(), pinned), (format!("@{pinned}"), pinned), (":all".to_owned(), of_index)] {
        let artifact = pull_from(&fake, &end, None).await.unwrap();
        assert_eq!((artifact.digest, artifact.component.as_slice()), (digest, COMPONENT), "{end}");
    }
    let why = pull_from(&fake, ":2.0", None).await.unwrap_err();
    assert!(why.contains("no tag \\\"2.0\\\"") && why.contains("there are: all, 1.0"), "{why}");
}

#[tokio::test]
async fn a_registry_that_sends_something_else_is_found_out() {
    let good = manifest(&layer(COMPONENT));
    let large = json!({"mediaType": "application/wasm", "digest": Digest::of(b""), "size": COMPONENT_BYTES_MAX + 1});
    let asked_for = format!("@{}", Digest::of(b"another"));
    let announced = format!("docker-content-digest: {}\r\n", Digest::of(b"another"));
    for (name, end, manifest, blob, says) in [
        ("another blob", ":1", ok(good.clone()), ok("\0asm component".replace('c', "k")), "something else"),
        ("a shorter blob", ":1", ok(good.clone()), ok("\0asm"), "something else"),
        ("an endless blob", ":1", ok(good.clone()), (200, "x-body: endless\r\n".to_owned(), Vec::new()), "something else"),
        ("no blob", ":1", ok(good.clone()), not_found(), "404"),
        ("a component too large", ":1", ok(manifest(&large)), not_found(), "67108865"),
        ("another manifest", asked_for.as_str(), ok(good.clone()), not_found(), "the digest that it should"),
        ("another manifest than it says", ":1", (200, announced, good.clone()), not_found(), "the digest that it should"),
        ("no JSON", ":1", ok("<html>"), not_found(), "not of the form"),
        ("a digest of another kind", ":1", ok(r#"{"layers": [{"digest": "md5:1", "size": 1}]}"#), not_found(), "not of the form"),
        ("an endless manifest", ":1", (200, "x-body: endless\r\n".to_owned(), Vec::new()), not_found(), "4194304"),
        ("a long manifest", ":1", ok(vec![b' '; 4 * 1024 * 1024 + 1]), not_found(), "4194304"),
        ("a redirect to itself", ":1", (302, "location: 1\r\n".to_owned(), Vec::new()), not_found(), "again and again"),
        ("a redirect to a file", ":1", (302, "location: file:///etc/passwd\r\n".to_owned(), Vec::new()), not_found(), "https only"),
        ("a redirect without TLS", ":1", (302, "location: http://r.test/\r\n".to_owned(), Vec::new()), not_found(), "https only"),
        ("a redirect nowhere", ":1", (302, String::new(), Vec::new()), not_found(), "redirects nowhere"),
        ("an unknown login", ":1", (401, "www-authenticate: Digest x\r\n".to_owned(), Vec::new()), not_found(), "unknown kind"),
    ] {
        let fake = Fake::start("127.0.0.1", move |path, _| if path.contains("/manifests/") { manifest.clone() } else { blob.clone() });
        let why = pull_from(&fake, end, None).await.unwrap_err();
        assert!(why.contains(says), "{name}: {why}");
    }
}

#[tokio::test]
async fn indexes_of_indexes_end() {
    let entry = |document: &[u8]| json!({"manifests": [{"digest": Digest::of(document), "size": 1}]}).to_string().into_bytes();
    let mut documents = vec![manifest(&layer(COMPONENT))];
    for depth in 0..4 {
        documents.push(entry(&documents[depth]));
    }
    let known = documents.clone();
    let fake = Fake::start("127.0.0.1", move |path, _| {
        if path == blob_path(COMPONENT) {
            return ok(COMPONENT);
        }
        known.iter().find(|document| path.ends_with(&Digest::of(document).to_string())).map_or_else(not_found, |found| ok(found.clone()))
    });
    for (depth, document) in documents.iter().enumerate() {
        let pulled = pull_from(&fake, &format!("@{}", Digest::of(document)), None).await;
        assert_eq!(pulled.is_ok(), depth <= INDEX_DEPTH_MAX, "{depth}: {pulled:?}");
    }
    // One that names itself can only be had by its tag.
    let fake = Fake::start("127.0.0.1", move |_, _| ok(entry(b"itself")));
    assert!(pull_from(&fake, ":1", None).await.unwrap_err().contains("the digest that it should"));
}

#[tokio::test]
async fn credentials_stay_with_their_registry() {
    let store = Fake::start("127.0.0.1", |_, _| ok(COMPONENT));
    let elsewhere = format!("location: http://{}/stored?signature=x\r\n", store.address);
    let registry = Fake::start("127.0.0.1", move |path, authorization| match authorization {
        "" => (401, "www-authenticate: Basic realm=\"x\"\r\n".to_owned(), Vec::new()),
        _ if path.contains("/manifests/") => ok(manifest(&layer(COMPONENT))),
        _ => (307, elsewhere.clone(), Vec::new()),
    });
    let docker = logged_in(&registry);
    pull_from(&registry, ":1", Some(docker.path().to_owned())).await.unwrap();
    assert_eq!(store.asked(), ["/stored?signature=x"]);
    let asked = registry.asked();
    assert_eq!(asked[1], "/v2/a/hello/manifests/1 Basic YW5uOng=");
    assert!(pull_from(&registry, ":1", None).await.unwrap_err().contains("docker login"));

    // Whom a registry redirects to may not ask for them.
    let thief = Fake::start("127.0.0.1", |_, _| (401, "www-authenticate: Basic realm=\"x\"\r\n".to_owned(), Vec::new()));
    let elsewhere = format!("location: http://{}/x\r\n", thief.address);
    let registry = Fake::start("127.0.0.1", move |_, _| (302, elsewhere.clone(), Vec::new()));
    let docker = logged_in(&registry);
    assert!(pull_from(&registry, ":1", Some(docker.path().to_owned())).await.is_err());
    assert!(thief.asked().iter().all(|request| !request.contains("Basic")), "{:?}", thief.asked());
    assert!(registry.asked().iter().all(|request| !request.contains("Basic")));
}

#[tokio::test]
async fn a_token_is_fetched_for_pulling_and_nothing_else() {
    let tokens = Fake::start("127.0.0.1", |_, authorization| match authorization {
        "Basic YW5uOng=" => ok(r#"{"access_token": "t0"}"#),
        "" => ok(r#"{"token": "anonymous"}"#),
        _ => not_found(),
    });
    let wish = format!(
        "www-authenticate: Bearer realm=\"http://{}/token\",service=\"the registry\",scope=\"repository:other:push\"\r\n",
        tokens.address
    );
    let registry = Fake::start("127.0.0.1", move |path, authorization| match authorization {
        "Bearer t0" if path.contains("/manifests/") => ok(manifest(&layer(COMPONENT))),
        "Bearer t0" => ok(COMPONENT),
        _ => (401, wish.clone(), Vec::new()),
    });
    let docker = logged_in(&registry);
    pull_from(&registry, ":1", Some(docker.path().to_owned())).await.unwrap();
    assert_eq!(tokens.asked(), ["/token?service=the+registry&scope=repository%3Aa%2Fhello%3Apull Basic YW5uOng="]);
    let why = pull_from(&registry, ":1", None).await.unwrap_err();
    assert!(why.contains("docker login"), "{why}");
}

/// The registry by an address that leads here, and is none of loopback.
fn elsewhere(fake: &Fake) -> String {
    fake.address.replace("127.0.0.1", "0.0.0.0")
}

#[tokio::test]
async fn without_tls_no_login_is_sent_unless_that_is_said_too() {
    let basic = Fake::start("127.0.0.1", |path, authorization| match authorization {
        "" => (401, "www-authenticate: Basic realm=\"x\"\r\n".to_owned(), Vec::new()),
        _ if path.contains("/manifests/") => ok(manifest(&layer(COMPONENT))),
        _ => ok(COMPONENT),
    });
    // Its answer may be anybody's: who gives tokens is not told the password either, wherever that is.
    let tokens = Fake::start("127.0.0.1", |_, _| ok(r#"{"token": "t"}"#));
    let wish = format!("www-authenticate: Bearer realm=\"http://{}/token\"\r\n", tokens.address);
    let bearer = Fake::start("127.0.0.1", move |path, authorization| match authorization {
        "Bearer t" if path.contains("/manifests/") => ok(manifest(&layer(COMPONENT))),
        "Bearer t" => ok(COMPONENT),
        _ => (401, wish.clone(), Vec::new()),
    });
    for registry in [&basic, &bearer] {
        let address = elsewhere(registry);
        let docker = logged_in_at(&address);
        let access = |plain| Access { plain, docker: Some(docker.path().to_owned()) };
        let why = pull_at(&address, ":1", access(PlainHttp::Anywhere)).await.unwrap_err();
        assert!(why.contains("--insecure-login"), "{why}");
        assert!(registry.asked().iter().chain(&tokens.asked()).all(|request| !request.contains(' ')), "{:?}", registry.asked());
        pull_at(&address, ":1", access(PlainHttp::AnywhereWithLogins)).await.unwrap();
    }
    assert_eq!(tokens.asked(), ["/token?scope=repository%3Aa%2Fhello%3Apull Basic YW5uOng="]);

    // A token that anybody gets is nobody's login.
    pull_at(&elsewhere(&bearer), ":1", Access { plain: PlainHttp::Anywhere, docker: None }).await.unwrap();

    // A registry on this machine is asked as always, and may not send on the password to where it can be read.
    let wish = format!("www-authenticate: Bearer realm=\"http://{}/token\"\r\n", elsewhere(&tokens));
    let sending_on = Fake::start("127.0.0.1", move |_, _| (401, wish.clone(), Vec::new()));
    let docker = logged_in(&sending_on);
    let access = Access { plain: PlainHttp::Anywhere, docker: Some(docker.path().to_owned()) };
    let why = pull_at(&sending_on.address, ":1", access).await.unwrap_err();
    assert!(why.contains("--insecure-login"), "{why}");
    assert_eq!(tokens.asked().len(), 2, "{:?}", tokens.asked());
}
