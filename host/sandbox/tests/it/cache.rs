//! Compiled code on disk: found again, never trusted, never too much.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use sandmill_model::{JsonText, Limits, OutcomeKind, RunId};
use sandmill_sandbox::{Call, CallInput, Program, ProgramKey, Sandbox};

use crate::testing::{assert_kind, compiled, key, open, run_id, testbed, workspace};

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "code"));
    files.sort();
    files
}

async fn works(sandbox: &Sandbox<()>, program: Arc<Program<()>>) {
    let run: RunId = run_id();
    let input = CallInput::Arguments(JsonText::trusted(r#"{"name":"bob","mode":"count"}"#));
    let call = Call { run, workspace: workspace(1), program, module: None, input, limits: Limits::default(), host: () };
    assert_kind(&sandbox.run(call).await, OutcomeKind::Ok);
}

#[tokio::test]
async fn a_later_process_finds_what_was_installed() {
    let bed = testbed(|_| {});
    assert!(bed.sandbox.load(key("hello")).unwrap().is_none());
    let program = bed.program("hello");
    assert!(Arc::ptr_eq(&program, &bed.sandbox.load(key("hello")).unwrap().unwrap()), "it is in memory");
    works(&bed.sandbox, program).await;
    let later = open(&bed.cache_dir, |_| {});
    let program = later.load(key("hello")).unwrap().unwrap();
    works(&later, program).await;
    assert_eq!(later.code(key("hello")).unwrap().unwrap(), *compiled("hello"));
    assert!(later.code(key("chaos")).unwrap().is_none());

    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&bed.cache_dir), 0o700);
    assert_eq!(mode(&bed.cache_dir.join("key")), 0o600);
    assert_eq!(mode(&files(&bed.cache_dir)[0]), 0o600);
}

#[tokio::test]
async fn an_altered_file_is_removed() {
    let bed = testbed(|_| {});
    drop(bed.program("hello"));
    let file = files(&bed.cache_dir).remove(0);
    let whole = fs::read(&file).unwrap();
    let flipped = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        bytes
    };
    let mut longer = whole.clone();
    longer.push(0);
    for (what, bytes) in [
        ("first byte", flipped(0)),
        ("middle", flipped(whole.len() / 2)),
        ("digest", flipped(whole.len() - 1)),
        ("cut", whole[..whole.len() / 2].to_vec()),
        ("cut to less than a digest", whole[..7].to_vec()),
        ("empty", Vec::new()),
        ("longer", longer),
    ] {
        // As another process would leave it: this one has the old file mapped.
        fs::remove_file(&file).unwrap();
        fs::write(&file, bytes).unwrap();
        let later = open(&bed.cache_dir, |_| {});
        assert!(later.load(key("hello")).unwrap().is_none(), "{what}");
        assert!(files(&bed.cache_dir).is_empty(), "{what}");
        let program = later.install(key("hello"), &compiled("hello")).unwrap();
        works(&later, program).await;
    }
}

#[tokio::test]
async fn a_file_under_another_name_or_key_is_not_believed() {
    let bed = testbed(|_| {});
    drop(bed.program("hello"));
    let hello = files(&bed.cache_dir).remove(0);
    let name = hello.file_name().unwrap().to_str().unwrap();
    fs::copy(&hello, bed.cache_dir.join(name.replace(&key("hello").hex(), &key("chaos").hex()))).unwrap();
    let later = open(&bed.cache_dir, |_| {});
    assert!(later.load(key("chaos")).unwrap().is_none());
    assert!(later.load(key("hello")).unwrap().is_some());

    fs::write(bed.cache_dir.join("key"), "short").unwrap();
    let later = open(&bed.cache_dir, |_| {});
    assert!(later.load(key("hello")).unwrap().is_none(), "there is a new key");
}

