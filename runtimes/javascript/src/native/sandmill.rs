//! The platform's capabilities, as js/sandmill.js and js/console.js use them.

use crate::{
    bindings::sandmill::{
        context::context,
        log::log::{self, Level},
        output::output,
        state::state,
    },
    bytes::Bytes,
    phase::{is_open, require_open},
    text::Text,
};
use rquickjs::{
    Array, Ctx, Object, Result,
    prelude::{Func, Opt},
};

pub fn add<'js>(_ctx: &Ctx<'js>, native: &Object<'js>) -> Result<()> {
    native.set("log", Func::from(write_log))?;
    native.set("progress", Func::from(progress))?;
    native.set("write", Func::from(write))?;
    native.set("context", Func::from(info))?;
    native.set("payload", Func::from(payload))?;
    native.set("stateGet", Func::from(state_get))?;
    native.set("stateSet", Func::from(state_set))?;
    native.set("stateDelete", Func::from(state_delete))?;
    native.set("stateSwap", Func::from(state_swap))
}

/// Dropped at the top level: there is no run whose log it could be.
fn write_log(level: u32, message: Text, fields: Opt<Option<Text>>) {
    let level = match level {
        0 => Level::Trace,
        1 => Level::Debug,
        2 => Level::Info,
        3 => Level::Warn,
        _ => Level::Error,
    };
    if is_open() {
        log::write(level, &message.0, fields.0.flatten().map(|fields| fields.0).as_deref());
    }
}

fn progress(ctx: Ctx<'_>, percent: f64, text: Text) -> Result<()> {
    require_open(&ctx, "output.progress")?;
    output::progress(percent, &text.0);
    Ok(())
}

fn write<'js>(ctx: Ctx<'js>, chunk: Bytes<'js>) -> Result<()> {
    require_open(&ctx, "output.write")?;
    output::write(chunk.as_slice());
    Ok(())
}

fn info<'js>(ctx: Ctx<'js>, what: String) -> Result<Object<'js>> {
    require_open(&ctx, &what)?;
    let info = context::get();
    let object = Object::new(ctx.clone())?;
    object.set("runId", info.run_id)?;
    object.set("script", info.script)?;
    object.set("version", info.version)?;
    object.set("workspace", info.workspace)?;
    if let Some(trigger) = info.trigger {
        let path = Object::new(ctx)?;
        path.set("kind", trigger.kind)?;
        path.set("path", trigger.path)?;
        object.set("trigger", path)?;
    }
    object.set("attempt", info.attempt)?;
    object.set("deadlineMs", info.deadline_ms as f64)?;
    object.set("runAs", info.run_as)?;
    Ok(object)
}

fn payload(ctx: Ctx<'_>) -> Result<Bytes<'_>> {
    require_open(&ctx, "context.payload")?;
    Bytes::copy_of(ctx, context::payload())
}

fn state_get<'js>(ctx: Ctx<'js>, key: Text) -> Result<Array<'js>> {
    require_open(&ctx, "state.get")?;
    answer(ctx, state::get(&key.0))
}

fn state_set<'js>(ctx: Ctx<'js>, key: Text, value: Text) -> Result<Array<'js>> {
    require_open(&ctx, "state.set")?;
    answer(ctx, state::set(&key.0, &value.0).map(|()| true))
}

fn state_delete<'js>(ctx: Ctx<'js>, key: Text) -> Result<Array<'js>> {
    require_open(&ctx, "state.delete")?;
    answer(ctx, state::delete(&key.0).map(|()| true))
}

fn state_swap<'js>(ctx: Ctx<'js>, key: Text, expected: Option<Text>, new: Option<Text>) -> Result<Array<'js>> {
    require_open(&ctx, "state.compareAndSwap")?;
    let (expected, new) = (expected.map(|text| text.0), new.map(|text| text.0));
    answer(ctx, state::compare_and_swap(&key.0, expected.as_deref(), new.as_deref()))
}

/// `[value]`, or `[undefined, code, text]` of which the bundle makes a `StateError`.
fn answer<'js, T: rquickjs::IntoJs<'js>>(ctx: Ctx<'js>, result: std::result::Result<T, state::Error>) -> Result<Array<'js>> {
    let array = Array::new(ctx)?;
    let (code, text) = match result {
        Ok(value) => {
            array.set(0, value)?;
            return Ok(array);
        }
        Err(state::Error::InvalidKey(text)) => ("invalid-key", text),
        Err(state::Error::InvalidJson(text)) => ("invalid-json", text),
        Err(state::Error::TooLarge(text)) => ("too-large", text),
        Err(state::Error::Unavailable(text)) => ("unavailable", text),
    };
    array.set(1, code)?;
    array.set(2, text)?;
    Ok(array)
}
