//! A clock, each second.

use std::time::Duration;

use sandmill_testkit::server::Server;
use serde_json::{Value, json};

use super::rig::{Carries, Rig, conforms};
use crate::shared::micros;

const SECOND: i64 = 1_000_000;

struct Schedule;

impl Rig for Schedule {
    const KIND: &'static str = "schedule";
    const CARRIES: Carries = Carries::Nothing;
    const BURST: usize = 6;
    const PATIENCE: Duration = Duration::from_secs(90);

    async fn start() -> Option<Self> {
        Some(Self)
    }

    async fn config(&self, _server: &Server, _name: &str) -> Value {
        json!({"cron": "* * * * * *", "time_zone": "UTC"})
    }

    fn wrong(&self) -> (Value, &'static str) {
        (json!({"cron": "61 * * * * *", "time_zone": "UTC"}), "cron")
    }

    /// Time passes by itself.
    async fn send(&self, _server: &Server, _name: &str, _payloads: &[Vec<u8>]) -> Vec<Vec<u8>> {
        Vec::new()
    }

    /// Whole seconds, none of them twice.
    fn hold(runs: &[Value], sent: &[Vec<u8>]) {
        let instant =
            |run: &Value| micros(run["arguments"]["event"]["scheduled_for"].as_str().unwrap_or_else(|| panic!("no instant: {run}")));
        let mut instants: Vec<i64> = runs.iter().map(instant).collect();
        instants.sort_unstable();
        assert!(instants.len() >= sent.len().min(1), "{runs:?}");
        assert!(instants.iter().all(|instant| instant % SECOND == 0), "{instants:?}");
        assert!(instants.windows(2).all(|pair| pair[0] < pair[1]), "an instant is there twice: {instants:?}");
    }
}

// It is sent nothing that could be too large or altered, and it listens to nothing that could go away.
conforms!(
    Schedule: delivers_one, delivers_a_burst, knows_a_repetition_after_a_restart, acknowledges_only_what_is_durable,
    says_what_is_wrong_with_its_config, stops_in_time, says_where_it_comes_from, is_listened_to_by_one_node, is_fenced_where_it_slept,
    tells_what_a_probe_finds,
);
