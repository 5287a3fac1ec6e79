//! Looks for changes and deploys them, one batch after the other.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    path::PathBuf,
    pin::{Pin, pin},
    time::{Duration, Instant},
};

use sandmill_model::ScriptPath;

use super::{
    PAUSE,
    call::{self, Call},
    desk::{Desk, News},
    scope::Scope,
    watch::{Change, Watch, snapshot},
};
use crate::{
    bundle,
    commands::{build, push},
    console::Console,
    error::{CliError, Exit},
    files::ScriptFile,
    project::Entry,
    render::{self, Paint},
};

/// Between two looks at the files.
const LOOK: Duration = Duration::from_millis(20);
/// The same while a change may not be complete.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// New files are looked for each half second.
const LOOKS_PER_REFRESH: u32 = 25;

/// What came of one batch.
pub(super) enum Work {
    Nothing,
    /// All of it; since when the change is known.
    Deployed(Instant),
    Failed(Exit),
    /// The server cannot be reached; what is left is kept.
    Away,
}

/// What others made, and scripts are made with.
#[derive(Clone)]
pub(super) struct Tools {
    pub(super) build: build::Tools,
    pub(super) bundler: bundle::Bundler,
}

/// What is to be deployed.
#[derive(Default)]
struct Todo {
    /// When the first of the changes was noticed.
    since: Option<Instant>,
    build: bool,
    entries: Vec<Entry>,
}

impl Todo {
    fn add(&mut self, entry: &Entry, since: Instant) {
        self.since.get_or_insert(since);
        if !self.entries.contains(entry) {
            self.entries.push(entry.clone());
        }
    }

    fn add_build(&mut self, since: Instant) {
        self.since.get_or_insert(since);
        self.build = true;
    }
}

type Calling<'a> = Pin<Box<dyn Future<Output = Result<(), Exit>> + 'a>>;

pub(super) struct Deployer<'a> {
    desk: &'a Desk,
    tools: Tools,
    scope: Scope,
    watch: Watch,
    todo: Todo,
    /// Files that could not be deployed as they were.
    failing: BTreeSet<PathBuf>,
    deployed: BTreeMap<PathBuf, ScriptPath>,
    /// Grants that were said to be missing.
    missing: BTreeMap<ScriptPath, Vec<String>>,
    looks: u32,
    /// When the server is asked again.
    not_before: Option<Instant>,
    /// What is wrong with the folder, as it was said.
    fault: Option<String>,
}

impl<'a> Deployer<'a> {
    /// Everything is to be deployed.
    pub(super) fn new(desk: &'a Desk, scope: Scope, tools: Tools) -> Self {
        desk.set_paths(scope.entries());
        let now = Instant::now();
        let todo = Todo { since: Some(now), build: scope.build().is_some(), entries: scope.entries().to_vec() };
        Self {
            desk,
            tools,
            watch: Watch::new(snapshot(scope.files())),
            scope,
            todo,
            failing: BTreeSet::new(),
            deployed: BTreeMap::new(),
            missing: BTreeMap::new(),
            looks: 0,
            not_before: None,
            fault: None,
        }
    }

    /// For ever. A call that goes on while the next change is deployed is not waited for any longer.
    pub(super) async fn run(&mut self, call: Option<&'a Call>) -> Infallible {
        let mut calling: Option<Calling<'a>> = None;
        loop {
            if let Work::Deployed(since) = self.work().await
                && let Some(call) = call
            {
                calling = Some(Box::pin(call::execute(self.desk, call, since)));
            }
            let mut pause = pin!(tokio::time::sleep(if self.watch.is_settling() { LOOK_AGAIN } else { LOOK }));
            loop {
                tokio::select! {
                    () = &mut pause => break,
                    () = ended(&mut calling) => {}
                }
            }
            self.look();
        }
    }

    fn look(&mut self) {
        self.looks = self.looks.wrapping_add(1);
        if self.looks.is_multiple_of(LOOKS_PER_REFRESH) {
            self.refresh();
        }
        let now = snapshot(self.scope.files());
        for change in self.watch.look(&now, Instant::now()) {
            self.take(change);
        }
    }

    fn refresh(&mut self) {
        let fault = self.scope.refresh().err();
        self.desk.set_paths(self.scope.entries());
        let text = fault.as_ref().map(|fault| render::error(fault, Paint::Plain));
        if let Some(fault) = fault.filter(|_| text != self.fault) {
            self.desk.failed(&self.scope.place(), &fault, Duration::ZERO);
        }
        self.fault = text;
    }

    fn take(&mut self, change: Change) {
        let Change { file, mark, since } = change;
        if file == self.scope.settings() {
            self.reopen(since);
            return;
        }
        let users: Vec<Entry> = self.scope.users_of(&file).cloned().collect();
        for entry in &users {
            self.todo.add(entry, since);
        }
        let entry = self.scope.entry_of(&file).cloned();
        let is_script = entry.as_ref().is_some_and(|entry| entry.file == file) || self.deployed.contains_key(&file);
        match entry {
            _ if mark.is_none() && is_script => {
                self.failing.remove(&file);
                if let Some(path) = self.deployed.remove(&file) {
                    self.desk.gone(&file, &path);
                }
            }
            Some(entry) => self.todo.add(&entry, since),
            None if !users.is_empty() => {}
            None if self.scope.build().is_some() => self.todo.add_build(since),
            None => {}
        }
    }

