//! Objects: bytes under keys, kept for the workspace. Granted by prefix and mode: `[grants] blob = ["read reports/", "write reports/daily/"]`.
//!
//! Errors are named `denied`, `invalid`, `too-large` and `unavailable`.

use serde::de::DeserializeOwned;

use crate::{Result, host::blob as host, json};

/// The most that is read or written at once, in bytes.
const PART_BYTES_MAX: usize = 1 << 20;

/// What is known of an object without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// Where it is.
    pub key: String,
    /// In bytes.
    pub size: u64,
    /// Milliseconds since the Unix epoch, UTC.
    pub modified_ms: u64,
    /// Missing in lists.
    pub content_type: Option<String>,
}

/// An object that was found; it is read once, from its begin to its end.
#[derive(Debug)]
pub struct Object(host::Reader);

impl Object {
    /// What is known of it.
    #[must_use]
    pub fn info(&self) -> Info {
        self.0.info()
    }

    /// The next part, of at most 1 MiB; `None` at the end.
    ///
    /// # Errors
    /// As the module says.
    pub fn read(&mut self) -> Result<Option<Vec<u8>>> {
        self.0.read(PART_BYTES_MAX as u32)
    }

    /// What has not been read yet.
    ///
    /// # Errors
    /// As the module says.
    pub fn bytes(mut self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        while let Some(part) = self.read()? {
            bytes.extend(part);
        }
        Ok(bytes)
    }

    /// [`Self::bytes`] as text.
    ///
    /// # Errors
    /// Also if it is no UTF-8.
    pub fn text(self) -> Result<String> {
        Ok(String::from_utf8(self.bytes()?)?)
    }

    /// [`Self::text`] as JSON.
    ///
    /// # Errors
    /// Also if it is no `T`.
    pub fn json<T: DeserializeOwned>(self) -> Result<T> {
        Ok(json::from_str(&self.text()?)?)
    }
}

/// An object that is being written. It is there once [`Writer::finish`] has returned, and nothing of it if this is dropped before.
#[derive(Debug)]
pub struct Writer(host::Writer);

impl Writer {
    /// Appends; of any length.
    ///
    /// # Errors
    /// As the module says.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        bytes.chunks(PART_BYTES_MAX).try_for_each(|part| self.0.write(part))
    }

    /// Puts it in its place.
    ///
    /// # Errors
    /// As the module says.
    pub fn finish(self) -> Result<Info> {
        self.0.finish()
    }
}

/// `None` if nothing is there.
///
/// # Errors
/// As the module says.
pub fn get(key: &str) -> Result<Option<Object>> {
    Ok(host::get(key)?.map(Object))
}

/// Replaces what is there, once all of `data` was written; if that fails nothing changes.
///
/// # Errors
/// As the module says.
pub fn put(key: &str, content_type: Option<&str>, data: impl AsRef<[u8]>) -> Result<Info> {
    let mut writer = create(key, content_type)?;
    writer.write(data.as_ref())?;
    writer.finish()
}

/// For objects that are written part by part.
///
/// # Errors
/// As the module says.
pub fn create(key: &str, content_type: Option<&str>) -> Result<Writer> {
    host::put(key, content_type).map(Writer)
}

/// `None` if nothing is there.
///
/// # Errors
/// As the module says.
pub fn stat(key: &str) -> Result<Option<Info>> {
    host::stat(key)
}

/// It is no error if nothing is there.
///
/// # Errors
/// As the module says.
pub fn delete(key: &str) -> Result<()> {
    host::delete(key)
}

/// Objects whose keys begin with `prefix`, in the order of their bytes, after the key `after`; at most `limit` and at most 1,000.
///
/// # Errors
/// As the module says.
pub fn list(prefix: &str, after: Option<&str>, limit: u32) -> Result<Vec<Info>> {
    host::list(prefix, after, limit)
}

#[cfg(test)]
mod tests {
    use crate::testing::Fakes;

    #[test]
    fn objects_are_there_once_they_are_finished() {
        let world = Fakes::new().now_ms(7).blobs("reports/").install();
        let mut writer = super::create("reports/a", Some("text/plain")).unwrap();
        writer.write(b"[1,").unwrap();
        assert!(super::get("reports/a").unwrap().is_none());
        writer.write(b"2]").unwrap();
        let info = writer.finish().unwrap();
        assert_eq!((info.size, info.modified_ms, info.content_type.as_deref()), (5, 7, Some("text/plain")));
        assert_eq!(super::get("reports/a").unwrap().unwrap().json::<[u8; 2]>().unwrap(), [1, 2]);
        drop(super::create("reports/b", None).unwrap());
        super::put("reports/c", None, "x").unwrap();
        let keys: Vec<String> = super::list("reports/", None, 10).unwrap().into_iter().map(|info| info.key).collect();
        assert_eq!(keys, ["reports/a", "reports/c"]);
        super::delete("reports/a").unwrap();
        assert_eq!(super::stat("reports/a").unwrap(), None);
        assert_eq!(world.blob("reports/c").as_deref(), Some(&b"x"[..]));
        assert_eq!(super::stat("else").unwrap_err().name, "denied");
        assert_eq!(super::put("reports//c", None, "x").unwrap_err().name, "invalid");
    }
}
