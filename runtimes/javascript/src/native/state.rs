//! JSON that a script keeps, as js/state.js uses it.

use super::answer::{Refusal, answer};
use crate::{
    bindings::sandmill::state::state::{self, Error},
    phase::require_open,
    text::Text,
};
use rquickjs::{Array, Ctx, Object, Result, prelude::Func};

pub fn add<'js>(_ctx: &Ctx<'js>, native: &Object<'js>) -> Result<()> {
    native.set("stateGet", Func::from(get))?;
    native.set("stateSet", Func::from(set))?;
    native.set("stateDelete", Func::from(delete))?;
    native.set("stateSwap", Func::from(swap))?;
    native.set("stateList", Func::from(list))
}

fn get<'js>(ctx: Ctx<'js>, key: Text) -> Result<Array<'js>> {
    require_open(&ctx, "state.get")?;
    answer(&ctx, state::get(&key.0).map_err(refusal))
}

fn set<'js>(ctx: Ctx<'js>, key: Text, value: Text) -> Result<Array<'js>> {
    require_open(&ctx, "state.set")?;
    answer(&ctx, state::set(&key.0, &value.0).map_err(refusal))
}

fn delete<'js>(ctx: Ctx<'js>, key: Text) -> Result<Array<'js>> {
    require_open(&ctx, "state.delete")?;
    answer(&ctx, state::delete(&key.0).map_err(refusal))
}

fn swap<'js>(ctx: Ctx<'js>, key: Text, expected: Option<Text>, new: Option<Text>) -> Result<Array<'js>> {
    require_open(&ctx, "state.compareAndSwap")?;
    let (expected, new) = (expected.map(|text| text.0), new.map(|text| text.0));
    answer(&ctx, state::compare_and_swap(&key.0, expected.as_deref(), new.as_deref()).map_err(refusal))
}

fn list<'js>(ctx: Ctx<'js>, prefix: Text, after: Option<Text>, limit: u32) -> Result<Array<'js>> {
    require_open(&ctx, "state.list")?;
    let after = after.map(|text| text.0);
    answer(&ctx, state::list(&prefix.0, after.as_deref(), limit).map_err(refusal))
}

fn refusal(error: Error) -> Refusal {
    match error {
        Error::InvalidKey(text) => ("invalid-key", text),
        Error::InvalidJson(text) => ("invalid-json", text),
        Error::TooLarge(text) => ("too-large", text),
        Error::Unavailable(text) => ("unavailable", text),
    }
}
