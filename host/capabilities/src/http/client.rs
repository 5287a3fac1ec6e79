//! Clients: one for each workspace, with connections of its own.

use std::{
    collections::HashMap,
    pin::pin,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client, connect::capture_connection},
    rt::{TokioExecutor, TokioTimer},
};
use rustls::ClientConfig;
use sandmill_model::{
    WorkspaceId,
    trigger::{Network, Nowhere},
};
use tokio::{
    sync::Semaphore,
    time::{sleep, sleep_until},
};

use super::{
    addresses::AddressPolicy,
    api::{self, ApiPort},
    body::{Activity, UpBody},
    connect::{Connector, Dial, Places, Wanted},
    fault::Fault,
    limits::{
        API_CONNECTIONS_MAX, API_CONNECTIONS_OF_ALL_MAX, CLIENTS_MAX, CONNECTION_WINDOW_BYTES, HttpLimits, IDLE_CONNECTION,
        IDLE_CONNECTIONS_PER_ORIGIN, WAIT_FOR_CONNECTION, WINDOW_BYTES,
    },
    network::Brokers,
    resolve::{Resolver, SystemResolver},
    stand_in::StandIn,
    tls::{self, InvalidAuthorities},
    traffic::{TrafficPort, Uncounted},
};

pub struct OutboundOptions {
    pub policy: AddressPolicy,
    /// Certificates, as PEM, that are trusted beside Mozilla's.
    pub authorities: Option<Vec<u8>>,
    pub limits: HttpLimits,
    pub resolver: Arc<dyn Resolver>,
    /// None outside of tests of scripts.
    pub stand_in: Option<StandIn>,
    pub traffic: Arc<dyn TrafficPort>,
}

impl Default for OutboundOptions {
    fn default() -> Self {
        Self {
            policy: AddressPolicy::default(),
            authorities: None,
            limits: HttpLimits::default(),
            resolver: Arc::new(SystemResolver),
            stand_in: None,
            traffic: Arc::new(Uncounted),
        }
    }
}

/// Outbound HTTP of a node.
pub struct Outbound {
    policy: AddressPolicy,
    resolver: Arc<dyn Resolver>,
    tls: ClientConfig,
    limits: HttpLimits,
    stand_in: Option<StandIn>,
    pub(crate) traffic: Arc<dyn TrafficPort>,
    brokers: Arc<dyn Network>,
    api: OnceLock<Arc<dyn ApiPort>>,
    /// Connections to the API that no workspace has.
    api_connections: Arc<Semaphore>,
    clients: Mutex<HashMap<WorkspaceId, Kept>>,
}

struct Kept {
    client: Arc<WorkspaceClient>,
    used: Instant,
}

impl Outbound {
    /// # Errors
    /// What is wrong with the operator's certificates.
    pub fn new(options: OutboundOptions) -> Result<Self, InvalidAuthorities> {
        let OutboundOptions { policy, authorities, limits, resolver, stand_in, traffic } = options;
        let tls = tls::config(authorities.as_deref())?;
        let api_connections = Arc::new(Semaphore::new(API_CONNECTIONS_OF_ALL_MAX));
        let brokers: Arc<dyn Network> = match stand_in {
            // In tests of scripts nothing but the stand-in is reached.
            Some(_) => Nowhere::shared(),
            None => Arc::new(Brokers::new(policy.clone(), Arc::clone(&resolver), authorities.as_deref())),
        };
        let (api, clients) = (OnceLock::new(), Mutex::default());
        Ok(Self { policy, resolver, tls, limits, stand_in, traffic, brokers, api, api_connections, clients })
    }

    /// What trigger kinds may reach: what requests of scripts may.
    #[must_use]
    pub fn brokers(&self) -> Arc<dyn Network> {
        Arc::clone(&self.brokers)
    }

    /// From now on runs reach the API. It is said once the node listens; only the first who says so is heard.
    pub fn reach_api(&self, port: Arc<dyn ApiPort>) {
        let _ = self.api.set(port);
    }

    /// None: there is no API here, and its name is one like others.
    pub(super) fn api(&self) -> Option<&Arc<dyn ApiPort>> {
        self.api.get()
    }

    #[must_use]
    pub fn limits(&self) -> &HttpLimits {
        &self.limits
    }

