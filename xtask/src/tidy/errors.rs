//! Every error code has a page, and every page a code.

use std::collections::BTreeSet;

use regex::Regex;

use super::Fault;
use crate::tree::Tree;

const CODES: &str = "host/model/src/code.rs";
const PAGES: &str = "docs/errors/";
/// The list of all pages.
const INDEX: &str = "README";

#[must_use]
pub fn check(tree: &Tree) -> Vec<Fault> {
    let (Some(file), Ok(declaration)) = (tree.get(CODES), Regex::new(r#"(?m)^\s*\w+ = "([a-z_]+)", [A-Z_]+, ""#)) else {
        return Vec::new();
    };
    let codes: BTreeSet<&str> = declaration.captures_iter(&file.text).filter_map(|found| found.get(1)).map(|name| name.as_str()).collect();
    let page = |path: &str| path.strip_prefix(PAGES)?.strip_suffix(".md").map(ToOwned::to_owned);
    let pages: BTreeSet<String> = tree.files.iter().filter_map(|file| page(&file.path)).filter(|name| name != INDEX).collect();
    let missing = codes.iter().filter(|code| !pages.contains(**code));
    let missing = missing
        .map(|code| Fault::new(format!("{PAGES}{code}.md"), "is missing; every error code has a page: what happened, why, what to do"));
    let stray = pages.iter().filter(|page| !codes.contains(page.as_str()));
    let stray =
        stray.map(|page| Fault::new(format!("{PAGES}{page}.md"), format!("has no code in {CODES}; remove the page or add the code")));
    missing.chain(stray).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_pages_match() {
        let codes = (CODES, "codes! {\n    NotFound = \"not_found\", NOT_FOUND, \"There is none\";\n}");
        for (pages, faults) in [(&["docs/errors/not_found.md", "docs/errors/README.md"][..], 0), (&[], 1), (&["docs/errors/gone.md"], 2)] {
            let mut files: Vec<_> = pages.iter().map(|path| (*path, "")).collect();
            files.push(codes);
            assert_eq!(check(&Tree::of(&files)).len(), faults, "{pages:?}");
        }
    }
}
