//! Opens resources: `{"calls": [["open", "f/a/b"], ["placeholder", 0, "/token"], …]}` -> one result for each call. Handles are numbered as they come.

use calls::Call;
use serde_json::{Value, json};

wit_bindgen::generate!({
    path: ["../../../../wit/script", "../../../../wit/resources"],
    inline: "
        package sandmill:test;
        world resources {
            import sandmill:resources/resources@0.1.0;
            export sandmill:script/main@0.1.0;
        }
    ",
    world: "sandmill:test/resources",
    generate_all,
});

use sandmill::resources::resources::{self, Handle};

fn answer(call: &Call<'_>, open: &mut Vec<Option<Handle>>) -> Option<Value> {
    let text = |at: usize| call.value(at).as_str().unwrap_or_default();
    let number = |at: usize| call.count(at).unwrap_or_default();
    Some(match text(0) {
        "open" => match resources::open(text(1)) {
            Ok(handle) => {
                let seen = json!({ "path": handle.path(), "kind": handle.kind(), "fields": handle.fields() });
                open.push(Some(handle));
                seen
            }
            Err(error) => refused(error),
        },
        // So many handles, all kept.
        "open_crowd" => {
            for _ in 0..number(2) {
                match resources::open(text(1)) {
                    Ok(handle) => open.push(Some(handle)),
                    Err(error) => return Some(refused(error)),
                }
            }
            json!(open.len())
        }
        "placeholder" => match open.get(number(1) as usize)?.as_ref()?.placeholder(text(2)) {
            Ok(text) => json!(text),
            Err(error) => refused(error),
        },
        "drop" => {
            open[number(1) as usize] = None;
            json!(null)
        }
        // A handle that nobody gave.
        "forge" => {
            let handle = unsafe { Handle::from_handle(number(1) as u32) };
            json!(handle.path())
        }
        _ => return None,
    })
}

fn refused(error: resources::Error) -> Value {
    match error {
        resources::Error::Denied(text) => json!({ "denied": text }),
        resources::Error::Invalid(text) => json!({ "invalid": text }),
        resources::Error::NotFound(text) => json!({ "not_found": text }),
        resources::Error::Unavailable(text) => json!({ "unavailable": text }),
    }
}

calls::main!({
    let mut open = Vec::new();
    move |call: &Call<'_>| answer(call, &mut open)
});
