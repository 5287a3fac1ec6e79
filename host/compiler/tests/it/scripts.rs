//! Scripts that build, and top levels that throw.

use sandmill_model::Language::{JavaScript, TypeScript};

use crate::{build, diagnostics_of, module_of};

#[test]
fn typescript_becomes_a_module_and_a_schema() {
    let built = build(TypeScript, "export function main(name: string, count = 3): string { return name.repeat(count) }").unwrap();
    assert_eq!(
        built.schema.as_str(),
        r#"{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object","properties":{"name":{"type":"string"},"count":{"type":"number","default":3}},"required":["name"]}"#
    );
    assert!(built.warnings.is_empty());
    assert!(!built.program.has_preprocessor());
    let module = module_of(built);
    assert_eq!(module.parameters, ["name", "count"]);
    assert!(!module.source.contains("string"));
    assert!(module.source_map.is_some());
}

#[test]
fn javascript_stays_as_it_is() {
    let source = "export const preprocessor = (event) => event;\nexport async function main(a) { return a }\n";
    let built = build(JavaScript, source).unwrap();
    assert!(built.program.has_preprocessor());
    let module = module_of(built);
    assert_eq!((module.source.as_str(), module.source_map), (source, None));
}

#[test]
fn what_the_engine_must_know_loads() {
    for source in [
        "import { state, log } from 'sandmill'; export function main() { return [state, log] }",
        "const table = await Promise.resolve({ a: 1 }); export async function main() { return table }",
        "export function main() { using a = { [Symbol.dispose]() {} }; return /(?<year>\\d{4})/v.test('x') }",
        "enum A { B = 'b' } namespace N { export const x = A.B } export const main = (a: A) => N.x;",
        "function d(target: any, key: string, descriptor: PropertyDescriptor) {} class A { @d m() {} } export function main() { return new A() }",
        "class A { static #count = 0; static { A.#count++ } constructor(private x = 1) {} } export function main(a?: A) {}",
        "export function main(a: string | undefined) { return a?.at(-1) ?? [1, 2, 3].toSorted() }",
    ] {
        build(TypeScript, source).unwrap_or_else(|error| panic!("{source}: {error:?}"));
    }
}

/// Source, line and column and a part of the message.
type Thrown = (&'static str, (u32, u32), &'static str);

#[test]
fn exceptions_of_the_top_level_are_faults_with_a_place() {
    let cases: [Thrown; 6] = [
        ("interface A {\n  a: string\n}\n\nexport function main() {}\n  throw new TypeError('no');\n", (6, 13), "TypeError: no"),
        (
            "type A = 1;\nfunction inner(): never {\n  const ž = 1; throw new Error('deep');\n}\ninner();\nexport const main = () => 1;",
            (3, 26),
            "Error: deep",
        ),
        ("export function main() {}\n\nmissing();\n", (3, 1), "missing"),
        ("export function main() {}\nawait new Promise(() => {});", (1, 1), "never settle"),
        ("import { state } from 'sandmill';\nexport function main() {}\nawait state.get('x');", (3, 13), "not available at the top level"),
        ("export function main() {}\nthrow 'a string';", (1, 1), "a string"),
    ];
    for (source, place, message) in cases {
        let found = diagnostics_of(build(TypeScript, source));
        let [fault] = found.as_slice() else { panic!("{source}: {found:?}") };
        assert!(fault.message.contains(message), "{source}: {fault:?}");
        assert_eq!(fault.file, "case.ts");
        assert_eq!((fault.line, fault.column), place, "{source}: {fault:?}");
        assert_eq!(fault.source_line, source.lines().nth(fault.line as usize - 1).unwrap());
    }
}

#[test]
fn columns_count_characters() {
    for before in ["const a = 1;", "const ž = 1;", "'日本';", "'😀😀';"] {
        let source = format!("export function main() {{}}\n{before} throw new Error('x');");
        let column = u32::try_from(before.chars().count()).unwrap() + 12;
        for language in [JavaScript, TypeScript] {
            let found = diagnostics_of(build(language, source.clone()));
            assert_eq!((found[0].line, found[0].column), (2, column), "{language:?} {source}");
        }
    }
}

