//! Functions of `wasi:http/types` that are ours: those that copy headers give others their turn, since a guest pays little fuel for
//! them; what is kept of a request that may never be sent has a length; and the codes of answers that broke off are told.

use sandmill_sandbox::Guest;
use wasmtime::{
    Result,
    component::{ComponentNamedList, ComponentType, Lift, Linker, LinkerInstance, Lower, Resource},
};
use wasmtime_wasi_http::{
    Error, FieldMap, WasiHttpCtxView,
    p2::{
        HeaderResult,
        bindings::http::types::{ErrorCode, HeaderError, HostFields, HostOutgoingRequest as _, IoError, Method},
        types::HostOutgoingRequest,
    },
    p3::{Request as AsyncRequest, bindings::http::types::Method as AsyncMethod},
};

use super::{
    host::view,
    limits::{AUTHORITY_BYTES, METHOD_BYTES, TARGET_BYTES},
};
use crate::Host;

/// As wasmtime-wasi-http has it.
const TYPES: &str = "wasi:http/types@0.2.12";
const ASYNC_TYPES: &str = "wasi:http/types@0.3.0";

type Fields = Resource<FieldMap>;
type Entries = Vec<(String, Vec<u8>)>;

/// Puts them in the place of wasmtime-wasi-http's.
pub(super) fn link(linker: &mut Linker<Guest<Host>>) -> Result<()> {
    linker.allow_shadowing(true);
    let mut types = linker.instance(TYPES)?;
    paced(&mut types, "[static]fields.from-list", |http, (entries,): (Entries,)| told(http.from_list(entries)))?;
    paced(&mut types, "[method]fields.get", |http, (fields, name): (Fields, String)| HostFields::get(http, fields, name))?;
    paced(&mut types, "[method]fields.set", |http, (fields, name, values): (Fields, String, Vec<Vec<u8>>)| {
        told(http.set(fields, name, values))
    })?;
    paced(&mut types, "[method]fields.delete", |http, (fields, name): (Fields, String)| told(HostFields::delete(http, fields, name)))?;
    paced(&mut types, "[method]fields.append", |http, (fields, name, value): (Fields, String, Vec<u8>)| {
        told(http.append(fields, name, value))
    })?;
    paced(&mut types, "[method]fields.entries", |http, (fields,): (Fields,)| http.entries(fields))?;
    paced(&mut types, "[method]fields.clone", |http, (fields,): (Fields,)| HostFields::clone(http, fields))?;
    paced(&mut types, "[method]outgoing-request.set-method", |http, (request, method): (Resource<HostOutgoingRequest>, Method)| {
        match &method {
            Method::Other(name) if name.len() > METHOD_BYTES => Ok(Err(())),
            _ => http.set_method(request, method),
        }
    })?;
    paced(
        &mut types,
        "[method]outgoing-request.set-authority",
        |http, (request, text): (Resource<HostOutgoingRequest>, Option<String>)| {
            if is_longer(text.as_ref(), AUTHORITY_BYTES) { Ok(Err(())) } else { http.set_authority(request, text) }
        },
    )?;
    paced(
        &mut types,
        "[method]outgoing-request.set-path-with-query",
        |http, (request, text): (Resource<HostOutgoingRequest>, Option<String>)| {
            if is_longer(text.as_ref(), TARGET_BYTES) { Ok(Err(())) } else { http.set_path_with_query(request, text) }
        },
    )?;
    types.func_wrap("http-error-code", |mut store, (error,): (Resource<IoError>,)| {
        let http = view(store.data_mut());
        let error = http.table.get(&error)?;
        Ok((error.downcast_ref::<ErrorCode>().cloned().or_else(|| error.downcast_ref::<Error>().map(code)),))
    })?;
    linker.allow_shadowing(false);
    Ok(())
}

/// The same of WASI 0.3.
pub(super) fn link_async(linker: &mut Linker<Guest<Host>>) -> Result<()> {
    use wasmtime_wasi_http::p3::bindings::http::types::HostRequest;
    linker.allow_shadowing(true);
    let mut types = linker.instance(ASYNC_TYPES)?;
    paced(&mut types, "[method]request.set-method", |http, (request, method): (Resource<AsyncRequest>, AsyncMethod)| match &method {
        AsyncMethod::Other(name) if name.len() > METHOD_BYTES => Ok(Err(())),
        _ => HostRequest::set_method(http, request, method),
    })?;
    paced(&mut types, "[method]request.set-authority", |http, (request, text): (Resource<AsyncRequest>, Option<String>)| {
        if is_longer(text.as_ref(), AUTHORITY_BYTES) { Ok(Err(())) } else { HostRequest::set_authority(http, request, text) }
    })?;
    paced(&mut types, "[method]request.set-path-with-query", |http, (request, text): (Resource<AsyncRequest>, Option<String>)| {
        if is_longer(text.as_ref(), TARGET_BYTES) { Ok(Err(())) } else { HostRequest::set_path_with_query(http, request, text) }
    })?;
    linker.allow_shadowing(false);
    Ok(())
}

fn is_longer(text: Option<&String>, bytes_max: usize) -> bool {
    text.is_some_and(|text| text.len() > bytes_max)
}

fn paced<P, R>(types: &mut LinkerInstance<'_, Guest<Host>>, name: &str, call: fn(&mut WasiHttpCtxView<'_>, P) -> Result<R>) -> Result<()>
where
    P: ComponentNamedList + Lift + Send + Sync + 'static,
    R: ComponentType + Lower + Send + Sync + 'static,
{
    types.func_wrap_async(name, move |mut store, parameters: P| {
        Box::new(async move {
            let pace = store.data().pace();
            pace.await;
            Ok((call(&mut view(store.data_mut()), parameters)?,))
        })
    })
}

fn told<T>(result: HeaderResult<T>) -> Result<Result<T, HeaderError>> {
    match result {
        Ok(done) => Ok(Ok(done)),
        Err(error) => error.downcast().map(Err),
    }
}

/// Of an answer that broke off.
fn code(error: &Error) -> ErrorCode {
    match error {
        Error::HttpResponseBodySize(bytes) => ErrorCode::HttpResponseBodySize(*bytes),
        Error::ConnectionReadTimeout => ErrorCode::ConnectionReadTimeout,
        Error::ConnectionTerminated => ErrorCode::ConnectionTerminated,
        _ => ErrorCode::HttpProtocolError,
    }
}
