//! Calls `sandmill:state/state@0.1.1`.

use calls::Call;
use serde_json::{Value, json};

wit_bindgen::generate!({
    path: ["../../../../wit/script", "../../../../wit/state"],
    inline: "
        package test:guest;

        world guest {
            import sandmill:state/state@0.1.1;
            export sandmill:script/main@0.1.0;
        }
    ",
    world: "test:guest/guest",
    generate_all,
});

use sandmill::state::state::{self, Error};

fn one(call: &Call<'_>) -> Option<Value> {
    let ok = |()| json!("ok");
    Some(match call.name() {
        "get" => calls::result(state::get(&call.text(1)), |value| json!(value), fault),
        "set" => calls::result(state::set(&call.text(1), &call.text(2)), ok, fault),
        // A value of so many bytes.
        "set_large" => {
            let value = format!("\"{}\"", "v".repeat(call.times(2) as usize - 2));
            calls::result(state::set(&call.text(1), &value), ok, fault)
        }
        "delete" => calls::result(state::delete(&call.text(1)), ok, fault),
        "swap" => {
            let (expected, new) = (call.maybe(2), call.maybe(3));
            calls::result(state::compare_and_swap(&call.text(1), expected.as_deref(), new.as_deref()), |wrote| json!(wrote), fault)
        }
        "list" => {
            let limit = call.count(3).map_or(u32::MAX, |limit| limit as u32);
            calls::result(state::list(&call.text(1), call.maybe(2).as_deref(), limit), |keys| json!(keys), fault)
        }
        _ => return None,
    })
}

fn fault(error: Error) -> (&'static str, String) {
    match error {
        Error::InvalidKey(text) => ("invalid_key", text),
        Error::InvalidJson(text) => ("invalid_json", text),
        Error::TooLarge(text) => ("too_large", text),
        Error::Unavailable(text) => ("unavailable", text),
    }
}

calls::main!(one);
