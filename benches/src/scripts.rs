//! The scripts that are measured.

/// The hello script of docs/performance.md.
pub(crate) const HELLO_TS: &str = "export function main(name: string) {\n  return { hello: name, n: [1, 2, 3].map((x) => x * 2) };\n}\n";

/// Hello with a number, so that each is a script of its own.
pub(crate) fn numbered(number: usize) -> String {
    format!("const number = {number};\n{HELLO_TS}export const own = () => number;\n")
}

/// A script whose source is about `kibibytes` long and that does what hello does.
pub(crate) fn of_size(kibibytes: usize) -> String {
    let mut source = String::from(HELLO_TS);
    let mut number = 0;
    while source.len() < kibibytes * 1024 {
        source.push_str(&format!("function helper{number}(a: number, b: number): number {{\n  if (a > b) {{\n    return a * {number} + b;\n  }}\n  return [a, b].reduce((sum, x) => sum + x, {number});\n}}\n"));
        number += 1;
    }
    source
}

pub(crate) const BODY: &str = r#"{"name":"bob"}"#;
pub(crate) const EXPECTED: &str = r#"{"hello":"bob","n":[2,4,6]}"#;
