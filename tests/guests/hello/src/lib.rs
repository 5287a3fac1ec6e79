//! Greets: `{"name": "bob"}` -> `{"hello": "bob", "n": [2, 4, 6]}`. The smallest real script; the benches measure it.

use serde::{Deserialize, Serialize};

wit_bindgen::generate!({
    path: ["../../../wit/script", "../../../wit/context", "../../../wit/log", "../../../wit/output", "../../../wit/state", "../../../wit/runs", "../../../wit/resources", "../../../wit/variables", "../../../wit/sql", "../../../wit/blob", "../../../wit/publish", "../../../wit/guest"],
    world: "sandmill:guest/script",
    generate_all,
});

use exports::sandmill::script::main::{Error, Guest, Output};

#[derive(Deserialize)]
struct Arguments {
    name: String,
}

#[derive(Serialize)]
struct Greeting<'a> {
    hello: &'a str,
    n: Vec<u32>,
}

struct Hello;

impl Guest for Hello {
    fn run(args: String) -> Result<Output, Error> {
        let fault = |error: serde_json::Error| Error { name: "TypeError".into(), message: error.to_string(), stack: None, details: None };
        let arguments: Arguments = serde_json::from_str(&args).map_err(fault)?;
        let greeting = Greeting { hello: &arguments.name, n: [1, 2, 3].map(|n| n * 2).to_vec() };
        serde_json::to_string(&greeting).map(Output::Json).map_err(fault)
    }
}

export!(Hello);
