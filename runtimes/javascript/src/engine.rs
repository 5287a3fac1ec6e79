//! The one QuickJS engine of this component, built once and kept in the snapshot.

use crate::{native, waits::Waits};
use rquickjs::{
    CaughtError, Context, Ctx, Exception, Function, Module, Object, Persistent, Result, Runtime, Value, WriteOptions,
    loader::{ImportAttributes, Loader, Resolver},
    module::Declared,
    qjs,
};
use std::cell::{OnceCell, RefCell};

/// What JavaScript may take of the stack in linear memory, of which build.rs asks for 1 MiB. The machine's own stack
/// runs out at about 700 KiB of this if the host grants 1 MiB of that (quickjs-config.h explains how the two go together).
const STACK_BYTES_MAX: usize = 600 * 1024;

/// The same while a module is parsed, since the parser takes far more of the machine's stack: about 400 nested parentheses.
const PARSER_STACK_BYTES_MAX: usize = 64 * 1024;

/// A collection costs more than most runs, so the first one comes late; QuickJS frees by reference
/// counting and needs collections for cycles only.
const GARBAGE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Name of the bundle in stack traces; errors.rs drops frames of it.
pub const BUNDLE_NAME: &str = "sandmill:runtime";

/// The module that scripts import as `sandmill`, which the bundle registers under this name.
const MODULE_NAME: &str = "sandmill:module";

/// Polyfills and the `sandmill` module, bundled from js/ by `cargo xtask runtimes`.
const BUNDLE: &str = include_str!(env!("SANDMILL_BUNDLE"));
const MODULE: &str = include_str!("../js/module.js");

/// What the loaded script exports.
pub struct Script {
    pub main: Persistent<Function<'static>>,
    pub preprocessor: Option<Persistent<Function<'static>>>,
    /// Names of main's parameters, never freed.
    pub parameters: Vec<qjs::JSAtom>,
}

/// Functions of the bundle that Rust calls.
pub struct Helpers {
    /// (value) -> a result that is not plain JSON as [kind, ...]; see js/output.js
    pub output: Persistent<Function<'static>>,
    /// (thrown value) -> [name, message, stack, details]
    pub describe: Persistent<Function<'static>>,
    /// () -> milliseconds until the next timer is due, or -1
    pub timer_wait: Persistent<Function<'static>>,
    /// () -> runs the timers that are due
    pub timer_fire: Persistent<Function<'static>>,
    pub object_prototype: Persistent<Object<'static>>,
    pub array_prototype: Persistent<Object<'static>>,
}

pub struct Engine {
    pub context: Context,
    pub helpers: Helpers,
    pub script: OnceCell<Script>,
    /// Promises that were rejected and have no handler, with their reasons, in order.
    pub rejected: RefCell<Vec<(Persistent<Value<'static>>, Persistent<Value<'static>>)>>,
    pub waits: Waits,
}

impl Engine {
    /// Compiles the script's module without running any of it.
    pub fn declare<'js>(&self, ctx: &Ctx<'js>, name: String, source: String) -> Result<Module<'js, Declared>> {
        set_stack_bytes_max(ctx, PARSER_STACK_BYTES_MAX);
        let module = Module::declare(ctx.clone(), name, source);
        set_stack_bytes_max(ctx, STACK_BYTES_MAX);
        module
    }

    /// A handler was attached to `promise`, or the runtime itself looks at it.
    pub fn forget_rejection<'js>(&self, ctx: &Ctx<'js>, promise: &Value<'js>) {
        let is_other = |known: &Persistent<Value<'static>>| known.clone().restore(ctx).is_ok_and(|known| known != *promise);
        self.rejected.borrow_mut().retain(|(known, _)| is_other(known));
    }
}

struct Single(OnceCell<Engine>);

// SAFETY: a component instance has one thread.
unsafe impl Sync for Single {}

static ENGINE: Single = Single(OnceCell::new());

/// The engine, built by the first call.
pub fn get() -> &'static Engine {
    ENGINE.0.get_or_init(build)
}

