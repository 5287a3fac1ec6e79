//! The store, who shares it, and what is compared.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use sandmill_model::{RunId, Timestamp, WorkspaceId};
use sandmill_store::{Store, history::RunFilter};

use super::{
    model::{Model, Place},
    nodes::Node,
    observed::Observed,
    random::Random,
};
use crate::fixture::{Database, LEASE, workspace};

pub(super) const NODES: usize = 4;
/// Runs of the first workspace that may execute at once; the other has no limit.
const RUNNING_MAX: u32 = 4;
pub(super) const UNLIMITED: usize = 1;
/// Steps whose names a failure shows.
const TRACE_LINES: usize = 40;

pub(super) struct World {
    pub(super) seed: u64,
    pub(super) random: Random,
    pub(super) now: Timestamp,
    pub(super) database: Database,
    pub(super) store: Store,
    pub(super) model: Model,
    pub(super) observed: Observed,
    pub(super) nodes: Vec<Node>,
    pub(super) workspaces: [WorkspaceId; 2],
    /// Every run that was accepted.
    pub(super) accepted: Vec<RunId>,
    pub(super) trace: VecDeque<String>,
}

/// Says which seed it was when the test fails.
impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for line in &self.trace {
                eprintln!("{line}");
            }
            eprintln!("the seed is {0}: SANDMILL_SIMULATE={0} shows it again", self.seed);
        }
    }
}

impl World {
    pub(super) async fn new(seed: u64, database: Database) -> Self {
        let store = database.open().await;
        let node = |index: usize| Node {
            name: format!("node {index}"),
            tags: if index.is_multiple_of(2) { vec!["".into(), "gpu".into()] } else { vec!["".into()] },
            life: None,
            working: Vec::new(),
            unsure: None,
            is_asleep: false,
        };
        let now = Timestamp::from_micros(1_800_000_000_000_000);
        let workspaces = [workspace(), workspace()];
        store.workspaces.ensure(workspaces[0], "limited", now).await.unwrap();
        let settings = serde_json::json!({"running_runs_max": RUNNING_MAX}).as_object().unwrap().clone();
        store.workspaces.set(workspaces[0], settings).await.unwrap().unwrap();
        let mut observed = Observed::default();
        observed.running_max.insert(workspaces[0], RUNNING_MAX);
        Self {
            seed,
            random: Random::new(seed),
            now,
            database,
            store,
            model: Model::default(),
            observed,
            nodes: (0..NODES).map(node).collect(),
            workspaces,
            accepted: Vec::new(),
            trace: VecDeque::new(),
        }
    }

    pub(super) fn tell(&mut self, line: String) {
        self.trace.push_back(format!("{} {line}", self.now));
        if self.trace.len() > TRACE_LINES {
            self.trace.pop_front();
        }
    }

    pub(super) fn pass(&mut self, at_most: Duration) {
        let micros = self.random.below(usize::try_from(at_most.as_micros()).unwrap()) as u64 + 1;
        self.now = self.now.plus(Duration::from_micros(micros));
    }

    pub(super) async fn step(&mut self) {
        self.pass(Duration::from_millis(200));
        let node = self.random.below(NODES);
        match self.random.below(100) {
            0..17 => self.accept().await,
            17..22 => self.begin(node).await,
            22..44 => self.claim(node).await,
            44..68 => self.complete(node).await,
            68..77 => self.beat().await,
            77..81 => self.bury().await,
            81..88 => self.wake().await,
            88..92 => self.cancel().await,
            92..94 => self.adopt(node).await,
            94 => self.crash(node),
            95 => self.leave(node).await,
            96..98 => self.sleep_or_wake(node),
            98 => self.forget().await,
            _ => self.reopen().await,
        }
    }

    async fn reopen(&mut self) {
        self.tell("the store is opened anew".to_owned());
        self.store.health.close().await;
        self.store = self.database.open().await;
    }

    /// Every run is where the model has it, once; as many hold each key as it says.
    pub(super) async fn compare(&self) {
        for of in self.workspaces {
            let found = self.store.history.list(of, &RunFilter::default(), None, u32::MAX >> 1).await.unwrap();
            let found: Vec<_> = found.runs.iter().rev().map(|run| (run.id, run.status, run.outcome, run.attempt)).collect();
            let runs = self.model.runs.values().filter(|run| run.new.workspace == of);
            let expected: Vec<_> = runs
                .map(|run| {
                    let (status, outcome) = run.status();
                    (run.new.id, status, outcome, run.attempt)
                })
                .collect();
            assert_eq!(found, expected, "runs of {of}");
        }
        let held: BTreeMap<(WorkspaceId, String), usize> = self.database.held().await.into_iter().collect();
        assert_eq!(held, self.model.held(), "keys and how many hold each");
    }

    /// All nodes die; one that lives brings everything to its end.
    pub(super) async fn drain(mut self) {
        (0..NODES).for_each(|index| self.crash(index));
        while self.model.runs.values().any(|run| !matches!(run.place, Place::Ended(_))) {
            self.pass(LEASE / 8);
            if let Some(due) = self.model.next_due() {
                self.now = self.now.max(due);
            }
            self.beat().await;
            self.bury().await;
            self.wake().await;
            self.claim(0).await;
            while !self.nodes[0].working.is_empty() {
                self.complete(0).await;
            }
        }
        self.compare().await;
        assert!(self.model.held().is_empty(), "nothing is held when nothing is left");
        for run in &self.accepted {
            let kind = self.observed.ended.get(run);
            assert_eq!(self.model.runs[run].place, Place::Ended(*kind.expect("it ended")), "{run}");
        }
        for of in self.workspaces {
            assert_eq!(self.store.queue.length(of, u64::MAX).await.unwrap(), 0);
        }
        self.tell("drained".to_owned());
    }
}
