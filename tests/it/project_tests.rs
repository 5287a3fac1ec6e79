//! `sandmill test`: cases of scripts, run without any server.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use sandmill_testkit::binary::{binary, root};
use serde_json::{Value, json};

fn test(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(binary());
    command.arg("test").args(arguments).current_dir(folder).env("XDG_CONFIG_HOME", folder.join("config"));
    command.env("XDG_CACHE_HOME", binary().parent().expect("the binary is in a folder").join("testkit-cache"));
    // Nothing listens there, and nobody asks.
    command.env("SANDMILL_SERVER", "http://127.0.0.1:1");
    command.output().expect("the binary runs")
}

/// Both outputs, after the exit code was as expected.
fn exits(output: &Output, code: i32) -> (String, String) {
    let [out, err] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    assert_eq!(output.status.code(), Some(code), "stdout: {out}\nstderr: {err}");
    (out, err)
}

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (file, text) in files {
        fs::write(folder.path().join(file), text).unwrap();
    }
    folder
}

const HELLO: &str = "export function main(name: string) { console.log('greeting', name); return { greeting: `Hello, ${name}!` }; }\n";

#[test]
fn every_example_passes() {
    for entry in fs::read_dir(root().join("examples")).unwrap() {
        let example = entry.unwrap().path();
        if !example.is_dir() {
            continue;
        }
        if example.join("Cargo.toml").exists() {
            let build = ["build", "--quiet", "--release", "--locked", "--target", "wasm32-wasip2", "--target-dir", "target"];
            let mut command = Command::new(env!("CARGO"));
            command.args(build).current_dir(&example).env_remove("RUSTFLAGS").env_remove("CARGO_TARGET_DIR");
            assert!(command.status().unwrap().success(), "{}", example.display());
        }
        let name = example.file_name().unwrap().to_string_lossy().into_owned();
        let output = test(root(), &[&format!("examples/{name}")]);
        let (out, _) = exits(&output, 0);
        assert!(out.contains(", 0 failed") && !out.contains("0 passed"), "{name}: {out}");
    }
}

#[test]
fn what_is_not_as_expected_is_shown() {
    let cases = json!([
        {"name": "greets bob", "args": {"name": "bob"}, "expect": {"greeting": "Hello, bob!"}, "log": ["greeting"]},
        {"name": "greets ann", "args": {"name": "ann"}, "expect": {"greeting": "Hi", "more": 1}},
        {"args": {}, "fails": {"code": "invalid_arguments", "message": "name"}},
        {"args": {"name": "x"}, "expect_where": [{"pointer": "/greeting", "operator": "starts_with", "value": "Hello"}]}
    ]);
    let folder = folder(&[("hello.ts", HELLO), ("hello.case.json", &cases.to_string())]);
    let (out, _) = exits(&test(folder.path(), &[]), 1);
    for part in [
        "hello.ts: greets bob (",
        "FAILED hello.ts: greets ann",
        "/greeting: expected \"Hi\", got \"Hello, ann!\"",
        "/more: expected 1, got nothing",
    ] {
        assert!(out.contains(part), "{part}: {out}");
    }
    assert!(out.contains("greeting ann") && !out.contains("greeting bob"), "the log of what failed: {out}");
    assert!(out.contains("hello.ts: case 3") && out.trim_end().ends_with("3 passed, 1 failed"), "{out}");
    let (out, _) = exits(&test(folder.path(), &["hello.ts", "--filter", "bob"]), 0);
    assert!(out.contains("1 passed, 0 failed"), "{out}");
    exits(&test(folder.path(), &["--filter", "nobody"]), 2);
    let (out, _) = exits(&test(folder.path(), &["hello.case.json", "--json"]), 1);
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&report["passed"], &report["failed"], &report["cases"][1]["passed"]), (&json!(3), &json!(1), &json!(false)));
}

