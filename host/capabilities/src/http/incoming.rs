//! `wasi:http/incoming-handler`, and `wasi:http/handler` of 0.3: a run that is one request to a component which knows nothing of scripts.
//!
//! An event that came as an HTTP request is that request, and its answer is answered as it is. Anything else is a CloudEvent that is
//! POSTed, whose answer is the result, or the run's error if its status is one.

mod answer;
mod asynchronous;
mod request;
mod tell;

use std::{fmt::Display, pin::pin};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Body;
use sandmill_model::{BoxFuture, RunError, exports::HTTP_HANDLER};
use sandmill_sandbox::{Ended, Guest, HostCall};
use tokio::sync::oneshot;
use wasmtime::{
    Result, Store,
    component::{Instance, Resource, TypedFunc},
};
use wasmtime_wasi_http::p2::{
    bindings::http::types::{ErrorCode, Scheme},
    body::HyperOutgoingBody,
    types::{HostIncomingRequest, HostResponseOutparam},
};

pub use self::request::{Asked, Incoming};
use self::tell::Teller;
use super::host::view;
use crate::Host;

type Params = (Resource<HostIncomingRequest>, Resource<HostResponseOutparam>);

/// One request to the program's handler.
pub struct Handle(pub Incoming);

/// An answer, all of it.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

/// How an answer is taken.
struct Taken {
    /// Of its body.
    bytes_max: usize,
    /// None: nobody hears of it before it is all there.
    teller: Option<Teller>,
}

/// Why there is none.
enum NoAnswer {
    /// The handler returned without one.
    None,
    /// The handler said that it failed.
    Code(String),
    /// The body broke off.
    Broken(String),
    TooLarge {
        bytes: usize,
    },
}

type Told = std::result::Result<Response<HyperOutgoingBody>, ErrorCode>;

impl HostCall<Host> for Handle {
    fn call<'a>(self: Box<Self>, store: &'a mut Store<Guest<Host>>, instance: &'a Instance) -> BoxFuture<'a, Result<Ended>> {
        Box::pin(async move {
            let Incoming { request, asked } = self.0;
            let taken = Taken { bytes_max: store.data().result_bytes_max(), teller: Teller::of(store.data(), asked) };
            let bytes_max = taken.bytes_max;
            let interface = instance.get_export_index(&mut *store, None, HTTP_HANDLER);
            let answer = match interface.and_then(|interface| instance.get_export_index(&mut *store, Some(&interface), "handle")) {
                Some(function) => {
                    let handle = instance.get_typed_func::<Params, ()>(&mut *store, function)?;
                    handled(store, handle, request, taken).await?
                }
                None => asynchronous::handled(store, instance, request, taken).await?,
            };
            Ok(match answer {
                Ok(answer) => answer::ended(answer, asked, bytes_max),
                Err(NoAnswer::TooLarge { bytes }) => Ended::ResultTooLarge { bytes },
                Err(no_answer) => Ended::Error(error(&no_answer)),
            })
        })
    }
}

async fn handled(
    store: &mut Store<Guest<Host>>,
    handle: TypedFunc<Params, ()>,
    request: Request<Bytes>,
    taken: Taken,
) -> Result<std::result::Result<Answer, NoAnswer>> {
    let (tell, told) = oneshot::channel();
    let params = {
        let mut view = view(store.data_mut());
        (view.new_incoming_request(Scheme::Http, request.map(Full::new))?, view.new_response_outparam(tell)?)
    };
    let handling = async {
        let handled = handle.call_async(&mut *store, params).await;
        // A response that was not given by now never is, nor the rest of one.
        store.data_mut().forget_handles();
        handled
    };
    within(handling, told_of(told, taken)).await
}

/// Both at once: the handler waits until what it writes is taken. What is too long ends it.
async fn within<T>(
    handling: impl Future<Output = Result<()>>,
    collected: impl Future<Output = std::result::Result<T, NoAnswer>>,
) -> Result<std::result::Result<T, NoAnswer>> {
    let (mut handling, mut collected) = (pin!(handling), pin!(collected));
    tokio::select! {
        biased;
        handled = &mut handling => {
            handled?;
            Ok(collected.await)
        }
        answer = &mut collected => {
            if answer.is_ok() {
                // It may have something to do after its answer.
                handling.await?;
            }
            Ok(answer)
        }
    }
}

async fn told_of(told: oneshot::Receiver<Told>, taken: Taken) -> std::result::Result<Answer, NoAnswer> {
    let response = told.await.map_err(|_| NoAnswer::None)?;
    let failed = |code| match code {
        ErrorCode::InternalError(Some(text)) => text,
        code => format!("{code:?}"),
    };
    collect(response.map_err(|code| NoAnswer::Code(failed(code)))?, taken).await
}

async fn collect<B>(response: Response<B>, Taken { bytes_max, mut teller }: Taken) -> std::result::Result<Answer, NoAnswer>
where
    B: Body<Data = Bytes, Error: Display> + Unpin,
{
    let (parts, mut body) = response.into_parts();
    if let Some(teller) = &mut teller {
        teller.begin(parts.status, &parts.headers);
    }
    let mut collected = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| NoAnswer::Broken(error.to_string()))?;
        // Trailers have no place in a result.
        let Ok(data) = frame.into_data() else { continue };
        let bytes = collected.len() + data.len();
        if bytes > bytes_max {
            return Err(NoAnswer::TooLarge { bytes });
        }
        collected.extend_from_slice(&data);
        if let Some(teller) = &mut teller {
            teller.write(&data);
        }
    }
    if let Some(teller) = teller {
        teller.end(&collected);
    }
    Ok(Answer { status: parts.status, headers: parts.headers, body: collected.freeze() })
}

fn error(no_answer: &NoAnswer) -> RunError {
    let message = match no_answer {
        NoAnswer::None => "the handler returned without a response".to_owned(),
        NoAnswer::Code(text) => format!("the handler failed: {text}"),
        NoAnswer::Broken(text) => format!("the body of the response broke off: {text}"),
        NoAnswer::TooLarge { bytes } => format!("the response has more than {bytes} bytes"),
    };
    RunError::new("HttpHandler", message)
}
