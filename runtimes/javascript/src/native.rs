//! Functions that the bundle (js/) gets from Rust, as one object that scripts never see.

mod answer;
mod blob;
mod clock;
mod digest;
mod held;
mod http;
mod publish;
mod random;
mod resources;
mod runs;
mod sandmill;
mod sql;
mod state;
mod url;
mod utf8;
mod variables;

pub use clock::{sleep, timer};
pub use http::{Exchange, Part};

use rquickjs::{Ctx, Object, Result};

pub fn object<'js>(ctx: &Ctx<'js>) -> Result<Object<'js>> {
    let native = Object::new(ctx.clone())?;
    utf8::add(ctx, &native)?;
    clock::add(ctx, &native)?;
    digest::add(ctx, &native)?;
    random::add(ctx, &native)?;
    url::add(ctx, &native)?;
    http::add(ctx, &native)?;
    sandmill::add(ctx, &native)?;
    state::add(ctx, &native)?;
    runs::add(ctx, &native)?;
    resources::add(ctx, &native)?;
    variables::add(ctx, &native)?;
    sql::add(ctx, &native)?;
    blob::add(ctx, &native)?;
    publish::add(ctx, &native)?;
    Ok(native)
}
