//! One call of a program: what it is given, and the order in which its exports are called, all in one instance.

use std::sync::Arc;

use bytes::Bytes;
use sandmill_model::{BoxFuture, JsonText, Limits, Output, RunError, RunId, WorkspaceId, version::HostedModule};
use wasmtime::{
    Store,
    component::{ComponentExportIndex, Instance},
};

use crate::{
    bindings::{
        DescribeResults, LoadParams, LoadResults, Module, PreprocessParams, PreprocessResults, RunParams, RunResults, ScriptOutput,
    },
    command,
    function::PlainFunction,
    guest::Guest,
    program::Program,
    stop::Stop,
};

pub struct Call<H: 'static> {
    /// By it the run can be cancelled.
    pub run: RunId,
    /// Whose share of the processor it uses.
    pub workspace: WorkspaceId,
    pub program: Arc<Program<H>>,
    /// For a language runtime: what it loads first.
    pub module: Option<Arc<HostedModule>>,
    pub input: CallInput<H>,
    pub limits: Limits,
    /// What the capabilities get.
    pub host: H,
}

/// Checks the arguments that a preprocessor made.
pub type Validate = Box<dyn FnOnce(&JsonText) -> Result<(), RunError> + Send>;

pub enum CallInput<H: 'static> {
    /// Arguments of `main`, valid ones.
    Arguments(JsonText),
    /// What the preprocessor makes arguments of; they are validated before `main` sees them.
    Event { event: JsonText, validate: Validate },
    /// Arguments for a command: its stdin, as JSON; what it writes to stdout is the result.
    Command(JsonText),
    /// Arguments for a function of the program's own.
    Function { function: Arc<PlainFunction>, arguments: JsonText },
    /// A call that only the host understands.
    Host(Box<dyn HostCall<H>>),
    /// Nothing is run: the outcome's output is the program's description of its arguments.
    Describe,
}

/// How a call of an export goes about which the sandbox knows nothing: the host that linked the program does.
pub trait HostCall<H: 'static>: Send {
    /// # Errors
    /// What the engine or a host function stopped the call for; of an error of the program's own [`Ended`] tells.
    fn call<'a>(self: Box<Self>, store: &'a mut Store<Guest<H>>, instance: &'a Instance) -> BoxFuture<'a, wasmtime::Result<Ended>>;
}

/// How a call ended that the sandbox did not have to stop.
pub enum Ended {
    Ok(Output),
    Skipped,
    Error(RunError),
    InvalidArguments(RunError),
    ResultTooLarge { bytes: usize },
}

pub(crate) struct Steps<H: 'static> {
    pub(crate) program: Arc<Program<H>>,
    pub(crate) module: Option<Arc<HostedModule>>,
    pub(crate) input: CallInput<H>,
}

