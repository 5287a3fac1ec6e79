//! The README's tour, typed as it stands there.

use std::{fs, path::Path, process::Command};

use sandmill_testkit::{
    binary::{binary, root},
    wasmtime::wasmtime,
};

use crate::shared::server;

/// The code block after the marker `<!-- tour: name -->`.
fn block(readme: &str, name: &str) -> String {
    let marker = format!("<!-- tour: {name} -->");
    let after = &readme[readme.find(&marker).unwrap_or_else(|| panic!("the README has {marker}")) + marker.len()..];
    let start = after.find("```").expect("a code block follows") + 3;
    let body = &after[start..];
    let body = &body[body.find('\n').expect("the block has lines") + 1..];
    body[..body.find("```").expect("the block ends")].to_owned()
}

#[test]
fn the_tour_works_as_it_is_written() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("hello.ts"), block(&readme, "hello.ts")).unwrap();
    let server = server();
    let wasmtime = wasmtime();
    let programs: Vec<_> = [Some(binary()), wasmtime.as_deref()].into_iter().flatten().filter_map(Path::parent).collect();
    let path = std::env::join_paths(programs).unwrap().into_string().unwrap();
    let type_in = |commands: &str| {
        let commands = format!("export PATH={path:?}:$PATH\n{commands}");
        let output = Command::new("bash")
            .args(["-euo", "pipefail", "-c", &commands])
            .current_dir(folder.path())
            .env("SANDMILL_SERVER", &server.url)
            .env("SANDMILL_TOKEN", &server.token)
            .env("XDG_CACHE_HOME", binary().parent().unwrap().join("testkit-cache"))
            .output()
            .unwrap();
        let (out, err) = (String::from_utf8_lossy(&output.stdout).into_owned(), String::from_utf8_lossy(&output.stderr).into_owned());
        assert!(output.status.success(), "{commands}\n{out}\n{err}");
        out
    };
    let out = type_in(&block(&readme, "commands"));
    for expected in [
        r#""hello":"ann""#,
        "f/demo/hello@1",
        r#"{"hello":"bob","n":[0,2,4]}"#,
        r#"{"hello":"bob","n":[0,2]}"#,
        "invalid_arguments",
        "/name",
        "succeeded",
    ] {
        assert!(out.contains(expected), "{expected} is in:\n{out}");
    }
    fs::write(folder.path().join("hello.trigger.toml"), block(&readme, "hello.trigger.toml")).unwrap();
    let out = type_in(&block(&readme, "triggers"));
    let is_seven_in_zurich = out.contains("T05:00:00") || out.contains("T06:00:00");
    assert!(is_seven_in_zurich && out.contains("f/demo/hello schedule on") && out.contains("f/demo/hello off"), "{out}");
    type_in(&block(&readme, "download"));
    let component = fs::read(folder.path().join("hello.wasm")).unwrap();
    assert_eq!(&component[..8], b"\0asm\x0d\0\x01\0", "it is a component");
    if wasmtime.is_some() {
        let command = block(&readme, "elsewhere");
        let (_, says) = command.trim().split_once("# ").unwrap();
        assert_eq!(type_in(&command).trim(), says);
    }
}
