//! The host side of `wasi:http`: what wasmtime-wasi-http leaves open, which is how requests are sent.

use std::sync::Arc;

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response,
    header::{CONTENT_LENGTH, ToStrError},
    request::Parts,
    uri::Scheme,
};
use http_body_util::BodyExt;
use hyper::body::Body;
use sandmill_model::{
    Grant, ScriptPath,
    grants::{
        Granted, HttpGrant, denial,
        http::{is_plain_path, is_sent},
    },
    version::ComponentModel,
};
use sandmill_sandbox::Guest;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime::component::Linker;
use wasmtime_wasi_http::{
    Error, ForbiddenHeaderFilter, RequestOptions, WasiBody, WasiHttp, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks,
    p2::bindings::http as bindings, p3::bindings::http as async_bindings,
};

use super::{
    api::{self, ApiAccess},
    body::{Activity, BodyPlaceholders, DownBody, Meter, UpBody, Way},
    client::{Outbound, Reach, Timeouts, WorkspaceClient},
    credentials::CredentialsPort,
    fault::{Fault, Teller},
    limits::{BODY_CHUNK_BYTES, CLIENTS_MAX, HttpLimits, REPLACED_HEADER_BYTES, REQUEST_HEADER_BYTES},
    paced,
    target::{Target, is_forbidden},
};
use crate::{
    GrantsPort, Host,
    grants::Refused,
    host::RunFacts,
    placeholders::{Replaced, Replacing},
};

/// Bytes of a URL that a line of the log shows.
const SHOWN_BYTES: usize = 200;

type Done = Box<dyn Future<Output = Result<(), Error>> + Send>;
type Sent = Box<dyn Future<Output = Result<(Response<WasiBody>, Done), Error>> + Send>;

/// What one run has of outbound HTTP; nothing until it asks.
#[derive(Default)]
pub struct HttpState(Option<Box<Http>>);

impl Clone for HttpState {
    /// For another run: what this one uses stays its own.
    fn clone(&self) -> Self {
        Self::default()
    }
}

struct Http {
    ctx: WasiHttpCtx,
    gate: Gate,
}

#[derive(Clone)]
struct Gate {
    run: Arc<RunFacts>,
    grants: Arc<dyn GrantsPort>,
    outbound: Arc<Outbound>,
    credentials: Arc<dyn CredentialsPort>,
    teller: Teller,
    requests: Arc<Semaphore>,
    up: Arc<Meter>,
    down: Arc<Meter>,
}

/// Adds the types and the handler of outbound requests.
pub(crate) fn link(linker: &mut Linker<Guest<Host>>, model: ComponentModel) -> anyhow::Result<()> {
    if model == ComponentModel::Async {
        // Requests go through the same gate.
        async_bindings::client::add_to_linker::<_, WasiHttp>(linker, view)?;
        async_bindings::types::add_to_linker::<_, WasiHttp>(linker, view)?;
        paced::link_async(linker)?;
    }
    bindings::outgoing_handler::add_to_linker::<_, WasiHttp>(linker, view)?;
    bindings::types::add_to_linker::<_, WasiHttp>(linker, &bindings::types::LinkOptions::default(), view)?;
    paced::link(linker)?;
    Ok(())
}

pub(super) fn view(guest: &mut Guest<Host>) -> WasiHttpCtxView<'_> {
    let log = guest.run_log();
    let (table, host) = guest.table_and_host();
    let (run, ports) = (&host.run, &host.ports);
    let http = host.http.0.get_or_insert_with(|| {
        let (limits, workspace) = (ports.http.limits(), run.attempt.workspace);
        let gate = Gate {
            run: Arc::clone(run),
            grants: Arc::clone(&ports.grants),
            outbound: Arc::clone(&ports.http),
            credentials: Arc::clone(&ports.credentials),
            teller: Teller(log),
            requests: Arc::new(Semaphore::new(limits.requests_per_run)),
            up: Arc::new(Meter::of(limits.bytes_up_per_run, Way::Up, workspace, &ports.http.traffic)),
            down: Arc::new(Meter::of(limits.bytes_down_per_run, Way::Down, workspace, &ports.http.traffic)),
        };
        let mut ctx = WasiHttpCtx::new();
        ctx.set_field_size_limit(REQUEST_HEADER_BYTES);
        Box::new(Http { ctx, gate })
    });
    WasiHttpCtxView { hooks: &mut http.gate, table, ctx: &mut http.ctx }
}

