//! The threat model says nothing that no test shows.

use std::fs;

use sandmill_testkit::binary::root;

/// `file::test`, as the page writes it.
fn named(text: &str) -> Vec<(&str, &str)> {
    let code = text.split('`').skip(1).step_by(2);
    code.filter_map(|code| code.split_once("::")).filter(|(file, _)| file.ends_with(".rs")).collect()
}

#[test]
fn each_test_that_is_named_is_there() {
    let page = fs::read_to_string(root().join("docs/threat-model.md")).unwrap();
    let named = named(&page);
    assert!(named.len() > 50, "{}", named.len());
    let is_there =
        |(file, test): &&(&str, &str)| fs::read_to_string(root().join(file)).is_ok_and(|text| text.contains(&format!("fn {test}(")));
    let missing: Vec<_> = named.iter().filter(|test| !is_there(test)).collect();
    assert!(missing.is_empty(), "docs/threat-model.md names tests that are not there: {missing:?}");
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
