//! Resources, variables and the keys that seal them, by the command line and over HTTP, on a server that is backed up, robbed, and loses its key.

use std::{
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Output, Stdio},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, Instant},
};

use reqwest::Method;
use sandmill_testkit::{binary::binary, postgres::Postgres, server::Server};
use serde_json::{Value, json};

use crate::{commands::sandmill, shared::server};

const SECRET: &str = "correct horse battery staple";
/// Two instance keys.
const OLD_KEY: &str = "b2xkIGluc3RhbmNlIGtleSBvZiB0aGlzIG9uZSB0ZXM=";
const NEW_KEY: &str = "bmV3IGluc3RhbmNlIGtleSBvZiB0aGlzIG9uZSB0ZXM=";
/// How long a log line may take to be there.
const LOG_LIMIT: Duration = Duration::from_secs(20);

/// The output of a command that succeeds.
fn out(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!text.contains(SECRET) && !String::from_utf8_lossy(&output.stderr).contains(SECRET), "{output:?}");
    text
}

fn json_of(output: &Output) -> Value {
    serde_json::from_str(&out(output)).unwrap()
}

async fn put_secret(server: &Server, path: &str, text: &str) {
    let request = server.request(Method::PUT, &format!("/api/w/default/variables/{path}"));
    let answer = request.json(&json!({"text": text, "secret": true})).send().await.unwrap();
    assert_eq!(answer.status(), 200, "{:?}", answer.text().await);
}

async fn put_database(server: &Server, path: &str, password: &str) {
    let value = json!({"host": "db.test", "database": "d", "user": "u", "password": password});
    let request = server.request(Method::PUT, &format!("/api/w/default/resources/{path}"));
    let answer = request.json(&json!({"type": "postgresql", "value": value})).send().await.unwrap();
    assert_eq!(answer.status(), 200, "{:?}", answer.text().await);
}

/// Opens every secret there is: what cannot be opened fails it.
async fn rotate(server: &Server) -> Value {
    let answer = server.request(Method::POST, "/api/instance/keys/rotate").send().await.unwrap();
    assert_eq!(answer.status(), 200, "{:?}", answer.text().await);
    answer.json().await.unwrap()
}

