//! The shapes of `sandmill:script` and of `sandmill:runtime/loader`, as they cross the border.

use sandmill_model::{JsonText, RunError, version::HostedModule};
use wasmtime::component::{ComponentType, Lift, Lower};

/// Bytes of each text of a guest's error that are kept.
const ERROR_TEXT_BYTES_MAX: usize = 64 * 1024;
/// Bytes of a guest's error details that are kept.
const ERROR_DETAILS_BYTES_MAX: usize = 256 * 1024;

#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct ScriptError {
    name: String,
    message: String,
    stack: Option<String>,
    details: Option<String>,
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct Binary {
    #[component(name = "content-type")]
    pub(crate) content_type: String,
    pub(crate) data: Vec<u8>,
}

#[derive(ComponentType, Lift)]
#[component(variant)]
pub(crate) enum ScriptOutput {
    #[component(name = "json")]
    Json(String),
    #[component(name = "bytes")]
    Bytes(Binary),
}

#[derive(ComponentType, Lower)]
#[component(record)]
pub(crate) struct Module<'a> {
    #[component(name = "file-name")]
    file_name: &'a str,
    source: &'a str,
    parameters: &'a [String],
}

impl<'a> From<&'a HostedModule> for Module<'a> {
    fn from(module: &'a HostedModule) -> Self {
        Self { file_name: &module.file_name, source: &module.source, parameters: &module.parameters }
    }
}

impl From<ScriptError> for RunError {
    fn from(error: ScriptError) -> Self {
        let details = error.details.filter(|text| text.len() <= ERROR_DETAILS_BYTES_MAX);
        Self {
            name: cut(error.name),
            message: cut(error.message),
            stack: error.stack.map(cut),
            // Text that is not JSON is kept as a string of it.
            details: details.map(|text| JsonText::parse(text.as_str()).unwrap_or_else(|_| quoted(&text))),
            rejects: None,
        }
    }
}

fn quoted(text: &str) -> JsonText {
    JsonText::of(text).unwrap_or_else(|_| JsonText::null())
}

fn cut(mut text: String) -> String {
    if text.len() > ERROR_TEXT_BYTES_MAX {
        text.truncate(text.floor_char_boundary(ERROR_TEXT_BYTES_MAX));
        text.push('…');
    }
    text
}

/// Arguments and results of the functions that a script exports.
pub(crate) type RunParams<'a> = (&'a str,);
pub(crate) type RunResults = (Result<ScriptOutput, ScriptError>,);
pub(crate) type PreprocessParams<'a> = (&'a str,);
pub(crate) type PreprocessResults = (Result<Option<String>, ScriptError>,);
pub(crate) type DescribeResults = (String,);
pub(crate) type LoadParams<'a> = (Module<'a>,);
pub(crate) type LoadResults = (Result<(), ScriptError>,);
pub(crate) type CommandResults = (Result<(), ()>,);
