//! Objects in memory.

use std::rc::Rc;

use crate::{
    Error, Result,
    blob::Info,
    testing::{
        Fakes,
        world::{self, FakeObject},
    },
};

const KEY_BYTES_MAX: usize = 1_024;
const SEGMENT_BYTES_MAX: usize = 255;
const LISTED_MAX: u32 = 1_000;

/// The world, if the key is one that may be used.
fn granted(key: &str) -> Result<Rc<Fakes>> {
    let world = world::current()?;
    if !world.blob_prefixes.iter().any(|prefix| key.starts_with(prefix.as_str())) {
        return Err(world::denied("this key was not faked", &format!("Fakes::new().blobs({key:?})")));
    }
    Ok(world)
}

fn check(key: &str) -> Result<()> {
    let is_segment = |segment: &str| !matches!(segment, "" | "." | "..") && segment.len() <= SEGMENT_BYTES_MAX;
    let is_key =
        key.len() <= KEY_BYTES_MAX && key.split('/').all(is_segment) && !key.chars().any(|letter| letter.is_control() || letter == '\\');
    if is_key { Ok(()) } else { Err(Error::new("invalid", format!("{key:?} is no key"))) }
}

fn info(key: &str, object: &FakeObject) -> Info {
    Info {
        key: key.to_owned(),
        size: object.bytes.len() as u64,
        modified_ms: object.modified_ms,
        content_type: object.content_type.clone(),
    }
}

#[derive(Debug)]
pub(crate) struct Reader {
    info: Info,
    bytes: Vec<u8>,
    at: usize,
}

impl Reader {
    pub(crate) fn info(&self) -> Info {
        self.info.clone()
    }

    pub(crate) fn read(&mut self, max: u32) -> Result<Option<Vec<u8>>> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let part: Vec<u8> = rest.iter().copied().take(max as usize).collect();
        self.at += part.len();
        Ok(Some(part).filter(|part| !part.is_empty()))
    }
}

#[derive(Debug)]
pub(crate) struct Writer {
    key: String,
    content_type: Option<String>,
    bytes: Vec<u8>,
}

impl Writer {
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.bytes.extend(bytes);
        Ok(())
    }

    pub(crate) fn finish(self) -> Result<Info> {
        let world = world::current()?;
        let object = FakeObject { bytes: self.bytes, content_type: self.content_type, modified_ms: world.now_ms };
        let info = info(&self.key, &object);
        world.recorded.borrow_mut().objects.insert(self.key, object);
        Ok(info)
    }
}

pub(crate) fn get(key: &str) -> Result<Option<Reader>> {
    check(key)?;
    let world = granted(key)?;
    let recorded = world.recorded.borrow();
    Ok(recorded.objects.get(key).map(|object| Reader { info: info(key, object), bytes: object.bytes.clone(), at: 0 }))
}

pub(crate) fn put(key: &str, content_type: Option<&str>) -> Result<Writer> {
    check(key)?;
    granted(key)?;
    Ok(Writer { key: key.to_owned(), content_type: content_type.map(str::to_owned), bytes: Vec::new() })
}

pub(crate) fn stat(key: &str) -> Result<Option<Info>> {
    check(key)?;
    Ok(granted(key)?.recorded.borrow().objects.get(key).map(|object| info(key, object)))
}

pub(crate) fn delete(key: &str) -> Result<()> {
    check(key)?;
    granted(key)?.recorded.borrow_mut().objects.remove(key);
    Ok(())
}

pub(crate) fn list(prefix: &str, after: Option<&str>, limit: u32) -> Result<Vec<Info>> {
    let world = granted(prefix)?;
    let recorded = world.recorded.borrow();
    let objects = recorded.objects.iter().filter(|(key, _)| key.starts_with(prefix) && after.is_none_or(|after| key.as_str() > after));
    Ok(objects.take(limit.min(LISTED_MAX) as usize).map(|(key, object)| Info { content_type: None, ..info(key, object) }).collect())
}