async fn logs(server: &Server, text: &str) {
    let deadline = Instant::now() + LOG_LIMIT;
    while !server.log().contains(text) {
        assert!(Instant::now() < deadline, "{text:?} in {}", server.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn put_show_list_and_delete() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| sandmill(folder.path(), server(), arguments);
    fs::write(folder.path().join("account.json"), r#"{"type": "object", "required": ["user"], "properties": {"user": {"type": "string"}, "key": {"type": "string", "writeOnly": true}}}"#).unwrap();
    fs::write(folder.path().join("value.json"), json!({"user": "ann", "key": SECRET}).to_string()).unwrap();
    out(&run(&["resource-types", "put", "account", "account.json", "--description", "for tests"]));
    assert!(out(&run(&["resource-types", "list"])).contains("account"));
    assert_eq!(json_of(&run(&["resource-types", "show", "postgresql", "--json"]))["is_built_in"], true);

    let shown = out(&run(&["resources", "put", "f/res/account", "--type", "account", "--file", "value.json", "--description", "main"]));
    assert!(shown.contains("/key") && shown.contains("ann"), "{shown}");
    let value = json_of(&run(&["resources", "show", "f/res/account", "--json"]));
    assert_eq!((&value["fields"], &value["secrets"]), (&json!({"user": "ann"}), &json!(["/key"])));
    // A secret from the environment, all else from options; what is not named stays.
    let mut put = Command::new(binary());
    put.args(["resources", "put", "f/res/db", "--type", "postgresql", "--field", "host=h", "--field", "port=5433", "--json"]);
    put.args(["--field", "database=d", "--field", "user=u", "--secret", "password"]).current_dir(folder.path());
    put.env("SANDMILL_SERVER", &server().url).env("SANDMILL_TOKEN", &server().token).env("XDG_CONFIG_HOME", folder.path());
    put.stdin(Stdio::null());
    let refused = put.output().unwrap();
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    assert!(String::from_utf8_lossy(&refused.stdout).contains("SANDMILL_SECRET_PASSWORD"), "{refused:?}");
    let value = json_of(&put.env("SANDMILL_SECRET_PASSWORD", SECRET).output().unwrap());
    assert_eq!((&value["fields"]["port"], &value["secrets"]), (&json!(5433), &json!(["/password"])));
    let fields = ["--field", "host=other", "--field", "database=d", "--field", "user=u", "--json"];
    let kept = json_of(&run(&[&["resources", "put", "f/res/db", "--type", "postgresql"], fields.as_slice()].concat()));
    assert_eq!((&kept["fields"]["host"], &kept["secrets"]), (&json!("other"), &json!(["/password"])));
    let wrong = run(&["resources", "put", "f/res/db", "--type", "postgresql", "--value", r#"{"host": 1}"#]);
    assert_eq!(wrong.status.code(), Some(2), "{wrong:?}");
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("/host"), "{wrong:?}");
    let list = out(&run(&["resources", "list", "--prefix", "f/res/"]));
    assert!(list.contains("f/res/account") && list.contains("f/res/db"), "{list}");
    assert_eq!(run(&["resource-types", "delete", "account"]).status.code(), Some(3), "it is in use");

    // A secret that is typed, or comes through a pipe: one line.
    let mut put = Command::new(binary());
    put.args(["variables", "put", "f/res/token", "--secret"]).current_dir(folder.path()).stdin(Stdio::piped()).stdout(Stdio::piped());
    put.env("SANDMILL_SERVER", &server().url).env("SANDMILL_TOKEN", &server().token).env("XDG_CONFIG_HOME", folder.path());
    let mut child = put.spawn().unwrap();
    child.stdin.take().unwrap().write_all(format!("{SECRET}\n").as_bytes()).unwrap();
    assert!(out(&child.wait_with_output().unwrap()).contains("secret"));
    out(&run(&["variables", "put", "f/res/greeting", "--value", "hello"]));
    assert!(out(&run(&["variables", "show", "f/res/greeting"])).contains("hello"));
    assert_eq!(json_of(&run(&["variables", "show", "f/res/token", "--json"]))["text"], Value::Null);
    let list = out(&run(&["variables", "list", "--prefix", "f/res/"]));
    assert!(list.contains("f/res/token     secret") && list.contains("f/res/greeting  plain"), "{list}");

    for path in ["resources/f/res/account", "variables/f/res/token", "resource-types/http"] {
        let request = |url: String| server().request(Method::GET, &url).send();
        let elsewhere = request(format!("/api/w/elsewhere/{path}")).await.unwrap();
        assert_eq!(elsewhere.status(), 404, "{path}");
        let stranger = reqwest::Client::new().get(format!("{}/api/w/default/{path}", server().url)).bearer_auth("sm_nobody").send();
        assert_eq!(stranger.await.unwrap().status(), 401, "{path}");
    }
    for (command, path) in
        [("resources", "f/res/account"), ("resources", "f/res/db"), ("variables", "f/res/token"), ("variables", "f/res/greeting")]
    {
        out(&run(&[command, "delete", path]));
        assert_eq!(run(&[command, "show", path]).status.code(), Some(3));
    }
    out(&run(&["resource-types", "delete", "account"]));
    assert!(!server().log().contains(SECRET));
}

/// Every byte of the database's files.
fn files_of_database(data: &Path) -> Vec<u8> {
    let parts = ["sandmill.db", "sandmill.db-wal"].map(|name| fs::read(data.join(name)).unwrap_or_default());
    assert!(!parts[0].is_empty());
    parts.concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_key_is_told_and_a_stolen_database_shows_nothing() {
    let mut server = Server::start(&["--slots", "2"]).unwrap();
    put_secret(&server, "f/res/token", SECRET).await;
    put_database(&server, "f/res/db", SECRET).await;
    let (data, key) = (server.data().to_owned(), server.data().join("instance-key"));
    let stolen = files_of_database(&data);
    let finds = |needle: &str| stolen.windows(needle.len()).any(|window| window == needle.as_bytes());
    assert!(finds("db.test") && finds("/password"), "what is not secret is seen");
    let kept = fs::read_to_string(&key).unwrap();
    // And base64 of it, wherever it began: "orse battery " and what is around it.
    for needle in [SECRET, "horse batt", "Y29ycmVjdCBob3JzZSBi", "b3JyZWN0IGhvcnNlIGJh", "cnJlY3QgaG9yc2UgYmF0", kept.trim()] {
        assert!(!finds(needle), "{needle}");
    }
    let id = rotate(&server).await["wrapped_by"].as_str().unwrap().to_owned();
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("backup.tar.zst");
    let backup = server.backup(&archive).unwrap();
    assert!(out(&backup).contains("instance key"), "{backup:?}");
    server.stop().unwrap();

    let lost = |data: &Path| {
        let why = format!("{:#}", Server::start_on(data, &[]).err().unwrap());
        assert!(why.contains(&id) && why.contains("--instance-key-file"), "{why}");
    };
    fs::rename(&key, data.join("elsewhere")).unwrap();
    lost(&data);
    assert!(!key.exists(), "nothing is made in its place");
    fs::write(&key, OLD_KEY).unwrap();
    lost(&data);
    assert_eq!(fs::read_to_string(&key).unwrap(), OLD_KEY, "nothing is written over it");
    fs::remove_file(&key).unwrap();
    let found = Server::start_on(&data, &["--instance-key-file", data.join("elsewhere").to_str().unwrap()]).unwrap();
    assert_eq!(rotate(&found).await["resealed"], 2);
    drop(found);

    // A backup has what is sealed, and not the key.
    let restored = folder.path().join("restored");
    let mut restore = Command::new(binary());
    out(&restore.arg("restore").arg(&archive).arg("--data").arg(&restored).output().unwrap());
    lost(&restored);
    fs::write(restored.join("instance-key"), kept).unwrap();
    let server = Server::start_on(&restored, &[]).unwrap();
    assert_eq!(rotate(&server).await["resealed"], 2);
    assert_eq!(server.get_json("/api/w/default/resources/f/res/db").await.unwrap()["secrets"], json!(["/password"]));
    assert!(!server.log().contains(SECRET));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_is_read_is_masked_however_it_is_printed() {
    let server = server();
    put_secret(server, "f/masked/token", SECRET).await;
    let source = "import { variable } from 'sandmill';
        export function main(how: string) {
            const secret = variable('f/masked/token');
            if (how === 'error') throw new Error(`not ${secret.slice(0, 14)}`);
            console.log(secret, btoa(secret), btoa('u:' + secret), encodeURIComponent(secret));
            console.log(secret.slice(0, 14));
            console.log(secret.slice(14));
            for (const letter of secret) console.log(letter);
            return { whole: secret, halves: [secret.slice(0, 14), secret.slice(14)], letters: [...secret], base64: btoa(secret), encoded: encodeURIComponent(secret) };
        }";
    let manifest = json!({"grants": {"variables": ["f/masked/*"], "secrets": ["f/masked/token"]}});
    server.deploy_with("f/masked/prints", json!({"language": "typescript", "source": source, "manifest": manifest})).await.unwrap();
    for how in ["result", "error"] {
        let answer = server.call("f/masked/prints", &json!({ "how": how })).await.unwrap();
        let log = server.run_log(answer.header("sandmill-run-id").unwrap()).await.unwrap();
        assert_eq!(answer.status, if how == "result" { 200 } else { 500 }, "{answer:?}");
        let said = format!("{}\n{log}", answer.text());
        assert!(said.contains("*****"), "{said}");
        for part in ["correct", "horse", "battery", "staple", "Y29ycmVjdCBo", "b3JyZWN0IGhv", "cnJlY3QgaG9y", "correct%20", "%20staple"] {
            assert!(!said.contains(part), "{how}: {part} in {said}");
        }
        if how == "result" {
            let letters = answer.json().unwrap()["letters"].as_array().unwrap().iter().filter(|letter| **letter != "*").count();
            assert_eq!(letters, 0, "{said}");
            let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["message"].as_str().unwrap().to_owned());
            assert!(lines.filter(|line| line.chars().count() == 1).all(|line| line == "*"), "{log}");
        }
    }
}

const VARIABLES: u64 = 40;
const WORKERS: u64 = 4;

/// Writers and readers go on on every server while the instance key and all data keys change, some times over.
async fn keys_change_under_load(servers: &[Server], file: &Path) {
    let (done, writes) = (AtomicBool::new(false), AtomicU64::new(0));
    for n in 0..VARIABLES {
        put_secret(&servers[0], &format!("f/res/n{n}"), SECRET).await;
    }
    let work = futures_util::future::join_all((0..WORKERS).map(async |worker| {
        let server = servers.iter().cycle().nth(usize::try_from(worker).unwrap()).unwrap();
        let mut n = 0;
        while !done.load(Ordering::Relaxed) {
            n += 1;
            put_secret(server, &format!("f/res/n{}", n % VARIABLES), &format!("{SECRET} {n}")).await;
            put_database(server, &format!("f/res/db{worker}"), &format!("{SECRET} {n}")).await;
            // What is left out is opened, checked and sealed again.
            let value = json!({"host": "db.test", "database": "d", "user": n.to_string()});
            let request = server.request(Method::PUT, &format!("/api/w/default/resources/f/res/db{worker}"));
            let answer = request.json(&json!({"type": "postgresql", "value": value})).send().await.unwrap();
            assert_eq!(answer.status(), 200);
            assert_eq!(answer.json::<Value>().await.unwrap()["secrets"], json!(["/password"]));
            writes.fetch_add(1, Ordering::Relaxed);
        }
    }));
    let rotation = async {
        let first = rotate(&servers[0]).await["wrapped_by"].clone();
        fs::write(file, format!("{NEW_KEY}\n{OLD_KEY}\n")).unwrap();
        // By a signal on one, by the call itself on the other.
        servers[servers.len() - 1].hang_up().unwrap();
        logs(&servers[servers.len() - 1], "the instance keys were read again").await;
        for server in servers.iter().cycle().take(4) {
            let before = writes.load(Ordering::Relaxed);
            let rotated = rotate(server).await;
            assert_ne!(rotated["wrapped_by"], first, "{rotated}");
            // What was written meanwhile was sealed with the new keys already: a variable and a resource each time, and by each worker once more.
            let written = 2 * (writes.load(Ordering::Relaxed) - before + WORKERS);
            assert!(rotated["resealed"].as_u64().unwrap() + written >= VARIABLES, "{rotated} {written}");
            while writes.load(Ordering::Relaxed) < before + 4 {
                tokio::task::yield_now().await;
            }
        }
        done.store(true, Ordering::Relaxed);
    };
    futures_util::future::join(work, rotation).await;
    // The old key is needed no more, and a file without any that is needed changes nothing.
    fs::write(file, NEW_KEY).unwrap();
    assert!(rotate(&servers[0]).await["resealed"].as_u64().unwrap() >= VARIABLES + WORKERS);
    fs::write(file, OLD_KEY).unwrap();
    servers[0].hang_up().unwrap();
    logs(&servers[0], "those of before stay in use").await;
    put_secret(&servers[0], "f/res/n0", SECRET).await;
    assert!(servers.iter().all(|server| !server.log().contains(SECRET)));
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_change_while_serving() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys");
    fs::write(&file, OLD_KEY).unwrap();
    let arguments = ["--instance-key-file", file.to_str().unwrap(), "--slots", "2"];
    keys_change_under_load(&[Server::start(&arguments).unwrap()], &file).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_change_while_two_nodes_serve() {
    let Some(postgres) = Postgres::shared() else { return };
    let url = postgres.database();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys");
    fs::write(&file, OLD_KEY).unwrap();
    let token = "sm_a_token_that_all_nodes_of_a_test_know";
    let shared = ["--database-url", &url, "--admin-token", token, "--slots", "2", "--instance-key-file"];
    let node = |file: &Path| Server::start(&[&shared[..], &[file.to_str().unwrap()]].concat());
    let servers = [node(&file).unwrap(), node(&file).unwrap()];
    let stranger = folder.path().join("none");
    let why = format!("{:#}", node(&stranger).err().unwrap());
    assert!(why.contains("copy it from another") && !stranger.exists(), "{why}");
    keys_change_under_load(&servers, &file).await;
}
