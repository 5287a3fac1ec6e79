//! Snapshots and standalone components, run by the engine directly.

use http::{Request, Response};
use sandmill_compiler::Compiler;
use sandmill_model::{Language::TypeScript, build::BuildError, version::HostedModule};
use sandmill_sandbox::{engine_config, read_compiled};
use wasmtime::{
    Engine, Store,
    component::{Component, Linker, ResourceTable, ResourceType, Val, types::ComponentItem},
};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView};

use crate::{COMPILER, build, module_of, wait};

struct Host {
    wasi: WasiCtx,
    http: (WasiHttpCtx, Nowhere),
    table: ResourceTable,
}

impl WasiHttpView for Host {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        let (ctx, hooks) = &mut self.http;
        WasiHttpCtxView { hooks, table: &mut self.table, ctx }
    }
}

/// Where requests lead.
struct Nowhere;

type Rest = Box<dyn Future<Output = Result<(), Error>> + Send>;
type Answer = Result<(Response<WasiBody>, Rest), Error>;

impl WasiHttpHooks for Nowhere {
    fn send_request(&mut self, _: Request<WasiBody>, _: Option<RequestOptions>, _: Rest) -> Box<dyn Future<Output = Answer> + Send> {
        Box::new(std::future::ready(Err(Error::HttpRequestDenied)))
    }
}

impl WasiView for Host {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

/// Defines what only Sandmill provides as traps.
fn trap_ours(linker: &mut Linker<Host>, engine: &Engine, component: &Component) {
    let ty = component.component_type();
    for (name, item) in ty.imports(engine).filter(|(name, _)| name.starts_with("sandmill:")) {
        let ComponentItem::ComponentInstance(instance) = item.ty else { panic!("{name}") };
        let mut linked = linker.instance(name).unwrap();
        for (name, item) in instance.exports(engine) {
            match item.ty {
                ComponentItem::ComponentFunc(_) => linked.func_new(name, |_, _, _, _| Err(wasmtime::format_err!("not here"))).unwrap(),
                ComponentItem::Resource(_) => linked.resource(name, ResourceType::host::<()>(), |_, _| Ok(())).unwrap(),
                _ => {}
            }
        }
    }
}

/// What `run` answers, in a host that has WASI and its HTTP and nothing else.
fn run(engine: &Engine, component: &Component, arguments: &str) -> Result<Val, String> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker).unwrap();
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker).unwrap();
    trap_ours(&mut linker, engine, component);
    let mut store =
        Store::new(engine, Host { wasi: WasiCtx::builder().build(), http: (WasiHttpCtx::new(), Nowhere), table: ResourceTable::new() });
    store.set_fuel(10_000_000_000).unwrap();
    wait(async {
        let instance = linker.instantiate_async(&mut store, component).await.map_err(|error| format!("{error:#}"))?;
        let main = component.get_export_index(None, "sandmill:script/main@0.1.0").unwrap();
        let index = component.get_export_index(Some(&main), "run").unwrap();
        let mut results = [Val::Bool(false)];
        let function = instance.get_func(&mut store, index).unwrap();
        function.call_async(&mut store, &[Val::String(arguments.into())], &mut results).await.map_err(|error| format!("{error:#}"))?;
        let [result] = results;
        Ok(result)
    })
}

