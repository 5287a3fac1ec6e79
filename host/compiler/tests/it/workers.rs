//! Workers that hang, die or are given up, and how they are confined.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::Mutex,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal};
use sandmill_compiler::{Compiler, Options, limits};
use sandmill_model::{
    Language::TypeScript,
    build::{BuildError, BuildRequest, Builder as _},
};

use crate::{options, request, wait};

const SOURCE: &str = "export function main() {}";

/// A program that does as `script` says instead of building.
fn impostor(folder: &Path, script: &str) -> PathBuf {
    let file = folder.join("worker");
    fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o700)).unwrap();
    file
}

#[test]
fn workers_that_do_not_work() {
    let folder = tempfile::tempdir().unwrap();
    for (script, part) in [
        ("exec sleep 60", "did not finish within 0.5 s"),
        ("exit 3", "died"),
        ("echo memory allocation of 99 bytes failed >&2; kill -ABRT $$", "MiB of memory"),
        ("echo \"thread 'build' has overflowed its stack\" >&2; kill -ABRT $$", "nested too deeply"),
        ("kill -KILL $$", "ran out of memory"),
        ("kill -XCPU $$", "processor time"),
        ("head -c 100 /dev/zero | tr '\\0' '\\377'; exec sleep 60", "protocol"),
        ("printf 'not a frame'; exit 0", "died"),
    ] {
        let wall = if script.contains("sleep") { Duration::from_millis(500) } else { Duration::from_secs(60) };
        let compiler = Compiler::new(Options { wall, ..Options::new(impostor(folder.path(), script)) });
        let began = Instant::now();
        let error = wait(compiler.build(request(TypeScript, SOURCE))).unwrap_err();
        assert!(error.to_string().contains(part), "{script}: {error}");
        assert!(began.elapsed() < Duration::from_secs(20), "{script}");
    }
    let compiler = Compiler::new(Options::new(folder.path().join("missing")));
    let error = wait(compiler.build(request(TypeScript, SOURCE))).unwrap_err();
    assert!(matches!(&error, BuildError::Unavailable(message) if message.contains("could be started")), "{error}");
}

/// A compiler of one worker, and the file that its pid is written to.
pub(crate) fn watched(folder: &Path) -> (Compiler, PathBuf) {
    let pid = folder.join("pid");
    let worker = env!("CARGO_BIN_EXE_sandmill-build-worker");
    let file = impostor(folder, &format!("echo $$ > {}\nexec {worker} build-worker", pid.display()));
    (Compiler::new(Options { workers: 1, ..Options::new(file) }), pid)
}

pub(crate) fn read_pid(file: &Path) -> i32 {
    fs::read_to_string(file).unwrap().trim().parse().unwrap()
}

/// Whether one of its threads computes.
fn is_busy(pid: i32) -> bool {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    threads.filter_map(|thread| fs::read_to_string(thread.path().join("status")).ok()).any(|status| status.contains("State:\tR"))
}

fn is_alive(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/status")).is_ok_and(|status| !status.contains("State:\tZ"))
}

fn kill(pid: i32) {
    rustix::process::kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
}

#[test]
fn a_worker_killed_in_the_middle_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let (compiler, pid_file) = watched(folder.path());
    wait(compiler.build(request(TypeScript, SOURCE))).unwrap();
    let pid = read_pid(&pid_file);
    let killed = async {
        while !is_busy(pid) {
            tokio::task::yield_now().await;
        }
        kill(pid);
    };
    let (result, ()) = wait(async { tokio::join!(compiler.build(request(TypeScript, "export function main() {}\nfor (;;) {}")), killed) });
    assert!(matches!(&result, Err(BuildError::LimitReached(message)) if message.contains("was killed")), "{result:?}");
    wait(compiler.build(request(TypeScript, SOURCE))).unwrap();
    assert_ne!(read_pid(&pid_file), pid);
}

#[test]
fn an_idle_worker_that_died_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let (compiler, pid_file) = watched(folder.path());
    wait(compiler.build(request(TypeScript, SOURCE))).unwrap();
    let pid = read_pid(&pid_file);
    wait(compiler.build(request(TypeScript, SOURCE))).unwrap();
    assert_eq!(read_pid(&pid_file), pid, "it is kept between builds");
    kill(pid);
    // Until its last thread is gone: only then can the pool tell.
    while fs::read_dir(format!("/proc/{pid}/task")).is_ok_and(|threads| threads.count() > 1) || is_alive(pid) {
        std::thread::yield_now();
    }
    wait(compiler.build(request(TypeScript, SOURCE))).unwrap();
}

#[test]
fn a_build_that_nobody_waits_for_ends_its_worker() {
    let folder = tempfile::tempdir().unwrap();
    let (compiler, pid_file) = watched(folder.path());
    wait(compiler.build(request(TypeScript, SOURCE))).unwrap();
    let pid = read_pid(&pid_file);
    wait(async {
        let build = compiler.build(request(TypeScript, "export function main() {}\nfor (;;) {}"));
        assert!(tokio::time::timeout(Duration::from_millis(100), build).await.is_err());
    });
    wait(async {
        while is_alive(pid) {
            tokio::task::yield_now().await;
        }
    });
    wait(compiler.build(request(TypeScript, SOURCE))).unwrap();
}

