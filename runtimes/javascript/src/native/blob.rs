//! Objects under keys, as js/objects.js uses them.

use super::{
    answer::{Refusal, answer},
    held::{Held, Holder},
};
use crate::{
    bindings::sandmill::blob::blob::{self, Error, Reader, Writer},
    bytes::Bytes,
    phase::require_open,
    text::Text,
};
use rquickjs::{Array, Ctx, IntoJs, Object, Result, Value, prelude::Func};
use std::cell::RefCell;

/// Bytes that are asked for at once.
const READ_BYTES: u32 = 256 * 1024;
/// What the host takes at once.
const WRITE_BYTES_MAX: usize = 1024 * 1024;

/// Empty once they have ended: a run has only so many open.
type Reading<'js> = Holder<'js, RefCell<Option<Reader>>>;
type Writing<'js> = Holder<'js, RefCell<Option<Writer>>>;

pub fn add<'js>(_ctx: &Ctx<'js>, native: &Object<'js>) -> Result<()> {
    native.set("blobGet", Func::from(get))?;
    native.set("blobRead", Func::from(read))?;
    native.set("blobEndReading", Func::from(|reading: Reading<'_>| drop(reading.borrow().0.take())))?;
    native.set("blobPut", Func::from(put))?;
    native.set("blobWrite", Func::from(write))?;
    native.set("blobFinish", Func::from(finish))?;
    native.set("blobEndWriting", Func::from(|writing: Writing<'_>| drop(writing.borrow().0.take())))?;
    native.set("blobStat", Func::from(stat))?;
    native.set("blobDelete", Func::from(delete))?;
    native.set("blobList", Func::from(list))
}

/// `[about, reader]`, or undefined if nothing is there.
fn get<'js>(ctx: Ctx<'js>, key: Text) -> Result<Array<'js>> {
    require_open(&ctx, "blob.get")?;
    let found = match blob::get(&key.0) {
        Ok(Some(reader)) => {
            let found = Array::new(ctx.clone())?;
            found.set(0, About(reader.info()))?;
            found.set(1, Held(RefCell::new(Some(reader))))?;
            Ok(Some(found))
        }
        Ok(None) => Ok(None),
        Err(error) => Err(refusal(error)),
    };
    answer(&ctx, found)
}

/// The next bytes; undefined at the end.
fn read<'js>(ctx: Ctx<'js>, reading: Reading<'js>) -> Result<Array<'js>> {
    let next = match reading.borrow().0.borrow().as_ref() {
        Some(reader) => reader.read(READ_BYTES).map_err(refusal),
        None => Ok(None),
    };
    if !matches!(next, Ok(Some(_))) {
        reading.borrow().0.take();
    }
    match next {
        Ok(Some(bytes)) => answer(&ctx, Ok(Bytes::copy_of(ctx.clone(), bytes)?)),
        Ok(None) => answer(&ctx, Ok(())),
        Err(refusal) => answer(&ctx, Err::<(), _>(refusal)),
    }
}

fn put<'js>(ctx: Ctx<'js>, key: Text, content_type: Option<Text>) -> Result<Array<'js>> {
    require_open(&ctx, "blob.put")?;
    let content_type = content_type.map(|text| text.0);
    let writer = blob::put(&key.0, content_type.as_deref());
    answer(&ctx, writer.map(|writer| Held(RefCell::new(Some(writer)))).map_err(refusal))
}

fn write<'js>(ctx: Ctx<'js>, writing: Writing<'js>, bytes: Bytes<'js>) -> Result<Array<'js>> {
    let written = match writing.borrow().0.borrow().as_ref() {
        Some(writer) => bytes.as_slice().chunks(WRITE_BYTES_MAX).try_for_each(|piece| writer.write(piece)),
        None => Err(ended()),
    };
    answer(&ctx, written.map_err(refusal))
}

fn finish<'js>(ctx: Ctx<'js>, writing: Writing<'js>) -> Result<Array<'js>> {
    let writer = writing.borrow().0.take();
    let finished = writer.ok_or_else(ended).and_then(|writer| writer.finish());
    answer(&ctx, finished.map(About).map_err(refusal))
}

fn stat<'js>(ctx: Ctx<'js>, key: Text) -> Result<Array<'js>> {
    require_open(&ctx, "blob.stat")?;
    answer(&ctx, blob::stat(&key.0).map(|object| object.map(About)).map_err(refusal))
}

fn delete<'js>(ctx: Ctx<'js>, key: Text) -> Result<Array<'js>> {
    require_open(&ctx, "blob.delete")?;
    answer(&ctx, blob::delete(&key.0).map_err(refusal))
}

fn list<'js>(ctx: Ctx<'js>, prefix: Text, after: Option<Text>, limit: u32) -> Result<Array<'js>> {
    require_open(&ctx, "blob.list")?;
    let after = after.map(|text| text.0);
    let page = blob::list(&prefix.0, after.as_deref(), limit);
    answer(&ctx, page.map(|page| page.into_iter().map(About).collect::<Vec<_>>()).map_err(refusal))
}

fn ended() -> Error {
    Error::Invalid("the object was written or given up before".to_owned())
}

/// `[key, size, milliseconds, content type]`
struct About(blob::Object);

impl<'js> IntoJs<'js> for About {
    fn into_js(self, ctx: &Ctx<'js>) -> Result<Value<'js>> {
        let array = Array::new(ctx.clone())?;
        array.set(0, self.0.key)?;
        array.set(1, self.0.size as f64)?;
        array.set(2, self.0.modified_ms as f64)?;
        array.set(3, self.0.content_type)?;
        array.into_js(ctx)
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
