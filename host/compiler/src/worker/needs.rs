//! Which grants a component needs, by what it imports: whoever uploads one did not write its manifest beside its source.

use sandmill_model::{Grants, build::Diagnostic};
use wasmtime::component::Component;

/// Interfaces whose functions are denied without grants, the kinds that give them, and what such a grant looks like.
const NEEDS: [(&str, &[&str], &str); 9] = [
    ("wasi:http/outgoing-handler@", &["http"], r#"http = ["GET https://api.example.com"]"#),
    ("wasi:http/client@", &["http"], r#"http = ["GET https://api.example.com"]"#),
    ("sandmill:sql/sql@", &["sql"], r#"sql = ["read f/demo/database"]"#),
    ("sandmill:blob/blob@", &["blob"], r#"blob = ["read reports/"]"#),
    ("sandmill:runs/runs@", &["runs"], r#"runs = ["f/demo/*"]"#),
    ("sandmill:publish/publish@", &["publish"], r#"publish = ["f/demo/broker"]"#),
    ("sandmill:resources/resources@", &["resources", "sql", "http", "publish"], r#"resources = ["f/demo/account"]"#),
    ("sandmill:variables/variables@", &["variables", "secrets"], r#"variables = ["f/demo/*"]"#),
    ("wasi:config/store@", &["variables", "secrets"], r#"variables = ["f/demo/*"]"#),
];

/// One for each import of which the manifest asks for nothing.
pub(super) fn warnings(component: &Component, file_name: &str, asked: &Grants) -> Vec<Diagnostic> {
    let ty = component.component_type();
    let needed = ty.imports(component.engine()).filter_map(|(name, _)| {
        let (_, kinds, example) = NEEDS.iter().find(|(interface, ..)| name.starts_with(interface))?;
        (!kinds.iter().any(|kind| asks_for(asked, kind))).then(|| warning(file_name, name, kinds, example))
    });
    needed.collect()
}

fn asks_for(asked: &Grants, kind: &str) -> bool {
    match kind {
        "http" => !asked.http.is_empty(),
        "sql" => !asked.sql.is_empty(),
        "blob" => !asked.blob.is_empty(),
        "runs" => !asked.runs.is_empty(),
        "resources" => !asked.resources.is_empty(),
        "variables" => !asked.variables.is_empty(),
        "secrets" => !asked.secrets.is_empty(),
        "publish" => !asked.publish.is_empty(),
        _ => false,
    }
}

fn warning(file_name: &str, import: &str, kinds: &[&str], example: &str) -> Diagnostic {
    let kinds: Vec<_> = kinds.iter().map(|kind| format!("`{kind}`")).collect();
    Diagnostic {
        file: file_name.to_owned(),
        line: 1,
        column: 1,
        message: format!(
            "the component imports `{import}`, and its manifest asks for no grants of {}: what it does there will be denied",
            kinds.join(" or ")
        ),
        source_line: String::new(),
        help: Some(format!("if it needs them, ask for them in its manifest, under `[grants]`: {example}")),
    }
}
