//! What clients ask for.

use std::{sync::Arc, time::Duration};

use sandmill_model::{
    Digest, OutcomeKind, Policy, RunId,
    policy::{Backoff, Key, Retry},
    rate::Rate,
    run::{Dedup, NewRun},
};
use sandmill_store::queue::{Cancelled, Enqueued};

use super::{observed::ORDER, world::World};
use crate::fixture::new_run;

impl World {
    /// A client asks for runs, at times with a key that it or another has used before.
    pub(super) async fn accept(&mut self) {
        let count = 1 + self.random.below(4);
        let mut runs = Vec::new();
        for _ in 0..count {
            self.pass(Duration::from_millis(1));
            runs.push(self.run());
        }
        self.tell(format!("accept {:?}", runs.iter().map(|run| run.id).collect::<Vec<_>>()));
        let answers = self.store.queue.enqueue(runs.clone()).await.unwrap();
        assert_eq!(answers, self.model.enqueue(&runs), "enqueue");
        for (run, _) in runs.iter().zip(answers).filter(|(_, answer)| *answer == Enqueued::New) {
            self.observed.accepted(run);
            self.accepted.push(run.id);
        }
    }

    pub(super) fn run(&mut self) -> NewRun {
        let random = &mut self.random;
        let mut keys = Vec::new();
        if random.percent(50) {
            keys.push(Key { name: format!("{ORDER} {}", random.below(3)), limit: 1 });
        }
        if random.percent(30) {
            keys.push(Key { name: "limit".to_owned(), limit: 2 });
        }
        let mut rates = Vec::new();
        if random.percent(25) {
            rates.push(Rate { name: "rate".to_owned(), interval_us: 900_000, burst: 2 });
        }
        if random.percent(10) {
            rates.push(Rate { name: "another rate".to_owned(), interval_us: 2_000_000, burst: 1 });
        }
        let retry = random.percent(40).then(|| Retry {
            attempts: 3,
            delay_ms: 300,
            backoff: Backoff::Exponential,
            delay_max_ms: 1000,
            jitter_percent: 20,
            outcomes: vec![OutcomeKind::Error],
            retry_if: None,
        });
        let priority = if random.percent(20) { random.below(3) as i32 - 1 } else { 0 };
        let tag = if random.percent(15) { "gpu" } else { "" };
        let dedup = random.percent(30).then(|| Dedup {
            scope: "client".into(),
            key: format!("key {}", random.below(12)),
            fingerprint: Some(Digest::of(if random.percent(80) { b"a" } else { b"b" })),
            window: Duration::from_secs(5),
        });
        let delay = if random.percent(20) { Duration::from_micros(1 + random.below(4_000_000) as u64) } else { Duration::ZERO };
        NewRun {
            id: RunId::new(self.now),
            created_at: self.now,
            scheduled_for: self.now.plus(delay),
            policy: Arc::new(Policy { priority, tag: tag.into(), retry, keys, rates, ..Policy::default() }),
            dedup,
            ..new_run(self.workspaces[self.random.below(2)])
        }
    }

    pub(super) async fn cancel(&mut self) {
        if self.accepted.is_empty() {
            return;
        }
        // Mostly one of the last.
        let reach = if self.random.percent(80) { 12 } else { self.accepted.len() };
        let run = self.accepted[self.accepted.len() - 1 - self.random.below(reach.min(self.accepted.len()))];
        let workspace = self.model.runs[&run].new.workspace;
        let cancelled = self.store.queue.cancel(workspace, run, self.now).await.unwrap();
        self.tell(format!("cancel {run}: {cancelled:?}"));
        assert_eq!(cancelled, self.model.cancel(run, self.now), "cancel");
        if cancelled == Cancelled::AtOnce {
            self.observed.ends(run, OutcomeKind::Cancelled);
        }
        let other = self.workspaces[usize::from(workspace == self.workspaces[0])];
        assert_eq!(self.store.queue.cancel(other, run, self.now).await.unwrap(), Cancelled::TooLate, "another workspace's");
    }

    pub(super) async fn forget(&mut self) {
        let forgotten = self.store.queue.forget_dedup_keys(self.now).await.unwrap();
        assert_eq!(forgotten, self.model.forget(self.now), "forget_dedup_keys");
    }
}
