//! The JavaScript runtime component: QuickJS behind the script contract.
//!
//! It lives three times. `initialize` builds the engine and its globals, once, when the runtime is built;
//! `load` evaluates a script's top level, before a snapshot or at the start of a hosted run; `run` and
//! `preprocess` answer the host. Between these the memory may be copied, so nothing here may hold on to
//! anything of the host's: no resource handle, no clock, no seed.

#![deny(clippy::all)]

mod bindings;
mod bytes;
mod engine;
mod errors;
mod heap;
mod libc;
mod load;
mod native;
mod output;
mod phase;
mod run;
mod text;
mod waits;

use bindings::exports::sandmill::{
    runtime::loader::{Guest as Loader, Module},
    script::main::{Error, Guest as Main, Output},
    script::preprocessor::Guest as Preprocessor,
};

struct Runtime;

impl bindings::Guest for Runtime {
    fn initialize() {
        engine::get();
        heap::seal();
    }
}

impl Loader for Runtime {
    fn load(module: Module) -> Result<(), Error> {
        load::load(module)
    }
}

impl Main for Runtime {
    fn run(args: String) -> Result<Output, Error> {
        phase::open();
        run::main(args)
    }
}

impl Preprocessor for Runtime {
    fn preprocess(event: String) -> Result<Option<String>, Error> {
        phase::open();
        run::preprocess(event)
    }
}

bindings::export!(Runtime with_types_in bindings);
