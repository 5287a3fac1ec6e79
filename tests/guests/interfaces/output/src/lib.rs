//! Calls `sandmill:output/output@0.1.0`.

use calls::Call;
use serde_json::{Value, json};

wit_bindgen::generate!({
    path: ["../../../../wit/script", "../../../../wit/output"],
    inline: "
        package test:guest;

        world guest {
            import sandmill:output/output@0.1.0;
            export sandmill:script/main@0.1.0;
        }
    ",
    world: "test:guest/guest",
    generate_all,
});

use sandmill::output::output;

fn one(call: &Call<'_>) -> Option<Value> {
    match call.name() {
        "progress" => {
            for _ in 0..call.times(3) {
                output::progress(call.number(1), &call.text(2));
            }
        }
        "write" => output::write(call.text(1).as_bytes()),
        "write_bytes" => output::write(&call.bytes(1)),
        _ => return None,
    }
    Some(json!(null))
}

calls::main!(one);
