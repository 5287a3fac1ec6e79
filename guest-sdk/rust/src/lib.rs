//! Write scripts for Sandmill in Rust. The README has a chapter for each thing that a script does.
//!
//! A script is a library of the crate type `cdylib` with one function that has the attribute [`main`]. In a component the modules here call
//! the host; everywhere else they call the fakes of [`testing`], so that `cargo test` runs a script's unit tests as they are.

// What is generated names this crate as scripts do.
extern crate self as sandmill;

pub mod blob;
pub mod context;
mod error;
mod event;
pub mod http;
pub mod json;
pub mod log;
mod outcome;
pub mod output;
pub mod publish;
pub mod resources;
pub mod runs;
mod schema;
mod script;
pub mod sql;
pub mod state;
// In a component nothing reaches it, and it is left out; it is there so that a script's tests compile for both.
#[cfg_attr(target_family = "wasm", allow(dead_code, reason = "a component has a host of its own"))]
pub mod testing;
pub mod variables;

// What the modules above call: functions of the same signatures on both sides.
#[cfg(target_family = "wasm")]
mod host;
#[cfg(not(target_family = "wasm"))]
use crate::testing::host;

pub use error::{Error, Result};
pub use event::Event;
pub use outcome::{Body, Bytes, FromOutput, HttpAnswer, IntoOutput, Output};
pub use sandmill_macros::{main, preprocessor};

#[doc(hidden)]
pub mod __private {
    //! What the attributes expand to; nothing that a script calls.

    #[cfg(target_family = "wasm")]
    pub use crate::host::exports;
    pub use crate::{
        schema::of as schema_of,
        script::{Main, Plain, Preprocessor, Returned, arguments, preprocessed},
    };
    pub use {schemars, serde};
}
