//! `sandmill:log`: structured lines in the run's log.

use sandmill_model::{JsonText, LogLevel, LogStream};
use sandmill_sandbox::Guest;
use wasmtime::Result;

use crate::{
    Host,
    bindings::log::{Host as Log, Level},
};

impl Log for Guest<Host> {
    async fn write(&mut self, level: Level, message: String, fields: Option<String>) -> Result<()> {
        self.pace().await;
        if !self.log_is_full() {
            self.log(level_of(level), LogStream::Log, message, fields.map(object));
        }
        Ok(())
    }
}

fn level_of(level: Level) -> LogLevel {
    match level {
        Level::Trace => LogLevel::Trace,
        Level::Debug => LogLevel::Debug,
        Level::Info => LogLevel::Info,
        Level::Warn => LogLevel::Warn,
        Level::Error => LogLevel::Error,
    }
}

/// The fields, or an object that holds their text if it is no JSON object: a log line is not worth an error.
fn object(text: String) -> JsonText {
    match JsonText::parse(text.as_str()) {
        Ok(json) if json.is_object() => json,
        _ => JsonText::of(&std::collections::BTreeMap::from([("text", text)])).unwrap_or_else(|_| JsonText::empty_object()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_always_an_object() {
        for (text, fields) in
            [(r#" {"a":1}"#, r#" {"a":1}"#), ("[1]", r#"{"text":"[1]"}"#), (r#"{"a":"#, r#"{"text":"{\"a\":"}"#), ("", r#"{"text":""}"#)]
        {
            assert_eq!(object(text.to_owned()).as_str(), fields);
        }
    }
}