#[test]
fn junit_can_be_read() {
    let source = "export function main() { console.log('<a> & \\u001b[2J ]]>'); return '<\\u0000>'; }\n";
    let cases = json!([{"name": "a < \"b\" & 'c'", "args": {}, "expect": "x"}, {"args": {}}]);
    let folder = folder(&[("odd.ts", source), ("odd.case.json", &cases.to_string())]);
    exits(&test(folder.path(), &["--junit", "report.xml"]), 1);
    let text = fs::read_to_string(folder.path().join("report.xml")).unwrap();
    assert!(text.contains("<testsuite name=\"odd.ts\" tests=\"2\" failures=\"1\"") && text.contains("<system-out>"), "{text}");
    well_formed(&text);
    assert!(fs::read_dir(folder.path()).unwrap().all(|entry| entry.unwrap().file_name() != "local.db"));
}

#[test]
fn junit_has_what_could_not_be_run() {
    let good = r#"{"args": {"name": "x"}}"#;
    let impossible = json!([
        {"name": "no such fields", "args": {"name": "x"}, "fakes": {"resources": {"f/demo/x": {"type": "sqlite", "value": {}}}}},
        {"args": {"name": "x"}}
    ])
    .to_string();
    let files = [
        ("good.ts", HELLO),
        ("good.case.json", good),
        ("cut.ts", HELLO),
        ("cut.case.json", "[{\"args\": {\"name\": \"x\"}}\n"),
        ("broken.ts", "export function main( {"),
        ("broken.case.json", good),
        ("manifest.ts", HELLO),
        ("manifest.script.toml", "[limits]\nwall_sm = 1\n"),
        ("manifest.case.json", good),
        ("impossible.ts", HELLO),
        ("impossible.case.json", impossible.as_str()),
    ];
    let folder = folder(&files);
    let report = || fs::read_to_string(folder.path().join("out/of/it/report.xml")).unwrap();
    let (out, err) = exits(&test(folder.path(), &["--junit", "out/of/it/report.xml"]), 2);
    assert!(out.contains("2 passed, 0 failed") && err.contains("--> cut.case.json:1:"), "{out}\n{err}");
    let text = report();
    well_formed(&text);
    for file in ["cut.case.json", "broken.ts", "manifest.ts"] {
        let suite = format!("<testsuite name=\"{file}\" tests=\"1\" failures=\"0\" errors=\"1\"");
        assert!(
            text.contains(&suite) && text.contains(&format!("name=\"{file}\" time=\"0.000\">\n      <error message=")),
            "{file}: {text}"
        );
    }
    for part in [
        "<testsuites tests=\"6\" failures=\"0\" errors=\"4\"",
        "<testsuite name=\"good.ts\" tests=\"1\" failures=\"0\" errors=\"0\"",
        "<testsuite name=\"impossible.ts\" tests=\"2\" failures=\"0\" errors=\"1\"",
        "name=\"no such fields\"",
        "wall_sm",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    // What came before it does not stay, whatever happens.
    exits(&test(folder.path(), &["missing", "--junit", "out/of/it/report.xml"]), 2);
    assert!(report().contains("errors=\"1\"") && !report().contains("good.ts"), "{}", report());
    // Nothing is run if there cannot be a report.
    let (out, err) = exits(&test(folder.path(), &["good.ts", "--junit", "good.ts/report.xml"]), 2);
    assert!(out.is_empty() && err.contains("cannot write good.ts/report.xml"), "{out}\n{err}");
}

/// Every element is closed in order, and there is nothing that XML cannot hold.
fn well_formed(text: &str) {
    assert!(text.chars().all(|c| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)), "{text}");
    let mut open: Vec<&str> = Vec::new();
    for part in text.split('<').skip(1) {
        let (tag, content) = part.split_once('>').expect("a tag ends");
        let entities = content.split('&').skip(1).chain(tag.split('&').skip(1));
        assert!(entities.into_iter().all(|entity| entity.split_once(';').is_some_and(|(name, _)| name.len() <= 5)), "{part}");
        if tag.starts_with('?') {
            continue;
        }
        match tag.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name), "{text}"),
            None => open.push(tag.split(' ').next().unwrap()),
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