fn json(result: &Val) -> &str {
    match result {
        Val::Result(Ok(Some(output))) => match output.as_ref() {
            Val::Variant(name, Some(text)) if name == "json" => match text.as_ref() {
                Val::String(text) => text,
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

fn module(source: &str) -> HostedModule {
    module_of(build(TypeScript, source).unwrap())
}

fn engine() -> Engine {
    Engine::new(&engine_config(None)).unwrap()
}

const COUNTER: &str = "let count = 0; const seed = [1, 2, 3].map((x) => x * 2);
export function main(name: string) { count += 1; return { name, count, seed } }";

#[test]
fn a_snapshot_runs_from_where_the_module_was_loaded() {
    let code = wait(COMPILER.snapshot(module(COUNTER))).unwrap();
    let engine = engine();
    let component = read_compiled(&engine, &code).unwrap();
    assert!(component.get_export_index(None, "sandmill:runtime/loader@0.1.0").is_none(), "no loader is left");
    for _ in 0..2 {
        let result = run(&engine, &component, r#"{"name":"Ada"}"#).unwrap();
        assert_eq!(json(&result), r#"{"name":"Ada","count":1,"seed":[2,4,6]}"#);
    }
}

#[test]
fn a_snapshot_differs_in_random_numbers_and_time() {
    let source = "export const main = () => [Math.random(), crypto.randomUUID(), Date.now()];";
    let code = wait(COMPILER.snapshot(module(source))).unwrap();
    let engine = engine();
    let component = read_compiled(&engine, &code).unwrap();
    let first = run(&engine, &component, "{}").unwrap();
    assert_ne!(json(&first), json(&run(&engine, &component, "{}").unwrap()));
}

#[test]
fn a_snapshot_whose_top_level_logs() {
    let code = wait(COMPILER.snapshot(module("console.log('loading'); export const main = () => 1;"))).unwrap();
    let engine = engine();
    let component = read_compiled(&engine, &code).unwrap();
    assert_eq!(json(&run(&engine, &component, "{}").unwrap()), "1");
}

#[test]
fn a_component_is_portable_code_of_the_same() {
    let component = wait(COMPILER.snapshot_component(module(COUNTER))).unwrap();
    let code = wait(COMPILER.compile(component)).unwrap();
    let engine = engine();
    let result = run(&engine, &read_compiled(&engine, &code).unwrap(), r#"{"name":"x"}"#).unwrap();
    assert_eq!(json(&result), r#"{"name":"x","count":1,"seed":[2,4,6]}"#);
}

#[test]
fn standalone_needs_wasi_only_and_may_log() {
    let source = "import { state, log } from 'sandmill';
        export async function main(how: string) {
            for (let i = 0; i < 100; i++) { console.log('x'.repeat(10_000)); log.info('hello', { i }) }
            return how === 'state' ? await state.get('key') : how.toUpperCase();
        }";
    let component = wait(COMPILER.snapshot_component(module(source))).unwrap();
    let alone = wait(COMPILER.standalone(component)).unwrap();
    let engine = engine();
    let component = Component::new(&engine, &alone).unwrap();
    for (name, item) in component.component_type().imports(&engine).filter(|(name, _)| !name.starts_with("wasi:")) {
        // Of types only, which are nothing that a host would have to provide.
        let ComponentItem::ComponentInstance(instance) = item.ty else { panic!("{name}") };
        assert!(instance.exports(&engine).all(|(_, item)| matches!(item.ty, ComponentItem::Type(_))), "{name}");
    }
    let result = run(&engine, &component, r#"{"how":"quiet"}"#).unwrap();
    assert_eq!(json(&result), r#""QUIET""#);
    let trap = run(&engine, &component, r#"{"how":"state"}"#).unwrap_err();
    assert!(trap.contains("unreachable"), "{trap}");
}

#[test]
fn a_module_that_does_not_load_makes_no_snapshot() {
    let mut module = module("export const main = () => 1;");
    module.source = "export const main = 1; while (true) {}".to_owned();
    let found = wait(COMPILER.snapshot(module.clone()));
    assert!(matches!(&found, Err(BuildError::Diagnostics(found)) if found[0].message.contains("did not finish")), "{found:?}");
    module.source = "throw new Error('no')".to_owned();
    let found = wait(COMPILER.snapshot(module));
    assert!(matches!(&found, Err(BuildError::Diagnostics(found)) if found[0].message.contains("Error: no")), "{found:?}");
}

#[test]
fn the_runtime_itself() {
    let runtime = Compiler::javascript_runtime();
    assert_eq!(Compiler::runtime_digest(), sandmill_model::Digest::of(&runtime));
    let engine = engine();
    let code = wait(COMPILER.runtime_compiled()).unwrap();
    assert!(read_compiled(&engine, &code).unwrap().get_export_index(None, "sandmill:runtime/loader@0.1.0").is_some());
}
