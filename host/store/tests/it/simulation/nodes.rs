//! What virtual nodes do: claim, execute, show that they live, sleep, crash, leave.

use std::sync::Arc;

use sandmill_model::{
    OutcomeKind, RunId, Timestamp,
    run::{FinishedRun, NewRun},
};
use sandmill_store::{
    nodes::Incarnation,
    queue::{Claimed, Claims, Completion, Enqueued, Logged, Ready, Share},
};

use super::world::{NODES, UNLIMITED, World};
use crate::fixture::{LEASE, about, heads, outcome};

/// Nodes that a run may kill before it is given up; as in dispatch.
const LOST_MAX: u32 = 3;

pub(super) struct Node {
    pub(super) name: String,
    pub(super) tags: Vec<Arc<str>>,
    /// None before it has joined, and after a crash.
    pub(super) life: Option<Incarnation>,
    pub(super) working: Vec<Work>,
    /// A claim of this time was not answered.
    pub(super) unsure: Option<Timestamp>,
    /// It shows no sign of life and does nothing, and does not know it.
    pub(super) is_asleep: bool,
}

pub(super) struct Work {
    pub(super) lease: Incarnation,
    pub(super) claimed: Claimed,
    pub(super) was_told_to_end: bool,
}

impl World {
    /// The node's life; it joins if it has none. None while it sleeps.
    async fn awake(&mut self, index: usize) -> Option<Incarnation> {
        if self.nodes[index].is_asleep {
            return None;
        }
        if self.nodes[index].life.is_none() {
            let name = self.nodes[index].name.clone();
            let life = self.store.nodes.join(about(&name), self.now, LEASE).await.unwrap();
            self.tell(format!("{name} joins as {life:?}"));
            self.model.join(life, &name, self.now).into_iter().for_each(|earlier| self.observed.dies(earlier));
            self.nodes[index].life = Some(life);
            self.nodes[index].unsure = None;
        }
        self.nodes[index].life
    }

    pub(super) async fn claim(&mut self, index: usize) {
        let Some(life) = self.awake(index).await else { return };
        if let Some(from) = self.nodes[index].unsure.take() {
            self.tell(format!("{life:?} gives back what it may have got at {from}"));
            let given_back = self.store.queue.unclaim(life, from).await.unwrap();
            assert_eq!(given_back, self.model.unclaim(life, from), "unclaim");
        }
        let ready = heads(&self.store).await;
        assert_eq!(ready.iter().map(|ready| ready.head.clone()).collect::<Vec<_>>(), self.model.heads(), "heads");
        let mut shares = Vec::new();
        for Ready { head, running_max, .. } in ready {
            assert_eq!(running_max, self.observed.running_max.get(&head.workspace).copied(), "{head:?}");
            if self.nodes[index].tags.contains(&head.tag) {
                shares.push(Share { head, runs_max: u32::try_from(self.random.below(4)).unwrap(), running_max });
            }
        }
        let Claims { runs: claimed, at_limit } = self.store.queue.claim(life, self.now, shares.clone()).await.unwrap();
        self.tell(format!("{life:?} claims {:?}", claimed.iter().map(|each| each.run.id).collect::<Vec<_>>()));
        let found: Vec<_> = claimed.iter().map(|each| (each.run.id, each.attempt, each.lost, each.is_cancelled)).collect();
        assert_eq!(found, self.model.claim(life, self.now, &shares), "claim");
        for workspace in at_limit {
            let (limit, asked) = (self.observed.running_max[&workspace], shares.iter().filter(|share| share.head.workspace == workspace));
            assert!(asked.map(|share| share.runs_max).sum::<u32>() + self.model.running(workspace) >= limit, "told to be at its limit");
        }
        if self.random.percent(8) {
            self.tell("and hears no answer".to_owned());
            self.nodes[index].unsure = Some(self.now);
            return;
        }
        for claimed in claimed {
            self.observed.begins(life, &claimed, self.now);
            self.nodes[index].working.push(Work { lease: life, claimed, was_told_to_end: false });
        }
    }

