//! Greets somebody.

use sandmill::{Result, fields, log};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Deserialize, JsonSchema)]
struct Args {
    /// Whom to greet
    name: String,
    /// How often
    #[serde(default = "once")]
    times: usize,
}

fn once() -> usize {
    1
}

#[derive(Serialize)]
struct Greeting {
    greeting: String,
}

#[sandmill::main]
fn main(args: Args) -> Result<Greeting> {
    let name = args.name;
    log::info("greeting", &fields! { name });
    Ok(Greeting { greeting: vec![format!("Hello, {name}!"); args.times].join(" ") })
}

#[cfg(test)]
mod tests {
    use sandmill::testing::Fakes;

    use super::main;

    #[test]
    fn greets() {
        let _world = Fakes::new().install();
        let output = main::call(r#"{"name": "Ann"}"#).unwrap();
        assert_eq!(output, sandmill::Output::Json(r#"{"greeting":"Hello, Ann!"}"#.to_owned()));
    }
}