fn build() -> Engine {
    let runtime = Runtime::new().expect("a QuickJS runtime");
    runtime.set_max_stack_size(STACK_BYTES_MAX);
    runtime.set_loader(Modules, Modules);
    runtime.set_host_promise_rejection_tracker(Some(Box::new(track_rejection)));
    let context = Context::full(&runtime).expect("a QuickJS context");
    let helpers = context.with(|ctx| match evaluate_bundle(&ctx) {
        Ok(helpers) => helpers,
        Err(error) => panic!("bundle: {}", CaughtError::from_error(&ctx, error)),
    });
    runtime.run_gc();
    runtime.set_gc_threshold(GARBAGE_BYTES_MAX);
    Engine { context, helpers, script: OnceCell::new(), rejected: RefCell::default(), waits: Waits::default() }
}

fn set_stack_bytes_max(ctx: &Ctx<'_>, bytes: usize) {
    // SAFETY: the runtime is the context's own. `Runtime` has a method for this, which is locked out inside of `with`.
    unsafe { qjs::JS_SetMaxStackSize(qjs::JS_GetRuntime(ctx.as_raw().as_ptr()), bytes as _) };
}

fn evaluate_bundle<'js>(ctx: &Ctx<'js>) -> Result<Helpers> {
    let global = ctx.globals();
    global.set("__native", native::object(ctx)?)?;
    // Through bytecode, because that can leave the sources of all its functions out of the snapshot.
    let bytecode =
        Module::declare(ctx.clone(), BUNDLE_NAME, BUNDLE)?.write(WriteOptions { strip_source: true, ..WriteOptions::default() })?;
    // SAFETY: the bytecode was written by this very engine a moment ago.
    let (bundle, promise) = unsafe { Module::load(ctx.clone(), &bytecode)? }.eval()?;
    promise.finish::<()>()?;
    let exports = bundle.namespace()?;
    global.set("__sandmill", exports.get::<_, Value<'_>>("sandmill")?)?;
    Module::evaluate(ctx.clone(), MODULE_NAME, MODULE)?.finish::<()>()?;
    global.remove("__native")?;
    global.remove("__sandmill")?;
    let function = |name: &str| -> Result<_> { Ok(Persistent::save(ctx, exports.get::<_, Function<'_>>(name)?)) };
    let prototype = |name: &str| -> Result<_> {
        let class: Object<'_> = global.get(name)?;
        Ok(Persistent::save(ctx, class.get::<_, Object<'_>>("prototype")?))
    };
    Ok(Helpers {
        output: function("output")?,
        describe: function("describe")?,
        timer_wait: function("timerWait")?,
        timer_fire: function("timerFire")?,
        object_prototype: prototype("Object")?,
        array_prototype: prototype("Array")?,
    })
}

fn track_rejection<'js>(ctx: Ctx<'js>, promise: Value<'js>, reason: Value<'js>, is_handled: bool) {
    // None while the bundle is evaluated.
    let Some(engine) = ENGINE.0.get() else {
        return;
    };
    if is_handled {
        engine.forget_rejection(&ctx, &promise);
    } else {
        let entry = (Persistent::save(&ctx, promise), Persistent::save(&ctx, reason));
        engine.rejected.borrow_mut().push(entry);
    }
}

/// Resolves `sandmill` and nothing else.
struct Modules;

impl Resolver for Modules {
    fn resolve<'js>(&mut self, ctx: &Ctx<'js>, _base: &str, name: &str, _attributes: Option<ImportAttributes<'js>>) -> Result<String> {
        if name == "sandmill" {
            return Ok(MODULE_NAME.to_owned());
        }
        let message = format!(
            "cannot import \"{name}\": a script is one module and can import \"sandmill\" only; \
             bundle other dependencies into it beforehand, for example with esbuild"
        );
        Err(Exception::throw_type(ctx, &message))
    }
}

impl Loader for Modules {
    fn load<'js>(&mut self, ctx: &Ctx<'js>, name: &str, _attributes: Option<ImportAttributes<'js>>) -> Result<Module<'js, Declared>> {
        // The only module that resolves was evaluated with the bundle.
        Err(Exception::throw_internal(ctx, &format!("module {name} is not loaded")))
    }
}
