//! UTF-8 for `TextEncoder`, `TextDecoder` and whatever else turns text into bytes.

use crate::{bytes::Bytes, text::Text};
use rquickjs::{Ctx, Exception, Object, Result, String as JsString, prelude::Func};

pub fn add<'js>(_ctx: &Ctx<'js>, native: &Object<'js>) -> Result<()> {
    native.set("encode", Func::from(encode))?;
    native.set("decode", Func::from(decode))?;
    native.set("incompleteTail", Func::from(incomplete_tail))
}

fn encode<'js>(ctx: Ctx<'js>, text: Text) -> Result<Bytes<'js>> {
    Bytes::copy_of(ctx, text.0)
}

/// Throws on what is not UTF-8 if `fatal`, else puts U+FFFD there.
fn decode<'js>(ctx: Ctx<'js>, bytes: Bytes<'js>, fatal: bool) -> Result<JsString<'js>> {
    let bytes = bytes.as_slice();
    let text = String::from_utf8_lossy(bytes);
    if fatal && matches!(text, std::borrow::Cow::Owned(_)) {
        return Err(Exception::throw_type(&ctx, "The encoded data was not valid utf-8"));
    }
    JsString::from_str(ctx, &text)
}

/// How many bytes at the end may be the start of a character that the next chunk completes.
fn incomplete_tail(bytes: Bytes<'_>) -> usize {
    let bytes = bytes.as_slice();
    let start = bytes.len().saturating_sub(3);
    for at in start..bytes.len() {
        match std::str::from_utf8(&bytes[at..]) {
            Err(error) if error.valid_up_to() == 0 && error.error_len().is_none() => return bytes.len() - at,
            _ => {}
        }
    }
    0
}
