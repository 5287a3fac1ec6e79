//! What the queue is to do, said as plainly as possible: lists that are looked through.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use sandmill_model::{Digest, OutcomeKind, RunId, RunStatus, Timestamp, WorkspaceId, policy::Key, rate::Rate, run::NewRun};
use sandmill_store::{
    nodes::Incarnation,
    queue::{Cancelled, Completion, Enqueued, Head, Share},
};

use crate::fixture::LEASE;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Delayed,
    Parked,
    Ready,
    /// Since when.
    Running(Incarnation, Timestamp),
    Ended(OutcomeKind),
}

pub(super) struct Run {
    pub(super) new: NewRun,
    pub(super) place: Place,
    due_at: Timestamp,
    held: Vec<Key>,
    pub(super) attempt: u32,
    lost: u32,
    is_cancelled: bool,
    /// It has its place in the rates for its next attempt.
    has_place: bool,
}

impl Run {
    fn new(new: &NewRun, place: Place) -> Self {
        let due_at = new.scheduled_for;
        Self { new: new.clone(), place, due_at, held: Vec::new(), attempt: 0, lost: 0, is_cancelled: false, has_place: false }
    }

    pub(super) fn status(&self) -> (RunStatus, Option<OutcomeKind>) {
        match self.place {
            Place::Delayed | Place::Ready => (RunStatus::Queued, None),
            Place::Parked => (RunStatus::Parked, None),
            Place::Running(..) => (RunStatus::Running, None),
            Place::Ended(kind) => (RunStatus::after(kind), Some(kind)),
        }
    }

    /// The key that it waits for.
    fn wants(&self) -> Option<&Key> {
        self.new.policy.keys.get(self.held.len()).filter(|_| self.place == Place::Parked)
    }
}

/// Id, number of the attempt, nodes lost, whether it was cancelled.
pub(super) type Taken = (RunId, u32, u32, bool);

/// Whose the key is, its first run, what was asked, until when.
type Known = HashMap<(WorkspaceId, String), (RunId, Option<Digest>, Timestamp)>;

#[derive(Default)]
pub(super) struct Model {
    pub(super) runs: BTreeMap<RunId, Run>,
    known: Known,
    /// When the next start of each rate is.
    rates: BTreeMap<(WorkspaceId, String), Timestamp>,
    /// Until when each life lasts, and its node's name.
    lives: BTreeMap<Incarnation, (String, Timestamp)>,
}

impl Model {
    pub(super) fn enqueue(&mut self, runs: &[NewRun]) -> Vec<Enqueued> {
        runs.iter().map(|run| self.enqueue_one(run)).collect()
    }

    /// As [`Model::enqueue`], and what waits for nothing is `lease`'s.
    pub(super) fn begin(&mut self, lease: Incarnation, run: &NewRun) -> Enqueued {
        let answer = self.enqueue_one(run);
        if answer != Enqueued::New || self.runs[&run.id].place != Place::Ready || !self.lives.contains_key(&lease) {
            return answer;
        }
        let begun = self.run(run.id);
        (begun.place, begun.attempt) = (Place::Running(lease, run.created_at), 1);
        Enqueued::Begun
    }

    /// Gives a run back that was never begun.
    pub(super) fn hand_back(&mut self, lease: Incarnation, id: RunId) -> u64 {
        let held = self.held_by(lease).into_iter().filter(|held| *held == id).collect::<Vec<_>>();
        self.put_back(&held)
    }

    fn enqueue_one(&mut self, run: &NewRun) -> Enqueued {
        if let Some(dedup) = &run.dedup {
            let key = (run.workspace, dedup.key.clone());
            match self.known.get(&key) {
                Some((first, asked, until)) if *until > run.created_at => {
                    return if *asked == dedup.fingerprint { Enqueued::Duplicate(*first) } else { Enqueued::Mismatch(*first) };
                }
                _ => self.known.insert(key, (run.id, dedup.fingerprint, run.created_at.plus(dedup.window))),
            };
        }
        self.runs.insert(run.id, Run::new(run, Place::Delayed));
        if run.scheduled_for <= run.created_at {
            self.settle(run.id, run.created_at);
        }
        Enqueued::New
    }

    /// What was known by a key whose window is over by `now`, and rates that hold nobody back.
    pub(super) fn forget(&mut self, now: Timestamp) -> u64 {
        let before = self.known.len() + self.rates.len();
        self.known.retain(|_, (_, _, until)| *until > now);
        self.rates.retain(|_, next| *next > now);
        (before - self.known.len() - self.rates.len()) as u64
    }

    /// How many hold a key.
    fn holders(&self, workspace: WorkspaceId, name: &str) -> usize {
        self.runs.values().filter(|run| run.new.workspace == workspace && run.held.iter().any(|key| key.name == name)).count()
    }

