//! Lanes of build workers. Builds that someone waits for and snapshots that nobody waits for have lanes of their own, so
//! neither stands behind the other; within a lane workspaces take turns.

mod process;
mod spawner;
mod turns;

use std::{
    collections::{HashMap, VecDeque},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use sandmill_model::build::BuildError;

use crate::{
    limits::WORKER_REQUESTS_MAX,
    protocol::{Artefact, Request, Response},
};
use process::Process;
pub(crate) use spawner::Spawner;
pub(crate) use turns::{Bounds, By};
use turns::{Turn, Turns};

/// What all lanes share.
pub(crate) struct Shared {
    pub(crate) executable: PathBuf,
    pub(crate) wall: Duration,
    pub(crate) spawner: Spawner,
    /// Machine code of the runtime, made by the first worker that needed it and handed to the others.
    artefacts: Mutex<HashMap<Artefact, Bytes>>,
}

impl Shared {
    pub(crate) fn new(executable: PathBuf, wall: Duration, spawner: Spawner) -> Self {
        Self { executable, wall, spawner, artefacts: Mutex::default() }
    }

    pub(crate) fn artefact(&self, artefact: Artefact) -> Option<Bytes> {
        self.artefacts.lock().unwrap_or_else(PoisonError::into_inner).get(&artefact).cloned()
    }

    pub(crate) fn keep(&self, artefact: Artefact, code: Bytes) {
        self.artefacts.lock().unwrap_or_else(PoisonError::into_inner).insert(artefact, code);
    }
}

pub(crate) struct Lane {
    shared: Arc<Shared>,
    nice: i32,
    turns: Arc<Turns>,
    idle: Mutex<VecDeque<Process>>,
}

impl Lane {
    pub(crate) fn new(shared: Arc<Shared>, bounds: Bounds, nice: i32) -> Self {
        Self { shared, nice, turns: Turns::new(bounds), idle: Mutex::default() }
    }

    /// Sends `request` to a worker in the turn of `by`, starting one if none is idle. A worker that fails is replaced by the next call, and
    /// one whose caller went away is killed with the call.
    pub(crate) async fn call(&self, by: By, request: &Request, body: &Bytes) -> Result<(Response, Bytes), BuildError> {
        let (_turn, mut process) = self.worker(by).await?;
        if let Some(artefact) = request.needs() {
            self.provide(&mut process, artefact).await?;
        }
        let answer = process.call(request, body).await?;
        self.put_back(process);
        match answer {
            (Response::Failed(error), _) => Err(error),
            answer => Ok(answer),
        }
    }

    /// Sees to it that there is a worker that has the compiled form of the runtime at hand, and returns that form.
    pub(crate) async fn warm_up(&self, artefact: Artefact) -> Result<Bytes, BuildError> {
        let (_turn, mut process) = self.worker(None).await?;
        self.provide(&mut process, artefact).await?;
        self.put_back(process);
        self.shared.artefact(artefact).ok_or_else(|| BuildError::Unavailable("the runtime was not compiled".to_owned()))
    }

    /// The compiled form of the runtime, made now if nobody has made it yet.
    pub(crate) async fn artefact(&self, artefact: Artefact) -> Result<Bytes, BuildError> {
        match self.shared.artefact(artefact) {
            Some(code) => Ok(code),
            None => self.warm_up(artefact).await,
        }
    }

    /// Waits for a turn, and takes the warmest worker.
    async fn worker(&self, by: By) -> Result<(Turn, Process), BuildError> {
        let turn = self.turns.turn(by).await?;
        let process = match self.take_idle() {
            Some(process) => process,
            None => self.start().await?,
        };
        Ok((turn, process))
    }

    async fn start(&self) -> Result<Process, BuildError> {
        let mut process = Process::start(&self.shared).await?;
        process.call(&Request::Settle { nice: self.nice }, &Bytes::new()).await?;
        Ok(process)
    }

    async fn provide(&self, process: &mut Process, artefact: Artefact) -> Result<(), BuildError> {
        if process.holds(artefact) {
            return Ok(());
        }
        let known = self.shared.artefact(artefact);
        let (request, body) = match &known {
            Some(code) => (Request::Adopt(artefact), code.clone()),
            None => (Request::Make(artefact), Bytes::new()),
        };
        match process.call(&request, &body).await? {
            (Response::Failed(error), _) => return Err(error),
            (Response::Bytes, code) if known.is_none() => self.shared.keep(artefact, code),
            _ => {}
        }
        process.now_holds(artefact);
        Ok(())
    }

    fn take_idle(&self) -> Option<Process> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        // The one used last is the warmest.
        while let Some(mut process) = idle.pop_back() {
            if process.is_alive() {
                return Some(process);
            }
        }
        None
    }

    fn put_back(&self, process: Process) {
        if process.requests() < WORKER_REQUESTS_MAX && !process.is_spent() {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push_back(process);
        }
    }
}
