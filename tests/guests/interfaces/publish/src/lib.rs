//! Calls `sandmill:publish/publish@0.1.0`: `["publish", resource, to, payload, {header: value}, id or null, kept]`, `["bytes", resource, number]` sends so many.

use calls::Call;
use serde_json::{Value, json};

wit_bindgen::generate!({
    path: ["../../../../wit/script", "../../../../wit/resources", "../../../../wit/publish"],
    inline: "
        package sandmill:test;
        world publish {
            import sandmill:resources/resources@0.1.0;
            import sandmill:publish/publish@0.1.0;
            export sandmill:script/main@0.1.0;
        }
    ",
    world: "sandmill:test/publish",
    generate_all,
});

use sandmill::{
    publish::publish::{self, Error, Message},
    resources::resources,
};

fn one(call: &Call<'_>) -> Option<Value> {
    let text = |at: usize| call.value(at).as_str().unwrap_or_default().to_owned();
    let message = match call.name() {
        "publish" => {
            let value = call.value(4);
            let headers = value.as_object().into_iter().flatten();
            Message {
                to: text(2),
                payload: text(3).into_bytes(),
                headers: headers.map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned())).collect(),
                id: call.value(5).as_str().map(str::to_owned),
                kept: call.value(6).as_bool().unwrap_or_default(),
            }
        }
        "bytes" => {
            let count = call.count(2).unwrap_or_default() as usize;
            Message { to: "a".to_owned(), payload: vec![b'x'; count], headers: Vec::new(), id: None, kept: false }
        }
        _ => return None,
    };
    let handle = match resources::open(&text(1)) {
        Ok(handle) => handle,
        Err(resources::Error::Denied(text)) => return Some(json!({ "denied": text })),
        Err(error) => return Some(json!({ "error": error.to_string() })),
    };
    let said = |text: String| serde_json::from_str(&text).unwrap_or(Value::Null);
    Some(calls::result(publish::publish(&handle, &message), said, fault))
}

fn fault(error: Error) -> (&'static str, String) {
    match error {
        Error::Denied(text) => ("denied", text),
        Error::Invalid(text) => ("invalid", text),
        Error::TooLarge(text) => ("too_large", text),
        Error::Unavailable(text) => ("unavailable", text),
    }
}

calls::main!(one);
