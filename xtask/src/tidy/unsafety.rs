//! Unsafe code lives in one module of the sandbox, the one that maps cached code.

use super::Fault;
use crate::tree::Tree;

const HOME: &str = "host/sandbox/src/";
const MODULES_MAX: usize = 1;

#[must_use]
pub fn check(tree: &Tree) -> Vec<Fault> {
    let is_lifting = |line: &str| (line.contains("expect(") || line.contains("allow(")) && line.contains("unsafe_code");
    let mut homes: Vec<&str> = Vec::new();
    let mut faults = Vec::new();
    for file in tree.host_sources() {
        for (number, _) in file.lines().filter(|(_, line)| is_lifting(line)) {
            if file.path.starts_with(HOME) && (homes.contains(&file.path.as_str()) || homes.len() < MODULES_MAX) {
                if !homes.contains(&file.path.as_str()) {
                    homes.push(&file.path);
                }
                continue;
            }
            let message = "lifts the ban on unsafe code; only one module of host/sandbox may, to map cached code: find a safe way";
            faults.push(Fault::new(format!("{}:{number}", file.path), message));
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_module_may() {
        let line = "#[expect(unsafe_code, reason = \"x\")]";
        for (paths, faults) in [
            (&["host/sandbox/src/map.rs"][..], 0),
            (&["host/sandbox/src/map.rs", "host/sandbox/src/other.rs"], 1),
            (&["host/store/src/lib.rs"], 1),
            (&["runtimes/javascript/src/lib.rs"], 0),
        ] {
            let files: Vec<_> = paths.iter().map(|path| (*path, line)).collect();
            assert_eq!(check(&Tree::of(&files)).len(), faults, "{paths:?}");
        }
    }
}
