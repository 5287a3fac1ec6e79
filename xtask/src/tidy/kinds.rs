//! The name of a trigger kind, and the prefix of its URLs, stay in its folder: nothing enumerates kinds, so adding one touches nothing else.
//!
//! Kinds are called by ordinary words, and code may use those: what tells one kind from others is a text that is its name, or a URL under its prefix.

use regex::Regex;

use super::Fault;
use crate::tree::{File, Tree};

/// Where a kind lives, and where people read and try it.
const PLACES: &[&str] =
    &["host/triggers/", "examples/", "docs/", "tests/", "benches/", "wit/", "guest-sdk/", "runtimes/", "xtask/src/tidy/kinds.rs"];

fn may_name_kinds(file: &File) -> bool {
    file.extension() == "md" || file.is_test() || PLACES.iter().any(|place| file.path.starts_with(place))
}

/// What the kinds themselves declare as `constant`, as alternatives of a pattern; none: nothing is declared.
fn declared(tree: &Tree, constant: &str) -> Option<String> {
    let declaration = Regex::new(&format!(r#"const {constant}: &(?:'static )?str = "([a-z0-9_-]+)""#)).ok()?;
    let sources = tree.under("host/triggers/src/").filter(|file| !file.is_test());
    let found: Vec<String> = sources.flat_map(|file| declaration.captures_iter(&file.text).map(|found| regex::escape(&found[1]))).collect();
    (!found.is_empty()).then(|| found.join("|"))
}

#[must_use]
pub fn check(tree: &Tree) -> Vec<Fault> {
    let names = declared(tree, "KIND").map(|names| format!(r#""({names})""#));
    let urls = declared(tree, "PREFIX").map(|prefixes| format!(r#""/({prefixes})/"#));
    let patterns: Vec<Regex> = names.iter().chain(&urls).filter_map(|pattern| Regex::new(pattern).ok()).collect();
    let mut faults = Vec::new();
    for file in tree.files.iter().filter(|file| file.extension() == "rs" && !may_name_kinds(file)) {
        for (number, line) in file.shipped_lines() {
            if let Some(found) = patterns.iter().find_map(|pattern| pattern.captures(line)) {
                let message = format!(
                    "names the trigger kind `{}`; no kind's name appears outside host/triggers, its example and its docs: say `trigger`, or move this into the kind",
                    &found[1]
                );
                faults.push(Fault::new(format!("{}:{number}", file.path), message));
            }
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: (&str, &str) =
        ("host/triggers/src/pigeon.rs", "const KIND: &'static str = \"pigeon\";\nconst PREFIX: &'static str = \"coop\";");

    #[test]
    fn names_stay_home() {
        for (path, text, faults) in [
            ("host/api/src/lib.rs", "let kind = \"pigeon\";", 1),
            ("host/api/src/lib.rs", "match kind { \"pigeon\" => 1, \"owl\" => 2 }", 1),
            ("host/api/src/lib.rs", "r#\"{\"kind\":\"pigeon\"}\"#", 1),
            ("host/api/src/lib.rs", ".route(\"/coop/{path}\")", 1),
            ("host/api/src/lib.rs", "// like the \"pigeon\"", 0),
            ("host/api/src/lib.rs", "#[cfg(test)]\nmod tests { const X: &str = \"pigeon\"; }", 0),
            ("host/api/tests/it/main.rs", "\"pigeon\"", 0),
            ("examples/pigeon/README.md", "pigeon", 0),
            ("cli/src/lib.rs", "\"/coop/\"", 1),
        ] {
            assert_eq!(check(&Tree::of(&[KIND, (path, text)])).len(), faults, "{path}: {text}");
        }
    }

    #[test]
    fn words_are_no_names() {
        for text in [
            "struct Pigeon;",
            "Cage { pigeon: bird }",
            "use birds::{pigeon::Wing};",
            "let pigeons = \"pigeons\";",
            "\"a pigeon\"",
            "\"coop\"",
            "\"/cooped/\"",
            "\"/api/coop/\"",
        ] {
            assert!(check(&Tree::of(&[KIND, ("host/api/src/lib.rs", text)])).is_empty(), "{text}");
        }
    }

    #[test]
    fn without_kinds_nothing_is_a_name() {
        assert!(check(&Tree::of(&[("host/api/src/lib.rs", "anything")])).is_empty());
    }
}
