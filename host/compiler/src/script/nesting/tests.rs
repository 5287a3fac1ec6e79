//! What is too deep, in every way to go deep, and what is only long.

use super::*;

fn around(count: usize, open: &str, inside: &str, close: &str) -> String {
    format!("{}{inside}{}", open.repeat(count), close.repeat(count))
}

#[test]
fn every_way_down_ends() {
    const DEPTH: usize = 100_000;
    for (name, open, close) in [
        ("parentheses", "(", ")"),
        ("brackets", "[", "]"),
        ("braces", "{a:", "}"),
        ("templates", "`${", "}`"),
        ("calls", "f(", ")"),
        ("arrows with blocks", "()=>{", "}"),
        ("type arguments", "Array<", ">"),
        ("type arguments with commas", "Map<a,", ">"),
        ("type arguments on lines", "Array<\n", ">"),
        ("arrows", "a=>", ""),
        ("negations", "!", ""),
        ("signs", "- ", ""),
        ("signs in turn", "-+", ""),
        ("conditions", "a?b:", ""),
        ("conditions inside", "a?", ":b"),
        ("members", "a.", ""),
        ("members on lines", "a\n.", ""),
        ("optional members", "a?.", ""),
        ("calls of calls", "", "()"),
        ("subscripts", "", "[0]"),
        ("tags", "", "``"),
        ("not null", "", "!"),
        ("sums", "1+", ""),
        ("sums on lines", "1 +\n", ""),
        ("sums with strings", "'a'+", ""),
        ("powers", "2**", ""),
        ("assignments", "a=", ""),
        ("conjunctions", "a&&", ""),
        ("alternatives", "a||", ""),
        ("defaults", "a??", ""),
        ("keywords", "typeof ", ""),
        ("keywords on lines", "await\n", ""),
        ("types", "keyof\n", ""),
        ("new", "new ", ""),
        ("casts", "", " as any"),
        ("labels", "a:", ""),
        ("ifs", "if(a)", ""),
        ("ifs on lines", "if (a)\n", ""),
        ("loops", "for(;;)", ""),
        ("loops on lines", "while (a)\n", ""),
        ("do", "do ", ";while(a)"),
        ("else if", "if(a){}else ", ""),
        ("else if on lines", "if (a)\nb\nelse\n", ""),
        ("else if with semicolons", "if(a)b;else ", ""),
        ("names of namespaces", "a.", ""),
        ("words", "a ", ""),
        ("division by what looks like an expression", "({}/[", "]/1)"),
    ] {
        let fault = check(&around(DEPTH, open, "x", close)).expect_err(name);
        assert!(fault.message.contains("nested") || fault.message.contains("goes on"), "{name}: {fault:?}");
        assert!(fault.offset > 0 && fault.help.is_some(), "{name}: {fault:?}");
    }
    check(&format!("x={{}}/{}/1", around(DEPTH, "[", "", "]"))).unwrap_err();
}

#[test]
fn the_bounds() {
    for (open, close) in [("(", ")"), ("[", "]"), ("{", "}"), ("`${", "}`")] {
        check(&around(SOURCE_NESTING_MAX, open, "", close)).unwrap();
        check(&around(SOURCE_NESTING_MAX + 1, open, "", close)).unwrap_err();
    }
    check(&"!".repeat(SOURCE_CHAIN_MAX)).unwrap();
    check(&"!".repeat(SOURCE_CHAIN_MAX + 1)).unwrap_err();
    let fault = check(&format!("\n{}", "[".repeat(1_000))).unwrap_err();
    assert_eq!(fault.offset as usize, 1 + SOURCE_NESTING_MAX);
}

#[test]
fn long_is_not_deep() {
    const COUNT: usize = 50_000;
    for piece in [
        "a.b(c);",
        "a.b(c)\n",
        "const a = b.c + 1\n",
        "function a(b) { return b + 1 }",
        "function a(b) { return b + 1 }\n",
        "if (a) b(/[(]/)\n",
        "if (a) /\\(/.test(b);",
        "a = b ? c : d;",
        "a = `${b}{(`;",
        "'(';",
        "\"[\\\"[\";",
        "// (((\n",
        "/* ((( */",
        "a = /[/(]\\(/;",
        "a = b / (c / d);",
        "a = b[0] / 2 / (c) / 3;",
        "{}\n/\\(/.test(a);",
        "x++ / 2; '(' ;",
        "case 1: ",
        "case '(': a(); break;\n",
        "default: a;",
        "a,",
        "a => a,",
        "[1, 2],",
        "{ a: b, c: d },",
        "interface A { a: string\n b?: number\n readonly c: D<E> }\n",
        "class A extends B { c = 1\n d() {} e() {} }\n",
        "a: string\n",
        "@a b() {}\n",
        "export const a = async () => { await b }\n",
        "import a from 'b'\n",
        "enum A { B = 1 << 2, C }\n",
        "for (const a of b) c(a)\n",
        "try { a } catch { b } finally { c }\n",
        "ž = 'ž('\n",
    ] {
        check(&piece.repeat(COUNT)).unwrap_or_else(|fault| panic!("{piece:?}: {fault:?}"));
    }
    // What may go on after all is counted, so of these there may be thousands in one block, but not more.
    for piece in ["if (a) { b() } else { c() }\n", "do { a } while (b)\n", "a<b,", "type A = B<C>\n"] {
        check(&piece.repeat(2_000)).unwrap_or_else(|fault| panic!("{piece:?}: {fault:?}"));
    }
}

/// What is looked for ahead is not looked for again from every place.
#[test]
fn four_mebibytes_take_one_pass() {
    for piece in ["{}/[", "={}/", "/[", "'", "`", "/*", "//", "\\", "a/", "\n/[", "`${}`", "({}/["] {
        let _ = check(&piece.repeat(crate::limits::SOURCE_BYTES_MAX / piece.len()));
    }
}

#[test]
fn what_is_broken_is_the_parsers() {
    for text in ["", ")", "}}}]", "'", "\"\n", "`", "`${", "/*", "/", "\\", "a\u{0}b", "${", "}`", "(]"] {
        check(text).unwrap_or_else(|fault| panic!("{text:?}: {fault:?}"));
    }
}
