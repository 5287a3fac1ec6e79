//! The rules of the workshop hold for this repository.

use xtask::{codegen, runtimes, tidy};

#[test]
fn the_repository_is_tidy() {
    let faults: Vec<String> = tidy::faults().unwrap().iter().map(ToString::to_string).collect();
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn generated_files_are_fresh() {
    codegen::run(codegen::Mode::Check).unwrap();
}

#[test]
fn runtimes_are_built_from_what_is_here() {
    runtimes::run(true).unwrap();
}
