//! What the host's functions say, as the bundle takes it.

use rquickjs::{Array, Ctx, IntoJs};

/// Code and text of what the host refused.
pub type Refusal = (&'static str, String);

/// `[value]`, or `[undefined, code, text]` of which the bundle makes an error.
pub fn answer<'js, T: IntoJs<'js>>(ctx: &Ctx<'js>, result: Result<T, Refusal>) -> rquickjs::Result<Array<'js>> {
    let array = Array::new(ctx.clone())?;
    match result {
        Ok(value) => array.set(0, value)?,
        Err((code, text)) => {
            array.set(1, code)?;
            array.set(2, text)?;
        }
    }
    Ok(array)
}
