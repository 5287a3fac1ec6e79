//! Calls the interfaces: `{"calls": [["state.set", "key", "1"], …]}` -> one result for each call.

use serde::Deserialize;
use serde_json::{Value, json};

wit_bindgen::generate!({
    path: ["../../../wit/script", "../../../wit/context", "../../../wit/log", "../../../wit/output", "../../../wit/state", "../../../wit/runs", "../../../wit/guest"],
    world: "sandmill:guest/script",
    generate_all,
});

use exports::sandmill::script::main::{Error, Guest, Output};
use sandmill::{
    context::context,
    log::log,
    output::output,
    runs::runs::{self, Ending, Until},
    script::types::Output as ScriptOutput,
    state::state,
};

#[derive(Deserialize)]
struct Arguments {
    calls: Vec<Vec<Value>>,
}

struct Capable;

impl Guest for Capable {
    fn run(args: String) -> Result<Output, Error> {
        let fault = |message: String| Error { name: "TypeError".into(), message, stack: None, details: None };
        let arguments: Arguments = serde_json::from_str(&args).map_err(|error| fault(error.to_string()))?;
        let results: Option<Vec<Value>> = arguments.calls.iter().map(|call| answer(call)).collect();
        let results = results.ok_or_else(|| fault("a call that is not known".into()))?;
        Ok(Output::Json(Value::from(results).to_string()))
    }
}

fn answer(call: &[Value]) -> Option<Value> {
    let name = call.first()?.as_str()?;
    let text = |at: usize| call.get(at).and_then(Value::as_str).unwrap_or_default().to_owned();
    let maybe = |at: usize| call.get(at).and_then(Value::as_str).map(str::to_owned);
    let number = |at: usize| call.get(at).and_then(Value::as_f64).unwrap_or(f64::NAN);
    let times = |at: usize| call.get(at).and_then(Value::as_u64).unwrap_or(1);
    Some(match name {
        "context.get" => {
            let info = context::get();
            json!({
                "run_id": info.run_id,
                "script": info.script,
                "version": info.version,
                "workspace": info.workspace,
                "trigger": info.trigger.map(|trigger| json!({ "kind": trigger.kind, "path": trigger.path })),
                "attempt": info.attempt,
                "deadline_ms": info.deadline_ms,
                "run_as": info.run_as,
            })
        }
        "context.payload" => json!(context::payload()),
        "log.write" => {
            let level = match text(1).as_str() {
                "trace" => log::Level::Trace,
                "debug" => log::Level::Debug,
                "warn" => log::Level::Warn,
                "error" => log::Level::Error,
                _ => log::Level::Info,
            };
            for _ in 0..times(4) {
                log::write(level, &text(2), maybe(3).as_deref());
            }
            json!(null)
        }
        "output.progress" => {
            for _ in 0..times(3) {
                output::progress(number(1), &text(2));
            }
            json!(null)
        }
        "output.write" => {
            output::write(text(1).as_bytes());
            json!(null)
        }
        "output.write_bytes" => {
            let bytes: Vec<u8> = serde_json::from_value(call.get(1)?.clone()).ok()?;
            output::write(&bytes);
            json!(null)
        }
        "state.get" => result(state::get(&text(1)), |value| json!(value)),
        "state.set" => result(state::set(&text(1), &text(2)), |()| json!("ok")),
        // A value of so many bytes.
        "state.set_large" => result(state::set(&text(1), &format!("\"{}\"", "v".repeat(times(2) as usize - 2))), |()| json!("ok")),
        "state.delete" => result(state::delete(&text(1)), |()| json!("ok")),
        "state.swap" => result(state::compare_and_swap(&text(1), maybe(2).as_deref(), maybe(3).as_deref()), |wrote| json!(wrote)),
        "runs.start" => {
            let options = runs::Options {
                delay_ms: call.get(3).and_then(|options| options["delay_ms"].as_u64()),
                priority: call.get(3).and_then(|options| options["priority"].as_i64()).map(|priority| priority as i32),
                tag: call.get(3).and_then(|options| options["tag"].as_str()).map(str::to_owned),
                key: call.get(3).and_then(|options| options["key"].as_str()).map(str::to_owned),
            };
            let mut started = json!(null);
            for _ in 0..times(4) {
                started = of_runs(runs::start(&text(1), &text(2), &options), |run| json!(run));
            }
            started
        }
        "runs.wait" => of_runs(runs::wait(&text(1), call.get(2).and_then(Value::as_u64)), ending),
        "runs.wait_many" => {
            let ids: Vec<String> = serde_json::from_value(call.get(1)?.clone()).ok()?;
            let until = if text(2) == "any" { Until::Any } else { Until::All };
            of_runs(runs::wait_many(&ids, until, call.get(3).and_then(Value::as_u64)), |ended| json!(ended))
        }
        // As many ids as that, all the same.
        "runs.wait_crowd" => {
            let ids = vec![text(1); times(2) as usize];
            of_runs(runs::wait_many(&ids, Until::All, None), |ended| json!(ended.len()))
        }
        "runs.result" => of_runs(runs::get_result(&text(1)), |found| found.map_or(json!(null), ending)),
        "runs.cancel" => of_runs(runs::cancel(&text(1)), |cancelled| json!(cancelled)),
        _ => return None,
    })
}

fn ending(ending: Ending) -> Value {
    match ending {
        Ending::Succeeded(ScriptOutput::Json(text)) => json!({ "succeeded": text }),
        Ending::Succeeded(ScriptOutput::Bytes(binary)) => json!({ "succeeded": [binary.content_type, binary.data] }),
        Ending::Skipped => json!("skipped"),
        Ending::Failed(failure) => json!({
            "outcome": failure.outcome, "name": failure.error.name, "message": failure.error.message,
            "stack": failure.error.stack, "details": failure.error.details,
        }),
    }
}

fn of_runs<T>(result: Result<T, runs::Error>, value: impl FnOnce(T) -> Value) -> Value {
    match result {
        Ok(found) => value(found),
        Err(runs::Error::Denied(text)) => json!({ "denied": text }),
        Err(runs::Error::Invalid(text)) => json!({ "invalid": text }),
        Err(runs::Error::NotFound(text)) => json!({ "not_found": text }),
        Err(runs::Error::InvalidArguments(error)) => json!({ "invalid_arguments": error.message, "details": error.details }),
        Err(runs::Error::TooMany(text)) => json!({ "too_many": text }),
        Err(runs::Error::Timeout(text)) => json!({ "timeout": text }),
        Err(runs::Error::Unavailable(text)) => json!({ "unavailable": text }),
    }
}

fn result<T>(result: Result<T, state::Error>, value: impl FnOnce(T) -> Value) -> Value {
    match result {
        Ok(found) => value(found),
        Err(state::Error::InvalidKey(text)) => json!({ "invalid_key": text }),
        Err(state::Error::InvalidJson(text)) => json!({ "invalid_json": text }),
        Err(state::Error::TooLarge(text)) => json!({ "too_large": text }),
        Err(state::Error::Unavailable(text)) => json!({ "unavailable": text }),
    }
}

export!(Capable);
