//! What scripts throw, as the contract's error record.

use crate::{bindings::exports::sandmill::script::main::Error as Record, engine::Engine, text::Text};
use rquickjs::{Ctx, Error, Result, Value};

type Described = (Text, Text, Option<Text>, Option<Text>);

/// An error of the runtime's own.
pub fn plain(name: &str, message: &str) -> Record {
    Record { name: name.to_owned(), message: message.to_owned(), stack: None, details: None }
}

/// Takes the pending exception, if that is what the error stands for.
pub fn from_rust(engine: &Engine, ctx: &Ctx<'_>, error: Error) -> Record {
    match error {
        Error::Exception => from_value(engine, ctx, ctx.catch()),
        other => plain("Error", &other.to_string()),
    }
}

/// Never fails: describing may run user code (getters, toJSON), which may throw in turn.
pub fn from_value<'js>(engine: &Engine, ctx: &Ctx<'js>, value: Value<'js>) -> Record {
    match describe(engine, ctx, value) {
        Ok((name, message, stack, details)) => {
            Record { name: name.0, message: message.0, stack: stack.map(|text| text.0), details: details.map(|text| text.0) }
        }
        Err(_) => {
            ctx.catch();
            plain("Error", "an error that could not be described was thrown")
        }
    }
}

fn describe<'js>(engine: &Engine, ctx: &Ctx<'js>, value: Value<'js>) -> Result<Described> {
    let parts: rquickjs::Array<'js> = engine.helpers.describe.clone().restore(ctx)?.call((value,))?;
    Ok((parts.get(0)?, parts.get(1)?, parts.get(2)?, parts.get(3)?))
}