#[test]
fn bad_files_and_sources_are_told_and_the_rest_is_run() {
    let good = r#"{"args": {"name": "x"}}"#;
    let files = [
        ("good.ts", HELLO),
        ("good.case.json", good),
        ("misspelt.ts", HELLO),
        ("misspelt.case.json", r#"[{"args": {"name": "x"}}, {"args": {"name": "x"}, "expects": 1}]"#),
        ("broken.ts", "export function main( {"),
        ("broken.case.json", good),
        ("orphan.case.json", good),
    ];
    let folder = folder(&files);
    let (out, err) = exits(&test(folder.path(), &[]), 2);
    assert!(out.contains("good.ts: case 1") && out.contains("1 passed, 0 failed"), "{out}");
    let line = "1 | [{\"args\": {\"name\": \"x\"}}, {\"args\": {\"name\": \"x\"}, \"expects\": 1}]";
    for part in ["error: case 2: unknown field `expects`", " --> misspelt.case.json:1:", line, "broken.ts:1:", "orphan.case.json"] {
        assert!(err.contains(part), "{part}: {err}");
    }
    let (_, err) = exits(&test(folder.path(), &["missing"]), 2);
    assert!(err.contains("missing"), "{err}");
    let empty = tempfile::tempdir().unwrap();
    let (_, err) = exits(&test(empty.path(), &[]), 2);
    assert!(err.contains("hello.case.json"), "{err}");
}

#[test]
fn cases_share_nothing_unless_they_say_so() {
    let source = "import { state } from 'sandmill';\nexport function main() { const n = (state.get<number>('n') ?? 0) + 1; state.set('n', n); return n; }\n";
    let cases = json!([
        {"args": {}, "expect": 1, "expect_state": {"n": 1, "other": null}},
        {"args": {}, "expect": 1},
        {"args": {}, "continues": true, "expect": 2},
        {"args": {}, "fakes": {"state": {"n": 41}}, "expect": 42, "expect_state": {"n": 42}},
        {"args": {}, "fakes": {"state": {"n": 41}}, "expect_state": {"n": 41}}
    ]);
    let folder = folder(&[("count.ts", source), ("count.case.json", &cases.to_string())]);
    let (out, _) = exits(&test(folder.path(), &[]), 1);
    assert!(out.contains("4 passed, 1 failed") && out.contains("state \"n\": (result): expected 41, got 42"), "{out}");
}

#[test]
fn fakes_of_each_kind() {
    let source = "import { resource, runs, sql, variable } from 'sandmill';
export async function main(what: string) {
  if (what === 'variable') return variable('f/demo/region');
  if (what === 'secret') { const key = variable('f/demo/key'); console.log('key', key); return key.length; }
  if (what === 'resource') return resource.open('f/demo/account').fields;
  if (what === 'sql') return sql('f/demo/database').query('SELECT 40 + 2 AS n');
  if (what === 'runs') return runs.run('f/demo/child', {});
  if (what === 'http') {
    const answers = [];
    for (let n = 0; n < 2; n++) {
      const answer = await fetch('https://api.example.com/users?page=1');
      answers.push([answer.status, answer.headers.get('x-n'), await answer.text()]);
    }
    return answers;
  }
  if (what === 'schemes') {
    const ask = async (url: string) => { const answer = await fetch(url); return [answer.status, (await answer.text()).trim()]; };
    return Promise.all(['https://a.example/', 'http://a.example/', 'http://10.1.2.3:81/', 'https://a.example/other'].map(ask));
  }
  return null;
}
";
    let manifest = "[grants]\nvariables = [\"f/demo/*\"]\nsecrets = [\"f/demo/key\"]\nresources = [\"f/demo/*\"]\nsql = [\"read f/demo/*\"]\nruns = [\"f/demo/*\"]\nhttp = [\"https://*\", \"http://*\", \"http://10.1.2.3:81\"]\n";
    let request = "GET https://api.example.com/users";
    let cases = json!([
        {"name": "variable", "args": {"what": "variable"}, "fakes": {"variables": {"f/demo/region": "eu"}}, "expect": "eu"},
        {"name": "secret", "args": {"what": "secret"}, "fakes": {"secrets": {"f/demo/key": "a long secret"}}, "expect": 13, "log": ["key *************"]},
        {"name": "resource", "args": {"what": "resource"}, "fakes": {"resources": {"f/demo/account": {"type": "http", "value": {"origin": "https://x.example", "bearer": "abcdefgh"}}}}, "expect": {"origin": "https://x.example"}},
        {"name": "sql", "args": {"what": "sql"}, "fakes": {"resources": {"f/demo/database": {"type": "sqlite", "value": {"name": "x"}}}}, "expect": [{"n": 42}]},
        {"name": "runs", "args": {"what": "runs"}, "fakes": {"runs": {"f/demo/child": {"a": [null]}}}, "expect": {"a": [null]}},
        {"name": "http", "args": {"what": "http"}, "fakes": {"http": [{"request": request, "status": 503}, {"request": request, "headers": {"x-n": "2"}, "body": "hi"}]}, "expect": [[503, null, ""], [200, "2", "hi"]]},
        {"name": "schemes", "args": {"what": "schemes"}, "fakes": {"http": [
            {"request": "GET http://a.example/", "body": "plain"}, {"request": "GET https://a.example/", "body": "with TLS"}, {"request": "GET http://10.1.2.3:81/", "body": "by address"}
        ]}, "expect": [[200, "with TLS"], [200, "plain"], [200, "by address"], [501, "no fake answers GET https://a.example/other"]]},
        {"name": "not faked: a scheme", "args": {"what": "http"}, "fakes": {"http": [{"request": "GET http://api.example.com/users"}]}, "fails": {"code": "denied"}, "log": ["http"]},
        {"name": "not faked: variable", "args": {"what": "variable"}, "fails": {"message": "variables:f/demo/*"}},
        {"name": "not faked: runs", "args": {"what": "runs"}, "fails": {"message": "runs:f/demo/*"}},
        {"name": "not faked: http", "args": {"what": "http"}, "fails": {"code": "denied"}, "log": ["http"]}
    ]);
    let folder = folder(&[("fakes.ts", source), ("fakes.script.toml", manifest), ("fakes.case.json", &cases.to_string())]);
    let (out, _) = exits(&test(folder.path(), &[]), 0);
    assert!(out.contains("11 passed, 0 failed"), "{out}");
    let hints = json!([{"args": {"what": "variable"}}, {"args": {"what": "http"}, "expect": 1}, {"args": {"what": ""}, "expect": 1}]);
    fs::write(folder.path().join("fakes.case.json"), hints.to_string()).unwrap();
    let (out, _) = exits(&test(folder.path(), &[]), 1);
    assert!(out.matches("hint: in a test").count() == 2 && out.contains("`fakes` of the case"), "{out}");
    let impossible = json!([
        {"args": {"what": ""}, "fakes": {"resources": {"f/demo/x": {"type": "sqlite", "value": {}}}}},
        {"args": {"what": ""}, "continues": true},
        {"args": {"what": ""}, "expect": null}
    ]);
    fs::write(folder.path().join("fakes.case.json"), impossible.to_string()).unwrap();
    let (out, err) = exits(&test(folder.path(), &[]), 2);
    assert!(err.contains("case 1") && err.contains("f/demo/x") && out.contains("1 passed, 0 failed"), "{out}\n{err}");
    fs::write(folder.path().join("fakes.case.json"), r#"{"args": {}, "fakes": {"http": [{"request": "GET ftp://a.example/"}]}}"#).unwrap();
    let (_, err) = exits(&test(folder.path(), &[]), 2);
    assert!(err.contains("https:// or http://"), "{err}");
}

#[test]
fn scripts_of_a_project_are_there() {
    let parent = "import { runs } from 'sandmill';\nexport function main() { return runs.run('f/demo/child', {}); }\n";
    let cases = json!([
        {"args": {}, "expect": "the real one"},
        {"args": {}, "fakes": {"runs": {"f/demo/child": "a fake"}}, "expect": "a fake"}
    ]);
    let folder = folder(&[
        ("sandmill.toml", "folder = \"f/demo\"\nsource = \".\"\n"),
        ("parent.ts", parent),
        ("parent.script.toml", "[grants]\nruns = [\"f/demo/child\"]\n"),
        ("parent.case.json", &cases.to_string()),
        ("child.ts", "export function main() { return 'the real one'; }\n"),
    ]);
    let (out, _) = exits(&test(folder.path(), &[]), 0);
    assert!(out.contains("2 passed, 0 failed"), "{out}");
}
