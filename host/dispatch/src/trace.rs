//! Spans of attempts. What a run starts belongs to its trace, on whichever node it executes: the run keeps the `traceparent` of the span
//! that was current when it was accepted.

use std::{collections::HashMap, sync::Arc};

use opentelemetry::propagation::TextMapPropagator;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use sandmill_model::{Outcome, RunStatus, run::NewRun};
use tracing::{Span, field};
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// Of W3C Trace Context.
pub const TRACEPARENT: &str = "traceparent";

/// Puts `span` below the span that a `traceparent` names. One that cannot be read changes nothing, as the standard has it.
pub fn go_on_from(span: &Span, traceparent: &str) {
    if span.is_disabled() {
        return;
    }
    let carrier = HashMap::from([(TRACEPARENT.to_owned(), traceparent.to_owned())]);
    // It fails if nobody traces or the span is already exported as another's: then the span stays where it is.
    let _ = span.set_parent(TraceContextPropagator::new().extract(&carrier));
}

/// The `traceparent` of the current span; none if nobody traces.
pub(crate) fn current() -> Option<Arc<str>> {
    let span = Span::current();
    if span.is_disabled() {
        return None;
    }
    let mut carrier = HashMap::new();
    TraceContextPropagator::new().inject_context(&span.context(), &mut carrier);
    carrier.remove(TRACEPARENT).map(Into::into)
}

/// The span of an attempt.
pub(crate) fn attempt(run: &NewRun, number: u32) -> Span {
    let span = tracing::debug_span!(
        "run",
        run = %run.id,
        workspace = &*run.workspace_name,
        path = run.path.as_str(),
        version = run.number,
        attempt = i64::from(number),
        outcome = field::Empty,
        "otel.status_code" = field::Empty,
    );
    if let Some(traceparent) = &run.trace {
        go_on_from(&span, traceparent);
    }
    span
}

/// How the attempt of the current span ended.
pub(crate) fn ended(outcome: &Outcome) {
    let span = Span::current();
    if span.is_disabled() {
        return;
    }
    span.record("outcome", outcome.kind.name());
    if RunStatus::after(outcome.kind) == RunStatus::Failed {
        span.record("otel.status_code", "ERROR");
    }
}
