//! Small things that every file shares.

use regex::Regex;

use super::Fault;
use crate::tree::Tree;

/// Packages that are no members of the workspace: guests are compiled by another toolchain's rules, fuzz targets are a macro each.
const OUTSIDE: &[&str] = &["tests/guests/", "tests/foreign/", "runtimes/", "guest-sdk/", "examples/", "fuzz/"];

/// Every member obeys the workspace's lints.
#[must_use]
pub fn lints(tree: &Tree) -> Vec<Fault> {
    let is_member = |path: &str| path.ends_with("/Cargo.toml") && !OUTSIDE.iter().any(|folder| path.starts_with(folder));
    let obeys = |text: &str| {
        toml::from_str::<toml::Table>(text).is_ok_and(|manifest| manifest.get("lints") == Some(&toml::Value::Table(inherited())))
    };
    let deaf = tree.files.iter().filter(|file| is_member(&file.path) && !obeys(&file.text));
    deaf.map(|file| Fault::new(&file.path, "does not obey the workspace's lints: add `[lints]` with `workspace = true`")).collect()
}

fn inherited() -> toml::Table {
    toml::Table::from_iter([("workspace".to_owned(), toml::Value::Boolean(true))])
}

/// Written by package managers, with their servers in it.
const LOCK_FILES: &[&str] = &["Cargo.lock"];

/// Words are put together here, so that this file passes its own rule.
fn patterns() -> [(String, &'static str); 2] {
    let server = [
        "crates[.]io",
        "static[.]rust-lang[.]org",
        "registry[.]npmjs[.]org",
        "registry[.]yarnpkg",
        "pypi[.]org",
        "pythonhosted[.]org",
        "(?:deb|security)[.]debian[.]org",
        "proxy[.]golang",
    ];
    [
        (
            server.join("|"),
            "names a package server; derive it from the machine's own configuration (a lock file: leave resolved addresses out)",
        ),
        (
            ["/", "(?:root|Users|home/[a-z]+)/[A-Za-z.]"].concat(),
            "holds a path of one machine; make it relative to the repository or to the home folder",
        ),
    ]
}

/// No package servers and no paths of anybody's machine.
#[must_use]
pub fn words(tree: &Tree) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (pattern, message) in patterns() {
        let Ok(pattern) = Regex::new(&pattern) else { continue };
        for file in tree.files.iter().filter(|file| !LOCK_FILES.iter().any(|lock| file.path.ends_with(lock))) {
            for (number, line) in file.lines() {
                if let Some(found) = pattern.find(line) {
                    faults.push(Fault::new(format!("{}:{number}", file.path), format!("`{}` {message}", found.as_str())));
                }
            }
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_obey_the_lints() {
        for (path, text, faults) in [
            ("host/x/Cargo.toml", "[package]\nname = \"x\"\n[lints]\nworkspace = true\n", 0),
            ("host/x/Cargo.toml", "[package]\nname = \"x\"\n", 1),
            ("host/x/Cargo.toml", "[lints.rust]\nunsafe_code = \"allow\"\n", 1),
            ("Cargo.toml", "[workspace]\n", 0),
            ("tests/guests/x/Cargo.toml", "[package]\n", 0),
        ] {
            assert_eq!(lints(&Tree::of(&[(path, text)])).len(), faults, "{path}: {text}");
        }
    }

    #[test]
    fn machines_and_servers_are_not_named() {
        let slash = '/';
        for (line, faults) in [
            (format!("cd {slash}root{slash}work"), 1),
            (format!("cd {slash}home{slash}ann{slash}work"), 1),
            ("cd ./work".to_owned(), 0),
            (format!("https:{slash}{slash}{}.org{slash}simple", "pypi"), 1),
            (format!("https:{slash}{slash}crates.{}{slash}", "io"), 1),
            ("root/home of the tree".to_owned(), 0),
        ] {
            assert_eq!(words(&Tree::of(&[("a.md", &line)])).len(), faults, "{line}");
            assert_eq!(words(&Tree::of(&[("x/Cargo.lock", &line)])).len(), 0, "{line}");
        }
    }
}
