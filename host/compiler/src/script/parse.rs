//! Bytes to a syntax tree.

use oxc::{
    allocator::Allocator,
    ast::ast::Program,
    diagnostics::{Diagnostics, OxcDiagnostic, Severity},
    parser::Parser,
    span::SourceType,
};
use sandmill_model::{Language, build::Diagnostic};

use super::{Fault, nesting, position::Lines};

/// UTF-8 without its byte order mark.
pub(super) fn decode<'a>(file_name: &str, source: &'a [u8]) -> Result<&'a str, Vec<Diagnostic>> {
    let text = std::str::from_utf8(source).map_err(|error| {
        // The line up to the first bad byte is still text.
        let valid = source.get(..error.valid_up_to()).unwrap_or_default();
        let text = String::from_utf8_lossy(valid);
        let offset = u32::try_from(valid.len()).unwrap_or(u32::MAX);
        let fault = Fault::new(offset, "the source is not UTF-8 from here on").with_help("save the file as UTF-8");
        vec![Lines::new(file_name, &text).diagnostic(fault)]
    })?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

pub(super) fn parse<'a>(allocator: &'a Allocator, text: &'a str, language: Language) -> Result<Program<'a>, Vec<Fault>> {
    if let Some(offset) = text.find('\0') {
        let offset = u32::try_from(offset).unwrap_or(u32::MAX);
        return Err(vec![Fault::new(offset, "the source contains a null character: is this a text file?")]);
    }
    nesting::check(text).map_err(|fault| vec![fault])?;
    let source_type = source_type(language);
    let parsed = Parser::new(allocator, text, source_type).parse();
    let mut faults = faults_of(&parsed.diagnostics);
    if parsed.panicked || !faults.is_empty() {
        if is_jsx(text, source_type) {
            let help = "write plain function calls, or move it to a .tsx file that the script imports";
            let offset = faults.first().map_or(0, |fault| fault.offset);
            return Err(vec![Fault::new(offset, "JSX is not supported in scripts").with_help(help)]);
        }
        if faults.is_empty() {
            faults.push(Fault::new(0, "the source could not be parsed"));
        }
        return Err(faults);
    }
    Ok(parsed.program)
}

pub(super) fn source_type(language: Language) -> SourceType {
    if language == Language::TypeScript { SourceType::ts() } else { SourceType::mjs() }
}

/// Whether it would parse if it were JSX.
fn is_jsx(text: &str, source_type: SourceType) -> bool {
    let allocator = Allocator::default();
    let parsed = Parser::new(&allocator, text, source_type.with_jsx(true)).parse();
    !parsed.panicked && parsed.diagnostics.is_empty()
}

pub(super) fn faults_of(diagnostics: &Diagnostics) -> Vec<Fault> {
    diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).map(fault_of).collect()
}

fn fault_of(diagnostic: &OxcDiagnostic) -> Fault {
    let offset = diagnostic.labels.iter().map(|label| label.offset()).next().unwrap_or(0);
    let fault = Fault::new(offset, diagnostic.message.as_ref());
    match &diagnostic.help {
        Some(help) => fault.with_help(help.as_ref()),
        None => fault,
    }
}