    /// The settings have changed: what goes elsewhere now is deployed there, and what is new.
    fn reopen(&mut self, since: Instant) {
        let settings = self.scope.settings();
        let scope = match self.scope.reopened() {
            Ok(scope) => scope,
            Err(error) => {
                self.desk.failed(&settings, &error, since.elapsed());
                self.failing.insert(settings);
                return;
            }
        };
        if self.failing.remove(&settings) {
            self.desk.fixed(&settings);
        }
        for entry in scope.entries().iter().filter(|entry| !self.scope.entries().contains(entry)) {
            self.todo.add(entry, since);
        }
        if scope.build().is_some() && scope.build() != self.scope.build() {
            self.todo.add_build(since);
        }
        // What is new is deployed because of the settings, not a second time because it is new.
        self.watch.forgive(scope.files().difference(self.scope.files()));
        self.scope = scope;
        self.todo.entries.retain(|entry| self.scope.entries().contains(entry));
        self.desk.set_paths(self.scope.entries());
    }

    /// Deploys what there is to deploy, and says what came of it.
    pub(super) async fn work(&mut self) -> Work {
        let is_idle = self.todo.entries.is_empty() && !self.todo.build;
        if is_idle || self.not_before.is_some_and(|at| Instant::now() < at) {
            return Work::Nothing;
        }
        self.not_before = None;
        let since = self.todo.since.unwrap_or_else(Instant::now);
        let mut worst = None;
        if self.todo.build {
            worst = self.build(since).await.err();
        }
        while let Some(entry) = self.todo.entries.first().cloned() {
            match self.deploy(&entry, since).await {
                Ok(()) => {}
                Err(error @ CliError::Unreachable(_)) => {
                    self.desk.lost(&error);
                    self.not_before = Some(Instant::now() + PAUSE);
                    return Work::Away;
                }
                Err(error) => {
                    self.desk.back();
                    self.desk.failed(&entry.file, &error, since.elapsed());
                    self.failing.insert(entry.file);
                    worst = worst.max(Some(error.exit()));
                }
            }
            self.todo.entries.remove(0);
        }
        self.todo = Todo::default();
        worst.map_or(Work::Deployed(since), Work::Failed)
    }

    async fn deploy(&mut self, entry: &Entry, since: Instant) -> Result<(), CliError> {
        let (script, inputs) = ScriptFile::load_with_inputs(&entry.file, &self.tools.bundler).await;
        // They were read as they are now.
        let news = self.scope.set_inputs(&entry.file, inputs);
        self.watch.forgive(&news);
        let script = script?;
        let deployed = push::deploy(self.desk.server(), &script, &entry.path).await?;
        self.desk.back();
        let was_failing = self.failing.remove(&entry.file);
        let is_missing_news = self.missing.get(&entry.path).map_or(&[][..], Vec::as_slice) != deployed.missing;
        self.desk.deployed(&News { file: &entry.file, deployed: &deployed, took: since.elapsed(), was_failing, is_missing_news });
        self.missing.insert(entry.path.clone(), deployed.missing);
        self.deployed.insert(entry.file.clone(), entry.path.clone());
        Ok(())
    }

    /// Builds, on a thread of its own, so that logs go on. What it makes is deployed next; if it fails, what it made before is not.
    async fn build(&mut self, since: Instant) -> Result<(), Exit> {
        self.todo.build = false;
        let Some(project) = self.scope.project().cloned() else { return Ok(()) };
        let (tools, mut console) = (self.tools.build.clone(), Console::of_process(self.desk.is_json()));
        let output = project.root().join(project.build().map(|build| build.output.clone()).unwrap_or_default());
        let built = tokio::task::spawn_blocking(move || build::of_project(&project, &tools, &mut console).map(|_| ())).await;
        match built.unwrap_or_else(|error| Err(CliError::input(format!("the build broke off: {error}")))) {
            Ok(()) => {
                self.refresh();
                let made: Vec<Entry> = self.scope.entries().iter().filter(|entry| self.scope.makes(entry)).cloned().collect();
                for entry in &made {
                    self.todo.add(entry, since);
                }
                self.watch.forgive(made.iter().map(|entry| &entry.file));
                let is_deployed = made.iter().any(|entry| entry.file == output);
                if !is_deployed && self.failing.remove(&output) {
                    self.desk.fixed(&output);
                }
                Ok(())
            }
            Err(error) => {
                self.desk.failed(&output, &error, since.elapsed());
                self.failing.insert(output);
                let scope = &self.scope;
                self.todo.entries.retain(|entry| !scope.makes(entry));
                Err(error.exit())
            }
        }
    }
}

/// Never, if nothing is called.
async fn ended(calling: &mut Option<Calling<'_>>) {
    match calling {
        Some(call) => {
            // What it came to was said.
            let _said = call.await;
            *calling = None;
        }
        None => std::future::pending().await,
    }
}