impl<H: Send + 'static> Steps<H> {
    pub(crate) async fn call(self, store: &mut Store<Guest<H>>) -> wasmtime::Result<Ended> {
        let exports = &self.program.exports;
        let instance = self.program.pre.instantiate_async(&mut *store).await?;
        if let Some(module) = &self.module {
            let load = exports.load.as_ref().ok_or_else(|| fault("the program is no language runtime, but has a module to load"))?;
            if let Err(error) = load_module(store, &instance, load, module).await? {
                return Ok(Ended::Error(error));
            }
        }
        let arguments = match self.input {
            CallInput::Arguments(arguments) => arguments,
            CallInput::Event { event, validate } => {
                let preprocess =
                    exports.preprocess.as_ref().ok_or_else(|| fault("the program has no preprocessor, but was given an event"))?;
                match preprocessed(store, &instance, preprocess, &event).await? {
                    Ok(Some(arguments)) => match validate(&arguments) {
                        Ok(()) => arguments,
                        Err(error) => return Ok(Ended::InvalidArguments(error)),
                    },
                    Ok(None) => return Ok(Ended::Skipped),
                    Err(ended) => return Ok(ended),
                }
            }
            CallInput::Command(arguments) => {
                let command = exports.command.as_ref().ok_or_else(|| fault("the program is no command"))?;
                return command::call(store, &instance, command, &arguments).await;
            }
            CallInput::Function { function, arguments } => return function.call(store, &instance, &arguments).await,
            CallInput::Host(call) => return call.call(store, &instance).await,
            CallInput::Describe => {
                let describe = exports.describe.as_ref().ok_or_else(|| fault("the program does not describe its arguments"))?;
                let describe = instance.get_typed_func::<(), DescribeResults>(&mut *store, describe)?;
                let (schema,) = describe.call_async(&mut *store, ()).await?;
                return Ok(json_output(schema, store.data().result_bytes_max()));
            }
        };
        let run = exports.run.as_ref().ok_or_else(|| fault("the program is no script: it exports no `main`"))?;
        let run = instance.get_typed_func::<RunParams<'_>, RunResults>(&mut *store, run)?;
        let (result,) = run.call_async(&mut *store, (arguments.as_str(),)).await?;
        let result_bytes_max = store.data().result_bytes_max();
        Ok(match result {
            Ok(ScriptOutput::Json(text)) => json_output(text, result_bytes_max),
            Ok(ScriptOutput::Bytes(binary)) => {
                let output = Output::Bytes { content_type: binary.content_type, data: Bytes::from(binary.data) };
                if output.len_bytes() > result_bytes_max { Ended::ResultTooLarge { bytes: output.len_bytes() } } else { Ended::Ok(output) }
            }
            Err(error) => Ended::Error(error.into()),
        })
    }
}

async fn load_module<H: Send + 'static>(
    store: &mut Store<Guest<H>>,
    instance: &Instance,
    load: &ComponentExportIndex,
    module: &HostedModule,
) -> wasmtime::Result<Result<(), RunError>> {
    let load = instance.get_typed_func::<LoadParams<'_>, LoadResults>(&mut *store, load)?;
    let (loaded,) = load.call_async(&mut *store, (Module::from(module),)).await?;
    Ok(loaded.map_err(Into::into))
}

/// The arguments that the preprocessor makes of `event`; they are kept with the run whatever comes next.
async fn preprocessed<H: Send + 'static>(
    store: &mut Store<Guest<H>>,
    instance: &Instance,
    preprocess: &ComponentExportIndex,
    event: &JsonText,
) -> wasmtime::Result<Result<Option<JsonText>, Ended>> {
    let preprocess = instance.get_typed_func::<PreprocessParams<'_>, PreprocessResults>(&mut *store, preprocess)?;
    let (made,) = preprocess.call_async(&mut *store, (event.as_str(),)).await?;
    let text = match made {
        Ok(None) => return Ok(Ok(None)),
        Ok(Some(text)) => text,
        Err(error) => return Ok(Err(Ended::Error(RunError::from(error).of_preprocessor()))),
    };
    let core = &mut store.data_mut().core;
    if text.len() as u64 > core.limits.arguments_bytes {
        let message = format!(
            "the preprocessor returned {} bytes of arguments; the limit is {} (limits.arguments_bytes)",
            text.len(),
            core.limits.arguments_bytes
        );
        return Ok(Err(Ended::InvalidArguments(RunError::new("invalid_arguments", message))));
    }
    Ok(match JsonText::parse(text) {
        Ok(arguments) => {
            core.arguments = Some(arguments.clone());
            Ok(Some(arguments))
        }
        Err(error) => {
            Err(Ended::Error(RunError::new("InvalidResult", format!("the preprocessor returned text that is not JSON: {error}"))))
        }
    })
}

fn json_output(text: String, bytes_max: usize) -> Ended {
    if text.len() > bytes_max {
        return Ended::ResultTooLarge { bytes: text.len() };
    }
    match JsonText::parse(text) {
        Ok(json) => Ended::Ok(Output::Json(json)),
        Err(error) => Ended::Error(RunError::new("InvalidResult", format!("the script returned text that is not JSON: {error}"))),
    }
}

fn fault(message: &str) -> wasmtime::Error {
    Stop::HostFault(message.to_owned()).into()
}