impl WasiHttpHooks for Gate {
    fn is_forbidden_header(&mut self, name: &HeaderName) -> bool {
        is_forbidden(name)
    }

    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        Arc::new(is_forbidden)
    }

    /// It is made of the URL, where the request is sent.
    fn set_host_header(&mut self) -> bool {
        false
    }

    fn default_scheme(&mut self) -> Option<Scheme> {
        Some(Scheme::HTTPS)
    }

    fn send_request(&mut self, request: Request<WasiBody>, options: Option<RequestOptions>, _: Done) -> Sent {
        let gate = self.clone();
        Box::new(async move {
            let sent = async { gate.judge(request, options.unwrap_or_default()).await?.send().await };
            match Box::pin(sent).await {
                Ok(answer) => Ok((answer.map(BodyExt::boxed_unsync), Box::new(std::future::ready(Ok(()))) as Done)),
                Err(fault) => Err(gate.teller.tell(&fault)),
            }
        })
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        BODY_CHUNK_BYTES
    }

    fn p3_outgoing_body_chunk_size(&mut self) -> usize {
        BODY_CHUNK_BYTES
    }
}

/// A request that may be sent.
struct Sending {
    run: Arc<RunFacts>,
    client: Arc<WorkspaceClient>,
    limits: HttpLimits,
    credentials: Arc<dyn CredentialsPort>,
    target: Target,
    /// Resources of the grants that cover it.
    paths: Arc<[ScriptPath]>,
    /// It is for the platform's own API.
    api: Option<ApiAccess>,
    parts: Parts,
    body: WasiBody,
    options: RequestOptions,
    permits: [OwnedSemaphorePermit; 2],
    teller: Teller,
    up: Arc<Meter>,
    down: Arc<Meter>,
}

impl Gate {
    async fn judge(&self, request: Request<WasiBody>, options: RequestOptions) -> Result<Sending, Fault> {
        let (parts, body) = request.into_parts();
        if !is_sent(parts.method.as_str()) {
            return Err(Fault::Method(parts.method.to_string()));
        }
        let target = Target::of(&parts.uri)?;
        let (paths, api) = self.covered(&parts.method, &target).await?;
        self.outbound.traffic.admit(self.run.attempt.workspace).await.map_err(Fault::Quota)?;
        let limits = *self.outbound.limits();
        let client = self.outbound.client(self.run.attempt.workspace).ok_or(Fault::TooManyOfWorkspace(CLIENTS_MAX))?;
        let of_run = Arc::clone(&self.requests).try_acquire_owned().map_err(|_| Fault::TooManyOfRun(limits.requests_per_run))?;
        let of_workspace =
            Arc::clone(&client.requests).try_acquire_owned().map_err(|_| Fault::TooManyOfWorkspace(limits.requests_per_workspace))?;
        Ok(Sending {
            run: Arc::clone(&self.run),
            client,
            limits,
            credentials: Arc::clone(&self.credentials),
            target,
            paths,
            api,
            parts,
            body,
            options,
            permits: [of_run, of_workspace],
            teller: self.teller.clone(),
            up: Arc::clone(&self.up),
            down: Arc::clone(&self.down),
        })
    }

    /// Resources of the grants that cover the request; if it is for the platform's own API, how the run calls that.
    async fn covered(&self, method: &Method, target: &Target) -> Result<(Arc<[ScriptPath]>, Option<ApiAccess>), Fault> {
        let granted = self.run.granted(self.grants.as_ref()).await.map_err(|refused| match refused {
            Refused::Denied(text) => Fault::Denied(text),
            Refused::Unavailable(text) => Fault::Secrets(text),
        })?;
        match self.outbound.api() {
            Some(port) if api::is_meant(&target.origin) => {
                let scopes = api::scopes(&self.run, &granted, target)?;
                let access = port.access(self.run.attempt.run, scopes).await.map_err(Fault::Secrets)?;
                Ok((Arc::default(), Some(access)))
            }
            _ => Ok((self.resources(&granted, method, target)?, None)),
        }
    }

    /// Resources of the grants that cover the request.
    fn resources(&self, granted: &Granted, method: &Method, target: &Target) -> Result<Arc<[ScriptPath]>, Fault> {
        let covers = |grant: &HttpGrant| grant.covers(method.as_str(), &target.origin, target.path());
        let covering = granted.http(covers);
        if !covering.is_empty() {
            return Ok(covering.into_iter().filter_map(HttpGrant::resource).cloned().collect());
        }
        let RunFacts { attempt, asked, .. } = self.run.as_ref();
        let (origin, path) = (&target.origin, target.path());
        let shown = &path[..path.floor_char_boundary(SHOWN_BYTES)];
        let refused = format!("no grant lets this script send {method} to {origin}{shown}");
        let need = asked.http.iter().find(|grant| covers(grant)).cloned().or_else(|| narrowest(method, target));
        Err(Fault::Denied(match need {
            Some(need) => format!("{refused}: {}", denial(&attempt.path, &[Grant::Http(need)], asked)),
            None => refused,
        }))
    }
}

/// The grant that covers the least of those that cover the request. None covers every request: a method may be too long for any.
fn narrowest(method: &Method, target: &Target) -> Option<HttpGrant> {
    let (origin, path) = (&target.origin, target.path());
    let exact = if path.len() <= SHOWN_BYTES { format!("{method} {origin}{path}").parse().ok() } else { None };
    exact.or_else(|| format!("{method} {origin}").parse().ok())
}

