//! `sandmill test`: one node for many cases. Each has a workspace of its own, so that none finds what another left.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::Context;
use sandmill_capabilities::http::OutboundOptions;
use sandmill_cli::{
    LocalCase, LocalCaseEnd, LocalDeployment, LocalFakes, LocalRunError, LocalScript, LocalScriptId, LocalSession, LocalSetting,
};
use sandmill_model::{BoxFuture, Clock, JsonText, Language, Manifest, ScriptPath, SystemClock};
use sandmill_store::{
    resources::{NewResource, Sharing, Unfit},
    seal::{KeySource, Sealing},
    state::{StateScope, Written},
    variables::NewVariable,
    workspaces::Workspace,
};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{IDENTITY, Parts, Prepared, compose, deploy, ended, prepare, setup, start, web, workspace};

struct Session {
    parts: Parts,
    scripts: Vec<Prepared>,
    /// Scripts that stand in for others, by what they return.
    stand_ins: BTreeMap<String, Prepared>,
    /// Of the case before.
    space: Option<Workspace>,
    /// Cases with a workspace of their own so far.
    spaces: u64,
    web: web::Web,
    stop: CancellationToken,
    service: JoinHandle<()>,
    /// Gone with the session.
    _folder: TempDir,
}

pub(super) async fn open(outbound: sandmill_cli::Outbound) -> Result<Box<dyn LocalSession>, LocalRunError> {
    let folder = tempfile::tempdir().context("no temporary folder").map_err(setup)?;
    let sealing = Sealing { source: KeySource::File(folder.path().join("instance-key")), now: SystemClock.now() };
    let web = web::Web::open().await.context("nothing can listen on this machine to answer requests").map_err(setup)?;
    let outbound = crate::outbound::options(&outbound).map_err(setup)?;
    let outbound = OutboundOptions { stand_in: Some(web.stand_in), ..outbound };
    let (parts, service) = compose(folder.path(), Some(sealing), outbound).await.map_err(setup)?;
    let stop = CancellationToken::new();
    let service = TaskTracker::new().spawn(service.run(stop.clone()));
    Ok(Box::new(Session {
        parts,
        scripts: Vec::new(),
        stand_ins: BTreeMap::new(),
        space: None,
        spaces: 0,
        web,
        stop,
        service,
        _folder: folder,
    }))
}

impl LocalSession for Session {
    fn build(&mut self, script: LocalScript) -> BoxFuture<'_, Result<LocalScriptId, LocalRunError>> {
        Box::pin(async move {
            let prepared = prepare(&self.parts, script).await?;
            self.scripts.push(prepared);
            Ok(LocalScriptId(self.scripts.len() - 1))
        })
    }

    fn run(&mut self, case: LocalCase) -> BoxFuture<'_, Result<LocalCaseEnd, LocalRunError>> {
        Box::pin(self.run_case(case))
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, Result<(), LocalRunError>> {
        Box::pin(async move {
            let Self { parts, web, stop, service, _folder, .. } = *self;
            stop.cancel();
            service.await.context("dispatch ended badly").map_err(setup)?;
            web.close().await;
            parts.store.health.close().await;
            Ok(())
        })
    }
}

impl Session {
    async fn run_case(&mut self, case: LocalCase) -> Result<LocalCaseEnd, LocalRunError> {
        let LocalCase { setting, path, input, idempotency_key, state_keys } = case;
        if let LocalSetting::Fresh { deployments, fakes } = setting {
            self.space = None;
            let space = self.furnish(deployments, &path, *fakes).await?;
            self.space = Some(space);
        }
        let space = self.space.clone().ok_or_else(|| LocalRunError::Input("there is no case that it could continue".to_owned()))?;
        let mut start = start(&self.parts, &space, path.clone(), input);
        start.terms.idempotency_key = idempotency_key;
        let begun = Instant::now();
        let outcome = ended(&self.parts, start).await?;
        let took: Duration = begun.elapsed();
        let scope = StateScope { workspace: space.id, path, trigger: String::new() };
        let mut state = BTreeMap::new();
        for key in state_keys {
            let value = self.parts.store.state.get(&scope, &key).await.context("the state cannot be read").map_err(setup)?;
            state.insert(key, value);
        }
        Ok(LocalCaseEnd { outcome, state, took })
    }

