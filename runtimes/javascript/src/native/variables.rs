//! Variables and what stands for secret ones, as js/variables.js uses them.

use super::answer::{Refusal, answer};
use crate::{
    bindings::sandmill::variables::variables::{self, Error},
    phase::require_open,
    text::Text,
};
use rquickjs::{Array, Ctx, Object, Result, prelude::Func};

pub fn add<'js>(_ctx: &Ctx<'js>, native: &Object<'js>) -> Result<()> {
    native.set("variable", Func::from(get))?;
    native.set("secret", Func::from(placeholder))
}

fn get<'js>(ctx: Ctx<'js>, path: Text) -> Result<Array<'js>> {
    require_open(&ctx, "variable")?;
    answer(&ctx, variables::get(&path.0).map_err(refusal))
}

fn placeholder<'js>(ctx: Ctx<'js>, path: Text) -> Result<Array<'js>> {
    require_open(&ctx, "secret")?;
    answer(&ctx, variables::placeholder(&path.0).map_err(refusal))
}

fn refusal(error: Error) -> Refusal {
    match error {
        Error::Denied(text) => ("denied", text),
        Error::Invalid(text) => ("invalid", text),
        Error::NotFound(text) => ("not-found", text),
        Error::Unavailable(text) => ("unavailable", text),
    }
}
