//! TypeScript and JavaScript: one source file to one plain ES module, the schema of `main`'s parameters, and what is wrong
//! with either. Pure and bounded only by the worker that calls it.

mod check;
mod dates;
mod entry;
pub(crate) use entry::Main;
pub(crate) mod nesting;
mod parse;
pub(crate) mod position;
mod transform;

use oxc::allocator::Allocator;
use sandmill_model::{JsonText, Language, build::Diagnostic, version::HostedModule};

use crate::{
    limits::{DIAGNOSTICS_MAX, SCHEMA_BYTES_MAX},
    schema,
};
use dates::Dates;
use position::Lines;

/// A script without its types.
#[derive(Debug)]
pub(crate) struct Translated {
    pub(crate) module: HostedModule,
    pub(crate) schema: JsonText,
    pub(crate) warnings: Vec<Diagnostic>,
}

/// A fault by its place in the source, before it is known which line that is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Fault {
    /// In bytes.
    pub(crate) offset: u32,
    pub(crate) message: String,
    pub(crate) help: Option<String>,
}

impl Fault {
    pub(crate) fn new(offset: u32, message: impl Into<String>) -> Self {
        Self { offset, message: message.into(), help: None }
    }

    pub(crate) fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// # Errors
/// Every fault that was found, in the order of the source.
pub(crate) fn translate(file_name: &str, language: Language, source: &[u8]) -> Result<Translated, Vec<Diagnostic>> {
    let text = parse::decode(file_name, source)?;
    let lines = Lines::new(file_name, text);
    translate_text(file_name, language, text).map_err(|faults| diagnostics(&lines, faults)).map(|(module, schema, warnings)| Translated {
        module,
        schema,
        warnings: diagnostics(&lines, warnings),
    })
}

type Parts = (HostedModule, JsonText, Vec<Fault>);

fn translate_text(file_name: &str, language: Language, text: &str) -> Result<Parts, Vec<Fault>> {
    let allocator = Allocator::default();
    let mut program = parse::parse(&allocator, text, language)?;
    let findings = check::check(&program);
    let mut faults = findings.faults;
    let (mut warnings, mut entries, mut dates) = (findings.warnings, None, Dates::default());
    match entry::find(&program) {
        Err(fault) => faults.push(fault),
        Ok(found) => {
            let types = Allocator::default();
            let inferred = schema::infer(&types, &program, &found.main, language);
            warnings.extend(inferred.warnings);
            faults.extend(inferred.faults);
            dates = Dates { names: inferred.dates, parameters: found.main.parameters.span };
            entries = Some((found.main.parameter_names(), found.has_preprocessor, inferred.schema));
        }
    }
    dates::convert(&allocator, &mut program, &dates);
    let needs_output = findings.needs_lowering || language == Language::TypeScript || !dates.names.is_empty();
    // Erasing types drops the imports that only they used; so imports are looked at afterwards.
    let output = transform::transform(&allocator, &mut program, file_name, needs_output);
    let output = output.map_err(|more| [faults.clone(), more].concat())?;
    faults.extend(check::imports(&program));
    let Some((parameters, has_preprocessor, schema)) = entries.filter(|_| faults.is_empty()) else {
        return Err(faults);
    };
    let schema = serde_json::to_string(&schema).map_err(|error| vec![Fault::new(0, format!("the schema has no JSON form: {error}"))])?;
    if schema.len() > SCHEMA_BYTES_MAX {
        let message = format!("the schema of main's parameters has {} bytes; the most is {SCHEMA_BYTES_MAX}", schema.len());
        return Err(vec![Fault::new(0, message).with_help("give some parameters the type `unknown`")]);
    }
    let (source, source_map) = output.map_or_else(|| (text.to_owned(), None), |(source, map)| (source, Some(map)));
    let module = HostedModule { file_name: file_name.to_owned(), source, parameters, has_preprocessor, source_map };
    Ok((module, JsonText::trusted(schema), warnings))
}

fn diagnostics(lines: &Lines<'_>, mut faults: Vec<Fault>) -> Vec<Diagnostic> {
    faults.sort();
    faults.dedup();
    faults.truncate(DIAGNOSTICS_MAX);
    faults.into_iter().map(|fault| lines.diagnostic(fault)).collect()
}

#[cfg(test)]
mod tests;