impl Sending {
    async fn send(mut self) -> Result<Response<DownBody>, Fault> {
        let placeholders = self.replace_placeholders()?;
        self.add_credentials().await?;
        let reach = self.for_the_api()?;
        let Self { client, limits, target, mut parts, body, options, permits, teller, up, down, .. } = self;
        parts.uri = target.uri()?;
        let length = content_length(&parts.headers).map_err(|_| Fault::BodyLength(0))?;
        if placeholders.is_some() {
            // It is another one once placeholders are replaced.
            parts.headers.remove(CONTENT_LENGTH);
        }
        let url_bytes =
            parts.uri.authority().map_or(0, |host| host.as_str().len()) + parts.uri.path_and_query().map_or(0, |path| path.as_str().len());
        up.head(url_bytes + parts.method.as_str().len(), &parts.headers)?;
        let body = UpBody { body, meter: up, activity: Activity::new(), length, sent: 0, placeholders, next: None };
        let timeouts = Timeouts::of(&limits, options.connect_timeout, options.first_byte_timeout);
        let answer = client.send(Request::from_parts(parts, body), timeouts, reach).await?;
        down.head(0, answer.headers())?;
        let between = options.between_bytes_timeout.unwrap_or(limits.between_bytes).min(limits.between_bytes);
        Ok(answer.map(|body| DownBody { body, meter: down, between, timer: None, permits: Some(permits), teller }))
    }

    /// In the URL and the headers at once; what is returned does it in the body.
    fn replace_placeholders(&mut self) -> Result<Option<BodyPlaceholders>, Fault> {
        let Some(placeholders) = self.run.made_placeholders().filter(|placeholders| placeholders.has_any_of(&self.paths)) else {
            return Ok(None);
        };
        let in_url = Replacing::new(placeholders, &self.paths, Replaced::Encoded);
        let judged = self.target.path().to_owned();
        self.target.replace(|bytes| in_url.whole(bytes))?;
        // The grants were asked about the path as it was.
        if is_plain_path(&judged) && !is_plain_path(self.target.path()) {
            return Err(Fault::Secrets("a secret in the path has dots or slashes, which would make it another path".to_owned()));
        }
        let in_headers = Replacing::new(placeholders, &self.paths, Replaced::AsPlaceholder);
        for value in self.parts.headers.values_mut() {
            let replaced = in_headers.whole(value.as_bytes());
            if replaced != value.as_bytes() {
                *value = secret_value(&replaced)?;
            }
        }
        if self.parts.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum::<usize>() > REPLACED_HEADER_BYTES {
            return Err(Fault::Secrets(format!("with their secrets the headers have more than {REPLACED_HEADER_BYTES} bytes")));
        }
        if self.body.size_hint().exact() == Some(0) {
            return Ok(None);
        }
        let (run, paths) = (Arc::clone(&self.run), Arc::clone(&self.paths));
        Ok(Some(BodyPlaceholders { run, paths, kept: bytes::BytesMut::new() }))
    }

    /// A request for the API goes to this node, as the run.
    fn for_the_api(&mut self) -> Result<Reach, Fault> {
        let Some(access) = &self.api else { return Ok(Reach::World) };
        self.teller.0.conceal_whole(&access.token);
        access.address(&mut self.target, &mut self.parts.headers)?;
        Ok(Reach::Api)
    }

    async fn add_credentials(&mut self) -> Result<(), Fault> {
        for path in self.paths.iter() {
            let found = self.credentials.credentials(self.run.attempt.workspace, path).await;
            let Some(found) = found.map_err(|text| Fault::Secrets(format!("{path}: {text}")))? else { continue };
            if found.origin != self.target.origin {
                continue;
            }
            found.conceal(&self.teller.0);
            for (name, value) in &found.headers {
                let name = HeaderName::try_from(name.as_str()).ok().filter(|name| !is_forbidden(name) && name != CONTENT_LENGTH);
                let name = name.ok_or_else(|| Fault::Secrets(format!("{path}: a header that it adds has a name that none may have")))?;
                self.parts.headers.insert(name, secret_value(value.as_bytes())?);
            }
            for (name, value) in &found.query {
                self.target.set_query(name, value);
            }
        }
        Ok(())
    }
}

fn secret_value(value: &[u8]) -> Result<HeaderValue, Fault> {
    let value = HeaderValue::from_bytes(value);
    let mut value = value.map_err(|_| Fault::Secrets("a secret has characters that no header may have".to_owned()))?;
    // HTTP/2 does not keep it for later.
    value.set_sensitive(true);
    Ok(value)
}

/// As the guest said it; wasmtime-wasi-http has seen that it is one number.
fn content_length(headers: &HeaderMap) -> Result<Option<u64>, ToStrError> {
    headers.get(CONTENT_LENGTH).map(|value| value.to_str().map(|text| text.parse().unwrap_or(u64::MAX))).transpose()
}
