//! Who is next at a lane's workers. Each workspace has a line of its own, and lines take turns: whoever has a hundred builds waiting stands
//! behind itself. No workspace alone has all workers at work, so that another's build begins at once.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use sandmill_model::{WorkspaceId, build::BuildError};
use tokio::sync::oneshot;

/// For whom something is built; none: for the node itself.
pub(crate) type By = Option<WorkspaceId>;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// One at least.
    pub(crate) workers: usize,
    /// Builds of one workspace that wait; further ones are refused.
    pub(crate) line_max: usize,
    /// Builds of all that wait; past it the last of the longest line makes way for whoever has fewer.
    pub(crate) all_max: usize,
}

impl Bounds {
    /// Builds of one workspace that are at work.
    const fn each_max(self) -> usize {
        if self.workers > 1 { self.workers - 1 } else { 1 }
    }
}

pub(crate) struct Turns {
    bounds: Bounds,
    state: Mutex<State>,
}

struct State {
    /// Workers without work.
    free: usize,
    /// Of those that have something waiting or at work.
    lines: HashMap<By, Line>,
    /// Lines in which somebody waits; the first that may is served next.
    ring: VecDeque<By>,
}

#[derive(Default)]
struct Line {
    waiting: VecDeque<oneshot::Sender<Turn>>,
    at_work: usize,
}

/// The right to use a worker, given back when it is dropped.
pub(crate) struct Turn {
    turns: Arc<Turns>,
    by: By,
}

/// What whoever asks for a turn gets.
enum Asked {
    Now(Turn),
    Later(oneshot::Receiver<Turn>),
}

/// A place in a line, and who lost theirs to it.
struct Entered {
    granted: oneshot::Receiver<Turn>,
    displaced: Option<oneshot::Sender<Turn>>,
}

impl Turns {
    pub(crate) fn new(bounds: Bounds) -> Arc<Self> {
        let state = State { free: bounds.workers.max(1), lines: HashMap::new(), ring: VecDeque::new() };
        Arc::new(Self { bounds, state: Mutex::new(state) })
    }

    /// Waits for a worker.
    ///
    /// # Errors
    /// If too many wait already.
    pub(crate) async fn turn(self: &Arc<Self>, by: By) -> Result<Turn, BuildError> {
        match self.ask(by)? {
            Asked::Now(turn) => Ok(turn),
            Asked::Later(granted) => granted.await.map_err(|_| too_many()),
        }
    }

    fn ask(self: &Arc<Self>, by: By) -> Result<Asked, BuildError> {
        let entered = {
            let mut state = self.state();
            if state.may_begin(by, self.bounds) {
                state.begin(by);
                return Ok(Asked::Now(self.granted(by)));
            }
            state.enter(by, self.bounds)
        };
        // Who made way hears of it with no lock held.
        let Entered { granted, displaced } = entered.ok_or_else(too_many)?;
        drop(displaced);
        Ok(Asked::Later(granted))
    }

    fn granted(self: &Arc<Self>, by: By) -> Turn {
        Turn { turns: Arc::clone(self), by }
    }

    fn give_back(self: &Arc<Self>, by: By) {
        let next = {
            let mut state = self.state();
            state.end(by);
            state.next_all(self.bounds)
        };
        for (by, grant) in next {
            // If nobody waits for it any more, it comes back as it is dropped.
            drop(grant.send(self.granted(by)));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.turns.give_back(self.by);
    }
}

impl State {
    /// Whether a worker is free, and nobody waits for it who came before.
    fn may_begin(&self, by: By, bounds: Bounds) -> bool {
        let own = self.lines.get(&by);
        self.free > 0 && own.is_none_or(|line| line.at_work < bounds.each_max() && line.waiting.is_empty())
    }

    fn begin(&mut self, by: By) {
        self.free -= 1;
        self.lines.entry(by).or_default().at_work += 1;
    }

    fn end(&mut self, by: By) {
        self.free += 1;
        if let Some(line) = self.lines.get_mut(&by) {
            line.at_work = line.at_work.saturating_sub(1);
            if line.at_work == 0 && line.waiting.is_empty() {
                self.lines.remove(&by);
            }
        }
    }

    /// None if there is no room.
    fn enter(&mut self, by: By, bounds: Bounds) -> Option<Entered> {
        if self.waiting_of(by) >= bounds.line_max || self.waiting_in_all() >= bounds.all_max {
            self.forget_gone();
        }
        let own = self.waiting_of(by);
        if own >= bounds.line_max {
            return None;
        }
        let displaced = if self.waiting_in_all() >= bounds.all_max { Some(self.displace(own)?) } else { None };
        let (grant, granted) = oneshot::channel();
        let line = self.lines.entry(by).or_default();
        if line.waiting.is_empty() {
            self.ring.push_back(by);
        }
        line.waiting.push_back(grant);
        Some(Entered { granted, displaced })
    }

    fn waiting_of(&self, by: By) -> usize {
        self.lines.get(&by).map_or(0, |line| line.waiting.len())
    }

    fn waiting_in_all(&self) -> usize {
        self.lines.values().map(|line| line.waiting.len()).sum()
    }

    /// The last of the longest line, unless that is hardly longer than a line of `own`.
    fn displace(&mut self, own: usize) -> Option<oneshot::Sender<Turn>> {
        let longest = self.lines.values_mut().max_by_key(|line| line.waiting.len())?;
        if longest.waiting.len() > own + 1 { longest.waiting.pop_back() } else { None }
    }

    /// Takes out those who have given up.
    fn forget_gone(&mut self) {
        for line in self.lines.values_mut() {
            line.waiting.retain(|grant| !grant.is_closed());
        }
        self.lines.retain(|_, line| line.at_work > 0 || !line.waiting.is_empty());
        let lines = &self.lines;
        self.ring.retain(|by| lines.get(by).is_some_and(|line| !line.waiting.is_empty()));
    }

    /// Who begins now, as many as there are workers.
    fn next_all(&mut self, bounds: Bounds) -> Vec<(By, oneshot::Sender<Turn>)> {
        let mut all = Vec::new();
        while self.free > 0 {
            let Some((by, grant)) = self.next(bounds) else { break };
            self.begin(by);
            all.push((by, grant));
        }
        all
    }

    fn next(&mut self, bounds: Bounds) -> Option<(By, oneshot::Sender<Turn>)> {
        loop {
            let may = |by: &By| self.lines.get(by).is_some_and(|line| line.at_work < bounds.each_max());
            let at = self.ring.iter().position(may)?;
            let by = self.ring.remove(at)?;
            let line = self.lines.get_mut(&by)?;
            let next = line.take_first();
            if !line.waiting.is_empty() {
                self.ring.push_back(by);
            } else if next.is_none() && line.at_work == 0 {
                self.lines.remove(&by);
            }
            if let Some(grant) = next {
                return Some((by, grant));
            }
        }
    }
}

impl Line {
    /// The first who has not given up.
    fn take_first(&mut self) -> Option<oneshot::Sender<Turn>> {
        while let Some(grant) = self.waiting.pop_front() {
            if !grant.is_closed() {
                return Some(grant);
            }
        }
        None
    }
}

fn too_many() -> BuildError {
    BuildError::Unavailable("too many builds are waiting already".to_owned())
}

#[cfg(test)]
mod tests;
