//! Who gets the free slots: workspaces with runs ready share them by weight, whatever each has queued.

use std::collections::HashMap;

use sandmill_model::WorkspaceId;
use sandmill_store::queue::{Ready, Share};

/// So fine are loads compared: no two weights make equal what is not.
const WEIGHT_STEPS: u64 = 1_000_000;

/// Gives out `slots` one by one, each to the head whose workspace has least at work for its weight, counting what it was just given. So
/// a workspace with nothing running comes before one with a million queued, whatever their weights.
///
/// `running` is what executes here now. `turn` moves on with every call: among equals nobody is always first.
pub(crate) fn shares(slots: u32, heads: &[Ready], running: &HashMap<WorkspaceId, u32>, turn: usize) -> Vec<Share> {
    if heads.is_empty() {
        return Vec::new();
    }
    let mut given = vec![0_u32; heads.len()];
    let mut at_work: HashMap<WorkspaceId, u32> =
        heads.iter().map(|Ready { head, .. }| (head.workspace, running.get(&head.workspace).copied().unwrap_or(0))).collect();
    let load = |at_work: u32, weight: u32| u64::from(at_work) * WEIGHT_STEPS / u64::from(weight.max(1));
    let first = turn % heads.len();
    for _ in 0..slots {
        let next = (0..heads.len())
            .map(|step| (first + step) % heads.len())
            .min_by_key(|index| (load(at_work[&heads[*index].head.workspace], heads[*index].weight), given[*index]));
        let Some(next) = next else { break };
        given[next] += 1;
        *at_work.entry(heads[next].head.workspace).or_default() += 1;
    }
    let shares = heads.iter().zip(given).filter(|(_, runs_max)| *runs_max > 0);
    shares.map(|(ready, runs_max)| Share { head: ready.head.clone(), runs_max, running_max: ready.running_max }).collect()
}

#[cfg(test)]
mod tests {
    use sandmill_model::Timestamp;
    use sandmill_store::queue::Head;

    use super::*;

    fn heads(count: usize) -> Vec<Ready> {
        let head = |n| Head { workspace: WorkspaceId::new(Timestamp::from_micros(n as i64)), tag: "".into() };
        (0..count).map(|n| Ready { head: head(n), weight: 1, running_max: None }).collect()
    }

    fn given(slots: u32, heads: &[Ready], running: &[(usize, u32)], turn: usize) -> Vec<u32> {
        let running = running.iter().map(|(index, count)| (heads[*index].head.workspace, *count)).collect();
        let shares = shares(slots, heads, &running, turn);
        heads.iter().map(|ready| shares.iter().find(|share| share.head == ready.head).map_or(0, |share| share.runs_max)).collect()
    }

    #[test]
    fn slots_are_shared_evenly() {
        assert_eq!(given(9, &heads(3), &[], 0), [3, 3, 3]);
        assert_eq!(given(64, &heads(1), &[(0, 500)], 0), [64]);
        assert_eq!(given(5, &[], &[], 0), [] as [u32; 0]);
        assert_eq!(given(0, &heads(2), &[], 0), [0, 0]);
    }

    #[test]
    fn who_has_least_at_work_comes_first() {
        assert_eq!(given(1, &heads(3), &[(0, 40), (1, 2)], 0), [0, 0, 1]);
        assert_eq!(given(6, &heads(2), &[(0, 4)], 0), [1, 5]);
    }

    #[test]
    fn among_equals_turns_are_taken() {
        let heads = heads(3);
        let firsts: Vec<Vec<u32>> = (0..3).map(|turn| given(1, &heads, &[], turn)).collect();
        assert_eq!(firsts, [[1, 0, 0], [0, 1, 0], [0, 0, 1]]);
    }

    #[test]
    fn tags_of_one_workspace_share_what_it_gets() {
        let mut heads = heads(2);
        let tagged = Head { workspace: heads[0].head.workspace, tag: "gpu".into() };
        heads.push(Ready { head: tagged, ..heads[0].clone() });
        assert_eq!(given(8, &heads, &[], 0), [2, 4, 2]);
    }

    #[test]
    fn slots_are_shared_by_weight_and_nobody_starves() {
        let mut heads = heads(3);
        heads[1].weight = 3;
        assert_eq!(given(50, &heads, &[], 0), [10, 30, 10]);
        heads[1].weight = 100;
        assert_eq!(given(4, &heads, &[], 0), [1, 2, 1]);
        assert_eq!(given(1, &heads, &[(0, 1), (1, 1)], 0), [0, 0, 1], "who has nothing at work comes first");
    }
}
