//! Sources made to hurt: each ends in a clear error, and the next build works.

use sandmill_model::{
    Language::{self, JavaScript, TypeScript},
    build::{BuildError, Builder as _},
};

use sandmill_compiler::limits;

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

/// Refused with a place by the same worker that builds the next one, or built. Nobody waits for a limit of time.
fn check_answered(name: &str, language: Language, source: String) {
    match build(language, source) {
        Err(BuildError::Diagnostics(found)) => {
            assert!(!found.is_empty() && !found[0].message.is_empty() && found[0].column > 0, "{name}: {found:?}");
        }
        Ok(_) => {}
        other => panic!("{name}: {other:?}"),
    }
}

#[test]
fn nesting() {
    const DEPTH: usize = 200_000;
    let folder = tempfile::tempdir().unwrap();
    let (compiler, pid_file) = crate::workers::watched(folder.path());
    let around = |open: &str, inside: &str, close: &str| format!("{}{inside}{}", open.repeat(DEPTH), close.repeat(DEPTH));
    crate::wait(compiler.build(crate::request(TypeScript, "export function main() {}"))).unwrap();
    let pid = crate::workers::read_pid(&pid_file);
    for (open, inside, close) in [
        ("[", "", "]"),
        ("(", "1", ")"),
        ("{a:", "1", "}"),
        ("`${", "1", "}`"),
        ("()=>{", "", "}"),
        ("a=>", "1", ""),
        ("!", "1", ""),
        ("await ", "1", ""),
        ("1?1:", "1", ""),
        ("1?", "1", ":1"),
        ("a.", "b", ""),
        ("1+", "1", ""),
        ("f(", "1", ")"),
        ("f<", "1", ""),
        ("if(a){}else ", "{}", ""),
        ("{", "", "}"),
        ("a:", "1", ""),
        ("if(a)", "1", ""),
        ("(", "", ""),
    ] {
        for language in [JavaScript, TypeScript] {
            let start = if is_statement(open) { "" } else { "return " };
            let source = format!("export async function main(a){{{start}{}}}", around(open, inside, close));
            check_refused(open, crate::wait(compiler.build(crate::request(language, source))));
        }
    }
    for (open, close) in [("Array<", ">"), ("[", "]"), ("{a:", "}"), ("", "[]"), ("A extends B?C:", ""), ("keyof ", ""), ("()=>", "")] {
        let source = format!("export function main(a: {}) {{}}", around(open, "string", close));
        check_refused(open, crate::wait(compiler.build(crate::request(TypeScript, source))));
    }
    assert_eq!(crate::workers::read_pid(&pid_file), pid, "the worker lived through all of them");
}

fn is_statement(start: &str) -> bool {
    start.starts_with("if") || matches!(start, "{" | "a:")
}

fn check_refused(name: &str, result: Result<sandmill_model::build::Built, BuildError>) {
    let found = diagnostics_of(result);
    assert!(found[0].message.contains("nested") || found[0].message.contains("goes on"), "{name}: {found:?}");
    assert!(found[0].line == 1 && found[0].column > 100 && found[0].help.is_some(), "{name}: {found:?}");
}

/// Just within the bounds of the source: what comes after may refuse it, but not fall over it.
#[test]
fn nesting_that_is_parsed() {
    for (name, count, (open, inside, close)) in [
        ("brackets", limits::SOURCE_NESTING_MAX - 2, ("[", "", "]")),
        ("functions", limits::SOURCE_NESTING_MAX / 2 - 2, ("(()=>{", "", "})")),
        ("arrows", 9_900, ("a=>", "1", "")),
        ("negations", 9_900, ("!", "1", "")),
        ("awaits", 9_900, ("await ", "1", "")),
        ("conditions", 4_900, ("1?1:", "1", "")),
        ("members", 9_900, ("a.", "b", "")),
        ("sums", 9_900, ("1+", "1", "")),
        ("else if", 2_900, ("if(a){}else ", "{}", "")),
        ("labels", 4_900, ("a:", "1", "")),
        ("ifs", 4_900, ("if(a)", "1", "")),
        ("casts", 4_900, ("", "a", " as any")),
    ] {
        for language in [JavaScript, TypeScript] {
            let start = if is_statement(open) { "" } else { "return " };
            let source = format!("export async function main(a){{{start}{}{inside}{}}}", open.repeat(count), close.repeat(count));
            check_answered(name, language, source);
        }
    }
    for (name, open, close) in [("types", "Array<", ">"), ("conditional types", "A extends B?C:", ""), ("operators", "keyof ", "")] {
        let count = if close.is_empty() { 2_400 } else { 9_900 };
        check_answered(name, TypeScript, format!("export function main(a: {}string{}) {{}}", open.repeat(count), close.repeat(count)));
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
