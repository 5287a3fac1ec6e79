//! Results that are too large for the database.

use std::{fs, path::PathBuf};

use bytes::Bytes;
use sandmill_model::{OutcomeKind, Output, RunId, Timestamp, WorkspaceId, run::FinishedRun};
use sandmill_store::{
    Store, StoreError, connect_with,
    history::LogCursor,
    objects::{Options, Place},
    retention::Old,
};
use tempfile::TempDir;

use crate::fixture::{Database, claim, complete, finished, join, json, new_run, on_both, tick, workspace};

on_both![
    what_is_large_is_kept_apart,
    what_ends_in_the_queue_too,
    what_is_missing_or_changed_is_told,
    a_folder_that_takes_nothing_holds_nobody_up,
    what_nobody_refers_to_is_swept,
];

const INLINE_BYTES_MAX: usize = 1000;
/// Any time after the files of a test were written, and any before.
const LATER: Timestamp = Timestamp::from_micros(4_000_000_000_000_000);
const EARLIER: Timestamp = Timestamp::from_micros(1_000_000_000_000_000);

async fn open(database: &Database, folder: &TempDir) -> Store {
    let options = Options { place: Place::Folder(folder.path().join("objects")), inline_result_bytes_max: INLINE_BYTES_MAX };
    connect_with(&database.options(), Some(&options)).await.unwrap()
}

fn returning(of: WorkspaceId, output: Output) -> FinishedRun {
    let mut done = finished(new_run(of), OutcomeKind::Ok);
    done.outcome.output = Some(output);
    done
}

fn bytes(count: usize) -> Output {
    Output::Bytes { content_type: "image/png".to_owned(), data: vec![7; count].into() }
}

/// Files of a workspace.
fn files(folder: &TempDir, of: WorkspaceId) -> Vec<PathBuf> {
    let folder = folder.path().join("objects").join(of.to_string());
    let mut files: Vec<PathBuf> = fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// What a run returned, as its record has it and as it was.
async fn output(store: &Store, of: WorkspaceId, run: RunId) -> (Output, Result<Output, StoreError>) {
    let recorded = store.history.run(of, run).await.unwrap().unwrap().output.unwrap();
    (recorded.clone(), store.objects.output(of, run, recorded).await)
}

async fn what_is_large_is_kept_apart(database: Database) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&database, &folder).await;
    let of = workspace();
    let text = |count: usize| Output::Json(json(&format!("\"{}\"", "x".repeat(count - 2))));
    let unicode = Output::Json(json(&format!("[1.50, \"{}\\u0000\"]", "ü".repeat(1000))));
    let no_type = Output::Bytes { content_type: String::new(), data: Bytes::from(vec![0; 2000]) };
    let outputs = [
        (text(INLINE_BYTES_MAX), false),
        (text(INLINE_BYTES_MAX + 1), true),
        (bytes(INLINE_BYTES_MAX), false),
        (bytes(INLINE_BYTES_MAX + 1), true),
        (bytes(8 * 1024 * 1024), true),
        (unicode, true),
        (no_type, true),
    ];
    let runs: Vec<FinishedRun> = outputs.iter().map(|(output, _)| returning(of, output.clone())).collect();
    store.history.append(runs.clone()).await.unwrap();
    store.history.append(runs.clone()).await.unwrap();
    for (done, (returned, is_apart)) in runs.iter().zip(outputs) {
        let (recorded, fetched) = output(&store, of, done.run.id).await;
        assert_eq!(matches!(recorded, Output::Kept(_)), is_apart);
        assert!(fetched.unwrap() == returned);
        if let Output::Kept(kept) = recorded {
            assert_eq!(kept.bytes, returned.len_bytes() as u64);
        }
    }
    assert_eq!(files(&folder, of).len(), 5);
    // Another node with the same folder, and one that has none.
    let (other, without) = (open(&database, &folder).await, database.open().await);
    assert!(output(&other, of, runs[4].run.id).await.1.unwrap() == bytes(8 * 1024 * 1024));
    let gone = output(&without, of, runs[4].run.id).await.1;
    assert!(matches!(gone, Err(StoreError::Gone(_))), "{:?}", gone.err());
}

