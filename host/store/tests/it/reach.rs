//! Lists for those who may see some paths only.

use std::{collections::HashSet, time::Duration};

use sandmill_model::{
    OutcomeKind, RunId, WorkspaceId,
    run::{FinishedRun, NewRun},
};
use sandmill_store::{
    Store,
    history::{RunFilter, RunPage},
};

use crate::fixture::{Database, finished, on_both, path, run_of, tick, workspace};

on_both![only_paths_that_are_like_a_glob, pages_never_point_at_what_is_not_seen];

fn owned(globs: &[&str]) -> Vec<String> {
    globs.iter().map(|glob| (*glob).to_owned()).collect()
}

fn within(globs: &[&str]) -> RunFilter {
    RunFilter { within: vec![owned(globs)], ..RunFilter::default() }
}

async fn list(store: &Store, of: WorkspaceId, filter: &RunFilter, before: Option<RunId>) -> RunPage {
    store.history.list(of, filter, before, 10).await.unwrap()
}

async fn only_paths_that_are_like_a_glob(database: Database) {
    let store = database.open().await;
    let of = workspace();
    let all = ["f/a/x", "f/a/b/x", "f/ab/x", "f/A/x", "f/a_b/x", "f/a-b/x", "u/ann/x"];
    let (queued, ended): (Vec<_>, Vec<_>) = all.iter().map(|at| run_of(of, at)).partition(|run| run.path.as_str().len() > 6);
    store.queue.enqueue(queued).await.unwrap();
    store.history.append(ended.into_iter().map(|run| finished(run, OutcomeKind::Trap)).collect()).await.unwrap();
    for (globs, expected) in [
        (&["*"][..], &all[..]),
        (&[], &[]),
        (&["f/a/*"], &["f/a/x", "f/a/b/x"]),
        (&["f/a/x"], &["f/a/x"]),
        (&["f/a"], &[]),
        (&["f/a*/x"], &["f/a/x", "f/a/b/x", "f/ab/x", "f/a_b/x", "f/a-b/x"]),
        (&["f/a_b/*"], &["f/a_b/x"]),
        (&["*/ann/*", "f/A/x"], &["f/A/x", "u/ann/x"]),
        (&["f/*!f/a/", "f/a/b/x"], &["f/a/b/x", "f/ab/x", "f/A/x", "f/a_b/x", "f/a-b/x"]),
        (&["*!f/a!u/ann/"], &["f/A/x"]),
        (&["f/?/x", "f/[aA]/x", "f/%", r"f/\a/x", "F/*"], &[]),
    ] {
        let mut found: Vec<String> = list(&store, of, &within(globs), None).await.runs.iter().map(|run| run.path.to_string()).collect();
        found.reverse();
        assert_eq!(found, expected, "{globs:?}");
    }
    // Of several lists each must mean it.
    for (lists, expected) in [
        (&[&["f/a/*", "u/*"][..], &["*/x!f/a/b/"]][..], &["f/a/x", "u/ann/x"][..]),
        (&[&["f/a*"], &["*b/x"]], &["f/a/b/x", "f/ab/x", "f/a_b/x", "f/a-b/x"]),
        (&[&["*"], &[]], &[]),
        (&[], &all),
    ] {
        let filter = RunFilter { within: lists.iter().map(|globs| owned(globs)).collect(), ..RunFilter::default() };
        let page = list(&store, of, &filter, None).await;
        assert!(page.runs.iter().all(|run| filter.fits(run)) && page.runs.len() == expected.len(), "{lists:?}");
        assert!(page.runs.iter().all(|run| expected.contains(&run.path.as_str())), "{lists:?}");
    }
    let failed = RunFilter { outcome: Some(OutcomeKind::Trap), ..within(&["f/a*"]) };
    assert!(list(&store, of, &failed, None).await.runs.iter().all(|run| run.path.as_str().starts_with("f/a")));
    let both = RunFilter { path: Some(path("f/ab/x")), ..within(&["f/a/*"]) };
    assert!(list(&store, of, &both, None).await.runs.is_empty());
}

async fn pages_never_point_at_what_is_not_seen(database: Database) {
    let store = database.open().await;
    let of = workspace();
    let began = tick();
    // Some of each in turn, and then more that are hidden than are looked at for one page; each a millisecond after the one before.
    let runs: Vec<FinishedRun> = (0..22_000)
        .map(|n| {
            let at = began.plus(Duration::from_millis(n));
            let path = if n < 75 && n % 3 == 1 { "f/seen/x" } else { "f/hidden/x" };
            finished(NewRun { id: RunId::new(at), created_at: at, ..run_of(of, path) }, OutcomeKind::Ok)
        })
        .collect();
    for some in runs.chunks(2_000) {
        store.history.append(some.to_vec()).await.unwrap();
    }
    let (seen, hidden): (Vec<&FinishedRun>, Vec<&FinishedRun>) = runs.iter().partition(|run| run.run.path.as_str() == "f/seen/x");
    let hidden: HashSet<RunId> = hidden.into_iter().map(|run| run.run.id).collect();
    let (mut before, mut found, mut pages) = (None, Vec::new(), 0);
    loop {
        let page = list(&store, of, &within(&["f/seen/*"]), before).await;
        pages += 1;
        found.extend(page.runs.iter().map(|run| run.id));
        assert!(page.next.is_none_or(|next| !hidden.contains(&next)), "{page:?}");
        if page.next.is_none() {
            break;
        }
        assert!(before.is_none_or(|before| page.next < Some(before)), "it goes on");
        before = page.next;
    }
    assert!(pages > 3, "short pages, too");
    assert!(found.into_iter().eq(seen.iter().rev().map(|run| run.run.id)));
}