#[test]
fn a_worker_has_little() {
    let folder = tempfile::tempdir().unwrap();
    let _open = fs::File::create(folder.path().join("open")).unwrap();
    let _listening = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (compiler, pid_file) = watched(folder.path());
    wait(compiler.build(request(TypeScript, SOURCE))).unwrap();
    let pid = read_pid(&pid_file);
    let of = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}"));
    // A process that cannot be dumped belongs to root, so these can be read by root only.
    if let Ok(limits) = of("limits") {
        let line = |name: &str| limits.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
        for (name, value) in
            [("Max data size", "2147483648"), ("Max core file size", "0"), ("Max open files", "64"), ("Max cpu time", "3600")]
        {
            assert!(line(name).contains(value), "{}", line(name));
        }
    }
    if let Ok(environment) = of("environ") {
        let ours = environment.split('\0').filter(|entry| !entry.is_empty() && !entry.starts_with("PWD=") && !entry.starts_with("_="));
        assert_eq!(ours.count(), 0, "{environment}");
    }
    if let Ok(files) = fs::read_dir(format!("/proc/{pid}/fd")) {
        let targets = files.flatten().filter_map(|file| fs::read_link(file.path()).ok());
        let ours: Vec<_> =
            targets.filter(|target| target.starts_with(folder.path()) || target.to_string_lossy().starts_with("socket:")).collect();
        assert!(ours.is_empty(), "{ours:?}");
    }
    // Each thread has its own; those that compile are started by the one that builds.
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
    let build =
        threads.map(|thread| fs::read_to_string(thread.path().join("stat")).unwrap()).find(|stat| stat.contains("(build)")).unwrap();
    assert_eq!(build.rsplit(')').next().unwrap().split_whitespace().nth(16), Some("5"), "{build}");
}

#[test]
fn many_at_once_share_the_workers() {
    let compiler = Compiler::new(Options { workers: 2, ..options() });
    let results = wait(async {
        let builds = (0..40).map(|number| {
            let compiler = compiler.clone();
            async move { compiler.build(request(TypeScript, format!("export function main(a{number}: string) {{}}"))).await }
        });
        futures_util::future::join_all(builds).await
    });
    for (number, result) in results.into_iter().enumerate() {
        assert!(result.unwrap().schema.as_str().contains(&format!("\"a{number}\"")));
    }
}

/// One worker; a workspace has 20 builds waiting before another comes with one.
#[test]
fn workspaces_take_turns() {
    let compiler = Compiler::new(Options { workers: 1, ..options() });
    let ended = Mutex::new(Vec::new());
    wait(async {
        let builds = (0..21).map(|number| {
            let (compiler, ended) = (&compiler, &ended);
            let workspace = crate::workspace(if number < 20 { 1 } else { 2 });
            async move {
                compiler.build(BuildRequest { workspace, ..request(TypeScript, SOURCE) }).await.unwrap();
                ended.lock().unwrap().push(number);
            }
        });
        futures_util::future::join_all(builds).await
    });
    let ended = ended.into_inner().unwrap();
    assert!(ended.iter().position(|number| *number == 20).unwrap() <= 2, "{ended:?}");
}

#[test]
fn a_build_does_not_wait_for_snapshots() {
    let compiler = Compiler::new(Options { workers: 1, ..options() });
    let module = crate::module_of(wait(compiler.build(request(TypeScript, SOURCE))).unwrap());
    wait(async {
        let snapshots = futures_util::future::join_all((0..4).map(|_| compiler.snapshot(module.clone())));
        let builds = async {
            for _ in 0..10 {
                compiler.build(request(TypeScript, SOURCE)).await.unwrap();
            }
        };
        let (snapshots, builds) = (std::pin::pin!(snapshots), std::pin::pin!(builds));
        let futures_util::future::Either::Right(((), snapshots)) = futures_util::future::select(snapshots, builds).await else {
            panic!("the snapshots ended first");
        };
        assert!(snapshots.await.iter().all(Result::is_ok));
    });
}

#[test]
fn a_warm_compiler_holds_the_runtime() {
    let folder = tempfile::tempdir().unwrap();
    let (compiler, pid_file) = watched(folder.path());
    compiler.provide_runtime(wait(crate::COMPILER.runtime_compiled()).unwrap());
    wait(compiler.warm_up()).unwrap();
    let pid = read_pid(&pid_file);
    wait(compiler.build(request(TypeScript, SOURCE))).unwrap();
    assert_eq!(read_pid(&pid_file), pid);
    compiler.provide_runtime(b"not code"[..].into());
    wait(compiler.build(request(TypeScript, SOURCE))).unwrap();
}

#[test]
fn too_many_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = impostor(folder.path(), "exec sleep 60");
    let compiler = Compiler::new(Options { workers: 1, wall: Duration::from_secs(2), ..Options::new(file) });
    let refused = wait(async {
        let builds = (0..limits::WORKSPACE_QUEUE_MAX + 10).map(|_| compiler.build(request(TypeScript, SOURCE)));
        let mut all: futures_util::stream::FuturesUnordered<_> = builds.collect();
        // The first to end are those that need not wait.
        let mut refused = 0;
        while let Some(result) = futures_util::StreamExt::next(&mut all).await {
            match result {
                Err(BuildError::Unavailable(message)) if message.contains("waiting already") => refused += 1,
                _ => break,
            }
        }
        refused
    });
    assert!((8..=10).contains(&refused), "{refused}");
}