async fn what_ends_in_the_queue_too(database: Database) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&database, &folder).await;
    let of = workspace();
    let run = new_run(of);
    store.queue.enqueue(vec![run.clone()]).await.unwrap();
    let now = tick();
    let slept = join(&store, "slept", now).await;
    claim(&store, slept, now, 1).await;
    // It is thought dead, and another node runs the run and returns something else.
    let later = Timestamp::from_micros(now.micros() + 10_000_000);
    store.nodes.bury(later).await.unwrap();
    let node = join(&store, "node", later).await;
    assert_eq!(claim(&store, node, later, 1).await.len(), 1);
    let done = |attempt: u32, output: Output| FinishedRun { run: run.clone(), attempt, ..returning(of, output) };
    let large = |digit: &str| Output::Json(json(&format!("\"{}\"", digit.repeat(5000))));
    assert_eq!(complete(&store, node, vec![done(2, large("1"))]).await, [run.id]);
    assert_eq!(complete(&store, slept, vec![done(1, large("2"))]).await, []);
    assert!(output(&store, of, run.id).await.1.unwrap() == large("1"), "what came too late changed nothing");
    assert_eq!(files(&folder, of).len(), 2);
    assert_eq!(store.objects.sweep(LATER).await.unwrap(), 1);
    assert!(output(&store, of, run.id).await.1.unwrap() == large("1"));
}

async fn what_is_missing_or_changed_is_told(database: Database) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&database, &folder).await;
    let of = workspace();
    let done = returning(of, bytes(2000));
    store.history.append(vec![done.clone()]).await.unwrap();
    let file = files(&folder, of).remove(0);
    for changed in [vec![8; 2000], vec![7; 1999], Vec::new()] {
        fs::write(&file, changed).unwrap();
        let corrupt = output(&store, of, done.run.id).await.1;
        assert!(matches!(corrupt, Err(StoreError::Corrupt(_))), "{:?}", corrupt.err());
    }
    fs::remove_file(file).unwrap();
    let gone = output(&store, of, done.run.id).await.1;
    assert!(matches!(gone, Err(StoreError::Gone(_))), "{:?}", gone.err());
    assert!(store.history.log(of, done.run.id, LogCursor::START).await.unwrap().is_some(), "all else is there");
}

async fn a_folder_that_takes_nothing_holds_nobody_up(database: Database) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&database, &folder).await;
    let of = workspace();
    // Where its folder should be is a file.
    fs::write(folder.path().join("objects").join(of.to_string()), "in the way").unwrap();
    let (large, small) = (returning(of, bytes(2000)), returning(of, bytes(10)));
    store.history.append(vec![large.clone(), small.clone()]).await.unwrap();
    for done in [&large, &small] {
        let (kept, read) = output(&store, of, done.run.id).await;
        assert!(!matches!(kept, Output::Kept(_)), "in the database");
        assert_eq!(Some(read.unwrap()), done.outcome.output);
    }
    fs::remove_file(folder.path().join("objects").join(of.to_string())).unwrap();
    let done = returning(of, bytes(2000));
    store.history.append(vec![done.clone()]).await.unwrap();
    assert!(output(&store, of, done.run.id).await.1.is_ok());
}

async fn what_nobody_refers_to_is_swept(database: Database) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&database, &folder).await;
    let (of, other) = (workspace(), workspace());
    let runs: Vec<FinishedRun> = [of, of, other].map(|of| returning(of, bytes(2000))).to_vec();
    store.history.append(runs.clone()).await.unwrap();
    // Left by a node that died before the record was written; and what is none of ours.
    let lost = returning(of, bytes(3000));
    let (kept, _) = output(&store, of, runs[0].run.id).await;
    let Output::Kept(kept) = kept else { panic!("{kept:?}") };
    let here = folder.path().join("objects").join(of.to_string());
    fs::write(here.join(format!("{}-{}", lost.run.id, &kept.digest.hex()[..16])), "lost").unwrap();
    fs::write(here.join("README"), "not ours").unwrap();
    assert_eq!(store.objects.sweep(EARLIER).await.unwrap(), 0, "too young");
    assert_eq!(store.objects.sweep(LATER).await.unwrap(), 1);
    assert_eq!(store.objects.sweep(LATER).await.unwrap(), 0);
    assert_eq!(files(&folder, of).len(), 3);
    for done in &runs {
        assert!(output(&store, done.run.workspace, done.run.id).await.1.is_ok());
    }
    let old = Old { workspace: of, accepted_before: LATER, ended_before: LATER };
    assert_eq!(store.retention.forget(old, None).await.unwrap().runs, 2);
    assert_eq!(store.objects.sweep(LATER).await.unwrap(), 2, "with the runs go their results");
    assert_eq!(files(&folder, of).len(), 1);
    assert!(output(&store, other, runs[2].run.id).await.1.is_ok(), "another's stay");
}
