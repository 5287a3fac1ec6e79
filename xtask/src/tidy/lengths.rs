//! Files stay short enough to be read in one go.

use super::Fault;
use crate::tree::{File, Tree};

const LINES_MAX: usize = 700;
/// From here on one looks for the second idea in the file.
const LINES_HINT: usize = 400;

const SOURCES: &[&str] = &["rs", "ts", "js", "mjs", "py", "wit", "sql", "sh"];

/// Made by a tool, and known to be so by its name.
fn is_generated(path: &str) -> bool {
    path.split('/').any(|part| part == "dist" || part == "node_modules") || path.contains(".bundle.") || path.contains(".generated.")
}

fn sources(tree: &Tree) -> impl Iterator<Item = (&File, usize)> {
    let is_source = |file: &&File| SOURCES.contains(&file.extension()) && !is_generated(&file.path);
    tree.files.iter().filter(is_source).map(|file| (file, file.text.lines().count()))
}

#[must_use]
pub fn check(tree: &Tree) -> Vec<Fault> {
    let long = sources(tree).filter(|(_, lines)| *lines > LINES_MAX);
    long.map(|(file, lines)| {
        Fault::new(&file.path, format!("{lines} lines; a file has at most {LINES_MAX}: move its second idea to a module of its own"))
    })
    .collect()
}

/// Files that will be too long if nobody looks.
#[must_use]
pub fn hints(tree: &Tree) -> Vec<String> {
    let longish = sources(tree).filter(|(_, lines)| (LINES_HINT + 1..=LINES_MAX).contains(lines));
    longish.map(|(file, lines)| format!("{}: {lines} lines; look for the second idea in it", file.path)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths() {
        for (path, lines, faults, hints_expected) in [
            ("host/a/src/lib.rs", 400, 0, 0),
            ("host/a/src/lib.rs", 401, 0, 1),
            ("host/a/src/lib.rs", 700, 0, 1),
            ("host/a/src/lib.rs", 701, 1, 0),
            ("examples/markdown/dist/markdown.js", 5_000, 0, 0),
            ("docs/guide.md", 5_000, 0, 0),
        ] {
            let tree = Tree::of(&[(path, &"x\n".repeat(lines))]);
            assert_eq!((check(&tree).len(), hints(&tree).len()), (faults, hints_expected), "{path} {lines}");
        }
    }
}
