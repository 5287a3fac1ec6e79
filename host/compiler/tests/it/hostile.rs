//! Sources made to hurt: each ends in a clear error, and the next build works.

use sandmill_model::{
    Language::{self, JavaScript, TypeScript},
    build::BuildError,
};

use crate::{build, diagnostics_of};

fn still_works() {
    build(TypeScript, "export function main() {}").unwrap();
}

#[test]
fn top_levels_without_end() {
    for (source, message) in [
        ("while (true) {}", "did not finish within its budget"),
        ("for (;;) await null;", "did not finish within its budget"),
        ("const a = []; for (;;) a.push(new Uint8Array(1 << 22).fill(1));", "MiB of memory"),
        ("let s = 'x'; for (;;) s += s + 'é';", ""),
        ("const f = () => f(); f();", "stack"),
        ("/^(a+)+$/.test('a'.repeat(40) + 'b')", "did not finish within its budget"),
    ] {
        let found = diagnostics_of(build(JavaScript, format!("export function main() {{}}\n{source}")));
        assert!(found[0].message.contains(message), "{source}: {:?}", found[0]);
        assert_eq!(found[0].file, "case.js");
    }
    still_works();
}

/// A module, a diagnostic or a limit: never a hang or a crash that nobody explains.
fn check_answered(name: &str, language: Language, source: String) {
    match build(language, source) {
        Err(BuildError::Diagnostics(found)) => assert!(!found.is_empty() && !found[0].message.is_empty(), "{name}"),
        Err(BuildError::LimitReached(message)) => assert!(message.contains("nested too deeply"), "{name}: {message}"),
        // Types nested beyond a schema's depth are warned about.
        Ok(built) => assert!(language == TypeScript && !built.warnings.is_empty(), "{name}"),
        other => panic!("{name}: {other:?}"),
    }
}

#[test]
fn nesting() {
    const DEPTH: usize = 100_000;
    let around = |open: &str, inside: &str, close: &str| format!("{}{inside}{}", open.repeat(DEPTH), close.repeat(DEPTH));
    for (name, language, source) in [
        ("parentheses", JavaScript, format!("export const main = () => {};", around("(", "1", ")"))),
        ("brackets", TypeScript, format!("export const main = () => {};", around("[", "", "]"))),
        ("types", TypeScript, format!("export function main(a: {}) {{}}", around("Array<", "string", ">"))),
        ("objects", TypeScript, format!("export function main(a: {}) {{}}", around("{a:", "string", "}"))),
        ("blocks", JavaScript, format!("export function main() {}", around("{", "", "}"))),
        ("templates", JavaScript, format!("export const main = () => {};", around("`${", "1", "}`"))),
        ("unclosed", TypeScript, format!("export const main = {}", "(".repeat(DEPTH))),
        ("arrows", JavaScript, format!("export const main = {}1;", "a=>".repeat(DEPTH))),
        ("negations", JavaScript, format!("export const main = () => {}1;", "!".repeat(DEPTH))),
    ] {
        check_answered(name, language, source);
    }
    still_works();
}

#[test]
fn modest_nesting_is_fine() {
    let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
    build(TypeScript, format!("const x = {deep}; export const main = () => x;")).unwrap();
    let sum = vec!["1"; 5_000].join(" + ");
    build(JavaScript, format!("export const main = () => {sum};")).unwrap();
}

#[test]
fn large_sources() {
    let filler = "x".repeat(5 * 1024 * 1024);
    let found = build(TypeScript, format!("export function main() {{}} // {filler}"));
    assert!(matches!(&found, Err(BuildError::LimitReached(message)) if message.contains("4 MiB")), "{found:?}");
    build(TypeScript, format!("export function main() {{}}\nconst text = '{}';", &filler[..3 * 1024 * 1024])).unwrap();
    let found = build(Language::Component, vec![0; 65 * 1024 * 1024]);
    assert!(matches!(&found, Err(BuildError::LimitReached(message)) if message.contains("64 MiB")), "{found:?}");
}

#[test]
fn large_trees() {
    for piece in ["[],", "a=>a,", "{}+", "!1,", "(1),", "`${1}`,", "class{}+", "/a/,", "1?1:", "[[[[]]]],"] {
        let filler = piece.repeat(3 * 1024 * 1024 / piece.len());
        let result = build(JavaScript, format!("export const main = () => [{filler}1];"));
        assert!(matches!(&result, Ok(_) | Err(BuildError::Diagnostics(_) | BuildError::LimitReached(_))), "{piece}: {result:?}");
    }
    still_works();
}

#[test]
fn bytes_that_are_no_text() {
    assert!(diagnostics_of(build(TypeScript, *b"export function main() {}\xff"))[0].message.contains("UTF-8"));
    assert!(diagnostics_of(build(TypeScript, *b"export function main() {}\0"))[0].message.contains("null character"));
    assert!(diagnostics_of(build(TypeScript, *b""))[0].message.contains("does not export"));
    build(TypeScript, "\u{feff}export function main() {}\r\n").unwrap();
}
