//! The host's side in a component: the functions of each interface, with this crate's types.

pub(crate) mod blob;
pub(crate) mod context;
pub mod exports;
pub(crate) mod http;
pub(crate) mod log;
pub(crate) mod output;
pub(crate) mod publish;
pub(crate) mod resources;
pub(crate) mod runs;
pub(crate) mod sql;
pub(crate) mod state;
pub(crate) mod variables;

use crate::Error;

/// All that may be imported. What a script does not call is not in its component.
pub(crate) mod bindings {
    wit_bindgen::generate!({
        path: [
            "wit/script", "wit/context", "wit/log", "wit/output", "wit/state", "wit/runs", "wit/resources", "wit/variables", "wit/sql",
            "wit/blob", "wit/publish", "wit/guest",
        ],
        world: "sandmill:guest/imports",
        generate_all,
    });
}

/// An error of the host under the name of its case.
fn named(name: &str, message: String) -> Error {
    Error::new(name, message)
}

/// A script's own error, as another script sees it.
fn of_script(error: bindings::sandmill::script::types::Error) -> Error {
    Error { name: error.name, message: error.message, details: error.details }
}
