//! Runs that runs started: found by their parent, claimed in its place.

use std::{collections::HashSet, time::Duration};

use sandmill_model::{
    Cause, CauseKind, OutcomeKind, RunId, WorkspaceId,
    run::{Lineage, NewRun},
};
use sandmill_store::{Store, history::Kin};

use crate::fixture::{Database, claim, complete, finished, ids, join, new_run, on_both, tick, workspace};

on_both![children_are_found_by_their_parent, a_child_is_claimed_in_its_parents_place, children_are_read_page_by_page];

fn child_of(parent: &NewRun, depth: u32) -> NewRun {
    NewRun {
        cause: Some(Cause { kind: CauseKind::Parent, run: parent.id }),
        lineage: Some(Lineage { depth, since: parent.lineage.map_or(parent.scheduled_for, |lineage| lineage.since) }),
        ..new_run(parent.workspace)
    }
}

async fn kin(store: &Store, workspace: WorkspaceId, parent: &NewRun, runs: &[&NewRun]) -> HashSet<(RunId, bool)> {
    let found = store.history.kin(workspace, parent.id, runs.iter().map(|run| run.id).collect()).await.unwrap();
    found.into_iter().map(|Kin { run, has_ended }| (run, has_ended)).collect()
}

async fn children_are_found_by_their_parent(database: Database) {
    let store = database.open().await;
    let lease = join(&store, "a", tick()).await;
    let parent = new_run(workspace());
    let (ended, waiting, grandchild) = (child_of(&parent, 1), child_of(&parent, 1), child_of(&child_of(&parent, 1), 2));
    let again = NewRun { cause: Some(Cause { kind: CauseKind::Rerun, run: parent.id }), ..new_run(parent.workspace) };
    let stranger = new_run(workspace());
    store.queue.enqueue(vec![ended.clone(), stranger.clone()]).await.unwrap();
    let claimed = claim(&store, lease, tick(), 10).await;
    assert_eq!(claimed.len(), 2);
    let end = |run: &NewRun| finished(run.clone(), OutcomeKind::Ok);
    assert_eq!(complete(&store, lease, vec![end(&ended)]).await, [ended.id]);
    store.queue.enqueue(vec![waiting.clone(), grandchild.clone(), again.clone()]).await.unwrap();
    let all = [&ended, &waiting, &grandchild, &again, &stranger, &parent];
    let seen = HashSet::from([(ended.id, true), (waiting.id, false)]);
    assert_eq!(kin(&store, parent.workspace, &parent, &all).await, seen);
    assert_eq!(kin(&store, stranger.workspace, &parent, &all).await, HashSet::new(), "another workspace's");
    assert_eq!(kin(&store, parent.workspace, &stranger, &all).await, HashSet::new());
    assert_eq!(kin(&store, parent.workspace, &parent, &[]).await, HashSet::new());
    let children = async |of: WorkspaceId, run: &NewRun| store.queue.children(of, run.id, None, 10).await.unwrap();
    assert_eq!(children(parent.workspace, &parent).await, [waiting.id], "those that have not ended");
    assert_eq!(children(stranger.workspace, &parent).await, []);
    assert_eq!(children(parent.workspace, &waiting).await, []);
}

async fn a_child_is_claimed_in_its_parents_place(database: Database) {
    let store = database.open().await;
    let lease = join(&store, "a", tick()).await;
    let parent = new_run(workspace());
    store.queue.enqueue(vec![parent.clone()]).await.unwrap();
    assert_eq!(ids(&claim(&store, lease, tick(), 1).await), [parent.id]);
    let younger = new_run(parent.workspace);
    let child = child_of(&parent, 1);
    let mut later = child_of(&parent, 1);
    later.scheduled_for = later.created_at.plus(Duration::from_secs(3600));
    store.queue.enqueue(vec![younger.clone(), child.clone(), later.clone()]).await.unwrap();
    let claimed = claim(&store, lease, tick(), 1).await;
    assert_eq!(ids(&claimed), [child.id], "it is as old as its parent");
    assert_eq!((claimed[0].run.lineage, claimed[0].run.cause), (child.lineage, child.cause));
    assert_eq!(claimed[0].run.scheduled_for, child.scheduled_for);
    assert_eq!(ids(&claim(&store, lease, tick(), 10).await), [younger.id], "a delay is kept");
    let late = later.scheduled_for.plus(Duration::from_secs(1));
    let lease = join(&store, "b", late).await;
    let claimed = claim(&store, lease, late, 10).await;
    assert_eq!((ids(&claimed), claimed[0].run.lineage), (vec![later.id], later.lineage));
}

async fn children_are_read_page_by_page(database: Database) {
    let store = database.open().await;
    let parent = new_run(workspace());
    let children: Vec<NewRun> = (0..25).map(|_| child_of(&parent, 1)).collect();
    store.queue.enqueue(children.iter().flat_map(|child| [child.clone(), new_run(parent.workspace)]).collect()).await.unwrap();
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = store.queue.children(parent.workspace, parent.id, after, 10).await.unwrap();
        let Some(last) = page.last() else { break };
        assert!(page.len() <= 10);
        after = Some(*last);
        found.extend(page);
    }
    assert_eq!(found, children.iter().map(|child| child.id).collect::<Vec<_>>());
}
