//! Strings between JavaScript, whose strings may hold half of a surrogate pair, and the rest of the world.

use rquickjs::{Ctx, Error, FromJs, Result, Value, qjs};

/// A JavaScript value as text, with U+FFFD for lone surrogates.
pub struct Text(pub String);

impl<'js> FromJs<'js> for Text {
    fn from_js(ctx: &Ctx<'js>, value: Value<'js>) -> Result<Self> {
        let mut length = 0;
        // SAFETY: QuickJS hands out `length` bytes that live until they are freed here.
        let bytes = unsafe {
            let raw = ctx.as_raw().as_ptr();
            let start = qjs::JS_ToCStringLen2(raw, &raw mut length, value.as_raw(), false);
            if start.is_null() {
                return Err(Error::Exception);
            }
            let bytes = std::slice::from_raw_parts(start.cast::<u8>(), length as usize).to_vec();
            qjs::JS_FreeCString(raw, start);
            bytes
        };
        Ok(Text(String::from_utf8(bytes).unwrap_or_else(|error| replace_surrogates(error.into_bytes()))))
    }
}

/// A lone surrogate and U+FFFD both take three bytes.
fn replace_surrogates(mut bytes: Vec<u8>) -> String {
    let mut start = 0;
    while let Err(error) = std::str::from_utf8(&bytes[start..]) {
        start += error.valid_up_to();
        bytes[start..start + 3].copy_from_slice("\u{fffd}".as_bytes());
        start += 3;
    }
    String::from_utf8(bytes).unwrap_or_default()
}
