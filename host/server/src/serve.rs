//! `sandmill serve`.

use std::{net::Ipv4Addr, sync::Arc, time::Duration};

use anyhow::Context;
use sandmill_api::{ApiOptions, ApiState, Endings, Proxies};
use sandmill_model::{Clock, SystemClock};
use sandmill_store::{Store, removal, seal::Sealing, token_upkeep, upkeep};
use tokio::{net::TcpListener, signal::unix::SignalKind, task::JoinHandle, time::Instant};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    bootstrap, listen,
    node::{self, Node, NodeOptions},
    options::{Durability, ServeOptions, Wasi},
    ports::OwnApi,
    telemetry,
    tls::Certificates,
};

/// How long open connections may take to finish once the server shuts down.
const CONNECTIONS_DRAIN: Duration = Duration::from_secs(25);

/// How long requests of runs may take to finish once runs have ended, or were given up. It is part of the next.
const OF_RUNS_DRAIN: Duration = Duration::from_secs(1);

/// How long changes may then go on of those whose callers have gone.
const ENDINGS_DRAIN: Duration = Duration::from_secs(5);

/// Polls of tasks between two looks at what has arrived. A poll may execute a run, so with tokio's 61 a request would wait for as many.
const POLLS_PER_LOOK: u32 = 8;
/// How long work on other threads may go on when all else has ended.
const STRAGGLERS_LIMIT: Duration = Duration::from_secs(2);
/// Connections of runs to the API of their node; their side keeps each workspace from taking more than is left free of as many.
const RUNS_CONNECTIONS_MAX: usize = 1_000;

pub(crate) fn serve(options: ServeOptions) -> anyhow::Result<()> {
    let telemetry = telemetry::start(&options)?;
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.enable_all().event_interval(POLLS_PER_LOOK).build().context("the runtime cannot be started")?;
    let result = runtime.block_on(run(options));
    // A thread that does not come back is left behind, and the end of the process is its end.
    runtime.shutdown_timeout(STRAGGLERS_LIMIT);
    drop(telemetry);
    result
}

