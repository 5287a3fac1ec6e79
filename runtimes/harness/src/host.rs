//! A host that records what a script does and keeps its state in memory.

use std::collections::BTreeMap;

use wasmtime::component::{Linker, ResourceTable};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

mod bindings {
    wasmtime::component::bindgen!({
        path: [
            "../../wit/script",
            "../../wit/context",
            "../../wit/log",
            "../../wit/output",
            "../../wit/state",
            "../../wit/guest",
            "../javascript/wit",
        ],
        world: "sandmill:runtime/javascript",
        exports: { default: async },
    });
}

use bindings::sandmill::{context::context, log::log, output::output, script::types, state::state};
pub(crate) use bindings::{
    Javascript, JavascriptPre,
    exports::sandmill::runtime::loader::Module,
    sandmill::script::types::{Error, Output},
};

pub(crate) struct Host {
    wasi: WasiCtx,
    table: ResourceTable,
    pub(crate) log: Vec<String>,
    pub(crate) written: Vec<u8>,
    state: BTreeMap<String, String>,
}

impl Default for Host {
    fn default() -> Self {
        Self {
            wasi: WasiCtxBuilder::new().inherit_stderr().build(),
            table: ResourceTable::new(),
            log: Vec::new(),
            written: Vec::new(),
            state: BTreeMap::new(),
        }
    }
}

pub(crate) fn add_to_linker(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::add_to_linker_async(linker)?;
    Javascript::add_to_linker::<_, wasmtime::component::HasSelf<Host>>(linker, |host| host)
}

impl WasiView for Host {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl types::Host for Host {}

impl context::Host for Host {
    fn get(&mut self) -> context::Info {
        context::Info {
            run_id: "0192f0c4-0000-7000-8000-000000000001".to_owned(),
            script: "f/demo/case".to_owned(),
            version: "sha256:00".to_owned(),
            workspace: "main".to_owned(),
            trigger: Some(context::Trigger { kind: "webhook".to_owned(), path: None }),
            attempt: 1,
            deadline_ms: 1_800_000_000_000,
            run_as: "u/admin".to_owned(),
        }
    }

    fn payload(&mut self) -> Vec<u8> {
        b"payload \xff".to_vec()
    }
}

impl log::Host for Host {
    fn write(&mut self, level: log::Level, message: String, fields: Option<String>) {
        let level = format!("{level:?}").to_lowercase();
        let level = level.trim_start_matches("level::");
        let fields = fields.map(|fields| format!(" {fields}")).unwrap_or_default();
        self.log.push(format!("{level}: {message}{fields}"));
    }
}

impl output::Host for Host {
    fn progress(&mut self, percent: f64, text: String) {
        self.log.push(format!("progress: {percent} {text}"));
    }

    fn write(&mut self, chunk: Vec<u8>) {
        self.written.extend(chunk);
    }
}

impl state::Host for Host {
    fn get(&mut self, key: String) -> Result<Option<String>, state::Error> {
        check(&key)?;
        Ok(self.state.get(&key).cloned())
    }

    fn set(&mut self, key: String, value: String) -> Result<(), state::Error> {
        check(&key)?;
        self.state.insert(key, value);
        Ok(())
    }

    fn delete(&mut self, key: String) -> Result<(), state::Error> {
        check(&key)?;
        self.state.remove(&key);
        Ok(())
    }

    fn compare_and_swap(&mut self, key: String, expected: Option<String>, new: Option<String>) -> Result<bool, state::Error> {
        check(&key)?;
        if self.state.get(&key) != expected.as_ref() {
            return Ok(false);
        }
        match new {
            Some(new) => self.state.insert(key, new),
            None => self.state.remove(&key),
        };
        Ok(true)
    }
}

fn check(key: &str) -> Result<(), state::Error> {
    if key.is_empty() {
        return Err(state::Error::InvalidKey("a key must not be empty".to_owned()));
    }
    Ok(())
}
