//! Calls `sandmill:log/log@0.1.0`.

use calls::Call;
use serde_json::{Value, json};

wit_bindgen::generate!({
    path: ["../../../../wit/script", "../../../../wit/log"],
    inline: "
        package test:guest;

        world guest {
            import sandmill:log/log@0.1.0;
            export sandmill:script/main@0.1.0;
        }
    ",
    world: "test:guest/guest",
    generate_all,
});

use sandmill::log::log;

fn one(call: &Call<'_>) -> Option<Value> {
    if call.name() != "write" {
        return None;
    }
    let level = match call.text(1).as_str() {
        "trace" => log::Level::Trace,
        "debug" => log::Level::Debug,
        "warn" => log::Level::Warn,
        "error" => log::Level::Error,
        _ => log::Level::Info,
    };
    for _ in 0..call.times(4) {
        log::write(level, &call.text(2), call.maybe(3).as_deref());
    }
    Some(json!(null))
}

calls::main!(one);