    /// The workspace's own; none if the node has as many as it may, all in use.
    pub(super) fn client(&self, workspace: WorkspaceId) -> Option<Arc<WorkspaceClient>> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let used = Instant::now();
        if let Some(kept) = clients.get_mut(&workspace) {
            kept.used = used;
            return Some(Arc::clone(&kept.client));
        }
        if clients.len() >= CLIENTS_MAX {
            // Whoever has a request under way holds its client.
            let idle = clients.iter().filter(|(_, kept)| Arc::strong_count(&kept.client) == 1);
            let oldest = idle.min_by_key(|(_, kept)| kept.used).map(|(workspace, _)| *workspace)?;
            clients.remove(&oldest);
        }
        let client = Arc::new(WorkspaceClient::new(self));
        clients.insert(workspace, Kept { client: Arc::clone(&client), used });
        Some(client)
    }
}

pub(super) struct WorkspaceClient {
    client: Client<Connector, UpBody>,
    /// For this node's own API, and nothing else.
    api: Client<Connector, UpBody>,
    pub(super) requests: Arc<Semaphore>,
}

/// Where a request goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    World,
    Api,
}

/// How long a request may take where.
pub(super) struct Timeouts {
    pub(super) connect: Duration,
    pub(super) first_byte: Duration,
}

impl WorkspaceClient {
    fn new(outbound: &Outbound) -> Self {
        let limits = &outbound.limits;
        let of_world = Places::new(limits.connections_per_workspace, None);
        let of_api = Places::new(limits.connections_per_workspace.min(API_CONNECTIONS_MAX), Some(Arc::clone(&outbound.api_connections)));
        Self {
            client: Self::client(outbound, outbound.policy.clone(), outbound.stand_in, of_world),
            api: Self::client(outbound, api::policy(), None, of_api),
            requests: Arc::new(Semaphore::new(limits.requests_per_workspace)),
        }
    }

    fn client(outbound: &Outbound, policy: AddressPolicy, stand_in: Option<StandIn>, connections: Places) -> Client<Connector, UpBody> {
        let limits = &outbound.limits;
        let dial = Dial::new(policy, Arc::clone(&outbound.resolver), limits.connect);
        let connector = Connector::new(dial, outbound.tls.clone(), stand_in, connections);
        let header_bytes = u32::try_from(limits.response_header_bytes).unwrap_or(u32::MAX);
        Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_CONNECTION)
            .pool_max_idle_per_host(IDLE_CONNECTIONS_PER_ORIGIN)
            .http1_max_buf_size(limits.response_header_bytes)
            .http2_max_header_list_size(header_bytes)
            .http2_initial_stream_window_size(WINDOW_BYTES)
            .http2_initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .build(connector)
    }

    /// The answer's head; its body is still to come.
    pub(super) async fn send(&self, mut request: Request<UpBody>, timeouts: Timeouts, reach: Reach) -> Result<Response<Incoming>, Fault> {
        let client = match reach {
            Reach::World => &self.client,
            Reach::Api => &self.api,
        };
        let activity = Arc::clone(&request.body().activity);
        let host = request.uri().host().unwrap_or_default().to_owned();
        let mut connection = capture_connection(&mut request);
        let wanted = Wanted::default();
        let waiting = wanted.guard();
        let mut response = pin!(wanted.scope(client.request(request)));
        tokio::select! {
            biased;
            answer = &mut response => return answer.map_err(|error| Fault::of(&error)),
            _ = connection.wait_for_connection_metadata() => {}
            () = sleep(timeouts.connect) => return Err(Fault::ConnectTimeout(host)),
        }
        drop(waiting);
        activity.note();
        loop {
            let due = activity.last() + timeouts.first_byte;
            tokio::select! {
                biased;
                answer = &mut response => return answer.map_err(|error| Fault::of(&error)),
                () = sleep_until(due.into()) => {
                    if is_over(&activity, timeouts.first_byte) {
                        return Err(Fault::FirstByte(timeouts.first_byte));
                    }
                }
            }
        }
    }
}

impl Timeouts {
    /// What the guest asks for, if it is less.
    pub(super) fn of(limits: &HttpLimits, connect: Option<Duration>, first_byte: Option<Duration>) -> Self {
        let most = limits.connect + WAIT_FOR_CONNECTION;
        Self { connect: connect.unwrap_or(most).min(most), first_byte: first_byte.unwrap_or(limits.first_byte).min(limits.first_byte) }
    }
}

fn is_over(activity: &Activity, limit: Duration) -> bool {
    activity.last() + limit <= Instant::now()
}
