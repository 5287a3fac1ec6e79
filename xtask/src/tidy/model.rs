//! The model is pure: it describes, others do.

use super::Fault;
use crate::tree::Tree;

const FORBIDDEN: &[&str] = &["std::fs", "std::net", "std::process", "std::thread", "std::io", "tokio::", "println!"];

#[must_use]
pub fn check(tree: &Tree) -> Vec<Fault> {
    let mut faults = Vec::new();
    for file in tree.under("host/model/src/").filter(|file| file.extension() == "rs" && !file.is_test()) {
        for (number, line) in file.shipped_lines() {
            if let Some(word) = FORBIDDEN.iter().find(|word| line.contains(**word)) {
                let message = format!("uses {word}; the model does no I/O: define a trait here and implement it in the crate that does");
                faults.push(Fault::new(format!("{}:{number}", file.path), message));
            }
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn io_is_elsewhere() {
        for (path, line, faults) in [
            ("host/model/src/run.rs", "use std::fs::File;", 1),
            ("host/model/src/run.rs", "use std::fmt;", 0),
            ("host/store/src/run.rs", "use std::fs::File;", 0),
        ] {
            assert_eq!(check(&Tree::of(&[(path, line)])).len(), faults, "{path}: {line}");
        }
    }
}
