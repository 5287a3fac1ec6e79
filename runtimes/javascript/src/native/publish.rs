//! Messages to brokers, as js/publish.js uses them.

use super::{
    answer::{Refusal, answer},
    held::Holder,
};
use crate::{
    bindings::sandmill::{
        publish::publish::{self, Error, Message},
        resources::resources::Handle,
    },
    bytes::Bytes,
    output,
    text::Text,
};
use rquickjs::{Array, Ctx, Object, Result, prelude::Func};

pub fn add<'js>(_ctx: &Ctx<'js>, native: &Object<'js>) -> Result<()> {
    native.set("publish", Func::from(publish))
}

/// `texts` are where it goes and its id, if it has one; names and values of headers follow each other.
fn publish<'js>(
    ctx: Ctx<'js>,
    via: Holder<'js, Handle>,
    texts: Vec<Text>,
    payload: Bytes<'js>,
    headers: Vec<Text>,
    kept: bool,
) -> Result<Array<'js>> {
    let mut texts = texts.into_iter().map(|text| text.0);
    let (to, id) = (texts.next().unwrap_or_default(), texts.next());
    let mut flat = headers.into_iter().map(|text| text.0);
    let headers = std::iter::from_fn(|| Some((flat.next()?, flat.next()?))).collect();
    let message = Message { to, payload: payload.as_slice().to_vec(), headers, id, kept };
    let published = publish::publish(&via.borrow().0, &message);
    match published {
        Ok(json) => answer(&ctx, Ok(output::parse(&ctx, json)?)),
        Err(error) => answer(&ctx, Err::<(), _>(refusal(error))),
    }
}

fn refusal(error: Error) -> Refusal {
    match error {
        Error::Denied(text) => ("denied", text),
        Error::Invalid(text) => ("invalid", text),
        Error::TooLarge(text) => ("too-large", text),
        Error::Unavailable(text) => ("unavailable", text),
    }
}
