//! HTTP: routes by resource, authentication, problem details, OpenAPI. Mounts the endpoints of trigger kinds without naming any.
//!
//! [`router`] is the whole of it: everything that it needs comes in an [`ApiState`].

mod answers;
mod app;
mod audit;
mod auth;
mod client_address;
mod counts;
mod events;
mod gate;
mod hosts;
mod kept;
mod mount;
mod observe;
mod on_behalf;
mod openapi;
mod pages;
mod passwords;
mod problem;
mod request;
mod router;
mod routes;
mod sessions;
mod single_sign_on;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use metrics_exporter_prometheus::PrometheusHandle;
use sandmill_dispatch::Dispatch;
use sandmill_model::{BoxFuture, Clock, WorkspaceId, build::Builder, code::Refusal, trigger::Kinds, version::Version};
use sandmill_store::Store;

pub use audit::{Denials, Endings};
pub use client_address::{ClientAddress, ForwardedField, Proxies, UnclearClient};
pub use hosts::RoutesHost;
pub use on_behalf::OnBehalf;
pub use openapi::openapi;
pub use request::room::BodyRoom;
pub use router::router;
pub use single_sign_on::{Assertion, GroupRole, NotAsserted, Provider, Secrets, SingleSignOn};

/// What the API works with.
pub struct ApiState {
    pub store: Store,
    pub dispatch: Dispatch,
    pub builder: Arc<dyn Builder>,
    /// The kinds of trigger that there are.
    pub kinds: Kinds,
    pub clock: Arc<dyn Clock>,
    pub options: ApiOptions,
    pub downloads: Arc<dyn Downloads>,
    pub metrics: PrometheusHandle,
    /// Somebody must [`run`](Denials::run) them.
    pub denials: Arc<Denials>,
    /// Somebody must wait until they [have ended](Endings::finish), as long as the store is there.
    pub endings: Arc<Endings>,
    /// None: people log in with passwords alone.
    pub single_sign_on: Option<SingleSignOn>,
}

/// Bytes of a request's body: arguments of the default limit (8 MiB) and a margin for what is around them.
pub const BODY_BYTES_MAX: usize = 8 * 1024 * 1024 + 64 * 1024;
/// Bytes of an uploaded component.
pub const COMPONENT_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Requests to the API in a second from one address: far more than programs of one user send, and few enough that others are answered.
pub const REQUESTS_PER_S_MAX: u32 = 2_000;
/// Requests to endpoints of kinds in a second from one address: more than a machine of a few cores executes. What they start has limits of its
/// own, where its workspace has any.
pub const ENDPOINT_REQUESTS_PER_S_MAX: u32 = 50_000;
/// How long a caller waits for a result before it is told where to look for it.
pub const WAIT_LIMIT: Duration = Duration::from_secs(20);

#[derive(Clone, Debug)]
pub struct ApiOptions {
    pub body_bytes_max: usize,
    pub component_bytes_max: usize,
    /// For bodies that are under way.
    pub body_room: BodyRoom,
    pub wait_limit: Duration,
    pub metrics: MetricsAccess,
    /// None: everything is at every host name.
    pub routes_host: Option<RoutesHost>,
    /// Requests to the API in a second from one address; 0: as many as come.
    pub requests_per_s_max: u32,
    /// Requests to endpoints of kinds in a second from one address; 0: as many as come.
    pub endpoint_requests_per_s_max: u32,
}

impl Default for ApiOptions {
    fn default() -> Self {
        Self {
            body_bytes_max: BODY_BYTES_MAX,
            component_bytes_max: COMPONENT_BYTES_MAX,
            body_room: BodyRoom::default(),
            wait_limit: WAIT_LIMIT,
            metrics: MetricsAccess::Token,
            routes_host: None,
            requests_per_s_max: REQUESTS_PER_S_MAX,
            endpoint_requests_per_s_max: ENDPOINT_REQUESTS_PER_S_MAX,
        }
    }
}

/// Who may read `/metrics`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricsAccess {
    /// Holders of a token of the installation.
    Token,
    /// Everybody who can reach the port.
    Public,
}

/// In what form a version is downloaded as a component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DownloadForm {
    /// As it runs here: it imports the interfaces of this host.
    Snapshot,
    /// Imports that it does not need are replaced, so that another host can run it.
    Standalone,
}

/// Makes components of versions, for download.
pub trait Downloads: Send + Sync + 'static {
    fn component(&self, workspace: WorkspaceId, version: Version, form: DownloadForm) -> BoxFuture<'_, Result<Bytes, Refusal>>;
}
