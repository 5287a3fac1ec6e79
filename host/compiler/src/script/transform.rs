//! Erases types and lowers what QuickJS does not have, keeping a map back to what the user wrote.

use std::path::{Path, PathBuf};

use oxc::{
    allocator::Allocator,
    ast::ast::Program,
    codegen::{Codegen, CodegenOptions, CommentOptions},
    semantic::{Scoping, SemanticBuilder},
    transformer::{DecoratorOptions, HelperLoaderMode, HelperLoaderOptions, TransformOptions, Transformer},
};

use super::{Fault, dates, parse::faults_of};

/// What lowered decorators call.
const DECORATORS: &str = include_str!("helpers.js");
/// Helpers, whole lines each, and what the code that needs them contains.
const HELPERS: [(&str, &str); 2] = [("babelHelpers.", DECORATORS), (dates::HELPER_NAME, dates::HELPER)];

/// The module and its source map; none if the source can stay as it is, which keeps every position without a map.
pub(super) fn transform<'a>(
    allocator: &'a Allocator,
    program: &mut Program<'a>,
    file_name: &str,
    needs_output: bool,
) -> Result<Option<(String, String)>, Vec<Fault>> {
    let scoping = analyse(program)?;
    if !needs_output {
        return Ok(None);
    }
    let path = Path::new(file_name);
    let transformed = Transformer::new(allocator, path, &options()).build_with_scoping(scoping, program);
    let faults = faults_of(&transformed.diagnostics);
    if !faults.is_empty() {
        return Err(faults);
    }
    program.hashbang = None;
    let options =
        CodegenOptions { source_map_path: Some(PathBuf::from(path)), comments: CommentOptions::disabled(), ..CodegenOptions::default() };
    let printed = Codegen::new().with_options(options).build(program);
    let mut map = printed.map.map(|mut map| {
        // The version keeps the source itself.
        map.set_source_contents(Vec::new());
        map.to_json_string()
    });
    let mut code = printed.code;
    let needed = HELPERS.iter().filter(|(name, _)| code.contains(name)).map(|(_, helper)| *helper).collect::<String>();
    if !needed.is_empty() {
        code.insert_str(0, &needed);
        map = map.map(|map| shift_by_lines(&map, needed.matches('\n').count()));
    }
    let no_map = || vec![Fault::new(0, "the compiler made no source map")];
    Ok(Some((code, map.ok_or_else(no_map)?)))
}

/// Names, scopes, and the syntax errors that need them.
fn analyse<'a>(program: &Program<'a>) -> Result<Scoping, Vec<Fault>> {
    let analysed =
        SemanticBuilder::new_compiler().with_excess_capacity(2.0).with_enum_eval(true).with_check_syntax_error(true).build(program);
    let faults = faults_of(&analysed.diagnostics);
    if faults.is_empty() { Ok(analysed.semantic.into_scoping()) } else { Err(faults) }
}

fn options() -> TransformOptions {
    TransformOptions {
        decorator: DecoratorOptions { legacy: true, ..DecoratorOptions::default() },
        helper_loader: HelperLoaderOptions { mode: HelperLoaderMode::External, ..HelperLoaderOptions::default() },
        ..TransformOptions::default()
    }
}

/// Lines in front of the code are empty lines in the map.
fn shift_by_lines(map: &str, lines: usize) -> String {
    const MAPPINGS: &str = "\"mappings\":\"";
    map.replacen(MAPPINGS, &format!("{MAPPINGS}{}", ";".repeat(lines)), 1)
}