/// The same code three times: of the host, and of two workspaces.
#[tokio::test]
async fn what_one_workspace_has_is_not_there_for_another() {
    let bed = testbed(|_| {});
    let of = |number| ProgramKey { workspace: Some(workspace(number)), ..key("hello").into() };
    let shared = bed.program("hello");
    assert!(bed.sandbox.load(of(1)).unwrap().is_none(), "what all share is another program");
    let first = bed.sandbox.install(of(1), &compiled("hello")).unwrap();
    assert!(bed.sandbox.load(of(2)).unwrap().is_none() && bed.sandbox.code(of(2)).unwrap().is_none());
    let second = bed.sandbox.install(of(2), &compiled("hello")).unwrap();
    assert!(!Arc::ptr_eq(&first, &second) && !Arc::ptr_eq(&first, &shared));
    assert_eq!(files(&bed.cache_dir).len(), 3);
    let later = open(&bed.cache_dir, |_| {});
    assert!(later.load(of(3)).unwrap().is_none());
    works(&later, later.load(of(2)).unwrap().unwrap()).await;

    // One's file in the place of another's is not believed.
    let [one, two] = [1, 2].map(|number| {
        let alone = testbed(|_| {});
        drop(alone.sandbox.install(of(number), &compiled("hello")).unwrap());
        files(&alone.cache_dir).remove(0).file_name().unwrap().to_owned()
    });
    fs::remove_file(bed.cache_dir.join(&two)).unwrap();
    fs::copy(bed.cache_dir.join(&one), bed.cache_dir.join(&two)).unwrap();
    assert!(open(&bed.cache_dir, |_| {}).load(of(2)).unwrap().is_none());
}

#[tokio::test]
async fn code_of_a_workspace_goes_with_it() {
    let bed = testbed(|_| {});
    let of = |number, name| ProgramKey { workspace: Some(workspace(number)), ..key(name).into() };
    drop(bed.program("hello"));
    for (number, name) in [(1, "hello"), (1, "chaos"), (2, "hello")] {
        drop(bed.sandbox.install(of(number, name), &compiled(name)).unwrap());
    }
    let held = bed.sandbox.load(of(1, "hello")).unwrap().unwrap();
    // Another process may have written them.
    let later = open(&bed.cache_dir, |_| {});
    assert_eq!(later.forget(workspace(1)), 2);
    assert_eq!((later.forget(workspace(1)), later.forget(workspace(3))), (0, 0));
    assert_eq!(files(&bed.cache_dir).len(), 2);
    assert!(later.load(of(2, "hello")).unwrap().is_some() && later.load(key("hello")).unwrap().is_some());
    assert!(bed.sandbox.load(of(1, "hello")).unwrap().is_some(), "there it is in memory");
    bed.sandbox.forget(workspace(1));
    assert!(bed.sandbox.load(of(1, "hello")).unwrap().is_none());
    works(&bed.sandbox, held).await;
}

#[tokio::test]
async fn a_disk_that_takes_nothing_costs_only_the_next_start() {
    let bed = testbed(|_| {});
    fs::remove_dir_all(&bed.cache_dir).unwrap();
    let program = bed.program("hello");
    works(&bed.sandbox, program).await;
    assert!(bed.sandbox.load(key("hello")).unwrap().is_some(), "it is in memory");
}

#[tokio::test]
async fn the_longest_unused_goes_first_from_disk_and_from_memory() {
    let size = (compiled("hello").len() + compiled("chaos").len() + 1024) as u64;
    let bed = testbed(|options| {
        options.cache_bytes_max = size;
        options.programs_max = 2;
    });
    let hello = bed.program("hello");
    drop(bed.program("chaos"));
    assert_eq!(files(&bed.cache_dir).len(), 2);
    let later = open(&bed.cache_dir, |options| options.cache_bytes_max = size);
    assert!(later.load(key("hello")).unwrap().is_some());
    let preprocess = later.install(key("preprocess"), &compiled("preprocess")).unwrap();
    assert!(open(&bed.cache_dir, |_| {}).load(key("chaos")).unwrap().is_none(), "chaos was unused for longest");
    assert!(open(&bed.cache_dir, |_| {}).load(key("preprocess")).unwrap().is_some());
    works(&later, preprocess).await;

    drop(bed.program("preprocess"));
    assert!(!Arc::ptr_eq(&hello, &bed.program("hello")), "of three programs two are in memory");
    works(&bed.sandbox, hello).await;
}
