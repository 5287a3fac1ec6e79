//! What a script holds of the host's: objects that JavaScript can only hand back. Handles end with the object.

use rquickjs::{
    Class, Constructor, Ctx, IntoJs, JsLifetime, Object, Result, Value,
    class::{JsClass, Readable, Trace, Tracer},
};

/// As natives take it.
pub type Holder<'js, T> = Class<'js, Held<T>>;

pub struct Held<T>(pub T);

impl<'js, T> Trace<'js> for Held<T> {
    fn trace<'a>(&self, _tracer: Tracer<'a, 'js>) {}
}

// SAFETY: what is held is the host's and has nothing of JavaScript's in it.
unsafe impl<'js, T: 'static> JsLifetime<'js> for Held<T> {
    type Changed<'to> = Held<T>;
}

impl<'js, T: 'static> JsClass<'js> for Held<T> {
    const NAME: &'static str = "Held";
    type Mutable = Readable;

    fn prototype(_ctx: &Ctx<'js>) -> Result<Option<Object<'js>>> {
        Ok(None)
    }

    fn constructor(_ctx: &Ctx<'js>) -> Result<Option<Constructor<'js>>> {
        Ok(None)
    }
}

impl<'js, T: 'static> IntoJs<'js> for Held<T> {
    fn into_js(self, ctx: &Ctx<'js>) -> Result<Value<'js>> {
        Ok(Class::instance(ctx.clone(), self)?.into_value())
    }
}
