//! Requests to the world, as js/transfer.js makes them. Nothing here blocks: what is not there yet is waited for (waits.rs).

mod codes;
mod exchange;
mod request;

pub use exchange::{Exchange, Part};

use super::{
    answer::answer,
    held::{Held, Holder},
};
use crate::{bytes::Bytes, engine, phase::require_open, text::Text};
use exchange::{Head, Next};
use request::Outgoing;
use rquickjs::{Array, Ctx, Function, IntoJs, Object, Persistent, Result, Value, prelude::Func};
use std::rc::Rc;

type Exchanging<'js> = Holder<'js, Rc<Exchange>>;

pub fn add<'js>(_ctx: &Ctx<'js>, native: &Object<'js>) -> Result<()> {
    native.set("httpSend", Func::from(send))?;
    native.set("httpAnswer", Func::from(head))?;
    native.set("httpWrite", Func::from(write))?;
    native.set("httpFinish", Func::from(finish))?;
    native.set("httpRead", Func::from(read))?;
    native.set("httpWait", Func::from(wait))?;
    native.set("httpEnd", Func::from(|exchange: Exchanging<'_>| exchange.borrow().0.end()))
}

/// `url` is scheme, authority, and path with query; `headers` names and values in turn.
fn send<'js>(ctx: Ctx<'js>, method: Text, url: Vec<Text>, headers: Vec<Text>, has_body: bool) -> Result<Array<'js>> {
    require_open(&ctx, "fetch")?;
    exchange::collect_forgotten(&ctx);
    let mut url = url.into_iter().map(|part| part.0);
    let mut part = || url.next().unwrap_or_default();
    let outgoing = Outgoing {
        method: method.0,
        scheme: part(),
        authority: part(),
        target: part(),
        headers: headers.chunks_exact(2).map(|pair| (pair[0].0.clone(), latin1(&pair[1].0))).collect(),
    };
    let exchange = outgoing.request().and_then(|request| Exchange::start(request, has_body));
    answer(&ctx, exchange.map(|exchange| Held(Rc::new(exchange))))
}

/// A header's value: one byte for each character, which js/headers.js has seen to.
fn latin1(text: &str) -> Vec<u8> {
    text.chars().map(|character| u8::try_from(character).unwrap_or(b'?')).collect()
}

/// Status and headers, once they are there.
fn head<'js>(ctx: Ctx<'js>, exchange: Exchanging<'js>) -> Result<Option<Array<'js>>> {
    let head = exchange.borrow().0.head();
    head.map(|head| answer(&ctx, head)).transpose()
}

impl<'js> IntoJs<'js> for Head {
    fn into_js(self, ctx: &Ctx<'js>) -> Result<Value<'js>> {
        let headers = Array::new(ctx.clone())?;
        for (at, (name, value)) in self.headers.into_iter().enumerate() {
            headers.set(2 * at, name)?;
            headers.set(2 * at + 1, value.into_iter().map(char::from).collect::<String>())?;
        }
        let array = Array::new(ctx.clone())?;
        array.set(0, self.status)?;
        array.set(1, headers)?;
        array.into_js(ctx)
    }
}

/// How many of the bytes from `start` on were taken; undefined if the other side wants no more of them.
fn write<'js>(ctx: Ctx<'js>, exchange: Exchanging<'js>, bytes: Bytes<'js>, start: usize) -> Result<Array<'js>> {
    let written = exchange.borrow().0.write(bytes.as_slice().get(start..).unwrap_or_default());
    answer(&ctx, written)
}

fn finish<'js>(ctx: Ctx<'js>, exchange: Exchanging<'js>) -> Result<Array<'js>> {
    let finished = exchange.borrow().0.finish();
    answer(&ctx, finished)
}

/// Bytes, `false` at the end, or undefined if none are there yet.
fn read<'js>(ctx: Ctx<'js>, exchange: Exchanging<'js>) -> Result<Array<'js>> {
    let next = exchange.borrow().0.read();
    answer(&ctx, next)
}

impl<'js> IntoJs<'js> for Next {
    fn into_js(self, ctx: &Ctx<'js>) -> Result<Value<'js>> {
        match self {
            Next::Bytes(bytes) => Bytes::copy_of(ctx.clone(), bytes)?.into_js(ctx),
            Next::NotYet => Ok(Value::new_undefined(ctx.clone())),
            Next::End => Ok(Value::new_bool(ctx.clone(), false)),
        }
    }
}

/// Calls `resume` once it is worth to ask again, or once the part has ended.
fn wait<'js>(ctx: Ctx<'js>, exchange: Exchanging<'js>, part: u32, resume: Function<'js>) {
    let part = match part {
        0 => Part::Head,
        1 => Part::Up,
        _ => Part::Down,
    };
    engine::get().waits.add(Rc::clone(&exchange.borrow().0), part, Persistent::save(&ctx, resume));
}