async fn run(options: ServeOptions) -> anyhow::Result<()> {
    let certificates = match options.network.tls() {
        Some(files) => Some(Certificates::load(files).await?),
        None => None,
    };
    let connections = connections(&options, certificates.as_ref())?;
    let single_sign_on = options.oidc.single_sign_on()?;
    bootstrap::data_folder(&options.places.data)?;
    let metrics = telemetry::metrics()?;
    let named = options.node.as_deref().map(|name| Ok(name.into()));
    let name = named.unwrap_or_else(|| bootstrap::node_name(&options.places.data))?;
    let node = Node::compose(node_options(&options, Arc::clone(&name))?).await?;
    bootstrap::first_start(&node.store, &options.places.data, options.admin_token.as_deref(), node.clock.as_ref()).await?;
    node.runner.warm_up().await.map_err(anyhow::Error::msg).context("the language runtimes cannot be made ready")?;

    let listener = TcpListener::bind(options.listen).await.with_context(|| format!("cannot listen on {}", options.listen))?;
    let address = listener.local_addr().context("the listening address is not known")?;
    let api = ApiState { single_sign_on, ..node.api(api_options(&options), metrics.clone()) };
    let (denials, endings) = (Arc::clone(&api.denials), Arc::clone(&api.endings));
    let router = sandmill_api::router(api);
    let (of_runs, from_runs) = for_runs(&node, connections.limits).await?;
    let shutdown = CancellationToken::new();
    let tasks = TaskTracker::new();
    let (stop_service, stop_runs, stop_denials) = (CancellationToken::new(), CancellationToken::new(), CancellationToken::new());
    let dispatch = node.dispatch.clone();
    tasks.spawn({
        let shutdown = shutdown.clone();
        async move {
            shutdown.cancelled().await;
            // Whoever follows a run goes on elsewhere; else connections would stay open as long as runs do.
            dispatch.drain();
        }
    });
    let service = tasks.spawn(node.service.run(stop_service.clone()));
    // Listeners end while connections drain; what they have in flight becomes durable as long as dispatch works.
    let supervisor = tasks.spawn(node.dispatch.supervisor().run(shutdown.clone()));
    let objects = Arc::clone(&node.kept);
    let removal = removal::Service::new(node.store.clone(), Arc::clone(&node.clock), Arc::clone(&name), node.kept);
    let removal = tasks.spawn(removal.run(shutdown.clone()));
    let upkeep = upkeep::Options { node: name, retention_days: options.retention_days, audit_days: options.audit_days };
    let upkeep = upkeep::Service::new(node.store.clone(), Arc::clone(&node.clock), upkeep).measuring(objects);
    let upkeep = tasks.spawn(upkeep.run(shutdown.clone()));
    let tokens = tasks.spawn(token_upkeep::Service::new(node.store.clone(), Arc::clone(&node.clock)).run(shutdown.clone()));
    let denials = tasks.spawn({
        let (store, clock, stop) = (node.store.clone(), Arc::clone(&node.clock), stop_denials.clone());
        async move { denials.run(&store, clock.as_ref(), stop.cancelled()).await }
    });
    tasks.spawn(stop_on_signal(shutdown.clone()));
    tasks.spawn(reload_on_signal(node.store.clone(), shutdown.clone()));
    tasks.spawn(telemetry::keep_metrics_small(metrics.clone(), shutdown.clone()));

    let scheme = if certificates.is_some() { "https" } else { "http" };
    if let Some(certificates) = certificates {
        tasks.spawn(certificates.follow(shutdown.clone()));
    }

    tracing::info!("listening on {scheme}://{address}");
    let of_runs = tasks.spawn(listen::serve(of_runs, router.clone(), from_runs, stop_runs.clone()));
    until_drained(listen::serve(listener, router, connections, shutdown.clone()), &shutdown).await;
    tracing::info!("shutting down");
    supervisor.await.context("the listeners of triggers ended badly")?;
    stop_service.cancel();
    service.await.context("dispatch ended badly")?;
    // Runs that were under way may have called the API until now.
    stop_runs.cancel();
    ended(of_runs, &endings).await;
    stop_denials.cancel();
    upkeep.await.context("upkeep ended badly")?;
    tokens.await.context("upkeep of tokens ended badly")?;
    denials.await.context("the count of what was denied ended badly")?;
    removal.await.context("the deletion of workspaces ended badly")?;
    node.store.health.close().await;
    Ok(())
}

/// How runs that execute here reach the API: on loopback, at a port that nobody else is told of. So it makes no difference to them whether
/// others come by TLS, or through proxies.
async fn for_runs(node: &Node, limits: listen::Limits) -> anyhow::Result<(TcpListener, listen::Options)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("cannot listen on loopback for the API of runs")?;
    let address = listener.local_addr().context("the listening address of the API of runs is not known")?;
    node.outbound.reach_api(Arc::new(OwnApi { live: node.live.clone(), address }));
    let connections_max = limits.connections_max.min(RUNS_CONNECTIONS_MAX);
    // All of them come from one address.
    let limits = listen::Limits { connections_max, of_a_peer_max: connections_max, ..limits };
    Ok((listener, listen::Options { limits, tls: None, proxies: Proxies::default() }))
}

fn api_options(options: &ServeOptions) -> ApiOptions {
    ApiOptions {
        wait_limit: Duration::from_millis(options.wait_limit_ms),
        routes_host: options.network.routes_host.clone(),
        requests_per_s_max: options.network.requests_per_s_max,
        endpoint_requests_per_s_max: options.network.endpoint_requests_per_s_max,
        ..ApiOptions::default()
    }
}

