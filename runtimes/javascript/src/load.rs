//! Evaluates a script's module and keeps what it exports.

use crate::{
    bindings::exports::sandmill::{runtime::loader::Module as Source, script::main::Error},
    engine::{self, Engine, Script},
    errors,
};
use rquickjs::{Ctx, Exception, Persistent, Result, Value, promise::PromiseState, qjs};

pub fn load(source: Source) -> std::result::Result<(), Error> {
    let engine = engine::get();
    engine.context.with(|ctx| match evaluate(engine, &ctx, source) {
        Ok(script) => {
            // At the top level nothing can be reported; a rejection must not surface in every run.
            engine.rejected.borrow_mut().clear();
            match engine.script.set(script) {
                Ok(()) => Ok(()),
                Err(_) => Err(errors::plain("Error", "a script is already loaded")),
            }
        }
        Err(error) => Err(errors::from_rust(engine, &ctx, error)),
    })
}

fn evaluate(engine: &Engine, ctx: &Ctx<'_>, source: Source) -> Result<Script> {
    let Source { file_name, source, parameters } = source;
    let (module, promise) = engine.declare(ctx, file_name, source)?.eval()?;
    while promise.state() == PromiseState::Pending && ctx.execute_pending_job() {}
    match promise.result::<Value<'_>>() {
        Some(result) => drop(result?),
        None => {
            let message = "the top level of the script awaits something that can never settle";
            return Err(Exception::throw_message(ctx, message));
        }
    }
    let exports = module.namespace()?;
    let main: Value<'_> = exports.get("main")?;
    let Some(main) = main.into_function() else {
        let message = "the module does not export a function named main";
        return Err(Exception::throw_type(ctx, message));
    };
    let preprocessor: Value<'_> = exports.get("preprocessor")?;
    Ok(Script {
        main: Persistent::save(ctx, main),
        preprocessor: preprocessor.into_function().map(|function| Persistent::save(ctx, function)),
        parameters: parameters.iter().map(|name| atom(ctx, name)).collect(),
    })
}

fn atom(ctx: &Ctx<'_>, name: &str) -> qjs::JSAtom {
    // SAFETY: pointer and length are those of one string; the atom is kept for ever.
    unsafe { qjs::JS_NewAtomLen(ctx.as_raw().as_ptr(), name.as_ptr().cast(), name.len() as _) }
}

/// What the script exported, or an error if nothing was loaded.
pub fn loaded(engine: &Engine) -> std::result::Result<&Script, Error> {
    let missing = || errors::plain("Error", "no script is loaded");
    engine.script.get().ok_or_else(missing)
}
