//! Logs, traces and metrics of the process.

use std::{io::IsTerminal, time::Duration};

use anyhow::Context;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::{
    Resource,
    trace::{Sampler, SdkTracerProvider},
};
use tokio_util::sync::CancellationToken;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{EnvFilter, Layer, Registry, filter::Targets, layer::SubscriberExt, util::SubscriberInitExt};

use crate::options::{LogFormat, ServeOptions};

/// Upper bounds of the histograms' buckets, in seconds.
const BUCKETS_SECONDS: [f64; 14] = [0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 10.0, 60.0];

/// How often samples are folded into their buckets.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(1);

/// Ends the export of traces when it is dropped.
pub(crate) struct Telemetry {
    traces: Option<SdkTracerProvider>,
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        if let Some(traces) = self.traces.take()
            && let Err(error) = traces.shutdown()
        {
            eprintln!("sandmill: traces could not be sent: {error}");
        }
    }
}

/// Sets up logging and, if asked, the export of traces.
pub(crate) fn start(options: &ServeOptions) -> anyhow::Result<Telemetry> {
    let filter = EnvFilter::try_new(&options.log).with_context(|| format!("--log {:?} is not a filter", options.log))?;
    let logs = match options.log_format {
        LogFormat::Pretty => {
            tracing_subscriber::fmt::layer().with_ansi(std::io::stderr().is_terminal()).with_writer(std::io::stderr).boxed()
        }
        LogFormat::Json => tracing_subscriber::fmt::layer().json().flatten_event(true).with_writer(std::io::stderr).boxed(),
    };
    let traces = options.otlp_endpoint.as_deref().map(exporter).transpose()?;
    let mut layers: Vec<Box<dyn Layer<Registry> + Send + Sync>> = vec![logs.with_filter(filter).boxed()];
    if let Some(traces) = &traces {
        // Not by the filter of the log: whoever asks for traces wants the spans, whose level is below what is logged.
        let spans = Targets::new().with_target("sandmill", LevelFilter::DEBUG);
        layers.push(tracing_opentelemetry::layer().with_tracer(traces.tracer("sandmill")).with_filter(spans).boxed());
    }
    tracing_subscriber::registry().with(layers).try_init().context("logging is set up already")?;
    Ok(Telemetry { traces })
}

fn exporter(endpoint: &str) -> anyhow::Result<SdkTracerProvider> {
    let exporter =
        SpanExporter::builder().with_http().with_endpoint(endpoint).build().with_context(|| format!("--otlp-endpoint {endpoint}"))?;
    // Not as the caller's `traceparent` says: whoever is traced does not choose it.
    let resource = Resource::builder().with_service_name("sandmill").build();
    Ok(SdkTracerProvider::builder().with_sampler(Sampler::AlwaysOn).with_batch_exporter(exporter).with_resource(resource).build())
}

/// The registry behind `/metrics`.
pub(crate) fn metrics() -> anyhow::Result<PrometheusHandle> {
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &BUCKETS_SECONDS)?
        .install_recorder()
        .context("metrics are set up already")
}

/// Samples of histograms pile up until somebody folds them into buckets: done here, whether anybody scrapes or not.
pub(crate) async fn keep_metrics_small(metrics: PrometheusHandle, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(UPKEEP_INTERVAL);
    loop {
        tokio::select! {
            _ = ticks.tick() => metrics.run_upkeep(),
            () = stop.cancelled() => return,
        }
    }
}
