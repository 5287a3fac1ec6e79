//! The binary under test, built once for each test process.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// The root of the repository.
#[must_use]
pub fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// Path of the `sandmill` binary in the tests' own profile: `SANDMILL_BIN` if set, else built now.
///
/// # Panics
/// If it does not build: then nothing can be tested.
#[must_use]
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        #[expect(clippy::disallowed_methods, reason = "tests have no options")]
        if let Ok(path) = std::env::var("SANDMILL_BIN") {
            return path.into();
        }
        let output = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--profile", "ci", "--package", "sandmill", "--bin", "sandmill", "--message-format", "json"])
            .current_dir(root())
            .output()
            .expect("cargo runs");
        assert!(output.status.success(), "the binary does not build:\n{}", String::from_utf8_lossy(&output.stderr));
        let messages = String::from_utf8_lossy(&output.stdout);
        let path = messages
            .lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
            .filter(|message| message["target"]["name"] == "sandmill")
            .find_map(|message| message["executable"].as_str().map(PathBuf::from));
        path.expect("cargo names the binary")
    })
}
