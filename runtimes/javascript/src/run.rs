//! Calls the script's functions and drives its promises, timers and requests to an end.

use crate::{
    bindings::{
        exports::sandmill::script::main::{Error, Output},
        sandmill::log::log::{self, Level},
    },
    engine::{self, Engine},
    errors, load, output,
};
use rquickjs::{Ctx, Function, Persistent, Result, Value, function::Args, promise::PromiseState, qjs};
use std::mem::{ManuallyDrop, MaybeUninit};

pub fn main(args: String) -> std::result::Result<Output, Error> {
    let engine = engine::get();
    let script = load::loaded(engine)?;
    engine.context.with(|ctx| {
        let result = call_main(engine, &ctx, &script.main, &script.parameters, args).and_then(|value| to_output(engine, &ctx, value));
        finish(engine, &ctx, result)
    })
}

fn to_output<'js>(engine: &Engine, ctx: &Ctx<'js>, value: Kept<'js>) -> Result<Output> {
    match output::special(engine, ctx, &value)? {
        Some(special) => {
            let special = settle(engine, ctx, "main", special)?;
            output::from_value(ctx, &value, Some(&special))
        }
        None => output::from_value(ctx, &value, None),
    }
}

pub fn preprocess(event: String) -> std::result::Result<Option<String>, Error> {
    let engine = engine::get();
    let Some(preprocessor) = &load::loaded(engine)?.preprocessor else {
        return Err(errors::plain("Error", "the module does not export a function named preprocessor"));
    };
    engine.context.with(|ctx| {
        let result = call_preprocessor(engine, &ctx, preprocessor, event).and_then(|value| output::arguments(&ctx, &value));
        finish(engine, &ctx, result)
    })
}

/// A value that the end of the run frees, not we: the instance goes away with it.
type Kept<'js> = ManuallyDrop<Value<'js>>;

fn call_main<'js>(
    engine: &Engine,
    ctx: &Ctx<'js>,
    main: &Persistent<Function<'static>>,
    parameters: &[qjs::JSAtom],
    args: String,
) -> Result<Kept<'js>> {
    let object = ManuallyDrop::new(output::parse(ctx, args)?);
    let mut arguments = Args::new(ctx.clone(), parameters.len());
    for name in parameters {
        arguments.push_arg(own_property(ctx, &object, *name)?)?;
    }
    let main = main.clone().restore(ctx)?;
    settle(engine, ctx, "main", arguments.apply(&main)?)
}

fn call_preprocessor<'js>(
    engine: &Engine,
    ctx: &Ctx<'js>,
    preprocessor: &Persistent<Function<'static>>,
    event: String,
) -> Result<Kept<'js>> {
    let event = output::parse(ctx, event)?;
    let preprocessor = preprocessor.clone().restore(ctx)?;
    settle(engine, ctx, "preprocessor", preprocessor.call((event,))?)
}

/// `undefined` unless the object itself has the property: a parameter named `toString` is no argument.
fn own_property<'js>(ctx: &Ctx<'js>, object: &Value<'js>, name: qjs::JSAtom) -> Result<Value<'js>> {
    let mut descriptor = MaybeUninit::<qjs::JSPropertyDescriptor>::uninit();
    // SAFETY: the object is alive and its properties are plain, as JSON.parse makes them.
    unsafe {
        let raw = ctx.as_raw().as_ptr();
        match qjs::JS_GetOwnProperty(raw, descriptor.as_mut_ptr(), object.as_raw(), name) {
            1 => Ok(Value::from_raw(ctx.clone(), descriptor.assume_init().value)),
            0 => Ok(Value::new_undefined(ctx.clone())),
            _ => Err(rquickjs::Error::Exception),
        }
    }
}

/// Waits for `value` if it is a promise or another thenable.
fn settle<'js>(engine: &Engine, ctx: &Ctx<'js>, what: &str, value: Value<'js>) -> Result<Kept<'js>> {
    let promise = match output::as_promise(ctx, value)? {
        Ok(promise) => promise,
        Err(value) => {
            while ctx.execute_pending_job() {}
            return Ok(ManuallyDrop::new(value));
        }
    };
    loop {
        while ctx.execute_pending_job() {}
        if promise.state() != PromiseState::Pending {
            break;
        }
        let timer_ms: f64 = engine.helpers.timer_wait.clone().restore(ctx)?.call(())?;
        if timer_ms < 0.0 && engine.waits.is_empty() {
            let message = format!("{what}'s promise can never settle: nothing is left to wait for");
            return Err(rquickjs::Exception::throw_message(ctx, &message));
        }
        if engine.waits.turn(ctx, timer_ms)? {
            engine.helpers.timer_fire.clone().restore(ctx)?.call::<_, ()>(())?;
        }
    }
    // Its rejection is the outcome, not an unhandled one.
    engine.forget_rejection(ctx, promise.as_value());
    let value = promise.result::<Value<'js>>().expect("a settled promise")?;
    std::mem::forget(promise);
    Ok(ManuallyDrop::new(value))
}

fn finish<T>(engine: &Engine, ctx: &Ctx<'_>, result: Result<T>) -> std::result::Result<T, Error> {
    let result = result.map_err(|error| errors::from_rust(engine, ctx, error));
    if !engine.rejected.borrow().is_empty() {
        for (_, reason) in engine.rejected.take() {
            let Ok(reason) = reason.restore(ctx) else { continue };
            let error = errors::from_value(engine, ctx, reason);
            let stack = error.stack.map(|stack| format!("\n{stack}")).unwrap_or_default();
            let Error { name, message, .. } = error;
            let line = format!("unhandled promise rejection: {name}: {message}{stack}");
            log::write(Level::Error, &line, None);
        }
    }
    result
}
