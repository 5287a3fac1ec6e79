//! Calls `sandmill:runs/runs@0.1.0`.

use calls::Call;
use serde_json::{Value, json};

wit_bindgen::generate!({
    path: ["../../../../wit/script", "../../../../wit/runs"],
    inline: "
        package test:guest;

        world guest {
            import sandmill:runs/runs@0.1.0;
            export sandmill:script/main@0.1.0;
        }
    ",
    world: "test:guest/guest",
    generate_all,
});

use sandmill::{
    runs::runs::{self, Ending, Until},
    script::types::Output as ScriptOutput,
};

fn one(call: &Call<'_>) -> Option<Value> {
    Some(match call.name() {
        "start" => {
            let options = call.value(3);
            let options = runs::Options {
                delay_ms: options["delay_ms"].as_u64(),
                priority: options["priority"].as_i64().map(|priority| priority as i32),
                tag: options["tag"].as_str().map(str::to_owned),
                key: options["key"].as_str().map(str::to_owned),
            };
            let mut started = json!(null);
            for _ in 0..call.times(4) {
                started = of_runs(runs::start(&call.text(1), &call.text(2), &options), |run| json!(run));
            }
            started
        }
        "wait" => of_runs(runs::wait(&call.text(1), call.count(2)), ending),
        "wait_many" => {
            let ids: Vec<String> = call.list(1).iter().filter_map(Value::as_str).map(str::to_owned).collect();
            let until = if call.text(2) == "any" { Until::Any } else { Until::All };
            of_runs(runs::wait_many(&ids, until, call.count(3)), |ended| json!(ended))
        }
        // As many ids as that, all the same.
        "wait_crowd" => {
            let ids = vec![call.text(1); call.times(2) as usize];
            of_runs(runs::wait_many(&ids, Until::All, None), |ended| json!(ended.len()))
        }
        "result" => of_runs(runs::get_result(&call.text(1)), |found| found.map_or(json!(null), ending)),
        "cancel" => of_runs(runs::cancel(&call.text(1)), |cancelled| json!(cancelled)),
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

calls::main!(one);