    /// A workspace with nothing but what the case says.
    async fn furnish(
        &mut self,
        deployments: Vec<LocalDeployment>,
        path: &ScriptPath,
        fakes: LocalFakes,
    ) -> Result<Workspace, LocalRunError> {
        self.spaces += 1;
        let space = workspace(&self.parts, &format!("case-{}", self.spaces)).await.map_err(setup)?;
        let LocalFakes { variables, secrets, resources, state, runs, http } = fakes;
        self.web.set(http);
        for (path, text) in variables {
            self.put_variable(&space, path, Text::Plain(text)).await?;
        }
        for (path, text) in secrets {
            self.put_variable(&space, path, Text::Secret(text)).await?;
        }
        for (path, resource) in resources {
            let shown = path.clone();
            let (description, by, now) = (String::new(), IDENTITY.into(), self.parts.clock.now());
            let (kind, value, sharing) = (resource.kind, resource.value, Sharing::All);
            let new = NewResource { workspace: space.id, path, kind, value, description, sharing, by, now };
            let put = self.parts.store.resources.put(new).await.context("the resource cannot be stored").map_err(setup)?;
            put.map_err(|unfit| unfitting("resource", &shown, unfit))?;
        }
        self.put_state(&space, path, state).await?;
        for LocalDeployment { script, path, given } in deployments {
            let known = self.scripts.get(script.0).cloned();
            let prepared = known.ok_or_else(|| LocalRunError::Setup("a script was not built".to_owned()))?;
            deploy(&self.parts, &space, &path, prepared, &given).await?;
        }
        for (path, returned) in runs {
            let prepared = self.stand_in(&returned).await?;
            deploy(&self.parts, &space, &path, prepared, &[]).await?;
        }
        Ok(space)
    }

    async fn put_variable(&self, space: &Workspace, path: ScriptPath, text: Text) -> Result<(), LocalRunError> {
        let (secret, text) = match text {
            Text::Plain(text) => (false, text),
            Text::Secret(text) => (true, text),
        };
        let shown = path.clone();
        let (by, now) = (IDENTITY.into(), self.parts.clock.now());
        let new = NewVariable { workspace: space.id, path, secret, text: Some(text), description: String::new(), by, now };
        let put = self.parts.store.variables.put(new).await.context("the variable cannot be stored").map_err(setup)?;
        put.map(|_| ()).map_err(|unfit| unfitting("variable", &shown, unfit))
    }

    async fn put_state(&self, space: &Workspace, path: &ScriptPath, state: BTreeMap<String, JsonText>) -> Result<(), LocalRunError> {
        let scope = StateScope { workspace: space.id, path: path.clone(), trigger: String::new() };
        for (key, value) in state {
            let now = self.parts.clock.now();
            let put = self.parts.store.state.put(&scope, &key, None, Some(value), now).await;
            match put.context("the state cannot be stored").map_err(setup)? {
                Written::Yes | Written::No => {}
                Written::TooManyKeys => {
                    return Err(LocalRunError::Input("fakes: state: it has more keys than a script may have".to_owned()));
                }
            }
        }
        Ok(())
    }

    /// A script that returns this, built once.
    async fn stand_in(&mut self, returned: &JsonText) -> Result<Prepared, LocalRunError> {
        if let Some(known) = self.stand_ins.get(returned.as_str()) {
            return Ok(known.clone());
        }
        // JSON in a string: as a part of the source `__proto__` would mean something.
        let quoted = serde_json::to_string(returned.as_str()).context("what a faked run returns").map_err(setup)?;
        let source = format!("export function main() {{ return JSON.parse({quoted}); }}\n").into_bytes();
        let (file, language) = (PathBuf::from("fake.js"), Language::JavaScript);
        let prepared = prepare(&self.parts, LocalScript { file, language, source, manifest: Manifest::default() }).await?;
        self.stand_ins.insert(returned.as_str().to_owned(), prepared.clone());
        Ok(prepared)
    }
}

/// Of a variable.
enum Text {
    Plain(String),
    Secret(String),
}

fn unfitting(what: &str, path: &ScriptPath, unfit: Unfit) -> LocalRunError {
    let fault = match unfit {
        Unfit::NoSuchType => "there is no type of this name".to_owned(),
        Unfit::Value(faults) => {
            let faults: Vec<String> = faults.iter().map(|fault| format!("{}: {}", fault.pointer, fault.message)).collect();
            faults.join("; ")
        }
        Unfit::Invalid(fault) | Unfit::TooMany(fault) => fault,
        Unfit::NameTaken => "its name belongs to another path".to_owned(),
    };
    LocalRunError::Input(format!("fakes: {what} {path}: {fault}"))
}