/// How connections are taken.
fn connections(options: &ServeOptions, certificates: Option<&Arc<Certificates>>) -> anyhow::Result<listen::Options> {
    let connections_max = listen::connections_max(options.connections_max, listen::raise())?;
    let limits = listen::Limits {
        connections_max,
        of_a_peer_max: listen::of_a_peer_max(options.network.connections_per_address_max, connections_max),
        receive: Duration::from_millis(options.receive_timeout_ms),
        send: Duration::from_millis(options.send_timeout_ms),
        idle: Duration::from_millis(options.idle_timeout_ms),
    };
    Ok(listen::Options { limits, tls: certificates.map(Certificates::config).transpose()?, proxies: options.network.proxies() })
}

/// What the node is made of.
fn node_options(options: &ServeOptions, name: Arc<str>) -> anyhow::Result<NodeOptions> {
    let blobs = options.places.blob.place(&options.places.data)?;
    Ok(NodeOptions {
        name,
        role: options.role,
        tags: options.tags.clone(),
        backlog_max: options.backlog_max,
        store: sandmill_store::Options {
            url: options.places.database_url(),
            durability: match options.durability {
                Durability::Normal => sandmill_store::Durability::Normal,
                Durability::Full => sandmill_store::Durability::Full,
            },
        },
        objects: Some(options.objects(&blobs).context("large results")?),
        sealing: Some(Sealing {
            source: bootstrap::key_source(&options.places.data, options.instance_key_file.as_deref()),
            now: SystemClock.now(),
        }),
        data: options.places.data.clone(),
        blobs,
        code_cache: node::code_cache(&options.places.data),
        code_cache_bytes_max: node::mib(options.code_cache_mib),
        slots: options.slots,
        guest_memory_bytes_max: options.guest_memory_mib.map(node::mib),
        workspace_memory_bytes_max: options.workspace_memory_mib.map(node::mib),
        snapshot_after_runs: options.snapshot_after_runs,
        shares_code: false,
        runs_async: options.wasi == Wasi::V0_3,
        outbound: crate::outbound::options(&options.outbound)?,
    })
}

/// SIGHUP: the instance keys may have changed.
async fn reload_on_signal(store: Store, shutdown: CancellationToken) {
    let Ok(mut hangup) = tokio::signal::unix::signal(SignalKind::hangup()) else {
        tracing::error!("SIGHUP cannot be heard; restart the server after a change of its instance keys");
        return;
    };
    loop {
        tokio::select! {
            _ = hangup.recv() => {}
            () = shutdown.cancelled() => return,
        }
        match store.keys.reload().await {
            Ok(id) => tracing::info!(id, "the instance keys were read again"),
            Err(error) => tracing::error!(%error, "the instance keys cannot be read again; those of before stay in use"),
        }
    }
}

/// Serves until `shutdown` and until all connections have ended, or have had their time.
async fn until_drained(service: impl Future<Output = ()>, shutdown: &CancellationToken) {
    let drained = async {
        shutdown.cancelled().await;
        tokio::time::sleep(CONNECTIONS_DRAIN).await;
    };
    tokio::select! {
        () = service => {}
        () = drained => tracing::warn!("closing connections that are still open"),
    }
}

/// Waits for what runs asked last and for changes whose callers have gone. What has not ended by then is in the audit log as what it is: of an
/// unknown end.
async fn ended(of_runs: JoinHandle<()>, endings: &Endings) {
    let deadline = Instant::now() + ENDINGS_DRAIN;
    if tokio::time::timeout(OF_RUNS_DRAIN, of_runs).await.is_err() {
        tracing::warn!("closing connections of runs that have not ended");
    }
    if tokio::time::timeout_at(deadline, endings.finish()).await.is_err() {
        tracing::warn!("changes are still under way whose callers have gone; they break off");
    }
}

async fn stop_on_signal(shutdown: CancellationToken) {
    let signals = (tokio::signal::unix::signal(SignalKind::terminate()), tokio::signal::unix::signal(SignalKind::interrupt()));
    let (Ok(mut terminate), Ok(mut interrupt)) = signals else {
        tracing::error!("signals cannot be heard; stop the server with SIGKILL");
        return;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    shutdown.cancel();
    // A second signal means: now.
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    std::process::exit(130);
}
