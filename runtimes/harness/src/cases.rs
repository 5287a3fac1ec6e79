//! Conformance cases: `<name>.js` is a script, `<name>.expected.json` what it is called with and must do.
//! Every case runs hosted and from a snapshot, and nobody may tell the two apart.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::{Value, json};
use wasmtime::{Engine, Store, Trap};

use crate::{
    host::{Error, Host, Javascript, JavascriptPre, Module, Output},
    program::{self, Snapshotter},
    server::Server,
};

/// The fields after `fuel` are expectations: what is absent is not compared.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    #[serde(default)]
    parameters: Vec<String>,
    #[serde(default = "no_arguments")]
    args: Value,
    /// With it the preprocessor runs first; its result, if any, takes the place of `args`.
    event: Option<Value>,
    fuel: Option<u64>,
    preprocessed: Option<Value>,
    /// The preprocessor said that there is nothing to do.
    #[serde(default, rename = "skipped")]
    is_skipped: bool,
    /// JSON; absent is null, unless another ending is expected.
    result: Option<Value>,
    /// `{"content_type", "bytes": [..]}`
    binary: Option<Value>,
    /// Of load, preprocess or run; only the fields named here are compared.
    error: Option<Value>,
    /// `out_of_fuel` or `stack_overflow`
    trap: Option<String>,
    log: Option<Vec<String>>,
    written: Option<String>,
}

fn no_arguments() -> Value {
    json!({})
}

enum Ending {
    Done(Output),
    Skipped,
    Failed(Error),
    Trapped(String),
}

pub(crate) async fn run(runtime: &[u8], folder: &Path, filters: &[&str]) -> Result<()> {
    // While a case is written: snapshots take a compilation each.
    let (is_hosted_only, filters) = match filters {
        ["--hosted", filters @ ..] => (true, filters),
        filters => (false, filters),
    };
    let engine = program::engine(program::RESIDENT_BYTES)?;
    let hosted = program::prepare(&engine, runtime)?;
    let snapshotter = if is_hosted_only { None } else { Some(Snapshotter::new(&engine, runtime)?) };
    let mut names: Vec<String> = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        names.extend(name.strip_suffix(".js").map(str::to_owned));
    }
    names.retain(|name| filters.is_empty() || filters.iter().any(|filter| name.contains(filter)));
    names.sort();
    let mut failures = 0;
    for name in &names {
        let faults = check(&engine, &hosted, snapshotter.as_ref(), folder, name).await.with_context(|| format!("case {name}"))?;
        println!("{} {name}", if faults.is_empty() { "ok    " } else { "FAILED" });
        failures += usize::from(!faults.is_empty());
        faults.iter().for_each(|fault| println!("       {fault}"));
    }
    ensure!(failures == 0, "{failures} of {} cases failed", names.len());
    Ok(())
}

async fn check(
    engine: &Engine,
    hosted: &JavascriptPre<Host>,
    snapshotter: Option<&Snapshotter<'_>>,
    folder: &Path,
    name: &str,
) -> Result<Vec<String>> {
    let expected = std::fs::read_to_string(folder.join(format!("{name}.expected.json")))?;
    let case: Case = serde_json::from_str(&expected)?;
    let file_name = format!("{name}.js");
    let source = std::fs::read_to_string(folder.join(&file_name))?;
    let module = Module { file_name, source, parameters: case.parameters.clone() };

    let server = Server::start().await?;
    let mut store = program::store(engine)?;
    store.data_mut().network.server = Some(server.address);
    let script = hosted.instantiate_async(&mut store).await?;
    let ending = match script.sandmill_runtime_loader().call_load(&mut store, &module).await? {
        Ok(()) => call(&mut store, &script, &case).await?,
        Err(error) => Ending::Failed(error),
    };
    let mut faults = compare("hosted", &case, &store, ending);
    let Some(snapshotter) = snapshotter else {
        return Ok(faults);
    };
    let server = Server::start().await?;
    let mut store = program::store(engine)?;
    store.data_mut().network.server = Some(server.address);
    let ending = match snapshotter.snapshot(&module).await? {
        Ok(component) => {
            let script = program::prepare(engine, &component)?.instantiate_async(&mut store).await?;
            call(&mut store, &script, &case).await?
        }
        Err(error) => Ending::Failed(error),
    };
    faults.extend(compare("snapshot", &case, &store, ending));
    Ok(faults)
}

