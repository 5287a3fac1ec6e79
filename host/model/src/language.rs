//! What a script is written in.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    TypeScript,
    JavaScript,
    /// An uploaded WebAssembly component, from whatever source.
    Component,
    /// Built in: returns its arguments. A whole run but for the program, for trying out triggers and measuring dispatch.
    Identity,
}

impl Language {
    pub const ALL: [Self; 4] = [Self::TypeScript, Self::JavaScript, Self::Component, Self::Identity];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::TypeScript => "typescript",
            Self::JavaScript => "javascript",
            Self::Component => "component",
            Self::Identity => "identity",
        }
    }

    /// By the extension of a file name.
    #[must_use]
    pub fn of_file(file: &Path) -> Option<Self> {
        match file.extension()?.to_str()? {
            "ts" | "mts" => Some(Self::TypeScript),
            "js" | "mjs" => Some(Self::JavaScript),
            "wasm" => Some(Self::Component),
            _ => None,
        }
    }

    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|language| language.name() == name)
    }

    /// File extension without the dot.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        match self {
            Self::TypeScript => "ts",
            Self::JavaScript => "js",
            Self::Component => "wasm",
            Self::Identity => "identity",
        }
    }
}
