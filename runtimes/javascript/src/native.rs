//! Functions that the bundle (js/) gets from Rust, as one object that scripts never see.

mod clock;
mod digest;
mod random;
mod runs;
mod sandmill;
mod url;
mod utf8;

pub use clock::sleep;

use rquickjs::{Ctx, Object, Result};

pub fn object<'js>(ctx: &Ctx<'js>) -> Result<Object<'js>> {
    let native = Object::new(ctx.clone())?;
    utf8::add(ctx, &native)?;
    clock::add(ctx, &native)?;
    digest::add(ctx, &native)?;
    random::add(ctx, &native)?;
    runs::add(ctx, &native)?;
    sandmill::add(ctx, &native)?;
    url::add(ctx, &native)?;
    Ok(native)
}
