//! Uint8Arrays as slices.

use rquickjs::{Ctx, FromJs, IntoJs, Result, TypedArray, Value};

/// A Uint8Array that JavaScript passed to Rust, or gets from it.
pub struct Bytes<'js>(TypedArray<'js, u8>);

impl<'js> Bytes<'js> {
    pub fn copy_of(ctx: Ctx<'js>, bytes: impl AsRef<[u8]>) -> Result<Self> {
        TypedArray::new_copy(ctx, bytes).map(Self)
    }

    /// Empty if the buffer is detached.
    pub fn as_slice(&self) -> &[u8] {
        // SAFETY: natives look at their arguments only between two steps of JavaScript, so nothing
        // can write to the buffer or detach it meanwhile.
        unsafe { self.0.as_bytes() }.unwrap_or_default()
    }
}

impl<'js> FromJs<'js> for Bytes<'js> {
    fn from_js(ctx: &Ctx<'js>, value: Value<'js>) -> Result<Self> {
        TypedArray::from_js(ctx, value).map(Self)
    }
}

impl<'js> IntoJs<'js> for Bytes<'js> {
    fn into_js(self, ctx: &Ctx<'js>) -> Result<Value<'js>> {
        self.0.into_js(ctx)
    }
}
