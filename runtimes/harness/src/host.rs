//! A host that records what a script does and keeps its state in memory.

use std::collections::BTreeMap;

use wasmtime::component::{Linker, ResourceTable};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use crate::network::Network;

mod store;

mod bindings {
    wasmtime::component::bindgen!({
        path: [
            "../../wit/script",
            "../../wit/context",
            "../../wit/log",
            "../../wit/output",
            "../../wit/state",
            "../../wit/runs",
            "../../wit/resources",
            "../../wit/variables",
            "../../wit/sql",
            "../../wit/blob",
            "../../wit/publish",
            "../../wit/guest",
            "../javascript/wit",
        ],
        world: "sandmill:runtime/javascript",
        exports: { default: async },
        with: {
            "sandmill:resources/resources.handle": super::store::Handle,
            "sandmill:sql/sql.transaction": super::store::Transaction,
            "sandmill:blob/blob.reader": super::store::Reader,
            "sandmill:blob/blob.writer": super::store::Writer,
        },
    });
}

use bindings::sandmill::{context::context, log::log, output::output, runs::runs, script::types, state::state};
pub(crate) use bindings::{
    Javascript, JavascriptPre,
    exports::sandmill::runtime::loader::Module,
    sandmill::script::types::{Error, Output},
};

/// As host/sandbox has it.
const HANDLES_MAX: usize = 4_096;

pub(crate) struct Host {
    wasi: WasiCtx,
    http: WasiHttpCtx,
    pub(crate) network: Network,
    table: ResourceTable,
    pub(crate) log: Vec<String>,
    pub(crate) written: Vec<u8>,
    state: BTreeMap<String, String>,
    objects: BTreeMap<String, store::Stored>,
    /// Arguments of the runs that were started; each has ended with them as its result.
    children: Vec<String>,
}

impl Default for Host {
    fn default() -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(HANDLES_MAX);
        Self {
            wasi: WasiCtxBuilder::new().inherit_stderr().build(),
            http: WasiHttpCtx::new(),
            network: Network::default(),
            table,
            log: Vec::new(),
            written: Vec::new(),
            state: BTreeMap::new(),
            objects: BTreeMap::new(),
            children: Vec::new(),
        }
    }
}

pub(crate) fn add_to_linker(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::add_to_linker_async(linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(linker)?;
    Javascript::add_to_linker::<_, wasmtime::component::HasSelf<Host>>(linker, |host| host)
}

impl WasiView for Host {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for Host {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.network, table: &mut self.table, ctx: &mut self.http }
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

impl runs::Host for Host {
    fn start(&mut self, path: String, args: String, options: runs::Options) -> Result<String, runs::Error> {
        let runs::Options { delay_ms, priority, tag, key } = options;
        self.log.push(format!("start: {path} {args} {delay_ms:?} {priority:?} {tag:?} {key:?}"));
        match path.as_str() {
            "f/demo/denied" => return Err(runs::Error::Denied("not granted".to_owned())),
            "f/demo/strict" => {
                let details = Some(r#"{"faults":[{"pointer":"/n","message":"missing"}]}"#.to_owned());
                let (name, message) = ("invalid_arguments".to_owned(), "/n: missing".to_owned());
                return Err(runs::Error::InvalidArguments(Error { name, message, stack: None, details }));
            }
            _ => {}
        }
        self.children.push(args);
        Ok(format!("run-{}", self.children.len()))
    }

    fn wait(&mut self, run: String, timeout_ms: Option<u64>) -> Result<runs::Ending, runs::Error> {
        self.log.push(format!("wait: {run} {timeout_ms:?}"));
        self.ending(&run)
    }

    fn wait_many(&mut self, runs: Vec<String>, until: runs::Until, timeout_ms: Option<u64>) -> Result<Vec<String>, runs::Error> {
        self.log.push(format!("wait: {runs:?} {until:?} {timeout_ms:?}"));
        runs.iter().try_for_each(|run| self.ending(run).map(drop))?;
        Ok(runs.into_iter().filter(|run| timeout_ms != Some(1) || run == "run-1").collect())
    }

    fn get_result(&mut self, run: String) -> Result<Option<runs::Ending>, runs::Error> {
        self.ending(&run).map(Some)
    }

    fn cancel(&mut self, run: String) -> Result<bool, runs::Error> {
        self.ending(&run).map(|_| false)
    }
}

impl Host {
    fn ending(&self, run: &str) -> Result<runs::Ending, runs::Error> {
        let number = run.strip_prefix("run-").and_then(|number| number.parse::<usize>().ok());
        let args = number.and_then(|number| self.children.get(number.checked_sub(1)?));
        let args = args.ok_or_else(|| runs::Error::NotFound(format!("no run {run}")))?;
        if args.contains("bytes") {
            let binary = types::Binary { content_type: "image/png".to_owned(), data: vec![1, 255] };
            return Ok(runs::Ending::Succeeded(Output::Bytes(binary)));
        }
        if args.contains("skip") {
            return Ok(runs::Ending::Skipped);
        }
        if args.contains("fail") {
            let (name, message) = ("RateLimited".to_owned(), "too fast".to_owned());
            let error = Error { name, message, stack: Some("at child".to_owned()), details: Some("{\"after\":3}".to_owned()) };
            return Ok(runs::Ending::Failed(runs::Failure { outcome: "error".to_owned(), error }));
        }
        Ok(runs::Ending::Succeeded(Output::Json(args.clone())))
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

    fn list(&mut self, prefix: String, after: Option<String>, limit: u32) -> Result<Vec<String>, state::Error> {
        let keys = self.state.keys().filter(|key| key.starts_with(&prefix) && after.as_ref().is_none_or(|after| *key > after));
        Ok(keys.take(limit as usize).cloned().collect())
    }
}

fn check(key: &str) -> Result<(), state::Error> {
    if key.is_empty() {
        return Err(state::Error::InvalidKey("a key must not be empty".to_owned()));
    }
    Ok(())
}
