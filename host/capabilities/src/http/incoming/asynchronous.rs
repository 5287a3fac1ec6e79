//! `wasi:http/handler` of 0.3: the handler returns its response and goes on writing it, while the host reads.

use std::future::poll_fn;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use sandmill_model::exports::ASYNC_HTTP_HANDLER;
use sandmill_sandbox::Guest;
use wasmtime::{
    Result, Store,
    component::{Accessor, Instance},
};
use wasmtime_wasi_http::{
    WasiHttpCtxView,
    p3::{
        Request as GuestRequest,
        bindings::{Service, http::types::ErrorCode},
    },
};

use super::{Answer, NoAnswer, Taken, collect, view};
use crate::Host;

type Handled = std::result::Result<Answer, NoAnswer>;

pub(super) async fn handled(store: &mut Store<Guest<Host>>, instance: &Instance, request: Request<Bytes>, taken: Taken) -> Result<Handled> {
    let service =
        Service::new(&mut *store, instance).map_err(|error| error.context(format!("the component has no `{ASYNC_HTTP_HANDLER}`")))?;
    let request = {
        let WasiHttpCtxView { hooks: gate, table, .. } = view(store.data_mut());
        // What becomes of the request's body concerns nobody.
        let (request, _body_taken) = GuestRequest::from_http(gate, request.map(Full::new));
        table.push(request)?
    };
    store.run_concurrent(async |accessor| handle(accessor, &service, request, taken).await).await?
}

async fn handle(
    accessor: &Accessor<Guest<Host>>,
    service: &Service,
    request: wasmtime::component::Resource<GuestRequest>,
    taken: Taken,
) -> Result<Handled> {
    let response = match service.wasi_http_handler().call_handle(accessor, request).await? {
        Ok(response) => response,
        Err(code) => return Ok(Err(NoAnswer::Code(text(code)))),
    };
    let response = accessor.with(|mut store| -> Result<_> {
        let response = view(store.data_mut()).table.delete(response)?;
        response.into_http_with_getter(store, async { Ok(()) }, view)
    })?;
    let answer = collect(response, taken).await;
    if answer.is_ok() {
        // It may have something to do after its answer.
        poll_fn(|cx| accessor.poll_no_interesting_tasks(cx)).await;
    }
    Ok(answer)
}

fn text(code: ErrorCode) -> String {
    match code {
        ErrorCode::InternalError(Some(text)) => text,
        code => format!("{code:?}"),
    }
}