async fn call(store: &mut Store<Host>, script: &Javascript, case: &Case) -> Result<Ending> {
    if let Some(fuel) = case.fuel {
        store.set_fuel(fuel)?;
    }
    let mut args = case.args.to_string();
    if let Some(event) = &case.event {
        match script.sandmill_script_preprocessor().call_preprocess(&mut *store, &event.to_string()).await? {
            Ok(Some(preprocessed)) => args = preprocessed,
            Ok(None) => return Ok(Ending::Skipped),
            Err(error) => return Ok(Ending::Failed(error)),
        }
        if let Some(expected) = &case.preprocessed {
            let preprocessed: Value = serde_json::from_str(&args)?;
            ensure!(preprocessed == *expected, "preprocessed to {preprocessed}");
        }
    }
    Ok(match script.sandmill_script_main().call_run(&mut *store, &args).await {
        Ok(Ok(output)) => Ending::Done(output),
        Ok(Err(error)) => Ending::Failed(error),
        Err(error) => match error.downcast_ref::<Trap>() {
            Some(Trap::OutOfFuel) => Ending::Trapped("out_of_fuel".to_owned()),
            Some(Trap::StackOverflow) => Ending::Trapped("stack_overflow".to_owned()),
            _ => Ending::Trapped(format!("{error:?}")),
        },
    })
}

fn compare(tier: &str, case: &Case, store: &Store<Host>, ending: Ending) -> Vec<String> {
    let mut faults = Vec::new();
    let mut expect = |what: &str, expected: Option<Value>, actual: Value| {
        let differs = expected.is_none_or(|expected| expected != actual);
        if differs {
            faults.push(format!("{tier}: {what}: {actual}"));
        }
    };
    let is_result_expected = case.error.is_none() && case.trap.is_none() && case.binary.is_none() && !case.is_skipped;
    let result = is_result_expected.then(|| case.result.clone().unwrap_or_default());
    match ending {
        Ending::Done(Output::Json(text)) => match serde_json::from_str(&text) {
            Ok(json) => expect("result", result, json),
            Err(_) => expect("result", None, text.into()),
        },
        Ending::Done(Output::Bytes(binary)) => {
            expect("binary", case.binary.clone(), json!({"content_type": binary.content_type, "bytes": binary.data}));
        }
        Ending::Skipped => expect("preprocessed", case.is_skipped.then_some(Value::Null), Value::Null),
        Ending::Failed(error) => {
            let details: Option<Value> = error.details.map(|details| serde_json::from_str(&details).unwrap_or(Value::Null));
            let all = json!({"name": error.name, "message": error.message, "stack": error.stack, "details": details});
            let is_as_expected = case
                .error
                .as_ref()
                .and_then(Value::as_object)
                .is_some_and(|expected| expected.iter().all(|(field, value)| all[field] == *value));
            expect("error", is_as_expected.then(|| all.clone()), all);
        }
        Ending::Trapped(trap) => expect("trap", case.trap.clone().map(Value::from), trap.into()),
    }
    if let Some(log) = &case.log {
        expect("log", Some(json!(log)), json!(store.data().log));
    }
    if let Some(written) = &case.written {
        expect("written", Some(json!(written)), json!(String::from_utf8_lossy(&store.data().written)));
    }
    faults
}

/// Loads one script, calls it and prints what happens.
pub(crate) async fn eval(runtime: &[u8], path: &Path, args: &str) -> Result<()> {
    let source = std::fs::read_to_string(path)?;
    let parameters = source.lines().next().and_then(|line| line.strip_prefix("// parameters: "));
    let parameters = parameters.map(|names| names.split(' ').map(str::to_owned).collect()).unwrap_or_default();
    let engine = program::engine(program::RESIDENT_BYTES)?;
    let server = Server::start().await?;
    let mut store = program::store(&engine)?;
    store.data_mut().network.server = Some(server.address);
    let script = program::prepare(&engine, runtime)?.instantiate_async(&mut store).await?;
    let file_name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let module = Module { file_name, source, parameters };
    let loaded = script.sandmill_runtime_loader().call_load(&mut store, &module).await?;
    let outcome = match loaded {
        Ok(()) => script.sandmill_script_main().call_run(&mut store, &args.to_owned()).await,
        Err(error) => Ok(Err(error)),
    };
    store.data().log.iter().for_each(|line| println!("{line}"));
    match outcome {
        Ok(Ok(Output::Json(json))) => println!("{json}"),
        Ok(Err(error)) => {
            println!("{}: {}\n{}\n{}", error.name, error.message, error.stack.unwrap_or_default(), error.details.unwrap_or_default())
        }
        other => println!("{other:?}"),
    }
    Ok(())
}