    /// A node writes down what came of some of its runs, also of those that it lost while it slept.
    pub(super) async fn complete(&mut self, index: usize) {
        if self.nodes[index].is_asleep || self.nodes[index].working.is_empty() {
            return;
        }
        let mut batch: Vec<Work> = Vec::new();
        for _ in 0..=self.random.below(3) {
            let working = &mut self.nodes[index].working;
            let next = self.random.below(working.len());
            let Some(work) = working.get(next) else { break };
            // Who is handed a key would depend on which of two is freed first; that is nobody's promise.
            let keyed = |work: &Work| !work.claimed.run.policy.keys.is_empty() || !work.claimed.run.policy.rates.is_empty();
            // Nor would the answer tell which of two attempts counted.
            let same = |other: &Work| other.claimed.run.id == work.claimed.run.id;
            if batch.iter().any(|other| other.lease != work.lease || same(other) || keyed(other) && keyed(work)) {
                break;
            }
            batch.push(working.swap_remove(next));
        }
        let Some(lease) = batch.first().map(|work| work.lease) else { return };
        let completions: Vec<Completion> = batch.iter().map(|work| self.completion(work)).collect();
        let moved = self.store.queue.complete(lease, completions.clone()).await.unwrap();
        let ids = completions.iter().map(|each| (each.done.run.id, each.done.outcome.kind)).collect::<Vec<_>>();
        self.tell(format!("{lease:?} completes {ids:?}, counted {moved:?}"));
        assert_eq!(moved, self.model.complete(lease, &completions), "complete");
        for Completion { done, again_at, .. } in completions.iter().filter(|each| moved.contains(&each.done.run.id)) {
            self.observed.counted(done.run.id, again_at.is_none().then_some(done.outcome.kind));
        }
        if self.random.percent(15) {
            // It heard no answer, so it will write them once more.
            self.nodes[index].working.extend(batch);
        }
    }

    /// As dispatch decides.
    fn completion(&mut self, work: &Work) -> Completion {
        let Claimed { run, attempt, lost, is_cancelled, .. } = &work.claimed;
        let kind = if *is_cancelled || work.was_told_to_end {
            OutcomeKind::Cancelled
        } else if *lost >= LOST_MAX {
            OutcomeKind::Poisoned
        } else if self.random.percent(70) {
            OutcomeKind::Ok
        } else {
            OutcomeKind::Error
        };
        let outcome = outcome(kind);
        let chance = u16::try_from(self.random.below(65_536)).unwrap();
        let pause = run.policy.next_try(&outcome, attempt.saturating_sub(*lost), self.now, chance);
        let done = FinishedRun { run: run.clone(), attempt: *attempt, started_at: Some(self.now), ended_at: self.now, outcome };
        Completion { done, again_at: pause.map(|pause| self.now.plus(pause)), handler: None, logged: Logged::default() }
    }

    /// All who are awake show a sign of life.
    pub(super) async fn beat(&mut self) {
        for index in 0..NODES {
            let Some(life) = self.nodes[index].life.filter(|_| !self.nodes[index].is_asleep) else { continue };
            let running = self.nodes[index].working.len() as u64;
            let told = self.store.nodes.heartbeat(life, running, self.now, LEASE).await.unwrap();
            let sorted = |told: Option<Vec<RunId>>| {
                told.map(|mut runs| {
                    runs.sort_unstable();
                    runs
                })
            };
            let told = sorted(told);
            assert_eq!(told, sorted(self.model.heartbeat(life, self.now)), "heartbeat of {life:?}");
            let forgets = self.random.percent(50);
            let node = &mut self.nodes[index];
            match told {
                Some(runs) => {
                    node.working.iter_mut().for_each(|work| work.was_told_to_end |= runs.contains(&work.claimed.run.id));
                }
                None => {
                    node.life = None;
                    if forgets {
                        node.working.clear();
                    }
                    self.tell(format!("{life:?} hears that it is dead"));
                }
            }
        }
    }

