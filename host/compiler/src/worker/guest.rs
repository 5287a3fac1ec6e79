//! The shapes of `sandmill:script` and of `sandmill:runtime/loader` as they cross the border, and the runtime's `load`.

use sandmill_model::{exports::LOADER, version::HostedModule};
use wasmtime::{
    Result, Store,
    component::{Component, ComponentExportIndex, ComponentType, Instance, Lift, Lower, Resource},
};
use wasmtime_wasi_http::{
    p2::types::{HostIncomingRequest, HostResponseOutparam},
    p3::{Request as AsyncRequest, Response as AsyncResponse, bindings::http::types::ErrorCode as AsyncErrorCode},
};

use super::closed::Closed;

#[derive(Clone, Debug, ComponentType, Lift)]
#[component(record)]
pub(super) struct ScriptError {
    pub(super) name: String,
    pub(super) message: String,
    pub(super) stack: Option<String>,
    #[expect(dead_code, reason = "part of the type")]
    details: Option<String>,
}

#[derive(ComponentType, Lift)]
#[component(record)]
#[expect(dead_code, reason = "only its type is compared")]
pub(super) struct Binary {
    #[component(name = "content-type")]
    content_type: String,
    data: Vec<u8>,
}

#[derive(ComponentType, Lift)]
#[component(variant)]
#[expect(dead_code, reason = "only its type is compared")]
pub(super) enum ScriptOutput {
    #[component(name = "json")]
    Json(String),
    #[component(name = "bytes")]
    Bytes(Binary),
}

#[derive(ComponentType, Lower)]
#[component(record)]
pub(super) struct Module<'a> {
    #[component(name = "file-name")]
    file_name: &'a str,
    source: &'a str,
    parameters: &'a [String],
}

pub(super) type RunParams<'a> = (&'a str,);
pub(super) type RunResults = (std::result::Result<ScriptOutput, ScriptError>,);
pub(super) type PreprocessResults = (std::result::Result<Option<String>, ScriptError>,);
pub(super) type DescribeResults = (String,);
pub(super) type CommandResults = (std::result::Result<(), ()>,);
pub(super) type HandleParams = (Resource<HostIncomingRequest>, Resource<HostResponseOutparam>);
pub(super) type AsyncHandleParams = (Resource<AsyncRequest>,);
pub(super) type AsyncHandleResults = (std::result::Result<Resource<AsyncResponse>, AsyncErrorCode>,);
type LoadResults = (std::result::Result<(), ScriptError>,);

/// Evaluates the module's top level.
pub(super) async fn load(
    store: &mut Store<Closed>,
    instance: &Instance,
    component: &Component,
    module: &HostedModule,
) -> Result<std::result::Result<(), ScriptError>> {
    let index = export(component, LOADER, "load").ok_or_else(|| wasmtime::format_err!("the runtime has no loader"))?;
    let function = instance.get_typed_func::<(Module<'_>,), LoadResults>(&mut *store, index)?;
    let module = Module { file_name: &module.file_name, source: &module.source, parameters: &module.parameters };
    let (result,) = function.call_async(&mut *store, (module,)).await?;
    Ok(result)
}

/// Function `name` of the exported `interface`, of any compatible version.
pub(super) fn export(component: &Component, interface: &str, name: &str) -> Option<ComponentExportIndex> {
    let interface = component.get_export_index(None, interface)?;
    component.get_export_index(Some(&interface), name)
}
