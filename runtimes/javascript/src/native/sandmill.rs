//! What every run may do, as js/sandmill.js and js/console.js use it.

use crate::{
    bindings::sandmill::{
        context::context,
        log::log::{self, Level},
        output::output,
    },
    bytes::Bytes,
    phase::{is_open, require_open},
    text::Text,
};
use rquickjs::{
    Ctx, Object, Result,
    prelude::{Func, Opt},
};

pub fn add<'js>(_ctx: &Ctx<'js>, native: &Object<'js>) -> Result<()> {
    native.set("log", Func::from(write_log))?;
    native.set("progress", Func::from(progress))?;
    native.set("write", Func::from(write))?;
    native.set("context", Func::from(info))?;
    native.set("payload", Func::from(payload))
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
