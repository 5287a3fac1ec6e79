//! The SDKs for guests: each one's own tests, as whoever works on it runs them.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use sandmill_testkit::binary::root;

/// Where cargo puts what these tests build: beside what they are built into themselves.
fn target(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let target =
        test.ancestors().find(|folder| folder.join("CACHEDIR.TAG").is_file()).map_or_else(|| root().join("target"), Path::to_owned);
    target.join(name)
}

fn command(program: &str, arguments: &[&str], folder: &str) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(root().join(folder));
    command
}

fn check(mut command: Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}:\n{out}\n{err}");
}

#[test]
fn python() {
    check(command("python3", &["-W", "error", "-m", "unittest", "discover", "-s", "guest-sdk/python/tests"], "."));
}

#[test]
fn c() {
    check(command("python3", &["-m", "unittest", "discover", "-s", "guest-sdk/c/tests"], "."));
}

#[test]
fn go() {
    check(command("go", &["test", "./..."], "guest-sdk/go"));
}

#[test]
fn rust() {
    for arguments in [&["test", "--locked", "--workspace", "--all-targets"][..], &["test", "--locked", "--doc"]] {
        let mut cargo = command(env!("CARGO"), arguments, "guest-sdk/rust");
        cargo.env("CARGO_TARGET_DIR", target("sdk-rust")).env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
        check(cargo);
    }
}
