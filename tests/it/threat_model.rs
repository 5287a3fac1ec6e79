//! The threat model says nothing that no test shows.

use std::{fs, path::Path};

use sandmill_testkit::binary::root;

/// `file::test`, as the page writes it.
fn named(text: &str) -> Vec<(&str, &str)> {
    let code = text.split('`').skip(1).step_by(2);
    code.filter_map(|code| code.split_once("::")).filter(|(file, _)| file.ends_with(".rs")).collect()
}

/// Whether a source has a test of this name that is run: it is marked as one, or listed where tests of both databases are made, and it is
/// not ignored.
fn has_test(source: &str, name: &str) -> bool {
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let head = format!("fn {name}(");
    let Some(at) = lines.iter().position(|line| !line.starts_with("//") && line.contains(&head)) else { return false };
    let is_above = |line: &&&str| line.starts_with("#[") || line.starts_with("///");
    let attributes: Vec<&str> = lines[..at].iter().rev().take_while(is_above).copied().filter(|line| line.starts_with("#[")).collect();
    let is_marked = attributes.iter().any(|attribute| *attribute == "#[test]" || attribute.starts_with("#[tokio::test"));
    let is_left_out = attributes.iter().any(|attribute| attribute.contains("ignore") || attribute.contains("cfg"));
    let mut lists = source.split("on_both![").skip(1).filter_map(|rest| rest.split(']').next());
    let is_listed = lists.any(|list| list.split(',').any(|each| each.trim() == name));
    (is_marked || is_listed) && !is_left_out
}

/// Whether the module above a file has it: what nothing includes is not compiled.
fn is_included(file: &Path) -> bool {
    let (Some(folder), Some(stem)) = (file.parent(), file.file_stem().and_then(|stem| stem.to_str())) else { return false };
    let above = [folder.join("main.rs"), folder.join("lib.rs"), folder.join("mod.rs"), folder.with_extension("rs")];
    let line = format!("mod {stem};");
    above.iter().any(|above| fs::read_to_string(above).is_ok_and(|text| text.contains(&line)))
}

#[test]
fn each_test_that_is_named_is_there_and_runs() {
    let page = fs::read_to_string(root().join("docs/threat-model.md")).unwrap();
    let named = named(&page);
    assert!(named.len() > 50, "{}", named.len());
    let runs = |(file, test): &&(&str, &str)| {
        let file = root().join(file);
        let is_root = file.file_stem().is_some_and(|stem| stem == "lib" || stem == "main");
        fs::read_to_string(&file).is_ok_and(|text| has_test(&text, test)) && (is_root || is_included(&file))
    };
    let missing: Vec<_> = named.iter().filter(|test| !runs(test)).collect();
    assert!(missing.is_empty(), "docs/threat-model.md names tests that are not there, or do not run: {missing:?}");
}

#[test]
fn only_what_runs_is_a_test() {
    for (source, expected) in [
        ("#[test]\nfn it_holds() {", true),
        ("#[tokio::test(flavor = \"multi_thread\")]\nasync fn it_holds() {", true),
        ("#[test]\n/// Why.\n#[expect(dead_code, reason = \"x\")]\nfn it_holds() {", true),
        ("on_both![other, it_holds];\nasync fn it_holds(database: Database) {", true),
        ("fn it_holds() {", false),
        ("// fn it_holds() {", false),
        ("#[test]\nfn other() {}\n\nfn it_holds() {", false),
        ("#[test]\n#[ignore = \"slow\"]\nfn it_holds() {", false),
        ("#[cfg(any())]\n#[test]\nfn it_holds() {", false),
        ("on_both![other];\nasync fn it_holds(database: Database) {", false),
        ("#[test]\nfn it_holds_too() {", false),
    ] {
        assert_eq!(has_test(source, "it_holds"), expected, "{source}");
    }
}

#[test]
fn each_defence_has_a_test() {
    let page = fs::read_to_string(root().join("docs/threat-model.md")).unwrap();
    let (_, attackers) = page.split_once("\n## Attackers\n").unwrap();
    let (attackers, _) = attackers.split_once("\n## What is not promised\n").unwrap();
    let sections: Vec<&str> = attackers.split("\n### ").skip(1).collect();
    assert!(sections.len() >= 5);
    for section in sections {
        assert!(!named(section).is_empty(), "no test: {section}");
        // Below the head of a table each line is a defence.
        for row in section.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| ---")).skip(1) {
            assert!(!named(row).is_empty(), "no test: {row}");
        }
    }
}