    pub(super) async fn bury(&mut self) {
        let runs = self.store.nodes.bury(self.now).await.unwrap();
        let (dead, expected) = self.model.bury(self.now);
        self.tell(format!("{dead:?} are buried with {runs} runs"));
        assert_eq!(runs, expected, "bury");
        dead.into_iter().for_each(|life| self.observed.dies(life));
    }

    pub(super) async fn wake(&mut self) {
        let woken = self.store.queue.wake_due(self.now).await.unwrap();
        self.tell(format!("{woken:?}"));
        assert_eq!((woken.runs, woken.next), self.model.wake(self.now), "wake_due");
    }

    /// A node accepts a run that it executes at once, if nothing is in its way.
    pub(super) async fn begin(&mut self, index: usize) {
        let Some(life) = self.awake(index).await else { return };
        // Where there is a limit, dispatch sends all through the queue.
        let run = NewRun { workspace: self.workspaces[UNLIMITED], ..self.run() };
        let answer = self.store.queue.begin(life, run.clone()).await.unwrap();
        self.tell(format!("{life:?} accepts {}: {answer:?}", run.id));
        assert_eq!(answer, self.model.begin(life, &run), "begin");
        if matches!(answer, Enqueued::New | Enqueued::Begun) {
            self.observed.accepted(&run);
            self.accepted.push(run.id);
        }
        if answer != Enqueued::Begun {
            return;
        }
        if self.random.percent(20) {
            // It heard no answer, and executes nothing of which it does not know that it is durable.
            let given_back = self.store.queue.hand_back(life, vec![(run.workspace, run.id)]).await.unwrap().runs.len() as u64;
            self.tell(format!("and gives back {given_back}, because it heard no answer"));
            assert_eq!(given_back, self.model.hand_back(life, run.id), "hand_back");
            return;
        }
        let claimed = Claimed { run, attempt: 1, begun: 1, lost: 0, is_cancelled: false };
        self.observed.begins(life, &claimed, self.now);
        self.nodes[index].working.push(Work { lease: life, claimed, was_told_to_end: false });
    }

    /// A node promises a run that it executes already.
    pub(super) async fn adopt(&mut self, index: usize) {
        let Some(life) = self.awake(index).await else { return };
        // Where there is a limit, dispatch sends all through the queue.
        let workspace = self.workspaces[UNLIMITED];
        let run = NewRun { policy: Arc::default(), dedup: None, scheduled_for: self.now, workspace, ..self.run() };
        self.tell(format!("{life:?} adopts {}", run.id));
        let adopted = self.store.queue.adopt(life, run.clone(), self.now).await.is_ok();
        assert_eq!(adopted, self.model.adopt(life, &run, self.now), "adopt");
        if adopted {
            self.accepted.push(run.id);
            let claimed = Claimed { run, attempt: 1, begun: 1, lost: 0, is_cancelled: false };
            self.observed.begins(life, &claimed, self.now);
            self.nodes[index].working.push(Work { lease: life, claimed, was_told_to_end: false });
        }
    }

    pub(super) fn crash(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        (node.life, node.is_asleep) = (None, false);
        node.working.clear();
        let name = node.name.clone();
        self.tell(format!("{name} crashes"));
    }

    pub(super) async fn leave(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        let Some(life) = node.life.take_if(|_| !node.is_asleep) else { return };
        // What it was about to write may arrive late, when another has the same attempt.
        if self.random.percent(50) {
            node.working.clear();
        }
        let runs = self.store.nodes.leave(life).await.unwrap();
        self.tell(format!("{life:?} leaves {runs} runs"));
        assert_eq!(runs, self.model.leave(life), "leave");
        self.observed.leaves(life);
    }

    pub(super) fn sleep_or_wake(&mut self, index: usize) {
        self.nodes[index].is_asleep ^= true;
        let line = format!("{} sleeps: {}", self.nodes[index].name, self.nodes[index].is_asleep);
        self.tell(line);
        // Time for the others to take it for dead.
        self.pass(LEASE / 2);
    }
}
