//! JSON in, results out.

use crate::{
    bindings::sandmill::script::types::{Binary, Output},
    bytes::Bytes,
    engine::Engine,
    text::Text,
};
use rquickjs::{Ctx, Exception, FromJs, Function, Promise, Result, Value, qjs};

/// JSON.parse, straight from the bytes.
pub fn parse<'js>(ctx: &Ctx<'js>, json: String) -> Result<Value<'js>> {
    let length = json.len();
    let mut json = json.into_bytes();
    json.push(0);
    // SAFETY: QuickJS reads `length` bytes and wants a NUL after them.
    unsafe {
        let raw = ctx.as_raw().as_ptr();
        let value = qjs::JS_ParseJSON(raw, json.as_ptr().cast(), length as _, c"arguments".as_ptr());
        if qjs::JS_IsException(value) {
            return Err(rquickjs::Error::Exception);
        }
        Ok(Value::from_raw(ctx.clone(), value))
    }
}

/// The promise to wait for, or the value itself.
pub fn as_promise<'js>(ctx: &Ctx<'js>, value: Value<'js>) -> Result<std::result::Result<Promise<'js>, Value<'js>>> {
    if value.is_promise() {
        return Ok(Ok(Promise::from_js(ctx, value)?));
    }
    let Some(object) = value.as_object() else {
        return Ok(Err(value));
    };
    let then: Value<'js> = object.get("then")?;
    if !then.is_function() {
        return Ok(Err(value));
    }
    let (promise, resolve, _) = ctx.promise()?;
    resolve.call::<_, ()>((value,))?;
    Ok(Ok(promise))
}

/// What the bundle makes of a result that has a class of its own: undefined, [content type, bytes],
/// [undefined, value], or a promise of these. None for plain values, which need no look.
pub fn special<'js>(engine: &Engine, ctx: &Ctx<'js>, value: &Value<'js>) -> Result<Option<Value<'js>>> {
    let Some(object) = value.as_object() else {
        return Ok(None);
    };
    if let Some(prototype) = object.get_prototype() {
        let helpers = &engine.helpers;
        if prototype == helpers.object_prototype.clone().restore(ctx)? || prototype == helpers.array_prototype.clone().restore(ctx)? {
            return Ok(None);
        }
    }
    let output: Function<'js> = engine.helpers.output.clone().restore(ctx)?;
    Ok(Some(output.call((value.clone(),))?))
}

/// What main's result is to the host; `special` is what the function of that name said, settled.
pub fn from_value<'js>(ctx: &Ctx<'js>, value: &Value<'js>, special: Option<&Value<'js>>) -> Result<Output> {
    let Some(parts) = special.and_then(Value::as_array) else {
        return stringify(ctx, "main", value).map(Output::Json);
    };
    let content_type: Option<Text> = parts.get(0)?;
    match content_type {
        Some(Text(content_type)) => {
            let bytes: Bytes<'js> = parts.get(1)?;
            let data = bytes.as_slice().to_vec();
            Ok(Output::Bytes(Binary { content_type, data }))
        }
        None => stringify(ctx, "main", &parts.get(1)?).map(Output::Json),
    }
}

/// What the preprocessor's result is to the host.
pub fn arguments<'js>(ctx: &Ctx<'js>, value: &Value<'js>) -> Result<Option<String>> {
    if value.is_undefined() || value.is_null() {
        return Ok(None);
    }
    if !value.is_object() || value.is_array() || value.is_function() {
        let message = "preprocessor must return an object of arguments, or null for nothing to do";
        return Err(Exception::throw_type(ctx, message));
    }
    stringify(ctx, "preprocessor", value).map(Some)
}

fn stringify<'js>(ctx: &Ctx<'js>, what: &str, value: &Value<'js>) -> Result<String> {
    if value.is_undefined() {
        return Ok("null".to_owned());
    }
    match ctx.json_stringify(value.clone()) {
        Ok(Some(json)) => Ok(Text::from_js(ctx, json.into_value())?.0),
        Ok(None) => {
            // So says JSON.stringify of functions and symbols, and of objects whose toJSON says nothing.
            let kind = value.type_name();
            let message = format!("{what} returned a {kind}, which cannot be turned into JSON");
            Err(Exception::throw_type(ctx, &message))
        }
        Err(_) => Err(explain(ctx, what)),
    }
}

/// Says what to do about the engine's two complaints about values; what a toJSON threw passes as it is.
fn explain(ctx: &Ctx<'_>, what: &str) -> rquickjs::Error {
    let thrown = ctx.catch();
    let reason = match thrown.as_exception().and_then(|exception| exception.message()).as_deref() {
        Some("circular reference") => "value that contains itself, which cannot be turned into JSON",
        Some("BigInt are forbidden in JSON.stringify") => {
            "BigInt, which cannot be turned into JSON; convert it with String(n) or Number(n)"
        }
        _ => return ctx.throw(thrown),
    };
    Exception::throw_type(ctx, &format!("{what} returned a {reason}"))
}
