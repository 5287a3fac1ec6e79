//! Calls `sandmill:variables/variables@0.1.0`.

use calls::Call;
use serde_json::{Value, json};

wit_bindgen::generate!({
    path: ["../../../../wit/script", "../../../../wit/variables"],
    inline: "
        package test:guest;

        world guest {
            import sandmill:variables/variables@0.1.0;
            export sandmill:script/main@0.1.0;
        }
    ",
    world: "test:guest/guest",
    generate_all,
});

use sandmill::variables::variables::{self, Error};

fn one(call: &Call<'_>) -> Option<Value> {
    Some(match call.name() {
        "get" => calls::result(variables::get(&call.text(1)), |text| json!(text), fault),
        "placeholder" => calls::result(variables::placeholder(&call.text(1)), |text| json!(text), fault),
        // What a script would do that leaks it: into its log, in halves.
        "print_halves" => match variables::get(&call.text(1)) {
            Ok(text) => {
                let (one, other) = text.split_at(text.len() / 2);
                println!("one {one}");
                println!("other {other}");
                json!([one, other])
            }
            Err(error) => calls::result(Err::<(), _>(error), |()| json!(null), fault),
        },
        _ => return None,
    })
}

fn fault(error: Error) -> (&'static str, String) {
    match error {
        Error::Denied(text) => ("denied", text),
        Error::Invalid(text) => ("invalid", text),
        Error::NotFound(text) => ("not_found", text),
        Error::Unavailable(text) => ("unavailable", text),
    }
}

calls::main!(one);
