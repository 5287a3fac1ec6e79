//! Runs that a script starts, as js/runs.js uses them.

use crate::{
    bindings::sandmill::{
        runs::runs::{self, Ending, Error, Options, Until},
        script::types::{Binary, Error as ScriptError, Output},
    },
    bytes::Bytes,
    phase::require_open,
    text::Text,
};
use rquickjs::{Array, Ctx, IntoJs, Object, Result, Value, prelude::Func};

pub fn add<'js>(_ctx: &Ctx<'js>, native: &Object<'js>) -> Result<()> {
    native.set("runsStart", Func::from(start))?;
    native.set("runsWait", Func::from(wait))?;
    native.set("runsWaitMany", Func::from(wait_many))?;
    native.set("runsResult", Func::from(result))?;
    native.set("runsCancel", Func::from(cancel))
}

fn start<'js>(
    ctx: Ctx<'js>,
    path: Text,
    args: Text,
    delay_ms: Option<f64>,
    priority: Option<i32>,
    tag: Option<Text>,
    key: Option<Text>,
) -> Result<Array<'js>> {
    require_open(&ctx, "runs.start")?;
    let options = Options { delay_ms: delay_ms.map(|ms| ms as u64), priority, tag: tag.map(|text| text.0), key: key.map(|text| text.0) };
    answer(&ctx, runs::start(&path.0, &args.0, &options))
}

fn wait<'js>(ctx: Ctx<'js>, run: Text, timeout_ms: Option<f64>) -> Result<Array<'js>> {
    require_open(&ctx, "runs.wait")?;
    let ended = runs::wait(&run.0, timeout_ms.map(|ms| ms as u64));
    answer(&ctx, ended.map(Ended))
}

fn wait_many<'js>(ctx: Ctx<'js>, ids: Vec<Text>, is_any: bool, timeout_ms: Option<f64>) -> Result<Array<'js>> {
    require_open(&ctx, if is_any { "runs.any" } else { "runs.wait" })?;
    let ids: Vec<String> = ids.into_iter().map(|id| id.0).collect();
    let until = if is_any { Until::Any } else { Until::All };
    answer(&ctx, runs::wait_many(&ids, until, timeout_ms.map(|ms| ms as u64)))
}

fn result<'js>(ctx: Ctx<'js>, run: Text) -> Result<Array<'js>> {
    require_open(&ctx, "runs.result")?;
    answer(&ctx, runs::get_result(&run.0).map(|ending| ending.map(Ended)))
}

fn cancel<'js>(ctx: Ctx<'js>, run: Text) -> Result<Array<'js>> {
    require_open(&ctx, "runs.cancel")?;
    answer(&ctx, runs::cancel(&run.0))
}

/// `["json", text]`, `["bytes", content type, bytes]`, `["skipped"]` or `["failed", outcome, name, message, stack, details]`.
struct Ended(Ending);

impl<'js> IntoJs<'js> for Ended {
    fn into_js(self, ctx: &Ctx<'js>) -> Result<Value<'js>> {
        let array = Array::new(ctx.clone())?;
        match self.0 {
            Ending::Succeeded(Output::Json(text)) => {
                array.set(0, "json")?;
                array.set(1, text)?;
            }
            Ending::Succeeded(Output::Bytes(Binary { content_type, data })) => {
                array.set(0, "bytes")?;
                array.set(1, content_type)?;
                array.set(2, Bytes::copy_of(ctx.clone(), data)?)?;
            }
            Ending::Skipped => array.set(0, "skipped")?,
            Ending::Failed(failure) => {
                array.set(0, "failed")?;
                array.set(1, failure.outcome)?;
                describe(&array, 2, failure.error)?;
            }
        }
        array.into_js(ctx)
    }
}

/// Name, message, stack and details from place `at` on.
fn describe(array: &Array<'_>, at: usize, error: ScriptError) -> Result<()> {
    array.set(at, error.name)?;
    array.set(at + 1, error.message)?;
    array.set(at + 2, error.stack)?;
    array.set(at + 3, error.details)
}

/// `[value]`, or `[undefined, code, text, details]` of which the bundle makes a `RunsError`.
fn answer<'js, T: IntoJs<'js>>(ctx: &Ctx<'js>, result: std::result::Result<T, Error>) -> Result<Array<'js>> {
    let array = Array::new(ctx.clone())?;
    let (code, text) = match result {
        Ok(value) => {
            array.set(0, value)?;
            return Ok(array);
        }
        Err(Error::InvalidArguments(error)) => {
            array.set(3, error.details)?;
            ("invalid-arguments", error.message)
        }
        Err(Error::Denied(text)) => ("denied", text),
        Err(Error::Invalid(text)) => ("invalid", text),
        Err(Error::NotFound(text)) => ("not-found", text),
        Err(Error::TooMany(text)) => ("too-many", text),
        Err(Error::Timeout(text)) => ("timeout", text),
        Err(Error::Unavailable(text)) => ("unavailable", text),
    };
    array.set(1, code)?;
    array.set(2, text)?;
    Ok(array)
}
