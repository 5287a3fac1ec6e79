//! `sandmill dev`: saved, deployed, called, and what is logged meanwhile.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, sync_channel},
    thread,
    time::{Duration, Instant},
};

use sandmill_testkit::{
    binary::binary,
    process::{mortal, spawn},
};
use serde_json::{Value, json};

use crate::{
    commands::sandmill,
    shared::{plain, server},
};

/// For whatever is waited for.
const PATIENCE: Duration = Duration::from_secs(30);
/// Events that nobody has read yet.
const EVENTS_MAX: usize = 1_000;

/// The command while it watches a folder; killed when this is dropped.
pub(crate) struct Dev {
    child: Child,
    events: Receiver<Value>,
}

impl Dev {
    pub(crate) fn watch(folder: &Path, arguments: &[&str]) -> Self {
        let mut command: Command = mortal(binary().as_os_str());
        command.args(["dev", "--json"]).args(arguments).current_dir(folder);
        command.env("SANDMILL_SERVER", &server().url).env("SANDMILL_TOKEN", &server().token);
        command.env("XDG_CONFIG_HOME", folder.join("config")).stdout(Stdio::piped()).stdin(Stdio::null());
        let mut child = spawn(command).unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (sender, events) = sync_channel(EVENTS_MAX);
        thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                if sender.send(serde_json::from_str(&line).unwrap()).is_err() {
                    break;
                }
            }
        });
        Self { child, events }
    }

    /// The next event that fits; those before it are passed over.
    pub(crate) fn until(&self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        let mut passed = Vec::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.events.recv_timeout(left) {
                Ok(event) if fits(&event) => return event,
                Ok(event) => passed.push(event),
                Err(error) => panic!("{what} does not come ({error}); there was {passed:?}"),
            }
        }
    }

    fn deployed(&self, path: &str) -> Value {
        self.until(&format!("a deployment of {path}"), |event| event["event"] == "deployed" && event["path"] == path)
    }

    fn result(&self, expected: &Value) -> Value {
        self.until(&format!("the result {expected}"), |event| event["event"] == "result" && event["result"] == *expected)
    }

    /// As Ctrl-C does.
    fn interrupt(mut self) -> ExitStatus {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
        let deadline = Instant::now() + PATIENCE;
        // Its output ends with it.
        loop {
            match self.events.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => return self.child.wait().unwrap(),
                Err(RecvTimeoutError::Timeout) => panic!("it goes on"),
            }
        }
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// A project whose scripts go to `f/{name}`.
fn project(name: &str, files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("scripts")).unwrap();
    fs::write(folder.path().join("sandmill.toml"), format!("folder = \"f/{name}\"\nsource = \"scripts\"\n")).unwrap();
    for (file, text) in files {
        fs::write(folder.path().join(file), text).unwrap();
    }
    folder
}

fn returns(text: &str) -> String {
    format!("export function main(name: string) {{ return {{ {text}: name }}; }}\n")
}

#[test]
fn what_is_saved_is_deployed_and_called() {
    let folder = project("dev-save", &[("scripts/hello.ts", &returns("hello"))]);
    let file = folder.path().join("scripts/hello.ts");
    let dev = Dev::watch(folder.path(), &["--call", "f/dev-save/hello", "--arg", "name=bob"]);
    dev.result(&json!({"hello": "bob"}));
    fs::write(&file, returns("bye")).unwrap();
    let deployed = dev.deployed("f/dev-save/hello");
    let result = dev.result(&json!({"bye": "bob"}));
    assert_eq!((&deployed["number"], &deployed["fixed"]), (&json!(2), &json!(false)), "{deployed}");
    assert!(result["ms"].as_f64().unwrap() >= deployed["ms"].as_f64().unwrap() && result["run"].is_string(), "{result}");
    // As editors that write beside and rename.
    fs::write(folder.path().join("beside"), returns("ciao")).unwrap();
    fs::rename(folder.path().join("beside"), &file).unwrap();
    dev.result(&json!({"ciao": "bob"}));
    // What is new is found.
    fs::write(folder.path().join("scripts/other.ts"), returns("other")).unwrap();
    dev.deployed("f/dev-save/other");
    fs::remove_file(folder.path().join("scripts/other.ts")).unwrap();
    dev.until("that it is gone", |event| event["event"] == "gone");
    assert_eq!(dev.interrupt().code(), Some(0));
}

