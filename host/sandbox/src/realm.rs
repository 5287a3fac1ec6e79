//! Where programs are linked and run: an engine with all that the host provides. There are two, because what WASI 0.3 needs would cost
//! every run of others more than a microsecond (ADR 15). The second is made when the first program asks for it.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::OnceLock,
    thread,
    time::Duration,
};

use sandmill_model::version::ComponentModel;
use wasmtime::{Config, Engine, component::Linker};

use crate::{
    cache::For,
    engine::{PoolSize, async_engine_config, engine_config},
    error::Error,
    guest::Guest,
    wasi,
};

/// Between two looks of an asynchronous guest at whether its turn is over.
const TICK: Duration = Duration::from_millis(2);

/// Adds the capabilities.
pub(crate) type Link<H> = Box<dyn Fn(&mut Linker<Guest<H>>, ComponentModel) -> anyhow::Result<()> + Send + Sync>;

pub(crate) struct Realm<H: 'static> {
    pub(crate) engine: Engine,
    pub(crate) linker: Linker<Guest<H>>,
    /// Stands for the engine's version and configuration.
    pub(crate) compatibility_hash: u64,
}

impl<H: Send + 'static> Realm<H> {
    fn new(config: &Config, model: ComponentModel, link: &Link<H>) -> Result<Self, Error> {
        let setup = |error: wasmtime::Error| Error::Engine(format!("{error:#}"));
        let engine = Engine::new(config).map_err(setup)?;
        let mut linker = Linker::new(&engine);
        wasi::link(&mut linker, model).map_err(setup)?;
        link(&mut linker, model).map_err(|error| Error::Engine(format!("{error:#}")))?;
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        Ok(Self { engine, linker, compatibility_hash: hasher.finish() })
    }

    pub(crate) fn code(&self) -> For<'_> {
        For { engine: &self.engine, compatibility_hash: self.compatibility_hash }
    }
}

pub(crate) struct Realms<H: 'static> {
    sync: Realm<H>,
    /// None: programs of WASI 0.3 do not run here.
    asynchronous: Option<OnceLock<Realm<H>>>,
    size: PoolSize,
    link: Link<H>,
}

impl<H: Send + 'static> Realms<H> {
    pub(crate) fn new(size: PoolSize, runs_async: bool, link: Link<H>) -> Result<Self, Error> {
        let sync = Realm::new(&engine_config(Some(&size)), ComponentModel::Sync, &link)?;
        Ok(Self { sync, asynchronous: runs_async.then(OnceLock::new), size, link })
    }

    pub(crate) fn sync(&self) -> &Realm<H> {
        &self.sync
    }

    pub(crate) fn of(&self, model: ComponentModel) -> Result<&Realm<H>, Error> {
        match model {
            ComponentModel::Sync => Ok(&self.sync),
            ComponentModel::Async => {
                let cell = self.asynchronous.as_ref().ok_or(Error::NoAsync)?;
                if let Some(realm) = cell.get() {
                    return Ok(realm);
                }
                let realm = Realm::new(&async_engine_config(Some(&self.size)), model, &self.link)?;
                // Of two that are made at once one is dropped, and its clock stops with it.
                tick(&realm.engine)?;
                Ok(cell.get_or_init(|| realm))
            }
        }
    }
}

/// Moves the engine's epoch on for as long as there is one.
fn tick(engine: &Engine) -> Result<(), Error> {
    let engine = engine.weak();
    let ticking = move || {
        while let Some(engine) = engine.upgrade() {
            engine.increment_epoch();
            drop(engine);
            // Nobody unparks it.
            thread::park_timeout(TICK);
        }
    };
    let started = thread::Builder::new().name("sandmill-epoch".to_owned()).spawn(ticking);
    started.map(drop).map_err(|error| Error::Engine(error.to_string()))
}
