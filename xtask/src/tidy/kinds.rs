//! The name of a trigger kind, and the prefix of its URLs, stay in its folder: nothing enumerates kinds, so adding one touches nothing else.

use regex::Regex;

use super::Fault;
use crate::tree::{File, Tree};

/// Where a kind lives, and where people read and try it.
const PLACES: &[&str] =
    &["host/triggers/", "examples/", "docs/", "tests/", "benches/", "wit/", "guest-sdk/", "runtimes/", "xtask/src/tidy/kinds.rs"];

/// What libraries have called so, as it is written.
const OF_LIBRARIES: &[&str] = &["WasiHttpCtxView { hooks: ", "hooks::{AuthAction, AuthContext, Authorization}"];

fn may_name_kinds(file: &File) -> bool {
    file.extension() == "md" || file.is_test() || PLACES.iter().any(|place| file.path.starts_with(place))
}

/// Names and URL prefixes, as the kinds themselves declare them.
fn declared(tree: &Tree) -> Vec<String> {
    let Ok(declaration) = Regex::new(r#"const (?:KIND|PREFIX): &(?:'static )?str = "([a-z0-9_-]+)""#) else { return Vec::new() };
    let sources = tree.under("host/triggers/src/").filter(|file| !file.is_test());
    let names = sources.flat_map(|file| declaration.captures_iter(&file.text).map(|found| found[1].to_owned()));
    names.collect()
}

#[must_use]
pub fn check(tree: &Tree) -> Vec<Fault> {
    let names = declared(tree);
    let Ok(pattern) = Regex::new(&format!(r#"(?i)\b({})\b"#, names.iter().map(|name| regex::escape(name)).collect::<Vec<_>>().join("|")))
    else {
        return Vec::new();
    };
    if names.is_empty() {
        return Vec::new();
    }
    let mut faults = Vec::new();
    for file in tree.files.iter().filter(|file| file.extension() == "rs" && !may_name_kinds(file)) {
        for (number, line) in file.shipped_lines() {
            let line = OF_LIBRARIES.iter().fold(line.to_owned(), |line, phrase| line.replace(phrase, ""));
            if let Some(found) = pattern.find(&line) {
                let message = format!(
                    "names the trigger kind `{}`; no kind's name appears outside host/triggers, its example and its docs: say `trigger`, or move this into the kind",
                    found.as_str()
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
            ("host/api/src/lib.rs", "struct Pigeon;", 1),
            ("host/api/src/lib.rs", ".route(\"/coop/{path}\")", 1),
            ("host/api/src/lib.rs", "// like the pigeon", 0),
            ("host/api/src/lib.rs", "Cage { pigeon: bird }", 1),
            ("host/api/src/lib.rs", "use birds::{pigeon::Wing};", 1),
            ("host/api/src/lib.rs", "let pigeons = scooped;", 0),
            ("host/api/src/lib.rs", "#[cfg(test)]\nmod tests { const X: &str = \"pigeon\"; }", 0),
            ("host/api/tests/it/main.rs", "\"pigeon\"", 0),
            ("examples/pigeon/README.md", "pigeon", 0),
            ("cli/src/lib.rs", "\"/coop/\"", 1),
        ] {
            assert_eq!(check(&Tree::of(&[KIND, (path, text)])).len(), faults, "{path}: {text}");
        }
    }

    #[test]
    fn what_libraries_call_so_is_theirs() {
        let kind = ("host/triggers/src/a.rs", "const PREFIX: &str = \"hooks\";");
        for (text, faults) in [
            ("    WasiHttpCtxView { hooks: &mut gate, table, ctx }", 0),
            ("    hooks::{AuthAction, AuthContext, Authorization},", 0),
            ("WasiHttpCtxView { hooks: hooks }", 1),
            ("Gate { hooks: 1 }", 1),
        ] {
            assert_eq!(check(&Tree::of(&[kind, ("host/api/src/lib.rs", text)])).len(), faults, "{text}");
        }
    }

    #[test]
    fn without_kinds_nothing_is_a_name() {
        assert!(check(&Tree::of(&[("host/api/src/lib.rs", "anything")])).is_empty());
    }
}
