//! Guests: the components under `tests/guests`, built once for whoever asks first.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use crate::binary::root;

/// Path of the component that the package `name` of `tests/guests` is built to.
///
/// # Panics
/// If it does not build: then nothing can be tested.
#[must_use]
pub fn guest(name: &str) -> PathBuf {
    static TARGET: OnceLock<PathBuf> = OnceLock::new();
    let target = TARGET.get_or_init(build);
    let path = target.join("wasm32-wasip2/release").join(format!("{name}.wasm"));
    assert!(path.is_file(), "there is no guest {name}");
    path
}

/// Builds them all; other test processes wait for the first one.
fn build() -> PathBuf {
    // This test is <target>/<profile>/deps/<name>.
    let test = std::env::current_exe().expect("the path of this test");
    let target =
        test.ancestors().find(|folder| folder.join("CACHEDIR.TAG").is_file()).map_or_else(|| root().join("target"), Path::to_owned);
    let target = target.join("guests");
    fs::create_dir_all(&target).expect("a folder for the guests");
    let lock = File::create(target.join(".lock")).expect("a lock for the guests");
    lock.lock().expect("the lock of the guests");
    let output = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--release", "--locked", "--target", "wasm32-wasip2", "--target-dir"])
        .arg(&target)
        .current_dir(root().join("tests/guests"))
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "the guests do not build:\n{}", String::from_utf8_lossy(&output.stderr));
    target
}
