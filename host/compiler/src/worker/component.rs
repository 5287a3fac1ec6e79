//! Components that users upload: whether they are one, can run here, and what their arguments are.

use sandmill_model::{
    Digest, JsonText, Limits, Manifest,
    build::{BuildError, Built},
    exports::{ASYNC_HTTP_HANDLER, COMMAND, HTTP_HANDLER, MAIN, PREPROCESSOR, SCHEMA},
    version::{ComponentModel, Entry, ProgramSpec},
};
use sandmill_sandbox::{NoFunction, PlainFunction};
use wasmparser::Parser;
use wasmtime::component::{Component, ComponentNamedList, InstancePre, Lift, Lower, types::ComponentItem};

use super::{
    closed::{self, Closed, Stopped},
    engines::{self, Engines},
    guest::{
        self, AsyncHandleParams, AsyncHandleResults, CommandResults, DescribeResults, HandleParams, PreprocessResults, RunParams,
        RunResults,
    },
    hosted::engine_failed,
    needs,
};
use crate::{limits::LOAD_MEMORY_BYTES_MAX, protocol::Inspect, schema};

const ASYNC_IS_OFF: &str = "the component is made of WASI 0.3, which this server does not run: build it for WASI 0.2 (`wasm32-wasip2`), or have the server \
     started with `--wasi 0.3`";
const WASM_PAGE_BYTES: u64 = 64 * 1024;
/// Names listed in a message.
const NAMES_MAX: usize = 50;

/// What was found out, and the machine code that was made on the way: none if it was known.
pub(super) struct Inspected {
    pub(super) built: Built,
    pub(super) code: Option<Vec<u8>>,
}

/// `known` is machine code of the component, or nothing.
pub(super) fn inspect(engines: &Engines, bytes: &[u8], known: &[u8], about: &Inspect) -> Result<Inspected, BuildError> {
    let Inspect { file_name, manifest, accepts_async, .. } = about;
    let model = validate(bytes).map_err(invalid)?;
    if model == ComponentModel::Async && !accepts_async {
        return Err(invalid(ASYNC_IS_OFF));
    }
    let component = if known.is_empty() { engines.component(bytes, model)? } else { engines.adopt(known, model)? };
    check_memory(&component, manifest.limits.resolve(&Limits::CEILING).memory_bytes)?;
    let pre = link(&component, model)?;
    let entry = entry(&pre, manifest, model)?;
    let schema = match &entry {
        Entry::Function { export } => {
            let function = function(&component, Some(export)).map_err(|none| invalid(none.to_string()))?;
            function.schema().map_err(|fault| invalid(format!("`{export}` cannot be called: {fault}")))?
        }
        _ if expect::<(), DescribeResults>(&pre, SCHEMA, "describe")? => describe(engines, &pre)?,
        _ => JsonText::trusted(r#"{"type":"object"}"#),
    };
    let program = ProgramSpec::Component { component: Digest::of(bytes), entry, model };
    let warnings = needs::warnings(&component, file_name, &manifest.grants);
    let code = if known.is_empty() { Some(component.serialize().map_err(engine_failed)?) } else { None };
    if let Some(code) = &code {
        engines.check_room(code, model)?;
    }
    Ok(Inspected { built: Built { program, schema, warnings }, code })
}

/// What its memories begin with counts against the limit of its runs, so that none would begin.
fn check_memory(component: &Component, bytes_max: u64) -> Result<(), BuildError> {
    let pages = component.resources_required().and_then(|needs| needs.max_initial_memory_size).unwrap_or(0);
    let bytes = pages.saturating_mul(WASM_PAGE_BYTES);
    if bytes > bytes_max {
        let message =
            format!("its memory begins with {bytes} bytes, and a run has {bytes_max}: ask for more in its manifest (limits.memory_bytes)");
        return Err(invalid(message));
    }
    Ok(())
}

/// What of its exports is called, in the order in which a host looks; the one that the manifest names before all.
fn entry(pre: &InstancePre<Closed>, manifest: &Manifest, model: ComponentModel) -> Result<Entry, BuildError> {
    let component = pre.component();
    if let Some(export) = &manifest.export {
        let function = function(component, Some(export)).map_err(|none| invalid(none.to_string()))?;
        return Ok(Entry::Function { export: function.name().to_owned() });
    }
    let has_preprocessor = expect::<RunParams<'_>, PreprocessResults>(pre, PREPROCESSOR, "preprocess")?;
    if expect::<RunParams<'_>, RunResults>(pre, MAIN, "run")? {
        return Ok(Entry::Script { has_preprocessor });
    }
    if has_preprocessor {
        return Err(invalid(format!("the component exports `{PREPROCESSOR}`, but no `{MAIN}` that is given what it makes of events")));
    }
    if expect::<HandleParams, ()>(pre, HTTP_HANDLER, "handle")? {
        return Ok(Entry::Http);
    }
    if expect::<AsyncHandleParams, AsyncHandleResults>(pre, ASYNC_HTTP_HANDLER, "handle")? {
        if model.is_sync() {
            return Err(invalid(format!("`{ASYNC_HTTP_HANDLER}` has a function `handle` that is not asynchronous")));
        }
        return Ok(Entry::Http);
    }
    if expect::<(), CommandResults>(pre, COMMAND, "run")? {
        return Ok(Entry::Command);
    }
    match function(component, None) {
        Ok(function) => Ok(Entry::Function { export: function.name().to_owned() }),
        Err(NoFunction::None) => Err(invalid(no_entry(component))),
        Err(none) => Err(invalid(none.to_string())),
    }
}

fn function(component: &Component, export: Option<&str>) -> Result<PlainFunction, NoFunction> {
    PlainFunction::of(component.engine(), component, export)
}

fn invalid(message: impl AsRef<str>) -> BuildError {
    engines::invalid(message.as_ref())
}

fn validate(bytes: &[u8]) -> Result<ComponentModel, String> {
    if Parser::is_core_wasm(bytes) {
        return Err("this is a core module, not a component: build for the target wasm32-wasip2, or make one of it with \
             `sandmill build --module module.wasm -o component.wasm`, or `wasm-tools component new`"
            .to_owned());
    }
    if !Parser::is_component(bytes) {
        return Err("this is not a WebAssembly component: it does not begin as one".to_owned());
    }
    engines::model_of(bytes)
}

fn no_entry(component: &Component) -> String {
    let ty = component.component_type();
    let names: Vec<_> = ty.exports(component.engine()).take(NAMES_MAX).map(|(name, _)| format!("`{name}`")).collect();
    let exports = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
    format!(
        "the component exports nothing that can be called: a script exports `{MAIN}` with a function `run`, an HTTP handler `{HTTP_HANDLER}`, a \
         command `{COMMAND}`, anything else a function of its own; this one exports {exports}"
    )
}

fn link(component: &Component, model: ComponentModel) -> Result<InstancePre<Closed>, BuildError> {
    let linker = Closed::linker(component.engine(), model).map_err(engine_failed)?;
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
    let mut store = Closed::store(pre.component().engine()).map_err(engine_failed)?;
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
