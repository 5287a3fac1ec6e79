//! Functions that the bundle (js/) gets from Rust, as one object that scripts never see.

mod utf8;
mod clock;
mod digest;
mod random;
mod sandmill;
mod url;

pub use clock::sleep;

use rquickjs::{Ctx, Object, Result};

pub fn object<'js>(ctx: &Ctx<'js>) -> Result<Object<'js>> {
    let native = Object::new(ctx.clone())?;
    utf8::add(ctx, &native)?;
    clock::add(ctx, &native)?;
    digest::add(ctx, &native)?;
    random::add(ctx, &native)?;
    sandmill::add(ctx, &native)?;
    url::add(ctx, &native)?;
    ctx.globals().set("__stack", rquickjs::prelude::Func::from(|ctx: Ctx<'js>, n: u32| unsafe { rquickjs::qjs::JS_SetMaxStackSize(rquickjs::qjs::JS_GetRuntime(ctx.as_raw().as_ptr()), n as _) }))?; // TEMP
    Ok(native)
}