#[test]
fn faults_of_the_source_come_before_it_is_loaded() {
    let found = diagnostics_of(build(TypeScript, "export function main(a: string {\n}"));
    assert_eq!((found[0].line, found[0].column, found[0].source_line.as_str()), (1, 32, "export function main(a: string {"));
}

#[test]
fn standard_decorators_say_so() {
    let source = "function twice(f: Function, context: unknown): any { return function () {} }\nclass A {\n  @twice m() {}\n}\nexport function main() {}";
    let found = diagnostics_of(build(TypeScript, source));
    assert!(found[0].message.contains("TypeError: a decorator of \"m\" returned a function"), "{found:?}");
    assert!(found[0].message.contains("experimentalDecorators"), "{found:?}");
    let accessor = source.replace("m()", "get m()").replace("{}\n}", "{ return 1 }\n}");
    assert!(diagnostics_of(build(TypeScript, accessor))[0].message.contains("returned a function"));
    // One of a class may return another class, which is a function.
    let class = "function other(c: Function): any { return class B {} }\n@other\nclass A {}\nexport function main() { return A.name }";
    build(TypeScript, class).unwrap();
}

#[test]
fn dates_are_made_where_they_are_seen_first() {
    // The top level calls `main` as a run would, with what JSON can say.
    let check = "if (main.name !== 'main' || main.length !== 1) throw new Error('another function');\n";
    for (language, function) in [
        (
            TypeScript,
            "export function main(a: Date, b: Date | null = null, c = a.getTime(), d?: Date) { return [a.getTime(), b?.getTime(), c, d] }",
        ),
        (
            TypeScript,
            "export const main = (a: Date, b: Date | null = null, c = a.getTime(), d?: Date) => [a.getTime(), b?.getTime(), c, d];",
        ),
        (
            TypeScript,
            "export const main = function main(a: Date, b: Date | null = null, c = a.getTime(), d?: Date) { return [a.getTime(), b?.getTime(), c, d] };",
        ),
        (
            JavaScript,
            "/** @param {Date} a @param {?Date} b @param {number} c @param {Date=} d */\nexport function main(a, b = null, c = a.getTime(), d) { return [a.getTime(), b?.getTime(), c, d] }",
        ),
    ] {
        let calls = "const same = (found, wanted) => { if (JSON.stringify(found) !== wanted) throw new Error(JSON.stringify(found)) };\n\
            same(main('1970-01-01T00:00:00.005Z'), '[5,null,5,null]');\n\
            same(main('1970-01-01T00:00:00.005Z', '1970-01-01T00:00:00.006Z', 7, null), '[5,6,7,null]');\n\
            same(main(new Date(5)), '[5,null,5,null]');\n\
            let message; try { main('1970-01-32') } catch (error) { message = error.message } same([message], '[\"the argument \\\\\"a\\\\\" is not a date and time: 1970-01-32\"]');\n";
        let calls = if language == TypeScript {
            calls.replace("main(", "(main as any)(").replace("(found, wanted)", "(found: any, wanted: any)")
        } else {
            calls.to_owned()
        };
        build(language, format!("{function}\n{check}{calls}")).unwrap_or_else(|error| panic!("{function}: {error:?}"));
    }
}

#[test]
fn what_is_added_for_dates_moves_no_place() {
    for source in [
        "export function main(a: Date) { throw new Error('x'); }\n(main as any)(null);",
        "export const main = (a: Date) => { throw new Error('x'); };\n(main as any)(null);",
        "export const main = (a: Date, b = missing) => 1;\n(main as any)(null);",
    ] {
        let found = diagnostics_of(build(TypeScript, source));
        let wanted = source.find("Error").or(source.find("missing")).unwrap() + 1;
        assert_eq!((found[0].line, found[0].column as usize), (1, wanted), "{source}: {found:?}");
    }
}
