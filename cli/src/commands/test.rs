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
use report::{Broken, Report, Tested};

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
    // That there cannot be one is told before anything runs.
    let sheet = options.junit.as_deref().map(junit::Sheet::open).transpose()?;
    let mut course = Course::default();
    let done = run(options, &mut course, session).await;
    if let Err(fault) = &done {
        course.reports.push(Report::broken("sandmill test".to_owned(), fault));
    }
    let written = sheet.map_or(Ok(()), |sheet| sheet.write(&course.reports));
    done.and(written)?;
    course.worst.map_or(Ok(()), |exit| Err(CliError::Said(exit)))
}

/// What came of it so far.
#[derive(Default)]
struct Course {
    reports: Vec<Report>,
    worst: Option<Exit>,
}

impl Course {
    fn say(&mut self, fault: &CliError, session: &mut Session<'_>) {
        session.console.error(fault);
        self.worst = self.worst.max(Some(fault.exit()));
    }

    /// A file of which nothing can be run; the others go on.
    fn broken(&mut self, file: &Path, fault: &CliError, session: &mut Session<'_>) {
        self.say(fault, session);
        self.reports.push(Report::broken(find::shown(file), fault));
    }
}

async fn run(options: Options, course: &mut Course, session: &mut Session<'_>) -> Result<(), CliError> {
    let Found { suites, faults } = find::suites(&options.paths)?;
    for (file, fault) in &faults {
        course.broken(file, fault, session);
    }
    let mut ready = Vec::new();
    for suite in suites {
        if !options.no_build
            && let Err(fault) = build::before_use(&suite.script, &options.tools, session)
        {
            course.broken(&suite.script, &fault, session);
            continue;
        }
        let cases = cases(&suite, options.filter.as_deref(), course, session);
        if !cases.is_empty() {
            ready.push((suite, cases));
        }
    }
    if !ready.is_empty() {
        let local = session.local.open(options.outbound).await?;
        let mut bench = Bench { local, bundler: options.bundler, built: BTreeMap::new() };
        for (suite, cases) in ready {
            if let Err(fault) = bench.hold(&suite, cases, course, session).await {
                course.broken(&suite.script, &fault, session);
                if matches!(fault, CliError::Unreachable(_)) {
                    break;
                }
            }
        }
        bench.local.close().await?;
    } else if course.worst.is_none() {
        return Err(CliError::input("no case fits --filter; without it all are run"));
    }
    report::conclude(&course.reports, session);
    if report::counts(&course.reports).1 > 0 {
        course.worst = course.worst.max(Some(Exit::RunFailed));
    }
    Ok(())
}

/// Of all its files that can be read, in order; those that the filter leaves, with the ones before them that they continue.
fn cases(suite: &Suite, filter: Option<&str>, course: &mut Course, session: &mut Session<'_>) -> Vec<Case> {
    let mut all = Vec::new();
    for file in &suite.case_files {
        match case::read(file) {
            Ok(cases) => all.extend(cases),
            Err(fault) => course.broken(file, &fault, session),
        }
    }
    let Some(filter) = filter else { return all };
    let script = find::shown(&suite.script);
    let fits: Vec<bool> = all.iter().map(|case| script.contains(filter) || case.name.contains(filter)).collect();
    let continues: Vec<bool> = all.iter().map(|case| case.continues).collect();
    let is_kept = |index: usize| {
        // Itself, or one that follows it in a row of those that continue.
        (index..fits.len()).take_while(|next| *next == index || continues[*next]).any(|next| fits[next])
    };
    let kept = all.into_iter().enumerate().filter(|(index, _)| is_kept(*index));
    kept.map(|(_, case)| case).collect()
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
    async fn hold(&mut self, suite: &Suite, cases: Vec<Case>, course: &mut Course, session: &mut Session<'_>) -> Result<(), CliError> {
        let placed = self.place(suite).await?;
        let mut report = Report { script: find::shown(&suite.script), cases: Vec::new(), broken: Vec::new() };
        let (mut end, mut is_broken) = (Ok(()), false);
        for case in cases {
            // What it continues is not there.
            if is_broken && case.continues {
                continue;
            }
            is_broken = false;
            match self.run(&suite.path, &placed, &case).await {
                Ok(tested) => {
                    report::say(&report.script, &tested, session);
                    report.cases.push(tested);
                }
                Err(CliError::Input(fault)) => {
                    let fault = CliError::input(format!("{}: {}: {fault}", report.script, case.name));
                    course.say(&fault, session);
                    report.broken.push(Broken::of(case.name, &fault));
                    is_broken = true;
                }
                Err(fault) => {
                    end = Err(fault);
                    break;
                }
            }
        }
        course.reports.push(report);
        end
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
        let check::Held { faults, hint, log } = check::hold(&case.expected, &end);
        Ok(Tested { name: case.name.clone(), took: end.took, faults, hint, unseen: case.unseen.clone(), log })
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
