//! The script and what was bundled for it, as one module.

use std::ops::Range;

use super::imports::{Becomes, Found, Imported, quoted};

/// The module that esbuild begins with. Line N is for import N, so that what esbuild says of a line is said of that statement.
pub(super) fn entry(found: &Found) -> String {
    let mut text = String::new();
    for (number, import) in found.imports.iter().enumerate() {
        let module = quoted(&import.module);
        let attributes: Vec<String> = import.attributes.iter().map(|(key, value)| format!("{}: {}", quoted(key), quoted(value))).collect();
        let with = if attributes.is_empty() { String::new() } else { format!(" with {{ {} }}", attributes.join(", ")) };
        if import.bindings.is_empty() {
            text.push_str(&format!("import {module}{with};"));
        }
        for (index, binding) in import.bindings.iter().enumerate() {
            let alias = alias(number, index);
            match &binding.imported {
                Imported::Name(name) => text.push_str(&format!("export {{ {name} as {alias} }} from {module}{with};")),
                Imported::Whole => text.push_str(&format!("export * as {alias} from {module}{with};")),
            }
        }
        text.push('\n');
    }
    text
}

/// What the bundle calls a binding.
fn alias(import: usize, binding: usize) -> String {
    format!("i{import}_{binding}")
}

/// The variable that esbuild puts what it exports into.
pub(super) fn exports_name(found: &Found) -> String {
    format!("{}_exports", found.prefix)
}

/// By this name the bundle finds the module of the platform.
pub(super) fn module_name(found: &Found) -> String {
    format!("{}_module", found.prefix)
}

/// Spaces in the place of the statements, on the lines where they were; the bundle behind it all, in a function, which is there before anything
/// is evaluated.
pub(super) fn rewrite(text: &str, found: &Found, bundle: &str) -> String {
    let function = format!("{}_bundle", found.prefix);
    let (mut locals, mut exports) = (Vec::new(), Vec::new());
    for (number, import) in found.imports.iter().enumerate() {
        for (index, binding) in import.bindings.iter().enumerate() {
            let alias = alias(number, index);
            match &binding.becomes {
                Becomes::Local(name) => locals.push(format!("{alias}: {name}")),
                Becomes::Export(name) => {
                    let own = format!("{}_{alias}", found.prefix);
                    exports.push(format!("{own} as {name}"));
                    locals.push(format!("{alias}: {own}"));
                }
            }
        }
    }
    let has_bindings = !locals.is_empty();
    let prologue = if has_bindings { format!("const {{ {} }} = {function}();", locals.join(", ")) } else { format!("{function}();") };
    let mut whole = blanked(text, found.imports.iter().map(|import| &import.range), (found.begin, &prologue));
    whole.push_str(&format!("\n// What it imports, bundled by esbuild.\nfunction {function}() {{\n{}", bundle.trim_end()));
    if has_bindings {
        whole.push_str(&format!("\nreturn {};", exports_name(found)));
    }
    whole.push_str("\n}\n");
    let module = module_name(found);
    if bundle.contains(&module) {
        whole.push_str(&format!("import {module} from \"sandmill\";\n"));
    }
    if !exports.is_empty() {
        whole.push_str(&format!("export {{ {} }};\n", exports.join(", ")));
    }
    whole
}

/// The prologue takes the place of spaces that follow it, so that what stands behind it on its line moves as little as can be.
fn blanked<'a>(text: &str, ranges: impl Iterator<Item = &'a Range<usize>>, (begin, prologue): (usize, &str)) -> String {
    let mut whole = String::with_capacity(text.len() + prologue.len());
    let mut at = 0;
    let copy = |whole: &mut String, from: usize, to: usize| {
        if (from..to).contains(&begin) {
            whole.extend([&text[from..begin], prologue, &text[begin..to]]);
        } else {
            whole.push_str(&text[from..to]);
        }
    };
    for range in ranges {
        copy(&mut whole, at, range.start);
        // An empty statement ends the one before it, as the import did.
        let blank: String = text[range.clone()].chars().map(|letter| if is_line_end(letter) { letter } else { ' ' }).collect();
        let blank = blank.replacen(' ', ";", 1);
        if range.start == begin {
            let spaces = blank.chars().take_while(|letter| !is_line_end(*letter)).count();
            whole.push_str(prologue);
            whole.extend(blank.chars().skip(prologue.chars().count().min(spaces)));
        } else {
            whole.push_str(&blank);
        }
        at = range.end;
    }
    copy(&mut whole, at, text.len());
    whole
}

fn is_line_end(letter: char) -> bool {
    matches!(letter, '\n' | '\r' | '\u{2028}' | '\u{2029}')
}
