//! `sandmill test [PATH…]`: the cases of scripts, run in a local sandbox and held against what they expect.

mod case;
mod check;
mod diff;
mod fakes;
mod find;
mod junit;
mod report;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use sandmill_model::{Manifest, ScriptPath, grants::PathPattern};

use crate::{
    Session, bundle,
    commands::build,
    error::{CliError, Exit},
    files::ScriptFile,
    local::{LocalCase, LocalDeployment, LocalScript, LocalScriptId, LocalSession, LocalSetting, Outbound},
    project::Entry,
};
use case::Case;
use find::{Found, Suite};
use report::{Report, Tested};

#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Folders, scripts, or files of cases (hello.case.json beside hello.ts)
    #[arg(value_name = "DIR|FILE", default_value = ".")]
    paths: Vec<PathBuf>,
    /// Only cases with this text in the name of their script or their own
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// Write what came of it as JUnit XML, too
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Run what is there, without building a project that has [build]
    #[arg(long)]
    no_build: bool,
    #[command(flatten)]
    tools: build::Tools,
    #[command(flatten)]
    bundler: bundle::Bundler,
    #[command(flatten)]
    outbound: Outbound,
}

pub(crate) async fn execute(options: Options, session: &mut Session<'_>) -> Result<(), CliError> {
    let Found { suites, faults } = find::suites(&options.paths)?;
    let mut worst: Option<Exit> = None;
    for fault in &faults {
        say_fault(fault, &mut worst, session);
    }
    let mut ready = Vec::new();
    for suite in suites {
        if !options.no_build
            && let Err(fault) = build::before_use(&suite.script, &options.tools, session)
        {
            say_fault(&fault, &mut worst, session);
            continue;
        }
        match cases(&suite, options.filter.as_deref()) {
            Ok(cases) if cases.is_empty() => {}
            Ok(cases) => ready.push((suite, cases)),
            Err(fault) => say_fault(&fault, &mut worst, session),
        }
    }
    let mut reports = Vec::new();
    if !ready.is_empty() {
        let local = session.local.open(options.outbound.clone()).await?;
        let mut bench = Bench { local, bundler: options.bundler, built: BTreeMap::new() };
        for (suite, cases) in ready {
            if let Err(fault) = bench.hold(&suite, cases, &mut reports, session).await {
                say_fault(&fault, &mut worst, session);
                if matches!(fault, CliError::Unreachable(_)) {
                    break;
                }
            }
        }
        bench.local.close().await?;
    } else if worst.is_none() {
        return Err(CliError::input("no case fits --filter; without it all are run"));
    }
    report::conclude(&reports, session);
    if let Some(file) = &options.junit {
        fs::write(file, junit::document(&reports)).map_err(|error| CliError::input(format!("cannot write {}: {error}", file.display())))?;
    }
    if report::counts(&reports).1 > 0 {
        worst = worst.max(Some(Exit::RunFailed));
    }
    worst.map_or(Ok(()), |exit| Err(CliError::Said(exit)))
}

fn say_fault(fault: &CliError, worst: &mut Option<Exit>, session: &mut Session<'_>) {
    session.console.error(fault);
    *worst = (*worst).max(Some(fault.exit()));
}

/// Of all its files, in order; those that the filter leaves, with the ones before them that they continue.
fn cases(suite: &Suite, filter: Option<&str>) -> Result<Vec<Case>, CliError> {
    let mut all = Vec::new();
    for file in &suite.case_files {
        all.extend(case::read(file)?);
    }
    let Some(filter) = filter else { return Ok(all) };
    let script = find::shown(&suite.script);
    let fits: Vec<bool> = all.iter().map(|case| script.contains(filter) || case.name.contains(filter)).collect();
    let continues: Vec<bool> = all.iter().map(|case| case.continues).collect();
    let is_kept = |index: usize| {
        // Itself, or one that follows it in a row of those that continue.
        (index..fits.len()).take_while(|next| *next == index || continues[*next]).any(|next| fits[next])
    };
    let kept = all.into_iter().enumerate().filter(|(index, _)| is_kept(*index));
    Ok(kept.map(|(_, case)| case).collect())
}

/// One sandbox for all, and what it has built.
struct Bench {
    local: Box<dyn LocalSession>,
    bundler: bundle::Bundler,
    built: BTreeMap<PathBuf, (LocalScriptId, Manifest)>,
}

/// A script at its path.
struct Placed {
    script: LocalScriptId,
    path: ScriptPath,
    manifest: Manifest,
}

