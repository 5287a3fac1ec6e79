//! Greets: `{"name": "bob"}` -> `{"hello": "bob", "n": [2, 4, 6]}`. The smallest real script; its size is measured.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Deserialize, JsonSchema)]
struct Args {
    /// Whom to greet
    name: String,
}

#[derive(Serialize)]
struct Greeting {
    hello: String,
    n: Vec<u32>,
}

#[sandmill::main]
fn main(args: Args) -> sandmill::Result<Greeting> {
    Ok(Greeting { hello: args.name, n: [1, 2, 3].map(|n| n * 2).to_vec() })
}
