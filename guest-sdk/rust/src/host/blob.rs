//! `sandmill:blob`

use super::{
    bindings::sandmill::blob::blob::{self as wit, Error as Fault},
    named,
};
use crate::{Error, Result, blob::Info};

fn told(fault: Fault) -> Error {
    match fault {
        Fault::Denied(message) => named("denied", message),
        Fault::Invalid(message) => named("invalid", message),
        Fault::TooLarge(message) => named("too-large", message),
        Fault::Unavailable(message) => named("unavailable", message),
    }
}

fn info(object: wit::Object) -> Info {
    let wit::Object { key, size, modified_ms, content_type } = object;
    Info { key, size, modified_ms, content_type }
}

#[derive(Debug)]
pub(crate) struct Reader(wit::Reader);

impl Reader {
    pub(crate) fn info(&self) -> Info {
        info(self.0.info())
    }

    pub(crate) fn read(&mut self, max: u32) -> Result<Option<Vec<u8>>> {
        self.0.read(max).map_err(told)
    }
}

#[derive(Debug)]
pub(crate) struct Writer(wit::Writer);

impl Writer {
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.0.write(bytes).map_err(told)
    }

    pub(crate) fn finish(self) -> Result<Info> {
        self.0.finish().map(info).map_err(told)
    }
}

pub(crate) fn get(key: &str) -> Result<Option<Reader>> {
    Ok(wit::get(key).map_err(told)?.map(Reader))
}

pub(crate) fn put(key: &str, content_type: Option<&str>) -> Result<Writer> {
    wit::put(key, content_type).map(Writer).map_err(told)
}

pub(crate) fn stat(key: &str) -> Result<Option<Info>> {
    Ok(wit::stat(key).map_err(told)?.map(info))
}

pub(crate) fn delete(key: &str) -> Result<()> {
    wit::delete(key).map_err(told)
}

pub(crate) fn list(prefix: &str, after: Option<&str>, limit: u32) -> Result<Vec<Info>> {
    Ok(wit::list(prefix, after, limit).map_err(told)?.into_iter().map(info).collect())
}