#[test]
fn a_fault_is_shown_until_it_is_mended() {
    let folder = project("dev-fault", &[("scripts/hello.ts", &returns("hello"))]);
    let file = folder.path().join("scripts/hello.ts");
    let dev = Dev::watch(folder.path(), &[]);
    dev.deployed("f/dev-fault/hello");
    fs::write(&file, "export function main( {").unwrap();
    let failed = dev.until("the fault", |event| event["event"] == "failed");
    let fault = &failed["error"]["diagnostics"][0];
    assert_eq!((&fault["file"], &fault["source_line"]), (&json!("hello.ts"), &json!("export function main( {")), "{failed}");
    assert!(fault["line"].is_u64() && failed["file"].as_str().unwrap().ends_with("hello.ts"), "{failed}");
    fs::write(&file, returns("again")).unwrap();
    let deployed = dev.deployed("f/dev-fault/hello");
    assert_eq!((&deployed["number"], &deployed["fixed"]), (&json!(2), &json!(true)), "{deployed}");
    // The settings alike, and what they say counts as soon as they can be read.
    let settings = folder.path().join("sandmill.toml");
    fs::write(&settings, "folder = ").unwrap();
    dev.until("the fault of the settings", |event| event["event"] == "failed");
    fs::write(&settings, "folder = \"f/dev-fault-elsewhere\"\nsource = \"scripts\"\n").unwrap();
    dev.until("that they are right again", |event| event["event"] == "fixed");
    dev.deployed("f/dev-fault-elsewhere/hello");
}

#[test]
fn a_manifest_is_part_of_its_script() {
    let folder = project("dev-manifest", &[("scripts/hello.ts", &returns("hello"))]);
    let manifest = folder.path().join("scripts/hello.script.toml");
    let dev = Dev::watch(folder.path(), &[]);
    assert_eq!(dev.deployed("f/dev-manifest/hello")["missing"], json!([]));
    fs::write(&manifest, "[grants]\nruns = [\"f/dev-manifest/*\"]\n").unwrap();
    assert_eq!(dev.deployed("f/dev-manifest/hello")["missing"], json!(["runs:f/dev-manifest/*"]));
    fs::write(&manifest, "[limits]\nwall_sm = 5\n").unwrap();
    let failed = dev.until("the fault", |event| event["event"] == "failed");
    assert!(failed["error"]["detail"].as_str().unwrap().contains("hello.script.toml"), "{failed}");
    fs::remove_file(&manifest).unwrap();
    assert_eq!(dev.deployed("f/dev-manifest/hello")["fixed"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_of_its_runs_arrive() {
    let source =
        "export function main(name: string) { console.log(`for ${name}`); if (name === 'nobody') throw new RangeError('who?'); }\n";
    let folder = project("dev-log", &[("scripts/hello.ts", source)]);
    let dev = Dev::watch(folder.path(), &[]);
    dev.deployed("f/dev-log/hello");
    server().deploy_with("f/dev-log-other/hello", plain("typescript", source)).await.unwrap();
    server().start_run("f/dev-log-other/hello", &json!({"name": "others"})).await.unwrap();
    let id = server().start_run("f/dev-log/hello", &json!({"name": "bob"})).await.unwrap();
    let line = dev.until("a line of the log", |event| event["event"] == "log");
    assert_eq!((&line["path"], &line["run"]), (&json!("f/dev-log/hello"), &json!(id)), "runs of other scripts are not shown: {line}");
    assert!(line["message"].as_str().unwrap().contains("for bob"), "{line}");
    let id = server().start_run("f/dev-log/hello", &json!({"name": "nobody"})).await.unwrap();
    let ended = dev.until("the end of a run that failed", |event| event["event"] == "ended");
    assert_eq!((&ended["run"], &ended["error"]), (&json!(id), &json!("RangeError: who?")), "{ended}");
}

#[test]
fn once_ends_with_what_came_of_it() {
    let folder = project("dev-once", &[("scripts/hello.ts", &returns("hello"))]);
    let dev = |arguments: &[&str]| {
        let output = sandmill(folder.path(), server(), &[&["dev", "--once"][..], arguments].concat());
        let [out, err] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        (output.status.code(), out, err)
    };
    let call = ["--call", "f/dev-once/hello"];
    let (code, out, err) = dev(&[&call[..], &["--args", r#"{"name": "bob"}"#]].concat());
    assert!(code == Some(0) && out.contains("f/dev-once/hello@1") && out.contains(r#"-> {"hello":"bob"}"#), "{out}{err}");
    let (code, _, err) = dev(&call);
    assert!(code == Some(2) && err.contains("/name"), "{err}");
    let (code, _, err) = dev(&["--args", "{}"]);
    assert!(code == Some(2) && err.contains("--call"), "{err}");
    let (code, _, err) = dev(&["--server", "http://127.0.0.1:1"]);
    assert!(code == Some(3) && err.contains("cannot reach"), "{err}");
    fs::write(folder.path().join("scripts/hello.ts"), "export function main( {").unwrap();
    let (code, _, err) = dev(&call);
    assert!(code == Some(2) && err.contains("hello.ts:1:"), "{err}");
}

#[test]
fn a_folder_of_scripts_needs_no_settings() {
    let folder = tempfile::tempdir().unwrap();
    let output = sandmill(folder.path(), server(), &["dev"]);
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(2) && err.contains("there is no script") && err.contains("sandmill init"), "{err}");
    fs::write(folder.path().join("dev-alone.ts"), returns("hello")).unwrap();
    let output = sandmill(folder.path(), server(), &["dev", "--once", "--json"]);
    let deployed: Value = serde_json::from_slice(&output.stdout).unwrap();
    let path = deployed["path"].as_str().unwrap();
    assert!(path.starts_with("u/") && path.ends_with("/dev-alone"), "{deployed}");
}
