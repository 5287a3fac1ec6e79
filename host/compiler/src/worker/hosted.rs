//! Loads a module in the shared runtime, as every hosted run of it will, to see whether it loads.

use sandmill_model::{
    build::{BuildError, Diagnostic},
    version::{ComponentModel, HostedModule},
};
use wasmtime::component::{Component, InstancePre};

use super::{
    closed::{self, Closed, Stopped},
    engines::Engines,
    guest::{self, ScriptError},
};
use crate::{
    limits::{LOAD_FUEL_MAX, LOAD_MEMORY_BYTES_MAX},
    script::{Fault, position::Lines},
    stack::StackMap,
};

pub(super) struct Hosted(InstancePre<Closed>);

impl Hosted {
    pub(super) fn new(engines: &Engines, runtime: &Component) -> wasmtime::Result<Self> {
        Closed::linker(&engines.engine, ComponentModel::Sync)?.instantiate_pre(runtime).map(Self)
    }

    /// # Errors
    /// What goes wrong at the module's top level, where in `source` if that can be told.
    pub(super) fn check(&self, engines: &Engines, module: &HostedModule, source: &str) -> Result<(), BuildError> {
        let mut store = Closed::store(&engines.engine).map_err(engine_failed)?;
        let call = async {
            let instance = self.0.instantiate_async(&mut store).await?;
            guest::load(&mut store, &instance, self.0.component(), module).await
        };
        let loaded = engines.wait(closed::call(call));
        let diagnostic = match loaded {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => thrown(&error, module, source),
            Err(error) => stopped(&closed::why(error, &store), module, source),
        };
        Err(BuildError::Diagnostics(vec![diagnostic]))
    }
}

pub(super) fn engine_failed(error: wasmtime::Error) -> BuildError {
    BuildError::Unavailable(format!("the engine of a build worker failed: {error:#}"))
}

pub(super) fn thrown(error: &ScriptError, module: &HostedModule, source: &str) -> Diagnostic {
    let ScriptError { name, message, stack, .. } = error;
    let place = stack.as_deref().and_then(|stack| StackMap::new(module).first_place(stack));
    let text = if message.is_empty() { name.clone() } else { format!("{name}: {message}") };
    let fault = Fault::new(0, text).with_help("this happens at the top level of the module, before `main` is called");
    let lines = Lines::new(&module.file_name, source);
    match place {
        Some((line, column)) => {
            let line = line.saturating_sub(1) as usize;
            let text = source.split('\n').nth(line).unwrap_or_default();
            lines.diagnostic_at((line, characters(text, column.saturating_sub(1) as usize)), fault)
        }
        None => lines.diagnostic(fault),
    }
}

/// How many characters the first UTF-16 code units of a line are.
fn characters(line: &str, code_units: usize) -> usize {
    let mut left = code_units;
    let whole = line.chars().take_while(|character| {
        let fits = left > 0;
        left = left.saturating_sub(character.len_utf16());
        fits
    });
    // Beyond the line's end, as it is.
    let count = whole.count();
    count + left
}

pub(super) fn stopped(stopped: &Stopped, module: &HostedModule, source: &str) -> Diagnostic {
    let fault = match stopped {
        Stopped::Time => {
            let help = format!("it may use {LOAD_FUEL_MAX} fuel, about a few seconds, before `main` is called: is there an endless loop?");
            Fault::new(0, "the top level of the module did not finish within its budget").with_help(help)
        }
        Stopped::Memory => {
            let most = LOAD_MEMORY_BYTES_MAX / (1024 * 1024);
            Fault::new(0, format!("the top level of the module uses more than {most} MiB of memory")).with_help("move the work into `main`")
        }
        Stopped::Trap(trap) => Fault::new(0, format!("the top level of the module ended in a trap: {trap}")),
    };
    Lines::new(&module.file_name, source).diagnostic(fault)
}
