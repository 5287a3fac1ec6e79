//! The README's examples are parts of programs that are built and tested.

use std::{fs, path::PathBuf};

use crate::manifest_dir;

#[test]
fn every_example_is_part_of_a_program() {
    let root = PathBuf::from(manifest_dir());
    let files = fs::read_dir(root.join("examples/readme")).unwrap().map(|entry| entry.unwrap().path());
    let files = files.chain([root.join("examples/visits/src/lib.rs"), root.join("Cargo.toml"), root.join("examples/hello/Cargo.toml")]);
    let programs: Vec<String> = files.map(|path| fs::read_to_string(path).unwrap()).collect();
    let readme = fs::read_to_string(root.join("README.md")).unwrap();
    let mut count = 0;
    for block in readme.split("```rust\n").skip(1) {
        let (example, _) = block.split_once("```").unwrap();
        assert!(programs.iter().any(|program| program.contains(example)), "no program has this:\n{example}");
        count += 1;
    }
    assert!(count >= 8, "{count}");
}

#[test]
fn the_profile_that_is_recommended_is_the_one_that_is_measured() {
    let root = PathBuf::from(manifest_dir());
    let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let readme = fs::read_to_string(root.join("README.md")).unwrap();
    let settings = |text: &str| -> Vec<String> {
        let profiles =
            text.lines().skip_while(|line| *line != "[profile.release]").take_while(|line| *line != "[package]" && *line != "```");
        profiles.filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect()
    };
    assert_eq!(settings(&readme), settings(&manifest));
}
