//! Versions (immutable content) and deployments (numbers per path that point at them).

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    clock::Timestamp, digest::Digest, json::JsonText, label::LabelPointers, language::Language, limits::Limits, manifest::Manifest,
    path::ScriptPath, policy::DispatchRequest, run_as::RunAs,
};

/// Digest that names a version: of source, manifest and language.
///
/// # Errors
/// None in practice: a manifest always has a JSON form.
pub fn version_digest(language: Language, source: &[u8], manifest: &Manifest) -> Result<Digest, serde_json::Error> {
    let manifest = serde_json::to_vec(manifest)?;
    Ok(Digest::of_parts(&[language.name().as_bytes(), source, &manifest]))
}

/// A script of a source language, ready for its language's runtime.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostedModule {
    /// In stack traces, e.g. `hello.ts`.
    pub file_name: String,
    /// One JavaScript ES module, types stripped.
    pub source: String,
    /// Names of `main`'s parameters in order.
    pub parameters: Vec<String>,
    pub has_preprocessor: bool,
    /// Source map (version 3, JSON) from `source` back to what the user wrote.
    pub source_map: Option<String>,
}

/// How a component is entered, in the order in which the host looks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entry {
    /// It exports `sandmill:script/main`.
    Script { has_preprocessor: bool },
    /// It exports `wasi:http/incoming-handler`, or `wasi:http/handler` of 0.3: its run is a request.
    Http,
    /// It exports `wasi:cli/run`: arguments are stdin, stdout is the result.
    Command,
    /// A function of its own: `name`, or `interface@version#name`.
    Function { export: String },
}

impl Entry {
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Script { .. } => "script",
            Self::Http => "http",
            Self::Command => "command",
            Self::Function { .. } => "function",
        }
    }
}

/// What a component may be made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ComponentModel {
    /// WASI 0.2 and what goes with it: a function that was called has returned before anything else of the component goes on.
    #[default]
    Sync,
    /// WASI 0.3 too: functions that wait for others meanwhile, futures, streams.
    Async,
}

impl ComponentModel {
    #[must_use]
    pub const fn is_sync(&self) -> bool {
        matches!(self, Self::Sync)
    }
}

/// What a version executes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProgramSpec {
    /// A shared language runtime and the module that it loads; snapshotted once it is warm.
    Hosted(HostedModule),
    Component {
        component: Digest,
        entry: Entry,
        #[serde(default, skip_serializing_if = "ComponentModel::is_sync")]
        model: ComponentModel,
    },
    /// What the host does itself: the result is the arguments.
    Identity,
}

impl ProgramSpec {
    #[must_use]
    pub fn has_preprocessor(&self) -> bool {
        match self {
            Self::Hosted(module) => module.has_preprocessor,
            Self::Component { entry, .. } => matches!(entry, Entry::Script { has_preprocessor: true }),
            Self::Identity => false,
        }
    }

    /// Whether it is given events as they are, and not the arguments that their payloads are.
    #[must_use]
    pub fn takes_events(&self) -> bool {
        self.has_preprocessor() || self.reads_http()
    }

    /// Whether it is given requests as they are, and answers them itself.
    #[must_use]
    pub fn reads_http(&self) -> bool {
        matches!(self, Self::Component { entry: Entry::Http, .. })
    }
}

/// One immutable content of a script.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    pub digest: Digest,
    pub language: Language,
    /// The text that was deployed; none for an uploaded component.
    pub source: Option<String>,
    pub manifest: Manifest,
    /// JSON Schema 2020-12 of the arguments.
    pub schema: JsonText,
    pub program: ProgramSpec,
    pub created_at: Timestamp,
}

/// A path pointing at a version. Numbers count up from 1 for each path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployment {
    pub path: ScriptPath,
    pub number: i64,
    pub version: Digest,
    pub created_at: Timestamp,
    pub created_by: Arc<str>,
}

/// What dispatch must know of a deployed version in order to start a run of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    pub path: ScriptPath,
    pub number: i64,
    pub version: Digest,
    pub limits: Limits,
    pub dispatch: Arc<DispatchRequest>,
    pub labels: Arc<LabelPointers>,
    /// See [`ProgramSpec::takes_events`].
    pub takes_events: bool,
    /// See [`ProgramSpec::reads_http`].
    pub reads_http: bool,
    /// As whom its runs act. None: as whoever starts them.
    pub run_as: Option<RunAs>,
    /// Who deployed it, and must be allowed to use `run_as`.
    pub deployed_by: Arc<str>,
}

/// Which version of a path is meant: `path`, `path@3` or `path@sha256:…`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Selector {
    Newest,
    Number(i64),
    Digest(Digest),
}

impl Selector {
    /// Splits `path[@N|@digest]`.
    ///
    /// # Errors
    /// What is wrong with the path or with the part after `@`.
    pub fn split(text: &str) -> Result<(ScriptPath, Self), crate::path::InvalidPath> {
        let (path, selector) = match text.split_once('@') {
            None => (text, Self::Newest),
            Some((path, version)) => {
                let number = version.parse::<i64>().ok().filter(|number| *number > 0 && version.bytes().all(|byte| byte.is_ascii_digit()));
                let selector = number.map(Self::Number).or_else(|| version.parse().ok().map(Self::Digest));
                (path, selector.ok_or(crate::path::InvalidPath { reason: "after `@` comes a deployment's number or a digest" })?)
            }
        };
        Ok((path.parse()?, selector))
    }

    /// As [`Selector::split`], for text that is still percent-encoded. An encoded `/` is refused: it would make one segment into two.
    ///
    /// # Errors
    /// As [`Selector::split`].
    pub fn from_url(text: &str) -> Result<(ScriptPath, Self), crate::path::InvalidPath> {
        if !text.contains('%') {
            return Self::split(text);
        }
        if text.contains("%2f") || text.contains("%2F") {
            return Err(crate::path::InvalidPath { reason: "a segment has an encoded `/`" });
        }
        let decoded = percent_encoding::percent_decode_str(text).decode_utf8();
        Self::split(&decoded.map_err(|_| crate::path::InvalidPath { reason: "a segment is not UTF-8" })?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors() {
        let digest = Digest::of(b"x");
        assert_eq!(Selector::split("f/a/b").unwrap().1, Selector::Newest);
        assert_eq!(Selector::split("f/a/b@3").unwrap().1, Selector::Number(3));
        assert_eq!(Selector::split(&format!("f/a/b@{digest}")).unwrap().1, Selector::Digest(digest));
        for bad in ["f/a/b@", "f/a/b@0", "f/a/b@-1", "f/a/b@+1", "f/a/b@3@4", "f/a@3", "f/a/b@sha256:00"] {
            assert!(Selector::split(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_manifest_is_part_of_the_name() {
        let plain = Manifest::default();
        let other = Manifest { description: Some("x".into()), ..Manifest::default() };
        let digest = |language, manifest| version_digest(language, b"source", manifest).unwrap();
        assert_ne!(digest(Language::TypeScript, &plain), digest(Language::TypeScript, &other));
        assert_ne!(digest(Language::TypeScript, &plain), digest(Language::JavaScript, &plain));
    }
}
