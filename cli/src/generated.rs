//! Files that are checked in and that only the whole binary can write: `sandmill generate <what>`, for `cargo xtask codegen`.

use clap::{Command, ValueEnum};
use sandmill_model::Manifest;

use crate::reference::reference;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Generated {
    /// The description of the API.
    Openapi,
    /// The command-line reference, in Markdown.
    Cli,
    /// JSON Schema of a script's manifest.
    ManifestSchema,
}

/// The text of the file. `root` is the binary's whole command; `openapi` writes the API's description, which this crate does not know.
#[must_use]
pub fn generate(what: Generated, root: &Command, openapi: fn() -> String) -> String {
    match what {
        Generated::Openapi => openapi(),
        Generated::Cli => reference(root),
        Generated::ManifestSchema => manifest_schema(),
    }
}

fn manifest_schema() -> String {
    let mut text = serde_json::to_string_pretty(&schemars::schema_for!(Manifest)).unwrap_or_default();
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_is_described() {
        let text = generate(Generated::ManifestSchema, &Command::new("sandmill"), String::new);
        let schema: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(schema["additionalProperties"], false);
        assert!(schema["properties"]["limits"].is_object() && text.contains("wall_ms"), "{text}");
    }
}
