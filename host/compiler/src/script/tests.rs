//! Every file of tests/cases through the compiler, without a worker: schema, warnings and module, or the faults.

use std::{fs, path::Path};

use super::*;

/// Compares with the snapshot beside the file; `INSTA_UPDATE=always` writes it anew.
fn check(file: &Path, show: impl Fn(Result<Translated, Vec<Diagnostic>>) -> String) {
    let name = file.file_name().unwrap().to_str().unwrap();
    let source = fs::read(file).unwrap();
    let found = show(translate(name, Language::of_file(file).unwrap(), &source));
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(file.parent().unwrap());
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, found));
}

fn cases(folder: &str) -> Vec<std::path::PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases").join(folder);
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files.filter(|file| Language::of_file(file).is_some()).collect();
    files.sort();
    assert!(files.len() > 5);
    files
}

fn show_diagnostics(diagnostics: &[Diagnostic]) -> String {
    let lines = diagnostics.iter().map(|diagnostic| {
        let Diagnostic { file, line, column, message, source_line, help } = diagnostic;
        let help = help.as_ref().map(|help| format!("  help: {help}\n")).unwrap_or_default();
        format!("{file}:{line}:{column}: {message}\n  | {source_line}\n{help}")
    });
    lines.collect()
}

#[test]
fn translated() {
    for file in cases("") {
        check(&file, |result| {
            let Translated { module, schema, warnings } = result.unwrap_or_else(|faults| panic!("{}", show_diagnostics(&faults)));
            jsonschema::draft202012::meta::validate(&serde_json::from_str(schema.as_str()).unwrap()).unwrap();
            let source = if module.source_map.is_some() { module.source } else { "as it is\n".to_owned() };
            let parameters = module.parameters.join(" ");
            format!(
                "{}\n\nwarnings:\n{}\nparameters: {parameters}\npreprocessor: {}\n\n{source}",
                indented(schema.as_str()),
                show_diagnostics(&warnings),
                module.has_preprocessor
            )
        });
    }
}

#[test]
fn faults() {
    for file in cases("faults") {
        check(&file, |result| show_diagnostics(&result.expect_err(file.to_str().unwrap())));
    }
}

/// Compact JSON on lines, in its own order.
fn indented(json: &str) -> String {
    let (mut depth, mut in_string, mut escaped, mut text) = (0_usize, false, false, String::new());
    let mut characters = json.chars().peekable();
    while let Some(character) = characters.next() {
        if in_string || character == '"' {
            in_string = character != '"' || escaped || !in_string;
            escaped = character == '\\' && !escaped;
            text.push(character);
            continue;
        }
        let break_line = |text: &mut String, depth: usize| *text += &format!("\n{}", "  ".repeat(depth));
        match character {
            '{' | '[' if characters.peek().is_some_and(|next| *next != '}' && *next != ']') => {
                depth += 1;
                text.push(character);
                break_line(&mut text, depth);
            }
            '}' | ']' if !text.ends_with(['{', '[']) => {
                depth -= 1;
                break_line(&mut text, depth);
                text.push(character);
            }
            ',' => {
                text.push(character);
                break_line(&mut text, depth);
            }
            ':' => text += ": ",
            other => text.push(other),
        }
    }
    text
}

fn translate_ts(source: &[u8]) -> Result<Translated, Vec<Diagnostic>> {
    translate("a.ts", Language::TypeScript, source)
}

#[test]
fn bytes_that_are_no_source() {
    let faults = translate_ts(b"export function main() {}\nlet a = '\xff';").unwrap_err();
    assert_eq!((faults[0].line, faults[0].column, faults[0].source_line.as_str()), (2, 10, "let a = '"));
    assert!(faults[0].message.contains("UTF-8"));
    let faults = translate_ts(b"export function main() {}\n\0").unwrap_err();
    assert_eq!((faults[0].line, faults[0].column), (2, 1));
    assert!(translate_ts(b"").unwrap_err()[0].message.contains("does not export"));
}

#[test]
fn byte_order_marks_and_line_ends() {
    let translated = translate_ts("\u{feff}// c\r\nexport function main(a: string) {\r\n  return a\r\n}\r\n".as_bytes()).unwrap();
    assert_eq!(translated.module.parameters, ["a"]);
    let faults = translate_ts("\u{feff}export function main( {\r\n".as_bytes()).unwrap_err();
    assert_eq!(faults[0].source_line.trim_end(), faults[0].source_line, "no carriage return");
}

#[test]
fn faults_are_few() {
    let source: String = (0..1_000).map(|number| format!("import a{number} from 'b{number}'; a{number};\n")).collect();
    assert_eq!(translate_ts(format!("{source}export function main() {{}}").as_bytes()).unwrap_err().len(), DIAGNOSTICS_MAX);
}

#[test]
fn types_that_explode() {
    // Each level doubles what a naive expansion would write.
    let levels: String = (1..60).map(|level| format!("type T{level} = [T{}, T{}];\n", level - 1, level - 1)).collect();
    let translated = translate_ts(format!("type T0 = [string, string];\n{levels}export function main(a: T59) {{}}").as_bytes()).unwrap();
    assert!(translated.schema.as_str().len() < 20_000);
    let generic: String =
        (1..60).map(|level| format!("type T{level}<X> = {{ a: T{}<X[]>, b: T{}<X> }};\n", level - 1, level - 1)).collect();
    let faults = translate_ts(format!("type T0<X> = [X, X];\n{generic}export function main(a: T59<string>) {{}}").as_bytes()).unwrap_err();
    assert!(faults[0].message.contains("too large"), "{faults:?}");
    let chain: String = (1..3_000).map(|level| format!("type T{level} = {{ a: T{} }};\n", level - 1)).collect();
    translate_ts(format!("type T0 = string;\n{chain}export function main(a: T2999) {{}}").as_bytes()).unwrap();
}