impl Bench {
    /// Runs the cases of one script. A case whose fakes are not possible is said, and the others go on.
    async fn hold(
        &mut self,
        suite: &Suite,
        cases: Vec<Case>,
        reports: &mut Vec<Report>,
        session: &mut Session<'_>,
    ) -> Result<(), CliError> {
        let placed = self.place(suite).await?;
        reports.push(Report { script: find::shown(&suite.script), cases: Vec::new() });
        let (mut worst, mut is_broken) = (None, false);
        for case in cases {
            // What it continues is not there.
            if is_broken && case.continues {
                continue;
            }
            is_broken = false;
            match self.run(&suite.path, &placed, &case).await {
                Ok(tested) => {
                    let Some(report) = reports.last_mut() else { continue };
                    report::say(&report.script, &tested, session);
                    report.cases.push(tested);
                }
                Err(CliError::Input(fault)) => {
                    let fault = CliError::input(format!("{}: {}: {fault}", find::shown(&suite.script), case.name));
                    say_fault(&fault, &mut worst, session);
                    is_broken = true;
                }
                Err(fault) => return Err(fault),
            }
        }
        worst.map_or(Ok(()), |exit| Err(CliError::Said(exit)))
    }

    /// The script, and after it those of its project that runs of it may start.
    async fn place(&mut self, suite: &Suite) -> Result<Vec<Placed>, CliError> {
        let (script, manifest) = self.build(&suite.script).await?;
        let mut placed = vec![Placed { script, path: suite.path.clone(), manifest }];
        let mut next = 0;
        while let Some(one) = placed.get(next) {
            let reached = reached(one, &suite.entries);
            for entry in reached {
                if placed.iter().any(|known| known.path == entry.path) {
                    continue;
                }
                let (script, manifest) = self.build(&entry.file).await?;
                placed.push(Placed { script, path: entry.path, manifest });
            }
            next += 1;
        }
        Ok(placed)
    }

    async fn build(&mut self, file: &Path) -> Result<(LocalScriptId, Manifest), CliError> {
        if let Some(known) = self.built.get(file) {
            return Ok(known.clone());
        }
        let ScriptFile { file: named, language, source, manifest } = ScriptFile::load(file, &self.bundler).await?;
        let id = self.local.build(LocalScript { file: named, language, source, manifest: manifest.clone() }).await?;
        self.built.insert(file.to_owned(), (id, manifest.clone()));
        Ok((id, manifest))
    }

    async fn run(&mut self, path: &ScriptPath, placed: &[Placed], case: &Case) -> Result<Tested, CliError> {
        if case.fakes.runs.contains_key(path) {
            return Err(CliError::input(format!("fakes: runs: {path} is the script itself")));
        }
        let setting = if case.continues { LocalSetting::Same } else { fresh(placed, case) };
        let state_keys = case.expected.state.keys().cloned().collect();
        let (input, idempotency_key) = (case.input.clone(), case.idempotency_key.clone());
        let end = self.local.run(LocalCase { setting, path: path.clone(), input, idempotency_key, state_keys }).await?;
        let check::Held { faults, log } = check::hold(&case.expected, &end);
        Ok(Tested { name: case.name.clone(), took: end.took, faults, unseen: case.unseen.clone(), log })
    }
}

/// Scripts of the project that runs of this one may start, its error handler among them.
fn reached(one: &Placed, entries: &[Entry]) -> Vec<Entry> {
    let Manifest { grants, dispatch, .. } = &one.manifest;
    let is_reached = |path: &ScriptPath| {
        let pattern = PathPattern::from(path);
        grants.runs.iter().any(|asked| asked.covers(&pattern)) || dispatch.error_handler.as_ref() == Some(path)
    };
    entries.iter().filter(|entry| is_reached(&entry.path)).cloned().collect()
}

/// A fake takes the place of a script of the project.
fn fresh(placed: &[Placed], case: &Case) -> LocalSetting {
    let there: Vec<&Placed> = placed.iter().filter(|one| !case.fakes.runs.contains_key(&one.path)).collect();
    let paths: Vec<ScriptPath> = there.iter().map(|one| one.path.clone()).collect();
    let deployment = |one: &&Placed| LocalDeployment {
        script: one.script,
        path: one.path.clone(),
        given: fakes::given(&one.manifest.grants, &case.fakes, &paths),
    };
    LocalSetting::Fresh { deployments: there.iter().map(deployment).collect(), fakes: Box::new(case.fakes.clone()) }
}
