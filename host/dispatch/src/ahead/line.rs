//! Claimed runs in the order in which they get slots: one of each workspace after the other, whoever claimed many before.

use std::collections::{HashMap, VecDeque};

use sandmill_model::{RunId, WorkspaceId};
use sandmill_store::{nodes::Incarnation, queue::Claimed};

pub(super) type InLine = (Incarnation, Claimed);

#[derive(Default)]
pub(super) struct Line {
    /// Workspaces with runs, the next first.
    turns: VecDeque<WorkspaceId>,
    runs: HashMap<WorkspaceId, VecDeque<InLine>>,
    len: usize,
}

impl Line {
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn push(&mut self, lease: Incarnation, claimed: Claimed) {
        let workspace = claimed.run.workspace;
        let of_it = self.runs.entry(workspace).or_default();
        if of_it.is_empty() {
            self.turns.push_back(workspace);
        }
        of_it.push_back((lease, claimed));
        self.len += 1;
    }

    /// The oldest of the workspace whose turn it is.
    pub(super) fn pop(&mut self) -> Option<InLine> {
        let workspace = self.turns.pop_front()?;
        let of_it = self.runs.get_mut(&workspace)?;
        let next = of_it.pop_front();
        if of_it.is_empty() {
            self.runs.remove(&workspace);
        } else {
            self.turns.push_back(workspace);
        }
        self.len -= usize::from(next.is_some());
        next
    }

    /// The youngest of the workspace that has most.
    pub(super) fn pop_surplus(&mut self) -> Option<InLine> {
        let (workspace, of_it) = self.runs.iter_mut().max_by_key(|(_, of_it)| of_it.len())?;
        let (workspace, last) = (*workspace, of_it.pop_back());
        self.forget_if_empty(workspace);
        self.len -= usize::from(last.is_some());
        last
    }

    pub(super) fn remove(&mut self, run: RunId) -> Option<InLine> {
        let position = |of_it: &VecDeque<InLine>| of_it.iter().position(|(_, claimed)| claimed.run.id == run);
        let (workspace, index) = self.runs.iter().find_map(|(workspace, of_it)| Some((*workspace, position(of_it)?)))?;
        let removed = self.runs.get_mut(&workspace)?.remove(index);
        self.forget_if_empty(workspace);
        self.len -= usize::from(removed.is_some());
        removed
    }

    fn forget_if_empty(&mut self, workspace: WorkspaceId) {
        if self.runs.get(&workspace).is_some_and(VecDeque::is_empty) {
            self.runs.remove(&workspace);
            self.turns.retain(|other| *other != workspace);
        }
    }
}

#[cfg(test)]
mod tests {
    use sandmill_model::run::NewRun;

    use super::*;
    use crate::live::tests::run;

    /// So many runs of one workspace.
    fn claimed(count: usize) -> Vec<Claimed> {
        let first = run();
        let of_it = |_| Claimed { run: NewRun { id: run().id, ..first.clone() }, attempt: 1, begun: 1, lost: 0, is_cancelled: false };
        (0..count).map(of_it).collect()
    }

    fn line(of: &[&[Claimed]]) -> Line {
        let mut line = Line::default();
        of.iter().flat_map(|of_one| of_one.iter()).for_each(|claimed| line.push(Incarnation(1), claimed.clone()));
        line
    }

    fn ids(mut next: impl FnMut() -> Option<InLine>) -> Vec<RunId> {
        std::iter::from_fn(|| next().map(|(_, claimed)| claimed.run.id)).collect()
    }

    #[test]
    fn one_of_each_workspace_after_the_other() {
        let (crowd, quiet) = (claimed(200), claimed(2));
        let mut line = line(&[&crowd, &quiet]);
        assert_eq!(line.len(), 202);
        let order = ids(|| line.pop());
        let expected = [&crowd[0], &quiet[0], &crowd[1], &quiet[1], &crowd[2], &crowd[3]].map(|claimed| claimed.run.id);
        assert_eq!(order[..6], expected);
        assert!(order.len() == 202 && line.is_empty());
    }

    #[test]
    fn what_is_too_much_is_the_youngest_of_who_has_most() {
        let (crowd, quiet) = (claimed(3), claimed(1));
        let mut line = line(&[&quiet, &crowd]);
        let back: Vec<RunId> = (0..2).filter_map(|_| line.pop_surplus()).map(|(_, claimed)| claimed.run.id).collect();
        assert_eq!(back, [crowd[2].run.id, crowd[1].run.id]);
        assert_eq!(ids(|| line.pop()), [quiet[0].run.id, crowd[0].run.id]);
    }

    #[test]
    fn who_leaves_is_not_found_again_and_nobody_else_is_lost() {
        let (one, other) = (claimed(1), claimed(2));
        let mut line = line(&[&one, &other]);
        assert!(line.remove(one[0].run.id).is_some() && line.remove(one[0].run.id).is_none());
        assert_eq!(line.len(), 2);
        line.push(Incarnation(1), one[0].clone());
        assert_eq!(ids(|| line.pop()), [other[0].run.id, one[0].run.id, other[1].run.id]);
        while line.pop_surplus().is_some() {}
        assert!(line.is_empty() && line.turns.is_empty() && line.runs.is_empty());
    }
}