    pub(super) fn held(&self) -> BTreeMap<(WorkspaceId, String), usize> {
        let mut held = BTreeMap::new();
        for run in self.runs.values() {
            for key in &run.held {
                *held.entry((run.new.workspace, key.name.clone())).or_default() += 1;
            }
        }
        held
    }

    fn run(&mut self, id: RunId) -> &mut Run {
        self.runs.get_mut(&id).unwrap()
    }

    /// A run that is due takes the keys that it lacks, as far as they are free; once it has those of its order, its place in the rates.
    fn settle(&mut self, id: RunId, now: Timestamp) {
        let (workspace, policy) = (self.runs[&id].new.workspace, Arc::clone(&self.runs[&id].new.policy));
        loop {
            let key = policy.keys.get(self.runs[&id].held.len());
            if !self.runs[&id].has_place && key.is_none_or(|key| !key.is_ordering()) {
                self.run(id).has_place = true;
                let at = policy.rates.iter().map(|rate| self.place(workspace, rate, now)).max();
                if let Some(at) = at.filter(|at| *at > now) {
                    let run = self.run(id);
                    (run.place, run.due_at) = (Place::Delayed, at);
                    return;
                }
            }
            let Some(key) = key else { break };
            if self.holders(workspace, &key.name) >= key.limit as usize {
                self.run(id).place = Place::Parked;
                return;
            }
            self.run(id).held.push(key.clone());
        }
        self.run(id).place = Place::Ready;
    }

    /// The next place of a rate, which is taken by that: one interval after another, `burst` of them ahead of their time.
    fn place(&mut self, workspace: WorkspaceId, rate: &Rate, now: Timestamp) -> Timestamp {
        let next = self.rates.entry((workspace, rate.name.clone())).or_insert(now);
        let own = (*next).max(now);
        *next = Timestamp::from_micros(own.micros() + rate.interval_us);
        Timestamp::from_micros(own.micros() - rate.interval_us * (i64::from(rate.burst) - 1))
    }

    /// A run ends and hands on what it held, key by key, each to those who have waited longest.
    fn end(&mut self, id: RunId, kind: OutcomeKind, now: Timestamp) {
        let workspace = self.runs[&id].new.workspace;
        self.run(id).place = Place::Ended(kind);
        while !self.run(id).held.is_empty() {
            let name = self.run(id).held.remove(0).name;
            loop {
                let waiting = |run: &&Run| run.new.workspace == workspace && run.wants().is_some_and(|key| key.name == name);
                let Some(next) = self.runs.values().find(waiting) else { break };
                let (next, limit) = (next.new.id, next.wants().unwrap().limit);
                if self.holders(workspace, &name) >= limit as usize {
                    break;
                }
                // Before any rate that it has to keep to as well.
                let key = self.runs[&next].wants().cloned();
                self.run(next).held.extend(key);
                self.settle(next, now);
            }
        }
    }

    pub(super) fn wake(&mut self, now: Timestamp) -> (u64, Option<Timestamp>) {
        let mut due: Vec<(Timestamp, RunId)> =
            self.runs.values().filter(|run| run.place == Place::Delayed && run.due_at <= now).map(|run| (run.due_at, run.new.id)).collect();
        due.sort_unstable();
        due.iter().for_each(|(_, id)| self.settle(*id, now));
        (due.len() as u64, self.next_due())
    }

    pub(super) fn next_due(&self) -> Option<Timestamp> {
        self.runs.values().filter(|run| run.place == Place::Delayed).map(|run| run.due_at).min()
    }

    pub(super) fn heads(&self) -> Vec<Head> {
        let ready = self.runs.values().filter(|run| run.place == Place::Ready);
        let heads: BTreeSet<Head> = ready.map(|run| Head { workspace: run.new.workspace, tag: run.new.policy.tag.clone() }).collect();
        heads.into_iter().collect()
    }

    pub(super) fn claim(&mut self, lease: Incarnation, now: Timestamp, shares: &[Share]) -> Vec<Taken> {
        if !self.lives.contains_key(&lease) {
            return Vec::new();
        }
        let mut taken = Vec::new();
        let mut left = BTreeMap::new();
        for Share { head, runs_max, running_max } in shares {
            let mut runs_max = *runs_max;
            if let Some(limit) = running_max {
                runs_max = runs_max.min(*left.entry(head.workspace).or_insert_with(|| limit.saturating_sub(self.running(head.workspace))));
            }
            let of_head = |run: &&Run| run.place == Place::Ready && run.new.workspace == head.workspace && run.new.policy.tag == head.tag;
            let mut ready: Vec<_> =
                self.runs.values().filter(of_head).map(|run| (-run.new.policy.priority, run.due_at, run.new.id)).collect();
            ready.sort_unstable();
            for (_, _, id) in ready.into_iter().take(runs_max as usize) {
                left.entry(head.workspace).and_modify(|left| *left -= 1);
                let run = self.run(id);
                run.place = Place::Running(lease, now);
                run.attempt += 1;
                taken.push((id, run.attempt, run.lost, run.is_cancelled));
            }
        }
        taken
    }

