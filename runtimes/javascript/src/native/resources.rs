//! Resources, as js/resources.js uses them.

use super::{
    answer::{Refusal, answer},
    held::{Held, Holder},
};
use crate::{
    bindings::sandmill::resources::resources::{self, Error, Handle},
    output,
    phase::require_open,
    text::Text,
};
use rquickjs::{Array, Ctx, Object, Result, Value, prelude::Func};

pub fn add<'js>(_ctx: &Ctx<'js>, native: &Object<'js>) -> Result<()> {
    native.set("resourceOpen", Func::from(open))?;
    native.set("resourceType", Func::from(kind))?;
    native.set("resourceFields", Func::from(fields))?;
    native.set("resourcePlaceholder", Func::from(placeholder))
}

/// `what` is what the script called.
fn open<'js>(ctx: Ctx<'js>, what: String, path: Text) -> Result<Array<'js>> {
    require_open(&ctx, &what)?;
    answer(&ctx, resources::open(&path.0).map(Held).map_err(refusal))
}

fn kind(handle: Holder<'_, Handle>) -> String {
    handle.borrow().0.kind()
}

fn fields<'js>(ctx: Ctx<'js>, handle: Holder<'js, Handle>) -> Result<Value<'js>> {
    let json = handle.borrow().0.fields();
    output::parse(&ctx, json)
}

fn placeholder<'js>(ctx: Ctx<'js>, handle: Holder<'js, Handle>, pointer: Text) -> Result<Array<'js>> {
    let placeholder = handle.borrow().0.placeholder(&pointer.0);
    answer(&ctx, placeholder.map_err(refusal))
}

fn refusal(error: Error) -> Refusal {
    match error {
        Error::Denied(text) => ("denied", text),
        Error::Invalid(text) => ("invalid", text),
        Error::NotFound(text) => ("not-found", text),
        Error::Unavailable(text) => ("unavailable", text),
    }
}
