//! What a script exports. Each interface is a world of its own, for a script exports what it has and nothing else.
//!
//! The macros that are made here put an export into the script's crate; they are called by what the attributes expand to.

use crate::{
    Error, Output, Result,
    host::bindings::sandmill::script::types,
    script::{Main, Preprocessor},
};

pub use wit_bindgen::rt;

#[expect(missing_docs, reason = "generated from WIT")]
pub mod main {
    wit_bindgen::generate!({
        path: ["wit/script"],
        inline: "package sandmill:sdk-main; world sandmill-main { export sandmill:script/main@0.1.0; }",
        world: "sandmill:sdk-main/sandmill-main",
        with: { "sandmill:script/types@0.1.0": crate::host::bindings::sandmill::script::types },
        runtime_path: "::sandmill::__private::exports::rt",
        pub_export_macro: true,
        default_bindings_module: "::sandmill::__private::exports::main",
    });
}

#[expect(missing_docs, reason = "generated from WIT")]
pub mod schema {
    wit_bindgen::generate!({
        path: ["wit/script"],
        inline: "package sandmill:sdk-schema; world sandmill-schema { export sandmill:script/schema@0.1.0; }",
        world: "sandmill:sdk-schema/sandmill-schema",
        with: { "sandmill:script/types@0.1.0": crate::host::bindings::sandmill::script::types },
        runtime_path: "::sandmill::__private::exports::rt",
        pub_export_macro: true,
        default_bindings_module: "::sandmill::__private::exports::schema",
    });
}

#[expect(missing_docs, reason = "generated from WIT")]
pub mod preprocessor {
    wit_bindgen::generate!({
        path: ["wit/script"],
        inline: "package sandmill:sdk-preprocessor; world sandmill-preprocessor { export sandmill:script/preprocessor@0.1.0; }",
        world: "sandmill:sdk-preprocessor/sandmill-preprocessor",
        with: { "sandmill:script/types@0.1.0": crate::host::bindings::sandmill::script::types },
        runtime_path: "::sandmill::__private::exports::rt",
        pub_export_macro: true,
        default_bindings_module: "::sandmill::__private::exports::preprocessor",
    });
}

impl<T: Main> main::exports::sandmill::script::main::Guest for Export<T> {
    fn run(args: String) -> Result<types::Output, types::Error> {
        match T::run(&args) {
            Ok(Output::Json(text)) => Ok(types::Output::Json(text)),
            Ok(Output::Bytes(bytes)) => Ok(types::Output::Bytes(types::Binary { content_type: bytes.content_type, data: bytes.data })),
            Err(error) => Err(told(error)),
        }
    }
}

impl<T: Main> schema::exports::sandmill::script::schema::Guest for Export<T> {
    fn describe() -> String {
        T::schema()
    }
}

impl<T: Preprocessor> preprocessor::exports::sandmill::script::preprocessor::Guest for Export<T> {
    fn preprocess(event: String) -> Result<Option<String>, types::Error> {
        T::preprocess(&event).map_err(told)
    }
}

/// A script's type, as the generated macros want it.
pub struct Export<T>(std::marker::PhantomData<T>);

fn told(error: Error) -> types::Error {
    types::Error { name: error.name, message: error.message, stack: None, details: error.details }
}