    pub(super) fn running(&self, workspace: WorkspaceId) -> u32 {
        let running = |run: &&Run| run.new.workspace == workspace && matches!(run.place, Place::Running(..));
        u32::try_from(self.runs.values().filter(running).count()).unwrap()
    }

    fn held_by(&self, lease: Incarnation) -> Vec<RunId> {
        let of_lease = |run: &&Run| matches!(run.place, Place::Running(holder, _) if holder == lease);
        self.runs.values().filter(of_lease).map(|run| run.new.id).collect()
    }

    pub(super) fn unclaim(&mut self, lease: Incarnation, from: Timestamp) -> u64 {
        let mut given_back = self.held_by(lease);
        given_back.retain(|id| self.runs[id].place == Place::Running(lease, from));
        self.put_back(&given_back)
    }

    /// Nothing was wrong with them.
    fn put_back(&mut self, runs: &[RunId]) -> u64 {
        for id in runs {
            let run = self.run(*id);
            (run.place, run.attempt) = (Place::Ready, run.attempt - 1);
        }
        runs.len() as u64
    }

    pub(super) fn complete(&mut self, lease: Incarnation, runs: &[Completion]) -> Vec<RunId> {
        let mut moved = Vec::new();
        for Completion { done, again_at, .. } in runs {
            let id = done.run.id;
            let run = &self.runs[&id];
            if !matches!(run.place, Place::Running(holder, _) if holder == lease) || run.attempt != done.attempt {
                continue;
            }
            moved.push(id);
            match again_at {
                None => self.end(id, done.outcome.kind, done.ended_at),
                Some(at) => {
                    let run = self.run(id);
                    // Nobody waits for the next try of what is to be cancelled.
                    (run.place, run.due_at) = (Place::Delayed, if run.is_cancelled { done.ended_at } else { *at });
                    // Each try takes a place of its own.
                    run.has_place = run.is_cancelled;
                }
            }
        }
        moved
    }

    pub(super) fn cancel(&mut self, id: RunId, now: Timestamp) -> Cancelled {
        match self.runs.get(&id).map(|run| run.place) {
            None | Some(Place::Ended(_)) => Cancelled::TooLate,
            Some(Place::Running(..)) => {
                self.run(id).is_cancelled = true;
                Cancelled::Requested
            }
            Some(Place::Delayed | Place::Parked | Place::Ready) => {
                self.end(id, OutcomeKind::Cancelled, now);
                Cancelled::AtOnce
            }
        }
    }

    pub(super) fn adopt(&mut self, lease: Incarnation, run: &NewRun, now: Timestamp) -> bool {
        let lives = self.lives.contains_key(&lease);
        if lives {
            self.runs.insert(run.id, Run { attempt: 1, ..Run::new(run, Place::Running(lease, now)) });
        }
        lives
    }

    /// Returns the lives that this one ended.
    pub(super) fn join(&mut self, life: Incarnation, name: &str, now: Timestamp) -> Vec<Incarnation> {
        let earlier: Vec<Incarnation> = self.lives.iter().filter(|(_, (of, _))| of == name).map(|(life, _)| *life).collect();
        for life in &earlier {
            self.die(*life);
        }
        self.lives.insert(life, (name.to_owned(), now.plus(LEASE)));
        earlier
    }

    pub(super) fn heartbeat(&mut self, life: Incarnation, now: Timestamp) -> Option<Vec<RunId>> {
        self.lives.get_mut(&life)?.1 = now.plus(LEASE);
        Some(self.held_by(life).into_iter().filter(|id| self.runs[id].is_cancelled).collect())
    }

    /// Returns the lives that ended and how many runs they held.
    pub(super) fn bury(&mut self, now: Timestamp) -> (Vec<Incarnation>, u64) {
        let dead: Vec<Incarnation> = self.lives.iter().filter(|(_, (_, until))| *until < now).map(|(life, _)| *life).collect();
        let runs = dead.iter().map(|life| self.die(*life)).sum();
        (dead, runs)
    }

    fn die(&mut self, life: Incarnation) -> u64 {
        self.lives.remove(&life);
        let held = self.held_by(life);
        for id in &held {
            let run = self.run(*id);
            (run.place, run.lost) = (Place::Ready, run.lost + 1);
        }
        held.len() as u64
    }

    pub(super) fn leave(&mut self, life: Incarnation) -> u64 {
        self.lives.remove(&life);
        let held = self.held_by(life);
        self.put_back(&held)
    }
}
