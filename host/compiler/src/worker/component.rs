//! Components that users upload: whether they are one, can run here, and what their arguments are.

use sandmill_model::{
    Digest, JsonText,
    build::{BuildError, Built},
    version::{Entry, ProgramSpec},
};
use wasmparser::{Parser, Validator};
use wasmtime::component::{Component, ComponentNamedList, InstancePre, Lift, Lower, types::ComponentItem};

use super::{
    closed::{self, Closed, Stopped},
    engines::{self, Engines},
    guest::{self, DescribeResults, MAIN, PREPROCESSOR, PreprocessResults, RunParams, RunResults, SCHEMA},
    hosted::engine_failed,
};
use crate::{limits::LOAD_MEMORY_BYTES_MAX, schema};

/// Names listed in a message.
const NAMES_MAX: usize = 50;

/// What was found out, and the machine code that was made on the way.
pub(super) struct Inspected {
    pub(super) built: Built,
    pub(super) digest: Digest,
    pub(super) code: Vec<u8>,
}

pub(super) fn inspect(engines: &Engines, bytes: &[u8]) -> Result<Inspected, BuildError> {
    validate(bytes).map_err(invalid)?;
    let component = engines.component(bytes)?;
    let pre = link(engines, &component)?;
    if guest::export(&component, MAIN, "run").is_none() {
        return Err(invalid(no_script(engines, &component)));
    }
    expect::<RunParams<'_>, RunResults>(&pre, MAIN, "run")?;
    let has_preprocessor = expect::<RunParams<'_>, PreprocessResults>(&pre, PREPROCESSOR, "preprocess")?;
    let schema = if expect::<(), DescribeResults>(&pre, SCHEMA, "describe")? {
        describe(engines, &pre)?
    } else {
        JsonText::trusted(r#"{"type":"object"}"#)
    };
    let digest = Digest::of(bytes);
    let program = ProgramSpec::Component { component: digest, entry: Entry::Script { has_preprocessor } };
    let code = component.serialize().map_err(engine_failed)?;
    Ok(Inspected { built: Built { program, schema, warnings: Vec::new() }, digest, code })
}

fn invalid(message: impl AsRef<str>) -> BuildError {
    engines::invalid(message.as_ref())
}

fn validate(bytes: &[u8]) -> Result<(), String> {
    if Parser::is_core_wasm(bytes) {
        return Err("this is a core module, not a component: build for the target wasm32-wasip2, or wrap it with \
             `wasm-tools component new module.wasm -o component.wasm`"
            .to_owned());
    }
    if !Parser::is_component(bytes) {
        return Err("this is not a WebAssembly component: it does not begin as one".to_owned());
    }
    let mut validator = Validator::new();
    validator
        .validate_all(bytes)
        .map(|_| ())
        .map_err(|error| format!("the component is malformed at offset {:#x}: {}", error.offset(), error.message()))
}

fn no_script(engines: &Engines, component: &Component) -> String {
    let ty = component.component_type();
    let names: Vec<_> = ty.exports(&engines.engine).take(NAMES_MAX).map(|(name, _)| format!("`{name}`")).collect();
    let exports = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
    format!("the component is not a script: a script exports `{MAIN}` with a function `run`, and this one exports {exports}")
}

fn link(engines: &Engines, component: &Component) -> Result<InstancePre<Closed>, BuildError> {
    let linker = Closed::linker(&engines.engine).map_err(engine_failed)?;
    linker.instantiate_pre(component).map_err(|_| {
        let names = sandmill_sandbox::unlinkable(component, &linker);
        let (count, names) = (names.len(), names.into_iter().take(NAMES_MAX).collect::<Vec<_>>().join(", "));
        let what = if count == 1 { "an import" } else { "imports" };
        invalid(format!("the component has {what} that nothing here provides: {names}"))
    })
}

/// Whether it exports the function, which then must be of the contract's type.
fn expect<Params, Results>(pre: &InstancePre<Closed>, interface: &str, name: &str) -> Result<bool, BuildError>
where
    Params: ComponentNamedList + Lower,
    Results: ComponentNamedList + Lift,
{
    let component = pre.component();
    let function = component.get_export_index(None, interface).and_then(|index| component.get_export(Some(&index), name));
    let Some((ComponentItem::ComponentFunc(function), _)) = function else { return Ok(false) };
    let checked = function.typecheck::<Params, Results>(&pre.instance_type());
    checked
        .map(|()| true)
        .map_err(|error| invalid(format!("`{interface}` has a function `{name}` of another type than the contract's: {error:#}")))
}

/// The schema that the component gives of itself.
fn describe(engines: &Engines, pre: &InstancePre<Closed>) -> Result<JsonText, BuildError> {
    let mut store = Closed::store(&engines.engine).map_err(engine_failed)?;
    let call = async {
        let instance = pre.instantiate_async(&mut store).await?;
        let index = guest::export(pre.component(), SCHEMA, "describe").ok_or_else(|| wasmtime::format_err!("it is not exported"))?;
        let function = instance.get_typed_func::<(), DescribeResults>(&mut store, index)?;
        let (text,) = function.call_async(&mut store, ()).await?;
        Ok(text)
    };
    let text = match engines.wait(closed::call(call)) {
        Ok(text) => text,
        Err(error) => {
            let why = match closed::why(error, &store) {
                Stopped::Time => "it did not finish within its budget".to_owned(),
                Stopped::Memory => format!("it uses more than {} MiB of memory", LOAD_MEMORY_BYTES_MAX / (1024 * 1024)),
                Stopped::Trap(trap) => trap,
            };
            return Err(invalid(format!("`{SCHEMA}` of the component failed: {why}")));
        }
    };
    schema::check::check(&text)
        .map_err(|fault| invalid(format!("the schema that the component gives of its arguments cannot be used: {fault}")))
}
