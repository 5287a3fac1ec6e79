//! What the guests of the interfaces have in common: `{"calls": [["set", "key", "1"], …]}` -> one result for each call.

use serde::Serialize;
use serde_json::{Value, json};

/// One call: its name and what comes after it.
pub struct Call<'a>(&'a [Value]);

impl Call<'_> {
    pub fn name(&self) -> &str {
        self.0.first().and_then(Value::as_str).unwrap_or_default()
    }

    pub fn value(&self, at: usize) -> &Value {
        self.0.get(at).unwrap_or(&Value::Null)
    }

    pub fn text(&self, at: usize) -> String {
        self.maybe(at).unwrap_or_default()
    }

    pub fn maybe(&self, at: usize) -> Option<String> {
        self.value(at).as_str().map(str::to_owned)
    }

    /// NaN for what is no number.
    pub fn number(&self, at: usize) -> f64 {
        self.value(at).as_f64().unwrap_or(f64::NAN)
    }

    pub fn count(&self, at: usize) -> Option<u64> {
        self.value(at).as_u64()
    }

    /// How often; once if nothing is said.
    pub fn times(&self, at: usize) -> u64 {
        self.count(at).unwrap_or(1)
    }

    pub fn list(&self, at: usize) -> Vec<Value> {
        self.value(at).as_array().cloned().unwrap_or_default()
    }

    pub fn bytes(&self, at: usize) -> Vec<u8> {
        self.list(at).iter().filter_map(Value::as_u64).map(|byte| byte as u8).collect()
    }
}

/// The results as JSON.
///
/// # Errors
/// What is wrong with the arguments, or which call is not known.
pub fn answer<T: Serialize>(args: &str, mut one: impl FnMut(&Call<'_>) -> Option<T>) -> Result<String, String> {
    let args: Value = serde_json::from_str(args).map_err(|error| error.to_string())?;
    let calls = args["calls"].as_array().ok_or("there are no calls")?;
    let results: Result<Vec<T>, String> = calls
        .iter()
        .map(|call| {
            let call = Call(call.as_array().ok_or("a call is an array")?);
            one(&call).ok_or_else(|| format!("there is no call `{}`", call.name()))
        })
        .collect();
    serde_json::to_string(&results?).map_err(|error| error.to_string())
}

/// A result, or `{<kind of the error>: <its text>}`.
pub fn result<T, E>(result: Result<T, E>, value: impl FnOnce(T) -> Value, error: impl FnOnce(E) -> (&'static str, String)) -> Value {
    match result {
        Ok(found) => value(found),
        Err(fault) => {
            let (kind, text) = error(fault);
            json!({ kind: text })
        }
    }
}

/// `main` of a guest: `$one`, which is made for each run, answers a call.
#[macro_export]
macro_rules! main {
    ($one:expr) => {
        struct Script;

        impl exports::sandmill::script::main::Guest for Script {
            fn run(args: String) -> Result<sandmill::script::types::Output, sandmill::script::types::Error> {
                let fault = |message| sandmill::script::types::Error { name: "TypeError".into(), message, stack: None, details: None };
                calls::answer(&args, $one).map(sandmill::script::types::Output::Json).map_err(fault)
            }
        }

        export!(Script);
    };
}
