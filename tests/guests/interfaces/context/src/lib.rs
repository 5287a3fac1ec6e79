//! Calls `sandmill:context/context@0.1.0`.

use calls::Call;
use serde_json::{Value, json};

wit_bindgen::generate!({
    path: ["../../../../wit/script", "../../../../wit/context"],
    inline: "
        package test:guest;

        world guest {
            import sandmill:context/context@0.1.0;
            export sandmill:script/main@0.1.0;
        }
    ",
    world: "test:guest/guest",
    generate_all,
});

use sandmill::context::context;

fn one(call: &Call<'_>) -> Option<Value> {
    Some(match call.name() {
        "get" => {
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
        "payload" => json!(context::payload()),
        _ => return None,
    })
}

calls::main!(one);
