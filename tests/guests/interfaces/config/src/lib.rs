//! Calls `wasi:config/store@0.2.0-rc.1`.

use calls::Call;
use serde_json::{Value, json};

wit_bindgen::generate!({
    path: ["../../../../wit/script", "../../../../wit/config"],
    inline: "
        package test:guest;

        world guest {
            import wasi:config/store@0.2.0-rc.1;
            export sandmill:script/main@0.1.0;
        }
    ",
    world: "test:guest/guest",
    generate_all,
});

use wasi::config::store::{self, Error};

fn one(call: &Call<'_>) -> Option<Value> {
    Some(match call.name() {
        "get" => calls::result(store::get(&call.text(1)), |text| json!(text), fault),
        "all" => calls::result(store::get_all(), |all| json!(all), fault),
        _ => return None,
    })
}

fn fault(error: Error) -> (&'static str, String) {
    match error {
        Error::Upstream(text) => ("upstream", text),
        Error::Io(text) => ("io", text),
    }
}

calls::main!(one);
