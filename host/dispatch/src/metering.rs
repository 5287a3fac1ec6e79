//! Counting what was executed.

use std::collections::HashMap;

use metrics::{Counter, Histogram};
use sandmill_model::{Outcome, OutcomeKind};

/// Handles that are looked up once.
pub(crate) struct Metrics {
    outcomes: HashMap<OutcomeKind, Counter>,
    wall: Histogram,
    fuel: Counter,
    /// Entries of logs that were written before their runs' ends.
    pub(crate) live_log: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        metrics::describe_counter!("sandmill_attempts_total", "Attempts that ended, by outcome");
        metrics::describe_histogram!("sandmill_attempt_seconds", metrics::Unit::Seconds, "Wall time of attempts");
        metrics::describe_counter!("sandmill_fuel_total", "Fuel that attempts used");
        metrics::describe_counter!("sandmill_live_log_entries_total", "Entries of logs that were written while their runs went on");
        metrics::describe_counter!("sandmill_trigger_events_total", "Events of triggers, by kind and by what became of them");
        metrics::describe_gauge!("sandmill_followers", "Streams of events that are open");
        Self {
            outcomes: OutcomeKind::ALL
                .into_iter()
                .map(|kind| (kind, metrics::counter!("sandmill_attempts_total", "outcome" => kind.name())))
                .collect(),
            wall: metrics::histogram!("sandmill_attempt_seconds"),
            fuel: metrics::counter!("sandmill_fuel_total"),
            live_log: metrics::counter!("sandmill_live_log_entries_total"),
        }
    }
}

impl Metrics {
    pub(crate) fn record(&self, outcome: &Outcome) {
        if let Some(counter) = self.outcomes.get(&outcome.kind) {
            counter.increment(1);
        }
        #[expect(clippy::cast_precision_loss, reason = "a histogram of seconds")]
        self.wall.record(outcome.usage.wall_ns as f64 / 1e9);
        self.fuel.increment(outcome.usage.fuel);
    }
}
